"""The group `neighbours`: files of NumPy, safetensors, joblib, pickle and PyTorch, beside these libraries."""

import importlib.metadata

PROGRAMS = {
    "rivals prepare": 1,
    "neighbours_bench": 3,
    "rivals measure": 3,
}
ONCE = {"rivals prepare"}

CASES = {
    "array": "one array of 80 MB",
    "arrays": "1,000 arrays of 80 kB",
    "floats": "a dict of a million floats",
    "texts": "a list of a million short strings",
    "estimator": "a fitted estimator: 1,000 trees of two arrays",
}
PLAIN = (".npy", ".safetensors")

# Measured with perf on the array of 80 MB, in processor time, as the machine was busy.
LIMITS = (
    "What holds the rows back that miss their bar. `.npy`: the processor time is NumPy's (24.2 and 24.1 ms); of it the\n"
    "kernel clears the pages of the destination (37 %) and copies out of the page cache (33 %), so that only a second\n"
    "processor and free memory bandwidth make it faster: 10.6 ms, NumPy 20.3, where nothing runs before it.\n"
    "`.joblib.z` and `.joblib.gz`: one deflate stream, of which 72 %\n"
    "of the time is ISA-L's decoder (280 ms, libdeflate 241, of 330 in all; joblib 700): a bar of 3 takes a decoder that\n"
    "starts within a stream. `.bz2` and `.xz`, which are no rows: joblib's files are one block, decoded by the same\n"
    "libraries at the same speed. `.joblib.lz4`: hardly compressed, so as `.npy`.")
TEXTS = (
    "A plain pickle of texts takes twice pickle's time: each text is a node of its own in the tree. A quarter of the time\n"
    "the kernel makes pages for them; the rest is spread over the opcodes, the memo, the finished tree and the allocator.")


def versions():
    found = []
    for name in ("numpy", "safetensors", "joblib", "torch"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def pairs(results, case):
    """Extension and mode of what both read, in the order in which they were measured."""
    names = [name.split("/")[2:4] for name in results.names() if name.startswith(f"neighbours/{case}/")]
    both = [(extension, mode) for extension, mode in names
            if all(key(case, extension, mode, who) in results for who in ("stele", "own"))]
    return list(dict.fromkeys(both))


def key(case, extension, mode, who):
    return f"neighbours/{case}/{extension}/{mode}/{who}"


def ratio(results, case, extension, mode):
    return results.median(key(case, extension, mode, "own")) / results.median(key(case, extension, mode, "stele"))


def bars(results):
    """Rows of (work, bar, measured, whether it is met)."""
    rows = []
    for case, words in CASES.items():
        for extension, mode in pairs(results, case):
            least = None
            if mode == "map":
                least = 1
            elif extension in PLAIN and case == "array":
                least = 1.5
            elif extension in (".joblib.z", ".joblib.lz4") or extension == ".joblib" and case != "arrays":
                least = 3
            if least is not None:
                times = ratio(results, case, extension, mode)
                rows.append((f"{words}, {extension}, {mode}", f"{least:g} times the library's speed", f"{times:.2f}",
                             times >= least))
    return rows


def figure(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def tables(results, table):
    """Yields pairs of a title and what stands below it."""
    note = (
        "Loaded whole into a tree of values, beside the library that wrote the file; `map` opens it, so that arrays are\n"
        "mapped. Each in a process of its own; the files are in the page cache. Peak: resident memory above the start,\n"
        "with the result.")
    for case, words in CASES.items():
        rows = []
        for extension, mode in pairs(results, case):
            own, stele = (key(case, extension, mode, who) for who in ("own", "stele"))
            rows.append([f"{extension} {mode}", figure(results.median(stele)), figure(results.median(own)),
                         f"{ratio(results, case, extension, mode):.2f}", figure(results.median(stele, "peak_mib")),
                         figure(results.median(own, "peak_mib")), f"{results.spread(stele):.0%}"])
        text = table(["", "stele ms", "library ms", "times as fast", "stele peak MiB", "library peak MiB", "spread"],
                     rows)
        above = {"array": f"{note}\n\n{LIMITS}\n\n", "texts": f"{TEXTS}\n\n"}.get(case, "")
        yield words, above + text
