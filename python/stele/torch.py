"""Checkpoints of torch.distributed as archives: a StorageWriter and a StorageReader for `torch.distributed.checkpoint`.

>>> import torch.distributed.checkpoint as dcp                                                        # doctest: +SKIP
>>> dcp.save(state, storage_writer=stele.torch.StorageWriter("run/step-100"))                         # doctest: +SKIP
>>> dcp.load(state, storage_reader=stele.torch.StorageReader("run/step-100"))                         # doctest: +SKIP

A checkpoint is a folder, or a prefix of an object store. Each rank writes one archive there, a dict of its chunks; the
rank that coordinates writes `checkpoint.stele` last, which names them. Without that file the checkpoint does not exist.
No file holds a pickle, and nothing that is read is executed.
"""

from __future__ import annotations

import dataclasses
import io
import os
import uuid
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch
from torch.distributed.checkpoint import metadata as dcp
from torch.distributed.checkpoint.planner import (
    LoadItemType, LoadPlan, LoadPlanner, SavePlan, SavePlanner, WriteItem, WriteItemType,
)
from torch.distributed.checkpoint.storage import StorageReader as _StorageReader
from torch.distributed.checkpoint.storage import StorageWriter as _StorageWriter
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from ._archive import dump, load
from ._errors import Error, failure
from ._file import File, _escape, open
from ._lazy import LazyArray
from ._types import Trusted
from ._urls import Folder, RemotePath, folder
from ._writer import writer

__all__ = ["StorageReader", "StorageWriter"]

_manifest = "checkpoint.stele"
_format = 1
_suffix = ".part.stele"
# The entry of a part that is a dict of what is small: it is read at once, as each look-up for one of many costs more.
_small = "small"
_small_bytes = 4096
_leaves = (bool, int, float, str, type(None))


def _text(thing: Any) -> str:
    """A dtype, layout or memory format by its name in torch."""
    return str(thing).partition(".")[2]


def _named(name: Any, kind: type, what: str) -> Any:
    found = getattr(torch, name, None) if isinstance(name, str) and name.isidentifier() else None
    if not isinstance(found, kind):
        raise failure("malformed", f"torch has no {what} {name!r}")
    return found


# Elements that NumPy has no type for are stored as their bits.
_bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _array_of(tensor: torch.Tensor) -> np.ndarray:
    """The elements of a dense tensor in memory of the CPU, without a copy where there need be none."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type == "meta":
        raise ValueError(f"a tensor of layout {tensor.layout}, dtype {tensor.dtype} on {tensor.device} has no elements to "
                         "store")
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    try:
        return plain.numpy()
    except TypeError:
        return plain.contiguous().view(_bits[plain.element_size()]).numpy()


def _tensor_of(array: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    if not array.flags.writeable or not array.flags.c_contiguous:
        array = np.array(array, order="C")
    made = torch.from_numpy(array)
    return made if made.dtype == dtype else made.view(dtype)


def _plain(value: Any, where: Any) -> Any:
    """The data of a planner, if it is data."""
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    if type(value) in (list, tuple):
        return type(value)(_plain(item, where) for item in value)
    if type(value) is dict:
        return {_plain(key, where): _plain(item, where) for key, item in value.items()}
    raise failure("unsupported", f"the planner's data has an object of {type(value).__module__}.{type(value).__qualname__}: only "
                  "None, bool, int, float, str, bytes, list, tuple and dict can be stored", file=where)


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a chunk or an object is: what a rank tells of what it wrote, and what is in `Metadata.storage_data`."""

    part: str
    path: str
    kind: str = ""  # of an object: how a planner wrapped it
    shape: Tuple[int, ...] = ()  # of a chunk


class _AtPlace:
    """What a writer and a reader have: the place of a checkpoint."""

    _folder: Optional[Folder]

    @property
    def checkpoint_id(self) -> Any:
        """The place."""
        return None if self._folder is None else self._folder.place

    def reset(self, checkpoint_id: Any = None) -> None:
        if checkpoint_id:
            self._folder = folder(checkpoint_id)

    def _there(self) -> Folder:
        if self._folder is None:
            verb = "load" if isinstance(self, StorageReader) else "save"
            raise failure("invalid_argument",
                          f"no place was given: {type(self).__name__}(place), or checkpoint_id of dcp.{verb}")
        return self._folder

    def prepare_local_plan(self, plan: Any) -> Any:
        return plan

    def prepare_global_plan(self, plans: List[Any]) -> List[Any]:
        return plans

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        return isinstance(checkpoint_id, (str, os.PathLike, RemotePath))


class StorageWriter(_AtPlace, _StorageWriter):
    """Writes a checkpoint of `torch.distributed.checkpoint` as archives.

    Parameters
    ----------
    place : str or path, optional
        A folder or a URL of one, for one checkpoint. `checkpoint_id` of ``dcp.save`` does the same.
    overwrite : bool
        Whether a checkpoint that is there is replaced. It stays whole until the new one is complete, and then its files are
        removed, with those that saves left which did not come to their end. If False, it is an error.
    codec, level
        As for `stele.dump`; plain if they are left out.
    sync : {"none", "file", "file_folder"}
        What must be on the device when the save returns; for folders.

    Notes
    -----
    Objects other than tensors are stored as by `stele.dump`. One process at a time saves to a place.
    """

    def __init__(self, place: Any = None, *, overwrite: bool = True, codec: Optional[str] = None, level: Optional[int] = None,
                 sync: str = "file_folder") -> None:
        super().__init__()
        self._folder: Optional[Folder] = None if place is None else folder(place)
        self._overwrite = overwrite
        self._options: Dict[str, Any] = dict(codec=codec or "plain", level=level, sync=sync)
        self._rank = 0

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        if not kwargs.get("use_collectives", True):
            raise failure("unsupported", "without collectives every rank would write a checkpoint of its own")
        self._rank = kwargs.get("rank") or 0
        there = self._there()
        there.make()
        if is_coordinator and not self._overwrite and _manifest in there.sizes():
            raise failure("invalid_argument", "there is a checkpoint; overwrite=True replaces it", file=there.place)

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> "Future[List[WriteResult]]":
        done: "Future[List[WriteResult]]" = Future()
        # The name is nobody else's: a save that is tried again never mixes with what an earlier one left.
        part = f"{self._rank:05}-{uuid.uuid4().hex}{_suffix}"
        results: List[WriteResult] = []
        if plan.items:
            with writer(self._there().at(part), metadata={"torch.part": part}, **self._options) as out:
                small: Dict[str, Any] = {}
                for item in plan.items:
                    results.append(self._write(out, small, part, item, planner))
                out[_small] = small
        done.set_result(results)
        return done

    @staticmethod
    def _write(out: Any, small: Dict[str, Any], part: str, item: WriteItem, planner: SavePlanner) -> WriteResult:
        data = planner.resolve_data(item)
        name = item.index.fqn
        kind = ""
        try:
            if item.type == WriteItemType.BYTE_IO:
                value, kind, size = _object_of(data)
            else:
                if not isinstance(data, torch.Tensor):
                    raise TypeError(f"the planner gives {type(data).__name__} for a tensor")
                value = _array_of(data)
                size = value.nbytes
                wanted = item.tensor_data
                if wanted is None or tuple(data.shape) != tuple(wanted.chunk.sizes) or data.dtype != wanted.properties.dtype:
                    raise ValueError(f"the plan has another chunk than the tensor of {data.dtype}{list(data.shape)}")
        except (TypeError, ValueError) as error:
            raise failure("unsupported", str(error), name) from error
        taken = (out, small, (_small,))
        key = name
        if any(key in keys for keys in taken) and item.index.offset is not None:
            key = f"{name}@{','.join(map(str, item.index.offset))}"
        while any(key in keys for keys in taken):
            key += "+"
        path = _escape(key)
        if type(value) in _leaves or isinstance(value, np.ndarray) and kind == "" and value.nbytes < _small_bytes:
            small[key] = value
            path = f"{_small}/{path}"
        else:
            out[key] = value
        return WriteResult(index=item.index, size_in_bytes=size, storage_data=_Place(part, path, kind))

    def finish(self, metadata: dcp.Metadata, results: List[List[WriteResult]]) -> None:
        there = self._there()
        places: Dict[dcp.MetadataIndex, _Place] = {}
        for one in (one for many in results for one in many):
            if places.setdefault(one.index, one.storage_data) is not one.storage_data:
                raise failure("invalid_argument", "two ranks wrote the same chunk", one.index.fqn, there.place)
        manifest, used = _described(metadata, places, there.place)
        found = there.sizes()
        gone = sorted(used - found.keys())
        if gone:
            raise failure("not_found", f"the part {gone[0]} is not there: was it removed, or saved to another place by its "
                          "rank?", file=there.place)
        manifest["parts"] = {part: found[part] for part in sorted(used)}
        _metadata_of(manifest)  # what a reader would refuse
        dump(manifest, there.at(_manifest), metadata={"torch.checkpoint": _format}, **self._options)
        for name in found.keys() - used:  # of the checkpoint that was replaced, and of dead ranks
            if name.endswith(_suffix):
                there.remove(name)


def _object_of(data: Any) -> Tuple[Any, str, int]:
    """What a planner gives for an object that is not a tensor: the object, how it was wrapped, and its bytes."""
    size = data.getbuffer().nbytes
    data.seek(0)
    try:
        # What this very process has just written.
        value = torch.load(data, map_location="cpu", weights_only=False)
    except Exception:  # noqa: BLE001 - a planner may write anything
        return data.getvalue(), "raw", size
    return (value.getvalue(), "BytesIO", size) if type(value) is io.BytesIO else (value, "object", size)


def _described(metadata: dcp.Metadata, places: Dict[dcp.MetadataIndex, _Place],
               where: Any) -> Tuple[Dict[str, Any], set]:
    """The metadata as plain data, and the names of the parts that it uses."""
    tensors: Dict[str, Any] = {}
    objects: Dict[str, Any] = {}
    used = set()

    def place(name: str, offset: Any) -> _Place:
        found = places.pop(dcp.MetadataIndex(name, offset), None)
        if found is None:
            what = "it" if offset is None else f"the chunk at {list(offset)}"
            raise failure("invalid_argument", f"no rank wrote {what}", name, where)
        used.add(found.part)
        return found

    for name, entry in metadata.state_dict_metadata.items():
        if isinstance(entry, dcp.BytesStorageMetadata):
            found = place(name, None)
            objects[name] = (found.part, found.path, found.kind)
            continue
        properties = entry.properties
        rank = len(entry.size)
        boxes = np.array([[*chunk.offsets, *chunk.sizes] for chunk in entry.chunks], np.int64).reshape(len(entry.chunks), 2, rank)
        chunks = [place(name, chunk.offsets) for chunk in entry.chunks]
        strides = getattr(properties, "strides", None)
        tensors[name] = {
            "dtype": _text(properties.dtype), "shape": tuple(entry.size), "boxes": boxes,
            "parts": [one.part for one in chunks], "paths": [one.path for one in chunks],
            "layout": _text(properties.layout), "memory_format": _text(properties.memory_format),
            "requires_grad": bool(properties.requires_grad), "pin_memory": bool(properties.pin_memory),
            "strides": None if strides is None else tuple(strides)}
    if places:
        name = next(iter(places)).fqn
        raise failure("invalid_argument", "it was written, and the metadata does not have it", name, where)
    return {"format": _format, "tensors": tensors, "objects": objects, "planner": _plain(metadata.planner_data, where),
            "version": metadata.version}, used


class StorageReader(_AtPlace, _StorageReader):
    """Reads a checkpoint that `StorageWriter` wrote, in any number of processes.

    Of each chunk it reads the box that its rank needs.

    Parameters
    ----------
    place : str or path, optional
        The folder or its URL. `checkpoint_id` of ``dcp.load`` does the same.
    trusted : bool, or iterable of str, class or function
        What may rebuild objects that are not tensors, as for `stele.load`.
    threads : int
        0: as many as the machine has.

    Raises
    ------
    stele.Error
        With the code "not_found" where no checkpoint is complete.
    stele.UntrustedError
        For objects of other classes than are trusted.
    """

    def __init__(self, place: Any = None, *, trusted: Trusted = (), threads: int = 0) -> None:
        super().__init__()
        self._folder: Optional[Folder] = None if place is None else folder(place)
        self._trusted = trusted
        self._threads = threads
        self._manifest: Any = None

    def reset(self, checkpoint_id: Any = None) -> None:
        self._manifest = None
        super().reset(checkpoint_id)

    def read_metadata(self, *args: Any, **kwargs: Any) -> dcp.Metadata:
        there = self._there()
        try:
            manifest = load(there.at(_manifest), threads=self._threads)
        except FileNotFoundError:
            raise failure("not_found", "there is no complete checkpoint: it has no checkpoint.stele",
                          file=there.at(_manifest)) from None
        try:
            if manifest["format"] != _format:
                raise failure("unsupported", f"checkpoints of format {manifest['format']} are read by later versions")
            made = _metadata_of(manifest)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            if isinstance(error, Error):
                raise
            raise failure("malformed", f"this is no description of a checkpoint: {error!r}",
                          file=there.at(_manifest)) from error
        return made

    def set_up_storage_reader(self, metadata: dcp.Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        self._manifest = metadata

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> "Future[None]":
        there = self._there()
        known = self._manifest.storage_data
        by_part: Dict[str, List[Any]] = {}
        for item in plan.items:
            place = known["places"].get(item.storage_index)
            if place is None:
                raise failure("not_found", "the checkpoint does not have it", item.storage_index.fqn, there.place)
            by_part.setdefault(place.part, []).append((place, item))
        for part, items in sorted(by_part.items()):
            with self._open(there, part, known["parts"][part]) as file:
                small: Dict[str, Any] = {}
                if any(place.path.startswith(_small + "/") for place, _ in items):
                    small = {f"{_small}/{_escape(key)}": value for key, value in file.load(_small).items()}
                for place, item in items:
                    try:
                        if item.type == LoadItemType.BYTE_IO:
                            planner.load_bytes(item, self._bytes_of(file, small, place))
                        else:
                            self._read(file, small, place, item, planner, known["dtypes"][item.storage_index.fqn])
                    except (KeyError, IndexError) as error:
                        if isinstance(error, Error):
                            raise failure("malformed", f"the part does not have it: {error}", item.storage_index.fqn,
                                          there.at(part)) from error
                        raise
        done: "Future[None]" = Future()
        done.set_result(None)
        return done

    def _open(self, there: Folder, part: str, size: int) -> File:
        try:
            file = open(there.at(part), trusted=self._trusted, threads=self._threads)
        except FileNotFoundError:
            raise failure("not_found", "a part of the checkpoint is not there", file=there.at(part)) from None
        facts = file.info
        if facts.stored_bytes != size or facts.metadata.get("torch.part") != part:
            file.close()
            raise failure("damaged", "this is another file than the one that the checkpoint names", file=there.at(part))
        return file

    def _bytes_of(self, file: File, small: Dict[str, Any], place: _Place) -> io.BytesIO:
        value = small[place.path] if place.path in small else file.load(place.path)
        if place.kind == "raw":
            if self._trusted is not True:
                raise failure("unsupported", "this holds bytes of a planner of its own, and what that does with them may run "
                              "code that they say; trusted=True lets it", place.path, file.path)
            return io.BytesIO(value)
        # The planner is given a pickle; it is made here, of an object that was loaded without executing anything.
        made = io.BytesIO()
        torch.save(io.BytesIO(value) if place.kind == "BytesIO" else value, made)
        made.seek(0)
        return made

    def _read(self, file: File, small: Dict[str, Any], place: _Place, item: Any, planner: LoadPlanner,
              dtype: torch.dtype) -> None:
        stored = small[place.path] if place.path in small else file[place.path]
        shape = getattr(stored, "shape", None)
        if shape != place.shape:
            raise failure("malformed", f"expected a chunk of shape {list(place.shape)}, found {stored!r}", place.path,
                          file.path)
        box = tuple(slice(first, first + count) for first, count in zip(item.storage_offsets, item.lengths)) or ...
        target = planner.resolve_tensor(item).detach()
        if tuple(target.shape) != tuple(item.lengths):
            message = f"cannot read a box of shape {list(item.lengths)} into a tensor of {list(target.shape)}"
            raise failure("type_mismatch", message, item.dest_index.fqn, file.path)
        if not torch.can_cast(dtype, target.dtype):
            message = f"cannot read {dtype} into a tensor of {target.dtype}"
            raise failure("type_mismatch", message, item.dest_index.fqn, file.path)
        out = _memory_of(target) if target.dtype == dtype else None
        if out is not None and isinstance(stored, LazyArray) and out.dtype == stored.dtype:
            stored.read_into(out, box)
        else:
            target.copy_(_tensor_of(np.asarray(stored[box]), dtype))
        planner.commit_tensor(item, target)


def _memory_of(target: torch.Tensor) -> Optional[np.ndarray]:
    """The elements of a tensor as they lie in memory, to be read into; None where that cannot be."""
    if target.device.type != "cpu" or not target.is_contiguous() or target.is_conj() or target.is_neg() or target.dim() == 0:
        return None
    try:
        return _array_of(target)
    except (TypeError, ValueError, KeyError):
        return None


def _metadata_of(manifest: Dict[str, Any]) -> dcp.Metadata:
    entries: Dict[str, Any] = {}
    places: Dict[dcp.MetadataIndex, _Place] = {}
    dtypes: Dict[str, torch.dtype] = {}
    known = {}
    for part, size in manifest["parts"].items():
        if not part.endswith(_suffix) or "/" in part or os.sep in part:
            raise ValueError(f"no name of a part: {part!r}")
        known[part] = int(size)
    for name, one in manifest["tensors"].items():
        rank = len(one["shape"])
        boxes = np.asarray(one["boxes"], np.int64)
        if boxes.shape[1:] != (2, rank) or not len(boxes) == len(one["parts"]) == len(one["paths"]):
            raise ValueError(f"the chunks of {name}")
        shape = np.array(one["shape"], np.int64)
        if (boxes < 0).any() or (boxes.sum(1) > shape).any() or boxes[:, 1].prod(1).sum() != shape.prod():
            raise ValueError(f"the chunks of {name} do not make up its shape {one['shape']}")
        dtypes[name] = _named(one["dtype"], torch.dtype, "dtype")
        properties = dcp.TensorProperties(
            dtype=dtypes[name], layout=_named(one["layout"], torch.layout, "layout"),
            requires_grad=bool(one["requires_grad"]),
            memory_format=_named(one["memory_format"], torch.memory_format, "memory format"),
            pin_memory=bool(one["pin_memory"]))
        if one["strides"] is not None and hasattr(properties, "strides"):
            properties.strides = tuple(map(int, one["strides"]))
        chunks = []
        for (offsets, sizes), part, path in zip(boxes.tolist(), one["parts"], one["paths"]):
            known[part]  # is one of them
            chunks.append(dcp.ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes)))
            places[dcp.MetadataIndex(name, offsets)] = _Place(part, path, shape=tuple(sizes))
        entries[name] = dcp.TensorStorageMetadata(properties, torch.Size(one["shape"]), chunks)
    for name, (part, path, kind) in manifest["objects"].items():
        known[part]
        entries[name] = dcp.BytesStorageMetadata()
        places[dcp.MetadataIndex(name)] = _Place(part, path, kind)
    made = dcp.Metadata(entries, planner_data=manifest["planner"],
                        storage_data={"places": places, "parts": known, "dtypes": dtypes})
    if manifest["version"] is not None and hasattr(made, "version"):
        made.version = str(manifest["version"])
    return made


for _class in (StorageReader, StorageWriter):
    _class.__module__ = "stele.torch"
