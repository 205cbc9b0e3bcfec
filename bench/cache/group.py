"""The group `cache`: results of functions from the cache, beside joblib.Memory, diskcache and functools.lru_cache."""

import importlib.metadata

PROGRAMS = {"cache_bench": 3, "rivals measure": 3}

PYTHON = ("stele", "joblib.Memory", "diskcache", "functools.lru_cache")


def versions():
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("joblib", "diskcache"))


def microseconds(results, work, who):
    """For one call."""
    name = f"cache/{work}/{who}"
    if name not in results:
        return None
    return 1e3 * results.median(name) / results.median(name, "amount") if work in ("insert", "hit") else 1e3 * results.median(name)


def bars(results):
    """Rows of (work, bar, measured, whether it is met)."""
    def at_most(what, work, who, most):
        took = microseconds(results, work, who)
        return (what, f"at most {most:,} µs", f"{took:.2f} µs", took <= most)

    rows = [
        at_most("a small hit, C++", "hit", "stele, C++", 3),
        at_most("a small hit, Python", "hit", "stele", 12),
        at_most("argument and mapped result of 100 MB, C++", "large argument", "stele, C++", 10_000),
        at_most("argument and mapped result of 100 MB, Python", "large argument", "stele", 10_000),
        at_most("mapped result of 100 MB alone, C++", "large result", "stele, C++", 100),
    ]
    speed = results.median("cache/hash/stele, C++", "amount") / results.median("cache/hash/stele, C++") / 1e6
    rows.append(("hashing an argument of 100 MB", "at least 5 GB/s", f"{speed:.1f} GB/s", speed >= 5))
    for work, rival, bar in (("insert", "joblib.Memory", 10), ("insert", "diskcache", 1), ("hit", "diskcache", 1),
                             ("hit", "joblib.Memory", 1), ("large argument", "joblib.Memory", 1)):
        other = microseconds(results, work, rival)
        if other is not None:
            times = other / microseconds(results, work, "stele")
            rows.append((f"{work}, Python, beside {rival}", f"at least {bar} times", f"{times:.1f} times", times >= bar))
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
        rows.append([who, *(figure(microseconds(results, work, who)) for work in ("insert", "hit", "large argument")), *stored])
    note = ("Microseconds for one call: a small result computed and stored, a small result found, and an argument of 100 MB\n"
            "with a result of 100 MB, mapped. diskcache and lru_cache do not hash arguments. Disk: of small results.")
    yield "Results of functions", note + "\n\n" + table(["", "stored µs", "found µs", "100 MB µs", "bytes each", "files each"], rows)
