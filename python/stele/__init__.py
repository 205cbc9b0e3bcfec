"""Saves and loads Python objects with large arrays: compressed, mapped, read in part, and safe to load.

>>> import stele, numpy as np, tempfile, os
>>> path = os.path.join(tempfile.mkdtemp(), "model.stele.zst")
>>> stele.dump({"weights": np.arange(6.0).reshape(2, 3), "epoch": 3}, path)
>>> stele.load(path)["epoch"]
3
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ._core import hash, version as __version__
from . import _forms  # noqa: F401 - the module uses it
from ._errors import Error, UntrustedError
from ._inert import Inert, Typed
from ._archive import dump, dumps, load, loads, types
from ._cache import Cache, CachedFunction, CachedResult
from ._checkpoints import CheckpointChange, CheckpointInfo, Checkpoints
from ._sharded import ShardedArray, ShardedCheckpoint, ShardedWriter, ShardWriter, commit_sharded
from ._lazy import LazyArray
from ._remote import remote_options
from ._restore import RestoreReport
from ._tree import Tree
from ._file import File, Info, Node, info, open, verify
from ._services import (
    BinaryFuse, BloomFilter, CountMin, FeatureStore, HyperLogLog, TextDictionary, TokenCounts, from_text, from_texts, to_text,
    to_texts, train_dictionary,
)
try:
    from ._store import Store
    from ._dataset import StoreDataset, StoreStream
except ImportError:  # a build without LMDB
    _without = {"Store", "StoreDataset", "StoreStream"}
else:
    _without = set()
from ._urls import RemotePath
from ._writer import Appender, Writer, appender, batches, convert, entries, writer

__all__ = [
    "Appender", "BinaryFuse", "BloomFilter", "Cache", "CachedFunction", "CachedResult", "CheckpointChange", "CheckpointInfo",
    "Checkpoints", "CountMin", "Error", "FeatureStore", "File", "HyperLogLog", "Inert", "Info",
    "LazyArray", "Node", "RemotePath", "RestoreReport", "ShardWriter", "ShardedArray", "ShardedCheckpoint", "ShardedWriter",
    "Store", "StoreDataset", "StoreStream", "TextDictionary", "TokenCounts", "Tree", "Typed", "UntrustedError", "Writer", "appender",
    "batches", "commit_sharded", "convert", "dump", "dumps", "entries", "from_text", "from_texts", "hash", "info", "load",
    "loads", "open", "remote_options", "to_text", "to_texts", "train_dictionary", "types", "verify", "writer",
]
__all__ = [name for name in __all__ if name not in _without]


def __getattr__(name: str) -> Any:
    """Modules for other packages, which are imported when they are used."""
    if name in ("dask", "ray", "torch"):
        return import_module("." + name, __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
