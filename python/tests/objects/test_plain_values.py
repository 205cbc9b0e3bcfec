"""Values without arrays, objects and references are made in runs: whatever stands before, between and inside them."""

import io
import os
import pickle
import random
import threading

import numpy as np
import pytest

import stele

leaves = [None, True, False, 0, 23, 24, 255, 256, -1, -24, -25, 2**63, 2**64 - 1, -(2**63), -(2**64), 2**64, 0.5, float("inf"), "",
          "é", "x", "\0", "\ud800", "long " * 300, b"", b"\xff\0", 1 + 2j, b"long" * 600]
keys = ["", "a", "key", "é", "k" * 31, "k" * 32, "k" * 33, 1, -1, 2**64 - 1, 2.5, None, True, b"k", (1, "t"), frozenset([1])]


class Point:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return type(other) is Point and same(self.x, other.x)

    __hash__ = None


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a), list(b)) and all(map(same, a.values(), b.values()))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a == b


def made(chance, depth=0):
    """Something of anything, most of it plain."""
    kind = chance.random()
    if depth > 14 or kind < 0.4:
        return chance.choice(leaves)
    count = chance.choice((0, 1, 2, 3, 12) if depth < 3 else (0, 1, 1, 2, 3))
    if kind < 0.6:
        return [made(chance, depth + 1) for _ in range(count)]
    if kind < 0.75:
        return tuple(made(chance, depth + 1) for _ in range(count))
    if kind < 0.95:
        return {chance.choice(keys): made(chance, depth + 1) for _ in range(count)}
    return chance.choice((np.arange(3), np.float32(1.5), {1, "a", 2.5}, frozenset([b"x", ()]), Point([count]), bytearray(b"b")))


def every_way(thing, folder):
    """What comes back from memory, a file, a mapping, compressed files, a pipe, and of a writer's entries."""
    trusted = [Point]
    yield "memory", stele.loads(stele.dumps(thing), trusted=trusted)
    for name in ("x.stele", "x.stele.zst", "x.stele.gz"):
        stele.dump(thing, folder / name)
        yield name, stele.load(folder / name, trusted=trusted)
    yield "mapped", stele.load(folder / "x.stele", mmap_mode="r", trusted=trusted)
    yield "opened", stele.open(folder / "x.stele", trusted=trusted).load()
    yield "file object", stele.load(io.BytesIO(stele.dumps(thing)), trusted=trusted)
    receive, send = os.pipe()

    def write():
        with open(send, "wb") as file:
            stele.dump(thing, file)

    writer = threading.Thread(target=write)
    writer.start()
    with open(receive, "rb") as file:
        yield "pipe", stele.load(file, trusted=trusted)
    writer.join()


@pytest.mark.parametrize("seed", range(6))
def test_anything_comes_back_every_way(tmp_path, seed):
    chance = random.Random(seed)
    thing = [made(chance) for _ in range(40)]
    for way, back in every_way(thing, tmp_path):
        assert same(thing, back), way


def test_runs_longer_than_what_is_looked_at_at_once(tmp_path):
    rows = [(i, i / 7, f"row {i}", None, i % 2 == 0) for i in range(5000)]
    thing = {"rows": rows, "dicts": [{"id": i, "tags": ["a", str(i)], "at": (i, -i)} for i in range(5000)],
             "one": {f"key {i}": [i] for i in range(5000)}, "wide": [list(range(600)), {i: (i,) for i in range(600)}] * 3,
             "texts": ["x" * (i % 700) for i in range(3000)], "mixed": [np.arange(i % 5) if i % 7 == 0 else {"i": i} for i in range(3000)]}
    for way, back in every_way(thing, tmp_path):
        assert same(thing, back), way


def test_deep_values_come_back_to_the_limit(round_trip):
    for depth in (1, 11, 12, 13, 200):
        thing = 1
        for level in range(depth):
            thing = ([thing], (thing, 2), {"k": thing})[level % 3]
        assert same(round_trip([thing, thing]), [thing, thing])
    data = stele.dumps([[[[1]]]])
    assert stele.loads(data, limits={"depth": 4}) == [[[[1]]]]
    with pytest.raises(stele.Error, match="nested"):
        stele.loads(data, limits={"depth": 3})
    with pytest.raises(stele.Error, match="nested"):
        stele.loads(stele.dumps([[[[]]]]), limits={"depth": 3})


def test_identity_inside_and_around_runs(round_trip):
    shared, pair = ["shared"], (1, 2)
    thing = [[1, 2], shared, {"a": shared, "b": [3]}, (shared, "x"), pair, pair, [4, [5, shared]], 6]
    thing.append(thing)
    back = round_trip(thing)
    assert back[1] is back[2]["a"] is back[3][0] is back[6][1][1] and back[8] is back and back[4] is back[5]
    assert back[:1] == [[1, 2]] and back[2]["b"] == [3] and back[7] == 6
    assert back[0] is not back[2]["b"]


def test_a_list_may_change_while_it_is_loaded():
    class Grows:
        def __init__(self, whole):
            self.whole = whole

        def __reduce__(self):
            return Grows, ([],), (self.whole,)

        def __setstate__(self, state):
            seen.append(len(state[0]))
            state[0].append("grown")
            (self.whole,) = state

    Grows.__qualname__ = "Grows"
    globals()["Grows"] = Grows
    try:
        seen = []
        thing = [1, 2]
        thing.append(Grows(thing))
        thing.extend(range(600))
        back = stele.loads(stele.dumps(thing), trusted=[Grows])
        assert seen == [2]
        assert back[:3] == [1, 2, "grown"] and isinstance(back[3], Grows) and back[4:] == list(range(600)) and back[3].whole is back
    finally:
        del globals()["Grows"]


def changed(data, old, new):
    assert len(old) == len(new) and data.count(old) == 1
    return data.replace(old, new)


def test_errors_inside_runs_name_the_place():
    data = stele.dumps({"a": [1, {"b": ["fine", "text here"]}]})
    with pytest.raises(stele.Error) as found:
        stele.load(io.BytesIO(changed(data, b"text here", b"text \xffere")), verify="none")
    assert found.value.code in ("malformed", "damaged")
    # The item of a set becomes a list: tags without a meaning take the place of the tuple's name.
    data = stele.dumps([[7, {tuple(range(5))}]])
    with pytest.raises(stele.Error) as found:
        stele.loads(changed(data, b"\xd8\x1b\x82\x68py:tuple", b"\xd9\xd9\xf7" * 4))
    assert found.value.code in ("malformed", "damaged")


def test_every_truncation_is_an_error():
    data = stele.dumps([{"a": (1, "bc"), "d": [None, 2.5]}, "ef"])
    for size in range(len(data)):
        with pytest.raises(stele.Error):
            stele.loads(data[:size])


def test_many_keys_that_share_a_place_in_the_cache(round_trip):
    names = [f"n{i}" for i in range(2000)]
    thing = [{name: i, names[-1 - i]: name} for i, name in enumerate(names)]
    assert same(round_trip(thing), thing)
    back = round_trip([{"again": i} for i in range(40)])
    assert next(iter(back[38])) is next(iter(back[39]))


def test_dicts_of_the_same_keys_store_them_once(tmp_path):
    rows = [{"id": i, "a long name of a key": i / 3, "tags": [str(i)], "at": (i, None)} for i in range(3000)]
    rows[7]["array"] = np.arange(5)
    rows[9]["tags"] = rows[8]["tags"]
    for i in (11, 12, 13):
        rows[i] = {"tags": 1, "id": 2, "at": 3, "a long name of a key": 4}  # another order
    thing = {"rows": rows, "again": rows[5], "points": [Point({"x": 1, "y": i}) for i in range(50)]}
    assert len(stele.dumps(rows)) < 3000 * 40
    for way, back in every_way(thing, tmp_path):
        assert same(thing, back), way
        assert back["again"] is back["rows"][5] and back["rows"][9]["tags"] is back["rows"][8]["tags"]
    with stele.open(tmp_path / "x.stele.zst") as file:
        assert file["rows"].type == "list" and file["rows"][4].type == "dict" and file["rows/4/id"] == 4
        assert file["rows"][2000]["at"].load() == (2000, None) and list(file["rows"][12].keys()) == list(rows[12])
        assert file["points"][3]["x"]["y"] == 3 and file["rows"][100].load() == rows[100]
    stele.dump(rows[:5], tmp_path / "x.pkl")
    stele.convert(tmp_path / "x.stele", tmp_path / "y.pkl")
    assert stele.load(tmp_path / "x.pkl") == rows[:5] == pickle.loads((tmp_path / "x.pkl").read_bytes())
    assert same(stele.load(tmp_path / "y.pkl", trusted=[Point]), thing)
    assert stele.hash([{"a": 1, "b": 2}] * 3) == stele.hash([{"a": 1, "b": 2}, {"b": 2, "a": 1}, dict(a=1, b=2)])


def test_keys_that_no_record_has(round_trip):
    for keys in (("@version", "a"), ("@x", "y"), ("", "b"), ("\ud800", "b"), ("a", 1), ("k" * 2000, "c"), ("a\0", "\0a"), ("é", "~/"),
                 ("__class__", "state"), ("new", "args")):
        thing = [{keys[0]: i, keys[1]: [i]} for i in range(10)]
        assert same(round_trip(thing), thing), keys
    many = [{f"a{i}": 1, f"b{i}": 2} for i in range(400)]
    assert same(round_trip(many * 3), many * 3)
    same_text = [{"".join(["k", str(i % 2)]): i, "".join(["m", "n"]): i} for i in range(100)]  # equal keys that are other objects
    assert same(round_trip(same_text), same_text)


def test_a_dict_of_known_keys_that_changes_while_it_is_written():
    class Changes:
        def __reduce__(self):
            target["more"] = 1
            return dict, ()

    target = {"a": 1, "b": 2}
    for order in ({"a": Changes(), "b": 2}, {"a": 1, "b": Changes()}):
        target = order
        with pytest.raises(RuntimeError, match="changed size"):
            stele.dumps([{"a": 1, "b": 2}, {"a": 1, "b": 2}, target])
