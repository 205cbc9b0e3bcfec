"""Checkpoints that several processes write together."""

from __future__ import annotations

import operator
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from ._archive import _trust
from ._types import Trusted

__all__ = ["ShardedArray", "ShardedCheckpoint", "ShardWriter"]


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

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self.close() if kind is None else self._core.give_up()


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
        given = list(index) if isinstance(index, tuple) else [index]
        if sum(one is Ellipsis for one in given) > 1 or any(one is None for one in given):
            raise IndexError("a sharded array is indexed by integers, slices and one ellipsis")
        if any(one is Ellipsis for one in given):
            at = next(i for i, one in enumerate(given) if one is Ellipsis)
            given[at:at + 1] = [slice(None)] * (self.ndim - len(given) + 1)
        if len(given) > self.ndim:
            raise IndexError(f"too many indices: {len(given)} for {self.ndim} dimensions")
        box: List[Tuple[int, int]] = []
        rest: List[Any] = []  # what is left to do with what was read
        for one, extent in zip(given, self.shape):
            if isinstance(one, slice):
                picked = range(*one.indices(extent))
                if not picked:
                    box.append((0, 0))
                    rest.append(slice(None))
                else:
                    low, high = min(picked[0], picked[-1]), max(picked[0], picked[-1])
                    box.append((low, high - low + 1))
                    rest.append(slice(None, None, picked.step))
            else:
                number = operator.index(one)
                if not -extent <= number < extent:
                    raise IndexError(f"index {number} is out of range for {extent} positions")
                box.append((number % extent, 1))
                rest.append(0)
        read = self._core.read(self.name, box, None)
        return read[tuple(rest)]

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
