"""The store as a mapping, beside a dict; batches, order, processes, datasets."""

import doctest
import multiprocessing
import os
import pickle
import random
import threading

import numpy as np
import pytest

import stele

pytestmark = pytest.mark.skipif(not hasattr(stele, "Store"), reason="a build without LMDB")


def values(generator):
    return generator.choice([
        lambda: generator.randrange(-(10**6), 10**6), lambda: "text" * generator.randrange(50),
        lambda: os.urandom(generator.randrange(5000)), lambda: [1, 2.5, None, {"k": (1, 2)}],
        lambda: np.arange(generator.randrange(2000)), lambda: None, lambda: {"a": np.ones((3, 4)), "s": {1, 2}},
    ])()


def same(a, b):
    return type(a) is type(b) and repr(a) == repr(b)


def test_example():
    result = doctest.DocTestRunner().run(doctest.DocTestFinder(recurse=False).find(stele.Store, "Store",
                                                                                   globs=dict(vars(stele)))[0])
    assert result.attempted and not result.failed


def test_an_option_that_nobody_knows_is_refused_by_its_name(tmp_path):
    options = {"codec": "plain", "durabilty": "put"}  # it was ignored, and puts were lost in a crash
    with pytest.raises(TypeError, match="durabilty"):
        stele._core.Store.open(tmp_path / "s", "a", stele._trust.Resolver(), False, options)
    assert not (tmp_path / "s").exists()
    with pytest.raises(ValueError, match="durability is one of none, commit, put, not always"):
        stele.Store(tmp_path / "s", durability="always")


@pytest.mark.parametrize("codec", ["plain", "zstd"])
def test_it_behaves_as_a_dict(tmp_path, codec):
    generator = random.Random(0)
    model, store = {}, stele.Store(tmp_path / "s", codec=codec)
    keys = [*range(-5, 20), *(f"k{i}" for i in range(20)), *(b"b%d" % i for i in range(20)), "é", "", 2**64 - 1, -(2**63)]
    for step in range(2000):
        key = generator.choice(keys)
        action = generator.randrange(12)
        if action < 6:
            model[key] = store[key] = values(generator)
        elif action < 8:
            assert (key in store) == (key in model)
            if key in model:
                del model[key], store[key]
            else:
                with pytest.raises(KeyError):
                    del store[key]
        elif action == 8:
            assert same(store.get(key, 7), model.get(key, 7))
        elif action == 9:
            wanted = generator.choices(keys, k=5)
            assert all(map(same, store.get_many(wanted), [model.get(key) for key in wanted]))
        elif action == 10 and step % 7 == 0:
            store.close()
            store = stele.Store(tmp_path / "s", codec=codec)
        elif action == 11 and step % 5 == 0:
            store.vacuum(0.1)
        assert len(store) == len(model)
    assert set(store) == set(model) and all(same(store[key], model[key]) for key in model)
    order = sorted(model, key=lambda key: (0, key) if isinstance(key, int) else (1, key) if isinstance(key, bytes) else
                   (2, key.encode()))
    assert list(store) == order == [key for key, _ in store.items()] and list(store.range_keys(reverse=True)) == order[::-1]
    assert [key for key, _ in store.prefix("k1")] == [key for key in order if isinstance(key, str) and key.startswith("k1")]
    assert [key for key, _ in store.range(0, 5)] == [key for key in order if isinstance(key, int) and 0 <= key < 5]
    store.verify()
    assert store.check()["problem_count"] == 0 and store.stats()["values"] == len(model)
    assert sorted(map(repr, (key for key, _ in store.shuffled(3)))) == sorted(map(repr, order))
    assert len({repr(key) for key, _ in store.sample(5, 1)}) == min(5, len(order))
    store.compact_to(tmp_path / "one.store")
    with stele.Store(tmp_path / "one.store", "r") as one:
        assert list(one) == order and all(same(one[key], model[key]) for key in model)
        with pytest.raises(stele.Error):
            one["x"] = 1
    store.update({"u": 1}, v=2)
    assert store.pop("u") == 1 and store.setdefault("v", 5) == 2
    store.clear()
    assert len(store) == 0
    store.close()
    with pytest.raises(ValueError, match="closed"):
        store["x"]


def test_batches(tmp_path):
    store = stele.Store(tmp_path / "s")
    store.put_many({i: [i] for i in range(100)})
    reader = stele.Store(tmp_path / "s", "r")
    with store.batch():
        store["x"] = 1
        assert "x" not in reader
    assert reader["x"] == 1
    with pytest.raises(RuntimeError):
        with store.batch():
            store["y"] = 1
            del store[3]
            raise RuntimeError
    assert "y" not in store and store[3] == [3]


def test_keys_and_values_that_are_refused(tmp_path):
    store = stele.Store(tmp_path / "s")
    for key in (1.5, None, (1,), True):
        with pytest.raises(TypeError):
            store[key] = 1
    for key in (2**64, -(2**63) - 1):
        with pytest.raises(OverflowError):
            store[key] = 1
    with pytest.raises(stele.Error):
        store["k" * 1000] = 1
    with pytest.raises(TypeError):
        store["x"] = lambda: 1
    assert "x" not in store and len(store) == 0
    with pytest.raises(FileNotFoundError):
        stele.Store(tmp_path / "none", "r")
    with pytest.raises(ValueError):
        stele.Store(tmp_path / "s", "w")


def test_trust(tmp_path):
    import argparse

    with stele.Store(tmp_path / "s") as store:
        store["n"] = argparse.Namespace(a=1)
        with pytest.raises(stele.UntrustedError):
            store["n"]
    with stele.Store(tmp_path / "s", trusted=["argparse.*"]) as store:
        assert store["n"].a == 1
    with stele.Store(tmp_path / "s", untrusted="inert") as store:
        assert store["n"].a == 1


def test_arrays_are_views_of_the_file(tmp_path):
    with stele.Store(tmp_path / "s") as store:
        store["a"] = np.arange(100_000.0)
        store.commit()
        array = store["a"]
    assert not array.flags.writeable and not array.flags.owndata and array[99_999] == 99_999


def test_threads(tmp_path):
    store = stele.Store(tmp_path / "s")
    errors = []

    def work(number):
        try:
            for i in range(100):
                store[f"{number}/{i}"] = {"x": np.arange(20_000), "i": [number, i]}
                assert store[f"{number}/{i}"]["i"] == [number, i]
                store.get_many([f"{n}/{i}" for n in range(6)])
                if i % 40 == 0:
                    list(store.range_keys())
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(store) == 600


def total(store):
    return sum(value for _, value in store.range())


def test_other_processes(tmp_path):
    store = stele.Store(tmp_path / "s")
    store.put_many((i, i) for i in range(100))
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(total, [store, store]) == [4950, 4950]
    again = pickle.loads(pickle.dumps(store))
    assert again[5] == 5
    store["after"] = 1


def test_streams(tmp_path):
    store = stele.Store(tmp_path / "s")
    store.put_many((f"k{i:03}", i) for i in range(103))
    stream = store.stream(seed=3)
    first, second = list(stream), list(stream)
    assert sorted(first) == sorted(second) == list(range(103)) and first != second != list(range(103))
    assert list(store.stream(seed=3)) == first and list(store.stream(seed=-3)) != first
    parts = [list(store.stream(seed=3, rank=rank, world_size=4)) for rank in range(4)]
    assert sorted(sum(parts, [])) == list(range(103))
    batches = list(store.stream(seed=3, batch_size=10))
    assert [len(batch) for batch in batches] == [10] * 10 + [3] and sum(batches, []) == first
    for size in (None, 7):
        stream = store.stream(seed=3, batch_size=size)
        walk = iter(stream)
        seen = [next(walk) for _ in range(4)]
        other = store.stream(batch_size=size)
        other.load_state_dict(stream.state_dict())
        rest = list(other)
        flat = sum(seen + rest, []) if size else seen + rest
        assert flat == first
        assert other.epoch == 0 and other.state_dict()["epoch"] == 1


def test_recover(tmp_path):
    with stele.Store(tmp_path / "s") as store:
        store.put_many((i, [i]) for i in range(50))
    report = stele.Store.recover(tmp_path / "s")
    assert report["values"] == 50 and report["problem_count"] == 0


def test_views_of_the_mapping(tmp_path):
    store = stele.Store(tmp_path / "s")
    store.update({2: "b", 1: "a"}, x=None)
    assert list(store.keys()) == [1, 2, "x"] and list(store.values()) == ["a", "b", None]
    assert list(store.items()) == [(1, "a"), (2, "b"), ("x", None)]
    assert list(reversed(store)) == list(reversed(store.keys())) == ["x", 2, 1]
    assert list(reversed(store.values())) == [None, "b", "a"] and next(reversed(store.items())) == ("x", None)
    assert None in store.values() and "a" in store.values() and 5 not in store.values()
    assert store.keys() & {1, 7} == {1} and (2, "b") in store.items() and (2, "c") not in store.items()
    assert store == {1: "a", 2: "b", "x": None}
    assert list(store.prefix_keys("x")) == ["x"] and 2**70 not in store and store.get(-(2**70), 5) == 5
    assert store.get_many([2**70, 1], "none") == ["none", "a"]
    with pytest.raises(TypeError):
        store.prefix(1)
    with pytest.raises(KeyError):
        store["\ud800"]


def test_other_orders(tmp_path):
    store = stele.Store(tmp_path / "s")
    for key, size in ((3, 10), (1, 30), (2, 20)):
        store[key] = bytes(size)
    assert [key for key, _ in store.by_insertion()] == [3, 1, 2]
    assert [len(value) for _, value in store.by_size()] == [10, 20, 30]
    assert [len(value) for _, value in store.by_size(reverse=True)] == [30, 20, 10]


def test_views_outlive_the_store(tmp_path):
    store = stele.Store(tmp_path / "s")
    store["model"] = {"w": np.arange(5000.0), "b": np.arange(3)}
    store["raw"], store["text"] = bytes(range(256)) * 8000, "é" * 5
    store.commit()
    value = store["model"]
    assert not value["w"].flags.writeable and value["b"].flags.writeable
    raw = store.get_buffer("raw")
    assert raw.dtype == np.uint8 and not raw.flags.writeable and raw.tobytes() == store["raw"]
    assert bytes(store.get_buffer("text")).decode() == "é" * 5
    store["model"] = store["raw"] = None
    store.vacuum(0)
    store.close()
    assert value["w"][-1] == 4999 and raw[-1] == 255
    store = stele.Store(tmp_path / "s")
    with pytest.raises(KeyError):
        store.get_buffer("none")
    with pytest.raises(TypeError):
        store.get_buffer("model")


def test_what_a_batch_shows(tmp_path):
    store = stele.Store(tmp_path / "s")
    store["a"] = 1
    with store.batch() as batch:
        batch["b"] = np.arange(4)
        batch.put_many({"c": 3})
        store.update(d=4)
        del batch["a"]
        assert store["c"] == 3 and "a" not in store and store.get_many(["a", "b", "d"])[2] == 4
        with pytest.raises(stele.Error):
            with store.batch():
                pass
    assert sorted(store) == ["b", "c", "d"]
    with store.batch() as batch:
        batch["e"] = 1
        batch.commit()
    with store.batch() as batch:
        batch["f"] = 1
        batch.undo()
        store["g"] = 1
    assert sorted(store) == ["b", "c", "d", "e", "g"]
    with pytest.raises(ZeroDivisionError):
        store.put_many((i, 1 // (5 - i)) for i in range(10))
    assert 0 not in store
    with pytest.raises(ValueError):
        batch.commit()


def test_batches_of_threads_wait_for_each_other(tmp_path):
    store = stele.Store(tmp_path / "s")

    def work(number):
        for i in range(20):
            with store.batch():
                store.put_many({f"{number}/{i}/{k}": [k] for k in range(5)})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store) == 400
    store.verify()


def test_closing_while_others_read(tmp_path):
    for _ in range(5):
        store = stele.Store(tmp_path / "s")
        store.put_many((i, [i] * 100) for i in range(2000))
        started, ends = threading.Barrier(5), []

        def work(read):
            started.wait()
            try:
                while True:
                    read()
            except ValueError as error:
                ends.append(str(error))

        reads = [lambda: store.get_many(range(500)), lambda: list(store.range()), lambda: store[5],
                 lambda: store.__setitem__("x", {"a": [1]})]
        threads = [threading.Thread(target=work, args=(read,)) for read in reads]
        for thread in threads:
            thread.start()
        started.wait()
        store.close()
        for thread in threads:
            thread.join()
        assert len(ends) == 4 and all("closed" in end for end in ends)
        assert store.closed


def test_a_walk_ends_with_the_store(tmp_path):
    store = stele.Store(tmp_path / "s")
    store.put_many((i, i) for i in range(1000))
    walk = store.range()
    next(walk)
    store.close()
    with pytest.raises(ValueError, match="closed"):
        list(walk)


def test_objects_that_use_the_store_while_they_are_stored(tmp_path):
    store = stele.Store(tmp_path / "s", trusted=[Reads])
    store["a"] = 1
    store["b"] = Reads(store)
    assert type(store["b"]) is Reads
    with pytest.raises(ValueError):
        store["c"] = Writes(store)
    assert "c" not in store and store["a"] == 1


class Reads:
    def __init__(self, store=None):
        self.store = store

    def __reduce__(self):
        assert self.store["a"] == 1
        return Reads, ()


class Writes(Reads):
    def __reduce__(self):
        self.store["d"] = 1
        return Writes, ()


def test_a_child_of_fork_in_a_batch(tmp_path):
    store = stele.Store(tmp_path / "s")
    batch = store.batch().__enter__()
    for i in range(300):
        store[i] = bytes(10_000)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            batch.undo()
            code = 0 if len(store) == 0 and store.mode == "r" else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    batch.commit()
    store.verify()
    assert len(store) == 300


def test_exchange(tmp_path):
    store = stele.Store(tmp_path / "s")
    store.update({"a": np.arange(5), "b/c": np.eye(2), "t": "text"})
    assert store.export_to(tmp_path / "x.npz")["items"] == 2
    assert np.load(tmp_path / "x.npz")["b/c"].tolist() == [[1, 0], [0, 1]]
    assert store.export_to(tmp_path / "x.jsonl")["items"] == 3
    assert store.export_to(tmp_path / "files", prefix="b")["items"] == 1
    seen = []
    for name, count in (("x.npz", 2), ("x.jsonl", 3), ("s", 3)):
        store.commit()
        other = stele.Store(tmp_path / f"from {name}")
        report = other.import_from(tmp_path / name, key_prefix="p/", progress=lambda *done: seen.append(done))
        assert report["items"] == count and report["complete"]
        assert np.array(other["p/a"]).tolist() == [0, 1, 2, 3, 4]
    assert seen
    other = stele.Store(tmp_path / "files store")
    assert other.import_from(tmp_path / "files", exported=True)["items"] == 1 and other["b/c"][1, 1] == 1
    store.compact_to(tmp_path / "one")
    assert other.import_from(tmp_path / "one")["items"] == 3 and sorted(other) == ["a", "b/c", "t"]


def test_a_url_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with stele.Store("file://" + str(tmp_path / "a b").replace(" ", "%20")) as store:
        store["x"] = 1
        store.compact_to(tmp_path / "one")
    assert store.path == str(tmp_path / "a b") and sorted(os.listdir()) == ["a b", "one"]
    assert stele.Store("file://localhost" + str(tmp_path / "one"), "r")["x"] == 1
    with pytest.raises(stele.Error):
        stele.Store("file://elsewhere/x")


def test_progress_and_ctrl_c(tmp_path):
    store = stele.Store(tmp_path / "s")
    store.put_many((i, bytes(10_000)) for i in range(500))
    seen = []
    assert store.check(lambda done, total: seen.append((done, total)))["problem_count"] == 0
    assert seen and seen[-1][0] <= seen[-1][1]

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.check(stop)
    store.compact_to(tmp_path / "ended", lambda done, total: False)
    assert len(store) == 500 and store.stats()["shards"][0]["live_values"] == 500


@pytest.mark.parametrize("count", [1, 2, 3, 10, 17, 64, 1000])
def test_the_order_of_an_epoch(tmp_path, count):
    store = stele.Store(tmp_path / "s")
    store.put_many((i, i) for i in range(count))
    orders = {tuple(store.stream(seed=seed).order()) for seed in range(50)}
    assert all(sorted(order) == list(range(count)) for order in orders)
    assert len(orders) > min(40, count / 2)
    if count == 10:  # each index is at the first place equally often
        first = [store.stream(seed=seed).order()[0] for seed in range(5000)]
        assert all(400 < first.count(index) < 600 for index in range(10))


def test_each_iteration_is_another_epoch(tmp_path):
    store = stele.Store(tmp_path / "s")
    store.put_many((i, i) for i in range(100))
    stream = store.stream(seed=3)
    assert stream.epoch == 0 and len(stream) == 100
    epochs = [list(stream) for _ in range(3)]
    assert stream.epoch == 2 and len({tuple(epoch) for epoch in epochs}) == 3
    assert epochs == [store.stream(seed=3).order(epoch).tolist() for epoch in range(3)]
    next(iter(stream))  # broken off
    assert stream.epoch == 3 and list(stream) == stream.order(4).tolist()
    stream.set_epoch(1)
    assert list(stream) == epochs[1]
    stream.set_epoch(1, 30)
    assert list(stream) == epochs[1][30:] and stream.epoch == 1


def test_shares(tmp_path):
    store = stele.Store(tmp_path / "s")
    store.put_many((i, i) for i in range(10))

    def shares(uneven, **options):
        streams = [store.stream(rank=rank, world_size=4, uneven=uneven, **options) for rank in range(4)]
        found = [list(stream) for stream in streams]
        assert [len(stream) for stream in streams] == [len(share) for share in found]
        return found

    assert [len(share) for share in shares("keep")] == [3, 3, 2, 2]
    assert [len(share) for share in shares("drop")] == [2] * 4
    padded = shares("pad")
    assert [len(share) for share in padded] == [3] * 4 and len({item for share in padded for item in share}) == 10
    assert shares("pad", batch_size=2) == [[share[:2], share[2:]] for share in padded]
    assert shares("pad", batch_size=2, collate=tuple) == [[tuple(share[:2]), tuple(share[2:])] for share in padded]
    assert list(stele.Store(tmp_path / "empty").stream()) == []
    for wrong in (dict(rank=4, world_size=4), dict(rank=1), dict(uneven="odd"), dict(batch_size=0), dict(collate=list),
                  dict(keys=[1], prefix="a")):
        with pytest.raises(ValueError):
            store.stream(**wrong)


def test_datasets_of_some_keys(tmp_path):
    store = stele.Store(tmp_path / "s")
    store.put_many((f"{kind}/{i}", (kind, i)) for kind in "ab" for i in range(5))
    data = store.dataset(prefix="a/")
    assert len(data) == 5 and data[-1] == ("a", 4) and data.keys() == [f"a/{i}" for i in range(5)]
    assert list(data) == [("a", i) for i in range(5)] and data.__getitems__([3, 1]) == [("a", 3), ("a", 1)]
    data = store.dataset(keys=["b/1", "a/0"], transform=lambda value: value[0])
    assert data[0] == "b" and data.keys([1]) == ["a/0"]
    assert list(store.stream(keys=["b/1", "a/0"], shuffle=False)) == [("b", 1), ("a", 0)]
    with pytest.raises(IndexError):
        data[2]
    with pytest.raises(IndexError):
        data[-3]
    del store["a/0"]
    with pytest.raises(KeyError, match="a/0"):
        data[1]


def test_an_epoch_goes_on_with_other_ranks(tmp_path):
    store = stele.Store(tmp_path / "s")
    store.put_many((i, i) for i in range(96))
    ranks = [store.stream(seed=9, batch_size=4, rank=rank, world_size=4) for rank in range(4)]
    walks = [iter(stream) for stream in ranks]
    seen = [next(walk) for _ in range(2) for walk in walks]
    state = ranks[0].state_dict()
    assert state == {"epoch": 0, "done": 32, "seed": 9, "length": 96}
    assert all(stream.state_dict() == stream.state_dict(2) == state for stream in ranks)
    state = pickle.loads(pickle.dumps(state))
    for rank in range(2):
        stream = store.stream(batch_size=4, rank=rank, world_size=2)
        stream.load_state_dict(state)
        assert stream.state_dict() == state and stream.seed == 9
        seen += list(stream)
        assert stream.state_dict() == {"epoch": 1, "done": 0, "seed": 9, "length": 96}
    assert sorted(sum(seen, [])) == list(range(96))
    with pytest.raises(ValueError):
        store.stream(batch_size=5).load_state_dict(state)
    store["another"] = 1
    with pytest.raises(ValueError, match="items"):
        store.stream(batch_size=4).load_state_dict(state)


def batch_sum(data):
    return sum(sum(batch) for batch in data)


def test_streams_in_other_processes(tmp_path):
    store = stele.Store(tmp_path / "s")
    store.put_many((i, i) for i in range(100))
    stream = store.stream(batch_size=7)
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.apply(batch_sum, (stream,)) == 4950
            assert pool.apply(sum, (store.dataset(),)) == 4950
    child = os.fork()  # as a DataLoader makes its workers
    if child == 0:
        code = 1
        try:
            code = 0 if batch_sum(stream) == 4950 else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def test_the_command_line_reads_and_writes_the_same(tmp_path):
    import shutil
    import subprocess

    from stele import __main__ as command_line

    program = os.environ.get("STELE_BIN") or command_line.executable() or shutil.which("stele")
    if not program:
        pytest.skip("no command line")

    def run(*arguments):
        return subprocess.run([program, "store", *map(str, arguments)], capture_output=True, text=True, check=True).stdout

    with stele.Store(tmp_path / "s") as store:
        store.update({"text": "é", "array": np.arange(4), 7: {"a": [1]}})
    assert "text" in run("ls", tmp_path / "s")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"\0\1")
    run("import", tmp_path / "s", tmp_path / "folder")
    with stele.Store(tmp_path / "s") as store:
        assert bytes(store["file"]) == b"\0\1" and store["text"] == "é" and store[7] == {"a": [1]}
