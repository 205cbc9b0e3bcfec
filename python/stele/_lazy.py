"""Arrays of which parts are read."""

from __future__ import annotations

import operator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Iterator, List, Optional, Tuple

import numpy as np

if TYPE_CHECKING:
    from ._file import Opening

__all__ = ["LazyArray"]

_batch_bytes = 1 << 20  # that __iter__ reads at once


def _read_ahead(read_next):
    """What `read_next` returns, call after call, until it is None. The next call runs on another thread meanwhile."""
    item = read_next()
    with ThreadPoolExecutor(1, thread_name_prefix="stele") as pool:
        while item is not None:
            ahead = pool.submit(read_next)
            yield item
            item = ahead.result()


class LazyArray:
    """An array in a file. Indexing reads what is asked for, and nothing else does.

    Its index is NumPy's: integers, slices with any step, ``...``, ``None``, and arrays of integers or booleans, which
    are read efficiently along the first axis; along others everything between the lowest and the highest is read. What
    it returns equals NumPy's. From compressed files only blocks that hold wanted rows are decoded.

    It stays valid after its `File` is gone or closed, can be pickled (it opens the file again), and several threads may
    read from it at once, without the GIL.

    In a file that was opened with `mmap_mode`, indexing gives views of the mapping instead of copies, and assigning
    to an index changes it.

    Examples
    --------
    >>> import stele, numpy as np, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "x.stele.zst")
    >>> stele.dump({"x": np.arange(12.0).reshape(6, 2)}, path)
    >>> x = stele.open(path)["x"]
    >>> x
    <stele.LazyArray x: float64[6, 2], C order, raw>
    >>> x[1:4:2, 0]
    array([2., 6.])
    >>> x[[5, 0]]
    array([[10., 11.],
           [ 0.,  1.]])
    """

    __slots__ = ("_array", "_opening", "_handle", "_path", "_shape", "_dtype", "_mapped", "__weakref__")

    def __init__(self, opening: "Opening", handle: Any, path: str) -> None:
        self._opening = opening
        self._handle = handle.share()
        self._array = array = handle.array(path)
        self._path = path
        self._shape: Tuple[int, ...] = array.shape
        self._dtype: Optional[np.dtype] = None
        self._mapped: Optional[np.ndarray] = None

    # --- What it is, without reading ---

    @property
    def path(self) -> str:
        """The place in the file, "layers/3/weights"."""
        return self._path

    @property
    def dtype(self) -> np.dtype:
        """The stored element type.

        Raises
        ------
        stele.Error
            For bfloat16 and float8 where the package ml_dtypes is not installed.
        """
        if self._dtype is None:
            self._dtype = self._array.dtype
        return self._dtype

    @property
    def shape(self) -> Tuple[int, ...]:
        return self._shape

    @property
    def ndim(self) -> int:
        return len(self._shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        size = 1
        for extent in self._shape:
            size *= extent
        return size

    @property
    def nbytes(self) -> int:
        """The bytes of all elements in memory."""
        return self.size * self._array.item_size

    @property
    def itemsize(self) -> int:
        return self._array.item_size

    @property
    def order(self) -> str:
        """How the elements lie in the file: "C" or "F". Parts come in C order."""
        return self._array.order

    @property
    def encoding(self) -> str:
        """"raw", "pieces", "view", or the name of the encoding."""
        return self._array.encoding

    def __len__(self) -> int:
        if not self._shape:
            raise TypeError("len() of unsized object")
        return self._shape[0]

    def __repr__(self) -> str:
        shape = ", ".join(map(str, self._shape))
        return (f"<stele.LazyArray {self._path or '(root)'}: {self._array.dtype_name}[{shape}], {self.order} order, "
                f"{self.encoding}>")

    def __bool__(self) -> bool:
        return bool(np.asarray(self))

    # --- Reading ---

    def _whole(self) -> Optional[np.ndarray]:
        """The array in the mapping; None where nothing is mapped."""
        if self._mapped is None and self._opening.mmap_mode is not None and self.encoding in ("raw", "view"):
            self._mapped = self._handle.load(self._path)
        return self._mapped

    def __getitem__(self, index: Any) -> Any:
        whole = self._whole()
        if whole is not None:
            return whole[index]
        items = index if isinstance(index, tuple) else (index,)
        if any(_is_field(item) for item in items):  # of records
            return self[...][index]
        dtype = self.dtype
        try:
            items, axes = _expanded(items, self._shape)
        except IndexError:
            # NumPy's own message. It accepts some of these where nothing is left to index.
            none = np.broadcast_to(np.empty((), dtype), self._shape)[index]
            if none.size:
                raise
            return none.copy()
        box: List[Tuple[int, int, int]] = []  # of the axes from the first on
        kept: List[Any] = []  # the index of what was read
        gathered = None
        axis = 0
        for item, count in zip(items, axes):
            if item is Ellipsis or count == 0:  # None, and booleans without axes
                kept.append(item)
                box.extend((0, extent, 1) for extent in self._shape[axis : axis + count])
                axis += count
                continue
            extent = self._shape[axis]
            if isinstance(item, slice):
                box.append(_range_of(item, extent))
                kept.append(slice(None))
            elif isinstance(item, int):
                box.append((item, 1, 1))
                kept.append(0)
            elif item.dtype == bool:
                if axis == 0 and gathered is None:
                    gathered = np.flatnonzero(item.reshape(extent, -1).any(axis=1)) if item.size else np.empty(0, int)
                    item = item[gathered]
                    box.append((0, gathered.size, 1))
                else:
                    box.append((0, extent, 1))
                box.extend((0, n, 1) for n in self._shape[axis + 1 : axis + count])
                kept.append(item)
            elif axis == 0:
                gathered = item.reshape(-1)
                box.append((0, gathered.size, 1))
                kept.append(np.arange(gathered.size).reshape(item.shape))
            else:
                first = int(item.min()) if item.size else 0
                box.append((first, int(item.max()) + 1 - first if item.size else 0, 1))
                kept.append(item - first)
            axis += count
        if gathered is not None:
            part = self._gather(gathered)
            # The other axes were read whole: what was asked of them comes now.
            part = part[(slice(None), *(_slice_of(*one) for one in box[1:]))]
        else:
            part = self._array.read(box)
        return part[tuple(kept)]

    def _gather(self, rows: np.ndarray) -> np.ndarray:
        return self._array.gather(np.ascontiguousarray(rows, np.uint64))

    def __setitem__(self, index: Any, value: Any) -> None:
        whole = self._whole()
        if whole is None:
            raise TypeError('arrays in files can be changed where they are opened with mmap_mode="r+" or "c"')
        whole[index] = value

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> np.ndarray:
        whole = self._whole()
        if whole is not None:
            if dtype is not None and np.dtype(dtype) != whole.dtype:
                if copy is False:
                    raise ValueError("another dtype needs a copy")
                return whole.astype(dtype)
            return whole.copy() if copy else whole
        if copy is False:
            raise ValueError("an array in a file that is not mapped cannot be had without a copy")
        made = self[...]
        return made if dtype is None else made.astype(dtype, copy=False)

    def load(self) -> np.ndarray:
        """The whole array, in the order in which it is stored; in a mapped file, without reading it."""
        whole = self._whole()
        return whole if whole is not None else self._handle.load(self._path)

    def read_into(self, out: np.ndarray, index: Any = ...) -> None:
        """Reads a part into an array that is there.

        Parameters
        ----------
        out : numpy.ndarray
            Of the part's shape. Where it is dense in C order and the index has slices and ``...`` only, the elements are
            decoded right into it. Another dtype must hold every stored value.
        index : optional
            As in ``array[index]``; everything if it is left out.

        Raises
        ------
        ValueError
            For another shape, and an array that cannot be written.
        TypeError
            For a dtype that loses something.
        """
        if not isinstance(out, np.ndarray):
            raise TypeError("out is a numpy.ndarray")
        if not out.flags.writeable:
            raise ValueError("out cannot be written")
        items = index if isinstance(index, tuple) else (index,)
        if self._whole() is None and out.flags.c_contiguous and all(isinstance(i, slice) or i is ... for i in items):
            box: List[Tuple[int, int, int]] = []
            for item, count in zip(*_expanded(items, self._shape)):
                axes = self._shape[len(box) : len(box) + count]
                box.extend((0, extent, 1) if item is ... else _range_of(item, extent) for extent in axes)
            self._array.read_to(box, out)
            return
        part = self[index]
        if np.shape(part) != out.shape:
            raise ValueError(f"cannot read an array of shape {np.shape(part)} into one of {out.shape}")
        np.copyto(out, part, casting="safe")

    def batches(self, count: int) -> Iterator[np.ndarray]:
        """The rows, `count` at a time, the last batch shorter. The next batch is read while the loop works on one.

        Parameters
        ----------
        count : int
            Rows of a batch.

        Yields
        ------
        numpy.ndarray
            Of shape (count, …): a new array each, or a view of the mapping.

        Raises
        ------
        ValueError
            For a count below 1.
        TypeError
            For an array without axes.
        """
        count = operator.index(count)
        if count < 1:
            raise ValueError("a batch has at least one row")
        rows = len(self)
        return self._batches(count, rows)

    def _batches(self, count: int, rows: int) -> Iterator[np.ndarray]:
        if rows <= count or self._whole() is not None:
            for first in range(0, rows, count):
                yield self[first : first + count]
            return
        firsts = iter(range(0, rows, count))

        def read_next():
            first = next(firsts, None)
            return None if first is None else self[first : first + count]

        yield from _read_ahead(read_next)

    def __iter__(self) -> Iterator[Any]:
        rows = len(self)  # raises for an array without axes
        return self._rows(max(1, _batch_bytes * rows // max(1, self.nbytes)) if rows else 1)

    def _rows(self, count):
        for batch in self.batches(count):
            yield from batch

    def __contains__(self, value: Any) -> bool:
        return any(bool(np.any(batch == value)) for batch in (self.batches(65536) if self._shape else [self[...]]))

    # Comparisons are NumPy's, of the elements.
    def __eq__(self, other: Any) -> Any:
        return np.asarray(self) == other

    def __ne__(self, other: Any) -> Any:
        return np.asarray(self) != other

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> Any:
        return _array_in, (self._opening, self._path)


def _array_in(opening, path):
    return LazyArray(opening, opening.shared(), path)


def _is_field(item):
    return isinstance(item, str) or (isinstance(item, list) and bool(item) and all(isinstance(x, str) for x in item))


def _range_of(part: slice, extent: int) -> Tuple[int, int, int]:
    positions = range(*part.indices(extent))
    return (positions.start, len(positions), positions.step) if positions else (0, 0, 1)


def _slice_of(first: int, count: int, step: int) -> slice:
    end = first + count * step
    return slice(first, end if end >= 0 else None, step) if count else slice(0, 0)


def _expanded(items, shape):
    """The items of an index, and the number of axes that each covers.

    Integers become int from 0 on, arrays become arrays of intp from 0 on or of bool. Raises what NumPy raises.
    """
    made = []
    axes = []
    ellipsis = None
    for item in items:
        if isinstance(item, slice) or item is None:
            made.append(item)
            axes.append(0 if item is None else 1)
        elif item is Ellipsis:
            if ellipsis is not None:
                raise IndexError("an index can only have a single ellipsis ('...')")
            ellipsis = len(made)
            made.append(item)
            axes.append(0)
        elif isinstance(item, (bool, np.bool_)):
            made.append(np.asarray(item))
            axes.append(0)
        else:
            number = None
            if not isinstance(item, (list, tuple)) and not (isinstance(item, np.ndarray) and item.ndim):
                try:
                    number = operator.index(item)
                except TypeError:
                    pass
            if number is not None:
                made.append(number)
                axes.append(1)
                continue
            array = np.asarray(item)
            if array.size == 0 and not isinstance(item, np.ndarray):
                array = array.astype(np.intp)
            if array.dtype == bool:
                made.append(array)
                axes.append(array.ndim)
            elif array.dtype.kind in "iu":
                made.append(array.astype(np.intp))
                axes.append(1)
            else:
                raise IndexError("only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or "
                                 "boolean arrays are valid indices")
    covered = sum(axes)
    if covered > len(shape):
        raise IndexError(f"too many indices for array: array is {len(shape)}-dimensional, but {covered} were indexed")
    if ellipsis is not None:
        axes[ellipsis] = len(shape) - covered
    axis = 0
    for place, (item, count) in enumerate(zip(made, axes)):
        if count and item is not Ellipsis and not isinstance(item, slice):
            made[place] = _bounded(item, axis, shape)
        axis += count
    return made, axes


def _bounded(item, axis, shape):
    extent = shape[axis]
    if isinstance(item, int):
        if not -extent <= item < extent:
            raise IndexError(f"index {item} is out of bounds for axis {axis} with size {extent}")
        return item + extent if item < 0 else item
    if item.dtype == bool:
        for place, wanted in enumerate(item.shape):
            if wanted != shape[axis + place]:
                raise IndexError(f"boolean index did not match indexed array along axis {axis + place}; size of axis is "
                                 f"{shape[axis + place]} but size of corresponding boolean axis is {wanted}")
        return item
    wrong = (item < -extent) | (item >= extent)
    if wrong.any():
        raise IndexError(f"index {item[wrong].flat[0]} is out of bounds for axis {axis} with size {extent}")
    return np.where(item < 0, item + extent, item)


LazyArray.__module__ = "stele"
