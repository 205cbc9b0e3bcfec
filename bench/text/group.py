"""The group `text`: states as text, characters and microseconds beside Python's own library."""

import platform
import zlib

# The programs in the order of a round, and how often each repeats its benchmarks.
PROGRAMS = {"text_bench": 3, "rivals states": 2}
ROUNDS = 1  # sizes are the same in every round, and times are medians of repetitions

SETS = {
    "even": "even: a geometric distribution of mean 1.5 at each place, as the article's state",
    "words": "words: Zipf's law over the places, the same for all; 2,000 words by state",
    "words, bursts": "words, bursts: the same with each user's own interest in each word",
}
WAYS = ["stele", "stele, in one call", "stele, level 6", "stele, zlib bytes", "stele, dictionary",
        "stele, dictionary, level 6"]
RIVALS = ["pack + zlib + base64", "json + zlib + base64", "json"]
PYTHON = RIVALS[0]


def versions():
    return f"Python {platform.python_version()}, zlib {zlib.ZLIB_RUNTIME_VERSION}"


def bars(results):
    """Rows of (work, bar, measured, whether it is met)."""
    rows = []

    def micro(way, name, how):
        return 1e3 * results.median(f"{way}/text/{name}/{how}")

    def characters(name, how):
        return results.median(f"encode/text/{name}/{how}", "characters")

    json_list, own = characters("even", "json"), characters("even", "stele")
    rows.append(("the article's state as text", f"at most a fifth of its JSON list of {json_list:,.0f} characters",
                 f"{own:,.0f} characters", own <= json_list / 5))
    packed = characters("even", PYTHON)
    rows.append(("the article's state as text", f"no more than Python's {packed:,.0f} characters",
                 f"{own:,.0f} characters", own <= packed))
    for way in ("encode", "decode"):
        for how in ("stele", "stele, in one call", "stele, zlib bytes"):
            took = micro(way, "even", how)
            rows.append((f"{way} the article's state: {how}", "under 20 µs", f"{took:.1f} µs", took < 20))
    saved = 1 - characters("sessions", "stele, dictionary") / characters("sessions", "stele")
    rows.append(("with a dictionary, sessions", "a third smaller than stele", f"{saved:.1%} smaller", saved >= 1 / 3))
    return rows


def tables(results, table):
    """Yields pairs of a title and what stands below it."""

    def row(name, how):
        ways = [f"{way}/text/{name}/{how}" for way in ("encode", "decode")]
        return [how, f"{results.median(ways[0], 'characters'):,.0f}",
                *(f"{1e3 * results.median(way):.1f}" for way in ways)]

    header = ["", "characters", "encode µs", "decode µs"]
    for name, title in SETS.items():
        yield f"3,000 counters as text, {title}", table(
            header, [row(name, how) for how in WAYS + RIVALS if f"encode/text/{name}/{how}" in results])
    yield "A struct of a name, a map of three numbers and twenty integers as text", table(
        header, [row("sessions", how) for how in WAYS if f"encode/text/sessions/{how}" in results])
    yield "1,000 states of 3,000 counters at once; states/s", table(
        ["", "encode", "decode"],
        [[f"{threads} threads", *(f"{results.median(f'{way}/batch/even/{threads}', 'states_per_second'):,.0f}"
                                 for way in ("encode", "decode"))] for threads in (1, 2)])
