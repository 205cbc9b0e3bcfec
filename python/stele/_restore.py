"""Restoring into objects that are there: what is filled in place, what is replaced, and what does not fit."""

from __future__ import annotations

import dataclasses
import re
import sys
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple, Union

import numpy as np

from . import _file
from ._errors import make
from ._tree import is_value, join

__all__ = ["RestoreReport"]

_tensor_type = "py:stele._forms.tensor_from_array"
_plain_types = frozenset((bool, int, float, complex, str, bytes, type(None)))
_numpy_types = ("py:numpy.generic", "py:numpy.object_array", "py:numpy.array", "py:numpy._core.numeric._frombuffer")


@dataclass
class RestoreReport:
    """What `Checkpoints.restore` found: names as in `stele.open`, "model/layers/0/weights"."""

    step: int
    restored: List[str] = field(default_factory=list)
    missing: List[str] = field(default_factory=list)
    """Wanted, and not in the checkpoint."""
    unexpected: List[str] = field(default_factory=list)
    """In the checkpoint, and not wanted; of a container nothing of which is wanted, its name alone."""
    mismatched: Dict[str, str] = field(default_factory=dict)
    """Of another shape or type: why, by name."""


RestoreReport.__module__ = "stele"


# --- Names -----------------------------------------------------------------------------------------------------------


def _step(key: Any) -> str:
    """The part of a name that a key is."""
    if isinstance(key, str):
        return _file._escape(key)
    is_integer = isinstance(key, (int, np.integer)) and not isinstance(key, bool)
    return str(int(key)) if is_integer else _file._escape(repr(key))


def _unique(pairs: Iterable[Tuple[Any, Any]], name: str) -> Dict[str, Any]:
    """By the part of the name. Two keys may have the same: 1 and "1"."""
    found: Dict[str, Any] = {}
    for key, value in pairs:
        if found.setdefault(_step(key), value) is not value:
            raise make("unsupported", f"two keys of {name or 'the object'} have the name {_step(key)}",
                       "two keys with one name", join(name, _step(key)))
    return found


def _pattern(text: str) -> str:
    """As a regular expression that matches a name and what is below it."""
    made = ""
    for part in re.findall(r"\*\*/?|\*|\?|\[!?\]?[^\]]*\]|.", text, re.DOTALL):
        if part.startswith("**"):
            made += "(?:.*/)?" if part.endswith("/") else ".*"
        elif part in "*?":
            made += "[^/]*" if part == "*" else "[^/]"
        elif part.startswith("[") and len(part) > 1:
            made += "[" + ("^" if part[1] == "!" else "") + re.escape(part[1 + (part[1] == "!"):-1]).replace(r"\-", "-") + "]"
        else:
            made += re.escape(part)
    return made + "(?:/.*)?"


def _chooser(paths: Union[str, Iterable[str], None]) -> Callable[[str], Any]:
    if paths is None:
        return lambda name: True
    given = [paths] if isinstance(paths, str) else list(paths)
    return re.compile("|".join(map(_pattern, given)) if given else r"(?!)", re.DOTALL).fullmatch


def _renamer(rename: Union[Mapping[str, str], Callable[[str], str], None]) -> Callable[[str], str]:
    if rename is None:
        return lambda name: name
    if callable(rename):
        return rename
    longest_first = sorted(rename.items(), key=lambda pair: -len(pair[0]))

    def renamed(name: str) -> str:
        for old, new in longest_first:
            if name.startswith(old):
                return new + name[len(old):]
        return name

    return renamed


# --- What the checkpoint holds ---------------------------------------------------------------------------------------


class _Found(NamedTuple):
    known: bool
    value: Any  # or else its path in the file


class _Stored:
    """The values of a file by name, looked up as they are asked for."""

    def __init__(self, file: _file.File, root: str) -> None:
        self.file = file
        self._root = _Found(False, root)
        self._below: Dict[str, Dict[str, _Found]] = {}

    def find(self, name: str) -> Optional[_Found]:
        if not name:
            return self._root
        parent, _, last = name.rpartition("/")
        return self.below(parent).get(last)

    def below(self, name: str) -> Dict[str, _Found]:
        """What a container has; nothing for other values."""
        if name not in self._below:
            self._below[name] = {}
            found = self.find(name)
            if found is not None and not found.known:
                self._below[name] = self._children(name, found.value)
        return self._below[name]

    def _children(self, name: str, path: str) -> Dict[str, _Found]:
        kind, types, count, is_leaf, _ = self.file._open.glance(path)
        if is_leaf or is_value(types, kind) or (types and types[-1] == _tensor_type):
            return {}
        if kind == "sequence":
            node: Any = _file._Sequence(self.file, path, kind, types, count)
            return {str(place): _Found(known, value if known else join(path, step))
                    for place, (_, step, known, value) in enumerate(node._rows())}
        node = _file._Mapping(self.file, path, kind, types, count)
        fields = node._children()
        if types and types[-1].startswith("py:") and "args" in fields and not {"state", "entries"} & fields.keys():
            return self._children(name, fields["args"][1])  # a named tuple
        return _unique(((key, _Found(*value)) for key, value in fields.items()), name)

    def load(self, found: _Found) -> Any:
        return found.value if found.known else self.file.load(found.value)

    def array(self, found: _Found) -> Tuple[Any, str]:
        """An array to read from, and the dtype of PyTorch whose bits it has. None where it is none, or has no element
        type in archives."""
        if found.known:
            return None, ""
        kind, types, *_ = self.file._open.glance(found.value)
        if kind == "array" and not types:
            return self.file._open.array(found.value), ""
        if types and types[-1] == _tensor_type:
            args = join(found.value, "args")
            return self.file._open.array(args + "/0"), self.file.load(args + "/1")
        return None, ""

    def is_numpy(self, found: _Found) -> bool:
        types = () if found.known else self.file._open.glance(found.value)[1]
        return bool(types) and types[-1] in _numpy_types


def _walk(stored: _Stored, name: str = "") -> Iterator[str]:
    """All names below one, containers before what they hold. `send(True)`: not what is below."""
    for step in stored.below(name):
        inner = join(name, step)
        if not (yield inner):
            yield from _walk(stored, inner)


def _topmost(stored: _Stored, is_one: Callable[[str], Any], is_closed: Callable[[str], bool]) -> List[str]:
    """The names for which `is_one`, without what is below them and below those that are closed."""
    found: List[str] = []
    walk = _walk(stored)
    below = None
    try:
        while True:
            name = walk.send(below)
            below = is_closed(name)
            if not below and is_one(name):
                found.append(name)
                below = True
    except StopIteration:
        return found


def chosen(file: _file.File, root: str, paths: Union[str, Iterable[str]], step: int) -> Tuple[Dict[str, Any], RestoreReport]:
    """The values whose names the patterns choose."""
    stored = _Stored(file, root)
    names = _topmost(stored, _chooser(paths), lambda name: False)
    made = {name: stored.load(stored.find(name)) for name in names}  # type: ignore[arg-type]
    return made, RestoreReport(step, names)


# --- What is there ---------------------------------------------------------------------------------------------------


def _is_tensor(thing: Any) -> bool:
    torch = sys.modules.get("torch")
    return (torch is not None and isinstance(thing, torch.Tensor) and thing.layout is torch.strided
            and thing.device.type != "meta")


def _has_state(thing: Any) -> bool:
    return (not isinstance(thing, type) and callable(getattr(thing, "state_dict", None))
            and callable(getattr(thing, "load_state_dict", None)))


def _is_record(thing: Any) -> bool:
    return dataclasses.is_dataclass(thing) and not isinstance(thing, type)


def _is_named(thing: Any) -> bool:
    return isinstance(thing, tuple) and hasattr(thing, "_fields")


def _memory(thing: Any) -> Tuple[Optional[np.ndarray], str]:
    """The memory of an array or tensor, and the dtype of PyTorch that NumPy lacks; None for what is not in reach."""
    if isinstance(thing, np.ndarray):
        return thing, ""
    torch = sys.modules["torch"]
    plain = thing.detach()
    if plain.device.type != "cpu" or plain.is_conj() or plain.is_neg():
        return None, ""
    try:
        return plain.numpy(), ""
    except TypeError:
        bits = torch.int16 if plain.element_size() == 2 else torch.uint8
        return plain.view(bits).numpy().view(np.uint16 if plain.element_size() == 2 else np.uint8), str(plain.dtype)[6:]


class Restoring:
    """A restore into an object, which may be tried with several checkpoints."""

    def __init__(self, into: Any, paths: Union[str, Iterable[str], None],
                 rename: Union[Mapping[str, str], Callable[[str], str], None], strict: bool, verifies: bool) -> None:
        self._into = into
        self._chooses = _chooser(paths)
        self._whole = paths is None and rename is None  # containers without arrays are replaced as they are
        self._renamed = _renamer(rename)
        self._strict = strict
        self._verifies = verifies
        self._states: Dict[int, Any] = {}  # of objects that have one, by identity
        self._seen: Set[int] = set()
        self._again: List[str] = []  # names of what has another name, too
        self._touched: Set[str] = set()  # by a checkpoint that turned out to be damaged
        found, _ = self._leaves(into, "")
        self._wanted = [(name, leaf) for name, leaf in found if self._chooses(name)]
        if strict and found and not self._wanted:
            raise make("invalid_argument", *["nothing in the object has a name that paths= chooses"] * 2)

    def _parts(self, thing: Any, name: str) -> Optional[Dict[str, Any]]:
        """The parts of a container by the ends of their names; None for other objects."""
        if _has_state(thing):
            if id(thing) not in self._states:
                self._states[id(thing)] = thing.state_dict()
            return self._parts(self._states[id(thing)], name)
        if isinstance(thing, dict):
            return _unique(thing.items(), name)
        if isinstance(thing, (list, tuple)):
            return {str(place): value for place, value in enumerate(thing)}
        if _is_record(thing):
            return {one.name: getattr(thing, one.name) for one in dataclasses.fields(thing) if hasattr(thing, one.name)}
        return None

    def _leaves(self, thing: Any, name: str) -> Tuple[List[Tuple[str, Any]], bool]:
        """What is to be restored, and whether some of it has to stay where it is."""
        if isinstance(thing, np.ndarray) or _is_tensor(thing):
            return [(name, thing)], True
        if type(thing) in _plain_types or (type(thing) in (list, tuple) and all(type(one) in _plain_types for one in thing)):
            return [(name, thing)], False
        parts = self._parts(thing, name)
        if parts is None:
            return [(name, thing)], False
        if id(thing) in self._seen:
            self._again.append(name)
            return [], True
        self._seen.add(id(thing))
        stays = _has_state(thing) or _is_record(thing) or _is_named(thing)
        found: List[Tuple[str, Any]] = []
        for step, part in parts.items():
            inner, inner_stays = self._leaves(part, join(name, step))
            found += inner
            stays = stays or inner_stays
        if not stays and (self._whole or isinstance(thing, (list, tuple)) or not parts):
            return [(name, thing)], False
        return found, stays

    # --- From a checkpoint ---

    def restore(self, file: _file.File, root: str, step: int) -> Tuple[Any, RestoreReport]:
        if self._verifies:
            file.verify()
        stored = _Stored(file, root)
        report = RestoreReport(step)
        fills: Dict[str, Callable[[], None]] = {}
        others: Dict[str, _Found] = {}
        for name, leaf in self._wanted:
            found = stored.find(self._renamed(name))
            if found is None:
                report.missing.append(name)
                continue
            if isinstance(leaf, np.ndarray) or _is_tensor(leaf):
                try:
                    fills[name] = self._fill(stored, found, leaf)
                except _Mismatch as mismatch:
                    report.mismatched[name] = str(mismatch)
                    continue
            else:
                others[name] = found
            report.restored.append(name)
        report.unexpected = self._unexpected(stored)
        if self._strict and (report.missing or report.mismatched):
            raise _unfit(report)
        if not self._touched <= set(report.restored):
            message = "a newer checkpoint turned out to be damaged after it was restored in part, and this one has less"
            raise make("unsupported", f"{file.path}: {message}", message, "", None, file.path)
        new = {name: stored.load(found) for name, found in others.items()}
        for name, fill in fills.items():
            self._touched.add(name)
            fill()
        self._seen.clear()
        return self._rebuilt(self._into, "", new, report.restored), report

    def _fill(self, stored: _Stored, found: _Found, leaf: Any) -> Callable[[], None]:
        """What fills an array or a tensor. Reads nothing of a large array."""
        memory, bits = _memory(leaf)
        if memory is None:
            host = sys.modules["torch"].empty_like(leaf, device="cpu")
            inner = self._fill(stored, found, host)

            def through_host() -> None:
                inner()
                leaf.detach().copy_(host)

            return through_host
        if not memory.flags.writeable:
            raise _Mismatch("the array is read-only")
        array, stored_bits = stored.array(found)
        if array is None:
            return _fill_with(stored.load(found) if stored.is_numpy(found) else None, memory)
        if bits and not stored_bits and array.dtype_name == bits:
            memory = memory.view(array.dtype)
        elif stored_bits and not bits and memory.dtype.name == stored_bits:
            memory = memory.view(np.uint16 if memory.dtype.itemsize == 2 else np.uint8)
        elif bits != stored_bits:
            raise _Mismatch(f"expected {bits or memory.dtype}, found {stored_bits or array.dtype_name}")
        if array.shape != memory.shape:
            raise _Mismatch(f"expected the shape {_shape(memory.shape)}, found {_shape(array.shape)}")
        try:  # no rows: only the element types are compared
            array.read_to([(0, 0, 1)] if memory.ndim else [], np.empty((0, *memory.shape[1:]) if memory.ndim else (), memory.dtype))
        except TypeError as error:
            raise _Mismatch(getattr(error, "message", "") or f"the array has elements of {memory.dtype}") from None

        def fill() -> None:
            if memory.flags.c_contiguous:
                array.read_to([], memory)
            else:
                memory[...] = array.read([])

        return fill

    def _unexpected(self, stored: _Stored) -> List[str]:
        wanted = {self._renamed(name) for name, _ in self._wanted} | {self._renamed(name) for name in self._again}
        above = {name[:place] for name in wanted for place, letter in enumerate(name) if letter == "/"}
        if "" in wanted:
            return []
        return _topmost(stored, lambda name: name not in above and self._chooses(name), wanted.__contains__)

    def _rebuilt(self, thing: Any, name: str, new: Dict[str, Any], restored: List[str]) -> Any:
        """The object, with what is new in it. Containers that cannot be changed are made again."""
        if name in new:
            return _replaced(thing, new[name])
        if isinstance(thing, np.ndarray) or _is_tensor(thing):
            return thing
        if id(thing) in self._seen:
            return thing
        if _has_state(thing):
            self._seen.add(id(thing))
            if any(not name or one == name or one.startswith(name + "/") for one in restored):
                thing.load_state_dict(self._rebuilt(self._states[id(thing)], name, new, restored))
            return thing
        if type(thing) in _plain_types or self._parts(thing, name) is None:
            return thing
        self._seen.add(id(thing))
        if isinstance(thing, tuple):
            items = [self._rebuilt(item, join(name, str(place)), new, restored) for place, item in enumerate(thing)]
            if all(a is b for a, b in zip(items, thing)):
                return thing
            return type(thing)(*items) if _is_named(thing) else type(thing)(items)
        if isinstance(thing, dict):
            for key, value in list(thing.items()):
                made = self._rebuilt(value, join(name, _step(key)), new, restored)
                if made is not value:
                    thing[key] = made
        elif isinstance(thing, list):
            for place, value in enumerate(thing):
                thing[place] = self._rebuilt(value, join(name, str(place)), new, restored)
        else:
            for key, value in (self._parts(thing, name) or {}).items():
                made = self._rebuilt(value, join(name, key), new, restored)
                if made is not value:
                    object.__setattr__(thing, key, made)  # frozen ones too
        return thing


class _Mismatch(Exception):
    pass


def _shape(extents: Tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, extents)) + "]"


def _fill_with(loaded: Any, memory: np.ndarray) -> Callable[[], None]:
    """For arrays of objects and others that have no element type in archives."""
    if not isinstance(loaded, (np.ndarray, np.generic)):
        raise _Mismatch("expected an array, found another value")
    if np.shape(loaded) != memory.shape:
        raise _Mismatch(f"expected the shape {_shape(memory.shape)}, found {_shape(np.shape(loaded))}")
    if not np.can_cast(loaded.dtype, memory.dtype, "safe"):
        raise _Mismatch(f"expected {memory.dtype}, found {loaded.dtype}")
    return lambda: np.copyto(memory, loaded)


def _replaced(old: Any, new: Any) -> Any:
    """A list or a dict stays the same object."""
    if isinstance(old, dict) and isinstance(new, dict):
        old.clear()
        old.update(new)
        return old
    if type(old) is list and type(new) is list:
        old[:] = new
        return old
    return new


def _unfit(report: RestoreReport) -> Exception:
    parts = []
    if report.missing:
        parts.append("missing: " + _some(report.missing))
    if report.mismatched:
        parts.append("mismatched: " + _some([f"{name} ({why})" for name, why in report.mismatched.items()]))
    message = f"the checkpoint of step {report.step} does not fit the object: " + "; ".join(parts)
    error = make("type_mismatch" if report.mismatched else "missing_field", message, message)
    error.report = report
    return error


def _some(names: List[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
