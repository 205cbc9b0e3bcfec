"""The group `python`: dump and load of the module beside what people use from Python."""

import importlib.metadata

PROGRAMS = {"rivals measure": 1}

CASES = {
    "array": "a dict with one array of 80 MB",
    "arrays": "a list of 1,000 arrays of 80 kB",
    "small": "a list of 1,000 arrays of 800 bytes",
    "forest": "a fitted forest of 200 trees",
    "network": "a fitted MLPClassifier",
    "frame": "a DataFrame of 500,000 rows",
    "floats": "a dict of a million floats",
    "texts": "a list of a million short strings",
    "tuples": "a list of 300,000 tuples of three",
    "dicts": "a list of 200,000 dicts of four keys",
    "faces": "pictures scaled to float32, as LFW's",
}
# What is compared with what: files whose arrays are as they are in memory, and compressed ones.
PLAIN = ("stele", "pickle 5", "joblib", "numpy", "h5py", "zarr", "safetensors", "skops", "torch")
PACKED = ("stele zstd", "stele gzip", "joblib zlib", "joblib lz4", "numpy zip", "h5py gzip", "zarr zstd", "skops zip")


# By perf, in loops of one call.
LIMITS = (
    "What holds the rows back that miss their bar. Dumps of arrays: a new file is written and renamed, so that the old one\n"
    "is whole until then. Its pages are new ones, and ext4 begins to write it to the device when it replaces another;\n"
    "pickle overwrites the pages of the old file. Checksums take 6 to 10 % of the time. Loads of arrays: checksums take 10\n"
    'to 25 % (`verify="none"` leaves them out), and each array has memory of its own, whose pages the kernel clears, where\n'
    "pickle's come from one heap. The forest: no single place; a call of CPython's for each attribute of 200 trees. Tuples\n"
    "and dicts: CPython's own allocation and insertion are two thirds. Some calls here get memory that the host of\n"
    "this virtual machine has to give first, which takes up to ten times as long: in turns and often repeated, stele loads\n"
    "the array of 80 MB in 29 ms, pickle in 47.")


def versions():
    found = []
    for name in ("numpy", "joblib", "h5py", "zarr", "safetensors", "skops", "scikit-learn", "pandas", "torch"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def key(case, work, who):
    return f"python/{case}/{work}/{who}"


def those(results, case, names):
    return [who for who in names if key(case, "dump", who) in results]


def bars(results):
    """Rows of (work, bar, measured, whether it is met)."""
    rows = []
    for case, words in CASES.items():
        for names, own in ((PLAIN, "stele"), (PACKED, "stele zstd")):
            rivals = [who for who in those(results, case, names) if not who.startswith("stele")]
            if not rivals or key(case, "dump", own) not in results:
                continue
            size = results.median(key(case, "dump", own), "stored_mb")
            for work in ("dump", "load"):
                best = min(rivals, key=lambda who: results.median(key(case, work, who)))
                times = results.median(key(case, work, best)) / results.median(key(case, work, own))
                smallest = min(results.median(key(case, "dump", who), "stored_mb") for who in rivals)
                rows.append((f"{words}: {work}, {own}", f"ahead of the fastest, {best}",
                             f"{times:.2f}; {size:.2f} MB (smallest rival {smallest:.2f})", times >= 1))
    return rows


def figure(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def tables(results, table):
    """Yields pairs of a title and what stands below it."""
    note = ("Each in a process of its own, files in the page cache. Peak: resident memory above what there was before the\n"
            "call; that of loading includes the result.")
    for case, words in CASES.items():
        rows = []
        for who in those(results, case, (*PLAIN, *PACKED)):
            dump, load = key(case, "dump", who), key(case, "load", who)
            rows.append([who, figure(results.median(dump)), figure(results.median(load)),
                         figure(results.median(dump, "stored_mb")), figure(results.median(dump, "peak_mib")),
                         figure(results.median(load, "peak_mib"))])
        text = table(["", "dump ms", "load ms", "MB", "peak of dump MiB", "peak of load MiB"], rows)
        yield words, f"{note}\n\n{text}" if case == next(iter(CASES)) else text
    yield "What limits it", LIMITS
