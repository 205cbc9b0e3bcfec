"""Archives and stores as datasets of Ray Data.

>>> rows = stele.ray.read_archive("features.stele.zst", ["x", "y"])                                   # doctest: +SKIP
>>> items = stele.ray.read_store("samples", prefix="train/")                                          # doctest: +SKIP
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Union

import numpy as np
import ray.data
from ray.data.block import BlockAccessor, BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from ._file import open
from ._pinned import open_pinned, pin
from ._store import Store
from ._types import AnyPath, Trusted

__all__ = ["ArchiveSource", "StoreSource", "read_archive", "read_store"]


def _ranges(count: int, parts: int) -> List[range]:
    """Some ranges of about equal length that make up range(count)."""
    parts = max(1, min(parts, count))
    return [range(count * part // parts, count * (part + 1) // parts) for part in range(parts)]


def _task(read: Callable[[], Iterable[Any]], rows: range, size: Optional[int]) -> ReadTask:
    return ReadTask(read, BlockMetadata(num_rows=len(rows), size_bytes=size, input_files=None, exec_stats=None))


class ArchiveSource(Datasource):
    """Rows of arrays in an archive, for `ray.data.read_datasource`; see `read_archive`."""

    def __init__(self, place: Any, paths: Union[None, str, Sequence[str]] = None) -> None:
        super().__init__()
        with open(place) as file:
            if paths is None:
                paths = [str(key) for key, found in file.items() if hasattr(found, "read_into") and found.ndim]
            arrays = {path: file[path] for path in ([paths] if isinstance(paths, str) else paths)}
            for path, array in arrays.items():
                if not hasattr(array, "read_into") or not array.ndim:
                    raise TypeError(f"{place}: there is no array with rows at the path {path!r}")
            lengths = {path: len(array) for path, array in arrays.items()}
            if len(set(lengths.values())) != 1:
                raise ValueError(f"{place}: expected arrays with one number of rows, found {lengths}")
            self._place, self._paths, self._version = place, list(arrays), pin(file, place)
            self._rows = next(iter(lengths.values()))
            self._bytes = sum(array.nbytes for array in arrays.values())

    def estimate_inmemory_data_size(self) -> int:
        return self._bytes

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> List[ReadTask]:
        place, paths, version = self._place, self._paths, self._version

        def reading(rows: range) -> Any:
            def read() -> Iterable[Any]:
                with open_pinned(place, version) as file:
                    batch = {path: np.asarray(file[path][rows.start:rows.stop]) for path in paths}
                yield BlockAccessor.batch_to_block(batch)

            return read

        return [_task(reading(rows), rows, self._bytes * len(rows) // max(1, self._rows))
                for rows in _ranges(self._rows, parallelism)]


class StoreSource(Datasource):
    """Items of a store, for `ray.data.read_datasource`; see `read_store`."""

    def __init__(self, store: Union[Store, AnyPath], prefix: Union[str, bytes, None] = None, *, trusted: Trusted = (),
                 batch: int = 1000) -> None:
        super().__init__()
        self._path = store.path if isinstance(store, Store) else store
        self._trusted, self._batch = trusted, batch
        with Store(self._path, "r") as there:
            self._keys = list(there.prefix_keys(prefix) if prefix is not None else there.keys())

    def estimate_inmemory_data_size(self) -> Optional[int]:
        return None

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> List[ReadTask]:
        path, trusted, batch = self._path, self._trusted, self._batch

        def reading(keys: List[Any]) -> Any:
            def read() -> Iterable[Any]:
                with Store(path, "r", trusted=trusted) as store:
                    for first in range(0, len(keys), batch):
                        some = keys[first:first + batch]
                        yield _block(some, store.get_many(some, _missing))

            return read

        return [_task(reading(self._keys[part.start:part.stop]), part, None) for part in _ranges(len(self._keys), parallelism)]


_missing = object()


def _block(keys: List[Any], values: List[Any]) -> Any:
    import pandas

    for key, value in zip(keys, values):
        if value is _missing:
            raise KeyError(f"the item {key!r} was removed from the store meanwhile")
    names = values[0].keys() if values and isinstance(values[0], dict) else None
    if names is None or not all(isinstance(value, dict) and value.keys() == names for value in values) or "key" in names:
        columns: Dict[str, Any] = {"key": keys, "value": values}
    else:
        columns = {"key": keys, **{str(name): [value[name] for value in values] for name in names}}
    made = pandas.DataFrame({name: pandas.Series(column, dtype=object) for name, column in columns.items()})
    return made.infer_objects()


def read_archive(place: Any, paths: Union[None, str, Sequence[str]] = None, **options: Any) -> ray.data.Dataset:
    """The rows of arrays in an archive, as a dataset of Ray with a column for each.

    Parameters
    ----------
    place : str, path or RemotePath
        Any file that `stele.open` reads, compressed or not, or a sharded archive; reachable by all workers.
    paths : str or list of str, optional
        Arrays with the same number of rows. If it is left out: those at the top of the archive.
    **options
        Of `ray.data.read_datasource`: override_num_blocks, concurrency, …

    Raises
    ------
    ValueError
        For arrays of different lengths.
    stele.Error
        With the code "changed", when it is read, if the archive was replaced meanwhile.
    """
    return ray.data.read_datasource(ArchiveSource(place, paths), **options)


def read_store(store: Union[Store, AnyPath], prefix: Union[str, bytes, None] = None, *, trusted: Trusted = (),
               batch: int = 1000, **options: Any) -> ray.data.Dataset:
    """The items of a store as a dataset of Ray.

    Values that are dicts with the same keys become columns of these names beside "key"; others the column "value".

    Parameters
    ----------
    store : Store, str or path
        Its folder, which all workers reach.
    prefix : str or bytes, optional
        Only keys that begin so. The keys are those that there are now.
    trusted : optional
        As for `stele.load`.
    batch : int
        Items of a block.
    **options
        Of `ray.data.read_datasource`.
    """
    return ray.data.read_datasource(StoreSource(store, prefix, trusted=trusted, batch=batch), **options)
