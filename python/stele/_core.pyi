"""The compiled module; its faces are in the other files of the package."""

from typing import Any

version: str

def hash(value: object) -> str:
    """The content hash of an object, "xxh3-128:" and 32 hexadecimal digits: equal for equal values."""

def __getattr__(name: str) -> Any: ...
