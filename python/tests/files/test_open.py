"""Open files: paths, nodes, slices, trees; beside NumPy."""

import pickle
import random
import subprocess
import sys
import threading

import numpy as np
import pytest

import stele

arrays = {
    "c": np.arange(60_000.0).reshape(100, 60, 10),
    "f": np.asfortranarray(np.arange(6000).reshape(60, 100)),
    "small": np.arange(7, dtype=np.int16),
    "records": np.array([(i, i / 2) for i in range(3000)], dtype=[("a", "i4"), ("b", "f8")]),
    "bools": np.arange(9000) % 3 == 0,
    "times": np.arange(4000).astype("M8[s]"),
    "texts": np.array([f"t{i}" for i in range(3000)]),
    "none": np.empty((0, 5), np.float32),
    "scalar": np.array(3.5),
}
thing = {"arrays": arrays, "layers": [{"w": np.ones((3, 4)), "name": "x"}, {"w": np.zeros((5, 6)), "name": "y"}],
         "n": 5, "text": "hello", 3: "three", "t": (1, [2, np.arange(3000)]), "none": None, "a/b": {"~": 1}}


@pytest.fixture(params=["x.stele", "x.stele.zst", "x.stele.gz", "x.stele.xz", "mapped"])
def opened(request, tmp_path):
    path = tmp_path / ("x.stele" if request.param == "mapped" else request.param)
    stele.dump(thing, path)
    with stele.open(path, mmap_mode="r" if request.param == "mapped" else None) as file:
        yield file


def test_paths_and_nodes(opened):
    assert opened["n"] == 5 and opened["text"] == "hello" and opened["layers/1/name"] == "y"
    assert opened["layers"][1]["name"] == "y" and len(opened["layers"]) == 2 and opened["none"] is None
    assert list(opened.keys())[:3] == ["arrays", "layers", "n"] and len(opened) == len(thing)
    assert "layers" in opened and "layers/0/w" in opened and "nothing" not in opened
    assert (opened["layers/0/w"][...] == 1).all()
    assert (opened["t"][1][1][:5] == np.arange(5)).all() and opened["t"][0] == 1
    assert opened["a~1b"]["~"] == 1 or opened["a/b"]["~"] == 1
    back = opened.load()
    assert back["n"] == 5 and (back["arrays"]["c"] == arrays["c"]).all() and type(back["t"]) is tuple and back[3] == "three"
    part = opened["layers"].load()
    assert part[1]["name"] == "y" and (opened.load("layers/0/w") == 1).all()
    with pytest.raises(KeyError, match="layer"):
        opened["layerz"]
    with pytest.raises((KeyError, IndexError)):
        opened["layers"][7]


def test_properties_without_reading(opened):
    for name, array in arrays.items():
        lazy = opened["arrays"][name]
        if not isinstance(lazy, stele.LazyArray):
            assert name == "scalar"
            continue
        assert lazy.shape == array.shape and lazy.dtype == array.dtype and lazy.ndim == array.ndim
        assert lazy.size == array.size and lazy.nbytes == array.nbytes
        assert (len(lazy) == len(array)) if array.ndim else True


def random_index(generator, shape):
    index = []
    for extent in shape[:generator.randrange(len(shape) + 1)]:
        kind = generator.randrange(4)
        if kind == 0 and extent:
            index.append(generator.randrange(-extent, extent))
        elif kind == 1:
            index.append(slice(None))
        else:
            ends = [None, *range(-extent - 2, extent + 3)]
            step = generator.choice([None, 1, 2, 3, -1, -2, extent + 1])
            index.append(slice(generator.choice(ends), generator.choice(ends), step))
    if generator.randrange(3) == 0:
        index.insert(generator.randrange(len(index) + 1), Ellipsis)
    if generator.randrange(4) == 0:
        index.insert(generator.randrange(len(index) + 1), None)
    return tuple(index)


def test_random_indices_are_numpys(opened):
    generator = random.Random(1)
    for name in ("c", "f", "small", "records", "bools", "times", "texts", "none"):
        lazy, array = opened["arrays"][name], arrays[name]
        for _ in range(60):
            index = random_index(generator, array.shape)
            try:
                expected = array[index]
            except IndexError:
                with pytest.raises(IndexError):
                    lazy[index]
                continue
            found = lazy[index]
            assert np.shape(found) == np.shape(expected) and np.array_equal(found, expected), (name, index)
            assert np.asarray(found).dtype == np.asarray(expected).dtype
        if len(array):
            rows = [generator.randrange(-len(array), len(array)) for _ in range(9)]
            for index in (rows, np.array(rows), np.arange(len(array)) % 3 == 1, []):
                index = np.array(index, int) if isinstance(index, list) and not index else index
                assert np.array_equal(lazy[index], array[index]), (name, index)
        for bad in ((10**6,), (0,) * 5, "x", 1.5):
            with pytest.raises((IndexError, TypeError, ValueError, KeyError)):
                lazy[bad]


def test_conversions_and_batches(opened):
    lazy, array = opened["arrays/c"], arrays["c"]
    assert np.array_equal(np.asarray(lazy), array) and np.asarray(lazy, dtype="f4").dtype == np.float32
    assert np.array_equal(np.concatenate(list(lazy.batches(17))), array)
    assert sum(1 for _ in lazy) == 100
    assert float(np.sum(lazy)) == float(array.sum())
    again = pickle.loads(pickle.dumps(lazy))
    assert np.array_equal(again[3:5], array[3:5])


def test_a_file_is_pickled_by_its_path_and_closed(tmp_path):
    stele.dump(thing, tmp_path / "x.stele")
    file = stele.open(tmp_path / "x.stele")
    lazy = file["arrays/c"]
    again = pickle.loads(pickle.dumps(file))
    assert again["n"] == 5
    file.close()
    assert lazy[0, 0, 0] == 0  # it keeps what it needs
    with pytest.raises(ValueError):
        file["n"]


def test_threads(opened):
    errors = []

    def work(seed):
        try:
            generator = random.Random(seed)
            for _ in range(40):
                first = generator.randrange(90)
                assert np.array_equal(opened["arrays/c"][first:first + 5], arrays["c"][first:first + 5])
                assert opened["layers/1/name"] == "y"
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_tree_and_info(opened):
    tree = opened.tree()
    text, html = repr(tree), tree._repr_html_()
    assert "layers" in text and "float64" in text and "<details" in html and "<script" not in html
    assert stele.open  # the module's, not the built-in
    info = opened.info
    assert info


def test_text_in_trees_is_escaped(tmp_path):
    stele.dump({"<script>alert(1)</script>": ["<blink>", np.arange(3000)]}, tmp_path / "x.stele")
    with stele.open(tmp_path / "x.stele") as file:
        html = file.tree()._repr_html_()
    assert "<script" not in html and "<blink>" not in html and "&lt;script&gt;" in html and "&lt;blink&gt;" in html


def test_trust(tmp_path):
    import argparse

    stele.dump({"n": argparse.Namespace(a=np.arange(3000), b=[1])}, tmp_path / "x.stele")
    with stele.open(tmp_path / "x.stele") as file:
        assert np.array_equal(file["n"]["a"][:3], [0, 1, 2])
        with pytest.raises(stele.UntrustedError):
            file.load("n")
    with stele.open(tmp_path / "x.stele", trusted=["argparse.*"]) as file:
        assert file.load("n").b == [1]


def test_other_programs_files(tmp_path):
    np.save(tmp_path / "x.npy", arrays["c"])
    np.savez(tmp_path / "x.npz", **{"a": arrays["c"], "b": arrays["small"]})
    with stele.open(tmp_path / "x.npz") as file:
        assert np.array_equal(file["a"][5:7], arrays["c"][5:7])
    with stele.open(tmp_path / "x.npy") as file:
        lazy = file.load()
        assert np.array_equal(lazy, arrays["c"])


def test_writing_where_it_lies(tmp_path):
    stele.dump({"a": np.zeros(100_000)}, tmp_path / "x.stele")
    with stele.open(tmp_path / "x.stele", mmap_mode="r+") as file:
        array = file.load("a")
        array[5] = 7
        file.flush()
    assert stele.load(tmp_path / "x.stele")["a"][5] == 7
    stele.verify(tmp_path / "x.stele")


def test_the_command_line_of_the_module(tmp_path):
    import os
    import shutil

    if not os.environ.get("STELE_BIN") and not shutil.which("stele"):
        pytest.skip("no command line beside the module")
    stele.dump(thing, tmp_path / "x.stele")
    environment = dict(os.environ)
    if os.environ.get("STELE_BIN"):
        environment["PATH"] = os.path.dirname(os.environ["STELE_BIN"]) + os.pathsep + environment["PATH"]
    done = subprocess.run([sys.executable, "-m", "stele", "ls", str(tmp_path / "x.stele")], capture_output=True, text=True,
                          env=environment)
    assert done.returncode == 0 and "layers" in done.stdout, done.stderr
