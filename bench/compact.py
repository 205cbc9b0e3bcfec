"""The group `compact`: token counts, filters and states as text, each described in a module of its own."""

import compact_counts
import compact_filters
import compact_state

PARTS = (compact_counts, compact_filters, compact_state)
ROUNDS = 1  # sizes are the same in every round, and times are medians of repetitions

# The programs in the order of a round, and how often each repeats its benchmarks.
PROGRAMS = {program: repetitions for part in PARTS for program, repetitions in part.PROGRAMS.items()}
ONCE = {program for part in PARTS for program in getattr(part, "ONCE", ())}


def versions():
    return ", ".join(part.versions() for part in PARTS if hasattr(part, "versions"))


def bars(results):
    """Rows of (work, bar, measured, whether it is met)."""
    return [row for part in PARTS for row in part.bars(results)]


def tables(results, table):
    """Yields pairs of a title and what stands below it."""
    for part in PARTS:
        yield from part.tables(results, table)
