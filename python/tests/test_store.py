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


def test_dataset(tmp_path):
    store = stele.Store(tmp_path / "s")
    store.put_many((f"k{i:03}", i) for i in range(103))
    data = store.dataset(shuffle=False)
    assert len(data) == 103 and data[5] == 5 and data.__getitems__([1, 0]) == [1, 0] and list(data) == list(range(103))
    shuffled = store.dataset(seed=3)
    first, second = list(shuffled), list(shuffled)
    assert sorted(first) == sorted(second) == list(range(103)) and first != second != list(range(103))
    assert list(store.dataset(seed=3)) == first
    parts = [list(store.dataset(seed=3, rank=rank, world_size=4)) for rank in range(4)]
    assert sorted(sum(parts, [])) == list(range(103))
    batches = list(store.dataset(seed=3, batch_size=10))
    assert [len(batch) for batch in batches] == [10] * 10 + [3] and sum(batches, []) == first
    for size in (None, 7):
        data = store.dataset(seed=3, batch_size=size)
        walk = iter(data)
        seen = [next(walk) for _ in range(4)]
        other = store.dataset(batch_size=size)
        other.load_state_dict(data.state_dict())
        rest = list(other)
        flat = sum(seen + rest, []) if size else seen + rest
        assert flat == first
        assert other.epoch == 1


def test_dataset_in_workers(tmp_path, monkeypatch):
    import sys
    import types

    store = stele.Store(tmp_path / "s")
    store.put_many((i, i) for i in range(50))
    fake = types.ModuleType("torch.utils.data")
    monkeypatch.setitem(sys.modules, "torch.utils.data", fake)
    seen = []
    for rank in range(2):
        for worker in range(3):
            fake.get_worker_info = lambda worker=worker: types.SimpleNamespace(id=worker, num_workers=3)
            seen += list(store.dataset(rank=rank, world_size=2))
    assert sorted(seen) == list(range(50))


def test_recover(tmp_path):
    with stele.Store(tmp_path / "s") as store:
        store.put_many((i, [i]) for i in range(50))
    report = stele.Store.recover(tmp_path / "s")
    assert report["values"] == 50 and report["problem_count"] == 0
