"""The group `parts`: parts of large matrices in files, beside numpy.memmap, h5py, zarr and Blosc2."""

import importlib.metadata

PROGRAMS = {
    "rivals prepare": 1,
    "parts_bench": 1,
    "rivals measure": 1,
}
ONCE = {"rivals prepare"}

MATRICES = {"float32": "float32, waves with noise", "int64": "int64, small counts"}
TASKS = {
    "rows": "1 % of the rows in one piece",
    "random": "1,000 random rows",
    "column": "one column",
    "pass": "a full pass in batches",
    "whole": "the whole matrix",
}
PLAIN = ["stele plain", "stele mapped", "numpy memmap and copy"]
COMPRESSED = ["stele zstd", "stele zstd 9", "stele gzip", "stele lz4"]
ONE_THREAD = ", 1 thread"
NO_LARGER = 1.001  # of the rival's size: an index of blocks is not counted against it


def versions():
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "h5py", "zarr", "blosc2"))


def key(matrix, task, name):
    return f"parts/{matrix}/{task}/{name}"


def all_names(results, matrix):
    """What was measured: plain, compressed by stele, the rivals."""
    names = [name.split("/")[3] for name in results.names() if name.startswith(f"parts/{matrix}/rows/")]
    return sorted(names, key=lambda name: (name not in PLAIN, PLAIN.index(name) if name in PLAIN else 0,
                                           not name.startswith("stele"), name))


def bars(results):
    """Rows of (work, bar, measured, whether it is met)."""
    ms = results.median
    rows = []
    for matrix in MATRICES:
        names = all_names(results, matrix)
        rivals = [name for name in names if not name.startswith("stele") and name not in PLAIN
                  and not name.endswith(ONE_THREAD)]
        for own in ("stele plain", "stele mapped"):
            for task in ("rows", "random"):
                ratio = ms(key(matrix, task, own)) / ms(key(matrix, task, "numpy memmap and copy"))
                rows.append((f"{matrix}, {TASKS[task]}, {own}", "at most 1.2 times memmap and copy", f"{ratio:.2f}",
                             ratio <= 1.2))
        for rival in rivals:
            size = ms(key(matrix, "rows", rival), "stored_mb")
            fitting = [own for own in COMPRESSED if key(matrix, "rows", own) in results
                       and ms(key(matrix, "rows", own), "stored_mb") <= NO_LARGER * size]
            for task in ("rows", "random"):
                work = f"{matrix}, {TASKS[task]}, {rival}"
                if not fitting:
                    rows.append((work, "slower than stele at no larger size", "none is as small", False))
                    continue
                own = min(fitting, key=lambda name: ms(key(matrix, task, name)))
                ratio = ms(key(matrix, task, rival)) / ms(key(matrix, task, own))
                own_size = ms(key(matrix, task, own), "stored_mb") / size
                rows.append((work, "slower than stele at no larger size",
                             f"{ratio:.2f} times {own}, which has {own_size:.2f} of the size", ratio > 1))
        for own in COMPRESSED:
            if key(matrix, "rows", own) in results:
                share = ms(key(matrix, "rows", own)) / ms(key(matrix, "whole", own))
                rows.append((f"{matrix}, {TASKS['rows']}, {own}", "under 2 % of the whole load", f"{share:.1%}",
                             share < 0.02))
        for own in ("stele plain", *COMPRESSED):
            if key(matrix, "pass", own) in results:
                ratio = ms(key(matrix, "pass", own)) / ms(key(matrix, "whole", own))
                peak = ms(key(matrix, "pass", own), "peak_mib")
                rows.append((f"{matrix}, {TASKS['pass']}, {own}", "at most 1.2 times a whole load, in 16 MiB",
                             f"{ratio:.2f}, {peak:.1f} MiB", ratio <= 1.2 and peak <= 16))
    return rows


def figure(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def tables(results, table):
    """Yields pairs of a title and what stands below it."""
    ms = results.median
    notes = (
        "The time is from opening the file, which is in the page cache. Two threads, except for h5py, which has one, and\n"
        "where the name says so. Ratios are to stele plain, those of compressed files to stele zstd. Read: bytes read by\n"
        "system calls; empty for mapped files. Peak: resident memory above the start of the process. It includes the\n"
        "result and the pages of a mapped file.")
    for matrix, title in MATRICES.items():
        names = all_names(results, matrix)
        for task, words in TASKS.items():
            rows = []
            for name in names:
                one = key(matrix, task, name)
                against = ms(key(matrix, task, "stele plain" if name in PLAIN else "stele zstd"))
                read = figure(ms(one, "read_mb")) if "mapped" not in name and "memmap" not in name else ""
                rows.append([name, figure(ms(one)), f"{ms(one) / against:.2f}", read, figure(ms(one, "peak_mib")),
                             f"{ms(one, 'stored_mb'):.0f}", f"{results.spread(one):.0%}"])
            text = table(["", "ms", "time / stele's", "read MB", "peak MiB", "file MB", "spread"], rows)
            first = matrix == next(iter(MATRICES)) and task == next(iter(TASKS))
            yield f"{title}: {words}", f"{notes}\n\n{text}" if first else text
