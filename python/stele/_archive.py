"""dump() and load()."""

from __future__ import annotations

import os
from typing import Any, List, Optional, Tuple

from . import _core
from ._progress import reporting
from ._trust import Resolver
from ._types import AnyFile, Buffer, Limits, Metadata, Progress, Trusted
from ._urls import is_remote


def dump(value: Any, file: AnyFile, *, codec: Optional[str] = None, level: Optional[int] = None, filter: str = "auto",
         threads: int = 0, metadata: Optional[Metadata] = None, sync: str = "none", in_place: bool = False,
         canonical: bool = False, limits: Optional[Limits] = None, progress: Progress = None) -> None:
    """Saves an object to a file.

    Parameters
    ----------
    value : object
        Plain data, containers, arrays, and whatever pickle can take apart. Nothing is stored as a pickle.
    file : str, path or binary file
        A path appears only when it is complete; the old file stays whole until then. The extension chooses the format:
        ``.zst``, ``.gz``, ``.lz4``, ``.xz``, ``.bz2``, ``.z`` compress; ``.npy``, ``.npz``, ``.safetensors``,
        ``.pkl`` and ``.joblib`` are other programs' files. A file object is written from its position on.
    codec : str, optional
        "plain", "zstd", "gzip", "lz4", "xz", "bzip2", "zlib", "lzma"; instead of the extension's.
    level : int, optional
        The codec's level.
    filter : str
        How arrays are encoded before they are compressed: "auto", "none", or names such as "delta+shuffle".
    threads : int
        0: as many as the machine has.
    metadata : dict of str to str, int, float or bool, optional
        Stored beside the object; see `info`.
    sync : {"none", "file", "file_folder"}
        What must be on the device when this returns.
    in_place : bool
        Write into the existing file instead of replacing it; a crash meanwhile leaves a damaged file.
    canonical : bool
        Sort dicts and sets by their keys' bytes, so that equal objects give equal files.
    limits : dict, optional
        ``depth``: nested values, 1000.
    progress : bool or callable, optional
        True shows a bar on a terminal (tqdm's, if it is installed); a callable is given the bytes written so far. For
        paths.

    Raises
    ------
    stele.Error
        With the place in the object.
    TypeError
        For an object that cannot be taken apart, such as a lambda.
    """
    options = dict(codec=codec, level=level, filter=filter, threads=threads, metadata=metadata, sync=sync,
                   in_place=in_place, canonical=canonical, limits=limits)
    with reporting(progress, "saving") as report:
        _core.dump(value, file, report, options)


def dumps(value: Any, *, codec: Optional[str] = None, level: Optional[int] = None, filter: str = "auto", threads: int = 0,
          metadata: Optional[Metadata] = None, canonical: bool = False, limits: Optional[Limits] = None) -> bytes:
    """The bytes that `dump` writes to a file object."""
    return _core.dumps(value, dict(codec=codec, level=level, filter=filter, threads=threads, metadata=metadata,
                                   canonical=canonical, limits=limits))


def _trust(trusted, untrusted) -> Any:
    if untrusted not in ("error", "inert"):
        raise ValueError(f'untrusted is "error" or "inert", not {untrusted!r}')
    return Resolver(trusted), untrusted == "inert"


def load(file: AnyFile, mmap_mode: Optional[str] = None, *, trusted: Trusted = (), untrusted: str = "error",
         threads: int = 0, verify: str = "automatic", limits: Optional[Limits] = None, offset: int = 0,
         progress: Progress = None) -> Any:
    """Loads the object of a file.

    Nothing is imported or called but a fixed list of types that are data (docs/guide/python.md), unless it is trusted.
    The same holds for pickles and joblib's files.

    Parameters
    ----------
    file : str, path or binary file
        An archive, or a file of NumPy, safetensors, pickle, joblib or PyTorch; compressed or not. The first bytes tell.
        A file object is read from its position on and left right after the archive.
    mmap_mode : {None, "r", "r+", "c"}
        Arrays of 4 KiB or more stay in the file: read-only, with changes that reach the file, or with private ones.
    trusted : bool, or iterable of str, class or function
        Classes and functions that may rebuild objects: names ("sklearn.svm._classes.SVC"), patterns for classes
        ("sklearn.*"), objects, or True for all.
    untrusted : {"error", "inert"}
        What becomes of the rest: an error that lists the names, or `Inert` objects whose attributes can be read.
    threads : int
        0: as many as the machine has.
    verify : {"automatic", "none", "directory", "full"}
        What is checked against the checksums: everything when reading, all but large arrays when mapping.
    limits : dict, optional
        Bounds for hostile files: ``depth``, ``allocation``, ``expansion``, ``window``.
    offset : int
        Where the archive begins in the file.
    progress : bool or callable, optional
        True shows a bar on a terminal (tqdm's, if it is installed); a callable is given the bytes read so far. For paths
        that are not mapped.

    Raises
    ------
    FileNotFoundError, stele.UntrustedError, stele.Error
    """
    resolver, inert = _trust(trusted, untrusted)
    options = dict(mmap_mode=mmap_mode, threads=threads, verify=verify, limits=limits, offset=offset)
    known = progress is True and isinstance(file, (str, bytes, os.PathLike)) and not is_remote(file)
    total = os.path.getsize(file) if known else None
    with reporting(progress, "loading", total) as report:
        return _core.load(file, resolver, inert, report, options)


def loads(data: Buffer, *, trusted: Trusted = (), untrusted: str = "error", threads: int = 0,
          limits: Optional[Limits] = None) -> Any:
    """Loads the object of bytes that `dump` or `dumps` wrote; see `load`."""
    resolver, inert = _trust(trusted, untrusted)
    return _core.loads(data, resolver, inert, dict(threads=threads, limits=limits))


def types(file: AnyFile) -> List[Tuple[str, str, int]]:
    """The classes and functions that a file names, without importing or calling any.

    Returns
    -------
    list of (str, str, int)
        Name, risk ("data", "code" or "dangerous") and how often, the most dangerous first.
    """
    return _core.references(file, {})
