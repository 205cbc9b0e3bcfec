"""progress=: a bar, or calls of a function."""

from __future__ import annotations

import contextlib
import sys


@contextlib.contextmanager
def _shown(progress, label, text, **options):
    """What the library calls with some numbers, of which `text` tells where there is no tqdm; None where nobody asks."""
    if not progress or callable(progress):
        yield progress or None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        with _Line(label) as line:
            yield lambda *numbers: line.draw(text(*numbers))
        return
    with tqdm(desc=label, leave=False, **options) as bar:
        def report(done, total=bar.total):
            bar.total = total
            bar.update(done - bar.n)

        yield report


def reporting(progress, label, total=None):
    """For the number of bytes so far."""
    of = f" of {total >> 20}" if total else ""
    return _shown(progress, label, lambda done: f"{done >> 20}{of} MiB", total=total, unit="B", unit_scale=True,
                  unit_divisor=1024)


def counting(progress, label):
    """For the number of things so far and that of all; False ends the work."""
    return _shown(progress, label, lambda done, total: f"{done} of {total}")


class _Line:
    """One line on standard error, if that is a terminal."""

    def __init__(self, label):
        self.label, self.drawn = label, False

    def __enter__(self):
        return self

    def draw(self, text):
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{self.label}: {text} ")
            sys.stderr.flush()
            self.drawn = True

    def __exit__(self, *_):
        if self.drawn:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
