"""Checkpoints: the state of a program, step by step, in a folder."""

from __future__ import annotations

import atexit
import contextlib
import datetime
import logging
import operator
import os
import signal
import threading
import weakref
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, TypeVar, Union

from . import _core
from . import _file
from ._errors import Error, failure
from ._sharded import ShardedCheckpoint, ShardWriter
from ._restore import Restoring, RestoreReport, chosen
from ._tree import size_text
from ._types import AnyPath, Metadata, Seconds, Trusted, seconds
from ._urls import local_folder

__all__ = ["CheckpointChange", "CheckpointInfo", "Checkpoints"]

_logger = logging.getLogger("stele.checkpoints")
_Best = Union[Tuple[str, str], Tuple[str, str, int]]
_T = TypeVar("_T")
_open: "weakref.WeakSet[Checkpoints]" = weakref.WeakSet()


def _finish() -> None:
    """The saves in work, before the interpreter ends."""
    for one in list(_open):
        if one._process == os.getpid():
            try:
                one.wait()
            except Exception as error:
                _logger.error("a checkpoint was not saved: %s", error)


atexit.register(_finish)


@dataclass(frozen=True, repr=False)
class CheckpointInfo:
    """What is known of a checkpoint without reading its arrays."""

    step: int
    created: float
    """Seconds since 1970."""
    metrics: Dict[str, float]
    metadata: Dict[str, Union[str, int, float, bool]]
    bytes: int
    """Of the checkpoint, as one archive."""
    written: int
    """Of its own file."""
    referred: int
    """Of the archive, in files of other checkpoints."""
    sharded: bool
    """Whether several processes have written it: `Checkpoints.shards` reads it, and ``bytes`` are the manifest's."""
    file: str
    """The path of its file."""

    def __repr__(self) -> str:
        time = datetime.datetime.fromtimestamp(self.created).isoformat(" ", "seconds")
        metrics = "".join(f", {name}={value:.6g}" for name, value in self.metrics.items())
        return (f"<stele.CheckpointInfo step {self.step}, {time}{metrics}: {size_text(self.bytes)}, "
                f"{size_text(self.written)} written>")


@dataclass(frozen=True)
class CheckpointChange:
    """An array of 4 KiB or more that differs between two checkpoints."""

    kind: str
    """"changed", "added", "removed" or "reshaped"."""
    path: str
    bytes: int
    relative: float
    """The norm of the difference by the norm of the first."""
    largest: float
    """The largest absolute difference of two elements."""


def _bests(given: Union[_Best, Iterable[_Best]]) -> List[Tuple[str, bool, int]]:
    found = []
    rules: Any = [given] if isinstance(given, tuple) and given and isinstance(given[0], str) else given
    for rule in rules:
        metric, mode, count = rule if len(rule) == 3 else (*rule, 1)
        found.append((metric, _largest(mode), operator.index(count)))
    return found


def _largest(mode: str) -> bool:
    if mode not in ("min", "max"):
        raise ValueError(f'the best value of a metric is its "min" or its "max", not {mode!r}')
    return mode == "max"


def _natural(step: Any) -> int:
    number = operator.index(step)
    if not 0 <= number < 1 << 64:
        raise ValueError(f"a step is not negative and below 2**64, not {number}")
    return number


class Checkpoints:
    """A folder of checkpoints: the state of a program at several steps, of which the newest good one is found again after
    a crash.

    A checkpoint is there whole or not at all. What has not changed since the last one is not written again. Old ones are
    removed by the rules below, of which each keeps some; if there is none, all stay; the newest always stays.

    Parameters
    ----------
    folder : str or path
        Created if it is not there.
    keep_last : int
        Keep the last ones.
    keep_every : int
        Keep those whose step is a multiple.
    keep_interval, keep_age : float or timedelta, optional
        Keep one for every so many seconds; those of at most this age.
    keep_best : tuple, or iterable of tuples
        ("loss", "min", 2): keep the two with the smallest loss; without a number, one.
    incremental : bool
        Refer to what earlier checkpoints hold, where nothing is compressed.
    codec, level, filter, threads
        As for `stele.dump`.
    sync : {"none", "file", "file_folder"}
        What must be on the device when a checkpoint counts as saved.
    wait : float
        Seconds to wait while another process saves to the folder.
    remote : str or path, optional
        Where copies go: another folder, or a URL such as "s3://bucket/run". A save returns once the checkpoint is in its
        own folder; the copy is made in the background, and `wait` and `close` wait for it. What is removed here is
        removed there. If the folder has no checkpoint when it is opened, all are taken from there.
    read_only : bool
        Nothing is written.

    Raises
    ------
    stele.Error, ValueError

    Notes
    -----
    Several threads may use one: saves and removals run one after the other, and reading goes on meanwhile. A child of
    fork can read; everything else raises there. A save in work is completed when the interpreter ends, and when the
    object is deleted. What is not a failure (a damaged checkpoint that is passed over) is logged, "stele.checkpoints".

    Examples
    --------
    >>> import stele, numpy as np, tempfile
    >>> k = stele.Checkpoints(tempfile.mkdtemp(), keep_last=2, keep_best=("loss", "min"))
    >>> for step, loss in [(10, 0.5), (20, 0.1), (30, 0.4), (40, 0.3)]:
    ...     info = k.save(step, {"weights": np.full(3, loss), "step": step}, {"loss": loss})
    >>> k.steps(), k.latest(), k.best()
    ([20, 30, 40], 40, 20)
    >>> k.restore()["weights"]
    array([0.3, 0.3, 0.3])
    """

    def __init__(self, folder: AnyPath, *, keep_last: int = 0, keep_every: int = 0, keep_interval: Seconds = None,
                 keep_age: Seconds = None, keep_best: Union[_Best, Iterable[_Best]] = (), incremental: bool = True,
                 codec: str = "plain", level: Optional[int] = None, filter: str = "auto", threads: int = 0,
                 sync: str = "file_folder", wait: float = 600, read_only: bool = False,
                 remote: Optional[Union[str, "os.PathLike[str]"]] = None) -> None:
        self._best = _bests(keep_best)
        self._threads = threads
        self._stop = 0
        self._process = os.getpid()
        self._options = dict(
            keep_last=_natural(keep_last), keep_every=_natural(keep_every), keep_interval=seconds(keep_interval),
            keep_age=seconds(keep_age), keep_best=self._best, incremental=incremental, codec=codec, level=level,
            filter=filter, threads=threads, sync=sync, wait=float(wait), read_only=read_only, warn=_logger.warning,
            remote=None if remote is None else os.fspath(remote))
        self._core = _core.Checkpoints.open(
            local_folder(folder, "checkpoints are in a local folder; `remote` names where copies go"), self._options)
        _open.add(self)

    @property
    def folder(self) -> str:
        """The absolute path."""
        return os.path.normpath(self._core.folder)

    # --- Saving ---

    def save(self, step: int, state: Any, metrics: Optional[Mapping[str, Any]] = None,
             metadata: Optional[Metadata] = None, *, overwrite: bool = False, asynchronous: bool = False,
             unchanged: bool = False) -> Optional[CheckpointInfo]:
        """Saves a checkpoint, and removes those that are no longer to be kept once it is complete.

        Parameters
        ----------
        step : int
            Its number.
        state : object
            What `stele.dump` takes. Of PyTorch's modules and optimizers give the `state_dict()`: whoever restores then
            need not trust classes, and their tensors are not copied.
        metrics : dict of str to float, optional
            Listed without reading arrays, and what `keep_best` looks at.
        metadata : dict of str to str, int, float or bool, optional
            Other things to be listed.
        overwrite : bool
            Replace a checkpoint of the same step; otherwise that is an error.
        asynchronous : bool
            Copy the state to memory, which later calls use again, and write it in the background. A save that is still
            in work is waited for first. What fails in the background is raised by the next call that saves or removes,
            `wait` and `close`.
        unchanged : bool
            Of an asynchronous save: do not copy. The state must not change until `wait`, or the next such call, returns.

        Returns
        -------
        CheckpointInfo
            None of an asynchronous save.

        Raises
        ------
        stele.Error
            ``code`` "invalid_argument": the step exists; "busy": another process saves; "io".
        """
        if unchanged and not asynchronous:
            raise ValueError("unchanged=True is for asynchronous=True: any other save returns when it is done")
        numbers = {name: float(value) for name, value in (metrics or {}).items()}
        made = self._core.save(_natural(step), state, numbers, metadata, overwrite, asynchronous, unchanged)
        return CheckpointInfo(**made) if made is not None else None

    @property
    def is_saving(self) -> bool:
        """Whether a save is in work."""
        return self._core.is_saving()

    def wait(self) -> None:
        """Waits for the save in work, and for copies. Raises what they failed with."""
        self._core.wait()

    def close(self) -> None:
        """The same, and releases the memory of copies. The object stays usable."""
        self._core.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    @contextlib.contextmanager
    def save_on_signal(self, signals: Union[int, Sequence[int]] = (signal.SIGTERM,)) -> Iterator["Checkpoints"]:
        """A context in which the first of these signals does not end the program: `stop_requested` says that it came, so
        that the program can save and end. A second one acts as before.

        Raises
        ------
        RuntimeError
            On another thread than the main one, which alone handles signals.

        Examples
        --------
        >>> import stele, os, signal, tempfile
        >>> k = stele.Checkpoints(tempfile.mkdtemp())
        >>> with k.save_on_signal(signal.SIGTERM):
        ...     for step in range(1000):
        ...         if step == 3:
        ...             os.kill(os.getpid(), signal.SIGTERM)
        ...         if k.stop_requested:
        ...             info = k.save(step, {"step": step})
        ...             break
        >>> k.restore()
        {'step': 3}
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("save_on_signal() is for the main thread, which alone handles signals")
        before: Dict[int, Any] = {}

        def notice(number: int, frame: Any) -> None:
            signal.signal(number, before[number])
            if os.getpid() == process:
                self._stop = number
            else:  # a child of fork ends as it would have
                os.kill(os.getpid(), number)

        process = os.getpid()
        self._stop = 0
        try:
            for number in [signals] if isinstance(signals, int) else signals:
                before[number] = signal.getsignal(number) or signal.SIG_DFL
                signal.signal(number, notice)
            yield self
        finally:
            for number, handler in before.items():
                if signal.getsignal(number) is notice:
                    signal.signal(number, handler)

    @property
    def stop_requested(self) -> bool:
        """Whether a signal came since `save_on_signal` began."""
        return self._stop != 0

    # --- What there is ---

    def list(self) -> List[CheckpointInfo]:
        """All checkpoints, by ascending steps. Damaged ones are left out, and logged."""
        return [CheckpointInfo(**one) for one in self._core.list()]

    def steps(self) -> List[int]:
        """The steps in ascending order."""
        return self._core.steps()

    def latest(self) -> Optional[int]:
        """The newest step; None if there is none."""
        return self._core.latest()

    def best(self, metric: Optional[str] = None, mode: Optional[str] = None) -> Optional[int]:
        """The step with the best value of a metric, of equal ones the newest; None if no checkpoint has it.

        Parameters
        ----------
        metric : str, optional
            Without it, the first of `keep_best`.
        mode : {"min", "max"}, optional
            Without it, what `keep_best` says, or "min".
        """
        if metric is None:
            if not self._best:
                raise ValueError("best() needs the name of a metric where keep_best has none")
            metric = self._best[0][0]
        known = {name: largest for name, largest, _ in reversed(self._best)}
        return self._core.best(metric, known.get(metric, False) if mode is None else _largest(mode))

    def metrics(self) -> Dict[int, Dict[str, float]]:
        """The metrics of all checkpoints, by step."""
        return {one["step"]: one["metrics"] for one in self._core.list()}

    def info(self, step: int) -> CheckpointInfo:
        """What is known of a checkpoint. Raises KeyError if it is not there."""
        return CheckpointInfo(**self._core.info(_natural(step)))

    def stats(self) -> Dict[str, int]:
        """Of the folder: ``checkpoints``, their ``bytes`` if each were one archive, those that are ``stored``, and the
        ``parts``, files of removed checkpoints that others refer to."""
        return self._core.stats()

    def diff(self, before: int, after: int) -> List[CheckpointChange]:
        """The arrays of 4 KiB or more that differ between two checkpoints, by path. Equal ones are not read."""
        return [CheckpointChange(*one) for one in self._core.diff(_natural(before), _natural(after))]

    # --- Restoring ---

    def open(self, step: Optional[int] = None, mmap_mode: Optional[str] = None, *, trusted: Trusted = (),
             untrusted: str = "error", verify: str = "automatic") -> _file.File:
        """Opens a checkpoint, the newest if none is named, as `stele.open` does. It stays readable when the checkpoint is
        removed.

        Parameters
        ----------
        mmap_mode : {None, "r", "c"}
            Others may refer to the bytes of a checkpoint, so that it cannot be changed.
        """
        return self._try(step, dict(mmap_mode=mmap_mode, trusted=trusted, untrusted=untrusted, verify=verify),
                         lambda file, _: file)

    def restore(self, step: Optional[int] = None, *, into: Any = None, path: str = "",
                paths: Union[str, Iterable[str], None] = None,
                rename: Union[Mapping[str, str], Callable[[str], str], None] = None, strict: bool = True,
                mmap_mode: Optional[str] = None, verify: str = "automatic", trusted: Trusted = (),
                untrusted: str = "error", report: bool = False) -> Any:
        """Loads a checkpoint: a new object, or what fits into an existing one.

        Parameters
        ----------
        step : int, optional
            Without it, the newest one that can be read: damaged ones are passed over and logged.
        into : object, optional
            Dicts, lists, tuples, dataclasses, and objects with `state_dict()` and `load_state_dict()`, such as modules
            and optimizers of PyTorch. NumPy's arrays and tensors in them are filled where they are, without a second
            copy; everything else is replaced. Whatever has no array in it is replaced as a whole.
        path : str
            The value of the checkpoint that is the root, "model"; everything if it is empty.
        paths : str or iterable of str, optional
            Only what these patterns choose, and what is below: ``*`` and ``?`` do not stand for a slash, ``**`` does.
            Names are as in `stele.open`: "model/layers/0/weights". Without `into`, a dict of values by name.
        rename : dict or callable, optional
            From names in `into` to names in the checkpoint: beginnings of names, of which the longest counts, or a
            function of the name.
        strict : bool
            Raise before anything is changed if something of `into` is missing in the checkpoint, or has another shape
            or type. Otherwise restore what fits.
        mmap_mode : {None, "r", "c"}
            Arrays of 4 KiB or more stay in the file. Not with `into`.
        verify : {"automatic", "none", "directory", "full"}
            As for `stele.load`; "full" checks everything before anything is changed.
        trusted, untrusted
            As for `stele.load`.
        report : bool
            Return a pair: the object, and a `RestoreReport`.

        Returns
        -------
        object
            `into`, if it can be changed, which immutable objects cannot.

        Raises
        ------
        stele.Error
            ``code`` "not_found": there is no such checkpoint, or none that can be read, with what is wrong with each;
            "missing_field" and "type_mismatch" with `strict`; what `stele.load` raises.

        Examples
        --------
        >>> import stele, numpy as np, tempfile
        >>> k = stele.Checkpoints(tempfile.mkdtemp())
        >>> info = k.save(1, {"net": {"w": np.ones(3), "b": np.zeros(2)}, "epoch": 7})
        >>> model = {"w": np.empty(3), "b": np.empty(2), "head": np.empty(5)}
        >>> _, found = k.restore(into=model, path="net", strict=False, report=True)
        >>> model["w"], found.restored, found.missing
        (array([1., 1., 1.]), ['w', 'b'], ['head'])
        """
        if into is None and rename is not None:
            raise ValueError("rename= is for into=")
        options = dict(mmap_mode=mmap_mode, trusted=trusted, untrusted=untrusted, verify=verify)
        if into is not None:
            if mmap_mode is not None:
                raise ValueError("arrays are filled with into=, and not mapped")
            work = Restoring(into, paths, rename, strict, verify == "full")
            made, found = self._try(step, options, lambda file, number: work.restore(file, path or "", number))
        elif paths is not None:
            made, found = self._try(step, options, lambda file, number: chosen(file, path or "", paths, number))
        else:
            made, found = self._try(step, options, lambda file, number: (file.load(path or ""), RestoreReport(number)))
        return (made, found) if report else made

    def _try(self, step: Optional[int], options: Dict[str, Any], use: Callable[[_file.File, int], _T]) -> _T:
        """What `use` makes of a checkpoint: of the newest that is not damaged, or of one."""
        if options["mmap_mode"] not in (None, "r", "c"):
            raise ValueError('mmap_mode of checkpoints is None, "r" or "c": others may refer to their bytes')
        if step is not None:
            return use(self._opened(_natural(step), options), step)
        tried: List[str] = []
        steps = self._core.named()
        while steps:
            number = steps.pop()
            opened = False
            try:
                file = self._opened(number, options)
                opened = True
                return use(file, number)
            except Error as error:
                # Before it is open, not_found is a file that it refers to; afterwards it is the caller's path.
                if error.code not in _damage and not (error.code == "not_found" and not opened):
                    raise
                now = self._core.named()
                if number not in now:  # others have saved newer ones meanwhile, and removed it
                    steps, tried = now, []
                    continue
                tried.append(f"step {number}: {error}")
                _logger.warning("passed over a checkpoint, %s", tried[-1])
        message = "no checkpoint can be read: " + "; ".join(tried) if tried else "there is no checkpoint"
        raise failure("not_found", message, file=self.folder)

    def _opened(self, step: int, options: Dict[str, Any]) -> _file.File:
        info = self._core.info(step)
        if info["sharded"]:
            raise failure("type_mismatch", f"the checkpoint of step {step} is sharded; shards() reads it", file=info["file"])
        return _file.open(info["file"], threads=self._threads, **options)

    # --- Care ---

    def remove(self, step: int) -> None:
        """Removes a checkpoint. What others refer to of it stays."""
        self._core.remove(_natural(step))

    def prune(self) -> List[int]:
        """Removes what the rules do not keep, and leftovers. Returns the steps that went."""
        return self._core.prune()

    def verify(self, step: Optional[int] = None, progress: Optional[Callable[[int, int], Any]] = None) -> Dict[int, str]:
        """Checks everything of all checkpoints, or of one.

        Parameters
        ----------
        progress : callable, optional
            Called with the number of checkpoints checked, and of all.

        Returns
        -------
        dict of int to str
            What is wrong, by step: empty if all are good.
        """
        steps = self._core.named() if step is None else [_natural(step)]
        damaged = {}
        for done, number in enumerate(steps, 1):
            found = self._core.verify(number)
            if found is not None:
                damaged[number] = found
            if progress is not None:
                progress(done, len(steps))
        return damaged

    def export(self, step: int, path: AnyPath, *, codec: Optional[str] = None, level: Optional[int] = None) -> None:
        """Writes a checkpoint as one archive that refers to nothing; the codec is that of the extension, if none is
        named."""
        self._core.export_to(_natural(step), path, dict(codec=codec, level=level, threads=self._threads))

    # --- Sharded ---

    def shard(self, step: int, *, rank: int, ranks: int, attempt: str) -> ShardWriter:
        """The part of one process in a checkpoint that several write. `commit` makes a checkpoint of all parts.

        Parameters
        ----------
        rank, ranks : int
            Which part it is, from 0, and of how many.
        attempt : str
            Letters, digits, "-" and "_" that all ranks of this attempt to save the step have, and no other attempt ever:
            a job's number and its restarts, say. It tells parts of a killed attempt from these.

        Examples
        --------
        >>> import stele, numpy as np, tempfile
        >>> k = stele.Checkpoints(tempfile.mkdtemp())
        >>> x = np.arange(12.0).reshape(6, 2)
        >>> for rank in range(2):                             # each in a process of its own
        ...     with k.shard(5, rank=rank, ranks=2, attempt="job-1") as part:
        ...         part.put("x", x[3 * rank:3 * rank + 3], shape=(6, 2), offset=(3 * rank, 0))
        >>> info = k.commit(5, ranks=2, attempt="job-1")      # in one of them
        >>> k.shards()["x"][2:4]
        array([[4., 5.],
               [6., 7.]])
        """
        return ShardWriter(_core.Shard(self.folder, self._options, _natural(step), rank, ranks, attempt))

    def commit(self, step: int, metrics: Optional[Mapping[str, Any]] = None, metadata: Optional[Metadata] = None, *,
               ranks: int, attempt: str, overwrite: bool = False, wait: float = 600) -> CheckpointInfo:
        """Makes a checkpoint of the parts of all ranks, of which one process calls it. Waits for parts that are not there
        yet, and checks that their boxes make up each array. If it fails, the step does not exist.

        Raises
        ------
        stele.Error
            ``code`` "not_found", with the ranks whose parts are missing after `wait` seconds; "invalid_argument": boxes
            overlap or leave a gap, or the step exists.
        """
        numbers = {name: float(value) for name, value in (metrics or {}).items()}
        return CheckpointInfo(**_core.commit_shards(self.folder, self._options, _natural(step), ranks, attempt, numbers,
                                                    metadata, overwrite, float(wait)))

    def shards(self, step: Optional[int] = None, *, verify: str = "automatic") -> ShardedCheckpoint:
        """Opens a checkpoint that several processes have written, the newest with all its parts if none is named."""
        return ShardedCheckpoint(_core.ShardedCheckpoint.open(
            self.folder, None if step is None else _natural(step), dict(verify=verify, threads=self._threads)))

    def __repr__(self) -> str:
        return f"<stele.Checkpoints {self.folder}>"


_damage = frozenset(("not_an_archive", "truncated", "damaged", "malformed"))

Checkpoints.__module__ = CheckpointInfo.__module__ = CheckpointChange.__module__ = "stele"
