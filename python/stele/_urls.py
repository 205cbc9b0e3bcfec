"""Files beyond the local file system: which of them the core opens, and which go through fsspec or obstore."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Optional, Tuple

from ._errors import make

__all__ = ["Folder", "folder"]

# What the core opens by its URL; all other schemes are fsspec's.
_core_schemes: Tuple[str, ...] = ()
_url = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)(::|://)")


def scheme_of(path: Any) -> Optional[str]:
    """The scheme of a URL that fsspec is to open: "gs", or "simplecache" of "simplecache::gs://…"; None for anything else."""
    if not isinstance(path, str):
        return None
    found = _url.match(path)
    if found is None:
        return None
    scheme = found.group(1).lower()
    return None if found.group(2) == "://" and scheme in _core_schemes else scheme


_packages = {"gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs", "adl": "adlfs", "s3": "s3fs",
             "s3a": "s3fs", "http": "aiohttp", "https": "aiohttp", "hf": "huggingface_hub", "sftp": "paramiko",
             "ssh": "paramiko", "smb": "smbprotocol", "oss": "ossfs", "github": "requests", "webhdfs": "requests"}


def file_system(url: str) -> Tuple[Any, str]:
    """The file system of fsspec and the path in it.

    Raises
    ------
    stele.Error
        With the code "unsupported" where a package is missing or nobody knows the scheme.
    """
    scheme = scheme_of(url)
    package = _packages.get(url.rpartition("::")[2].partition("://")[0].lower(), "")
    try:
        import fsspec
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        message = f"URLs of {scheme} need a package that is not there ({error}): pip install fsspec {package}".rstrip()
    except ValueError as error:
        message = f"there is no file system for {scheme}: {error}"
    raise make("unsupported", f"{url}: {message}", message, file=url)


class Folder:
    """A folder of files that are written whole, or a prefix of objects in a store."""

    def __init__(self, place: Any) -> None:
        if scheme_of(place) is not None:
            self.place = place.rstrip("/")
            self._system: Any = file_system(self.place)
        else:
            self.place = os.path.abspath(os.fsdecode(place))
            self._system = None

    def at(self, name: str) -> str:
        """What `stele.dump`, `stele.load` and `stele.open` take for a file of the folder."""
        return f"{self.place}/{name}" if self._system is not None else os.path.join(self.place, *name.split("/"))

    def make(self) -> None:
        """Makes the folder, where there are such things."""
        if self._system is None:
            os.makedirs(self.place, exist_ok=True)

    def sizes(self) -> Dict[str, int]:
        """The files in it by their names, which have no slash, with their bytes; none if there is no such folder."""
        found = {}
        if self._system is None:
            try:
                with os.scandir(self.place) as entries:
                    found = {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
            except FileNotFoundError:
                pass
            return found
        system, path = self._system
        try:
            listed: List[Any] = system.ls(path, detail=True, refresh=True)
        except FileNotFoundError:
            return found
        return {one["name"].rstrip("/").rpartition("/")[2]: one["size"] for one in listed if one["type"] == "file"}

    def size(self, name: str) -> Optional[int]:
        """The bytes of a file; None if there is none."""
        if self._system is None:
            try:
                return os.path.getsize(self.at(name))
            except FileNotFoundError:
                return None
        system, path = self._system
        system.invalidate_cache(path)
        try:
            return int(system.info(f"{path}/{name}")["size"])
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Removes a file, which may be gone already."""
        try:
            if self._system is None:
                os.unlink(self.at(name))
            else:
                system, path = self._system
                system.rm_file(f"{path}/{name}")
        except FileNotFoundError:
            pass


def folder(place: Any) -> Folder:
    """A folder by its path or URL."""
    return place if isinstance(place, Folder) else Folder(place)
