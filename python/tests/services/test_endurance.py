"""Nothing leaks, and threads and forks share what is open."""

import argparse
import datetime
import gc
import io
import multiprocessing
import os
import pickle
import sys
import threading

import numpy as np
import pytest

import stele


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def mixed():
    shared = np.arange(1000.0)
    cycle = argparse.Namespace(name="x", items=[1, 2])
    cycle.self = cycle
    return {
        "arrays": [shared, shared[::2], np.array(["a", 1, None], object), np.array([(1, 2.0)], "i4,f8"), np.float32(1)],
        "plain": [None, True, 2**80, 1.5, 1j, "text", b"bytes", bytearray(b"x"), (1, (2,)), {1, 2}, frozenset("ab"), "\ud800"],
        "objects": [cycle, datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc), np.random.default_rng(1), range(3)],
        ("a", 1): {"x" * 40: [[i] for i in range(20)]},
    }


def everything(thing, as_pickle, damaged, folder):
    data = stele.dumps(thing)
    stele.loads(data, trusted=["argparse.*"])
    stele.loads(data, untrusted="inert")
    stele.load(io.BytesIO(as_pickle), trusted=["argparse.*"])
    stele.hash(thing)
    for wrong, trusted in ((data, ()), (damaged, ()), (as_pickle[:-20], ())):
        try:
            stele.loads(wrong, trusted=trusted)
        except stele.Error:
            pass
    path = folder / "x.stele"
    stele.dump(thing, path)
    with stele.open(path, trusted=True) as file:
        file["arrays/0"][3:7]
        file["plain"][-1]
        file.load("objects")
        file.tree()


watched = [None, True, False, (), np.dtype("f8"), np.ndarray, dict, list, argparse.Namespace, datetime.datetime, stele.Inert,
           np.dtype("i4,f8"), stele.UntrustedError]


def growth(times, rounds, work):
    """Of each round but the first, which fills caches: blocks and references a turn, and bytes in all."""
    states = []
    for _ in range(rounds):
        for _ in range(times):
            work()
        gc.collect()
        states.append((sys.getallocatedblocks(), [sys.getrefcount(one) for one in watched], resident_bytes()))
    last, before = states[-1], states[-2]
    return ((last[0] - before[0]) / times, max((b - a) / times for a, b in zip(before[1], last[1])), last[2] - states[0][2])


def test_nothing_leaks_in_memory():
    thing = mixed()

    def work():
        stele.loads(stele.dumps(thing), trusted=["argparse.*"])

    blocks, references, resident = growth(2000, 5, work)
    assert blocks < 0.6 and references < 0.2 and resident < 16 << 20, (blocks, references, resident)


def test_nothing_leaks_in_files_and_errors(tmp_path):
    thing = mixed()
    as_pickle = pickle.dumps(thing)
    data = stele.dumps(thing)
    damaged = data[:200] + b"\x9f\xff\x00" + data[203:]
    blocks, references, resident = growth(80, 4, lambda: everything(thing, as_pickle, damaged, tmp_path))
    assert blocks < 6 and references < 0.5 and resident < 16 << 20, (blocks, references, resident)


def in_threads(count, work):
    errors = []

    def guarded(number):
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads, errors


@pytest.mark.filterwarnings("ignore:.*fork")
@pytest.mark.parametrize("name", ["x.stele", "x.stele.zst"])
def test_threads_share_a_file_and_a_store_and_processes_fork(tmp_path, name):
    array = np.arange(300_000.0).reshape(-1, 100)
    stele.dump({"a": array, "b": [{"n": i} for i in range(2000)], "c": array[::3]}, tmp_path / name)
    file = stele.open(tmp_path / name)
    store = stele.Store(tmp_path / "s") if hasattr(stele, "Store") else {}
    store.update({i: {"x": np.full(2000, i)} for i in range(50)})
    lazy = file["a"]

    def work(number):
        random = np.random.default_rng(number)
        for turn in range(25):
            first = int(random.integers(0, 2900))
            assert (lazy[first:first + 50] == array[first:first + 50]).all()
            assert (file["a"][[first, 5]] == array[[first, 5]]).all()
            assert file["b"][first % 2000]["n"] == first % 2000
            assert store[first % 50]["x"][7] == first % 50
            if number % 2:
                stele.dump({"n": number, "a": array[:500]}, tmp_path / f"{number}.zst")
                assert stele.load(tmp_path / f"{number}.zst")["n"] == number
                store[1000 + number] = [turn]
                assert store[1000 + number] == [turn]
            else:
                assert file.load("b")[3] == {"n": 3}

    threads, errors = in_threads(8, work)

    def in_child():
        assert (stele.loads(stele.dumps(array[:2000])) == array[:2000]).all()
        assert (stele.load(tmp_path / name)["a"] == array).all()
        assert store[3]["x"][0] == 3
        assert (lazy[10:20] == array[10:20]).all()

    while any(thread.is_alive() for thread in threads):
        child = multiprocessing.get_context("fork").Process(target=in_child)
        child.start()
        child.join(60)
        assert child.exitcode == 0
        threads[0].join(0.2)
    for thread in threads:
        thread.join()
    assert not errors, errors
    assert (file["a"].load() == array).all()
