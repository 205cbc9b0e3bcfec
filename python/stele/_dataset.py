"""The values of a store for training: by index, and in shuffled epochs."""

from __future__ import annotations

import fcntl
import mmap
import multiprocessing.context
import os
import struct
import sys
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple, Union

import numpy as np

from . import _core

if TYPE_CHECKING:
    from ._store import Store
    from ._types import Key

__all__ = ["StoreDataset", "StoreStream"]


class _Items:
    """The values of some keys of a store, as they are when it is made; the keys take their bytes and 8 more each."""

    def __init__(self, store: Store, keys: Optional[Iterable[Key]], prefix: Union[str, bytes, None],
                 transform: Optional[Callable[[Any], Any]]) -> None:
        if keys is None:
            self._keys = _core.StoreKeyList.of_range(store._store, None, None, prefix)
        elif prefix is None:
            self._keys = _core.StoreKeyList.of_keys(keys)
        else:
            raise ValueError("keys and prefix exclude each other")
        self.store = store
        self.transform = transform

    def keys(self, indices=None) -> List[Any]:
        """The keys, or those at the given indices."""
        return self._keys.keys(np.arange(len(self._keys)) if indices is None else np.asarray(indices, np.int64))

    def _values(self, indices) -> List[Any]:
        values = self.store._store.get_at(self._keys, np.asarray(indices, np.int64).reshape(-1))
        return [self.transform(value) for value in values] if self.transform else values


class StoreDataset(_Items):
    """The values of a store by index: a map-style dataset of PyTorch, or of any loop. `Store.dataset` makes one.

    A DataLoader draws the order itself (``shuffle=True``, a ``DistributedSampler``), and fetches a batch at once. For
    orders that take no memory and epochs that go on in the middle there is `StoreStream`.

    Parameters
    ----------
    store : Store
    keys : iterable of keys, optional
        Those to use, in this order; else all, or those with `prefix`, in their order.
    prefix : str or bytes, optional
    transform : callable, optional
        Applied to each value. Mapped arrays are read-only; ``np.array`` makes copies.

    Examples
    --------
    >>> import stele, tempfile
    >>> store = stele.Store(tempfile.mkdtemp())
    >>> store.update({i: i * i for i in range(6)})
    >>> data = store.dataset(transform=float)
    >>> len(data), data[3], data[-1]
    (6, 9.0, 25.0)
    """

    def __init__(self, store: Store, keys: Optional[Iterable[Key]] = None, *, prefix: Union[str, bytes, None] = None,
                 transform: Optional[Callable[[Any], Any]] = None) -> None:
        super().__init__(store, keys, prefix, transform)

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: int) -> Any:
        index = int(index)
        return self._values([index + len(self) if index < 0 else index])[0]

    def __getitems__(self, indices: Any) -> List[Any]:
        """The values at many indices, read together."""
        return self._values(indices)


class _SharedNumbers:
    """Some natural numbers that the processes share which have copies: those of a fork, and those that it is pickled for
    while they are started."""

    def __init__(self, numbers: List[int], file: Any = None) -> None:
        self._form = struct.Struct(f"{len(numbers)}Q")
        self._file = open(os.memfd_create("stele"), "r+b", buffering=0) if file is None else file
        if file is None:
            self._file.write(self._form.pack(*numbers))
        self._memory = mmap.mmap(self._file.fileno(), self._form.size)

    def use(self, change: Callable[[List[int]], Any]) -> Any:
        """Calls `change` with the numbers, which it may set, while no other process does."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            numbers = list(self._form.unpack(self._memory[:]))
            result = change(numbers)
            self._memory[:] = self._form.pack(*numbers)
            return result
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def __reduce__(self):
        from multiprocessing.reduction import DupFd

        return _numbers_again, (self.use(list), DupFd(self._file.fileno()))


def _numbers_again(numbers: List[int], duplicate: Any) -> _SharedNumbers:
    return _SharedNumbers(numbers, open(duplicate.detach(), "r+b", buffering=0))


class _Course:
    """Which epoch an iteration goes through: the same for all workers of a loader, which have copies of the stream.

    What it knows lies in memory that worker processes share.
    """

    _no_pass = 2**64 - 1

    def __init__(self, seed: int) -> None:
        self._shared: Optional[_SharedNumbers] = None
        # The next iteration's epoch and first step; the last one's pass of a loader, which of the process, epoch, and
        # first step; the seed.
        self._numbers: List[int] = [0, 0, self._no_pass, 0, 0, 0, seed % 2**64]
        self._passes = 0  # of this process

    def share(self) -> None:
        if self._shared is None:
            self._shared = _SharedNumbers(self._numbers)

    def __getstate__(self):
        spawning = multiprocessing.context.get_spawning_popen() is not None
        return self._shared if spawning else None, self._use(list)

    def __setstate__(self, state):
        self._shared, self._numbers = state
        self._passes = 0

    def _use(self, change: Callable[[List[int]], Any]) -> Any:
        return change(self._numbers) if self._shared is None else self._shared.use(change)

    def set(self, epoch: int, first: int, seed: Optional[int] = None) -> None:
        """The next iteration is of this epoch, after the first so many steps."""
        def use(n):
            n[:] = [epoch, first, self._no_pass, 0, epoch, first, n[6] if seed is None else seed % 2**64]
        self._use(use)

    def begin(self, loader_pass: Optional[int]) -> Tuple[int, int]:
        """Epoch and first step of an iteration. The workers of one pass of a loader have the same `loader_pass`."""
        self._passes += 1

        def use(n):
            if loader_pass is None or (n[2], n[3]) != (loader_pass, self._passes):
                n[2:6] = [self._no_pass if loader_pass is None else loader_pass, self._passes, n[0], n[1]]
                n[0:2] = [n[0] + 1, 0]
            return n[4], n[5]
        return self._use(use)

    def now(self) -> Tuple[int, int]:
        """Epoch and first step of the last iteration; before it, of the next."""
        return self._use(lambda n: (n[4], n[5]))

    def seed(self) -> int:
        return self._use(lambda n: n[6])


class StoreStream(_Items):
    """Epochs of a store's values in an order of their own: an iterable dataset of PyTorch. `Store.stream` makes one.

    The order depends on `seed` and the epoch alone and takes no memory. Each iteration is the next epoch; it is split
    over ranks and, in a DataLoader, over workers. It goes on in the middle of an epoch, also with another number of
    ranks or workers.

    Parameters
    ----------
    store : Store
    keys : iterable of keys, optional
        Those to use, in this order; else all, or those with `prefix`, in their order.
    prefix : str or bytes, optional
    batch_size : int, optional
        Iteration gives lists of so many values, which come in one order with any number of workers; a DataLoader then
        has ``batch_size=None``. Else single values.
    shuffle : bool
        A new order for each epoch, the same on all ranks and machines.
    seed : int
    rank, world_size : int, optional
        The share of this process: that of ``torch.distributed`` if that is initialised, else all.
    uneven : {"keep", "drop", "pad"}
        Where the ranks' shares would differ by one item: keep that, drop the last items of the epoch, or repeat its
        first ones.
    transform : callable, optional
        Applied to each value. Mapped arrays are read-only; ``np.array`` makes copies.
    collate : callable, optional
        Applied to each batch, in the worker: ``torch.utils.data.default_collate`` makes tensors.

    Notes
    -----
    It is an ``IterableDataset`` where ``torch.utils.data`` was imported before it is made.

    Examples
    --------
    >>> import stele, tempfile
    >>> store = stele.Store(tempfile.mkdtemp())
    >>> store.update({i: i * i for i in range(6)})
    >>> list(store.stream(batch_size=2, shuffle=False))
    [[0, 1], [4, 9], [16, 25]]
    """

    def __init__(self, store: Store, keys: Optional[Iterable[Key]] = None, *, prefix: Union[str, bytes, None] = None,
                 batch_size: Optional[int] = None, shuffle: bool = True, seed: int = 0, rank: Optional[int] = None,
                 world_size: Optional[int] = None, uneven: str = "keep", transform: Optional[Callable[[Any], Any]] = None,
                 collate: Optional[Callable[[List[Any]], Any]] = None) -> None:
        if (rank is None) != (world_size is None):
            raise ValueError("rank and world_size are given together")
        if rank is None or world_size is None:
            rank, world_size = _distributed()
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} of {world_size}")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batches of {batch_size}")
        if collate is not None and batch_size is None:
            raise ValueError("collate is applied to batches: give a batch_size")
        if uneven not in ("keep", "drop", "pad"):
            raise ValueError(f"uneven is 'keep', 'drop' or 'pad', not {uneven!r}")
        super().__init__(store, keys, prefix, transform)
        self.batch_size, self.shuffle = batch_size, shuffle
        self.rank, self.world_size, self.uneven, self.collate = rank, world_size, uneven, collate
        self._course = _Course(int(seed))
        self._step: Optional[int] = None  # the next of this rank, where this process iterates
        if _torch_data() is not None:
            self._course.share()

    def __new__(cls, *_args: Any, **_options: Any) -> StoreStream:
        return object.__new__(_stream_class() if cls is StoreStream else cls)

    @property
    def seed(self) -> int:
        return self._course.seed()

    @property
    def epoch(self) -> int:
        """The epoch of the last iteration that was begun; before the first, that of the next."""
        return self._course.now()[0]

    def _share(self, rank: Optional[int] = None) -> int:
        """The number of items of a rank, by default this one."""
        whole, rest = divmod(len(self._keys), self.world_size)
        last = self.rank if rank is None else rank
        return whole + (rest > 0 if self.uneven == "pad" else self.uneven == "keep" and last < rest)

    def __len__(self) -> int:
        """The number of batches, or of items without, that an epoch of this rank has."""
        return -(-self._share() // (self.batch_size or 1))

    def _at(self, first, last, step, epoch) -> np.ndarray:
        """The indices that this rank has at every `step`-th of its places `first` to before `last` of an epoch."""
        count = len(self._keys)
        places = np.arange(first, last, step, dtype=np.int64) * self.world_size + self.rank
        places %= max(count, 1)  # what pads
        return _core.shuffled_indices(count, self.seed, epoch, places) if self.shuffle else places

    def order(self, epoch: Optional[int] = None) -> np.ndarray:
        """The indices of this rank in an epoch, by default that of `epoch`, int64."""
        return self._at(0, self._share(), 1, self.epoch if epoch is None else epoch)

    def set_epoch(self, epoch: int, step: int = 0) -> None:
        """The next iteration, also in workers that persist, is of this epoch, after its first `step` batches (or items)."""
        self._course.set(int(epoch), int(step))
        self._step = None

    def __iter__(self) -> Iterator[Any]:
        """The next epoch of this rank and worker, or the rest of one after `load_state_dict`."""
        worker, workers, loader_pass = _worker()
        epoch, first = self._course.begin(loader_pass)
        self._step = first + worker
        return self._walk(epoch, first + worker, workers)

    def _walk(self, epoch: int, step: int, workers: int) -> Iterator[Any]:
        count, size = self._share(), self.batch_size
        if size is None:  # some at a time
            ahead = 256
            while step < count:
                for value in self._values(self._at(step, min(step + ahead * workers, count), workers, epoch)):
                    step += workers
                    self._step = step
                    yield value
            return
        while step * size < count:
            batch = self._values(self._at(step * size, min((step + 1) * size, count), 1, epoch))
            step += workers
            self._step = step
            yield batch if self.collate is None else self.collate(batch)

    def state_dict(self, taken: Optional[int] = None) -> Dict[str, Any]:
        """Where iteration is, to be kept in a checkpoint: plain integers.

        Parameters
        ----------
        taken : int, optional
            The batches, or items, that this iteration has given so far. To be said where the workers of a loader
            iterate: they read ahead.

        Returns
        -------
        dict
            ``done`` counts the items of the epoch that all ranks and workers have given, if they are level.
        """
        epoch, first = self._course.now()
        worker, workers, _ = _worker()
        if taken is not None:
            step = first + taken
        else:
            step = first if self._step is None else self._step - worker
        if step >= -(-self._share(0) // (self.batch_size or 1)):
            epoch, step = epoch + 1, 0
        return {"epoch": epoch, "done": step * (self.batch_size or 1) * self.world_size, "seed": self.seed,
                "length": len(self._keys)}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """The next iteration goes on where `state_dict` was taken.

        Raises
        ------
        ValueError
            The state is of a dataset with another number of items, or the ranks cannot divide what it has done.
        """
        if state["length"] != len(self._keys):
            raise ValueError(f"the state is of {state['length']} items, the stream has {len(self._keys)}")
        shares = (self.batch_size or 1) * self.world_size
        if state["done"] % shares:
            raise ValueError(f"{state['done']} items are no whole steps of {self.world_size} ranks with batches of "
                             f"{self.batch_size or 1}")
        if _worker()[2] is not None:  # a loader that keeps the states of its workers
            self._course = _Course(0)
        self._course.set(state["epoch"], state["done"] // shares, state["seed"])
        self._step = None

    def __reduce__(self) -> Any:
        return _stream_again, (self.__dict__,)


def _torch_data() -> Any:
    return sys.modules.get("torch.utils.data")


def _distributed() -> Tuple[int, int]:
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def _worker() -> Tuple[int, int, Optional[int]]:
    """Number and count of the workers of a loader, and what tells its passes apart; None in no worker."""
    torch_data = _torch_data()
    worker = torch_data.get_worker_info() if torch_data is not None else None
    return (0, 1, None) if worker is None else (worker.id, worker.num_workers, (worker.seed - worker.id) % 2**63)


def _stream_class() -> type:
    """StoreStream, and an IterableDataset where PyTorch is imported."""
    torch_data = _torch_data()
    if torch_data is None:
        return StoreStream
    for kind in StoreStream.__subclasses__():
        if issubclass(kind, torch_data.IterableDataset):
            return kind

    class Stream(StoreStream, torch_data.IterableDataset):
        __doc__ = StoreStream.__doc__

    Stream.__name__ = Stream.__qualname__ = "StoreStream"
    Stream.__module__ = "stele"
    return Stream


def _stream_again(state: Dict[str, Any]) -> StoreStream:
    made = StoreStream.__new__(StoreStream)
    made.__dict__.update(state)
    if _torch_data() is not None and _worker()[2] is None:
        made._course.share()
    return made


for _class in (StoreDataset, StoreStream):
    _class.__module__ = "stele"
