"""The group `cache`: results of functions from the cache, beside joblib.Memory, diskcache and functools.lru_cache."""

import importlib.metadata

PROGRAMS = {"cache_bench": 3, "rivals measure": 3}

WORK = ("insert", "hit", "prune", "at a limit", "insert together", "hit together", "large argument")
PYTHON = ("stele", "joblib.Memory", "diskcache", "functools.lru_cache")


def versions():
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("joblib", "diskcache"))


def microseconds(results, work, who):
    """For one call."""
    name = f"cache/{work}/{who}"
    return 1e3 * results.median(name) / results.median(name, "amount") if name in results else None


def speed(results, who):
    name = f"cache/hash/{who}"
    return results.median(name, "amount") / results.median(name) / 1e6 if name in results else None


def bars(results):
    """Rows of (work, bar, measured, whether it is met)."""
    def at_most(what, work, who, most):
        took = microseconds(results, work, who)
        return (what, f"at most {most:,} µs", f"{took:.2f} µs", took <= most)

    def at_least(what, mine, other, bar):
        return (what, f"at least {bar} times", f"{other / mine:.1f} times", other >= bar * mine)

    rows = [
        at_most("a small hit, C++", "hit", "stele, C++", 3),
        at_most("a small hit, Python", "hit", "stele", 12),
        at_most("argument and mapped result of 100 MB, C++", "large argument", "stele, C++", 10_000),
        at_most("argument and mapped result of 100 MB, Python", "large argument", "stele", 10_000),
        at_most("mapped result of 100 MB alone, C++", "large result", "stele, C++", 100),
    ]
    rows += [(f"hashing an argument of 1 GB, {language}", "at least 5 GB/s", f"{speed(results, who):.1f} GB/s",
              speed(results, who) >= 5) for who, language in (("stele, C++", "C++"), ("stele", "Python"))]
    for work in WORK:
        for rival in ("joblib.Memory", "diskcache"):
            other = microseconds(results, work, rival)
            if other is not None:
                bar = 10 if (work, rival) == ("insert", "joblib.Memory") else 1
                rows.append(at_least(f"{work}, beside {rival}", microseconds(results, work, "stele"), other, bar))
    for counter, what in (("bytes", "disk"), ("files", "files")):
        for rival in ("joblib.Memory", "diskcache"):
            if f"cache/insert/{rival}" in results:
                rows.append(at_least(f"{what} of a small result, beside {rival}",
                                     results.median("cache/insert/stele", counter),
                                     results.median(f"cache/insert/{rival}", counter), 1))
    return rows


def figure(value):
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def tables(results, table):
    """Yields pairs of a title and what stands below it."""
    rows = []
    for who in ("stele, C++", *PYTHON):
        name = f"cache/insert/{who}"
        stored = [f"{results.median(name, counter):.2f}" for counter in ("bytes", "files")] if who in PYTHON and name in results \
            else ["", ""]
        rows.append([who, *(figure(microseconds(results, work, who)) for work in WORK), figure(speed(results, who)), *stored])
    note = ("Microseconds for one call: a small result computed and stored, one found, one removed by pruning to half, one\n"
            "stored where another must go, the same as the first two by four processes at once, and an argument of 100 MB\n"
            "with a result of 100 MB, mapped. Hashing: of 1 GB. A million small results; 100,000 of diskcache, whose limit is of\n"
            "bytes; 2,000 of joblib. diskcache and lru_cache do not hash arguments. Disk: of small results.")
    yield "Results of functions", note + "\n\n" + table(
        ["", "stored µs", "found µs", "pruned µs", "at a limit µs", "stored by 4 µs", "found by 4 µs", "100 MB µs", "hash GB/s",
         "bytes each", "files each"], rows)
