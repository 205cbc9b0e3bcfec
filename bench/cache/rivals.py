"""Small and large results from stele.Cache, joblib.Memory, diskcache and functools.lru_cache."""

import functools
import logging
import multiprocessing
import os
import shutil
import time
import warnings

import numpy

import stele
from bench.rivals import FOLDER, QUICK, in_child, run

ITEMS = 2_000 if QUICK else 1_000_000
SLOW_ITEMS = 2_000 if QUICK else 100_000  # of diskcache, which would take minutes
SLOWEST_ITEMS = 200 if QUICK else 2_000  # of joblib, which writes two files for each
LARGE = 1_250_000 if QUICK else 12_500_000  # float64, 100 MB
HASHED = LARGE * (1 if QUICK else 10)  # 1 GB
PROCESSES = 4


def twice(x):
    return 2 * x


def scaled(x):
    return x * 2


def disk_bytes(folder):
    """What the files take, and their number."""
    sizes = [os.stat(os.path.join(path, name)).st_blocks * 512 for path, _, names in os.walk(folder) for name in names]
    return sum(sizes), len(sizes)


def timed(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


class Stele:
    name, items = "stele", ITEMS

    def __init__(self, folder, items_limit=None):
        self.cache = stele.Cache(folder, items_limit=items_limit)
        self.twice, self.scaled = self.cache.cache(twice), self.cache.cache(scaled)
        self.hash = stele.hash

    def prune(self, items):
        self.cache.reduce_size(items_limit=items)


class Joblib:
    name, items = "joblib.Memory", SLOWEST_ITEMS

    def __init__(self, folder, items_limit=None):
        import joblib

        warnings.simplefilter("ignore")
        self.memory = joblib.Memory(folder, mmap_mode="r", verbose=0)
        self.twice, self.scaled = self.memory.cache(twice), self.memory.cache(scaled)
        self.hash = joblib.hash

    def prune(self, items):
        self.memory.reduce_size(items_limit=items)


class DiskCache:
    """Keys are the arguments themselves: large arrays are none, and nothing is hashed."""

    name, items = "diskcache", SLOW_ITEMS

    def __init__(self, folder, items_limit=None):
        import diskcache

        # It has a limit of bytes alone: as many as so many of its entries take.
        limit = 1 << 40 if items_limit is None else 270 * items_limit
        self.cache = diskcache.Cache(folder, size_limit=limit,
                                     eviction_policy="none" if items_limit is None else "least-recently-used")
        self.scaled = self.hash = None

    def prune(self, items):
        self.cache.reset("eviction_policy", "least-recently-stored")
        self.cache.reset("size_limit", self.cache.volume() * items // len(self.cache))
        self.cache.cull()

    def twice(self, x):
        found = self.cache.get(x)
        if found is None:
            found = self.cache[x] = twice(x)
        return found


class LruCache:
    name, items = "functools.lru_cache", ITEMS
    prune = None

    def __init__(self, folder, items_limit=None):
        os.makedirs(folder, exist_ok=True)
        self.twice, self.scaled = functools.lru_cache(items_limit)(twice), None
        self.hash = None


def together(who, folder, own):
    """What a call takes where several processes call at once, each for itself or all the same."""
    count = max(who.items // 20, 100)

    def child(number):
        rival = who(folder)
        for i in range(count):
            rival.twice(number * count + i if own else i)

    def work():
        children = [multiprocessing.get_context("fork").Process(target=child, args=(i,)) for i in range(PROCESSES)]
        for one in children:
            one.start()
        for one in children:
            one.join()
            if one.exitcode != 0:
                raise RuntimeError("a process failed")

    return timed(work) / (PROCESSES * count)


def measured(who):
    folder = str(FOLDER / f"cache {who.name}")

    def child():
        logging.disable()
        shutil.rmtree(folder, ignore_errors=True)
        rival = who(folder)
        found = {"insert": timed(lambda: [rival.twice(i) for i in range(who.items)]) / who.items}
        found["hit"] = timed(lambda: [rival.twice(i) for i in range(who.items)]) / who.items
        found["bytes"], found["files"] = (total / who.items for total in disk_bytes(folder))
        if rival.prune is not None:
            found["prune"] = timed(lambda: rival.prune(who.items // 2)) / (who.items - who.items // 2)
        if rival.scaled is not None:
            x = numpy.random.default_rng(0).random(LARGE)
            rival.scaled(x)
            found["large argument"] = sorted(timed(lambda: rival.scaled(x)) for _ in range(5))[2]
        if rival.hash is not None:
            x = numpy.random.default_rng(0).random(HASHED)
            found["hash"] = timed(lambda: rival.hash(x))
        if who is not Joblib:  # it has no limit as it stores
            shutil.rmtree(folder, ignore_errors=True)
            few = who.items // 2
            rival = who(folder, items_limit=few)
            for i in range(few):
                rival.twice(-1 - i)
            found["at a limit"] = timed(lambda: [rival.twice(i) for i in range(few)]) / few
        if who is not LruCache:
            shutil.rmtree(folder, ignore_errors=True)
            found["insert together"] = together(who, folder, own=True)
            found["hit together"] = together(who, folder, own=False)
        shutil.rmtree(folder, ignore_errors=True)
        return found

    return in_child(child)


def measure(repetitions):
    runs = []
    for _ in range(repetitions):
        for who in (Stele, Joblib, DiskCache, LruCache):
            try:
                found = measured(who)
            except SystemExit:  # it is not installed
                continue
            for work in found.keys() - {"bytes", "files"}:
                name = f"cache/{work}/{who.name}"
                amount = 8.0 * HASHED if work == "hash" else 1.0
                runs.append({"name": name, "run_type": "iteration", "run_name": name, "real_time": 1e3 * found[work],
                             "cpu_time": 1e3 * found[work], "time_unit": "ms", "amount": amount, "bytes": found["bytes"],
                             "files": found["files"]})
    return runs


if __name__ == "__main__":
    run(measure=measure)
