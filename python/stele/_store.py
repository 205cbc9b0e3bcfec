"""The store: a mapping in a folder."""

from __future__ import annotations

import collections.abc
import os
import sys
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np

from . import _core
from ._archive import _trust

__all__ = ["Store", "StoreDataset"]

if not hasattr(_core, "Store"):
    raise ImportError("this build of stele has no store, as LMDB was not found")

_missing = object()


class Store(collections.abc.MutableMapping):
    """A mapping of str, bytes and int to any object, in a folder. One process writes, many read.

    What is put is seen here at once, and by others after `commit`. Values are read by mapping: arrays of an uncompressed
    store are views of its files. Keys are in order: integers by value, then bytes, then texts.

    Parameters
    ----------
    path : str or path
        A folder, or a file that `compact_to` wrote.
    mode : {"a", "r+", "r"}
        Read and write, and create; read and write what is there; read.
    codec, level
        Of the values, chosen when the store is created; "plain" can be mapped.
    durability : {"none", "commit", "put"}
        What a crash of the machine may lose: the last seconds, nothing committed, nothing put.
    shard_bytes : int
        A file that has more ends.
    wait_ms : int
        How long to wait for another writer.
    trusted, untrusted
        As for `stele.load`.

    Notes
    -----
    Several threads may use it. After fork, and in other processes, it opens its path anew; pickled, it is opened for
    reading.

    Examples
    --------
    >>> import tempfile
    >>> with Store(tempfile.mkdtemp()) as store:
    ...     store["a"] = [1, 2]
    ...     store["a"], "b" in store, len(store)
    ([1, 2], False, 1)
    """

    def __init__(self, path, mode="a", *, codec="plain", level=None, durability="none", shard_bytes=1 << 30, wait_ms=0,
                 trusted=(), untrusted="error") -> None:
        if mode not in ("a", "r+", "r"):
            raise ValueError(f"mode is 'a', 'r+' or 'r', not {mode!r}")
        if durability not in ("none", "commit", "put"):
            raise ValueError(f"durability is 'none', 'commit' or 'put', not {durability!r}")
        self._path = os.path.abspath(os.fspath(path))
        self._trusted = trusted, untrusted
        self._options = dict(codec=codec, level=level, durability=durability, shard_bytes=shard_bytes, wait_ms=wait_ms)
        self._mode = mode
        self._open()

    def _open(self) -> Any:
        self._process = os.getpid()
        self._held = _core.Store.open(self._path, self._mode, self._options, *_trust(*self._trusted))

    @property
    def _store(self) -> Any:
        if self._process != os.getpid():  # a child of fork: the parent's handle is not to be touched
            _abandoned.append(self._held)
            self._mode = "r"
            self._open()
        return self._held

    @property
    def path(self) -> str:
        return self._path

    # --- Mapping ---

    def __getitem__(self, key) -> Any:
        found = self._store.find(key, _missing)
        if found is _missing:
            raise KeyError(key)
        return found

    def get(self, key, default=None) -> Any:
        return self._store.find(key, default)

    def __setitem__(self, key, value) -> None:
        self._store.put(key, value)

    def __delitem__(self, key) -> None:
        if not self._store.erase(key):
            raise KeyError(key)

    def __contains__(self, key) -> bool:
        return self._store.contains(key)

    def __len__(self) -> int:
        return self._store.size()

    def __iter__(self) -> Iterator[Any]:
        return self.range_keys()

    def get_many(self, keys, default=None) -> List[Any]:
        """The values of many keys, read in the order in which they lie; `default` for those that are not there."""
        return self._store.get_many(keys, default)

    def put_many(self, items) -> None:
        """Puts pairs of key and value, or a mapping, in one batch."""
        with self.batch():
            for key, value in items.items() if isinstance(items, collections.abc.Mapping) else items:
                self._store.put(key, value)

    def batch(self) -> Any:
        """A context: the writes in it become visible to others together, and none of them after an exception."""
        return _Batch(self._store)

    # --- In order ---

    def _walk(self, cursor, next_one) -> Any:
        store = self._store
        while True:
            found = next_one(store, cursor, _missing)
            if found is _missing:
                return
            yield found

    def range(self, first=None, last=None, *, reverse=False) -> Iterator[Tuple[Any, Any]]:
        """Pairs of key and value from `first` to before `last`, in the order of the keys, as they are now."""
        return self._walk(self._store.items(first, last, None, reverse), _core.Store.next_item)

    def range_keys(self, first=None, last=None, *, reverse=False) -> Iterator[Any]:
        """The same for keys alone."""
        return self._walk(self._store.keys(first, last, None, reverse), _core.Store.next_key)

    def prefix(self, prefix, *, reverse=False) -> Iterator[Tuple[Any, Any]]:
        """Pairs whose keys, str or bytes, begin so."""
        return self._walk(self._store.items(None, None, prefix, reverse), _core.Store.next_item)

    def sample(self, count, seed=0) -> Iterator[Tuple[Any, Any]]:
        """`count` different pairs at random."""
        return self._walk(self._store.sample(count, seed), _core.Store.next_item)

    def shuffled(self, seed=0) -> Iterator[Tuple[Any, Any]]:
        """Every pair once, in an order drawn from `seed`."""
        return self._walk(self._store.shuffled(seed), _core.Store.next_item)

    def dataset(self, **options) -> Any:
        """A `StoreDataset` of this store."""
        return StoreDataset(self, **options)

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
        """Commits and closes. Values that were read stay valid."""
        if self._process == os.getpid():
            self._held.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def stats(self) -> Dict[str, Any]:
        """Sizes: a dict."""
        return self._store.stats()

    def check(self) -> Dict[str, Any]:
        """Reads and checks everything; a dict whose ``problems`` lists damage."""
        return self._store.check()

    def verify(self) -> None:
        """The same; raises for damage."""
        self._store.verify()

    def vacuum(self, dead_share=0.2) -> int:
        """Rewrites files of which so much is dead. Returns the bytes that were freed."""
        return self._store.vacuum(dead_share)

    def train_dictionary(self, samples=10_000) -> None:
        """Trains a zstd dictionary on values; small ones are compressed with it from then on."""
        self._store.train_dictionary(samples)

    def compact_to(self, file) -> None:
        """Writes everything to one file that is opened with mode "r"."""
        self._store.compact_to(file)

    @staticmethod
    def recover(path) -> Dict[str, Any]:
        """Rebuilds the index of a store from its files. Returns a dict of what was found and lost."""
        return _core.Store.recover(path)

    def __getstate__(self) -> Any:
        if self._mode != "r":
            self._store.commit()
        return self._path, self._options, self._trusted

    def __setstate__(self, state) -> None:
        self._path, self._options, self._trusted = state
        self._mode = "r"
        self._open()

    def __repr__(self) -> str:
        return f"<stele.Store {self._path!r}>"


_abandoned: list = []  # handles of a parent process, which must not be closed here


class _Batch:
    def __init__(self, store) -> None:
        self._store = store

    def __enter__(self) -> Any:
        self._store.begin()
        return self

    def __exit__(self, kind, *_) -> None:
        self._store.end(kind is None)


class StoreDataset:
    """The values of a store as a dataset of PyTorch, or of any loop: by index, and in shuffled epochs.

    Parameters
    ----------
    store : Store
    keys : list, optional
        Those to use, in this order; else all, in their order.
    batch_size : int, optional
        Iteration gives lists of so many values; else single values.
    shuffle : bool
        A new order for each epoch, the same on all ranks.
    seed : int
    rank, world_size : int
        The share of this process. Workers of a DataLoader split it further.
    transform : callable, optional
        Applied to each value.

    Notes
    -----
    As a map-style dataset it has ``len`` and indices; as an iterable one it can be resumed in the middle of an epoch:
    `state_dict` and `load_state_dict`.
    """

    def __init__(self, store, keys=None, *, batch_size=None, shuffle=True, seed=0, rank=0, world_size=1, transform=None) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} of {world_size}")
        self.store = store
        self.keys = list(store) if keys is None else list(keys)
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.rank, self.world_size, self.transform = rank, world_size, transform
        self.epoch = 0
        self._done = 0

    def __len__(self) -> int:
        return len(self.keys)

    def _values(self, keys) -> Any:
        values = self.store.get_many(keys, _missing)
        for key, value in zip(keys, values):
            if value is _missing:
                raise KeyError(key)
        return [self.transform(value) for value in values] if self.transform else values

    def __getitem__(self, index) -> Any:
        return self._values([self.keys[index]])[0]

    def __getitems__(self, indices) -> Any:
        return self._values([self.keys[index] for index in indices])

    def set_epoch(self, epoch) -> None:
        """Begins an epoch."""
        self.epoch, self._done = epoch, 0

    def order(self) -> np.ndarray:
        """The indices of this process and worker in this epoch."""
        import numpy as np

        indices = np.arange(len(self.keys))
        if self.shuffle:
            np.random.Generator(np.random.Philox(key=[self.seed, self.epoch])).shuffle(indices)
        rank, parts = self.rank, self.world_size
        torch_data = sys.modules.get("torch.utils.data")
        worker = torch_data.get_worker_info() if torch_data is not None else None
        if worker is not None:
            rank, parts = rank * worker.num_workers + worker.id, parts * worker.num_workers
        return indices[rank::parts]

    def __iter__(self) -> Iterator[Any]:
        """The rest of the epoch; the next one begins after it."""
        order = self.order()
        step = self.batch_size or 256
        while self._done < len(order):
            batch = order[self._done:self._done + step].tolist()
            values = self._values([self.keys[index] for index in batch])
            if self.batch_size:
                self._done += len(batch)
                yield values
            else:
                for value in values:
                    self._done += 1
                    yield value
        self.set_epoch(self.epoch + 1)

    def state_dict(self) -> Dict[str, Any]:
        """Where iteration is: to be kept in a checkpoint."""
        return {"epoch": self.epoch, "done": self._done, "seed": self.seed}

    def load_state_dict(self, state) -> None:
        """Goes on where `state_dict` was taken."""
        self.epoch, self._done, self.seed = state["epoch"], state["done"], state["seed"]


for _class in (Store, StoreDataset):
    _class.__module__ = "stele"
