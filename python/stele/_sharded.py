"""Archives and checkpoints that several processes write together."""

from __future__ import annotations

import operator
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, TypeVar

import numpy as np

from . import _core
from ._archive import _trust
from ._lazy import _expanded, _range_of
from ._types import AnyPath, Metadata, Trusted

__all__ = ["ShardedArray", "ShardedCheckpoint", "ShardedWriter", "ShardWriter", "commit_sharded"]

_Self = TypeVar("_Self")


class ShardWriter:
    """The part of one process in a sharded checkpoint; `Checkpoints.shard` makes it. A context: its end completes the part,
    an exception gives it up."""

    def __init__(self, core: Any) -> None:
        self._core = core

    def put(self, name: str, array: Any, shape: Sequence[int], offset: Sequence[int]) -> None:
        """Writes a box of an array.

        Parameters
        ----------
        array : array_like
            The elements of the box.
        shape : sequence of int
            The extents of the whole array, which all ranks agree on.
        offset : sequence of int
            The position of the box's first element in it.
        """
        self._core.put(name, array, [operator.index(n) for n in shape], [operator.index(n) for n in offset])

    def put_value(self, name: str, value: Any) -> None:
        """Writes any other object that `stele.dump` takes. If several ranks write it, the lowest rank's counts."""
        self._core.put_value(name, value)

    def close(self) -> None:
        """Completes the part. `Checkpoints.commit` makes it count."""
        self._core.close()

    def _complete(self) -> None:
        self.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self._complete() if kind is None else self._core.give_up()


class ShardedWriter(ShardWriter):
    """The part of one process, a rank, in an archive that many write.

    A folder, or a prefix of an object store, becomes one archive when all ranks have written their parts and rank 0 has
    committed. `stele.open` and `stele.load` of that folder then read it like any other. The end of a ``with`` block commits;
    an exception gives the part up.

    Parameters
    ----------
    place : str or path
        A folder, or a URL.
    rank, ranks : int
        Which process this is, and how many there are.
    attempt : str, optional
        A text of letters, digits, ``-`` and ``_`` that all ranks of this attempt share and no other attempt ever has: it
        tells the parts of a killed run from these. By default what mpirun, torchrun or srun say; a random one for a
        single rank.
    wait : float
        Seconds that the commit waits for parts.
    keep : float
        Parts that no commit has named are removed by a commit when they are older, in seconds.
    codec, level, filter, threads
        How this part is written, as for `stele.dump`; parts are plain by default.
    metadata : dict, optional
        That of the archive; rank 0's counts.

    Raises
    ------
    stele.Error
        Where there is no attempt, and where this rank has written its part of it already.

    Examples
    --------
    >>> import os, tempfile, numpy as np, stele
    >>> place = os.path.join(tempfile.mkdtemp(), "model")
    >>> for rank in (1, 0):  # each in a process of its own
    ...     with stele.ShardedWriter(place, rank, 2, "job-4711-0") as out:
    ...         out.put("layers/0/weights", np.full((5, 3), rank), shape=(10, 3), offset=(5 * rank, 0))
    ...         out.put_value("epoch", 7)
    >>> with stele.open(place) as f:
    ...     f["epoch"], f["layers/0/weights"][4:6, 0]
    (7, array([0, 1]))
    """

    def __init__(self, place: AnyPath, rank: int, ranks: int, attempt: Optional[str] = None, *, wait: float = 600.0,
                 keep: float = 24 * 3600.0, codec: Optional[str] = None, level: Optional[int] = None,
                 filter: str = "auto", threads: int = 0, metadata: Optional[Metadata] = None) -> None:
        options = dict(codec=codec, level=level, filter=filter, threads=threads, metadata=metadata)
        super().__init__(_core.ShardedWriter(place, operator.index(rank), operator.index(ranks), attempt or "", float(wait),
                                             float(keep), options))
        self._done = False

    @property
    def attempt(self) -> str:
        """What the ranks of this attempt share."""
        return self._core.attempt

    def put(self, path: str, array: Any, shape: Optional[Sequence[int]] = None,
            offset: Optional[Sequence[int]] = None) -> None:
        """Writes a box of an array.

        Parameters
        ----------
        path : str
            Where the array is in the archive, "layers/3/weights".
        array : array_like
            The elements of the box.
        shape : sequence of int, optional
            The extents of the whole array, which all ranks agree on; by default the box is the whole.
        offset : sequence of int, optional
            The position of the box's first element in it; by default 0 along each axis.
        """
        box = np.asanyarray(array)
        whole = box.shape if shape is None else tuple(shape)
        super().put(path, box, whole, (0,) * len(whole) if offset is None else offset)

    def put_value(self, path: str, value: Any) -> None:
        """As of a `ShardWriter`."""
        super().put_value(path, value)

    def close(self) -> None:
        """Completes the part. It counts when rank 0 or `commit_sharded` commits."""
        self._done = True
        self._core.close()

    def commit(self) -> Dict[str, Any]:
        """Completes the part; to be called by every rank. Rank 0 waits for all parts and makes them the archive: when this
        returns there, it is in place. Other ranks do not wait, and are not told whether the commit succeeds.

        Returns
        -------
        dict
            ``attempt``, ``ranks``, ``arrays``, ``bytes``, and ``left``: parts of older archives that could not be removed.
        """
        self._done = True
        return self._core.commit()

    def _complete(self) -> None:
        if not self._done:
            self.commit()


def commit_sharded(place: AnyPath, ranks: int, attempt: str, *, wait: float = 600.0, keep: float = 24 * 3600.0,
                   threads: int = 0, metadata: Optional[Metadata] = None) -> Dict[str, Any]:
    """Makes one archive of the parts that `ranks` processes have written with `ShardedWriter` and closed, in any one process
    that can reach the place. What `ShardedWriter.commit` does in rank 0.

    Parameters
    ----------
    place : str or path
        A folder, or a URL.
    ranks : int
        How many there are.
    attempt : str
        That of the writers.
    wait : float
        Seconds to wait for parts that are not there yet.
    keep : float
        Parts that no commit has named are removed when they are older, in seconds.
    threads : int
        0: as many as the machine has.
    metadata : dict, optional
        That of the archive.

    Returns
    -------
    dict
        As `ShardedWriter.commit`.

    Raises
    ------
    stele.Error
        That names the ranks without a part; where boxes overlap or leave a gap, or ranks contradict each other; where
        another commit came first. What was there before is then still there.
    """
    return _core.commit_sharded(place, operator.index(ranks), attempt, float(wait), float(keep),
                                dict(threads=threads, metadata=metadata))


class ShardedArray:
    """An array of a sharded checkpoint. Indexing with integers and slices reads what it needs of the parts that it touches."""

    def __init__(self, core: Any, name: str, shape: Tuple[int, ...]) -> None:
        self._core = core
        self.name = name
        self.shape = shape

    @property
    def dtype(self) -> np.dtype:
        return self._core.dtype(self.name)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without dimensions")
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        items, axes = _expanded(index if isinstance(index, tuple) else (index,), self.shape)
        if not all(isinstance(item, (int, slice)) or item is Ellipsis for item in items):
            raise IndexError("a sharded array is indexed by integers, slices and one ellipsis")
        box: List[Tuple[int, int]] = []
        rest: List[Any] = []  # what is left to do with what was read
        for item, count in zip(items, axes):
            for extent in self.shape[len(box):len(box) + count]:
                if isinstance(item, int):
                    box.append((item, 1))
                    rest.append(0)
                else:
                    first, size, step = _range_of(slice(None) if item is Ellipsis else item, extent)
                    box.append((min(first, first + (size - 1) * step), (size - 1) * abs(step) + 1) if size else (0, 0))
                    rest.append(slice(None, None, step))
        return self._core.read(self.name, box, None)[tuple(rest)]

    def read_into(self, out: np.ndarray) -> None:
        """Reads all of it into an array of its shape, whose type loses nothing."""
        if out.shape != self.shape:
            raise ValueError(f"cannot read an array of shape {self.shape} into one of {out.shape}")
        if not out.flags.c_contiguous or not out.flags.writeable:
            raise ValueError("the array that is read into is writable and C-contiguous")
        self._core.read(self.name, [], out)

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> np.ndarray:
        if copy is False:
            raise ValueError("an array in a file cannot be had without a copy")
        whole = self._core.read(self.name, [], None)
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"<stele.ShardedArray {self.name}: {self.dtype}{list(self.shape)}>"


class ShardedCheckpoint(Mapping[str, ShardedArray]):
    """A sharded checkpoint: its arrays by name, whatever processes have written them. Several threads may read."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self._shapes = {name: shape for name, shape, _, _ in core.arrays()}

    @property
    def step(self) -> int:
        return self._core.info["step"]

    @property
    def ranks(self) -> int:
        """How many processes have written it."""
        return self._core.ranks

    def __getitem__(self, name: str) -> ShardedArray:
        return ShardedArray(self._core, name, self._shapes[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def value_names(self) -> List[str]:
        """The names of other values."""
        return self._core.values()

    def value(self, name: str, *, trusted: Trusted = (), untrusted: str = "error") -> Any:
        """Another value. `trusted` and `untrusted` are as for `stele.load`."""
        return self._core.value(name, *_trust(trusted, untrusted))

    def verify(self) -> None:
        """Checks everything of all parts. Raises stele.Error."""
        self._core.verify()

    def __repr__(self) -> str:
        return f"<stele.ShardedCheckpoint step {self.step}: {len(self)} arrays of {self.ranks} ranks>"


ShardedArray.__module__ = ShardedCheckpoint.__module__ = ShardWriter.__module__ = "stele"
ShardedWriter.__module__ = commit_sharded.__module__ = "stele"
