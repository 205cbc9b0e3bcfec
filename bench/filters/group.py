"""The group `filters`: Bloom filters and binary fuse filters beside standard containers and Python's filters."""

import importlib.metadata

PROGRAMS = {"filters_bench": 1, "rivals filters": 1}
ROUNDS = 1  # sizes are the same in every round, and times are means of many look-ups
SIZES = ["100 thousand", "1 million", "20 million"]
WAYS = ["bloom", "bloom blocked", "bloom 0.4 %", "bloom blocked 0.4 %", "binary fuse", "binary fuse 16",
        "std::unordered_set", "pybloom-live", "rbloom", "set of Python"]

# Bits for each key at a rate of 2^-8: the factors are those of the papers, for large sets.
REFERENCES = [["least that is possible", "8.00", "log2(1 / rate)"],
              ["binary fuse, four places", "8.60", "1.075 * 8 (Graf and Lemire, 2022)"],
              ["binary fuse, three places", "9.00", "1.125 * 8 (Graf and Lemire, 2022)"],
              ["xor filter", "9.84", "1.23 * 8 (Graf and Lemire, 2020)"],
              ["Bloom filter", "11.54", "1.4427 * 8"]]


def versions():
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("pybloom-live", "rbloom"))


def get(results, name, key="ms"):
    return results.median(name, key) if name in results else None


def nanoseconds(results, name):
    value = get(results, name)
    return None if value is None else 1e6 * value


def bars(results):
    """Rows of (work, bar, measured, whether it is met)."""
    rows = []
    for way in ("bloom", "bloom blocked", "binary fuse"):
        time = nanoseconds(results, f"filters/100 thousand/{way}/one")
        rows.append((f"look-up in a filter in the cache, {way}", "under 10 ns", f"{time:.1f} ns", time < 10))
    fuse = max((get(results, f"filters/{size}/binary fuse/one", "bits_per_key") or 0) for size in SIZES[1:])
    rate = get(results, "filters/100 thousand/binary fuse/one", "rate")
    rows.append(("binary fuse, from a million keys on", "9 bits for 0.4 %", f"{fuse:.2f} bits for {100 * rate:.2f} %",
                 round(fuse, 1) <= 9.1 and rate < 0.0042))
    return rows


def text(value, form, factor=1):
    return "-" if value is None else format(factor * value, form)


def tables(results, table):
    """Yields pairs of a title and what stands below it."""
    for size in SIZES:
        rows = []
        for way in WAYS:
            name = f"filters/{size}/{way}"
            if f"{name}/one" not in results:
                continue
            thousand = nanoseconds(results, f"{name}/thousand")
            rows.append([way, text(get(results, f"{name}/one", "bits_per_key"), ".2f"),
                         text(get(results, f"{name}/one", "rate"), ".3g", 100) + " %",
                         text(nanoseconds(results, f"{name}/one"), ".1f"),
                         text(thousand, ".1f", 1e-3), text(get(results, f"{name}/build", "per_key"), ".0f")
                         if f"{name}/build" in results else "-"])
        if rows:
            yield f"Filters of {size} keys", (
                "Nanoseconds for a look-up, one after another and a thousand at once (half of the keys are there), and for\n"
                "each key to build.\n\n"
                + table(["", "bits for a key", "false positives", "one", "of a thousand", "build"], rows))
    yield "Bits for each key at a rate of 2^-8, by formula", table(["", "bits", ""], REFERENCES)

    rows = [[f"{size} keys, {threads}", f"{results.median(f'filters/{size}/bloom blocked/{way}', 'per_key'):.0f}"]
            for size in SIZES for threads, way in (("1 thread", "build"), ("2 threads", "build by two threads"))
            if f"filters/{size}/bloom blocked/{way}" in results]
    yield "Building a blocked Bloom filter by two threads; nanoseconds for a key", table(["", "ns"], rows)
