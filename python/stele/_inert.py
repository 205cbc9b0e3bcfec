"""Placeholders for objects that are not rebuilt."""

from __future__ import annotations

__all__ = ["Inert", "Typed"]


class Inert:
    """An object of a class that is not trusted: its parts, of which nothing was called.

    Its attributes are those of the object's state: ``model.coef_``. Dumped again, it is what it was.

    Attributes
    ----------
    stele_name : str
        What would be called, "module.qualname".
    stele_args, stele_kwargs : tuple, dict or None
        With these arguments.
    stele_new : bool
        Whether that is a class whose ``__new__`` is called.
    stele_state, stele_states, stele_items, stele_entries
        What the object would be given then; None where there is nothing.
    """

    __slots__ = ("stele_name", "stele_callable", "stele_new", "stele_args", "stele_kwargs", "stele_state", "stele_states",
                 "stele_items", "stele_entries")

    def __init__(self, name: str) -> None:
        self.stele_name = name
        self.stele_new = False
        self.stele_args = ()
        self.stele_callable = self.stele_kwargs = self.stele_state = self.stele_states = None
        self.stele_items = self.stele_entries = None

    def _attributes(self):
        state = self.stele_state
        halves = state if isinstance(state, tuple) and len(state) == 2 else (state,)
        found = {}
        for half in halves:
            if isinstance(half, dict):
                found.update(half)
        return found

    def __getattr__(self, name: str) -> Any:
        found = self._attributes()
        if name in found:
            return found[name]
        raise AttributeError(f"{self.stele_name} has no attribute {name!r} in the file")

    def __dir__(self) -> Any:
        return sorted({*object.__dir__(self), *(name for name in self._attributes() if isinstance(name, str))})

    def __repr__(self) -> str:
        return f"<stele.Inert {self.stele_name}: {', '.join(map(str, self._attributes())) or 'no attributes'}>"


class Typed:
    """A value of a type of C++ that is stored under a registered name.

    Attributes
    ----------
    name : str
        The registered name.
    value : object
        Its content.
    """

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Typed) and (self.name, self.value) == (other.name, other.value)

    __hash__ = None

    def __repr__(self) -> str:
        return f"stele.Typed({self.name!r}, {self.value!r})"


for _class in (Inert, Typed):
    _class.__module__ = "stele"
