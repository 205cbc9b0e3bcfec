"""The group `counts`: token counts beside standard containers and Python's dict, on real words."""

import importlib.metadata
import platform

# The programs in the order of a round, and how often each repeats its benchmarks.
PROGRAMS = {
    "rivals prepare": 1,
    "counts_bench": 3,
    "rivals dict": 3,
}
ROUNDS = 1  # sizes are the same in every round, and times are medians of repetitions

SETS = {
    "languages": "42 tables, one for each language",
    "words": "the words of all languages in one table",
    "pairs": "millions of pairs of words in one table",
}
RIVALS = ["std::map", "std::unordered_map", "sorted vector", "dict"]
OWN = ["stele", "stele, mapped", "stele, count_many"]
QUERIES = ["words of sentences", "known", "unknown"]


def versions():
    words, sentences = (f"{name} {importlib.metadata.version(name)}" for name in ("wordfreq", "django"))
    return f"Python {platform.python_version()}; words of {words}, sentences of {sentences}"


def nanoseconds(results, name):
    """For one look-up."""
    return 1e6 * results.median(name) / results.median(name, "look_ups")


def resident(results, what, structure):
    """Bytes of memory for one token."""
    name = f"counts/{what}/build/{structure}"
    return results.median(name, "resident") / results.median(name, "tokens")


def sets(results):
    return [what for what in SETS if f"counts/{what}/map" in results]


def bars(results):
    """Rows of (work, bar, measured, whether it is met)."""
    rows = []
    for what in sets(results):
        least, memory, file = (results.median(f"counts/{what}/map", key) for key in ("least", "memory", "file"))
        rows.append((f"token counts in memory, {what}", "1.15 of the bytes of tokens and counts",
                     f"{memory / least:.3f}", memory <= 1.15 * least))
        rows.append((f"token counts in a file, {what}", "1.15 of the bytes of tokens and counts",
                     f"{file / least:.3f}", file <= 1.15 * least))
        for rival in ("std::map", "std::unordered_map"):
            ratio = resident(results, what, rival) / resident(results, what, "stele")
            rows.append((f"token counts, resident memory, {what}", f"a quarter of {rival}'s", f"1 / {ratio:.1f}",
                         ratio >= 4))
        for queries in QUERIES:
            name = f"counts/{what}/{queries}"
            if f"{name}/stele" not in results:
                continue
            own, theirs = (nanoseconds(results, f"{name}/{structure}") for structure in ("stele", "std::map"))
            rows.append((f"look-up of {queries}, {what}", "ahead of std::map", f"{theirs / own:.1f} times as fast",
                         own < theirs))
    return rows


def tables(results, table):
    """Yields pairs of a title and what stands below it."""
    rows = []
    for what in sets(results):
        least, memory, file, tokens = (results.median(f"counts/{what}/map", key)
                                       for key in ("least", "memory", "file", "tokens"))
        own = resident(results, what, "stele")
        row = [f"{what}: {tokens / 1e6:.2f} million", *(f"{size / tokens:.1f}" for size in (least, memory, file)),
               f"{own:.1f}"]
        for rival in RIVALS:
            row.append(f"{(size := resident(results, what, rival)):.1f} ({size / own:.1f})"
                       if f"counts/{what}/build/{rival}" in results else "-")
        rows.append(row)
    yield "Bytes for one token", (
        "".join(f"- {what}: {title}\n" for what, title in SETS.items())
        + "\nLeast: the bytes of the token and of its count, as narrow as it can be. Resident: what the process grew by;\n"
        "in brackets, times stele's.\n\n"
        + table(["", "least", "in memory", "in the file", "stele, resident", *RIVALS], rows))

    rows = []
    for what in sets(results):
        for queries in QUERIES:
            names = [f"counts/{what}/{queries}/{structure}" for structure in (*OWN, *RIVALS)]
            if names[0] in results:
                rows.append([f"{what}: {queries}",
                             *(f"{nanoseconds(results, name):.0f}" if name in results else "-" for name in names)])
    yield "Nanoseconds for a look-up", (
        "Known: each token as likely as any other. Unknown: one that differs from a known one in a bit. Words of\n"
        "sentences: each in all 42 tables, in most of them unknown.\n\n"
        + table(["", *OWN, *RIVALS], rows))

    rows = []
    for what in sets(results):
        for structure in ("stele", *RIVALS):
            name = f"counts/{what}/build/{structure}"
            if name in results:
                rows.append([f"{what}: {structure}", f"{results.median(name):.0f}",
                             f"{1e6 * results.median(name) / results.median(name, 'tokens'):.0f}"])
    yield "Building a table, tokens in random order", (
        "dict: with the reading of the text they come from.\n\n" + table(["", "ms", "ns a token"], rows))

    works = ["map", "load", "save", "top 1000", "remove_below", "merge"]
    yield "Other work; ms", (
        "The last three with one table; merge adds it to itself, of the languages another one.\n\n"
        + table(["", *works], [[what, *(f"{results.median(f'counts/{what}/{work}'):.2f}" for work in works)]
                               for what in sets(results)]))

    if "counts/classify" in results:
        sentences, languages, right = (results.median("counts/classify", key)
                                       for key in ("sentences", "languages", "right"))
        yield "Language identification by a table of words for each language", (
            f"{languages:.0f} languages, {sentences:.0f} sentences of a web framework's translations: "
            f"{right / sentences:.1%} right, {1e3 * results.median('counts/classify') / sentences:.1f} µs for a sentence.")
