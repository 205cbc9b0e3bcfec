"""Archives that tasks on many workers open, each for itself, and that must be the same for all."""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np

from ._errors import failure
from ._file import File, open
from ._types import Trusted
from ._urls import version_of

attempt_key = "stele.attempt"  # in the metadata of a sharded archive: a text that no other has


def pin(file: File, place: Any) -> Any:
    """What changes when the archive at a place is replaced."""
    return file.metadata.get(attempt_key), file.info.stored_bytes, version_of(place)


def open_pinned(place: Any, version: Any, trusted: Trusted = ()) -> File:
    """Opens the archive of which `pin` has told the version.

    Raises
    ------
    stele.Error
        With the code "changed" if it is another one now.
    """
    file = open(place, trusted=trusted, threads=1)
    if pin(file, place) != version:
        file.close()
        raise failure("changed", "the archive was replaced after it was first opened", file=place)
    return file


class PinnedArray:
    """An array in an archive: where it is unpickled, the archive is opened, and is found to be the same."""

    def __init__(self, place: Any, version: Any, path: str, array: Any) -> None:
        self.place, self.version, self.path, self.array = place, version, path, array
        self.shape: Tuple[int, ...] = array.shape
        self.dtype: np.dtype = array.dtype
        self.ndim: int = array.ndim

    def __getitem__(self, index: Any) -> Any:
        return self.array[index]

    def __reduce__(self) -> Any:
        return _pinned_again, (self.place, self.version, self.path)


def _pinned_again(place: Any, version: Any, path: str) -> PinnedArray:
    return PinnedArray(place, version, path, open_pinned(place, version)[path])
