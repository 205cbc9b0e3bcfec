"""The exceptions of stele, each also one of Python's own."""

from __future__ import annotations

import os
from typing import List, Optional

__all__ = ["Error", "UntrustedError"]


class Error(Exception):
    """What stele raises for files, archives and options.

    Every instance is also one of Python's exceptions where one fits: `FileNotFoundError` or `OSError` for the file
    system, `KeyError` for a path that is not in an archive, `ValueError` for damaged and malformed files and wrong
    arguments, `TypeError` for a stored type that does not fit, `MemoryError` for limits.

    Attributes
    ----------
    code : str
        What went wrong, for programs: "not_found", "damaged", "truncated", "malformed", "limit_exceeded", …
    message : str
        The message without file, path and offset.
    path : str
        The place in the object graph, "layers/3/weights"; empty for the root and where it is unknown.
    offset : int or None
        The byte offset from the start of the plain archive.
    file : str
        The file as the caller named it; empty for memory.
    """

    code = ""
    message = ""
    path = ""
    offset: Optional[int] = None
    file = ""

    def __str__(self):
        return str(self.args[0]) if self.args else ""

    def __reduce__(self):
        return make, (self.code, str(self), self.message, self.path, self.offset, self.file)


Error.__module__ = "stele"


def _that_is(*kinds):
    """The class of errors that are some of Python's own, too."""
    return type("Error", (Error, *kinds), {"__module__": "stele"})


_file_not_found, _no_path, _io, _value = map(_that_is, (FileNotFoundError, KeyError, OSError, ValueError))
_classes = {
    "io": _io,
    "type_mismatch": _that_is(TypeError),
    "out_of_range": _that_is(IndexError, ValueError),
    "limit_exceeded": _that_is(MemoryError, ValueError),
    "read_only": _that_is(ValueError, PermissionError),
    "busy": _io,
    "denied": _that_is(PermissionError),
    "changed": _io,
}


def make(code, what, message, path="", offset=None, file=""):
    """The exception for an error of the library."""
    kind = _classes.get(code, _value)
    if code == "not_found":
        # A file that is not there, or a path in one that is.
        kind = _file_not_found if file and not os.path.exists(file) and not path else _no_path
    error = kind(what)
    error.code, error.message, error.path, error.offset, error.file = code, message, path, offset, file
    return error


def failure(code, message, path="", file=""):
    """The same of one of this package's own, whose text begins with the file and the path."""
    file = str(file)
    return make(code, ": ".join(part for part in (file, path, message) if part), message, path, None, file)


class UntrustedError(Error, ValueError):
    """An archive names classes or functions that are not trusted, so they were neither imported nor called.

    Attributes
    ----------
    names : list of str
        What `trusted=` would have to allow, "module.qualname".
    """

    names: List[str] = []

    def __reduce__(self):
        return untrusted, (self.names,)


UntrustedError.__module__ = "stele"


def untrusted(names):
    names = sorted(names)
    error = UntrustedError(
        "the file holds objects that are not trusted: " + ", ".join(names) + ". If you trust who wrote it, pass "
        "trusted=" + repr(names) + ", trusted=True for everything, or untrusted=\"inert\" to look at their attributes."
    )
    error.code, error.message, error.names = "unknown_type", str(error), names
    return error
