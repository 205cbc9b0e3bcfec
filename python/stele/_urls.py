"""Files beyond the local file system that Python's fsspec and obstore reach: the other half is src/storage.cpp."""

from __future__ import annotations

import contextlib
import io
import os
import re
import threading
import urllib.parse
import uuid
import weakref
from typing import Any, Dict, Iterator, List, Optional, Tuple, Union

from . import _core
from ._errors import Error, failure

__all__ = ["Folder", "RemotePath", "folder"]

# What the core reaches without Python. All other schemes are fsspec's.
_core_schemes = frozenset({"file", "s3", "http", "https"} if hasattr(_core, "remote_options") else {"file"})
_url = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)(::(?=.*://)|://)", re.DOTALL)
_alias = "fsspec://"  # before URLs whose form is not the core's, and "@name" of an object that the caller gave
_given: Dict[str, Any] = {}  # those objects
_packages = {"gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs", "adl": "adlfs", "s3": "s3fs",
             "s3a": "s3fs", "http": "aiohttp", "https": "aiohttp", "hf": "huggingface_hub", "sftp": "paramiko",
             "ssh": "paramiko", "smb": "smbprotocol", "oss": "ossfs", "github": "requests", "webhdfs": "requests"}
_Found = Tuple[str, int, float, str]  # key, bytes, seconds since 1970, etag


def is_remote(path: Any) -> bool:
    """Whether a path is remote: a URL, including those that the core opens, or a RemotePath."""
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    return isinstance(path, RemotePath) or (isinstance(path, str) and _url.match(path) is not None
                                            and not path.lower().startswith("file://"))


def local_folder(path: Any, what: str) -> str:
    """The absolute path of what must be on this machine; `what` is as in "a store is a local folder"."""
    if is_remote(path):
        raise failure("unsupported", f"cannot use it: {what}", file=path)
    path = os.fspath(path)
    if isinstance(path, str) and path[:7].lower() == "file://":
        rest = path[7:].removeprefix("localhost")
        if not rest.startswith("/"):
            raise failure("invalid_argument", "a file URL is file:///, then the path from the root", file=path)
        path = os.fsdecode(urllib.parse.unquote_to_bytes(rest))
    return os.path.abspath(path)


def name_for_core(url: str) -> Optional[str]:
    """What the core is given for a path that has "://" in it; None if it means the core's own."""
    found = _url.match(url)
    if found is None or found.group(2) == "://" and found.group(1).lower() in _core_schemes:
        return None
    if url.startswith(_alias):
        return url
    if found.group(2) == "::":
        return _alias + url
    rest = url[found.end():]
    if found.group(1).lower() == "memory" and "/" not in rest:
        rest = "/" + rest  # of a file in the root
    return f"{found.group(1).lower()}://{rest}"


class RemotePath:
    """A file, or a folder, in a file system of fsspec or a store of obstore; for all that takes a path.

    A URL ("gs://bucket/key", "memory://x", "simplecache::az://c/x") needs none of this: it takes fsspec's own settings.

    Parameters
    ----------
    system : fsspec.AbstractFileSystem or obstore.store.ObjectStore
        With the credentials and settings it was made with. It is kept as long as the process lives.
    path : str
        The key, relative to the store.

    Examples
    --------
    >>> import stele, fsspec                                                                           # doctest: +SKIP
    >>> at = stele.RemotePath(fsspec.filesystem("gs", token="anon"), "bucket/models")                  # doctest: +SKIP
    >>> stele.dump({"x": 1}, at / "m.stele")                                                           # doctest: +SKIP
    """

    __slots__ = ("system", "path")

    def __init__(self, system: Any, path: str) -> None:
        if not (_is_obstore(system) or hasattr(system, "cat_file")):
            raise TypeError(f"expected a file system of fsspec or a store of obstore, found {type(system).__name__}")
        self.system = system
        self.path = str(path).rstrip("/")
        if _is_obstore(system):
            self.path = self.path.lstrip("/")

    def __truediv__(self, name: str) -> "RemotePath":
        return RemotePath(self.system, f"{self.path}/{name}" if self.path else name)

    def __fspath__(self) -> str:
        kind = type(self.system).__name__
        with _lock:
            for name, known in _given.items():
                if known is self.system:
                    break
            else:
                name = f"@{kind}-{len(_given) + 1}"
                _given[name] = self.system
        return f"{_alias}{name}/{self.path}"

    def __reduce__(self) -> Any:
        return RemotePath, (self.system, self.path)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, RemotePath) and other.system is self.system and other.path == self.path

    def __hash__(self) -> int:
        return hash((id(self.system), self.path))

    def __repr__(self) -> str:
        return f"stele.RemotePath({self.system!r}, {self.path!r})"


_lock = threading.Lock()


def _is_obstore(system: Any) -> bool:
    return type(system).__module__.partition(".")[0] == "obstore" and not hasattr(system, "cat_file")


def storage_at(url: str) -> "_Storage":
    """The storage of a folder's or prefix's URL, for the core.

    Raises
    ------
    stele.Error
        With the code "unsupported" where a package is missing or nobody knows the scheme.
    """
    named = url[len(_alias):] if url.startswith(_alias) else url
    if named.startswith("@"):
        name, _, path = named.partition("/")
        system = _given.get(name)
        if system is None:
            raise failure("not_found", "this store is not one of this process: pass the RemotePath itself", file=url)
        return _Obstore(url, system, path) if _is_obstore(system) else _Fsspec(url, system, path)
    try:
        import fsspec
        system, path = fsspec.core.url_to_fs(named)
        return _Fsspec(url, system, path.rstrip("/"))
    except ImportError as error:
        package = _packages.get(named.rpartition("::")[2].partition("://")[0].lower(), "")
        message = f"this URL needs a package that is not there ({error}): pip install fsspec {package}".rstrip()
        raise failure("unsupported", message, file=url) from error
    except ValueError as error:
        raise failure("unsupported", f"there is no file system for it: {error}", file=url) from error
    except Exception as error:  # noqa: BLE001 - of any engine
        raise failure("io", f"{type(error).__name__}: {error}", file=url) from error


@contextlib.contextmanager
def _raising(file: str) -> Iterator[None]:
    """What engines raise becomes a stele.Error that names the file."""
    try:
        yield
    except (Error, ImportError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise failure("not_found", f"there is no such file ({error})", file=file) from error
    except PermissionError as error:
        raise failure("denied", str(error) or "permission denied", file=file) from error
    except Exception as error:  # noqa: BLE001 - of any engine
        if type(error).__name__ == "PreconditionError":
            raise failure("changed", "it has changed since it was opened", file=file) from error
        kinds = {one.__name__ for one in type(error).__mro__}
        code = "denied" if kinds & {"PermissionDeniedError", "UnauthenticatedError", "ClientAuthenticationError"} else "io"
        raise failure(code, f"{type(error).__name__}: {error}".rstrip(": "), file=file) from error


def _seconds(time: Any) -> float:
    if isinstance(time, (int, float)):
        return float(time)
    return float(time.timestamp()) if hasattr(time, "timestamp") else 0.0


class _Storage:
    """What the core calls. Thread-safe."""

    def __init__(self, url: str, system: Any, root: str) -> None:
        self.url = url
        self.system = system
        self.root = root

    def at(self, key: str) -> str:
        return f"{self.root}/{key}" if self.root else key

    def named(self, key: str) -> str:
        return f"{self.url}/{key}"

    def find(self, key: str) -> Optional[_Found]:
        raise NotImplementedError

    def fetch(self, key: str, ranges: List[Tuple[int, int]], etag: str) -> List[Any]:
        """The bytes of ranges (begin, end) of an object that has still this etag."""
        raise NotImplementedError

    def read(self, key: str, ranges: List[Tuple[int, memoryview]], etag: str) -> None:
        pieces = []
        for offset, into in ranges:
            parts = max(1, len(into) // _piece_bytes)
            edges = [len(into) * part // parts for part in range(parts + 1)]
            pieces += [(offset + begin, into[begin:end]) for begin, end in zip(edges, edges[1:])]
        with _raising(self.named(key)):
            found = self.fetch(key, [(first, first + len(into)) for first, into in pieces], etag)
        for (first, into), got in zip(pieces, found):
            view = memoryview(got).cast("B")
            if len(view) != len(into):
                raise failure("truncated", f"expected {len(into)} bytes at {first}, found {len(view)}", file=self.named(key))
            into[:] = view

    def _require_same(self, key: str, etag: str) -> None:
        now = self.find(key) if etag else None
        if etag and (now is None or now[3] != etag):
            raise failure("changed", "it has changed since it was opened", file=self.named(key))

    def reader(self, key: str) -> "_Reader":
        found = self.find(key)
        if found is None:
            raise failure("not_found", "there is no such file", file=self.named(key))
        with _lock:  # one for all that have it open now
            name = self.url, key, found[3]
            reader = _readers.get(name)
            if reader is None:
                reader = _readers[name] = _Reader(self, key, found[1], found[3])
            return reader


_piece_bytes = 8 << 20  # of one request, so that several run at once
_readers: "weakref.WeakValueDictionary[Tuple[str, str, str], _Reader]" = weakref.WeakValueDictionary()


class _Reader:
    """Reads an object as it is now. What is near to a small read comes with it, and what is planned in few pieces."""

    ahead_bytes = 64 << 10
    most_segments = 16
    window_bytes = 32 << 20  # of what is planned

    def __init__(self, storage: _Storage, key: str, size: int, etag: str) -> None:
        self.storage = storage
        self.key = key
        self.size = size
        self.etag = etag
        self._lock = threading.Lock()
        self._segments: List[Tuple[int, bytearray]] = []  # the one used last at the end
        self._planning = threading.Lock()
        self._window: Tuple[int, bytearray] = (0, bytearray())  # the last piece of a plan

    def _fetch(self, begin: int, size: int) -> bytearray:
        read = bytearray(size)
        self.storage.read(self.key, [(begin, memoryview(read))], self.etag)
        return read

    def read_at(self, offset: int, into: memoryview, plan_begin: int, plan_end: int) -> None:
        count = len(into)
        if count < self.ahead_bytes and self._read_near(offset, into, False):
            return
        if plan_begin <= offset and offset + count <= plan_end and count <= self.window_bytes and plan_end - plan_begin > count:
            with self._planning:  # others want what is being fetched
                first, data = self._window
                if not (first <= offset and offset + count <= first + len(data)):
                    left = plan_end - offset
                    first = offset
                    data = self._fetch(offset, left if left < 2 * self.window_bytes else self.window_bytes)
                    self._window = first, data
                into[:] = memoryview(data)[offset - first:offset - first + count]
                if offset + count == plan_end:
                    self._window = 0, bytearray()  # nobody comes back
        elif count >= self.ahead_bytes:
            self.storage.read(self.key, [(offset, into)], self.etag)
        else:
            self._read_near(offset, into, True)

    def _read_near(self, offset: int, into: memoryview, fetch: bool) -> bool:
        count = len(into)
        with self._lock:
            for at, (first, data) in enumerate(self._segments):
                if first <= offset and offset + count <= first + len(data):
                    self._segments.append(self._segments.pop(at))
                    into[:] = memoryview(data)[offset - first:offset - first + count]
                    return True
        if fetch:
            begin = max(0, min(offset, self.size - self.ahead_bytes))
            data = self._fetch(begin, min(self.ahead_bytes, self.size - begin))
            into[:] = memoryview(data)[offset - begin:offset - begin + count]
            with self._lock:
                self._segments.append((begin, data))
                del self._segments[:-self.most_segments]
        return fetch


class _Fsspec(_Storage):
    _of_content = ("ETag", "etag", "generation", "md5Hash", "content_md5", "version_id", "VersionId", "ino")
    _times = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")

    def _info(self, key: str) -> Optional[Dict[str, Any]]:
        path = self.at(key)
        self.system.invalidate_cache(self.system._parent(path))
        try:
            info: Dict[str, Any] = self.system.info(path)
        except FileNotFoundError:
            return None
        return info if info.get("type") != "directory" and info.get("size") is not None else None

    def _found(self, key: str, info: Dict[str, Any]) -> _Found:
        time = next((info[name] for name in self._times if info.get(name) is not None), 0)
        marks = [str(info[name]) for name in (*self._of_content, *self._times) if info.get(name) is not None]
        return key, int(info["size"]), _seconds(time), "|".join([str(info["size"]), *marks])

    def find(self, key: str) -> Optional[_Found]:
        with _raising(self.named(key)):
            info = self._info(key)
        return None if info is None else self._found(key, info)

    def list(self, prefix: str) -> List[_Found]:
        folder = prefix.rpartition("/")[0]
        top = self.at(folder) if folder else self.root
        with _raising(self.url):
            self.system.invalidate_cache()
            try:
                found = self.system.find(top, detail=True)
            except FileNotFoundError:
                return []
        root = self.system._strip_protocol(self.root).rstrip("/") + "/" if self.root else ""
        made = []
        for path, info in found.items():
            key = path[len(root):] if path.startswith(root) else path.lstrip("/")
            if key.startswith(prefix) and not key.endswith(_unfinished):
                made.append(self._found(key, info))
        return sorted(made)

    def fetch(self, key: str, ranges: List[Tuple[int, int]], etag: str) -> List[Any]:
        path = self.at(key)
        try:
            if len(ranges) == 1:
                found = [self.system.cat_file(path, start=ranges[0][0], end=ranges[0][1])]
            else:
                found = self.system.cat_ranges([path] * len(ranges), [first for first, _ in ranges], [end for _, end in ranges],
                                               on_error="raise")
        except Exception:
            with contextlib.suppress(FileNotFoundError):  # it may be shorter now
                self._require_same(key, etag)
            raise
        # fsspec reads on no condition: what is the same afterwards was the same before.
        self._require_same(key, etag)
        return found

    def writer(self, key: str) -> Any:
        with _raising(self.named(key)):
            return _writing(self.system, self.at(key), self.named(key))

    def put(self, key: str, content: bytes, when: str, etag: str) -> Optional[str]:
        if when != "always":
            raise failure("unsupported", "fsspec has no conditional writes", file=self.named(key))
        out = self.writer(key)
        out.write(memoryview(content))
        out.close()
        found = self.find(key)
        return found[3] if found else ""

    def remove(self, key: str) -> None:
        with _raising(self.named(key)), contextlib.suppress(FileNotFoundError):
            self.system.rm_file(self.at(key))


_unfinished = ".stele-unfinished"


def _writing(system: Any, path: str, name: str) -> Any:
    from fsspec.implementations.memory import MemoryFileSystem
    from fsspec.spec import AbstractBufferedFile

    if isinstance(system, MemoryFileSystem):
        return _InMemory(system, path, name)
    if _commits(system):
        system.makedirs(system._parent(path), exist_ok=True)
        return _Upload(system.open(path, "wb", autocommit=False), name)
    # Most have files that appear when they are closed. Of the others, what is written is seen at once, and what was there
    # is gone: which it is, a file of another name tells.
    temporary = f"{path}.{uuid.uuid4().hex}{_unfinished}"
    try:
        file = system.open(temporary, "wb")
    except FileNotFoundError:  # there are folders
        system.makedirs(system._parent(path), exist_ok=True)
        file = system.open(temporary, "wb")
    if not isinstance(file, AbstractBufferedFile):
        return _Renamed(system, path, temporary, file, name)
    file.closed = True  # nothing was sent
    return _Upload(system.open(path, "wb"), name)


def _commits(system: Any) -> bool:
    """Whether its files are local ones, which appear by a rename."""
    from fsspec.implementations.local import LocalFileSystem

    while hasattr(system, "fs") and type(system).__name__ == "DirFileSystem":
        system = system.fs
    return isinstance(system, LocalFileSystem)


class _Upload:
    """A file that appears when it is closed, or committed where it has that."""

    def __init__(self, file: Any, name: str) -> None:
        self.file, self.name = file, name

    def write(self, view: Any) -> None:
        with _raising(self.name):
            self.file.write(view)

    def close(self) -> None:
        with _raising(self.name):
            self.file.close()
            if not getattr(self.file, "autocommit", True):
                self.file.commit()

    def discard(self) -> None:
        # Its destructor would close it, and so complete it.
        if hasattr(self.file, "f"):  # a local one
            self.file.close()
        try:
            self.file.discard()
        finally:
            with contextlib.suppress(AttributeError):
                self.file.closed = True


class _InMemory(_Upload):
    """A file of fsspec's MemoryFileSystem, which is there as soon as one opens it."""

    def __init__(self, system: Any, path: str, name: str) -> None:
        super().__init__(io.BytesIO(), name)
        self.system, self.path = system, path

    def close(self) -> None:
        with _raising(self.name):
            self.system.pipe_file(self.path, self.file.getvalue())

    def discard(self) -> None:
        self.file = None


class _Renamed(_Upload):
    """A file that is written under another name in the same folder."""

    def __init__(self, system: Any, path: str, temporary: str, file: Any, name: str) -> None:
        super().__init__(file, name)
        self.system, self.path, self.temporary = system, path, temporary

    def close(self) -> None:
        with _raising(self.name):
            self.file.close()
            self.system.mv(self.temporary, self.path)

    def discard(self) -> None:
        with contextlib.suppress(Exception):
            self.file.close()
        with contextlib.suppress(FileNotFoundError):
            self.system.rm_file(self.temporary)


class _Obstore(_Storage):
    @property
    def _api(self) -> Any:
        import obstore

        return obstore

    @staticmethod
    def _found(key: str, meta: Any) -> _Found:
        time = _seconds(meta["last_modified"])
        return key, int(meta["size"]), time, str(meta["e_tag"] or f"{meta['size']}-{time}")

    def find(self, key: str) -> Optional[_Found]:
        with _raising(self.named(key)):
            try:
                return self._found(key, self._api.head(self.system, self.at(key)))
            except FileNotFoundError:
                return None

    def list(self, prefix: str) -> List[_Found]:
        folder = prefix.rpartition("/")[0]
        top = self.at(folder) if folder else self.root
        with _raising(self.url):
            found = [one for chunk in self._api.list(self.system, prefix=top or None) for one in chunk]
        skipped = len(self.root) + 1 if self.root else 0
        made = [self._found(one["path"][skipped:], one) for one in found]
        return sorted(one for one in made if one[0].startswith(prefix))

    def fetch(self, key: str, ranges: List[Tuple[int, int]], etag: str) -> List[Any]:
        from concurrent.futures import ThreadPoolExecutor

        has_condition = etag.startswith('"')  # a weak one never matches

        def one(piece: Tuple[int, int]) -> Any:
            options: Any = {"range": piece, "if_match": etag} if has_condition else {"range": piece}
            return self._api.get(self.system, self.at(key), options=options).bytes()

        try:
            if len(ranges) == 1:
                found = [one(ranges[0])]
            else:
                with ThreadPoolExecutor(min(8, len(ranges))) as threads:
                    found = list(threads.map(one, ranges))
        finally:
            if not has_condition:
                self._require_same(key, etag)
        return found

    def writer(self, key: str) -> Any:
        with _raising(self.named(key)):
            return _ObstoreUpload(self._api.open_writer(self.system, self.at(key)), self.named(key))

    def put(self, key: str, content: bytes, when: str, etag: str) -> Optional[str]:
        mode: Any = {"always": "overwrite", "absent": "create", "unchanged": {"e_tag": etag}}[when]
        with _raising(self.named(key)):
            try:
                done = self._api.put(self.system, self.at(key), content, mode=mode)
            except (self._api.exceptions.AlreadyExistsError, self._api.exceptions.PreconditionError):
                return None
            if done["e_tag"]:
                return str(done["e_tag"])
        found = self.find(key)
        return found[3] if found else ""

    def remove(self, key: str) -> None:
        with _raising(self.named(key)), contextlib.suppress(FileNotFoundError):
            self._api.delete(self.system, self.at(key))


class _ObstoreUpload(_Upload):
    """An upload of obstore's, which appears when it is closed."""

    def write(self, view: Any) -> None:
        super().write(bytes(view))

    def discard(self) -> None:
        self.file = None  # what was not closed does not appear


class Folder:
    """A folder of files that are written whole, or a prefix of objects in a store."""

    def __init__(self, place: Any) -> None:
        self.place: Union[str, RemotePath] = place
        if not isinstance(place, RemotePath):
            self.place = os.fsdecode(place).rstrip("/") if is_remote(place) else os.path.abspath(os.fsdecode(place))
        self._storage = _core.Storage(self.place)

    def __reduce__(self) -> Any:
        return Folder, (self.place,)

    def at(self, name: str) -> Any:
        """What `stele.dump`, `stele.load` and `stele.open` take for a file of the folder."""
        return self.place / name if isinstance(self.place, RemotePath) else f"{self.place}/{name}"

    def make(self) -> None:
        """Makes the folder, where there are such things."""
        if not is_remote(self.place):
            os.makedirs(self.place, exist_ok=True)

    def sizes(self) -> Dict[str, int]:
        """The files in it by their names, which have no slash, with their bytes; none if there is no such folder."""
        return {key: size for key, size, _, _ in self._storage.list("") if "/" not in key}

    def remove(self, name: str) -> None:
        """Removes a file, which may be gone already."""
        self._storage.remove(name)


def version_of(place: Any) -> Any:
    """What changes when a file, or the archive in a folder, is replaced."""
    path = os.fsdecode(place) if is_remote(place) else os.path.abspath(os.fsdecode(place))
    path = (name_for_core(path) or path).rstrip("/")
    above, _, name = path.rpartition("/")
    found = _core.Storage(above or "/").find(name) or _core.Storage(path).find(_sharded_manifest)
    return None if found is None else (found[1], found[3])


_sharded_manifest = "manifest.stele"


def folder(place: Any) -> Folder:
    """A folder by its path or URL."""
    return place if isinstance(place, Folder) else Folder(place)


RemotePath.__module__ = "stele"
