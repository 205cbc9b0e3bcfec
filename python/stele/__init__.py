"""Saves and loads Python objects with large arrays: compressed, mapped, read in part, and safe to load.

>>> import stele, numpy as np, tempfile, os
>>> path = os.path.join(tempfile.mkdtemp(), "model.stele.zst")
>>> stele.dump({"weights": np.arange(6.0).reshape(2, 3), "epoch": 3}, path)
>>> stele.load(path)["epoch"]
3
"""

from __future__ import annotations

from ._core import hash, version as __version__
from ._errors import Error, UntrustedError
from ._inert import Inert, Typed
from ._archive import dump, dumps, load, loads, types

__all__ = ["Error", "Inert", "Typed", "UntrustedError", "dump", "dumps", "hash", "load", "loads", "types"]
