"""The store: a mapping in a folder."""

from __future__ import annotations

import collections.abc
import os
import threading
from typing import Any, Callable, Dict, Iterable, Iterator, List, MutableMapping, Optional, Tuple, Union

import numpy as np

from . import _core
from ._archive import _trust
from ._dataset import StoreDataset, StoreStream
from ._types import AnyPath, Key, Pairs, Trusted
from ._urls import is_remote, local_folder

__all__ = ["Store"]

if not hasattr(_core, "Store"):
    raise ImportError("this build of stele has no store, as LMDB was not found")

_missing = object()
_forks = 0  # how many forks lead from the first process to this one
_abandoned: list = []  # handles of a parent process, which must not be closed here


def _count_fork() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


class Store(MutableMapping[Key, Any]):
    """A mapping of str, bytes and int to any object, in a folder. One process writes, many read.

    What is put is seen here at once, and by others after `commit`. Values are read by mapping: arrays of 4 KiB or more of
    an uncompressed store are read-only views of its files, which stay valid whatever becomes of the store. Keys are in
    order: integers by value, then bytes, then texts, by their bytes.

    Parameters
    ----------
    path : str or path
        A folder, or for mode "r" a file that `compact_to` wrote, also at a URL or as a `stele.RemotePath`.
    mode : {"a", "r+", "r"}
        Read and write, and create; read and write what is there; read.
    codec, level
        Of the values, chosen when the store is created; "plain" can be mapped.
    durability : {"none", "commit", "put"}
        What a crash of the machine may lose: the last seconds, nothing committed, nothing put.
    shard_bytes : int
        A file that has more ends.
    wait_ms : int
        Milliseconds to wait for another writer.
    verify : {"automatic", "none", "full"}
        What is checked against checksums: values of up to 1 MiB and the beginning of longer ones, nothing, everything.
    trusted, untrusted
        As for `stele.load`.

    Raises
    ------
    FileNotFoundError
        Modes "r" and "r+": there is no store.
    stele.Error
        ``code`` "damaged": the index is; call `recover`.

    Notes
    -----
    Several threads may use it, also while one closes it. In a child of fork and in other processes it opens its path
    anew, for reading; so does a pickled one.

    Examples
    --------
    >>> import tempfile
    >>> with Store(tempfile.mkdtemp()) as store:
    ...     store["a"] = [1, 2]
    ...     store["a"], "b" in store, len(store)
    ([1, 2], False, 1)
    """

    def __init__(self, path: AnyPath, mode: str = "a", *, codec: str = "plain", level: Optional[int] = None,
                 durability: str = "none", shard_bytes: int = 1 << 30, wait_ms: int = 0, verify: str = "automatic",
                 trusted: Trusted = (), untrusted: str = "error") -> None:
        self._path: Any = path  # of a file at a URL as it was given
        if mode != "r" or not is_remote(path):
            self._path = local_folder(path, 'a store is written in a local folder; at a URL a file that compact_to() wrote is '
                                            'read, with mode "r"')
        self._trusted = trusted, untrusted
        self._options = dict(codec=codec, level=level, durability=durability, shard_bytes=shard_bytes, wait_ms=wait_ms,
                             verify=verify)
        self._mode = mode
        self._writer: Optional[int] = None
        self._open()

    def _open(self) -> None:
        self._fork = _forks
        self._held = _core.Store.open(self._path, self._mode, *_trust(*self._trusted), self._options)

    @property
    def _store(self) -> Any:
        if self._fork != _forks:  # a child of fork: the parent's handle is not to be touched
            _abandoned.append(self._held)
            self._mode, self._writer = "r", None
            self._open()
        return self._held

    @property
    def path(self) -> str:
        return str(self._path)

    @property
    def mode(self) -> str:
        return self._mode

    @property
    def closed(self) -> bool:
        return not self._held.is_open

    # --- Mapping ---

    def __getitem__(self, key: Key) -> Any:
        found = self._store.get(key, _missing)
        if found is _missing:
            raise KeyError(key)
        return found

    def get(self, key: Key, default: Any = None) -> Any:
        return self._store.get(key, default)

    def __setitem__(self, key: Key, value: Any) -> None:
        self._store.put(key, value)

    def __delitem__(self, key: Key) -> None:
        if not self._store.erase(key):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return self._store.contains(key)

    def __len__(self) -> int:
        """The number of keys. Commits what was put; in a batch, the number before it."""
        return self._store.size()

    def __iter__(self) -> Iterator[Any]:
        return self.range_keys()

    def __reversed__(self) -> Iterator[Any]:
        return self.range_keys(reverse=True)

    def keys(self) -> collections.abc.KeysView:
        """The keys in order: a view."""
        return _Keys(self)

    def items(self) -> collections.abc.ItemsView:
        """Pairs of key and value in order: a view."""
        return _Items(self)

    def values(self) -> collections.abc.ValuesView:
        """The values in the order of their keys: a view."""
        return _Values(self)

    def get_many(self, keys: Iterable[Key], default: Any = None) -> List[Any]:
        """The values of many keys, in the order of `keys`; `default` for those that are not there.

        They are read in the order in which they lie, with prefetching: several times faster than one by one.
        """
        return self._store.get_many(keys, default)

    def get_buffer(self, key: Key) -> np.ndarray:
        """The bytes of a str or bytes, where they lie: a read-only array of uint8. Bytes beyond 1 MiB are not checked.

        Raises
        ------
        KeyError
        TypeError
            For a value that is another object.
        """
        found = self._store.get_buffer(key)
        if found is None:
            raise KeyError(key)
        return found

    def put_many(self, items: Pairs) -> None:
        """Puts a mapping, or pairs of key and value, in one batch: all or none; in an open batch, as parts of it."""
        pairs = items.items() if isinstance(items, collections.abc.Mapping) else items
        if self._store is not None and self._writer == threading.get_ident():
            for key, value in pairs:
                self._held.put(key, value)
            return
        with self.batch():
            for key, value in pairs:
                self._held.put(key, value)

    def update(self, other: Pairs = (), /, **more: Any) -> None:
        """Puts what `dict.update` takes, as `put_many`."""
        if not isinstance(other, collections.abc.Mapping) and hasattr(other, "keys"):
            other = {key: other[key] for key in other.keys()}
        self.put_many(other)
        if more:
            self.put_many(more)

    def clear(self) -> None:
        """Erases all keys, in one batch. `vacuum` gives the space back."""
        keys = _core.StoreKeyList.of_range(self._store, None, None, None)
        step = 10_000
        with self.batch():
            for begin in range(0, len(keys), step):
                for key in keys.keys(np.arange(begin, min(begin + step, len(keys)))):
                    self._held.erase(key)

    def batch(self) -> "StoreBatch":
        """A context: the writes in it become visible to others together, and none of them after an exception.

        Writes of other threads meanwhile belong to it too; their batches wait for its end. Values of one key are seen
        here at once; `len` and ranges show the state before the batch.

        Raises
        ------
        stele.Error
            ``code`` "invalid_argument": this thread has a batch; "read_only"; "busy": another process writes.

        Examples
        --------
        >>> import tempfile
        >>> store = Store(tempfile.mkdtemp())
        >>> with store.batch() as batch:
        ...     batch["from"], batch["to"] = 90, 110
        >>> store.get_many(["from", "to"])
        [90, 110]
        """
        return StoreBatch(self)

    # --- In order ---

    def _walk(self, cursor, pairs=True) -> Iterator[Any]:
        fork, count = _forks, 1
        while True:
            if fork != _forks:
                raise RuntimeError("a walk through a store does not go on in a child of fork")
            found = cursor.next(count, pairs)
            if not found:
                return
            yield from found
            count = min(4 * count, 256)

    def range(self, first: Optional[Key] = None, last: Optional[Key] = None, *,
              reverse: bool = False) -> Iterator[Tuple[Any, Any]]:
        """Pairs of key and value from `first` to before `last`, in the order of the keys, as they are now.

        While it is not exhausted, the index of the store cannot reuse what writes free.
        """
        return self._walk(self._store.items(first, last, None, reverse))

    def range_keys(self, first: Optional[Key] = None, last: Optional[Key] = None, *,
                   reverse: bool = False) -> Iterator[Any]:
        """The same for keys alone, without reading values."""
        return self._walk(self._store.keys(first, last, None, reverse))

    def prefix(self, prefix: Union[str, bytes], *, reverse: bool = False) -> Iterator[Tuple[Any, Any]]:
        """Pairs whose keys, str or bytes, begin so."""
        return self._walk(self._store.items(None, None, prefix, reverse))

    def prefix_keys(self, prefix: Union[str, bytes], *, reverse: bool = False) -> Iterator[Any]:
        """The same for keys alone."""
        return self._walk(self._store.keys(None, None, prefix, reverse))

    def sample(self, count: int, seed: int = 0) -> Iterator[Tuple[Any, Any]]:
        """`count` different pairs at random, or all where there are fewer."""
        return self._walk(self._store.sample(count, seed))

    def shuffled(self, seed: int = 0) -> Iterator[Tuple[Any, Any]]:
        """Every pair once, in an order drawn from `seed`; takes 24 bytes of memory a value."""
        return self._walk(self._store.shuffled(seed))

    def by_insertion(self) -> Iterator[Tuple[Any, Any]]:
        """Pairs in the order in which they were last put."""
        return self._walk(self._store.by_insertion())

    def by_size(self, *, reverse: bool = False) -> Iterator[Tuple[Any, Any]]:
        """Pairs from the smallest value to the largest, by the bytes they take."""
        return self._walk(self._store.by_size(reverse))

    def dataset(self, keys: Optional[Iterable[Key]] = None, *, prefix: Union[str, bytes, None] = None,
                transform: Optional[Callable[[Any], Any]] = None) -> StoreDataset:
        """A `StoreDataset`: values by index, whose order a DataLoader draws."""
        return StoreDataset(self, keys, prefix=prefix, transform=transform)

    def stream(self, keys: Optional[Iterable[Key]] = None, *, prefix: Union[str, bytes, None] = None,
               batch_size: Optional[int] = None, shuffle: bool = True, seed: int = 0, rank: Optional[int] = None,
               world_size: Optional[int] = None, uneven: str = "keep", transform: Optional[Callable[[Any], Any]] = None,
               collate: Optional[Callable[[List[Any]], Any]] = None) -> StoreStream:
        """A `StoreStream`: shuffled epochs, split over ranks and workers."""
        return StoreStream(self, keys, prefix=prefix, batch_size=batch_size, shuffle=shuffle, seed=seed, rank=rank,
                           world_size=world_size, uneven=uneven, transform=transform, collate=collate)

    # --- Committing and care ---

    def commit(self) -> None:
        """Makes what was put visible to others."""
        self._store.commit()

    def flush(self) -> None:
        """Commits, and waits until it is on the device."""
        self._store.flush()

    def release(self) -> None:
        """Commits, and lets others write."""
        self._store.release()

    def close(self) -> None:
        """Commits and closes; an open batch is undone. Values that were read stay valid."""
        if self._fork == _forks:
            self._held.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def stats(self) -> Dict[str, Any]:
        """Sizes: a dict with ``values``, ``live_bytes``, ``dead_bytes``, ``shards`` and others."""
        return self._store.stats()

    def check(self, progress: Optional[Callable[[int, int], Any]] = None) -> Dict[str, Any]:
        """Reads and checks everything; a dict whose ``problems`` lists damage.

        `progress`, here and below, is called with the bytes done and all; returning False ends the work, with nothing
        lost.
        """
        return self._store.check(progress)

    def verify(self, progress: Optional[Callable[[int, int], Any]] = None) -> None:
        """The same; raises for damage."""
        self._store.verify(progress)

    def vacuum(self, dead_share: float = 0.2, progress: Optional[Callable[[int, int], Any]] = None) -> int:
        """Rewrites files of which so much is dead. Returns the bytes that were freed."""
        return self._store.vacuum(dead_share, progress)

    def train_dictionary(self, samples: int = 10_000, size: int = 112_640) -> None:
        """Trains a zstd dictionary of `size` bytes on values; small ones are compressed with it from then on."""
        self._store.train_dictionary(samples, size)

    def compact_to(self, file: AnyPath, progress: Optional[Callable[[int, int], Any]] = None) -> None:
        """Writes everything to one file that is opened with mode "r"."""
        self._store.compact_to(file, progress)

    @staticmethod
    def recover(path: AnyPath, progress: Optional[Callable[[int, int], Any]] = None) -> Dict[str, Any]:
        """Rebuilds the index of a store from its files. Returns a dict of what was found and lost."""
        return _core.Store.recover(path, progress)

    def import_from(self, path: AnyPath, *, key_prefix: str = "", key_field: str = "", overwrite: bool = True,
                    exported: bool = False, progress: Optional[Callable[[int, int], Any]] = None) -> Dict[str, Any]:
        """Takes over what another form holds, in batches.

        Parameters
        ----------
        path : str or path
            A store; another folder, whose files become bytes under their names; a ``.npz`` file; or JSON lines.
        key_prefix : str
            Put before keys that are texts.
        key_field : str
            JSON lines: the field that is the key of an item.
        overwrite : bool
            Whether keys that are there get the new values.
        exported : bool
            Files were written by `export_to`.

        Returns
        -------
        dict
            ``items``, ``bytes``, ``skipped``, ``notes``, ``complete``.
        """
        return self._store.import_from(_form_of(path, False), path, dict(
            key_prefix=key_prefix, key_field=key_field, overwrite=overwrite, exported=exported, progress=progress))

    def export_to(self, path: AnyPath, *, first: Optional[Key] = None, last: Optional[Key] = None,
                  prefix: Union[str, bytes, None] = None, overwrite: bool = False, codec: str = "plain",
                  progress: Optional[Callable[[int, int], Any]] = None) -> Dict[str, Any]:
        """Writes values to a ``.npz`` file (arrays alone), to JSON lines (``.jsonl``), or each to a file of a folder.

        Returns
        -------
        dict
            As `import_from`.
        """
        return self._store.export_to(_form_of(path, True), path, dict(
            first=first, last=last, prefix=prefix, overwrite=overwrite, codec=codec, progress=progress))

    def __getstate__(self) -> Any:
        if self._mode != "r" and self._fork == _forks:
            self._held.commit()
        return self._path, self._options, self._trusted

    def __setstate__(self, state: Any) -> None:
        self._path, self._options, self._trusted = state
        self._mode, self._writer = "r", None
        self._open()

    def __repr__(self) -> str:
        return f"<stele.Store {self._path!r}>"


def _form_of(path, to) -> str:
    name = os.fsdecode(os.fspath(path))
    if name.endswith(".npz"):
        return "npz"
    if name.endswith((".jsonl", ".ndjson")):
        return "json_lines"
    if to:
        return "files"
    if is_remote(path):
        return "json_lines" if name.endswith(".json") else "store"
    if os.path.isdir(name):
        return "store" if os.path.isfile(os.path.join(name, "index.lmdb")) else "files"
    with open(name, "rb") as file:
        return "store" if file.read(1) == b"\xd9" else "json_lines"  # what compact_to wrote


class StoreBatch:
    """Writes of a store that become visible together; see `Store.batch`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._batch: Any = None

    def __enter__(self) -> "StoreBatch":
        self._batch = self._store._store.batch()
        self._store._writer = threading.get_ident()
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self._end(self._batch.open, kind is None)

    def _end(self, is_open, commit) -> None:
        if is_open:
            self._store._writer = None
            self._batch.commit() if commit else self._batch.undo()

    def __setitem__(self, key: Key, value: Any) -> None:
        self._store[key] = value

    def __delitem__(self, key: Key) -> None:
        del self._store[key]

    def put_many(self, items: Pairs) -> None:
        """As `Store.put_many`."""
        self._store.put_many(items)

    def commit(self) -> None:
        """Ends the batch."""
        self._store._writer = None
        self._batch.commit()

    def undo(self) -> None:
        """Ends the batch without its writes."""
        self._end(self._batch.open, False)


class _Keys(collections.abc.KeysView):
    _mapping: Store

    def __reversed__(self) -> Iterator[Any]:
        return self._mapping.range_keys(reverse=True)


class _Items(collections.abc.ItemsView):
    _mapping: Store

    def __iter__(self) -> Iterator[Any]:
        return self._mapping.range()

    def __reversed__(self) -> Iterator[Any]:
        return self._mapping.range(reverse=True)


class _Values(collections.abc.ValuesView):
    _mapping: Store

    def __iter__(self) -> Iterator[Any]:
        return self._mapping._walk(self._mapping._store.items(None, None, None, False), False)

    def __reversed__(self) -> Iterator[Any]:
        return self._mapping._walk(self._mapping._store.items(None, None, None, True), False)

    def __contains__(self, value) -> bool:
        return any(value is one or value == one for one in self)


Store.__module__ = "stele"
