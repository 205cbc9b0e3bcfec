"""Types of arguments."""

from __future__ import annotations

import datetime
import os
from typing import Any, Callable, Dict, Iterable, Mapping, Optional, Tuple, Union

AnyPath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
AnyFile = Any  # a path, or what has read() or write()
Buffer = Any  # bytes, bytearray, a memoryview, an array of bytes
Trusted = Union[bool, Iterable[Any], Any]  # names and patterns, classes and functions
Metadata = Dict[str, Any]  # str, int, float or bool
Limits = Dict[str, int]
Progress = Union[None, bool, Callable[[int], Any]]
Key = Union[str, bytes, int]
Seconds = Union[float, datetime.timedelta, None]
Pairs = Union[Mapping[Any, Any], Iterable[Tuple[Any, Any]]]


def seconds(value: Seconds) -> Optional[float]:
    return value.total_seconds() if isinstance(value, datetime.timedelta) else value
