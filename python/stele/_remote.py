"""Options of remote storage."""

from typing import Any, Dict, Optional

from . import _core
from ._errors import failure


def remote_options(*, attempts: Optional[int] = None, connect_s: Optional[float] = None,
                   stall_s: Optional[float] = None, part_bytes: Optional[int] = None,
                   parts: Optional[int] = None) -> Dict[str, Any]:
    """Sets how patient requests to object stores and web servers are, and how large; for the whole process.

    Parameters
    ----------
    attempts : int, optional
        Tries of a request; 8 if nothing is set, or what AWS_MAX_ATTEMPTS says.
    connect_s : float, optional
        Seconds until a connection must stand; 10.
    stall_s : float, optional
        Seconds after which a transfer that does not move is given up and tried again; 30.
    part_bytes : int, optional
        Bytes of one part of a large read or write, at least 5 MiB; 8 MiB.
    parts : int, optional
        Parts of one read or write in flight; 4. Their memory is `parts` times `part_bytes`.

    Returns
    -------
    dict
        All options as they are now. Without arguments nothing changes.

    Raises
    ------
    stele.Error
        ``code`` "invalid_argument"; "unsupported" for a build without libcurl.

    Examples
    --------
    >>> import stele
    >>> stele.remote_options()["parts"]
    4
    """
    if not hasattr(_core, "remote_options"):
        raise failure("unsupported", "this build has no remote storage")
    return _core.remote_options(attempts=attempts, connect_s=connect_s, stall_s=stall_s, part_bytes=part_bytes, parts=parts)
