"""Small and large results from stele.Cache, joblib.Memory, diskcache and functools.lru_cache."""

import functools
import logging
import os
import shutil
import time
import warnings

import numpy

import stele
from bench.rivals import FOLDER, QUICK, in_child, run

ITEMS = 2_000 if QUICK else 20_000  # of stele and diskcache; joblib writes two files for each
SLOW_ITEMS = 200 if QUICK else 2_000
LARGE = 1_250_000 if QUICK else 12_500_000  # float64, 100 MB


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

    def __init__(self, folder):
        self.cache = stele.Cache(folder)
        self.twice, self.scaled = self.cache.cache(twice), self.cache.cache(scaled)


class Joblib:
    name, items = "joblib.Memory", SLOW_ITEMS

    def __init__(self, folder):
        import joblib

        warnings.simplefilter("ignore")
        memory = joblib.Memory(folder, mmap_mode="r", verbose=0)
        self.twice, self.scaled = memory.cache(twice), memory.cache(scaled)


class DiskCache:
    """Keys are the arguments themselves: large arrays are none, and nothing is hashed."""

    name, items = "diskcache", ITEMS

    def __init__(self, folder):
        import diskcache

        self.cache = diskcache.Cache(folder, size_limit=1 << 40, eviction_policy="none")
        self.scaled = None

    def twice(self, x):
        found = self.cache.get(x)
        if found is None:
            found = self.cache[x] = twice(x)
        return found


class LruCache:
    name, items = "functools.lru_cache", ITEMS

    def __init__(self, folder):
        os.makedirs(folder)
        self.twice, self.scaled = functools.lru_cache(None)(twice), None


def measured(who):
    folder = str(FOLDER / f"cache {who.name}")

    def child():
        logging.disable()
        shutil.rmtree(folder, ignore_errors=True)
        rival = who(folder)
        found = {"insert": timed(lambda: [rival.twice(i) for i in range(who.items)]) / who.items}
        found["hit"] = timed(lambda: [rival.twice(i) for i in range(who.items)]) / who.items
        found["bytes"], found["files"] = (total / who.items for total in disk_bytes(folder))
        if rival.scaled is not None:
            x = numpy.random.default_rng(0).random(LARGE)
            rival.scaled(x)
            found["large argument"] = min(timed(lambda: rival.scaled(x)) for _ in range(3))
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
            for work in ("insert", "hit", "large argument"):
                if work in found:
                    name = f"cache/{work}/{who.name}"
                    runs.append({"name": name, "run_type": "iteration", "run_name": name, "real_time": 1e3 * found[work],
                                 "cpu_time": 1e3 * found[work], "time_unit": "ms", "amount": 1.0, "bytes": found["bytes"],
                                 "files": found["files"]})
    return runs


if __name__ == "__main__":
    run(measure=measure)
