"""The parts of Python's objects: what they are made of when written, and how they are made again when read.

docs/format.md says under "Python's objects" what is stored.
"""

from __future__ import annotations

import ast
import copyreg
import math
import pickle
import sys
import types
import weakref
from typing import Any

import numpy as np

from . import _make
from ._inert import Inert

# --- Names -----------------------------------------------------------------------------------------------------------


def name_of(thing):
    """"module.qualname" of a class or function that can be found under it, "module:Outer.Inner" for nested ones."""
    qualname = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
    module = getattr(thing, "__module__", None)
    if module is None and isinstance(getattr(thing, "__self__", None), type):
        module = thing.__self__.__module__
    if module is None:
        for candidate, loaded in list(sys.modules.items()):
            if candidate != "__main__" and loaded is not None and getattr(loaded, qualname, None) is thing:
                module = candidate
                break
        else:
            module = "__main__"
    found = sys.modules.get(module)
    for step in qualname.split("."):
        found = getattr(found, step, None)
    if found is not thing and not (isinstance(thing, (types.MethodType, types.BuiltinMethodType)) and found == thing):
        raise TypeError(f"cannot store {thing!r}: it is not found as {module}.{qualname}")
    return f"{module}:{qualname}" if "." in qualname else f"{module}.{qualname}"


# --- Writing ---------------------------------------------------------------------------------------------------------

_extension_names = {"bfloat16", "float8_e4m3fn", "float8_e5m2"}


def describe_dtype(dtype):
    """Text: "<f8", or a list of fields as .npy headers have it; None where that does not say all."""
    if dtype.type.__module__ == "ml_dtypes":
        return dtype.name if dtype.name in _extension_names else None
    if dtype.metadata or dtype.kind == "T" or (dtype.names and any(len(f) > 2 for f in dtype.fields.values())):
        return None
    try:
        description = np.lib.format.dtype_to_descr(dtype)
        same = np.lib.format.descr_to_dtype(description) == dtype
    except (TypeError, ValueError):
        return None
    return (description if isinstance(description, str) else repr(description)) if same else None


def _object_array(array):
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    shape = np.array(array.shape, np.uint64)
    return "numpy.object_array", None, False, (shape, order, array.ravel(order).tolist()), None, None, None, None


def _raw_bytes(array):
    """The elements of a contiguous array as uint8."""
    return np.frombuffer(array.tobytes("A"), np.uint8)


def _reduce_array(array):
    dtype = array.dtype
    if dtype.kind == "O":
        return _object_array(array)
    if dtype.hasobject and dtype.kind != "T":
        raise TypeError(f"arrays of {dtype} hold Python objects inside records, which has no form in an archive")
    if dtype.kind == "T":
        return "numpy.array", None, False, (array.astype(object), dtype), None, None, None, None
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    return ("numpy._core.numeric._frombuffer", None, False, (_raw_bytes(array), dtype, array.shape, order),
            None, None, None, None)


def _reduce_array_subclass(array):
    """As NumPy's own form, with arrays where that has bytes."""
    kind = type(array)
    plain = np.asarray(array)
    if isinstance(array, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(array)
        state = (1, array.shape, array.dtype, False, np.ascontiguousarray(array._data), mask, array.fill_value
                 if array._fill_value is not None else None)
        args = (kind, np.ndarray, (0,), b"b")
        extra = {k: v for k, v in array.__dict__.items() if k not in _masked_own}
        return ("numpy.ma.core._mareconstruct", None, False, args, None,
                state if not extra else (*state, extra), None, None)
    state = (1, array.shape, array.dtype, False, plain)
    extra = getattr(array, "__dict__", None)
    return ("numpy._core.multiarray._reconstruct", None, False, (kind, (0,), b"b"), None,
            state if not extra else (*state, dict(extra)), None, None)


_masked_own = {"_mask", "_fill_value", "_hardmask", "_sharedmask", "_isfield", "_baseclass", "_optinfo", "_basedict"}


def _scalar(value):
    """A scalar of NumPy that has no element type in archives: long double, void …"""
    return "numpy._core.multiarray.scalar", None, False, (value.dtype, value.tobytes()), None, None, None, None


def has_form(kind):
    """Whether reduce() does more for objects of this class than to ask them."""
    return (kind in _forms or kind.__module__.partition(".")[0] in _lazy_forms or issubclass(kind, (np.ndarray, np.generic))
            or kind in copyreg.dispatch_table)


def reduce(thing):
    """What an object is made of.

    Returns
    -------
    tuple
        (name, callable, new, args, kwargs, state, items, entries). One of name and callable is None; so are the parts
        that the object does not have. A ninth part is True where the entries repeat what the state has.
    """
    kind = type(thing)
    form = _forms.get(kind)
    if form is None and kind.__module__.partition(".")[0] in _lazy_forms:
        _lazy_forms.pop(kind.__module__.partition(".")[0])()
        form = _forms.get(kind)
    if form is not None:
        made = form(thing)
        if made is not None:
            return made
    if isinstance(thing, np.ndarray):
        if kind is np.ndarray or kind is np.memmap:
            return _reduce_array(thing)
        if kind.__reduce__ is np.ndarray.__reduce__ or isinstance(thing, np.ma.MaskedArray) and thing is not np.ma.masked:
            if not thing.dtype.hasobject:
                return _reduce_array_subclass(thing)
    if isinstance(thing, np.generic):
        return _scalar(thing)
    reducer = copyreg.dispatch_table.get(kind)
    return parts_of(thing, reducer(thing) if reducer is not None else thing.__reduce_ex__(5))


def parts_of(thing, reduced):
    """The same of what `__reduce_ex__` returned."""
    kind = type(thing)
    if isinstance(reduced, str):
        name = reduced
        module = getattr(thing, "__module__", None) or getattr(kind, "__module__", "__main__")
        found = sys.modules.get(module)
        for step in name.split("."):
            found = getattr(found, step, None)
        if found is not thing:
            raise TypeError(f"cannot store {thing!r}: it is not found as {module}.{name}")
        return "global", None, False, (f"{module}:{name}" if "." in name else f"{module}.{name}",), None, None, None, None
    if not isinstance(reduced, tuple) or not 2 <= len(reduced) <= 6:
        raise TypeError(f"__reduce_ex__ of {type(thing).__name__} returned {type(reduced).__name__}, not a tuple of 2 to 6")
    function, args, state, items, entries, setter = (*reduced, *(None,) * (6 - len(reduced)))
    if setter is not None:
        raise TypeError(f"cannot store {type(thing).__name__}: its __reduce_ex__ gives a function that sets the state")
    new, kwargs = False, None
    called = getattr(function, "__name__", "")
    if function is copyreg.__newobj__ or called == "__newobj__":
        function, *args = args
        new = True
    elif called == "__newobj_ex__":
        function, args, kwargs = args
        new, kwargs = True, kwargs or None
    items = list(items) if items is not None else None
    entries = list(entries) if entries is not None else None
    args = tuple(args)
    bound = getattr(function, "__self__", None)  # a module, a class, or an object that a name does not reach
    if bound is None or isinstance(bound, (types.ModuleType, type)):
        return name_of(function), None, new, args, kwargs, state, items or None, entries or None
    return None, function, new, args, kwargs, state, items or None, entries or None


def _inert_parts(thing):
    if thing.stele_name in ("persistent", "extension"):
        raise TypeError("cannot store an object that only the writer of a pickle knew")
    if thing.stele_states is not None:
        raise TypeError(f"cannot store a {thing.stele_name} with several states")
    entries, items = thing.stele_entries, thing.stele_items
    if not isinstance(entries, (dict, type(None))) or not isinstance(items, (list, type(None))):
        raise TypeError("stele_entries is a dict, and stele_items a list")
    return (None if thing.stele_name == "call" else thing.stele_name, thing.stele_callable, thing.stele_new, thing.stele_args,
            thing.stele_kwargs, thing.stele_state, items, None if entries is None else list(entries.items()))


def _picklebuffer(thing):
    raw = np.frombuffer(thing.raw(), np.uint8)
    return "numpy.array", None, False, (raw,), None, None, None, None


# Types with a form of their own: {type: function of the object that returns what reduce() returns, or None}.
_forms = {Inert: _inert_parts, pickle.PickleBuffer: _picklebuffer}


def _register_torch():
    import torch

    storages: Any = weakref.WeakValueDictionary()  # the bytes of a storage as one array, by their address

    def with_base(plain):
        """The array of a tensor, a view of one that all tensors of its storage have: so it is seen that they share it."""
        array = plain.numpy()
        storage = plain.untyped_storage()
        if array.size == 0 or storage.nbytes() < array.nbytes:
            return array
        whole = storages.get(storage.data_ptr())
        if whole is None or whole.nbytes != storage.nbytes():
            whole = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()
            storages[storage.data_ptr()] = whole
        return np.ndarray(array.shape, array.dtype, whole, array.__array_interface__["data"][0] - storage.data_ptr(), array.strides)

    def tensor(thing):
        if thing.layout is not torch.strided or thing.is_quantized or thing.device.type == "meta":
            return None
        plain = thing.detach().cpu()
        name = ""
        if plain.dtype == torch.bfloat16:
            name = "bfloat16"
            plain = plain.view(torch.uint16 if hasattr(torch, "uint16") else torch.int16)
        elif str(plain.dtype).startswith("torch.float8"):
            name = str(plain.dtype).partition(".")[2]
            plain = plain.view(torch.uint8)
        array = with_base(plain.resolve_conj().resolve_neg())
        kind = type(thing)
        parameter = "torch.nn.Parameter" if kind is torch.nn.Parameter else ""
        return ("stele._forms.tensor_from_array", None, False,
                (array, name, bool(thing.requires_grad), parameter), None, None, None, None)

    _forms[torch.Tensor] = tensor
    _forms[torch.nn.Parameter] = tensor


def tensor_from_array(array, dtype="", requires_grad=False, kind=""):
    """The torch.Tensor over the memory of an array.

    Parameters
    ----------
    array : numpy.ndarray
    dtype : str
        The name of a dtype of torch that NumPy lacks, whose bits the array holds.
    requires_grad : bool
    kind : str
        "torch.nn.Parameter", or empty for a tensor.
    """
    import torch

    made = torch.from_numpy(array if array.flags.writeable else array.copy())
    if dtype:
        found = getattr(torch, dtype, None) if isinstance(dtype, str) else None
        if not isinstance(found, torch.dtype):
            raise ValueError(f"torch has no dtype {dtype!r}")
        made = made.view(found)
    if kind == "torch.nn.Parameter":
        return torch.nn.Parameter(made, requires_grad=bool(requires_grad))
    return made.requires_grad_(bool(requires_grad)) if requires_grad else made


# --- pandas ---

_most_columns = 4096
_column_types = "?bhilqBHILQefdFDmM"  # dtypes of NumPy with an element type in archives


def _columns_of(frame):
    """Pairs of name and values of those columns that can be named without storing anything twice.

    They are the rows of the manager's blocks, views of arrays that its state has, and its extension arrays themselves. Columns
    of Python objects have no array of their own.
    """
    names = frame.columns
    if names.nlevels > 1 or not names.is_unique or not 0 < len(names) <= _most_columns:
        return None
    manager = frame._mgr
    values = [getattr(block.values, "_ndarray", block.values) if getattr(block.values, "ndim", 1) == 2 else block.values
              for block in manager.blocks]
    # Of a block with gaps a view would store them too.
    dense = [not isinstance(array, np.ndarray)
             or ((array.flags.c_contiguous or array.flags.f_contiguous) and array.dtype.isnative
                 and array.dtype.char in _column_types) for array in values]
    found = []
    for name, block, row in zip(names.tolist(), manager.blknos.tolist(), manager.blklocs.tolist()):
        if type(name) in (str, int) and dense[block]:
            array = values[block]
            found.append((name, array[row] if isinstance(array, np.ndarray) else array))
    return found


def _register_pandas():
    import pandas

    def frame(thing):
        parts = parts_of(thing, thing.__reduce_ex__(5))
        return (*parts[:7], _columns_of(thing) or None, True) if parts[7] is None and hasattr(thing, "_mgr") else parts

    _forms[pandas.DataFrame] = frame


def repeats_state(kind):
    """Whether the entries of an object of this class repeat what its state has, to be found by name."""
    return kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas"


_lazy_forms = {"torch": _register_torch, "pandas": _register_pandas}


# --- Reading ---------------------------------------------------------------------------------------------------------


def dtype_from_description(description):
    """The dtype of a text that describe_dtype() gave, or of the parts that a pickle has of it; NumPy checks them."""
    if isinstance(description, dict):
        return _dtype_from_parts(description["args"][0], description.get("state"))
    if description in _extension_names:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, description))
    if description.startswith(("[", "(")):
        return np.lib.format.descr_to_dtype(ast.literal_eval(description))
    return np.dtype(description)


def _dtype_from_parts(kind, state):
    if state is None:
        return np.dtype(kind)
    _, byte_order, subarray, names, fields, size, _, flags, *metadata = state
    if subarray:
        made = np.dtype((subarray[0], subarray[1]))
    elif names:
        if any(len(fields[name]) != 2 for name in names):
            raise ValueError("a dtype whose fields have titles")
        made = np.dtype({"names": list(names), "formats": [fields[name][0] for name in names],
                         "offsets": [fields[name][1] for name in names], "itemsize": size}, align=bool(flags & 0x80))
    else:
        made = np.dtype(kind)
        made = made.newbyteorder(byte_order) if byte_order in "<>" else made
    return np.dtype(made, metadata=metadata[0]) if metadata and metadata[0] else made


def is_large(shape):
    return math.prod(int(extent) for extent in shape) > 1 << 22


def new_object_array(shape, order, items):
    extents = tuple(int(extent) for extent in shape)
    if items is not None and len(items) != math.prod(extents):
        raise ValueError(f"an array of {math.prod(extents)} objects with {len(items)} items")
    return np.empty(extents, object, order="F" if order == "F" else "C")


def fill_object_array(array, items, order):
    if len(items) != array.size:
        raise ValueError(f"an array of {array.size} objects with {len(items)} items")
    flat = array.reshape(-1, order="F" if order == "F" else "C")  # a view: it has that order
    for place, item in enumerate(items):
        flat[place] = item


def call(callable_, args, kwargs):
    """Calls what makes an object of an array and more."""
    if getattr(callable_, "__name__", "") == "_frombuffer":
        return _make.from_raw(*args)
    return callable_(*args, **(kwargs or {}))


def way_of_state(kind):
    """How objects of this class take their state: "attributes" where it is nothing but their `__dict__`, "method" where their
    `__setstate__` takes any, or "form" where set_state() has to look at it."""
    if issubclass(kind, (np.ndarray, np.dtype, np.random.BitGenerator)):
        return "form"
    if hasattr(kind, "__setstate__"):
        return "method"
    return "form" if hasattr(kind, "__getattr__") or kind.__getattribute__ is not object.__getattribute__ else "attributes"


def set_state(thing, state):
    """Gives an object its state, as pickle does. Returns another object where that takes its place, or None."""
    if isinstance(thing, np.ndarray) and isinstance(state, tuple) and len(state) >= 5 and isinstance(state[4], np.ndarray):
        return _array_with_state(thing, state)
    _make.check_state(thing, state)
    if isinstance(thing, np.ndarray) and isinstance(state, tuple) and len(state) == 5 and getattr(state[2], "kind", "") == "T":
        # NumPy itself crashes on items that do not fit. They are in the order of C.
        return np.asarray(np.array(state[4], state[2]).reshape(state[1]), order="F" if state[3] else "C")
    setter = getattr(thing, "__setstate__", None)
    if setter is not None:
        setter(state)
        return None
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    if state:
        attributes = thing.__dict__
        for name, value in state.items():
            attributes[sys.intern(name) if type(name) is str else name] = value
    if slots:
        for name, value in slots.items():
            setattr(thing, name, value)
    return None


def _array_with_state(thing, state):
    data = state[4]
    if isinstance(thing, np.ma.MaskedArray):
        _, _, dtype, _, data, mask, fill, *rest = state
        made = type(thing)(data.reshape(state[1]), mask=mask, dtype=dtype, fill_value=fill) if fill is not None else type(
            thing)(data.reshape(state[1]), mask=mask, dtype=dtype)
    else:
        made = data.view(type(thing))
        if made.dtype != state[2]:
            made = made.view(state[2])
        rest = state[5:]
    if rest and isinstance(rest[0], dict):
        made.__dict__.update(rest[0])
    return made


def add_items(thing, items):
    extend = getattr(thing, "extend", None)
    if extend is not None:
        extend(items)
        return
    add = getattr(thing, "append", None) or thing.add
    for item in items:
        add(item)


def add_entries(thing, entries):
    for key, value in entries.items():
        thing[key] = value
