"""The result cache: what joblib.Memory does, keyed by content, for many processes at once."""

from __future__ import annotations

import asyncio
import atexit
import builtins
import contextvars
import dis
import functools
import hashlib
import inspect
import io
import logging
import os
import stat
import sys
import textwrap
import threading
import time
import tokenize
import types
import weakref
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple, Union

from . import _core
from ._archive import _trust
from ._progress import counting
from ._types import Seconds, seconds
from ._urls import is_remote, local_folder

__all__ = ["Cache", "CachedFunction", "CachedResult"]

_logger = logging.getLogger("stele.cache")
_missing = object()
_computing: "contextvars.ContextVar[frozenset]" = contextvars.ContextVar("keys that this task computes", default=frozenset())


def _place(remote: Any) -> Any:
    """A remote, whatever the current folder will be."""
    if remote is None or is_remote(remote) or os.fsdecode(remote).lower().startswith("file://"):
        return remote
    if not os.fsdecode(remote):
        raise ValueError("remote is a folder or a URL, not an empty text")
    return os.path.abspath(os.fsdecode(remote))


def _bytes(value: Union[int, str, None]) -> Optional[int]:
    """1000, "100M": as joblib writes sizes."""
    if not isinstance(value, str):
        return value
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    text = value.strip().upper()
    if text and text[-1] in units:
        return int(float(text[:-1]) * units[text[-1]])
    raise ValueError(f'a size is a number of bytes or such as "500M", not {value!r}')


# --- What function it is ----------------------------------------------------------------------------------------------


def _called_by(function: Callable) -> Tuple[Callable, tuple, Dict[str, Any]]:
    """The function whose name and source count, and the arguments that go before those of a call: what a partial has, the
    object of a method, an object that is called itself."""
    args: tuple = ()
    kwargs: Dict[str, Any] = {}
    while True:
        if isinstance(function, CachedFunction):
            function = function.func
        elif isinstance(function, _BoundCachedFunction):
            args = (function._instance, *args)
            function = function._function.func
        elif isinstance(function, functools.partial):
            args, kwargs = function.args + args, {**function.keywords, **kwargs}
            function = function.func
        elif isinstance(function, types.MethodType):
            args = (function.__self__, *args)
            function = function.__func__
        elif isinstance(function, (types.BuiltinFunctionType, types.MethodWrapperType)):
            owner = function.__self__
            return function, args if owner is None or isinstance(owner, types.ModuleType) else (owner, *args), kwargs
        elif isinstance(function, (types.FunctionType, type, types.MethodDescriptorType, types.WrapperDescriptorType)):
            return function, args, kwargs
        elif isinstance(type(function).__call__, types.FunctionType):
            args = (function, *args)
            function = type(function).__call__
        elif callable(getattr(function, "__wrapped__", None)):  # of functools.lru_cache, for example
            function = function.__wrapped__
        else:
            return function, (function, *args), kwargs


def _identity(function: Callable) -> str:
    """Module and qualified name; of a script its path, as the module of each is __main__."""
    module = getattr(function, "__module__", None) or "builtins"
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    if module == "__main__":
        code = getattr(function, "__code__", None)
        file = code.co_filename if code is not None else ""
        module = "__main__:" + (os.path.abspath(file) if os.path.exists(file) else "")
    return f"{module}.{name}"


def _tokens(source: str) -> List[str]:
    """Removes comments, blank lines and extra spaces: they do not change a result."""
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
    readable = io.StringIO(textwrap.dedent(source)).readline
    found = []
    for token in tokenize.generate_tokens(readable):
        if token.type == tokenize.INDENT:
            found.append("{")
        elif token.type == tokenize.DEDENT:
            found.append("}")
        elif token.type not in skipped:
            found.append(token.string)
    while found and found[0].startswith("@") and "def" in found:  # decorators say how it is called, not what it does
        del found[: found.index("\n") + 1]
    return found


def _constant(value: Any) -> Any:
    if inspect.iscode(value):
        return _code_of(value)
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)  # a set has another order each time


def _code_of(code: Any) -> List[Any]:
    return [code.co_code.hex(), [_constant(one) for one in code.co_consts], list(code.co_names), list(code.co_varnames)]


def _is_lambda(function: Callable) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and code.co_name == "<lambda>"


def _source(function: Callable) -> str:
    """What the function does: its source, or its byte code where there is no source."""
    code = getattr(function, "__code__", None)
    if not _is_lambda(function):  # of these several may be in one line
        try:
            # Of the code: that of a function which functools.wraps() has named would be another one's.
            return "\x1f".join(_tokens(inspect.getsource(function if code is None else code)))
        except (OSError, TypeError, SyntaxError, tokenize.TokenError, ValueError):
            pass
    return repr(_code_of(code)) if code is not None else ""


def _called(function: Callable, seen: Dict[str, Callable]) -> None:
    """The functions of the same package that it refers to by global names, and those that these do."""
    code = getattr(function, "__code__", None)
    package = (getattr(function, "__module__", "") or "").split(".")[0]
    codes = [code] if code is not None else []
    while codes:
        one = codes.pop()
        codes.extend(const for const in one.co_consts if inspect.iscode(const))
        for name in one.co_names:
            found = getattr(function, "__globals__", {}).get(name)
            found = found.func if isinstance(found, CachedFunction) else found
            if not inspect.isfunction(found) or (found.__module__ or "").split(".")[0] != package:
                continue
            key = _identity(found)
            if key not in seen:
                seen[key] = found
                _called(found, seen)


def _assigned(code: Any) -> set:
    """The variables of enclosing functions that it assigns."""
    names = {one.argval for one in dis.get_instructions(code) if one.opname in ("STORE_DEREF", "DELETE_DEREF")}
    for const in code.co_consts:
        if inspect.iscode(const):
            names |= _assigned(const)
    return names & set(code.co_freevars)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not set yet
        return _missing


class _Closure:
    """The values that a function has from where it was made. They count as arguments do, as they are when a variable gets
    them; of a variable that the function assigns itself, the first one."""

    def __init__(self, function: Callable, name: str) -> None:
        self._function, self._name = function, name
        self._first: Dict[int, Any] = {}  # by the id of the cell
        self._known: Tuple[tuple, tuple] = self._look()

    def values(self) -> tuple:
        for cell, value in self._known[0]:
            if _content(cell) is not value:
                self._known = self._look()
                break
        return self._known[1]

    def _look(self) -> Tuple[tuple, tuple]:
        bound: List[Tuple[Any, Any]] = []
        values = self._of(self._function, bound, {id(self._function)})
        if _is_lambda(self._function):  # a name and a version do not tell these apart
            values = (_source(self._function), *values)
        elif hasattr(self._function, "__wrapped__") and hasattr(self._function, "__code__"):  # it has another one's name
            own = getattr(self._function.__code__, "co_qualname", None) or _source(self._function)
            values = (self._function.__globals__.get("__name__", ""), own, *values)
        return tuple(bound), values

    def _of(self, function: Any, bound: list, seen: set) -> tuple:
        cells = getattr(function, "__closure__", None) or ()
        assigned = _assigned(function.__code__) if cells else ()
        values: List[Any] = []
        for name, cell in zip(function.__code__.co_freevars, cells) if cells else ():
            value = _content(cell)
            if name in assigned:
                value = self._first.setdefault(id(cell), value)
            else:
                bound.append((cell, value))
            if value is _missing or name == "__class__" or isinstance(value, (Cache, types.ModuleType)):
                continue
            version = value.version if isinstance(value, CachedFunction) else None
            value = value.func if isinstance(value, CachedFunction) else value
            if not inspect.isfunction(value):
                values.append((name, self._digest(name, value)))
            elif id(value) not in seen:
                seen.add(id(value))
                defaults = (value.__defaults__, value.__kwdefaults__)
                values.append((name, _identity(value), _source(value) if version is None else version,
                               self._digest(name, defaults) if any(defaults) else None, self._of(value, bound, seen)))
        return tuple(values)

    def _digest(self, name: str, value: Any) -> Optional[bytes]:
        try:
            return _core.digest(value)
        except Exception as error:
            _logger.warning("%s: %r, which the function has from where it was made, does not count for its results: %s",
                            self._name, name, error)
            return None


class _Signature:
    """Brings the arguments of a call into one form, so that each way to write a call has one key."""

    def __init__(self, function: Callable, ignored: Iterable[str]) -> None:
        try:
            self.signature: Optional[inspect.Signature] = inspect.signature(function)
        except (TypeError, ValueError):
            self.signature = None
        ignored = list(ignored)
        parameters = list(self.signature.parameters.values()) if self.signature else []
        known = {one.name for one in parameters}
        for one in parameters:
            known.update({"*"} if one.kind is one.VAR_POSITIONAL else {"**"} if one.kind is one.VAR_KEYWORD else ())
        unknown = [name for name in ignored if name not in known]
        if unknown:
            raise ValueError(f"Ignore list: argument {unknown[0]!r} is not defined for function {_identity(function)}")
        self.ignored = frozenset(ignored)
        simple = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY}
        # All arguments given by position, and none to be left out: they are the key as they are.
        self.plain = (len(parameters) if self.signature and not ignored and all(one.kind in simple for one in parameters)
                      else -1)

    def key(self, args: tuple, kwargs: dict) -> tuple:
        if not kwargs and len(args) == self.plain:
            return args
        if self.signature is None:
            return (args, kwargs)
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError:  # of a method of a built-in type, or the call will fail
            return (args, kwargs)
        bound.apply_defaults()
        values: List[Any] = []
        for name, value in bound.arguments.items():
            kind = self.signature.parameters[name].kind
            if name in self.ignored:
                continue
            if kind is inspect.Parameter.VAR_POSITIONAL:
                if "*" not in self.ignored:
                    values.append(value)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                if "**" not in self.ignored:
                    values.append({key: value[key] for key in value if key not in self.ignored})
            else:
                values.append(value)
        return tuple(values)


# --- Results ----------------------------------------------------------------------------------------------------------


class CachedResult:
    """A result in a cache that is loaded when it is asked for; can be pickled and sent to other processes.

    Attributes
    ----------
    key : str
    """

    def __init__(self, cache: "Cache", key: bytes) -> None:
        self._cache = cache
        self._key = key

    @property
    def key(self) -> str:
        return "xxh3-128:" + self._key.hex()

    def get(self) -> Any:
        """The result.

        Raises
        ------
        KeyError
            It is not in the cache any more.
        """
        value = self._cache._get(self._key)
        if value is _missing:
            raise KeyError(f"the cache has no result {self.key}")
        return value

    @property
    def metadata(self) -> Dict[str, Any]:
        found = self._cache._find(self._key)
        if found is None:
            raise KeyError(f"the cache has no result {self.key}")
        return found.entry

    def clear(self, remote: bool = False) -> None:
        """Removes it from the folder; with `remote` from the cache's remote too."""
        self._cache._held.erase(self._key, remote)

    def __eq__(self, other) -> bool:
        return (isinstance(other, CachedResult) and self._key == other._key
                and self._cache.location == other._cache.location)

    def __hash__(self) -> int:
        return builtins.hash(self._key)

    def __repr__(self) -> str:
        return f"CachedResult({self._cache.location!r}, {self.key!r})"


class _Given:
    """The result of a cache that is none."""

    def __init__(self, value) -> None:
        self._value = value

    def get(self) -> Any:
        return self._value

    def clear(self, remote: bool = False) -> None:
        pass


class CachedFunction:
    """A function with a cache; made by `Cache.cache`.

    Calling it returns the result from the cache, or computes and stores it.

    Attributes
    ----------
    func : callable
        The function without the cache.
    name, version : str
        What its results are stored under.
    """

    def __init__(self, cache: "Cache", function: Callable, *, ignore=(), version=None, follow=False, expires_after=None,
                 key=None, validate=None, verbose=None, metadata=None) -> None:
        functools.update_wrapper(self, function)
        self.func = function
        self._target, self._args, self._kwargs = _called_by(function)
        self.ignore = list(ignore or ())
        self._cache = cache
        self._signature = _Signature(self._target, self.ignore)
        self._given_version = version
        self._follow = follow
        self._expires_after = seconds(expires_after) or 0.0
        if not self._expires_after >= 0:
            raise ValueError(f"expires_after is a number of seconds from 0, which is never, and not {expires_after!r}")
        self._key_function = key
        self._validate = validate
        self._metadata = metadata
        self._verbose = verbose if verbose is not None else cache.verbose
        self._code = getattr(self._target, "__code__", None)
        self._version: Optional[str] = None if version is None else str(version)
        self.name = _identity(self._target)
        self._closure = _Closure(self._target, self.name)
        self._async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(self._target)
        if version is None and not follow:
            self.version  # now, as the file may be edited while the old code runs

    # --- Keys ---

    @property
    def version(self) -> str:
        """The version given, or the digest of the function's source."""
        code = getattr(self._target, "__code__", None)
        if code is not self._code and self._given_version is None:  # it was given other code
            self._code = code
            return self._set_version(repr(_code_of(code)))
        if self._version is None:
            called: Dict[str, Callable] = {}
            if self._follow:
                _called(self._target, called)
            parts = [_source(self._target)] + [f"{name}\x1e{_source(called[name])}" for name in sorted(called)]
            self._set_version("\x1d".join(parts))
        return self._version  # type: ignore[return-value]

    def _set_version(self, text: str) -> str:
        self._version = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return self._version

    def _key(self, args: tuple, kwargs: dict) -> bytes:
        if self._key_function is not None:
            arguments: Any = self._key_function(*args, **kwargs)
        else:
            if self._args or self._kwargs:
                args, kwargs = self._args + args, {**self._kwargs, **kwargs}
            arguments = self._signature.key(args, kwargs)
        version = self._version if self._version is not None and self._code is getattr(self._target, "__code__", None) else self.version
        return _core.digest((self.name, version, arguments, self._closure.values()))

    @property
    def mmap_mode(self) -> Optional[str]:
        return self._cache.mmap_mode

    # --- Calls ---

    def __call__(self, *args, **kwargs) -> Any:
        if self._async:
            return self._call_async(args, kwargs)
        key = self._key(args, kwargs)
        cache = self._cache
        value = cache._held.get(key, *cache._resolver, _missing) if self._validate is None else self._valid(key)
        return self._compute(key, args, kwargs)[0] if value is _missing else value

    def _valid(self, key: bytes, found: Any = None) -> Any:
        """What is in the folder, or `found`, which was fetched."""
        cache = self._cache
        if self._validate is not None:
            found = cache._held.find(key, False) if found is None else found
            if found is None or not self._validate(found.entry):
                return _missing
        return cache._held.get(key, *cache._resolver, _missing, found)

    def _compute(self, key: bytes, args: tuple, kwargs: dict, force: bool = False) -> Tuple[Any, Dict[str, Any]]:
        cache = self._cache
        flight = cache._there().flight(key)
        try:
            if not force:
                value = self._valid(key)  # another thread or process may have computed it
                if value is _missing and cache._given["remote"] is not None:
                    found = cache._held.fetch(key)  # or another machine
                    value = _missing if found is None else self._valid(key, found)
                if value is not _missing:
                    return value, {}
                cache._held.count_miss()
            start = time.perf_counter()
            value = self.func(*args, **kwargs)
            return self._keep(key, value, time.perf_counter() - start)
        finally:
            flight.end()

    def _keep(self, key: bytes, value, duration: float) -> Tuple[Any, Dict[str, Any]]:
        cache = self._cache
        if self._verbose:
            _logger.info("computed %s in %.3f s", self.name, duration)
        try:
            entry = cache._held.put(self.name, self.version, key, duration, value, self._expires_after, self._metadata, False)
        except Exception as error:
            if cache.on_failure == "raise":
                raise
            if cache.on_failure == "warn":
                _logger.warning("the result of %s is not stored: %s", self.name, error)
            return value, {}
        if entry["file"] is not None and cache.mmap_mode is not None and entry["bytes"] > 0:
            # So that the first call returns what the next ones do.
            loaded = cache._held.get(key, *cache._resolver, _missing)
            value = value if loaded is _missing else loaded
        return value, entry

    async def _call_async(self, args: tuple, kwargs: dict) -> Any:
        key = self._key(args, kwargs)
        value = self._valid(key)
        return (await self._compute_async(key, args, kwargs))[0] if value is _missing else value

    async def _compute_async(self, key: bytes, args: tuple, kwargs: dict, force: bool = False) -> Tuple[Any, Dict[str, Any]]:
        cache = self._cache
        loop = asyncio.get_running_loop()
        until = loop.time() + cache._given["wait"]
        pause = 0.0005
        flight = None
        inside = _computing.get()
        while key not in inside:  # a call inside of the same call does not wait for itself
            other = cache._pending.get((loop, key))
            if other is not None:  # of the tasks of an event loop one computes
                await asyncio.wait([other], timeout=max(until - loop.time(), 0))
            else:
                flight = cache._there().flight(key, 0)  # waits for nobody: that would keep the loop from its other tasks
                if not flight.alone:
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, 0.02)
            if flight is not None and flight.alone or loop.time() >= until:
                break
        alone = flight is not None and flight.alone
        if alone:
            cache._pending[loop, key] = loop.create_future()
        token = _computing.set(inside | {key})
        try:
            if not force:
                value = self._valid(key)
                if value is _missing and cache._given["remote"] is not None:
                    found = await loop.run_in_executor(None, cache._held.fetch, key)
                    value = _missing if found is None else self._valid(key, found)
                if value is not _missing:
                    return value, {}
                cache._held.count_miss()
            start = time.perf_counter()
            value = await self.func(*args, **kwargs)
            return self._keep(key, value, time.perf_counter() - start)
        finally:
            _computing.reset(token)
            if alone:
                flight.end()
                cache._pending.pop((loop, key)).set_result(None)

    def __get__(self, instance, owner=None) -> Any:
        return self if instance is None else _BoundCachedFunction(self, instance)

    def call(self, *args, **kwargs) -> Any:
        """Computes and stores the result, whatever is in the cache.

        Returns
        -------
        (object, dict)
            The result, and what is known of it; of an async function a coroutine of these.
        """
        compute = self._compute_async if self._async else self._compute
        return compute(self._key(args, kwargs), args, kwargs, force=True)

    def call_and_shelve(self, *args, **kwargs) -> Any:
        """As a call, but returns a `CachedResult`; what is in the cache is not loaded."""
        key = self._key(args, kwargs)
        if self._async:
            return self._shelve_async(key, args, kwargs)
        if self._is_valid(key):
            return CachedResult(self._cache, key)
        return self._shelved(key, *self._compute(key, args, kwargs))

    async def _shelve_async(self, key: bytes, args: tuple, kwargs: dict) -> Any:
        if self._is_valid(key):
            return CachedResult(self._cache, key)
        return self._shelved(key, *await self._compute_async(key, args, kwargs))

    def _shelved(self, key: bytes, value, entry: Dict[str, Any]) -> Any:
        return CachedResult(self._cache, key) if self._is_valid(key) else _Given(value)

    def _is_valid(self, key: bytes, found: Any = None) -> bool:
        found = self._cache._held.find(key, False) if found is None else found
        return found is not None and (self._validate is None or bool(self._validate(found.entry)))

    def check(self, *args, **kwargs) -> bool:
        """Whether the result is in the cache, or in its remote."""
        key = self._key(args, kwargs)
        return self._is_valid(key, self._cache._find(key))

    check_call_in_cache = check

    def result(self, *args, **kwargs) -> CachedResult:
        """Where the result is or would be."""
        return CachedResult(self._cache, self._key(args, kwargs))

    def clear(self, warn: bool = True, *, all_versions: bool = False) -> None:
        """Removes its results: those of this version, or of all."""
        if warn:
            _logger.info("clearing the cache of %s", self.name)
        self._cache._held.clear(self.name, None if all_versions else self.version)

    def __repr__(self) -> str:
        return f"CachedFunction({self.name}, cache={self._cache.location!r})"

    def __reduce__(self):
        found: Any = sys.modules.get(self.__module__)
        for part in self.__qualname__.split("."):
            found = getattr(found, part, None)
        if found is self:  # a decorated function is found by its name
            return self.__qualname__
        options = dict(ignore=self.ignore, version=self._given_version, follow=self._follow,
                       expires_after=self._expires_after, key=self._key_function, validate=self._validate,
                       verbose=self._verbose, metadata=self._metadata)
        return _restore_function, (self._cache, self.func, options)


def _restore_function(cache, function, options) -> CachedFunction:
    return CachedFunction(cache, function, **options)


class _BoundCachedFunction:
    """A method with a cache: the object counts as the first argument."""

    def __init__(self, function: CachedFunction, instance) -> None:
        self._function = function
        self._instance = instance
        functools.update_wrapper(self, function.func)

    def __call__(self, *args, **kwargs) -> Any:
        return self._function(self._instance, *args, **kwargs)

    def __getattr__(self, name) -> Any:
        member = getattr(self._function, name)
        if name in ("call", "call_and_shelve", "check", "check_call_in_cache", "result"):
            return functools.partial(member, self._instance)
        return member


class _NotCached(CachedFunction):
    """The function of a cache without a folder."""

    def __init__(self, cache: "Cache", function: Callable, **options) -> None:
        functools.update_wrapper(self, function)
        self.func = function
        self.ignore = []
        self._target = _called_by(function)[0]
        self.name = _identity(self._target)
        self._version = self._given_version = ""
        self._code = None
        self._cache = cache
        self._async = False

    def __call__(self, *args, **kwargs) -> Any:
        return self.func(*args, **kwargs)

    def call(self, *args, **kwargs) -> Any:
        return self.func(*args, **kwargs), {}

    def call_and_shelve(self, *args, **kwargs) -> Any:
        return _Given(self.func(*args, **kwargs))

    def check(self, *args, **kwargs) -> bool:
        return False

    check_call_in_cache = check

    def clear(self, warn: bool = True, *, all_versions: bool = False) -> None:
        pass

    def __reduce__(self):
        return _NotCached, (self._cache, self.func)


# --- The cache --------------------------------------------------------------------------------------------------------


class Cache:
    """Keeps what functions return, in a folder, by the content of their arguments.

    Threads and processes may use it at once: each result is computed by one of them, and the others wait. Equal arguments
    have one key whatever their strides, the order of a dict or the process; a new version of a function (its source, or
    `version`) has results of its own, and those of other versions stay. Exceptions are never cached. A damaged result
    counts as none.

    Parameters
    ----------
    location : str, path or None
        The folder, created if need be. None: nothing is cached.
    mmap_mode : {"r", "c", None}
        Arrays of results with a file of their own are mapped: read-only or with private changes. None: read.
    codec, level, filter
        Of the results, as for `stele.dump`; what is compressed is not mapped.
    compress : bool or int, optional
        As joblib has it: codec "zlib", of level 3 or this one.
    bytes_limit : int or str, optional
        Bytes of all results, 1000 or "10G". The least recently used go first. Without limits nothing is removed.
    items_limit : int, optional
    age_limit : float or timedelta, optional
        Seconds after which a result does not count.
    item_share : float
        A result of more than this share of bytes_limit is not stored.
    wait : float
        Seconds to wait for another thread or process that computes the same; then it is computed here too.
    on_failure : {"warn", "raise", "ignore"}
        When a result cannot be stored. Warnings go to the logger "stele.cache".
    trusted : bool or iterable, optional
        As for `stele.load`. By default everything is trusted where nobody but this user can write to the folder, and
        otherwise only data; of results of the remote only data.
    verbose : int
        Above 0: logs what is computed, at level INFO.
    read_only : bool
        Nothing is stored.
    remote : str or path, optional
        Where machines share results: another folder, or a URL. What is not in the folder is asked for there, and what is
        computed is written there in the background. It is never needed: while it cannot be reached, the cache does without,
        and logs a warning once.
    remote_wait : float
        Seconds to wait in the end for what is still to be written there.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> cache = Cache(tempfile.mkdtemp())
    >>> @cache.cache(version=1)
    ... def gram(x):
    ...     print("computing")
    ...     return x @ x.T
    >>> x = np.arange(6.0).reshape(2, 3)
    >>> gram(x).shape
    computing
    (2, 2)
    >>> gram(x.copy(order="F")).shape
    (2, 2)
    """

    def __init__(self, location=None, mmap_mode: Optional[str] = "r", *, codec: Optional[str] = None, level: Optional[int] = None,
                 filter: str = "auto", bytes_limit: Union[int, str, None] = None, items_limit: Optional[int] = None,
                 age_limit: Seconds = None, item_share: float = 0.5, wait: float = 600, on_failure: str = "warn",
                 trusted=None, verbose: int = 0, read_only: bool = False, verify: str = "automatic", threads: int = 0,
                 compress: Union[bool, int] = False, remote=None, remote_wait: float = 30) -> None:
        if compress:
            if codec is not None or level is not None:
                raise ValueError("compress= stands for codec= and level=")
            codec, level = "zlib", 3 if compress is True else compress
        if on_failure not in ("warn", "raise", "ignore"):
            raise ValueError(f'on_failure is "warn", "raise" or "ignore", not {on_failure!r}')
        if mmap_mode not in (None, "r", "c"):
            raise ValueError(f'mmap_mode is "r", "c" or None: a result in the cache cannot be changed; not {mmap_mode!r}')
        self.location = None if location is None else local_folder(
            location, "a cache is a local folder; `remote` names where results are shared")
        remote = _place(remote)
        self.mmap_mode = mmap_mode
        self.on_failure = on_failure
        self.verbose = verbose
        self._given = dict(mmap_mode=mmap_mode, codec=codec, level=level, filter=filter, bytes_limit=bytes_limit,
                           items_limit=items_limit, age_limit=age_limit, item_share=item_share, wait=wait,
                           on_failure=on_failure, trusted=trusted, verbose=verbose, read_only=read_only, verify=verify,
                           threads=threads, remote=remote, remote_wait=remote_wait)
        self._process = -1
        self._lock = threading.Lock()
        self._pending: Dict[Tuple[Any, bytes], "asyncio.Future"] = {}  # what tasks compute, by event loop and key
        self._opened: Any = None
        self._resolver: Tuple[Any, Any] = (None, None)  # for results of this folder, and of the remote
        _all.add(self)
        if self.location is not None:
            self._open()

    def _open(self) -> None:
        options = {key: self._given[key] for key in ("mmap_mode", "codec", "level", "filter", "items_limit", "item_share",
                                                    "wait", "read_only", "verify", "threads", "remote", "remote_wait")}
        options["bytes_limit"] = _bytes(self._given["bytes_limit"])
        options["age_limit"] = seconds(self._given["age_limit"])
        if self.on_failure != "ignore":
            options["warn"] = _logger.warning
        with self._lock:
            if self._process != os.getpid() or self._opened.removed:
                self._opened = _core.Cache.open(self.location, options)
                if options["remote"] is not None and "multiprocessing.util" in sys.modules:  # its children do without atexit
                    sys.modules["multiprocessing.util"].Finalize(None, _finish, exitpriority=0)
                own = _trust(self._trusted(), "error")[0]
                self._resolver = own, own if self._given["trusted"] is not None else _trust((), "error")[0]
                self._process = os.getpid()

    def _trusted(self) -> Any:
        given = self._given["trusted"]
        if given is not None:
            return given
        for path in (self.location, self._opened.folder):
            status = os.stat(path)
            if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return ()
        return True

    @property
    def _held(self) -> Any:
        if self._process != os.getpid():  # a child of fork opens it anew
            if self.location is None:
                raise ValueError("this cache has no folder")
            self._open()
        return self._opened

    def _there(self) -> Any:
        if self._held.removed:  # as people do to clear it
            self._open()
        return self._opened

    def _find(self, key: bytes) -> Any:
        """What the folder or the remote has, not counted."""
        found = self._held.find(key, False)
        return self._held.fetch(key) if found is None and self._given["remote"] is not None else found

    def _get(self, key: bytes) -> Any:
        return self._held.get(key, *self._resolver, _missing, self._find(key))

    # --- Functions ---

    def cache(self, func: Optional[Callable] = None, *, ignore: Optional[Iterable[str]] = None, version=None,
              follow: bool = False, expires_after: Seconds = None, key: Optional[Callable] = None,
              validate: Optional[Callable[[Dict[str, Any]], bool]] = None,
              cache_validation_callback: Optional[Callable[[Dict[str, Any]], bool]] = None, verbose: Optional[int] = None,
              mmap_mode: Any = _missing, metadata: Optional[Dict[str, Any]] = None) -> Any:
        """A function with this cache; a decorator too, with or without arguments.

        Parameters
        ----------
        func : callable
            A function, a method or an async function.
        ignore : iterable of str, optional
            Names of arguments that do not count.
        version : int or str, optional
            Counts in place of the function's source.
        follow : bool
            The source of the functions of the same package that it calls counts too.
        expires_after : float or timedelta, optional
            Seconds after which a result does not count.
        key : callable, optional
            Called with the arguments; what it returns counts in their place.
        validate : callable, optional
            Called with what is known of a result (``time``, ``duration``, ``metadata`` …); where it returns False, the
            result is computed anew. Also as ``cache_validation_callback``.
        metadata : dict, optional
            Kept with each result.
        """
        validate = cache_validation_callback if validate is None else validate
        if validate is not None and not callable(validate):
            raise ValueError(f"cache_validation_callback needs to be callable. Got {validate!r}.")
        options = dict(ignore=ignore, version=version, follow=follow, expires_after=expires_after, key=key, validate=validate,
                       verbose=verbose, metadata=metadata)
        if func is None:
            return functools.partial(self._cached, mmap_mode=mmap_mode, **options)
        return self._cached(func, mmap_mode=mmap_mode, **options)

    def _cached(self, func: Callable, mmap_mode: Any = _missing, **options) -> CachedFunction:
        if isinstance(func, CachedFunction):
            func = func.func
        if not callable(func):
            raise TypeError(f"a function is cached, not {type(func).__name__}")
        if self.location is None:
            return _NotCached(self, func, **options)
        cache = self
        if mmap_mode is not _missing and mmap_mode != self.mmap_mode:
            cache = Cache(self.location, **{**self._given, "mmap_mode": mmap_mode})
        return CachedFunction(cache, func, **options)

    def eval(self, func: Callable, *args, **kwargs) -> Any:
        """Calls a function with this cache."""
        return self.cache(func)(*args, **kwargs)

    # --- Care ---

    def clear(self, warn: bool = True) -> None:
        """Removes all results."""
        if self.location is not None:
            if warn:
                _logger.info("clearing the cache %s", self.location)
            self._held.clear(None, None)

    def reduce_size(self, bytes_limit: Union[int, str, None] = None, items_limit: Optional[int] = None,
                    age_limit: Seconds = None, *, progress=None) -> int:
        """Removes what has expired, and results down to these limits, the least recently used first.

        Parameters
        ----------
        progress : bool or callable, optional
            True: a bar on standard error. A callable gets the numbers of results removed and of all; returning False ends
            the work.

        Returns
        -------
        int
            The number of results that were removed.
        """
        if self.location is None:
            return 0
        with counting(progress, "pruning") as report:
            return self._held.prune(_bytes(bytes_limit), items_limit, seconds(age_limit), report)

    def stats(self) -> Dict[str, Any]:
        """Counts of this folder: items, bytes, hits, misses, stored, evicted, expired, damaged, too_large, seconds_saved,
        and of the remote: remote_hits, remote_misses, remote_stored, remote_failed."""
        return self._held.stats()

    def entries(self) -> List[Dict[str, Any]]:
        """What is known of each result: key, name, version, time, duration, expires, last_used, hits, bytes, pinned …"""
        return self._held.entries()

    def pin(self, key: str, pinned: bool = True) -> bool:
        """Keeps a result, whatever the limits. False if there is none of that key."""
        return self._held.pin(bytes.fromhex(key.split(":")[-1]), pinned)

    def flush(self, timeout: Seconds = None) -> bool:
        """Waits until what was stored is written to the remote, at most so many seconds. True if all of it is there."""
        return self.location is None or self._held.flush(1e9 if timeout is None else seconds(timeout))

    def push(self, progress=None) -> int:
        """Writes every result that the remote lacks to it: those of a process that was killed, or of a time without the
        remote. Returns their number. `progress` as in reduce_size()."""
        with counting(progress, "pushing") as report:
            return self._held.push(report)

    def verify(self, progress=None) -> List[str]:
        """Reads and checks every result; a line for each that is damaged. `progress` as in reduce_size()."""
        with counting(progress, "verifying") as report:
            return self._held.verify(report)

    def __getstate__(self):
        return self.location, self._given

    def __setstate__(self, state) -> None:
        location, given = state
        self.__init__(location, **given)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"Cache({self.location!r})"


_all: "weakref.WeakSet[Cache]" = weakref.WeakSet()


def _leave_all() -> None:
    """In a child of fork: the locks of the parent end with the parent."""
    for cache in list(_all):
        cache._lock = threading.Lock()  # a thread of the parent may have held it
        if cache._opened is not None:
            cache._opened.leave()


def _finish() -> None:
    """What is still to be written to remotes, before the interpreter ends."""
    for cache in list(_all):
        if cache._opened is not None and cache._process == os.getpid():
            cache._opened.close()


atexit.register(_finish)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)


