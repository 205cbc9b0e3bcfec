"""Plain data, containers and the standard library's types come back equal, of the same type."""

import array as array_module
import collections
import copyreg
import dataclasses
import datetime
import decimal
import enum
import fractions
import gc
import ipaddress
import math
import pathlib
import pickle
import struct
import sys
import types
import uuid
import zoneinfo

import numpy as np
import pytest

import stele

plain = [
    None, True, False, 0, 1, -1, 2**31, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, -(2**64), 10**40, -(10**40),
    0.0, -0.0, 1.5, math.inf, -math.inf, 5e-324, "", "a", "é", "😀" * 700, "nul\0l", "\ud800 alone", b"", b"xyz", b"\xff" * 5000,
    bytearray(), bytearray(b"12"), 1 + 2j, complex(-0.0, math.inf), [], {}, (), set(), frozenset(), [1, 2.5, "x", b"y", None],
    (1, (2, (3,))), {1, 2}, frozenset("ab"), {frozenset([1]): (2,)},
    {"a": 1, 2: "b", (1, "t"): 3.0, None: 1, True: 2, b"k": 4, 2.5: 5, frozenset([1]): 6}, range(3, 9, 2), slice(1, None, 2),
    Ellipsis, NotImplemented, datetime.datetime(2020, 2, 29, 1, 2, 3, 4), datetime.date(2020, 1, 1), datetime.time(1, 2, 3),
    datetime.timedelta(3, 4, 5), datetime.timezone.utc, datetime.timezone(datetime.timedelta(hours=2), "x"),
    datetime.datetime(2020, 1, 1, fold=1, tzinfo=zoneinfo.ZoneInfo("UTC")), zoneinfo.ZoneInfo("UTC"), decimal.Decimal("1.20"),
    decimal.Decimal("NaN"), fractions.Fraction(1, 3), uuid.UUID(int=5), pathlib.Path("/a/b"), pathlib.PurePosixPath("x/y"),
    pathlib.PureWindowsPath("c:/x"), collections.OrderedDict(b=1, a=2), collections.Counter("abca"),
    collections.deque([1, 2], 5), types.SimpleNamespace(a=1), ipaddress.ip_address("::1"), ipaddress.ip_network("10.0.0.0/8"),
    int, str, dict, datetime.datetime, np.float64,
]


def same(a, b):
    return type(a) is type(b) and (a == b or repr(a) == repr(b))


@pytest.mark.parametrize("thing", plain, ids=lambda thing: repr(thing)[:40])
def test_plain_data_needs_no_trust(round_trip, thing):
    assert same(round_trip(thing), thing)
    assert same(round_trip([thing, {"k": thing}], dump={"codec": "zstd"})[1]["k"], thing)
    assert same(round_trip(thing, dump={"canonical": True}), thing)


def test_floats_keep_their_bits(round_trip):
    for bits in (0x7FF8000000000001, 0xFFF8000000000000, 0x8000000000000000, 1):
        (number,) = struct.unpack("d", struct.pack("Q", bits))
        for back in (round_trip(number), round_trip([number] * 3)[2], round_trip({1: number})[1]):
            assert struct.unpack("Q", struct.pack("d", back))[0] == bits


def test_dicts_keep_their_order(round_trip):
    thing = {str(i): i for i in (5, 3, 9, 1)}
    assert list(round_trip(thing)) == list(thing)


def test_runs_of_plain_items_keep_their_types(round_trip):
    for items in (["a", b"b", "c"], [1, 2.0, True, None, "x"], ["x"] * 300 + [b"y"], [1] * 300 + [2**70, -1], [0.5] * 511 + ["e"],
                  ["x" * 2000, "y"], [-(2**63), 2**64 - 1, 1.0]):
        for thing in (items, tuple(items), dict(enumerate(items)), {str(i): item for i, item in enumerate(items)}):
            back = round_trip(thing)
            assert back == thing and list(map(type, back)) == list(map(type, thing))
            if isinstance(thing, dict):
                assert list(map(type, back.values())) == list(map(type, thing.values()))


def test_identity_and_cycles(round_trip):
    inner = [1]
    thing = [inner, inner, {"k": inner}, (inner,)]
    thing.append(thing)
    back = round_trip(thing)
    assert back[0] is back[1] is back[2]["k"] is back[3][0] and back[4] is back
    knot = ([],)
    knot[0].append(knot)
    back = round_trip(knot)
    assert type(back) is tuple and back[0][0] is back
    thing = {}
    thing["self"] = thing
    back = round_trip(thing)
    assert back["self"] is back
    long_text, long_bytes = "x" * 100_000, b"y" * 100_000
    saved = stele.dumps([long_text] * 50 + [long_bytes] * 50)
    assert len(saved) < 250_000
    back = stele.loads(saved)
    assert back[0] is back[49] and back[99] is back[50]


def test_a_cycle_through_an_object(round_trip):
    thing = types.SimpleNamespace()
    thing.me = [thing]
    back = round_trip(thing)
    assert back.me[0] is back
    table = collections.defaultdict(list)
    table["x"].append(table)
    back = round_trip(table)
    assert back["x"][0] is back and back.default_factory is list


class Colour(enum.Enum):
    RED = 1


class Flag(enum.IntFlag):
    A = 1
    B = 2


@dataclasses.dataclass
class Point:
    x: int
    y: list


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: int


class Slots:
    __slots__ = ("a", "b")

    def __eq__(self, other):
        return self.a == other.a


class Stateful:
    def __init__(self, n):
        self.n = n

    def __getstate__(self):
        return {"saved": self.n}

    def __setstate__(self, state):
        self.n = state["saved"]

    def __eq__(self, other):
        return self.n == other.n


class WithArgs:
    def __new__(cls, a, *, b):
        made = super().__new__(cls)
        made.pair = a, b
        return made

    def __getnewargs_ex__(self):
        return (self.pair[0],), {"b": self.pair[1]}

    def __eq__(self, other):
        return self.pair == other.pair


class MyList(list):
    pass


class MyDict(dict):
    pass


class Outer:
    class Inner:
        def __eq__(self, other):
            return type(other) is Outer.Inner


Pair = collections.namedtuple("Pair", "a b")


def slots():
    made = Slots()
    made.a, made.b = [1], 2
    return made


def my_list():
    made = MyList([1, 2])
    made.note = "x"
    return made


mine = [Colour.RED, Flag.A | Flag.B, Point(1, [2]), Frozen(3), slots(), Stateful(4), WithArgs(1, b=2), my_list(),
        MyDict(a=1), Outer.Inner(), Pair(1, "b")]


@pytest.mark.parametrize("thing", mine, ids=lambda thing: type(thing).__name__)
def test_classes_of_the_user_need_trust(round_trip, thing):
    with pytest.raises(stele.UntrustedError) as caught:
        round_trip(thing)
    assert caught.value.names and type(thing).__name__ in str(caught.value)
    for trusted in (True, [type(thing)], caught.value.names, [f"{type(thing).__module__}.*"]):
        back = round_trip(thing, trusted=trusted)
        assert type(back) is type(thing) and back == thing
    if isinstance(thing, MyList):
        assert back.note == "x"
    inert = round_trip([thing], untrusted="inert")
    assert isinstance(inert[0], stele.Inert)
    assert round_trip(inert, trusted=True) == [thing]


def test_functions_and_classes_by_name(round_trip):
    assert round_trip([math.sqrt, len, int], trusted=True) == [math.sqrt, len, int]
    with pytest.raises(stele.UntrustedError, match="math.sqrt"):
        round_trip(math.sqrt)
    with pytest.raises(TypeError, match="lambda"):
        stele.dumps(lambda: 1)
    with pytest.raises(TypeError, match="local"):
        class Local:
            pass
        stele.dumps(Local())


def test_what_cannot_be_taken_apart_is_an_error_and_leaves_the_file(tmp_path):
    path = tmp_path / "x.stele"
    stele.dump([1], path)
    for bad in (sys.stdout, (i for i in ()), lambda: 1, struct.Struct, types.ModuleType("m")):
        if bad is struct.Struct:
            continue
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            stele.dump([1, 2, bad], path)
        assert stele.load(path) == [1]
    assert [p.name for p in tmp_path.iterdir()] == ["x.stele"]


def test_copyreg_is_obeyed(round_trip):
    class_ = type("Reduced", (), {"__module__": __name__})
    globals()["Reduced"] = class_
    copyreg.pickle(class_, lambda thing: (int, ("7",)))
    try:
        assert round_trip(class_()) == 7
    finally:
        del copyreg.dispatch_table[class_], globals()["Reduced"]


def test_array_of_the_standard_library(round_trip):
    thing = array_module.array("d", [1, 2])
    assert round_trip(thing, trusted=True) == thing


def test_a_container_that_changes_while_it_is_written():
    class Grows:
        def __init__(self, owner):
            self.owner = owner

        def __reduce_ex__(self, protocol):
            (self.owner.append(1) if isinstance(self.owner, list) else self.owner.__setitem__("x", 1))
            return int, ()

    items = [1]
    items.append(Grows(items))
    table = {"a": 1}
    table["g"] = Grows(table)
    for thing in (items, table):
        with pytest.raises(RuntimeError, match="changed size"):
            stele.dumps(thing)


def test_depth_is_a_limit_not_a_crash():
    thing = []
    for _ in range(100_000):
        thing = [thing]
    with pytest.raises(stele.Error) as caught:
        stele.dumps(thing)
    assert caught.value.code == "limit_exceeded"
    thing = []
    for _ in range(900):
        thing = [thing]
    back = stele.loads(stele.dumps(thing))
    depth = 0
    while back:
        back, depth = back[0], depth + 1
    assert depth == 900
    with pytest.raises(MemoryError):
        stele.loads(stele.dumps(thing), limits={"depth": 100})


def test_errors_inside_objects_name_the_place():
    deep = []
    for _ in range(100):
        deep = [deep]
    for thing in (types.SimpleNamespace(a=1, deep=deep), Point(1, deep), collections.OrderedDict(deep=deep), slots()):
        if isinstance(thing, Slots):
            thing.a = deep
        with pytest.raises(stele.Error) as caught:
            stele.dumps([thing], limits={"depth": 50})
        assert caught.value.code == "limit_exceeded" and caught.value.path.startswith("0/"), caught.value.path
    with pytest.raises(stele.Error) as caught:
        stele.dumps(np.array([1, deep], object), limits={"depth": 50})
    assert caught.value.path.startswith("items/1/")


def test_hash_depends_on_content_alone():
    shared = [1, 2]
    assert stele.hash([shared, shared]) == stele.hash([[1, 2], [1, 2]])
    assert stele.hash({"a": 1, "b": 2}) == stele.hash({"b": 2, "a": 1})
    assert stele.hash({1, 2, 3}) == stele.hash({3, 2, 1})
    assert stele.hash((1, 2)) != stele.hash([1, 2])
    assert stele.hash(1) != stele.hash(1.0)
    a = np.arange(12.0).reshape(3, 4)
    assert stele.hash(a[::2]) == stele.hash(a[::2].copy())
    assert stele.hash(Point(1, [2])) == stele.hash(Point(1, [2])) != stele.hash(Point(1, [3]))


def test_ten_thousand_rounds_leave_no_memory():
    import resource

    thing = {"a": np.arange(100.0), "t": (1, "x"), "s": {1, 2}, "o": datetime.date(2020, 1, 1), "l": ["x" * 50] * 10}
    for _ in range(500):
        stele.loads(stele.dumps(thing))
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    objects = len(gc.get_objects())
    for _ in range(10_000):
        stele.loads(stele.dumps(thing))
    gc.collect()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096
    assert len(gc.get_objects()) < objects + 100


def test_a_dtype_that_comes_twice(round_trip):
    # NumPy 2.5 makes its dtypes immortal: their counts of references say nothing.
    for dtype in (np.dtype("f8"), np.dtype([("a", "i4"), ("b", "f8")]), np.dtype("M8[s]")):
        thing = {"first": dtype, "second": dtype, "list": [dtype, dtype], "last": 1}
        assert round_trip(thing) == thing
        assert stele.hash(thing) == stele.hash({**thing, "list": [np.dtype(dtype.descr if dtype.names else dtype.str)] * 2})
        assert stele.hash([dtype, dtype]) != stele.hash([dtype, 1])
