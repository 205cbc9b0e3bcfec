"""Restoring into objects that are there: what is filled in place, what is replaced, and what does not fit."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
import sys
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple, Union

import numpy as np

from . import _core, _file
from ._errors import failure
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
            raise failure("unsupported", f"two keys of {name or 'the object'} have one name", join(name, _step(key)))
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
            made += "(?!/)" + fnmatch.translate(part)[4:-3]  # without "(?s:" and what ends it
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


class _Node(NamedTuple):
    """A part of an outline; see python/src/files/children.hpp."""

    kind: str
    types: Tuple[str, ...]
    path: str
    content: Any


class _Stored:
    """The values of a file by name."""

    def __init__(self, file: _file.File, root: str) -> None:
        self.file = file
        self.root = _Node(*file._open.outline(root))
        self._below: Dict[str, Dict[str, _Node]] = {}

    def find(self, name: str) -> Optional[_Node]:
        if not name:
            return self.root
        parent, _, last = name.rpartition("/")
        return self.below(parent).get(last)

    def below(self, name: str) -> Dict[str, _Node]:
        """What a container has; nothing for other values."""
        if name not in self._below:
            node = self.find(name)
            self._below[name] = _children(node, name) if node is not None else {}
        return self._below[name]

    def load(self, node: _Node) -> Any:
        return node.content if node.kind == "value" else self.file.load(node.path)

    def array(self, node: _Node) -> Tuple[Any, str]:
        """An array to read from, or one that is read, and the dtype of PyTorch whose bits it has; None for what is none."""
        if node.kind == "array":
            return self.file._open.array(node.path), ""
        if node.kind == "value":
            return node.content if isinstance(node.content, np.ndarray) else None, ""
        if node.types[-1:] == (_tensor_type,):
            args = [part for key, part in node.content if type(key) is str and key == "args"] if node.kind == "map" else []
            items = [_Node(*part) for _, part in args[0][3]] if args and args[0][0] == "sequence" else []
            is_good = len(items) > 1 and not items[0].types and isinstance(items[1].content, str)
            return (self.array(items[0])[0], items[1].content) if is_good else (None, "")
        if node.types and node.types[-1] in _numpy_types:
            loaded = self.file.load(node.path)
            return np.asarray(loaded) if isinstance(loaded, (np.ndarray, np.generic)) else None, ""
        return None, ""


def _children(node: _Node, name: str) -> Dict[str, _Node]:
    """What a container has; nothing for other values."""
    if node.kind not in ("sequence", "map") or node.types[-1:] == (_tensor_type,) or is_value(node.types, node.kind):
        return {}
    parts = {key: _Node(*value) for key, value in _unique(node.content, name).items()}
    if node.kind == "sequence" or not node.types or not node.types[-1].startswith("py:"):
        return parts
    part = parts.get("entries") or parts.get("state")  # of a mapping its items, of another object its attributes
    members: Dict[str, _Node] = {}
    if part is not None:
        halves = [_Node(*half) for _, half in part.content] if part.kind == "sequence" and len(part.content) == 2 else [part]
        for half in halves:  # those in slots are apart
            if half.kind == "map":
                for key, value in _unique(half.content, name).items():
                    members.setdefault(key, _Node(*value))
    if not members and "args" in parts and parts["args"].kind == "sequence":  # a named tuple
        return _children(parts["args"], name)
    return members or parts


def _topmost(node: _Node, name: str, is_one: Callable[[str], Any],
             is_closed: Callable[[str], bool]) -> Iterator[Tuple[str, _Node]]:
    """Those below a node for whose name `is_one`, without what is below them and below those that are closed."""
    for step, child in _children(node, name).items():
        inner = join(name, step)
        if is_closed(inner):
            continue
        if is_one(inner):
            yield inner, child
        elif child.kind in ("sequence", "map"):
            yield from _topmost(child, inner, is_one, is_closed)


def chosen(file: _file.File, root: str, paths: Union[str, Iterable[str]], step: int) -> Tuple[Dict[str, Any], RestoreReport]:
    """The values whose names the patterns choose."""
    stored = _Stored(file, root)
    made = {name: stored.load(node) for name, node in _topmost(stored.root, "", _chooser(paths), lambda name: False)}
    return made, RestoreReport(step, list(made))


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
        self._with_state: List[str] = []
        self._seen: Set[int] = set()
        self._again: List[str] = []  # names of what has another name, too
        self._touched: Set[str] = set()  # by a checkpoint that turned out to be damaged
        found, _ = self._leaves(into, "")
        self._wanted = [(name, leaf) for name, leaf in found if self._chooses(name)]
        if strict and found and not self._wanted:
            raise failure("invalid_argument", "nothing in the object has a name that paths= chooses")

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
        if _has_state(thing):
            self._with_state.append(name)
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
        others: Dict[str, _Node] = {}
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
            raise _unfit(report, [name for name in self._with_state if self._is_object(stored, name)])
        if not self._touched <= set(report.restored):
            raise failure("unsupported", "a newer checkpoint turned out to be damaged after it was restored in part, and this "
                          "one has less", file=file.path)
        new = {name: stored.load(found) for name, found in others.items()}
        for name, fill in fills.items():
            self._touched.add(name)
            fill()
        self._seen.clear()
        return self._rebuilt(self._into, "", new, report.restored), report

    def _is_object(self, stored: _Stored, name: str) -> bool:
        """Whether the checkpoint has an object there rather than its state."""
        node = stored.find(self._renamed(name))
        return node is not None and bool(node.types) and not node.types[-1].endswith("Dict")

    def _fill(self, stored: _Stored, found: _Node, leaf: Any) -> Callable[[], None]:
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
            raise _Mismatch("expected an array, found another value")
        stored_name = array.dtype.name if isinstance(array, np.ndarray) else array.dtype_name
        if bits and not stored_bits and stored_name == bits:
            memory = memory.view(array.dtype)
        elif stored_bits and not bits and memory.dtype.name == stored_bits:
            memory = memory.view(np.uint16 if memory.dtype.itemsize == 2 else np.uint8)
        elif bits != stored_bits:
            raise _Mismatch(f"expected {bits or memory.dtype}, found {stored_bits or stored_name}")
        if array.shape != memory.shape:
            raise _Mismatch(f"expected the shape {_shape(memory.shape)}, found {_shape(array.shape)}")
        direct = not isinstance(array, np.ndarray) and array.fits(memory.dtype)
        if not direct and not _fits(array.dtype, memory.dtype):
            raise _Mismatch(f"expected {memory.dtype}, found {stored_name}")

        def fill() -> None:
            if direct and memory.flags.c_contiguous:
                array.read_to([], memory)
            else:
                memory[...] = array if isinstance(array, np.ndarray) else array.read([])

        return fill

    def _unexpected(self, stored: _Stored) -> List[str]:
        wanted = {self._renamed(name) for name, _ in self._wanted} | {self._renamed(name) for name in self._again}
        above = {name[:place] for name in wanted for place, letter in enumerate(name) if letter == "/"}
        if "" in wanted:
            return []
        def is_one(name: str) -> Any:
            return name not in above and self._chooses(name)

        return [name for name, _ in _topmost(stored.root, "", is_one, wanted.__contains__)]

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


def _fits(stored: np.dtype, wanted: np.dtype) -> bool:
    """Whether all values can be kept: by the library's rule, and for what has no element type in archives, by NumPy's."""
    stored, wanted = stored.newbyteorder("="), wanted.newbyteorder("=")
    return np.can_cast(stored, wanted, "safe") and (stored == wanted or wanted.kind in "OSU" or _core.widens(stored, wanted))


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


def _unfit(report: RestoreReport, objects: List[str]) -> Exception:
    parts = []
    if report.missing:
        parts.append("missing: " + _some(report.missing))
    if report.mismatched:
        parts.append("mismatched: " + _some([f"{name} ({why})" for name, why in report.mismatched.items()]))
    if objects:
        parts.append(f"what was saved as {_some(objects)} is an object itself, and not its state_dict()")
    message = f"the checkpoint of step {report.step} does not fit the object: " + "; ".join(parts)
    error = failure("type_mismatch" if report.mismatched else "missing_field", message)
    error.report = report
    return error


def _some(names: List[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
