"""The group `compression`: compressed saving and loading beside joblib, the command line tools, Blosc and HDF5."""

import importlib.metadata
import math
import re
import statistics
import subprocess

PROGRAMS = {
    "rivals prepare": 1,
    "compression_bench sets/": 1,
    "rivals joblib": 1,
    "rivals arrays": 1,
    "rivals tools": 1,
    "compression_bench scaling/": 3,
    "compression_bench one/": 1,
    "compression_bench memory/": 1,
}
ROUNDS = 2
ONCE = {"rivals prepare", "compression_bench scaling/", "compression_bench one/", "compression_bench memory/"}

SETS = {
    "fashion": "Fashion-MNIST, uint8",
    "fashion scaled": "Fashion-MNIST, float32 between 0 and 1",
    "weights": "weights of a sentence transformer, float32",
    "field32": "smooth field with noise, float32",
    "field64": "smooth field with noise, float64",
    "counts": "Poisson counts, int64",
    "walk": "random walk, float64",
    "text": "headers and documentation, uint8",
}
CODECS = ["gzip", "zlib", "bzip2", "lzma", "xz", "lz4", "zstd"]
NO_LARGER = 1.001  # of the rival's size: an index of blocks is not counted against it
ABOUT_AS_LARGE = 1.02  # where the bar is speed alone, at the same level


def versions():
    python = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("joblib", "blosc2", "h5py", "numpy"))
    tools = []
    for tool in ("pigz", "pbzip2", "lbzip2", "xz", "lz4", "zstd"):
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "xz-utils" if tool == "xz" else tool],
                              capture_output=True, text=True, check=False)
        tools.append(f"{tool} {done.stdout or '?'}")
    return python + ", " + ", ".join(tools)


class Run:
    """What one way to save took on one data set."""

    def __init__(self, results, name):
        _, self.set, self.library, variant = name.split("/", 3)
        self.part = variant.startswith("part ")
        self.variant = variant.removeprefix("part ")
        self.codec = self.variant.split(" ")[0]
        self.plain = results.median(name, "plain")
        self.stored = results.median(name, "stored")
        self.save = self.plain / results.median(name) / 1e3  # MB/s
        self.load = self.plain / results.median(name, "load_ms") / 1e3
        self.save_mib = results.median(name, "save_mib")
        self.load_mib = results.median(name, "load_mib")
        self.standard = self.library == "stele" and results.median(name, "standard_level") == 1
        self.ratio = self.plain / self.stored


def all_runs(results):
    return [Run(results, name) for name in results.names() if name.startswith("sets/")]


class Match:
    """stele beside a rival on one data set."""

    def __init__(self, rival, own, save_bar, load_bar):
        self.rival, self.own = rival, own
        self.save, self.load = own.save / rival.save, own.load / rival.load
        self.size = (own.stored / own.plain) / (rival.stored / rival.plain)
        self.fits = self.size <= (ABOUT_AS_LARGE if rival.library == "tools" else NO_LARGER)
        self.worth = min(self.save / save_bar, self.load / load_bar)

    def text(self):
        return [self.own.variant, f"{self.save:.2f}", f"{self.load:.2f}", f"{self.size:.3f}"]


def best_match(rival, candidates, save_bar, load_bar):
    """The one that is furthest above both bars, or least below, of those no larger than the rival; None if there is
    none."""
    matches = [Match(rival, own, save_bar, load_bar) for own in candidates]
    return max((m for m in matches if m.fits), key=lambda m: m.worth, default=None)


def contests(results):
    """Yields (title of the contest, its bars for saving and loading, rivals, candidates by the rival's data set)."""
    runs = all_runs(results)

    def rivals(library, *variants):
        return [r for r in runs if r.library == library and r.variant in variants]

    def own(codec, only=lambda r: True):
        return [r for r in runs if r.library == "stele" and r.codec == codec and only(r)]

    for codec in ("zlib", "gzip", "lz4"):
        yield f"{codec} beside joblib's {codec} 3", 10, 5, rivals("joblib", f"{codec} 3"), own(codec)
    yield "bzip2 beside pbzip2 and lbzip2", 1, 1, rivals("tools", "pbzip2 9", "lbzip2 9"), own("bzip2")
    yield "xz beside xz -T2", 1, 1, rivals("tools", "xz -T2 6"), own("xz")
    yield "lzma beside xz --format=lzma", 1, 1, rivals("tools", "lzma 6"), own("lzma")
    for codec in ("zstd", "lz4"):
        yield (f"{codec}, filter auto, beside Blosc's", 1, 1,
               [r for r in runs if r.library == "blosc2" and r.codec == codec],
               own(codec, lambda r: r.variant.endswith(" auto")))


def matched(rivals, candidates, save_bar, load_bar):
    """Triples of a rival, stele's standard level (with filter auto) beside it, and the best of what is no larger."""
    triples = []
    for rival in sorted(rivals, key=lambda r: (list(SETS).index(r.set), r.variant)):
        there = [r for r in candidates if r.set == rival.set]
        standard = [r for r in there if r.standard and r.variant.endswith(" auto")]
        triples.append((rival, Match(rival, standard[0], save_bar, load_bar) if standard else None,
                        best_match(rival, there, save_bar, load_bar)))
    return triples


def bars(results):
    """Rows of (work, bar, measured, whether it is met)."""
    rows = []
    for title, save_bar, load_bar, rivals, candidates in contests(results):
        if not candidates:
            rows.append((title, f"{save_bar} and {load_bar} times", "not in this build", False))
            continue
        triples = matched(rivals, candidates, save_bar, load_bar)
        for way, bar in (("save", save_bar), ("load", load_bar)):
            best = [getattr(match, way) if match else 0.0 for _, _, match in triples]
            standard = [getattr(match, way) for _, match, _ in triples if match]
            smaller = sum(match.fits for _, match, _ in triples if match)
            met = sum(value >= bar for value in best)
            size = "about the same" if rivals and rivals[0].library == "tools" else "no larger"
            rows.append((f"{way} {title}", f"{bar} times at {size} size",
                         f"{min(best):.2f} to {max(best):.2f}, median {statistics.median(best):.2f}; met in {met} of "
                         f"{len(best)}; the standard level {min(standard):.2f} to {max(standard):.2f}, of such a size "
                         f"in {smaller} of {len(standard)}", met == len(best)))
    for codec in CODECS:
        name = f"memory/{codec} auto"
        if name not in results:
            continue
        save, load = results.median(name, "save_mib"), results.median(name, "load_mib")
        size = f"{results.median(name, 'plain') / 2**20:.0f} MiB"
        if codec in ("gzip", "zlib", "lz4", "zstd"):
            rows.append((f"peak memory above {size}, {codec}, 2 threads", "under 16 MiB",
                         f"{save:.1f} MiB saving, {load:.1f} MiB loading", max(save, load) < 16))
    for codec in CODECS:
        if codec in ("zlib", "lzma") or f"one/{codec}" not in results:
            continue
        share = results.median(f"one/{codec}") / results.median(f"one/{codec}", "load_ms")
        rows.append((f"one array of 100, {codec}", "under 5 % of the whole", f"{share:.1%}", share < 0.05))
    for codec in CODECS:
        if codec == "lzma" or f"scaling/{codec}/1" not in results:
            continue
        save, load = scaling(results, codec)
        rows.append((f"save, two threads beside one, {codec}", "1.8 times", f"{save:.2f}", save >= 1.8))
        if codec != "zlib":  # which is read in order
            rows.append((f"load, two threads beside one, {codec}", "1.8 times", f"{load:.2f}", load >= 1.8))
    return rows


def scaling(results, codec):
    one, two = f"scaling/{codec}/1", f"scaling/{codec}/2"
    return (results.median(one) / results.median(two), results.median(one, "load_ms") / results.median(two, "load_ms"))


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def label(run):
    name = "stele" if run.library == "stele" else run.library if run.library != "tools" else "tool"
    return f"{name}: {run.variant}" + (" (part)" if run.part else "")


def tables(results, table):
    """Yields pairs of a title and what stands below it."""
    runs = all_runs(results)
    yield "Time, memory and disk", "![Time to save and load beside the size, for each data set](compression/picture.svg)"

    note = ("Times of stele's speed and share of the rival's size: of the standard level with filter auto, and of what is\n"
            "best among those no larger than the rival (than a tool: by no more than 2 %).\n\n")
    for title, save_bar, load_bar, rivals, candidates in contests(results):
        rows = []
        for rival, standard, best in matched(rivals, candidates, save_bar, load_bar):
            empty = ["-"] * 4
            rows.append([f"{rival.set}: {rival.variant}", number(rival.save), number(rival.load), f"{rival.ratio:.2f}",
                         *(standard.text() if standard else empty), *(best.text() if best else empty)])
        if rows and candidates:
            yield f"stele's {title}", note + table(
                ["rival", "save MB/s", "load MB/s", "ratio", "standard", "save", "load", "size", "best", "save", "load",
                 "size"], rows)

    for name, title in SETS.items():
        own = sorted((r for r in runs if r.set == name), key=lambda r: (r.library != "stele", r.library, r.part, r.codec))
        if not own:
            continue
        size = max(r.plain for r in own) / 2**20
        yield f"{title}; {size:.0f} MiB", (
            "MB/s of plain bytes; memory above the object in MiB, of tools the whole process's; (part): on\n"
            f"{min(r.plain for r in own) / 2**20:.0f} MiB from all over it.\n\n"
            + table(["", "save MB/s", "load MB/s", "ratio", "save MiB", "load MiB"],
                    [[label(r), number(r.save), number(r.load), f"{r.ratio:.2f}", f"{r.save_mib:.1f}",
                      f"{r.load_mib:.1f}"] for r in own]))

    yield "Peak memory above one large array, 2 threads", table(
        ["", "array MiB", "saving MiB", "loading MiB", "save MB/s", "load MB/s"],
        [[name.removeprefix("memory/"), f"{results.median(name, 'plain') / 2**20:.0f}",
          *(f"{results.median(name, key):.1f}" for key in ("save_mib", "load_mib")),
          *(number(results.median(name, "plain") / 1e3 / ms)
            for ms in (results.median(name), results.median(name, "load_ms")))]
         for name in results.names() if name.startswith("memory/")])
    yield "One array of 100, and all of them", table(
        ["", "one ms", "all ms", "share"],
        [[name.removeprefix("one/"), f"{results.median(name):.2f}", f"{results.median(name, 'load_ms'):.1f}",
          f"{results.median(name) / results.median(name, 'load_ms'):.1%}"]
         for name in results.names() if name.startswith("one/")])
    yield "Two threads beside one: times as fast", table(
        ["", "save", "load"],
        [[codec, *(f"{value:.2f}" for value in scaling(results, codec))]
         for codec in CODECS if f"scaling/{codec}/1" in results])


# --- The picture -----------------------------------------------------------------------------------------------------

COLOURS = {"plain": "#999999", "gzip": "#0072b2", "zlib": "#56b4e9", "bzip2": "#8c564b", "lzma": "#6a3d9a",
           "xz": "#cc79a7", "lz4": "#009e73", "zstd": "#d55e00", "blosc2": "#e0a000", "h5py": "#4d4d4d",
           "numpy": "#4d4d4d"}
FAMILY = {"bz2": "bzip2", "pigz": "gzip", "pbzip2": "bzip2", "lbzip2": "bzip2"}
MARKS = {"joblib": "s", "tools": "^", "blosc2": "D", "h5py": "P", "numpy": "X"}


def colour(run):
    return COLOURS[run.library if run.library in COLOURS else FAMILY.get(run.codec, run.codec)]


def is_filled(run):
    return run.library == "stele" and (run.codec == "plain" or run.variant.endswith(" auto"))


def area(mib):
    """Points squared; a joblib that takes all the object once more is about the largest."""
    return 14 + 26 * math.sqrt(max(mib, 0))


def picture(results, path):
    """Seconds for 100 MB against the size, for each data set; the area of a mark grows with the memory."""
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    plt.rcParams.update({"svg.hashsalt": "stele", "svg.fonttype": "none", "font.size": 9,
                         "font.family": ["DejaVu Sans"]})
    runs = all_runs(results)
    sets = [name for name in SETS if any(r.set == name for r in runs)]
    figure, axes = plt.subplots(len(sets), 2, figsize=(11, 3.1 * len(sets) + 1.3), squeeze=False, layout="constrained")
    for row, name in zip(axes, sets):
        own = [r for r in runs if r.set == name]
        for axis, way in zip(row, ("save", "load")):
            axis.grid(True, color="#e4e4e4", linewidth=0.6)
            axis.set_axisbelow(True)
            axis.set_xscale("log")
            axis.set_title(f"{SETS[name]}: {'saving' if way == 'save' else 'loading'}", loc="left", fontsize=9,
                           fontweight="bold")
            axis.set_ylabel("% of the plain size")
            for marker, rank in (*((m, 2) for m in MARKS.values()), ("o", 3)):
                here = [r for r in own if MARKS.get(r.library, "o") == marker]
                if here:
                    axis.scatter([100 / getattr(r, way) for r in here], [100 / r.ratio for r in here],
                                 s=[area(getattr(r, f"{way}_mib")) for r in here], marker=marker, linewidths=1.1,
                                 facecolors=[colour(r) if is_filled(r) else "none" for r in here],
                                 edgecolors=[colour(r) for r in here], alpha=None, zorder=rank)
            for codec in CODECS:
                line = sorted(((100 / getattr(r, way), 100 / r.ratio) for r in own
                               if r.library == "stele" and r.codec == codec and r.variant.endswith(" auto")))
                if line:
                    axis.plot(*zip(*line), color=COLOURS[codec], linewidth=0.9, alpha=0.6, zorder=1)
            axis.set_ylim(0, 108)
            low, high = axis.get_xlim()
            decades = math.log10(high / low)
            steps = (1, 2, 5) if decades < 1.8 else (1, 3) if decades < 3 else (1,)
            axis.xaxis.set_major_locator(LogLocator(subs=steps, numticks=20))
            axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
            axis.xaxis.set_minor_locator(NullLocator())
    for axis in axes[-1]:
        axis.set_xlabel("seconds for 100 MB, logarithmic")

    def entry(text, marker, colour_name, filled=True, size=7):
        return Line2D([], [], linestyle="none", marker=marker, markersize=size, label=text, color=colour_name,
                      markerfacecolor=colour_name if filled else "none")

    present = {FAMILY.get(r.codec, r.codec) for r in runs if r.library in ("stele", "joblib", "tools")}
    handles = [entry(codec, "o", COLOURS[codec]) for codec in ["plain", *CODECS] if codec in present]
    handles += [entry("stele, filter auto", "o", "#222222"), entry("stele, filter none", "o", "#222222", False),
                entry("joblib", "s", "#222222", False), entry("command line tools", "^", "#222222", False),
                entry("Blosc", "D", COLOURS["blosc2"], False), entry("HDF5", "P", COLOURS["h5py"], False),
                entry("savez_compressed", "X", COLOURS["numpy"], False)]
    handles += [entry(f"{mib} MiB above the object", "o", "#bbbbbb", True, math.sqrt(area(mib))) for mib in (1, 16, 64)]
    figure.suptitle("Time against memory against disk: lower left is better", fontsize=13, fontweight="bold")
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    path.write_text(re.sub(r"(\.\d\d)\d+", r"\1", path.read_text()))  # a hundredth of a point is enough
