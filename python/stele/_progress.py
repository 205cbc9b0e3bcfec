"""progress=: a bar, or calls of a function."""

from __future__ import annotations

import contextlib


@contextlib.contextmanager
def reporting(progress, label, total=None):
    """What the library calls with the number of bytes so far; None where nobody wants to know."""
    if not progress:
        yield None
        return
    if callable(progress):
        yield progress
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        with _Line(label, total) as line:
            yield line
        return
    with tqdm(total=total, desc=label, unit="B", unit_scale=True, unit_divisor=1024, leave=False) as bar:
        yield lambda done: bar.update(done - bar.n)


@contextlib.contextmanager
def counting(progress, label):
    """As reporting(), of things: it is called with the number so far and that of all, and ends the work by False."""
    if not progress:
        yield None
        return
    if callable(progress):
        yield progress
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        with _Line(label, None) as line:
            yield lambda done, total: line.draw(f"{done} of {total}")
        return
    with tqdm(desc=label, leave=False) as bar:
        def report(done, total):
            bar.total = total
            bar.update(done - bar.n)

        yield report


class _Line:
    """One line on standard error, if that is a terminal."""

    def __init__(self, label, total):
        self.label, self.total, self.drawn = label, total, False

    def __enter__(self):
        return self

    def __call__(self, done):
        self.draw(f"{done >> 20}{f' of {self.total >> 20}' if self.total else ''} MiB")

    def draw(self, text):
        import sys

        if sys.stderr.isatty():
            sys.stderr.write(f"\r{self.label}: {text} ")
            sys.stderr.flush()
            self.drawn = True

    def __exit__(self, *_):
        import sys

        if self.drawn:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
