"""Calls what makes data, with arguments that a file gives.

The types of stele/_trust.py need no trust because of what is refused here: arguments that would open a file, take bytes for
pointers to objects, or cost more memory or time than the file could.
"""

from __future__ import annotations

import functools
import math
import re

import numpy as np

# Classes that may stand in a file, as the type of an array or a scalar, but are not called: they take memory of others.
_not_called = frozenset({"numpy.ndarray", "numpy.recarray", "numpy.rec.recarray"})
# Nothing that these take is iterated or allocated.
_harmless = frozenset({"datetime", "ipaddress", "pathlib", "pathlib._local", "types", "uuid", "zoneinfo"})
_bases = (object, bool, bytearray, bytes, complex, dict, float, frozenset, int, list, set, str, tuple)
_ratio = re.compile(r"-?\d+(/\d+)?")


def _has_huge(value, depth=0):
    """Whether something in a value is far longer than what the file has for it."""
    if isinstance(value, range):
        return len(value) > 1 << 24
    if isinstance(value, np.ndarray):
        if value.nbytes > 1 << 30 and 0 in value.strides:
            return True
        return value.dtype.hasobject and any(_has_huge(item, depth + 1) for item in value.flat)
    if depth > 20:
        return True
    if isinstance(value, dict):
        return any(_has_huge(part, depth + 1) for entry in value.items() for part in entry)
    return isinstance(value, (list, tuple, set, frozenset)) and any(_has_huge(item, depth + 1) for item in value)


def _check(name, args, kwargs):
    if name in _not_called:
        raise ValueError(f"{name} is not called: it would take memory that is not its own")
    if name in ("builtins.bytes", "builtins.bytearray") and args and isinstance(args[0], int):
        raise ValueError(f"{name} of a number of bytes, which the file does not have")
    if name == "fractions.Fraction" and any(
            not (_ratio.fullmatch(arg) if isinstance(arg, str) else isinstance(arg, (int, np.integer))) for arg in args):
        raise ValueError("a fraction that is not a ratio of integers")
    if name == "numpy.void" and args and not isinstance(args[0], (bytes, bytearray, np.generic, np.ndarray)):
        raise ValueError("numpy.void of a number of bytes, which the file does not have")
    if name.endswith(("._reconstruct", "._mareconstruct")) and math.prod(map(int, args[-2])) > 4096:
        raise ValueError("an array that is to be filled later, and is not empty")
    if name.endswith(".multiarray.scalar") and (len(args) < 2 or args[1] is None) and args[0].itemsize > 4096:
        raise ValueError("a scalar of more bytes than the file has")
    if name in ("numpy.array", "numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"):
        dtype = kwargs.get("dtype", args[1] if name == "numpy.array" and len(args) > 1 else None)
        if dtype is not None and np.dtype(dtype).itemsize > 4096:
            raise ValueError("an array of larger elements than the file has")
    if name == "pytz._p" and len(args) > 1:
        _check_offset(*args)
    if name == "copyreg._reconstructor" and (len(args) != 3 or args[1] not in _bases):
        raise ValueError("an object of a base that holds more than data")


def _check_arrow(made):
    """Arrow trusts the offsets in its buffers, and that text is UTF-8."""
    import pyarrow

    if isinstance(made, pyarrow.ChunkedArray):
        made.validate()
        for chunk in made.chunks:
            _check_arrow(chunk)
    elif not isinstance(made, (pyarrow.StringArray, pyarrow.LargeStringArray)) or not _is_ascii(made):
        made.validate(full=True)


def _is_ascii(array):
    """Whether an array of text is complete and has ASCII alone, which is told faster than that it is UTF-8."""
    import pyarrow

    array.validate()
    valid, offsets, data = array.buffers()
    if offsets is None or data is None:
        return False
    if valid is not None:
        bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")[array.offset:array.offset + len(array)]
        if array.null_count != len(array) - np.count_nonzero(bits):
            return False
    width = np.int32 if isinstance(array, pyarrow.StringArray) else np.int64
    places = np.frombuffer(offsets, width)[array.offset:array.offset + len(array) + 1]
    if len(places) < 2 or not (places[1:] >= places[:-1]).all() or not 0 <= places[0] <= places[-1] <= data.size:
        return False
    return np.frombuffer(data, np.uint8)[places[0]:places[-1]].max(initial=0) < 0x80


def _check_offset(zone, offset, saving, *_):
    """Refuses what pytz would enter among the offsets that a time zone has, for the whole process."""
    import pytz

    known = getattr(pytz.timezone(zone), "_tzinfos", {})
    if not any((other.total_seconds(), dst.total_seconds()) == (offset, saving) for other, dst, _ in known):
        raise ValueError("an offset that the time zone does not have")


@functools.lru_cache(1024)
def maker(name):
    """What makes objects of a name in the list of data; None where its arguments need no look.

    Returns
    -------
    callable or None
        Of the class or function, whether ``__new__`` is called, args, kwargs or None, and whether the file has something
        that is far longer than its bytes.
    """
    if name.rpartition(".")[0] in _harmless:
        return None

    def make(callable_, new, args, kwargs, huge):
        if huge and callable_ is not range and _has_huge([args, kwargs]):
            raise ValueError(f"{name} of something that is far longer than the file")
        _check(name, args, kwargs or {})
        if new:
            return callable_.__new__(callable_, *args, **(kwargs or {}))
        if name.endswith("numeric._frombuffer") and isinstance(args[0], np.ndarray):
            return from_raw(*args)
        made = callable_(*args, **(kwargs or {}))
        if name == "decimal.Decimal" and made.is_finite() and abs(made.adjusted()) > 100_000:
            raise ValueError("a decimal number with more digits than memory, as an integer")
        if name.startswith("pyarrow.") and hasattr(made, "validate"):
            _check_arrow(made)
        return made

    return make


def from_raw(raw, dtype, shape, order, axis_order=None):
    """The array over the bytes of another, as NumPy's _frombuffer makes it of a buffer."""
    shape = tuple(int(n) for n in shape)
    if np.dtype(dtype).itemsize == 0 and math.prod(shape) <= 1 << 24:
        return np.empty(shape, dtype, order)
    return raw.view(np.uint8).reshape(-1).view(dtype).reshape(shape, order=order)


def check_state(thing, state):
    """Refuses a state that an object would take without a look, and that reaches beyond its memory."""
    if isinstance(thing, np.dtype):
        raise ValueError("the state of a dtype, which says how memory is read")
    if isinstance(thing, np.random.BitGenerator):
        _check_positions(state)
    if isinstance(thing, np.ndarray) and isinstance(state, tuple):
        parts = state[1:] if len(state) == 5 else state  # without the version
        if isinstance(parts[-1], list) and len(parts[-1]) != math.prod(int(n) for n in parts[0]):
            raise ValueError(f"an array of the shape {parts[0]} with {len(parts[-1])} items")


def _check_positions(state):
    if isinstance(state, (tuple, list)):
        for part in state:
            _check_positions(part)
    elif isinstance(state, dict):
        for name, value in state.items():
            if name in ("pos", "buffer_pos") and not 0 <= int(value) <= 624:
                raise ValueError("a position outside the state of a random generator")
            _check_positions(value)
