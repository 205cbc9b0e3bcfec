"""Bloom filters from Python's packages beside stele's, under the names of filters_bench."""

import random
import sys
import time

from bench.rivals import QUICK, run

SIZES = {"100 thousand": 100_000, "1 million": 1_000_000}
RATE = 0.01


def measure(name, count, make, size_in_bits):
    """Builds a filter of one key after another, and asks for as many, every other one contained."""
    source = random.Random(1)
    keys = [source.getrandbits(63) for _ in range(count)]
    asked = [keys[source.randrange(count)] if i % 2 == 0 else source.getrandbits(63) for i in range(100_000)]
    others = [source.getrandbits(63) for _ in range(100_000)]
    begin = time.perf_counter()
    filter = make()
    for key in keys:
        filter.add(key)
    built = time.perf_counter() - begin
    begin = time.perf_counter()
    for key in asked:
        key in filter
    looked_up = time.perf_counter() - begin
    return [{"run_name": f"{name}/one", "real_time": 1e9 * looked_up / len(asked), "time_unit": "ns",
             "bits_per_key": size_in_bits(filter) / count, "rate": sum(key in filter for key in others) / len(others)},
            {"run_name": f"{name}/build", "real_time": built, "time_unit": "s", "per_key": 1e9 * built / count}]


def filters(rounds):
    import pybloom_live
    import rbloom

    runs = []
    for size, count in SIZES.items():
        if QUICK and count > 100_000:
            continue
        for _ in range(rounds):
            runs += measure(f"filters/{size}/pybloom-live", count,
                            lambda count=count: pybloom_live.BloomFilter(count, RATE), lambda f: float(len(f.bitarray)))
            runs += measure(f"filters/{size}/rbloom", count, lambda count=count: rbloom.Bloom(count, RATE),
                            lambda f: float(f.size_in_bits))
            runs += measure(f"filters/{size}/set of Python", count, set, lambda f: 8.0 * (sys.getsizeof(f) + 36 * len(f)))
    return runs


if __name__ == "__main__":
    run(filters=filters)
