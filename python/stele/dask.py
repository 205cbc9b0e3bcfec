"""Arrays and bags of Dask in archives: blocks written and read by many workers.

>>> stele.dask.to_stele(array, "folder")                                                              # doctest: +SKIP
>>> array = stele.dask.from_stele("folder")                                                           # doctest: +SKIP

`to_stele` writes a sharded archive, a folder or a prefix of an object store that `stele.open` and the command line read like
any other. Each block is a part of its own, written by the worker that has it. The archive appears when all are complete.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import uuid
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple

import numpy as np

from dask.delayed import delayed

from ._file import open
from ._pinned import PinnedArray, attempt_key, open_pinned, pin
from ._services import FeatureStore, TokenCounts
from ._sharded import ShardedWriter, commit_sharded
from ._types import Trusted

__all__ = ["count_tokens", "features", "from_stele", "to_stele"]

_layout = "dask"  # in an archive's metadata: what `to_stele` wrote, as JSON


def _is_array(thing: Any) -> bool:
    return hasattr(thing, "to_delayed") and hasattr(thing, "chunks") and hasattr(thing, "dtype")


def _is_bag(thing: Any) -> bool:
    is_frame = hasattr(thing, "dtypes")
    return hasattr(thing, "to_delayed") and hasattr(thing, "npartitions") and not is_frame and not _is_array(thing)


def to_stele(value: Any, place: Any, *, path: str = "data", compute: bool = True, codec: Optional[str] = None,
             level: Optional[int] = None, filter: str = "auto", **options: Any) -> Any:
    """Writes arrays or a bag of Dask to a sharded archive.

    Parameters
    ----------
    value : dask.array.Array, dask.bag.Bag, or dict of str to dask.array.Array
        The keys of a dict are paths in the archive, "layers/weights". A bag's partitions become lists of any objects that
        `stele.dump` takes.
    place : str, path or RemotePath
        A folder that all workers reach, or a URL. An archive that is there is replaced when the new one is complete.
    path : str
        The place of a single array in the archive.
    compute : bool
        Whether to write now. Else a `dask.delayed` object is returned whose `compute` does, once.
    codec, level, filter
        As for `stele.dump`; plain if they are left out.
    **options
        For ``compute``: scheduler and others.

    Raises
    ------
    ValueError
        For chunks of unknown size, and blocks that are not what their array says.
    TypeError
        For what is none of these, and elements that are Python objects.
    """
    attempt = "dask-" + uuid.uuid4().hex
    saving = dict(codec=codec, level=level, filter=filter, threads=1)
    if _is_bag(value):
        partitions = value.to_delayed()
        layout: Dict[str, Any] = {"bag": len(partitions)}
        ranks = len(partitions)
        parts = [_write_partition(partition, place, attempt, rank, ranks, saving) for rank, partition in enumerate(partitions)]
    else:
        arrays: Mapping[str, Any] = value if isinstance(value, Mapping) else {path: value}
        for name, array in arrays.items():
            _require_plain(name, array)
        layout = {"arrays": {name: [list(sizes) for sizes in array.chunks] for name, array in arrays.items()}}
        if not isinstance(value, Mapping):
            layout["single"] = path
        ranks = sum(math.prod(array.numblocks) for array in arrays.values())
        parts = []
        for name, array in arrays.items():
            edges = [list(itertools.accumulate(sizes, initial=0)) for sizes in array.chunks]
            blocks = array.to_delayed()
            for index in np.ndindex(blocks.shape):
                parts.append(_write_block(
                    blocks[index], place, attempt, len(parts), ranks, saving, name, array.shape, array.dtype,
                    tuple(edge[at] for edge, at in zip(edges, index)),
                    tuple(sizes[at] for sizes, at in zip(array.chunks, index))))
    if not parts:
        raise ValueError("there is nothing to write")
    done = _commit(parts, place, attempt, ranks, json.dumps(layout))
    return done.compute(**options) if compute else done


def _require_plain(name: str, array: Any) -> None:
    if not _is_array(array):
        raise TypeError(f"{name}: expected an array or a bag of Dask, found {type(array).__name__}")
    if any(math.isnan(size) for sizes in array.chunks for size in sizes):
        raise ValueError(f"{name}: the sizes of some chunks are unknown; array.compute_chunk_sizes() finds them")
    if array.dtype.hasobject:
        raise TypeError(f"{name}: an array of Python objects has no blocks of a known form; a bag holds objects")


@delayed(pure=False, traverse=False)
def _write_block(block: Any, place: Any, attempt: str, rank: int, ranks: int, saving: Dict[str, Any], name: str,
                 shape: Tuple[int, ...], dtype: np.dtype, offset: Tuple[int, ...], extents: Tuple[int, ...]) -> int:
    if isinstance(block, np.ma.MaskedArray):
        raise TypeError(f"{name}: a block with a mask; array.filled() has none")
    found = np.asarray(block)
    if found.shape != extents or found.dtype != dtype:
        raise ValueError(f"{name}: the block at {list(offset)} is {found.dtype}{list(found.shape)}, and the array says "
                         f"{dtype}{list(extents)}")
    native = found.astype(dtype.newbyteorder("="), copy=False)
    _write_part(place, attempt, rank, ranks, saving, lambda out: out.put(name, native, shape, offset))
    return rank


@delayed(pure=False, traverse=False)
def _write_partition(partition: Any, place: Any, attempt: str, rank: int, ranks: int, saving: Dict[str, Any]) -> int:
    items = list(partition)
    _write_part(place, attempt, rank, ranks, saving, lambda out: out.put_value(f"partitions/{rank}", items))
    return rank


def _write_part(place: Any, attempt: str, rank: int, ranks: int, saving: Dict[str, Any], put: Callable[[Any], None]) -> None:
    try:
        out = ShardedWriter(place, rank, ranks, attempt=attempt, **saving)
    except ValueError as error:
        if "already" not in str(error):
            raise
        # Dask runs a task again whose worker has died. If it is not that, the whole graph is computed a second time.
        with contextlib.suppress(FileNotFoundError), open(place) as file:
            if file.metadata.get(attempt_key) == attempt:
                raise ValueError("this was computed before; another call of to_stele writes again") from None
        return
    with out:
        put(out)
        out.close()  # and no commit


@delayed(pure=False)
def _commit(parts: List[int], place: Any, attempt: str, ranks: int, layout: str) -> None:
    commit_sharded(place, ranks, attempt, wait=30, metadata={_layout: layout, attempt_key: attempt})


def from_stele(place: Any, path: Optional[str] = None, *, chunks: Any = None, trusted: Trusted = ()) -> Any:
    """Arrays or a bag in an archive, read lazily: each task opens the archive and reads what it needs.

    Parameters
    ----------
    place : str, path or RemotePath
        What `to_stele` wrote, or any file that `stele.open` reads.
    path : str, optional
        The place of an array. If it is left out: what `to_stele` was given; in other files, the whole object, if it is an
        array.
    chunks : optional
        As for `dask.array.from_array`. If they are left out: those that it was written in; in other files, rows of the first
        axis, so many as ``array.chunk-size`` of Dask's configuration says.
    trusted : optional
        For objects in a bag, as for `stele.load`.

    Returns
    -------
    dask.array.Array, dask.bag.Bag, or dict of str to dask.array.Array

    Raises
    ------
    stele.Error
        With the code "changed", when it is computed, if the archive was replaced meanwhile.
    """
    with open(place) as file:
        version = pin(file, place)
        layout = json.loads(str(file.metadata.get(_layout, "{}")))
        if path is None:
            if "bag" in layout:
                return _bag(place, version, int(layout["bag"]), trusted)
            if "arrays" in layout and "single" not in layout:
                return {name: _array(file, place, version, name, chunks or split) for name, split in layout["arrays"].items()}
            path = layout.get("single", "")
        return _array(file, place, version, path, chunks or layout.get("arrays", {}).get(path))


def _array(file: Any, place: Any, version: Any, path: str, chunks: Any) -> Any:
    import dask.array

    found = file[path]
    if not hasattr(found, "read_into"):
        raise TypeError(f"{place}: there is no array at the path {path!r}, but {found!r}")
    if chunks is None:
        chunks = ("auto",) + (-1,) * (found.ndim - 1) if found.ndim else ()
    elif isinstance(chunks, list):
        chunks = tuple(map(tuple, chunks))
    return dask.array.from_array(PinnedArray(place, version, path, found), chunks=chunks, name=f"stele-{uuid.uuid4().hex}",
                                 inline_array=False)


@delayed(pure=False)
def _partition(place: Any, version: Any, number: int, trusted: Any) -> List[Any]:
    with open_pinned(place, version, trusted) as file:
        found: List[Any] = file.load(f"partitions/{number}")
    return found


def _bag(place: Any, version: Any, partitions: int, trusted: Any) -> Any:
    import dask.bag

    return dask.bag.from_delayed([_partition(place, version, number, trusted) for number in range(partitions)])


# --- Counting and features on many workers ---


def count_tokens(bag: Any, *, longest_lane: int = 32, split_every: int = 8) -> Any:
    """Counts the tokens of a bag: each partition on its worker, then merged as a tree.

    Parameters
    ----------
    bag : dask.bag.Bag
        Of str or bytes.
    longest_lane : int
        As for `stele.TokenCounts`.
    split_every : int
        How many are merged at once. A worker has so many in memory.

    Returns
    -------
    dask.bag.Item
        Whose ``compute()`` is a `stele.TokenCounts`.
    """
    return bag.reduction(functools.partial(_counted, longest_lane), _merged, split_every=split_every)


def _counted(longest_lane: int, tokens: Iterable[Any]) -> TokenCounts:
    counts = TokenCounts(longest_lane)
    for batch in _batches(tokens):
        counts.update(batch)
    return counts


def features(pairs: Any, *, split_every: int = 4, **settings: Any) -> Any:
    """Builds a feature store of a bag's pairs: each partition on its worker, then merged as a tree.

    Parameters
    ----------
    pairs : dask.bag.Bag
        Of (entity, feature).
    split_every : int
        How many are merged at once. A worker has so many in memory, each of the final size: so few large partitions are
        better than many small ones.
    **settings
        Of `stele.FeatureStore`; `capacity` is for all pairs together.

    Returns
    -------
    dask.bag.Item
        Whose ``compute()`` is a `stele.FeatureStore`.
    """
    return pairs.reduction(functools.partial(_built, settings), _merged, split_every=split_every)


def _built(settings: Dict[str, Any], pairs: Iterable[Tuple[Any, Any]]) -> FeatureStore:
    store = FeatureStore(**settings)
    for batch in _batches(pairs):
        store.update([entity for entity, _ in batch], [feature for _, feature in batch], threads=1)
    return store


def _batches(items: Iterable[Any]) -> Iterable[List[Any]]:
    rest = iter(items)
    while batch := list(itertools.islice(rest, 100_000)):
        yield batch


def _merged(stores: Iterable[Any]) -> Any:
    stores = iter(stores)
    made = next(stores).copy()  # Dask keeps what it gave
    for store in stores:
        made.merge(store)
    return made
