"""Rivals of the group `store` in Python.

Values of bytes under texts of 16 characters, as store_bench has them, but fewer (nhkv: integers). Each store is filled
and read in processes of its own. The report's counters have store_bench's names.
"""

import importlib
import random
import shelve
import shutil
import threading
import time

import bench.rivals
from bench.rivals import MIB, QUICK, in_child, reset_peak, status

FOLDER = bench.rivals.FOLDER / "store.rivals"
SIZES = (100, 1000, 10_000, 100_000, 1_000_000)
MOST_ENTRIES = 1000 if QUICK else 10_000
MOST_BYTES = (10 if QUICK else 100) * 10**6
COMMIT_ENTRIES = 10_000
COMMIT_BYTES = 64 * MIB


def entry_key(name, i):
    number = i * 0x9E3779B97F4A7C15 % 2**64  # each once, in an order that looks random
    return number - 2**63 if name == "nhkv" else f"{number:016x}"


class Values:
    def __init__(self, size):
        self._size = size
        self._pool = random.Random(1).randbytes(4 * MIB + size)

    def __call__(self, i):
        start = i * 7919 % (4 * MIB)
        return self._pool[start:start + self._size]


# --- Stores: each gives a mapping, a function that commits, and one that closes ---

def open_sqlitedict(_):
    """A thread of its own writes; it does not wait for the device."""
    import sqlitedict
    store = sqlitedict.SqliteDict(FOLDER / "sqlitedict.db", autocommit=False, journal_mode="OFF", flag="c",
                                  encode=lambda value: value, decode=lambda value: value)
    return store, store.commit, store.close


def open_diskcache(_):
    """Without eviction; values from 32 KiB on are files, as it comes."""
    import diskcache
    cache = diskcache.Cache(FOLDER, eviction_policy="none", size_limit=2**40)
    return cache, lambda: None, cache.close


def open_nhkv(new):
    """Its index in SQLite, which takes integers as keys."""
    import nhkv
    path = FOLDER / "nhkv"
    options = {"serializer": lambda value: value, "deserializer": bytes}
    store = nhkv.KVStore(path, **options) if new else nhkv.KVStore.load(path)
    if not new:
        store._serialize, store._deserialize = options["serializer"], options["deserializer"]
    return store, store.save, store.close


def open_shelve(new):
    store = shelve.open(str(FOLDER / "shelve"), flag="n" if new else "r", protocol=5)
    return store, lambda: None, store.close


STORES = {"sqlitedict": open_sqlitedict, "diskcache": open_diskcache, "nhkv": open_nhkv, "shelve": open_shelve}


# --- Measuring --------------------------------------------------------------------------------------------------------

class Memory:
    """Follows the memory of the process apart from files that it maps."""

    def __enter__(self):
        self._peak_base = reset_peak()
        self._base = self._peak = status("RssAnon")
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()
        return self

    def _follow(self):
        while not self._end.wait(0.02):
            self._peak = max(self._peak, status("RssAnon"))

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()
        self.anonymous = max(self._peak, status("RssAnon")) - self._base
        self.peak = status("VmHWM") - self._peak_base


def disk_bytes():
    return sum(512 * path.stat().st_blocks for path in FOLDER.rglob("*") if path.is_file())


def fill(name, size, entries):
    importlib.import_module(name)
    values = Values(size)
    keys = [entry_key(name, i) for i in range(entries)]
    with Memory() as memory:
        begin = time.perf_counter()
        store, commit, close = STORES[name](True)
        waiting = 0
        for i, key in enumerate(keys):
            store[key] = values(i)
            waiting += 1
            if waiting == COMMIT_ENTRIES or waiting * size >= COMMIT_BYTES:
                commit()
                waiting = 0
        commit()
        close()
        seconds = time.perf_counter() - begin
    return {"write": entries / seconds, "write_anonymous_mib": memory.anonymous / MIB,
            "write_peak_mib": memory.peak / MIB}


def read(name, size, entries):
    importlib.import_module(name)
    values = Values(size)
    order = list(range(entries))
    random.Random(2).shuffle(order)
    keys = [entry_key(name, i) for i in order]
    with Memory() as memory:
        begin = time.perf_counter()
        store, _, close = STORES[name](False)
        first = store[keys[0]]
        open_seconds = time.perf_counter() - begin
        if first != values(order[0]):
            raise RuntimeError("a value came back changed")
        rates = []
        for _ in range(2):
            begin = time.perf_counter()
            for key in keys:
                store[key]
            rates.append(entries / (time.perf_counter() - begin))
        begin = time.perf_counter()
        count = 0
        for key in store.keys() if hasattr(store, "keys") else store:
            store[key]
            count += 1
        scan = count / (time.perf_counter() - begin)
        if count != entries:
            raise RuntimeError(f"a scan found {count} of {entries}")
        close()
    return {"open_us": 1e6 * open_seconds, "touched_first": rates[0], "touched": rates[1], "scan": scan,
            "read_anonymous_mib": memory.anonymous / MIB, "read_peak_mib": memory.peak / MIB}


def sizes(rounds):
    runs = []
    for size in SIZES:
        entries = min(MOST_ENTRIES, MOST_BYTES // size)
        for _ in range(rounds):
            for name in STORES:
                shutil.rmtree(FOLDER, ignore_errors=True)
                FOLDER.mkdir(parents=True)
                figures = in_child(lambda: fill(name, size, entries))
                figures["disk_bytes"] = float(disk_bytes())
                figures.update(in_child(lambda: read(name, size, entries)))
                figures = {key: float(value) for key, value in figures.items()}
                runs.append({"run_name": f"python/{size}/{name}", "real_time": entries / figures["write"],
                             "time_unit": "s", "entries": float(entries), "values_bytes": float(entries * size),
                             "data_bytes": float(entries * (size + 16)), **figures})
    shutil.rmtree(FOLDER, ignore_errors=True)
    return runs


if __name__ == "__main__":
    bench.rivals.run(sizes=sizes)
