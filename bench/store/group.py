"""The group `store`: the key-value store beside LMDB, SQLite and RocksDB, and beside stores in Python."""

import importlib
import importlib.metadata
import math
import re
import subprocess

PROGRAMS = {
    "store_bench (sizes|integers|objects|durable|beside)/": 1,
    "store_bench entries/": 1,
    "store_bench scarce/": 1,
    "store_bench care/": 1,
    "rivals sizes": 1,
}
ROUNDS = 2
ONCE = {"store_bench scarce/", "store_bench care/", "rivals sizes"}

SIZES = {100: "100 B", 1000: "1 kB", 10_000: "10 kB", 100_000: "100 kB", 1_000_000: "1 MB"}
ENGINES = ["stele", "LMDB", "SQLite", "RocksDB", "RocksDB blobs"]
PYTHON = ["sqlitedict", "diskcache", "nhkv", "shelve"]
DBM = ["dbm.gnu", "dbm.ndbm", "dbm.dumb"]  # in the order in which shelve looks for them
SET_RATE = 0.95e6  # LMDB's, handed out, where and when the bar was set


def can_import(name):
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def versions():
    found = []
    for package in ("liblmdb0", "libsqlite3-0", "librocksdb-dev"):
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True,
                              check=False)
        found.append(f"{package} {done.stdout or '?'}")
    found += [f"{name} {importlib.metadata.version(name)}" for name in PYTHON if name != "shelve"]
    found.append(f"shelve over {next(name for name in DBM if can_import(name))}")
    return ", ".join(found)


class Reader:
    """Medians of the counters; None for what was not measured."""

    def __init__(self, results):
        self._results = results

    def __call__(self, name, key):
        if name not in self._results:
            return None
        try:
            return self._results.median(name, key)
        except ValueError:  # StatisticsError: no samples
            return None

    def engines(self, prefix, names=tuple(ENGINES)):
        return [name for name in names if f"{prefix}/{name}" in self._results]

    def values(self, prefix):
        """The numbers that come behind a prefix, in order."""
        found = {int(name.split("/")[1]) for name in self._results.names() if name.startswith(prefix + "/")}
        return sorted(found)


def thousands(value):
    """Thousands a second, of three digits."""
    if value is None:
        return "–"
    value /= 1e3
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def fixed(value, digits=1):
    return "–" if value is None else f"{value:,.{digits}f}"


def ratio(a, b):
    return None if a is None or not b else a / b


def size_name(size):
    return SIZES.get(size, f"{size} B")


# --- Bars -------------------------------------------------------------------------------------------------------------

def bars(results):
    """Rows of (work, bar, measured, whether it is met)."""
    read = Reader(results)
    rows = []
    sizes = [size for size in read.values("sizes") if size >= 1000]

    def each_size(work, bar, key, needed):
        """One row for all sizes: stele's rate must be at least what is needed."""
        told, met = [], []
        for size in sizes:
            mine, other = read(f"sizes/{size}/stele", key), needed(size)
            if mine is not None and other is not None:
                told.append(f"{size_name(size)}: {mine / 1e6:.3f}"
                            + (f" ({other / 1e6:.3f})" if other != SET_RATE else ""))
                met.append(mine >= other)
        if met:
            rows.append((work, bar, "; ".join(told) + " M/s", all(met)))

    each_size("random read, handed out", f"{SET_RATE / 1e6} M/s from 1 kB", "handed", lambda _: SET_RATE)
    for key, work in (("handed", "random read, handed out"), ("touched", "random read, all bytes"),
                      ("touched_first", "random read, all bytes, each value for the first time")):
        each_size(work, "LMDB's rate in this run (in brackets), from 1 kB", key,
                  lambda size, key=key: read(f"sizes/{size}/LMDB", key))
    for size in read.values("sizes"):
        rivals = {name: read(f"sizes/{size}/{name}", "write") for name in ENGINES
                  if name not in ("stele", "LMDB")}
        rivals = {name: rate for name, rate in rivals.items() if rate is not None}
        mine = read(f"sizes/{size}/stele", "write")
        if rivals and mine is not None:
            best = max(rivals, key=rivals.get)
            share = mine / rivals[best]
            rows.append((f"write, {size_name(size)}", "ahead of SQLite and RocksDB", f"{share:.2f} of {best}'s rate",
                         share > 1))
    for size in read.values("sizes"):
        share = ratio(read(f"sizes/{size}/stele", "disk_bytes"), read(f"sizes/{size}/stele", "data_bytes"))
        if share is not None:
            rows.append((f"disk, {size_name(size)}", "within 1.1 of keys and values", f"{share:.3f}", share <= 1.1))
    return rows


# --- Tables -----------------------------------------------------------------------------------------------------------

SPEEDS = {"write": "write", "handed_first": "handed out first", "handed": "handed out", "handed_two": "two threads",
          "touched_first": "all bytes first", "touched": "all bytes", "touched_two": "two threads",
          "many": "many at once", "scan": "scan by key", "scan_stored": "as stored"}

SETTINGS = """\
Values are random bytes; keys are texts of 16 bytes that come in a random order. Thousands of entries a second; one
thread where nothing is said. Nothing waits for the device. A transaction is 10,000 entries or 64 MiB, and closing the
store is part of writing. "Handed out": a pointer to the value, nothing of it read; "all bytes": each is read. "First":
each value once, by a process that has just opened the store (its files are in the page cache). stele checks the
checksum of a value of up to 1 MiB when it is handed out first, of one shorter than 64 bytes each time; the others check
none but RocksDB, when it reads a block. "Scan": all bytes, in the order of the keys, or in the order that is fastest.
"Many at once": 1000 keys, or of large values 64 MiB.

- stele: `Durability::none`, plain; reads through `view()`, `view_many()`, `items()` and `by_insertion()`.
- LMDB: `MDB_NOSYNC`; all reads in one read transaction.
- SQLite: WAL, `synchronous=OFF`, prepared statements, 64 MiB of cache, mapped reads; a table with texts as its primary
  key, `WITHOUT ROWID` for 100 B.
- RocksDB: its log without waiting, no compression, a block cache of 256 MiB, Bloom filters of 10 bits, a `WriteBatch`
  for each transaction. "Blobs": values from 4 KiB on in blob files.
"""


def speed_table(read, prefix, table):
    rows = [[name, *(thousands(read(f"{prefix}/{name}", key)) for key in SPEEDS)] for name in read.engines(prefix)]
    return table(["", *SPEEDS.values()], rows)


def tables(results, table):
    """Yields pairs of a title and what stands below it."""
    read = Reader(results)
    for size in read.values("sizes"):
        prefix = f"sizes/{size}"
        entries = read(f"{prefix}/stele", "entries")
        note = SETTINGS + "\n" if size == min(read.values("sizes")) else ""
        yield f"Values of {size_name(size)}, {entries:,.0f} entries", note + speed_table(read, prefix, table)
    for size in read.values("integers"):
        yield (f"Values of {size_name(size)} under integers that rise",
               "The integers are the rowid of SQLite and `MDB_INTEGERKEY` for LMDB.\n\n"
               + speed_table(read, f"integers/{size}", table))

    rows = []
    for kind, sizes in (("sizes", read.values("sizes")), ("integers", read.values("integers"))):
        for size in sizes:
            for name in read.engines(f"{kind}/{size}"):
                at = f"{kind}/{size}/{name}"
                rows.append([f"{size_name(size)}{', integers' if kind == 'integers' else ''}, {name}",
                             *(fixed(ratio(read(at, "disk_bytes"), read(at, key)), 3)
                               for key in ("data_bytes", "values_bytes")),
                             *(fixed(read(at, key)) for key in ("write_anonymous_mib", "write_peak_mib",
                                                                "read_anonymous_mib", "read_peak_mib")),
                             fixed(read(at, "open_us"), 0)])
    yield "Disk, memory and opening", (
        "Disk: blocks of all files, as a share of keys and values, and of values alone. Memory: the peak above what\n"
        "was there before, in MiB: of the process's own pages, and of all that is resident, mapped files among it.\n"
        "Opening: µs until a first value was found.\n\n"
        + table(["", "disk / data", "disk / values", "writing, own", "writing, all", "reading, own", "reading, all",
                 "open µs"], rows))

    counts = read.values("entries")
    for key, title in (("write", "Writing"), ("handed", "Random reads, handed out,")):
        yield f"{title} values of 100 B, by the number of entries; thousands a second", table(
            ["", *(f"{count:,}" for count in counts)],
            [[name, *(thousands(read(f"entries/{count}/{name}", key)) for count in counts)] for name in ENGINES
             if any(f"entries/{count}/{name}" in results for count in counts)])
    yield "Opening, and finding a first value of 100 B, by the number of entries; µs", table(
        ["", *(f"{count:,}" for count in counts)],
        [[name, *(fixed(read(f"entries/{count}/{name}", "open_us"), 0) for count in counts)] for name in ENGINES
         if any(f"entries/{count}/{name}" in results for count in counts)])

    yield from scarce_tables(read, table)
    yield from other_tables(read, table)


def scarce_tables(read, table):
    for size in read.values("scarce"):
        prefix = f"scarce/{size}"
        names = read.engines(prefix)
        title = f"Data larger than memory: values of {size_name(size)}"
        if not any(read(f"{prefix}/{name}", "limited") for name in names):
            yield title, "Left out: no control group that limits memory could be made here."
            continue
        rows = []
        for name in names:
            at = f"{prefix}/{name}"
            if read(at, "failed"):
                rows.append([name, "ended by the system for want of memory", *["–"] * 6])
                continue
            share = read(at, "write_share")
            rows.append([name, thousands(read(at, "write")), "–" if share is None else f"{share:.0%}",
                         *(thousands(read(at, key)) for key in ("touched_first", "touched", "scan_stored")),
                         *(fixed(read(at, key)) for key in ("write_anonymous_mib", "read_anonymous_mib"))])
        size_mib = next(read(f"{prefix}/{name}", "values_bytes") for name in names
                        if read(f"{prefix}/{name}", "values_bytes")) / 2**20
        yield title, (
            f"{size_mib:,.0f} MiB of values; a control group limits memory and page cache to a quarter of that. Keys\n"
            "in a random order; nothing in the page cache before reading. A transaction is 8 MiB; LMDB\n"
            "`MDB_NORDAHEAD`, SQLite not mapped with 16 MiB of cache, RocksDB with a block cache of 32 MiB. Writing\n"
            "ends after 6 s; \"written\" says how much was there then. Thousands of entries a second; memory of the\n"
            "process's own in MiB.\n\n"
            + table(["", "write", "written", "read", "read again", "scan", "writing MiB", "reading MiB"], rows))


def other_tables(read, table):
    names = [name for name in ENGINES if read(f"beside/1000/{name}", "reads") is not None]
    yield "Commits that wait for the device, and reads beside a writer; 1 kB", (
        "Commits a second of one entry each (stele `Durability::commit`, LMDB without flags, SQLite\n"
        "`synchronous=FULL`, RocksDB `sync`). Then thousands of reads of all bytes a second in one thread, alone and\n"
        "while another writes and commits each thousand, and what that one writes.\n\n"
        + table(["", "durable commits/s", "reads alone", "reads beside", "writes beside"],
                [[name, fixed(read(f"durable/1000/{name}", "commits"), 0),
                  *(thousands(read(f"beside/1000/{name}", key)) for key in ("alone", "reads", "writes"))]
                 for name in names]))
    if read.engines("objects/100"):
        yield "Writing objects of about 100 B under integers that rise; thousands a second", (
            "A text, a number and 16 floats, visited by field; beside it LMDB with 100 bytes.\n\n"
            + table(["", "write"], [[name, thousands(read(f"objects/100/{name}", "write"))]
                                    for name in read.engines("objects/100")]))
    yield "The care of a store; MB of its files a second", (
        "`vacuum()` of a store of which every other entry was erased.\n\n"
        + table(["", "entries", "verify", "compact_to", "recover", "vacuum"],
                [[size_name(size), fixed(read(f"care/{size}/stele", "entries"), 0),
                  *(fixed(read(f"care/{size}/stele", key), 0) for key in ("verify", "compact", "recover", "vacuum"))]
                 for size in read.values("care")]))
    rows = []
    for size in read.values("python"):
        for name in read.engines(f"python/{size}", PYTHON):
            at = f"python/{size}/{name}"
            rows.append([f"{size_name(size)}, {name}",
                         *(thousands(read(at, key)) for key in ("write", "touched_first", "touched", "scan")),
                         fixed(read(at, "open_us"), 0), fixed(ratio(read(at, "disk_bytes"), read(at, "data_bytes")), 3),
                         *(fixed(read(at, key)) for key in ("write_anonymous_mib", "read_anonymous_mib"))])
    yield "Stores in Python", (
        "Values are `bytes` that are stored as they are, without pickling where the store allows; at most 10,000\n"
        "entries or 100 MB. sqlitedict without autocommit and journal, diskcache without eviction, nhkv with its\n"
        "index in SQLite and integers as keys. Thousands of entries a second; memory of the process's own in MiB.\n\n"
        + table(["", "write", "read first", "read again", "scan", "open µs", "disk / data", "writing MiB",
                 "reading MiB"], rows))


# --- The picture ------------------------------------------------------------------------------------------------------

COLOURS = {"stele": "#d55e00", "LMDB": "#0072b2", "SQLite": "#009e73", "RocksDB": "#cc79a7",
           "RocksDB blobs": "#8c564b", "sqlitedict": "#56b4e9", "diskcache": "#e0a000", "nhkv": "#6a3d9a",
           "shelve": "#999999"}


def picture(results, path):
    """Entries a second against the size of values, and against the number of entries."""
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    read = Reader(results)
    plt.rcParams.update({"svg.hashsalt": "stele", "svg.fonttype": "none", "font.size": 9,
                         "font.family": ["DejaVu Sans"]})
    sizes, counts = read.values("sizes"), read.values("entries")
    panels = [("write", "sizes", "Writing"), ("touched", "sizes", "Random reads, all bytes"),
              ("scan", "sizes", "Scanning by key, all bytes"), ("handed", "sizes", "Random reads, handed out"),
              ("write", "entries", "Writing, values of 100 B"),
              ("handed", "entries", "Random reads, handed out, values of 100 B")]
    figure, axes = plt.subplots(2, 3, figsize=(13, 8.2), layout="constrained")
    seen = {}
    for axis, (key, kind, title) in zip(axes.flat, panels):
        numbers = sizes if kind == "sizes" else counts
        axis.grid(True, color="#e4e4e4", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_title(title, loc="left", fontsize=9, fontweight="bold")
        for name in [*ENGINES, *PYTHON]:
            where = "python" if name in PYTHON and kind == "sizes" else kind
            points = [(number, rate) for number in numbers
                      if (rate := read(f"{where}/{number}/{name}", key)) is not None]
            if points:
                line, = axis.plot(*zip(*points), color=COLOURS[name], marker="o", markersize=4,
                                  linewidth=2.2 if name == "stele" else 1.2, zorder=3 if name == "stele" else 2,
                                  linestyle="--" if name in PYTHON else "-", label=name)
                seen.setdefault(name, line)
        axis.set_xticks(numbers)
        axis.xaxis.set_major_formatter(FuncFormatter(
            lambda x, _, kind=kind: size_name(round(x)) if kind == "sizes" else f"$10^{round(math.log10(x))}$"))
        axis.xaxis.set_minor_locator(NullLocator())
        low, high = axis.get_ylim()
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 300 else (1,), numticks=20))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.set_xlabel("size of a value" if kind == "sizes" else "entries")
        axis.set_ylabel("entries a second")
    figure.suptitle("Entries a second: higher is better", fontsize=13, fontweight="bold")
    figure.legend(handles=list(seen.values()), loc="outside lower center", ncols=9, frameon=False, fontsize=9)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    path.write_text(re.sub(r"(\.\d\d)\d+", r"\1", path.read_text()))  # a hundredth of a point is enough
