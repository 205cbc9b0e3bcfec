"""The group `archive`: saving, loading and mapping objects, without compression."""

import importlib.metadata

# The programs in the order of a round, and how often each repeats its benchmarks.
PROGRAMS = {
    "arrays_bench": 5,
    "rivals arrays": 3,
    "mapping_bench": 3,
    "rivals mapping": 3,
    "objects_bench": 3,
    "hash_bench": 3,
    "state_bench": 3,
    "memory_bench": 1,
    "compiling compile": 2,
}

OBJECTS = {
    "unordered_map_double_double": "unordered_map<double, double>",
    "unordered_map_double_double in order": "the same, nodes in order",
    "map_string_uint32": "map<string, uint32>",
    "map_string_uint32 in order": "the same, nodes in order",
    "vector_string": "vector<string>",
}
PYTHON = ["joblib", "pickle", "numpy.save, X alone", "safetensors, X alone"]
ARRAY_BYTES = 200 * 2**20


def versions():
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("joblib", "numpy", "safetensors"))


def bars(results):
    """Rows of (work, bar, measured, whether it is met)."""
    ms = results.median
    rows = []

    def at_least(work, bar, ratio, against):
        rows.append((work, f"{bar:g} times {against}", f"{ratio:.2f}", ratio >= bar))

    def under(work, bar, value, unit, form=".0f"):
        rows.append((work, f"under {bar:g} {unit}", f"{value:{form}} {unit}", value < bar))

    at_least("plain save of 200 MiB", 0.95, ms("save/write(2)") / ms("save/stele"), "write(2)")
    at_least("plain save of 200 MiB", 1, ms("save/joblib") / ms("save/stele"), "joblib")
    for name, bar in (("stele::Array", 1.5), ("Eigen", 1.5), ("std::vector", 1)):
        at_least(f"plain load, verified, into {name}", bar, ms("load/joblib") / ms(f"load/{name}"), "joblib")
    for what in ("1 MiB", "100 MiB", "1024 MiB", "100 arrays"):
        under(f"mapped load, {what}", 100, 1e3 * ms(f"map/{what}/stele"), "µs")
    for what in ("plain", "gz", "zst"):
        mib = max(ms(f"memory/{way}/{what}/stele", "above_mib") for way in ("save", "load"))
        under(f"peak memory above 1 GiB, {what}", 16, mib, "MiB", ".1f")
    for way, bar in (("save", 3), ("load", 1)):
        for what, title in OBJECTS.items():
            if f"{way}/{what}/cereal" in results:
                at_least(f"{way} {title}", bar, ms(f"{way}/{what}/cereal") / ms(f"{way}/{what}/stele"), "cereal")
    for what in ("1 MiB array", "16 MiB array"):
        rate = ms(f"hash/{what}/stele", "bytes_per_second") / 1e9
        rows.append((f"content hash, {what}", "at least 5 GB/s", f"{rate:.1f} GB/s", rate >= 5))
    seconds = (ms("compile/stele.hpp") - ms("compile/vector and string")) / 1e3
    under("compiling, for including stele/stele.hpp", 0.7, seconds, "s", ".2f")
    return rows


def tables(results, table):
    """Yields pairs of a title and what stands below it."""
    ms = results.median

    def array_rows(way, own, names):
        return [
            [name, f"{ms(f'{way}/{name}'):.1f}", f"{ARRAY_BYTES / 1e6 / ms(f'{way}/{name}'):.2f}",
             f"{ms(f'{way}/{name}') / ms(f'{way}/{own}'):.2f}", f"{results.spread(f'{way}/{name}'):.0%}"]
            for name in names if f"{way}/{name}" in results
        ]

    header = ["", "ms", "GB/s", "time / stele's", "spread"]
    yield "Plain save of 200 MiB of float32, 1000 integers and a name", table(
        header, array_rows("save", "stele", ["stele", "stele, 1 thread", "write(2)", *PYTHON]))
    targets = ["stele::Array", "Eigen", "std::vector", "stele::Array, not verified", "read(2)"]
    yield "Plain load of the same", table(header, array_rows("load", "stele::Array", [*targets, *PYTHON]))

    libraries = [name for name in ("stele", "cereal", "boost") if f"save/vector_string/{name}" in results]
    rows = []
    for what, title in OBJECTS.items():
        for way in ("save", "load"):
            times = [ms(f"{way}/{what}/{name}") for name in libraries]
            rows.append([f"{way} {title}", *(f"{t:.0f}" for t in times), *(f"{t / times[0]:.2f}" for t in times[1:])])
    yield "A million small objects to and from a file; ms", (
        "In order: the nodes lie in memory in the order of the walk, as after loading. Else they are all over it, and\n"
        "only walking them in the container's own way takes most of the time.\n\n"
        + table(["", *libraries, *(f"{name} / stele" for name in libraries[1:])], rows))

    def micro(key):
        return f"{1e3 * ms(key):.2f}" if key in results else "-"

    names = ["stele", "stele copy-on-write", "numpy", "joblib", "safetensors"]
    yield "Mapping a file and reading one element; µs", table(
        ["", *names], [[what, *(micro(f"map/{what}/{name}") for name in names)]
                       for what in ("1 MiB", "100 MiB", "1024 MiB", "100 arrays", "100 arrays, each touched")])

    yield "Peak resident memory above an object of 1 GiB", table(
        ["", "saving MiB", "loading MiB", "save s", "load s"],
        [[what, *(f"{ms(f'memory/{way}/{what}/stele', 'above_mib'):.1f}" for way in ("save", "load")),
          *(f"{ms(f'memory/{way}/{what}/stele') / 1e3:.2f}" for way in ("save", "load"))]
         for what in ("plain", "gz", "zst")])

    def rate(key):
        return f"{ms(key, 'bytes_per_second') / 1e9:.1f}" if key in results else "-"

    sizes = ("1 MiB array", "1 MiB array transposed", "16 MiB array", "16 MiB array transposed")
    yield "Content hash; GB/s", (
        table(["", "stele", "XXH3-128 alone"],
              [[what, *(rate(f"hash/{what}/{name}") for name in ("stele", "XXH3-128"))] for what in sizes])
        + f"\n\nA map of 1000 strings and numbers: {micro('hash/map of 1000 strings and numbers/stele')} µs.")

    yield "A small state to and from memory; µs", table(
        ["", *libraries], [[f"{way} {what}", *(micro(f"state/{way}/{what}/{name}") for name in libraries)]
                           for what in ("point", "state") for way in ("save", "load")])

    yield "Compiling, unoptimised; s", table(
        ["", "s"], [[name.removeprefix("compile/"), f"{ms(name) / 1e3:.2f}"]
                    for name in results.names() if name.startswith("compile/")])
