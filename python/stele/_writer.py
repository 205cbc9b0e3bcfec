"""Files that are written piece by piece, and files of many objects."""

from __future__ import annotations

from typing import Any, Dict, Iterator, Optional

import numpy as np

from . import _core
from ._archive import _trust
from ._types import AnyPath, Trusted
from ._lazy import _read_ahead

__all__ = ["Appender", "Writer", "appender", "batches", "convert", "entries", "writer"]


class Writer:
    """Writes a dict entry by entry. Made by `writer`.

    ``w[key] = value`` writes an entry; ``w[key].append(batch)`` makes an array grow. Keys are str, each is written
    once. Leaving the ``with`` block makes the file appear; an exception leaves the old one as it is.
    """

    __slots__ = ("_writer", "_growing", "_written", "_closed")

    def __init__(self, file: Any, options: dict) -> None:
        self._writer = _core.EntryWriter(file, options)
        self._growing: Optional[Growing] = None
        self._written: Dict[str, str] = {}
        self._closed = False

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"the keys of a file that is written entry by entry are str, not {type(key).__name__}")
        if isinstance(value, Growing):
            raise TypeError("an array grows under one key")
        if key in self._written:
            raise ValueError(f"the entry {key!r} was written before")
        self._end()
        self._writer.write(key, value)
        self._written[key] = "an entry"

    def __getitem__(self, key: str) -> "Growing":
        if not isinstance(key, str):
            raise TypeError(f"the keys of a file that is written entry by entry are str, not {type(key).__name__}")
        if self._growing is not None and self._growing.key == key:
            return self._growing
        return Growing(self, key)

    def __contains__(self, key: Any) -> bool:
        return key in self._written

    def close(self) -> None:
        """Makes the file appear. Afterwards nothing can be written."""
        if not self._closed:
            self._end()
            self._writer.close()
            self._closed = True

    def abandon(self) -> None:
        """Leaves the old file as it is."""
        self._closed = True
        self._growing = None
        self._writer.abandon()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: Any, *exception: Any) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _end(self) -> None:
        if self._growing is not None:
            self._growing = None
            self._writer.end()


class Growing:
    """An array that grows in a file: ``w[key]``."""

    __slots__ = ("_writer", "key", "dtype", "row_shape", "rows")

    def __init__(self, writer: Writer, key: str) -> None:
        self._writer = writer
        self.key = key
        self.dtype: Optional[np.dtype] = None
        self.row_shape: Optional[tuple] = None
        self.rows = 0

    def append(self, batch: Any) -> None:
        """Appends rows.

        Parameters
        ----------
        batch : array_like
            Of shape (rows, …). The first one decides the dtype and the shape of a row; later ones must have the same,
            or, where they are not arrays, become such.

        Raises
        ------
        ValueError
            For other rows, and after another entry or array was begun: arrays grow one after another.
        TypeError
            For another dtype, and dtypes whose elements have no fixed size.
        """
        writer = self._writer
        if self.dtype is None:
            if self.key in writer._written:
                raise ValueError(f"{self.key!r} is complete: arrays grow one after another, as the file is written in order")
            batch = np.asarray(batch)
            if batch.ndim == 0:
                raise ValueError("a batch has rows: it has at least one dimension")
            if not batch.dtype.isnative:
                batch = batch.astype(batch.dtype.newbyteorder("="))
            writer._end()
            writer._writer.begin(self.key, batch)
            writer._growing = self
            writer._written[self.key] = "an array"
            self.dtype, self.row_shape = batch.dtype, batch.shape[1:]
        else:
            if writer._growing is not self:
                raise ValueError(f"{self.key!r} is complete: arrays grow one after another, as the file is written in order")
            if isinstance(batch, np.ndarray) or hasattr(batch, "dtype"):
                batch = np.asarray(batch)
                if batch.dtype != self.dtype and batch.dtype.newbyteorder("=") != self.dtype:
                    raise TypeError(f"a batch of {batch.dtype} for {self.key!r}, whose first batch was of {self.dtype}")
            batch = np.asarray(batch, self.dtype)
            if batch.ndim == 0 or batch.shape[1:] != self.row_shape:
                raise ValueError(f"a batch of shape {batch.shape} for {self.key!r}, whose rows have the shape "
                                 f"{self.row_shape}")
            writer._writer.append(batch)
        self.rows += batch.shape[0]

    def __repr__(self) -> str:
        if self.dtype is None:
            return f"<stele growing array {self.key!r}, not begun>"
        return f"<stele growing array {self.key!r}: {self.rows} rows of {self.dtype}{list(self.row_shape or ())}>"


def writer(file: Any, *, codec: Optional[str] = None, level: Optional[int] = None, filter: str = "auto", threads: int = 0,
           metadata: Optional[Dict[str, Any]] = None, sync: str = "none", in_place: bool = False,
           limits: Optional[Dict[str, int]] = None) -> Writer:
    """Writes a file entry by entry, with arrays whose number of rows need not be known.

    Memory holds a few batches at most. `load` and `open` see a dict.

    Parameters
    ----------
    file : str, path or binary file
        A path appears only when the writer is closed.
    codec, level, filter, threads, metadata, sync, in_place, limits
        As for `dump`.

    Returns
    -------
    Writer
        For a ``with`` statement.

    Notes
    -----
    In a plain file such an array can be mapped like any other. In a compressed file one of 1 MiB or more is stored in
    pieces: it can be loaded and read in part, but not mapped.

    Examples
    --------
    >>> import stele, numpy as np, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "features.stele.zst")
    >>> with stele.writer(path) as w:
    ...     w["source"] = "camera 3"
    ...     for batch in range(10):
    ...         w["rows"].append(np.full((32, 4), batch, np.float32))
    >>> stele.open(path)["rows"].shape
    (320, 4)
    """
    return Writer(file, dict(codec=codec, level=level, filter=filter, threads=threads, metadata=metadata, sync=sync,
                             in_place=in_place, limits=limits))


class Appender:
    """Appends objects to a file. Made by `appender`."""

    __slots__ = ("_appender",)

    def __init__(self, path: Any, options: dict, commit_every: int) -> None:
        self._appender = _core.ObjectAppender(path, options, commit_every)

    def append(self, value: Any) -> None:
        """Appends one object. It is visible to readers after the next commit."""
        self._appender.append(value)

    def commit(self) -> None:
        """Makes what was appended visible and as durable as `sync` says; a crash leaves all of it or nothing."""
        self._appender.commit()

    def close(self) -> None:
        """Commits and lets go of the file."""
        self._appender.close()

    @property
    def entries(self) -> int:
        """The objects in the file that are committed."""
        return self._appender.entries

    @property
    def pending(self) -> int:
        """The objects that were appended and not committed."""
        return self._appender.pending

    @property
    def cut_bytes(self) -> int:
        """The bytes of an incomplete commit that were cut off."""
        return self._appender.cut_bytes

    def __enter__(self) -> "Appender":
        return self

    def __exit__(self, kind: Any, *exception: Any) -> None:
        if kind is None:
            self.close()
        else:
            self._appender.abandon()


def appender(path: AnyPath, *, commit_every: int = 0, codec: Optional[str] = None, level: Optional[int] = None,
             filter: str = "auto", threads: int = 0, metadata: Optional[Dict[str, Any]] = None,
             sync: str = "none") -> Appender:
    """Appends objects to a file, today and another day; what is committed survives a crash.

    One appender at a time holds the file. `entries` reads it, also meanwhile.

    Parameters
    ----------
    path : str or path
        A new file, or one that an appender wrote.
    commit_every : int
        Commit after so many objects; 0: at `Appender.commit` and at the end of the ``with`` block. After an exception,
        what was not committed is left out.
    codec, level, filter, threads, metadata, sync
        As for `dump`. zlib and lzma cannot be appended to.

    Raises
    ------
    OSError
        With the code "busy" if another appender holds the file.
    stele.Error
        For a file of another kind, and a damaged one.

    Examples
    --------
    >>> import stele, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "log.stele.zst")
    >>> with stele.appender(path) as log:
    ...     for step in range(3):
    ...         log.append({"step": step, "loss": 1 / (1 + step)})
    >>> [entry["step"] for entry in stele.entries(path)]
    [0, 1, 2]
    """
    return Appender(path, dict(codec=codec, level=level, filter=filter, threads=threads, metadata=metadata, sync=sync),
                    commit_every)


def entries(file: Any, *, start: int = 0, trusted: Trusted = (), untrusted: str = "error", threads: int = 0,
            limits: Optional[Dict[str, int]] = None) -> Iterator[Any]:
    """The objects of a file one after another: of an `appender`, or of several calls of `dump` to one file object.

    Parameters
    ----------
    file : str, path or binary file
        A file object is read in order from its position on, so pipes will do.
    start : int
        Passes over so many objects; in an appender's file without reading them.
    trusted, untrusted, threads, limits
        As for `load`.

    Yields
    ------
    object

    Raises
    ------
    stele.Error
        Where an object is damaged. A commit that is being written, or was torn by a crash, ends the loop.
    """
    resolver, inert = _trust(trusted, untrusted)
    reader = _core.Entries(file, dict(threads=threads, limits=limits), resolver, inert, start)
    return _all_of(reader)


def _all_of(reader):
    while (found := reader.next()) is not None:
        yield found[0]


def batches(file: Any, path: str, count: int, *, threads: int = 0,
            limits: Optional[Dict[str, int]] = None) -> Iterator[np.ndarray]:
    """The rows of an array in a file that is read in order, such as a pipe or socket; in memory of a few batches.

    For a file on disk, ``open(file)[path].batches(count)`` does the same and can begin anywhere.

    Parameters
    ----------
    file : str, path or binary file
        A file object is read from its position on.
    path : str
        The place of the array in the object.
    count : int
        Rows of a batch; the last one is shorter.

    Yields
    ------
    numpy.ndarray
        Of shape (count, …), a new array each. The next one is read while the loop works on one.

    Raises
    ------
    KeyError
        If there is no value at the path.
    ValueError
        For a count below 1, and damage, which may be found after the last batch.
    """
    if count < 1:
        raise ValueError("a batch has at least one row")
    rows = _core.Rows(file, dict(threads=threads, limits=limits), path)
    return _read_ahead(lambda: rows.next(count))


def convert(source: AnyPath, target: AnyPath, *, metadata: Optional[Dict[str, Any]] = None, **options: Any) -> None:
    """Saves what a file holds to another: with another codec, filter or format.

    Generic objects stay what they are, and nothing is imported or called. Of a plain file, arrays are mapped rather than
    copied; of a compressed one, the object is in memory meanwhile. (``stele convert`` of the command line copies archives
    without that.)

    Parameters
    ----------
    source, target : str or path
        Archives or other programs' files; the extension of `target` chooses, as for `dump`.
    metadata : dict, optional
        Instead of the source's, which is kept otherwise.
    **options
        codec, level, filter, threads, sync, in_place, canonical, as for `dump`.

    Raises
    ------
    FileNotFoundError, stele.Error
    """
    _core.convert(source, target, dict(options, metadata=metadata), metadata is None)


for _class in (Appender, Writer):
    _class.__module__ = "stele"
