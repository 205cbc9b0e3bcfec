"""What is in a file, as text and for notebooks."""

from __future__ import annotations

from html import escape
from typing import Any, List, Optional

import numpy as np

__all__ = ["Tree"]

_most_values = 2000
_long_sequence = 10  # scalars; of longer sequences only the first few are shown
_shown_scalars = 7
_sample_bytes = 1 << 20  # read of one array, at most
_most_histograms = 48
_histogram_budget = 24 << 20  # bytes read for all


class _Item:
    __slots__ = ("name", "entry", "what", "children", "more")

    def __init__(self, name: str, entry: dict, what: Optional[str] = None) -> None:
        self.name = name
        self.entry = entry
        self.what = what  # instead of the entry's
        self.children: List["_Item"] = []
        self.more = 0


def size_text(count: float) -> str:
    """"3.5 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


# Classes whose instances are a value, not a container.
_value_modules = frozenset(("datetime", "decimal", "fractions", "ipaddress", "pathlib", "uuid", "zoneinfo"))
_value_types = frozenset(("py:bytearray", "py:int", "py:str", "py:complex", "py:numpy.generic", "py:numpy.dtype",
                          "py:numpy.object_array", "py:global", "py:builtins.range", "py:builtins.slice"))


def is_value(types: Any, kind: Any) -> Any:
    """Whether a stored value is an object of its own rather than a container."""
    name = types[-1] if types else ""
    if name in _value_types or kind not in ("sequence", "map", "record"):
        return True
    return name.startswith("py:") and name[3:].partition(".")[0].partition(":")[0] in _value_modules


def join(path: Any, step: Any) -> Any:
    return f"{path}/{step}" if path else step


def _short(text):
    return text if len(text) <= 80 else text[:79] + "…"


def _is_container(entry):
    return entry["kind"] in ("sequence", "map", "record")


def _parent(path):
    return path.rpartition("/")[0]


def _last(path):
    step = path.rpartition("/")[2]
    if step == "~":
        return "''"
    return step if step.startswith(("~#", "~*")) else step.replace("~1", "/").replace("~0", "~")


def _type_name(entry):
    name = entry["type"]
    if name:
        return name[3:] if name.startswith("py:") else name
    return {"map": "dict", "record": "dict", "sequence": "list"}.get(entry["kind"], entry["kind"])


def _printable(text):
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class _Builder:
    def __init__(self, handle, depth, items):
        self.handle = handle
        self.depth = depth
        self.items = items
        self.left = _most_values

    def build(self, path, name):
        entries = self.handle.list(path, 1 if self.depth > 0 else 0, self.items)
        root = _Item(name, entries[0])
        self.fill(root, entries[1:], 0)
        return root

    def below(self, path):
        entries = self.handle.list(path, 1, self.items)
        return entries[0], [one for one in entries[1:] if _parent(one["path"]) == path]

    def fill(self, item, entries, depth):
        """`entries`: those directly below the item's, and what stands behind a root."""
        path = item.entry["path"]
        children = [one for one in entries if _parent(one["path"]) == path]
        total = max(item.entry["count"] or 0, len(children))
        if item.entry["type"].startswith("py:") and item.entry["kind"] in ("map", "record"):
            members, count = self.members(children)
            if members:
                children, total = members, count
        names = self.names(item.entry, children)
        scalars = item.entry["kind"] == "sequence" and len(children) > _long_sequence
        if scalars and not any(_is_container(one) or one["kind"] == "array" for one in children):
            children = children[:_shown_scalars]
        for child in children:
            if self.left <= 0:
                break
            self.left -= 1
            made = _Item(names.get(child["path"]) or _last(child["path"]), child, self.value(child))
            item.children.append(made)
            if made.what is not None:
                continue
            if _is_container(child) and not child["text"] and child["count"] and depth + 1 < self.depth:
                _, inner = self.below(child["path"])
                self.fill(made, inner, depth + 1)
            elif _is_container(child) and not child["text"]:
                made.more = child["count"] or 0
        item.more = max(total - len(item.children), 0)

    def names(self, parent, children):
        """The keys that a path names only by their place, by path."""
        if not any(_last(child["path"]).startswith("~#") for child in children) or (parent["count"] or 0) > 10000:
            return {}
        try:
            keys = self.handle.children(parent["path"])
        except Exception:  # keys of classes that are not trusted
            return {}
        paths = (child["path"] for child in children)  # of those from the first on
        return {path: _short(repr(key)) for path, (key, *_) in zip(paths, keys) if _last(path).startswith("~#")}

    def value(self, entry):
        """The text of a value that is shown whole though it is stored in parts; None for others."""
        name = entry["type"]
        if not name and entry["kind"] == "array" and entry["dtype"] == "complex128" and entry["shape"] == ():
            return repr(self.handle.load(entry["path"]))  # a number
        if name == "py:numpy.object_array":
            shape = self.handle.load(join(entry["path"], "shape")).tolist()
            return f"object[{', '.join(map(str, shape))}]"
        if not is_value((name,) if name else (), entry["kind"]) or not name or entry["bytes"] > 1024:
            return None
        try:
            return _short(repr(self.handle.load(entry["path"])))
        except Exception:
            return None

    def members(self, fields):
        """The entries of an object's attributes, as they are shown."""
        found = []
        total = 0
        for field in fields:
            if _last(field["path"]) not in ("state", "entries") or not _is_container(field):
                continue
            entry, inner = self.below(field["path"])
            parts = [(entry, inner)]
            if entry["kind"] == "sequence" and entry["count"] == 2 and any(_is_container(one) for one in inner):
                parts = [self.below(one["path"]) for one in inner if _is_container(one)]
            for part, children in parts:
                if part["kind"] in ("map", "record") and not part["type"]:
                    found.extend(children)
                    total += part["count"] or len(children)
        return found[: self.items], total


def _what(item):
    entry = item.entry
    kind = entry["kind"]
    if item.what is not None:
        return _printable(item.what)
    if kind == "array":
        shape = ", ".join(map(str, entry["shape"]))
        prefix = f"{_printable(_type_name(entry))} " if entry["type"] else ""
        order = " F order" if entry["order"] == "F" and len(entry["shape"]) > 1 else ""
        return f"{prefix}{entry['dtype']}[{shape}]{order}"
    if _is_container(entry):
        if entry["text"]:  # a reference
            return _printable(entry["text"])
        return f"{_printable(_type_name(entry))} of {entry['count'] or 0}" if not entry["type"] or entry["kind"] == (
            "sequence") else _printable(_type_name(entry))
    prefix = f"{_printable(_type_name(entry))} " if entry["type"] else ""
    shown = _printable(entry["text"])
    return prefix + (f'"{shown}"' if kind == "text" else shown)


def _size(item):
    entry = item.entry
    if item.what is not None and not item.what.startswith("object["):
        return ""
    if entry["kind"] == "array":
        stored = "" if entry["encoding"] == "raw" else f", {entry['encoding']}"
        return size_text(entry["nbytes"]) + stored
    return size_text(entry["bytes"]) if _is_container(entry) and not entry["text"] else ""


class Tree:
    """What is in a file or below a path. Its text is a tree; notebooks show one that unfolds."""

    def __init__(self, root: _Item, title: str, handle: Any, full: bool) -> None:
        self._root = root
        self._title = title
        self._handle = handle
        self._full = full

    def __repr__(self) -> str:
        lines = []

        def add(item, lead, below):
            what, size = _what(item), _size(item)
            lines.append((lead + _printable(item.name), what, size))
            last = len(item.children) - 1
            for place, child in enumerate(item.children):
                ends = place == last and not item.more
                add(child, below + ("└─ " if ends else "├─ "), below + ("   " if ends else "│  "))
            if item.more and item.children:
                lines.append((f"{below}└─ … {item.more} more", "", ""))

        add(self._root, "", "")
        widths = [min(max(len(line[column]) for line in lines), 60) for column in (0, 1)]
        text = [f"{name:<{widths[0]}}  {what:<{widths[1]}}  {size}".rstrip() for name, what, size in lines]
        if not self._full:
            text.append(f"… more than {_most_values} values; tree(path) shows a part")
        return "\n".join(text)

    def _repr_html_(self) -> str:
        budget = [_most_histograms, _histogram_budget]
        made = [
            '<div style="font-family: monospace; line-height: 1.5">'
        ]

        def line(item):
            size = _size(item)
            return (f"<b>{escape(_printable(item.name))}</b> {escape(_what(item))}"
                    + (f' <span style="opacity: .6">{escape(size)}</span>' if size else "")
                    + (self._histogram(item.entry, budget) if item.entry["kind"] == "array" and item.what is None else ""))

        def add(item, depth):
            if not item.children:
                made.append(f'<div style="margin-left: 1.1em">{line(item)}</div>')
                return
            is_open = " open" if depth == 0 or (depth < 3 and len(item.children) <= 12) else ""
            made.append(f"<details{is_open}><summary>{line(item)}</summary>"
                        '<div style="margin-left: 1.3em">')
            for child in item.children:
                add(child, depth + 1)
            if item.more:
                made.append(f'<div style="margin-left: 1.1em; opacity: .6">… {item.more} more</div>')
            made.append("</div></details>")

        add(self._root, 0)
        if not self._full:
            made.append(f"<div>… more than {_most_values} values; tree(path) shows a part</div>")
        made.append("</div>")
        return "".join(made)

    def _histogram(self, entry: dict, budget: List[int]) -> str:
        """A small picture of the values, from a sample of at most 1 MiB."""
        dtype = entry["dtype"]
        if entry["type"] or not dtype.startswith(("float", "int", "uint", "bool")) or not entry["nbytes"]:
            return ""
        if budget[0] <= 0 or budget[1] <= 0:
            return ""
        try:
            array = self._handle.array(entry["path"])
            sample = _sample(array)
            budget[0] -= 1
            budget[1] -= min(entry["nbytes"], _sample_bytes)
            return histogram_svg(sample)
        except Exception:  # a picture is not worth an error: closed, damaged, or without ml_dtypes
            return ""


def _sample(array) -> np.ndarray:
    """Elements of an array in a file: all, or some rows at four places."""
    shape = array.shape
    size = array.item_size
    for extent in shape:
        size *= extent
    if size <= _sample_bytes:
        return array.read([])
    rows, row = shape[0], size // shape[0]
    places = 4
    if row * places <= _sample_bytes:
        count = max(1, _sample_bytes // places // row)
        step = (rows - count) // (places - 1) if rows > count else 1
        firsts = sorted({min(i * step, rows - count) for i in range(places)})
        return np.concatenate([array.read([(first, count, 1)]).reshape(-1) for first in firsts])
    box = []  # the beginning of the first row
    left = _sample_bytes // array.item_size
    for extent in reversed(shape[1:]):
        count = max(1, min(extent, left))
        left //= count
        box.append((0, count, 1))
    return array.read([(0, 1, 1), *reversed(box)])


def histogram_svg(values: np.ndarray, bins: int = 24, height: int = 14) -> str:
    """An inline picture of how the values are spread; empty where there is nothing to see."""
    values = np.asarray(values).reshape(-1)
    values = values.astype(np.float64)
    values = values[np.isfinite(values)]
    if values.size < 2:
        return ""
    low, high = float(values.min()), float(values.max())
    if low == high or not np.isfinite(high - low):
        return ""
    counts, _ = np.histogram(values, bins, (low, high))
    top = counts.max()
    bars = "".join(
        f'<rect x="{3 * i}" y="{height - max(1, round(height * n / top))}" width="2" '
        f'height="{max(1, round(height * n / top))}"/>' for i, n in enumerate(counts.tolist()) if n)
    title = f"{low:.4g} to {high:.4g}, mean {float(values.mean()):.4g}"
    return (f' <svg width="{3 * bins}" height="{height}" style="vertical-align: middle; fill: currentColor; '
            f'opacity: .55"><title>{escape(title)}</title>{bars}</svg>')


def tree_of(handle: Any, path: str, file: Any, depth: int, items: int) -> Tree:
    builder = _Builder(handle, depth, items)
    name: Optional[str] = _last(path) if path else file.path.rpartition("/")[2]
    root = builder.build(path, name)
    return Tree(root, name or "", handle, builder.left > 0)


Tree.__module__ = "stele"
