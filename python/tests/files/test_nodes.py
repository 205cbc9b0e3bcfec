"""Containers in open files: as mappings and sequences, with keys of any kind; trees."""

import collections.abc
import datetime
import decimal
import multiprocessing
import pickle
import types

import numpy as np
import pytest

import stele

when = datetime.datetime(2024, 5, 6)
keys = {"text": 1, "7": "text seven", 7: "seven", -3: "minus", 1.5: "real", (1, "a"): "pair", None: "none", b"raw": "bytes",
        b"\xff": "no text", "": "empty", "a/b": "slash", "a~b": "tilde", True: "true", "~#2": "odd", 10**30: "large",
        frozenset({1}): "set", when: "time", "\u00e9": "accent"}


@pytest.mark.parametrize("name", ["x.stele", "x.stele.zst"])
def test_keys_of_any_kind(tmp_path, name):
    stele.dump({"d": keys}, tmp_path / name)
    node = stele.open(tmp_path / name)["d"]
    assert isinstance(node, stele.Node) and isinstance(node, collections.abc.Mapping)
    assert list(node) == list(keys) and len(node) == len(keys)
    for key, value in keys.items():
        assert key in node and node[key] == value, key
        assert node.get(key) == value
    assert list(node.items()) == list(keys.items()) and list(node.values()) == list(keys.values())
    for absent in ("nothing", 8, (2,), b"no", 2.5):
        assert absent not in node and node.get(absent) is None
        with pytest.raises(KeyError):
            node[absent]
    assert [] not in node


def test_keys_lead_to_their_own_arrays(tmp_path):
    arrays = {key: np.full(1000, number) for number, key in enumerate([1.0, "1", 2, "2", b"x", "x", (1,)])}
    stele.dump(arrays, tmp_path / "x.stele")
    node = stele.open(tmp_path / "x.stele")[""]
    for number, (key, value) in enumerate(node.items()):
        assert (value[...] == number).all() and (node[key][...] == number).all(), key


def test_a_large_dict_is_searched_in_the_file(tmp_path):
    stele.dump({f"k{i}": [i] for i in range(3000)}, tmp_path / "x.stele")
    file = stele.open(tmp_path / "x.stele")
    root = file[""]
    assert root["k2999"].load() == [2999] and root["k5/0"] == 5 and root._found is None
    with pytest.raises(KeyError, match="k30"):
        file["k300x"]


def test_sequences(tmp_path):
    stele.dump({"l": [1, [2, 3], np.arange(3000)], "t": (1, 2), "s": {1, 2}, "f": frozenset("a"), "e": []},
               tmp_path / "x.stele")
    file = stele.open(tmp_path / "x.stele")
    node = file["l"]
    assert isinstance(node, collections.abc.Sequence) and len(node) == 3 and node.type == "list"
    assert node[0] == 1 and node[-2][1] == 3 and node["1/0"] == 2 and node[np.int64(0)] == 1
    assert [type(item).__name__ for item in node] == ["int", "_Sequence", "LazyArray"] and len(node[0:2]) == 2
    assert 1 in node and 5 not in node and list(reversed(node))[2] == 1
    for bad, kind in ((3, IndexError), (-4, IndexError), (1.5, TypeError), ("9", KeyError)):
        with pytest.raises(kind):
            node[bad]
    assert [file[key].type for key in "tsf"] == ["tuple", "set", "frozenset"] and not file["e"] and list(file["e"]) == []
    assert file["t"].load() == (1, 2) and file["s"].load() == {1, 2}
    assert file["l"] == file["l"] and file["l"] != file["t"] and hash(file["l"]) == hash(file["l"])


def test_values_that_are_stored_in_parts_are_values(tmp_path):
    values = {"when": when, "zone": datetime.timezone.utc, "money": decimal.Decimal("1.50"), "large": 10**40,
              "number": np.float32(3), "dtype": np.dtype("f4"), "range": range(3), "bytes": b"x" * 5000,
              "array": bytearray(b"ab"), "objects": np.array([1, "a", None], object), "long": "y" * 5000}
    stele.dump(values, tmp_path / "x.stele")
    file = stele.open(tmp_path / "x.stele")
    for key, value in values.items():
        found = file[key]
        assert type(found) is type(value) and np.array_equal(found, value), key


def test_attributes_of_objects(tmp_path):
    thing = types.SimpleNamespace(weights=np.arange(3000), inner=types.SimpleNamespace(depth=3), args="mine", state=5)
    stele.dump({"o": thing}, tmp_path / "x.stele")
    file = stele.open(tmp_path / "x.stele")
    node = file["o"]
    assert set(node) == {"weights", "inner", "args", "state"} and node.type.endswith("SimpleNamespace")
    assert node["weights"].shape == (3000,) and node["inner"]["depth"] == 3 and file["o/inner/depth"] == 3
    assert node["args"] == "mine" and node["state"] == 5
    assert file.load("o").inner.depth == 3


def test_paths_that_lead_nowhere_say_what_is_near(tmp_path):
    stele.dump({"layers": [{"weights": 1, "bias": 2}], "epoch": 3}, tmp_path / "x.stele")
    file = stele.open(tmp_path / "x.stele")
    for path, part in (("layer", "layers"), ("layers/0/weigths", "layers/0/weights"), ("layers/7", "0 in layers"),
                       ("epoch/5", "epoch/5"), ("zzz", "layers, epoch")):
        for get in (file.__getitem__, file.load, file.tree):
            with pytest.raises(KeyError) as caught:
                get(path)
            assert part in str(caught.value) and isinstance(caught.value, stele.Error)
            assert caught.value.code == "not_found" and caught.value.path == path
    assert file.get("zzz") is None and file.get("epoch") == 3


def test_roots_that_are_no_dict(tmp_path):
    for value in ([1, [2]], (1, 2), np.arange(5000), 5, "text", None):
        stele.dump(value, tmp_path / "x.stele")
        with stele.open(tmp_path / "x.stele") as file:
            assert repr(file.tree()) and file._repr_html_()
            if isinstance(value, np.ndarray):
                assert file[3:5].tolist() == [3, 4] and list(file.keys()) == [] and len(file) == 5000
            elif isinstance(value, (list, tuple)):
                assert file[0] == 1 and list(file.keys()) == [0, 1] and len(file) == 2
            else:
                assert file[""] == value


def test_a_closed_file(tmp_path):
    stele.dump({"a": [1], "x": np.arange(3000)}, tmp_path / "x.stele")
    file = stele.open(tmp_path / "x.stele")
    node, array = file["a"], file["x"]
    file.close()
    file.close()
    assert file.closed and "closed" in repr(file)
    for use in (lambda: file["a"], lambda: file.load(), lambda: node[0], lambda: file.info, lambda: file.tree(),
                lambda: "a" in file, file.verify, file.__enter__):
        with pytest.raises(ValueError, match="closed"):
            use()
    assert array[2999] == 2999


def read_part(lazy):
    return int(lazy[5:10].sum())


def test_other_processes_open_it_again(tmp_path):
    stele.dump({"x": np.arange(3000), "l": [1, [2]]}, tmp_path / "x.stele")
    file = stele.open(tmp_path / "x.stele", trusted=["a.*"], threads=1)
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(read_part, [file["x"]] * 4) == [35] * 4
    node = pickle.loads(pickle.dumps(file["l"]))
    assert node[1].load() == [2]
    first, second = pickle.loads(pickle.dumps((file, file["x"])))
    first.close()
    assert second[3] == 3


def test_trees(tmp_path):
    deep = 1
    for _ in range(40):
        deep = [deep]
    thing = {"deep": deep, "wide": {f"k{i}": [i] for i in range(5000)}, "many": list(range(10**5)), "x": np.ones((3, 1000)),
             "normal": np.random.default_rng(0).normal(size=(1000, 300)), "one row": np.arange(600_000.0)[None],
             "nan": np.full(3000, np.nan), "times": np.arange(3000).astype("M8[s]"), "when": when, (1, 2): "pair"}
    stele.dump(thing, tmp_path / "x.stele.zst")
    file = stele.open(tmp_path / "x.stele.zst")
    text, html = repr(file.tree()), file._repr_html_()
    assert "… 4950 more" in text and "… 99993 more" in text and "(1, 2)" in text and "datetime.datetime(2024" in text
    assert "float64[1000, 300]" in text and "2.3 MiB" in text and len(text) < 200_000
    assert html.count("<svg") == 2 and "<script" not in html and len(html) < 500_000
    assert html.count("<details") == html.count("</details") and html.count("<div") == html.count("</div")
    assert "k3" not in repr(file.tree(depth=1)) and repr(file["wide"].tree(items=3)).count("\n") < 10
    assert repr(file.tree("x")).startswith("x  float64[3, 1000]")
