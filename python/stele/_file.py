"""Open files: values by path, arrays that are read in part."""

from __future__ import annotations

import difflib
import operator
import os
import re
import weakref
from collections.abc import ItemsView, Mapping, Sequence, ValuesView
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple, Union

from . import _core
from ._archive import _trust
from ._errors import Error, make
from ._lazy import LazyArray
from ._tree import Tree, is_value, join, tree_of
from ._types import AnyPath, Trusted
from ._urls import is_remote

__all__ = ["File", "Info", "Node", "info", "open", "verify"]


@dataclass(frozen=True)
class Info:
    """A summary of a file."""

    codec: str
    """"plain", "zstd", "gzip", …"""
    stored_bytes: int
    """Of the file."""
    plain_bytes: int
    """Of the archive, decompressed."""
    bytes_after: int
    """Plain bytes after it, if a file holds several archives."""
    arrays: int
    """Arrays of 4 KiB or more."""
    array_bytes: int
    """Their stored bytes."""
    encoded_arrays: int
    """Those stored with a filter, which cannot be mapped."""
    pieced_arrays: int
    """Not among `arrays`: written while they grew, in pieces; cannot be mapped."""
    format: int
    """The version of the file format; 0 for other programs' files."""
    writer: str
    """The program that wrote it; the format's name for other programs' files."""
    metadata: Dict[str, Union[str, int, float, bool]]
    """What was given as `metadata` when it was saved."""

    @property
    def ratio(self) -> float:
        """Plain bytes per stored byte."""
        return (self.plain_bytes + self.bytes_after) / self.stored_bytes if self.stored_bytes else 0.0


class Opening(NamedTuple):
    """How a file was opened, to open it again."""

    path: Any
    mmap_mode: Any
    trusted: Any
    untrusted: Any
    options: Any

    def open(self) -> Any:
        resolver, inert = _trust(self.trusted, self.untrusted)
        return _core.OpenFile(self.path, dict(self.options, mmap_mode=self.mmap_mode), resolver, inert)

    def shared(self) -> Any:
        """One handle for all that was unpickled in this process, as long as the file is the same."""
        if is_remote(self.path):
            version: Any = ()  # reading finds changes
        else:
            status = os.stat(self.path)
            version = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        key = (os.getpid(), self.path, version, self.mmap_mode, repr((self.trusted, self.untrusted, self.options)))
        handle = _unpickled.get(key)
        if handle is None:
            handle = _unpickled[key] = self.open()
        return handle


_unpickled: "weakref.WeakValueDictionary" = weakref.WeakValueDictionary()


def open(path: AnyPath, mmap_mode: Optional[str] = None, *, trusted: Trusted = (), untrusted: str = "error", threads: int = 0,
         verify: str = "automatic", limits: Optional[Dict[str, int]] = None, offset: int = 0) -> "File":
    """Opens a file of which parts are read.

    Reads the directory at its end; this takes microseconds, whatever the size of the arrays. A file that cannot be read at
    any place, such as another tool's gzip file, is decompressed into memory.

    Parameters
    ----------
    path : str or path
        An archive, or a file of NumPy, safetensors, pickle, joblib or PyTorch; compressed or not.
    mmap_mode : {None, "r", "r+", "c"}
        Arrays are views of the file: read-only, with changes that reach the file, or with private ones.
    trusted, untrusted, threads, verify, limits, offset
        As for `load`, for what `File.load` and `Node.load` rebuild.

    Returns
    -------
    File

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    stele.Error
        If it is damaged or no archive, or if a compressed file is to be mapped.

    Examples
    --------
    >>> import stele, numpy as np, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "model.stele.zst")
    >>> stele.dump({"layers": [{"weights": np.ones((3000, 4))}], "epoch": 3}, path)
    >>> with stele.open(path) as f:
    ...     f["epoch"], f["layers/0/weights"][10:12, 0], list(f.keys())
    (3, array([1., 1.]), ['layers', 'epoch'])
    """
    _trust(trusted, untrusted)  # wrong arguments
    if isinstance(trusted, (str, bytes, type)) or callable(trusted):
        trusted = (trusted,)
    elif not isinstance(trusted, bool) and trusted is not None:
        trusted = tuple(trusted)
    try:
        absolute = path if is_remote(path) else os.path.abspath(os.fspath(path))
    except TypeError:
        raise TypeError(f"expected a path, found {type(path).__name__}") from None
    options = dict(threads=threads, verify=verify, limits=limits, offset=offset)
    return File(Opening(absolute, mmap_mode, trusted, untrusted, options))


class File:
    """An open file. Made by `open`.

    ``file["layers/3/weights"]`` is a `LazyArray` for an array, a `Node` for a container, and the value itself for
    everything else. A path has the keys, indices and names of attributes that lead to a value, with slashes between. In a key,
    ``~`` is written ``~0`` and ``/`` is ``~1``; an empty key is ``~``. The empty path is the whole object.

    Several threads may use one. It can be pickled: by its path and options, so that another process opens the file itself.
    Arrays that were taken from it stay valid when it is closed.
    """

    __slots__ = ("_opening", "_open", "__weakref__")

    def __init__(self, opening: Opening, handle: Any = None) -> None:
        self._opening = opening
        self._open = handle if handle is not None else opening.open()

    # --- The file ---

    @property
    def path(self) -> str:
        """The absolute path, or the URL."""
        return os.fsdecode(self._opening.path)

    @property
    def mmap_mode(self) -> Optional[str]:
        return self._opening.mmap_mode

    @property
    def closed(self) -> bool:
        return self._open.closed

    def close(self) -> None:
        """Lets go of the file. Using the File or its nodes is then a ValueError."""
        self._open.close()

    def __enter__(self) -> "File":
        self._open.info()  # raises if it is closed
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    @property
    def info(self) -> Info:
        """Codec, sizes, writer and metadata."""
        return Info(**self._open.info())

    @property
    def metadata(self) -> Dict[str, Union[str, int, float, bool]]:
        """What was given as `metadata` when the file was saved."""
        return self._open.info()["metadata"]

    def verify(self) -> None:
        """Compares everything with the checksums.

        Raises
        ------
        stele.Error
            With the code "damaged", and the array and its rows where an array is.
        """
        self._open.verify()

    def flush(self) -> None:
        """Writes changes of arrays to the device, with their checksums, where `mmap_mode` is "r+".

        Raises
        ------
        stele.Error
            With the code "read_only" for another mode, or "io".
        """
        self._open.flush()

    # --- Values ---

    def __getitem__(self, path: Any) -> Any:
        if not isinstance(path, str):
            return self._at("")[path]
        return self._at(path)

    def get(self, path: str, default: Any = None) -> Any:
        """The value at a path, or `default` if there is none."""
        try:
            return self[path]
        except (KeyError, IndexError):
            return default

    def __contains__(self, path: Any) -> bool:
        if not isinstance(path, str):
            return path in self._at("")
        return self._open.contains(path)

    def keys(self) -> Iterable[Any]:
        """The keys of the object: of a dict, the names of attributes, the indices of a list; none for an array or a leaf."""
        root = self._at("")
        if isinstance(root, Mapping):
            return root.keys()
        return range(len(root)) if isinstance(root, Node) else ()

    def values(self) -> Iterable[Any]:
        """What `self[key]` is for each key."""
        root = self._at("")
        return root.values() if isinstance(root, Mapping) else root if isinstance(root, Node) else ()

    def items(self) -> Iterable[Tuple[Any, Any]]:
        """Pairs of `keys` and `values`."""
        return zip(self.keys(), self.values())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._at(""))

    def __len__(self) -> int:
        return len(self._at(""))

    def __bool__(self) -> bool:
        return True

    def load(self, path: str = "") -> Any:
        """The object at a path, whole, as `stele.load` makes it.

        Parameters
        ----------
        path : str
            Everything if it is empty.

        Raises
        ------
        KeyError
            If there is no value at the path.
        stele.UntrustedError
            If it has objects of classes that were not trusted in `open`.
        """
        try:
            return self._open.load(path)
        except KeyError as error:
            raise self._missing(path, error) from None

    def tree(self, path: str = "", *, depth: int = 8, items: int = 50) -> "Tree":
        """What is in the file, as text, and in notebooks as a tree that unfolds, with histograms of arrays.

        Parameters
        ----------
        path : str
            Where it begins.
        depth : int
            Levels below that.
        items : int
            Of one container. A tree has at most 2000 values.
        """
        try:
            return tree_of(self._open.share(), path, self, depth, items)
        except KeyError as error:
            raise self._missing(path, error) from None

    def __repr__(self) -> str:
        if self.closed:
            return f"<stele.File {self.path}, closed>"
        facts = self.info
        mapped = f", mapped {self.mmap_mode!r}" if self.mmap_mode else ""
        return f"<stele.File {self.path}: {facts.codec}, {facts.stored_bytes} bytes{mapped}>"

    def _repr_html_(self) -> Optional[str]:
        return None if self.closed else self.tree()._repr_html_()

    def __reduce__(self) -> Any:
        return _file_again, (self._opening,)

    # --- For nodes ---

    def _at(self, path: str) -> Any:
        try:
            return self._find(path)
        except KeyError as error:
            raise self._missing(path, error) from None

    def _find(self, path: str) -> Any:
        """As _at(), whose message says more."""
        kind, types, count, is_leaf, value = self._open.glance(path)
        if is_leaf:
            return value
        if not types and kind == "array":
            array = LazyArray(self._opening, self._open, path)
            is_number = array.shape == () and array._array.dtype_name == "complex128"  # as load() makes one of it
            return self._open.load(path) if is_number else array
        if is_value(types, kind):
            return self._open.load(path)
        return (_Sequence if kind == "sequence" else _Mapping)(self, path, kind, types, count)

    def _missing(self, path: str, error: Exception) -> Exception:
        """The KeyError for a path that leads nowhere, with the names that come nearest."""
        if getattr(error, "code", "") != "not_found":
            return error
        steps = path.split("/")
        found = 0
        while found < len(steps) - 1 and self._open.contains("/".join(steps[: found + 1])):
            found += 1
        parent = "/".join(steps[:found])
        try:
            names = [str(key) for key in self._keys_at(parent)]
        except (Error, TypeError):
            names = []
        near = difflib.get_close_matches(_plain(steps[found]), names, 3, 0.5)
        where = f"in {parent}" if parent else "in the file"
        hint = ""
        if near:
            hint = "; did you mean " + " or ".join(join(parent, _escape(name)) for name in near) + "?"
        elif names:
            hint = f"; there are {', '.join(names[:8])}{', …' if len(names) > 8 else ''} {where}"
        message = f"there is no value at the path {path}{hint}"
        name = os.fsdecode(self._opening.path)
        return make("not_found", f"{name}: {message}", message, path, None, name)

    def _keys_at(self, path: str) -> List[Any]:
        node = self._at(path)
        if isinstance(node, _Mapping):
            return list(node)[:10000]
        if isinstance(node, _Sequence):
            return list(range(min(len(node), 10)))
        return []


def _file_again(opening):
    return File(opening, opening.shared().share())


_sequence_types = {"py:tuple": "tuple", "py:set": "set", "py:frozenset": "frozenset"}


def _escape(name):
    return name.replace("~", "~0").replace("/", "~1") or "~"


def _plain(step):
    return "" if step == "~" else step.replace("~1", "/").replace("~0", "~")


_may_be_number = re.compile(r"[-+.0-9einfa]*\Z").match


class Node:
    """A container in an open file, of which nothing was read yet.

    A dict, and an object by its attributes, is a `Mapping` with its keys; a list, tuple or set a `Sequence`. Values
    are what ``file[path]`` gives. ``node.load()`` makes the object.
    """

    __slots__ = ("_file", "_path", "_kind", "_types", "_count", "_found")

    def __init__(self, file: File, path: str, kind: str, types: Tuple[str, ...], count: Optional[int]) -> None:
        self._file = file
        self._path = path
        self._kind = kind
        self._types = types
        self._count = count
        self._found: Any = None

    @property
    def path(self) -> str:
        """The place in the file."""
        return self._path

    @property
    def type(self) -> str:
        """"dict", "list", "tuple", or the class of an object, "sklearn.svm._classes.SVC"."""
        for name in reversed(self._types):
            return name[3:] if name.startswith("py:") else name
        return {"map": "dict", "record": "dict", "sequence": "list"}.get(self._kind, self._kind)

    if TYPE_CHECKING:  # of Mapping and Sequence; a list has no keys

        def __getitem__(self, key: Any) -> Any: ...
        def __contains__(self, key: Any) -> bool: ...
        def __iter__(self) -> Iterator[Any]: ...
        def __len__(self) -> int: ...
        def keys(self) -> Any: ...
        def values(self) -> Any: ...
        def items(self) -> Any: ...
        def get(self, key: Any, default: Any = None) -> Any: ...

    def load(self) -> Any:
        """The object itself, as `File.load` makes it."""
        return self._file.load(self._path)

    def tree(self, *, depth: int = 8, items: int = 50) -> Tree:
        """What is in it; see `File.tree`."""
        return self._file.tree(self._path, depth=depth, items=items)

    def _repr_html_(self) -> str:
        return self.tree()._repr_html_()

    def __repr__(self) -> str:
        count = f" of {self._count}" if self._count is not None else ""
        return f"<stele.Node {self._path or '(root)'}: {self.type}{count}>"

    def __eq__(self, other: Any) -> bool:
        return self is other or (isinstance(other, Node) and self._path == other._path and self._file is other._file)

    def __hash__(self) -> int:
        return hash((id(self._file), self._path))

    def __bool__(self) -> bool:
        return len(self) > 0

    def __reduce__(self) -> Any:
        return _node_in, (self._file, self._path)

    def _rows(self):
        return self._file._open.children(self._path)


def _node_in(file, path):
    return file._at(path)


class _Mapping(Node, Mapping):  # type: ignore[misc]
    __slots__ = ()
    __eq__ = Node.__eq__
    __hash__ = Node.__hash__

    def _children(self) -> Dict[Any, Tuple[bool, Any]]:
        """By key: whether the value is known, and the value, or else its path."""
        if self._found is None:
            found = {}
            for key, step, known, value in self._rows():
                found[key if type(key) is str else _hashable(key)] = (known, value if known else join(self._path, step))
            if self._types and self._types[-1].startswith("py:"):
                found = self._members(found) or found
            self._found = found
        return self._found

    def _members(self, fields):
        """The attributes of an object."""
        members = {}
        for field in ("state", "entries"):
            if field not in fields or fields[field][0]:
                continue
            part = self._file._at(fields[field][1])
            halves = [part]
            if isinstance(part, _Sequence) and len(part) == 2:  # attributes, and those in slots
                halves = list(part)
            for half in halves:
                if isinstance(half, _Mapping):
                    for name, child in half._children().items():
                        members.setdefault(name, child)
        return members

    def __getitem__(self, key: Any) -> Any:
        is_text = isinstance(key, str)
        # A large dict is searched in the file.
        if is_text and self._found is None and (self._count or 0) > 1000 and not _may_be_number(key):
            try:
                return self._file._find(join(self._path, _escape(key)))
            except KeyError:
                pass
        else:
            child = self._children().get(_hashable(key))
            if child is not None:
                known, value = child
                return value if known else self._file._at(value)
        if not is_text:
            raise KeyError(key)
        return self._file._at(join(self._path, key if "/" in key or key.startswith("~") else _escape(key)))

    def __contains__(self, key: Any) -> bool:
        try:
            if _hashable(key) in self._children():
                return True
        except TypeError:
            return False
        return isinstance(key, str) and "/" in key and join(self._path, key) in self._file

    def __iter__(self) -> Iterator[Any]:
        return iter(self._children())

    def items(self) -> ItemsView:
        return _Items(self)

    def values(self) -> ValuesView:
        return _Values(self)

    def __len__(self) -> int:
        plain = self._count is not None and not self._types
        return self._count if plain else len(self._children())  # type: ignore[return-value]


class _Items(ItemsView):
    __slots__ = ()

    def __iter__(self):
        node = self._mapping
        for key, (known, value) in node._children().items():
            yield key, value if known else node._file._at(value)


class _Values(ValuesView):
    __slots__ = ()

    def __iter__(self):
        return (value for _, value in _Items(self._mapping))


class _Sequence(Node, Sequence):  # type: ignore[misc]
    __slots__ = ()
    __eq__ = Node.__eq__
    __hash__ = Node.__hash__

    @property
    def type(self) -> str:
        return _sequence_types.get(self._types[-1], Node.type.fget(self)) if self._types else "list"  # type: ignore

    def __len__(self) -> int:
        if self._count is None:
            self._count = len(self._rows())
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str):
            return self._file._at(join(self._path, index))
        if isinstance(index, slice):
            return [self._file._at(join(self._path, str(i))) for i in range(*index.indices(len(self)))]
        try:
            number = operator.index(index)
        except TypeError:
            raise TypeError(f"an index of a {self.type} is an integer, a slice or a path, not "
                            f"{type(index).__name__}") from None
        size = len(self)
        if not -size <= number < size:
            raise IndexError(f"index {number} of a {self.type} of {size}")
        return self._file._at(join(self._path, str(number % size)))

    def __iter__(self) -> Iterator[Any]:
        for _, step, known, value in self._rows():
            yield value if known else self._file._at(join(self._path, step))

    def __contains__(self, value: Any) -> bool:
        return any(item is value or (not isinstance(item, LazyArray) and item == value) for item in self)


def _hashable(key):
    """As load() makes keys of dicts."""
    if hasattr(key, "tolist") and getattr(key, "ndim", 0):
        key = key.tolist()
    return tuple(key) if type(key) is list else key


def info(path: AnyPath) -> Info:
    """A summary of a file: codec, sizes, writer, metadata. Reads its directory alone.

    Raises
    ------
    FileNotFoundError, stele.Error
    """
    with open(path) as file:
        return file.info


def verify(path: AnyPath, *, threads: int = 0, limits: Optional[Dict[str, int]] = None) -> None:
    """Reads a file and compares everything with its checksums; all of its archives, if it holds several.

    Raises
    ------
    FileNotFoundError
    stele.Error
        With the place of the damage.
    """
    _core.verify(path, dict(threads=threads, limits=limits))


File.__module__ = Node.__module__ = Info.__module__ = "stele"
