"""What may be imported and called to rebuild the objects of a file."""

from __future__ import annotations

import _compat_pickle
import fnmatch
import functools
import importlib

from . import _make

# What makes data and nothing else, with arguments that stele/_make.py lets pass. docs/guide/python.md has this list.
_data = {
    "builtins": "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple "
                "Ellipsis NotImplemented",
    "array": "array _array_reconstructor",
    "collections": "ChainMap Counter OrderedDict defaultdict deque",
    "copyreg": "_reconstructor",
    "dateutil.relativedelta": "relativedelta",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "ipaddress": "IPv4Address IPv4Interface IPv4Network IPv6Address IPv6Interface IPv6Network",
    "pathlib": "Path PosixPath PurePath PurePosixPath PureWindowsPath",
    "pathlib._local": "Path PosixPath PurePath PurePosixPath PureWindowsPath",
    "pytz": "FixedOffset _UTC _p",
    "types": "SimpleNamespace",
    "uuid": "UUID SafeUUID",
    "zoneinfo": "ZoneInfo ZoneInfo._unpickle",
    "numpy": "array dtype ndarray matrix recarray record bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 "
             "uint64 float16 float32 float64 longdouble complex64 complex128 clongdouble datetime64 timedelta64 str_ "
             "bytes_ void object_ generic longlong ulonglong intc uintc poly1d",
    "numpy.dtypes": "StringDType",
    "numpy._core._internal": "_convert_to_stringdtype_kwargs",
    "numpy._core.multiarray": "_reconstruct scalar",
    "numpy._core.numeric": "_frombuffer",
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy.core.numeric": "_frombuffer",
    "numpy.matrixlib.defmatrix": "matrix",
    "numpy.ma": "MaskedArray",
    "numpy.ma.core": "MaskedArray _mareconstruct mvoid MaskedConstant",
    "numpy.polynomial.chebyshev": "Chebyshev",
    "numpy.polynomial.hermite": "Hermite",
    "numpy.polynomial.hermite_e": "HermiteE",
    "numpy.polynomial.laguerre": "Laguerre",
    "numpy.polynomial.legendre": "Legendre",
    "numpy.polynomial.polynomial": "Polynomial",
    "numpy.random._pickle": "__bit_generator_ctor __generator_ctor __randomstate_ctor",
    "numpy.random._mt19937": "MT19937",
    "numpy.random._pcg64": "PCG64 PCG64DXSM",
    "numpy.random._philox": "Philox",
    "numpy.random._sfc64": "SFC64",
    "numpy.random.bit_generator": "SeedSequence __pyx_unpickle_SeedSequence",
    "numpy.rec": "recarray record",
    "ml_dtypes": "bfloat16 float8_e4m3fn float8_e5m2",
    **{f"scipy.sparse._{kind}": f"{kind}_array {kind}_matrix" for kind in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")},
    "pandas": "ArrowDtype DataFrame DateOffset Series Index Categorical CategoricalDtype CategoricalIndex DatetimeIndex DatetimeTZDtype "
              "Float32Dtype Float64Dtype BooleanDtype Int8Dtype Int16Dtype Int32Dtype Int64Dtype UInt8Dtype UInt16Dtype "
              "UInt32Dtype UInt64Dtype Interval IntervalDtype IntervalIndex MultiIndex NA NaT Period PeriodDtype "
              "PeriodIndex RangeIndex SparseDtype StringDtype Timedelta TimedeltaIndex Timestamp",
    "pandas.api.typing": "FrozenList NAType NaTType",
    "pandas.arrays": "ArrowExtensionArray ArrowStringArray BooleanArray Categorical DatetimeArray FloatingArray IntegerArray "
                     "IntervalArray NumpyExtensionArray PeriodArray SparseArray StringArray TimedeltaArray",
    "pandas._libs.arrays": "NDArrayBacked __pyx_unpickle_NDArrayBacked",
    "pandas._libs.internals": "BlockPlacement _unpickle_block",
    "pandas._libs.interval": "Interval __pyx_unpickle_IntervalMixin",
    "pandas._libs.missing": "NA NAType",
    "pandas._libs.sparse": "BlockIndex IntIndex",
    "pandas._libs.tslibs.nattype": "_nat_unpickle __nat_unpickle NaTType",
    "pandas._libs.tslibs.offsets": "Day Hour Minute Second Milli Micro Nano MonthBegin MonthEnd BusinessDay Week "
                                   "YearBegin YearEnd QuarterBegin QuarterEnd _Unpickler BusinessMonthBegin "
                                   "BusinessMonthEnd BusinessHour CustomBusinessDay CustomBusinessHour "
                                   "CustomBusinessMonthBegin CustomBusinessMonthEnd SemiMonthBegin SemiMonthEnd "
                                   "BYearBegin BYearEnd BQuarterBegin BQuarterEnd HalfYearBegin HalfYearEnd "
                                   "BHalfYearBegin BHalfYearEnd WeekOfMonth LastWeekOfMonth FY5253 FY5253Quarter "
                                   "Easter DateOffset __pyx_unpickle_BaseOffset",
    "pandas._libs.tslibs.period": "Period",
    "pandas._libs.tslibs.timedeltas": "_timedelta_unpickle Timedelta",
    "pandas._libs.tslibs.timestamps": "_unpickle_timestamp Timestamp",
    "pandas.core.arrays.boolean": "BooleanArray BooleanDtype",
    "pandas.core.arrays.categorical": "Categorical",
    "pandas.core.arrays.datetimes": "DatetimeArray",
    "pandas.core.arrays.floating": "FloatingArray Float32Dtype Float64Dtype",
    "pandas.core.arrays.integer": "IntegerArray Int8Dtype Int16Dtype Int32Dtype Int64Dtype UInt8Dtype UInt16Dtype "
                                  "UInt32Dtype UInt64Dtype",
    "pandas.core.arrays.interval": "IntervalArray",
    "pandas.core.arrays.numpy_": "NumpyExtensionArray",
    "pandas.core.arrays.period": "PeriodArray",
    "pandas.core.arrays.sparse.array": "SparseArray",
    "pandas.core.arrays.sparse.dtype": "SparseDtype",
    "pandas.core.arrays.string_": "StringArray StringDtype",
    "pandas.core.arrays.string_arrow": "ArrowStringArray",
    "pandas.core.arrays.arrow.array": "ArrowExtensionArray",
    "pandas.core.arrays.timedeltas": "TimedeltaArray",
    "pandas.core.dtypes.dtypes": "ArrowDtype CategoricalDtype DatetimeTZDtype IntervalDtype NumpyEADtype PeriodDtype "
                                 "SparseDtype",
    "pandas.core.frame": "DataFrame",
    "pandas.core.indexes.base": "Index _new_Index",
    "pandas.core.indexes.category": "CategoricalIndex",
    "pandas.core.indexes.datetimes": "DatetimeIndex _new_DatetimeIndex",
    "pandas.core.indexes.interval": "IntervalIndex _new_IntervalIndex",
    "pandas.core.indexes.multi": "MultiIndex",
    "pandas.core.indexes.period": "PeriodIndex _new_PeriodIndex",
    "pandas.core.indexes.range": "RangeIndex",
    "pandas.core.indexes.timedeltas": "TimedeltaIndex _new_TimedeltaIndex",
    "pandas.core.indexes.frozen": "FrozenList",
    "pandas.core.internals.managers": "BlockManager SingleBlockManager",
    "pandas.core.internals.blocks": "new_block",
    "pandas.core.series": "Series",
    "pandas.core.flags": "Flags",
    "pyarrow.lib": "py_buffer chunked_array type_for_alias _restore_array _reconstruct_table _reconstruct_record_batch "
                   "schema field Schema Field Table RecordBatch list_ large_list struct map_ dictionary timestamp "
                   "duration time32 time64 decimal32 decimal64 decimal128 decimal256 binary list_view "
                   "large_list_view union run_end_encoded scalar",
    "torch": "Size device bool uint8 int8 int16 int32 int64 float16 float32 float64 bfloat16 complex64 complex128",
    "stele": "BinaryFuse BloomFilter CountMin FeatureStore HyperLogLog TokenCounts",
    "stele._forms": "tensor_from_array",
}
_data_names = frozenset(f"{module}.{name}" for module, names in _data.items() for name in names.split())
# Names in modules of NumPy 1 for those of NumPy 2, and the reverse: the modules are told apart when they are imported.
_numpy_moved = (("numpy._core.", "numpy.core."), ("numpy.core.", "numpy._core."), ("numpy.rec", "numpy.core.records"))


def _parts(name):
    """Module and qualified name of "module.name" or "module:Outer.Inner"."""
    if ":" in name:
        module, _, qualname = name.partition(":")
    else:
        module, _, qualname = name.rpartition(".")
    return module, qualname


def _import(module):
    try:
        return importlib.import_module(module)
    except ImportError:
        for old, new in _numpy_moved:
            if module.startswith(old):
                return importlib.import_module(new + module[len(old):])
        raise


@functools.lru_cache(4096)
def _modern(name):
    """"module.qualname", with the names of Python 2 as pickle reads them."""
    module, qualname = _parts(name)
    old = "__builtin__" if module == "builtins" else module
    module, qualname = _compat_pickle.NAME_MAPPING.get((old, qualname), (module, qualname))
    return f"{_compat_pickle.IMPORT_MAPPING.get(module, module)}.{qualname}"


def _find(name):
    """The class or function of that name. Attribute chains lead through classes alone, so that no name reaches what
    another module was imported as."""
    module, qualname = _parts(name)
    if not module or not qualname:
        return None
    found = _import(module)
    steps = qualname.split(".")
    for step in steps[:-1]:
        found = vars(found).get(step) if step in vars(found) else None
        if not isinstance(found, type):
            return None
    return getattr(found, steps[-1], None)


def _belongs(found, module):
    """Whether a class was defined in the package that its name says, and was not imported there from elsewhere."""
    defined = getattr(found, "__module__", None)
    return isinstance(defined, str) and defined.partition(".")[0] == module.partition(".")[0]


class Resolver:
    """Decides for each name whether the class or function may be called.

    Parameters
    ----------
    trusted : bool or iterable of str, class or function
        True for everything. A pattern with ``*`` or ``?`` trusts classes that were defined in the package it names, never
        functions; a full name or an object trusts exactly that.
    """

    def __init__(self, trusted=()):
        self.everything = trusted is True
        self.trusts = bool(trusted)  # anything but data
        self.names = set()
        self.patterns = []
        self.objects = {}
        if trusted is True or trusted is False or trusted is None:
            return
        if isinstance(trusted, (str, type)) or callable(trusted):
            trusted = [trusted]
        for item in trusted:
            if isinstance(item, str):
                normal = ".".join(_parts(item)) if ":" in item else item
                (self.patterns.append if any(c in item for c in "*?[") else self.names.add)(normal)
            elif isinstance(item, type) or callable(item):
                self.objects[f"{item.__module__}.{item.__qualname__}"] = item
            else:
                raise TypeError("trusted has names, patterns, classes or functions, not " + type(item).__name__)

    def _given(self, plain):
        return (self.everything or plain in self.objects or plain in self.names
                or any(fnmatch.fnmatchcase(plain, pattern) for pattern in self.patterns))

    def maker(self, name):
        """What calls a name that only the list of data allows; None where it may be called at once."""
        plain = _modern(name)
        return None if self._given(plain) else _make.maker(plain)

    def attribute(self, args):
        """What getattr(class, name) gives where that is trusted by its full name; else None."""
        if len(args) == 2 and isinstance(args[0], type) and isinstance(args[1], str):
            return self(f"{args[0].__module__}:{args[0].__qualname__}.{args[1]}")
        return getattr(*args) if self.everything else None

    def callable(self, found):
        """An object of the file that is to be called, if everything is trusted; else None."""
        return found if self.everything else None

    def __call__(self, name):
        plain = _modern(name)
        if ":" not in name:
            name = plain
        if plain in self.objects:
            return self.objects[plain]
        if self.everything or plain in self.names or plain in _data_names:
            found = _find(name)
            if found is None:
                raise ImportError(f"the file holds an object of {plain}, which is not there")
            return found
        if any(fnmatch.fnmatchcase(plain, pattern) for pattern in self.patterns):
            found = _find(name)
            if isinstance(found, type) and _belongs(found, _parts(name)[0]):
                return found
        return None
