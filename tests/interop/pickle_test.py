#!/usr/bin/env python3
"""Pickles of Python, of NumPy's arrays and of joblib become the Values that the header pickle.hpp describes."""

import collections
import copyreg
import datetime
import functools
import io
import json
import math
import pathlib
import pickle
import pickletools
import struct
import subprocess
import sys
import zlib

from build_program import SOURCE_DIR, Compiler, skip

try:
    import numpy
    import numpy.ma
except ImportError:
    skip("no NumPy")
try:
    import joblib
except ImportError:
    joblib = None

PROGRAM = r"""
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>
#include <stele/codec.hpp>
#include "interop/pickle/pickle.hpp"
#include "interop/pickle/references.hpp"

using namespace stele;

std::string hex(Bytes bytes) {
  static const char* digits = "0123456789abcdef";
  std::string out;
  for (std::byte byte : bytes) {
    out += digits[unsigned(byte) >> 4];
    out += digits[unsigned(byte) & 15];
  }
  return out;
}
std::string quoted(std::string_view text) { return '"' + hex(std::as_bytes(std::span(text))) + '"'; }

std::string dump(const Value& value) {
  const std::string_view kind = to_string(value.kind());
  std::string out = "[\"" + std::string(kind.substr(0, kind.find(' '))) + '"';
  switch (value.kind()) {
    case ValueKind::boolean:
      out += value.boolean() ? ",true" : ",false";
      break;
    case ValueKind::integer: {
      const Number n = value.number();
      const bool natural = n.type == Number::Type::natural;
      out += ',' + (natural ? std::to_string(n.bits) : std::to_string(-1 - std::int64_t(n.bits)));
      break;
    }
    case ValueKind::real:
      out += ",\"" + std::to_string(value.number().bits) + '"';
      break;
    case ValueKind::text:
      out += ',' + quoted(value.text());
      break;
    case ValueKind::bytes:
      out += ",\"" + hex(value.bytes()) + '"';
      break;
    case ValueKind::array: {
      const ArrayView& view = value.array().view();
      out += ",\"" + view.dtype.name() + "\",[";
      for (std::size_t i = 0; i < view.shape.rank(); ++i) {
        out += (i ? "," : "") + std::to_string(view.shape[i]);
      }
      std::vector<std::byte> bytes(view.byte_count());
      gather(view, Order::row_major, 0, view.shape.count(), bytes.data());
      const char* order = view.is_dense(Order::row_major) ? "C" : view.is_dense(Order::column_major) ? "F" : "K";
      out += "],\"" + std::string(order) + "\",\"" + hex(bytes) + '"';
      break;
    }
    case ValueKind::sequence:
      out += value.ordering() == Ordering::ordered ? ",true" : ",false";
      for (const Value& item : value.items()) {
        out += ',' + dump(item);
      }
      break;
    case ValueKind::map:
      for (const auto& [key, item] : value.entries()) {
        out += ",[" + dump(key) + ',' + dump(item) + ']';
      }
      break;
    case ValueKind::record:
      for (std::size_t i = 0; i < value.size(); ++i) {
        out += ",[" + quoted(value.names()[i]) + ',' + dump(value.items()[i]) + ']';
      }
      break;
    case ValueKind::typed:
      out += ',' + quoted(value.type_name()) + ',' + dump(value.content());
      break;
    case ValueKind::shared:
      out += ',' + std::to_string(*value.anchor()) + ',' + dump(value.content());
      break;
    case ValueKind::reference:
      out += ',' + std::to_string(*value.anchor());
      break;
    default:
      break;
  }
  return out + ']';
}

// A line of a mode and a path; answers with a line. Modes: read, map, all (pickles one after the other), types, buffers
// (the files path.0, path.1 ... are out-of-band buffers).
int main() {
  std::string mode;
  std::string path;
  while (std::cin >> mode >> path) {
    try {
      LoadOptions options;
      std::unique_ptr<Source> source = file_source(path);
      std::vector<std::byte> first(16);
      source->read_at(0, std::span(first).first(std::min<std::size_t>(first.size(), *source->size())));
      const Codecs codecs;
      const Codec* const codec = may_be_pickle(first) ? nullptr : codecs.by_magic(first);
      if (codec != nullptr) {
        source = decompressing_source(std::move(source), *codec);
      }
      Neighbour file{*source, nullptr, path, options};
      if (mode == "map") {
        file.mapping = Mapping::open(path, MapMode::read_only);
      }
      if (mode == "types") {
        const References references = pickle_references(file);
        std::string out = "[";
        for (const Reference& r : references.found) {
          out += "[" + quoted(r.name) + ",\"" + std::string(to_string(r.risk)) + "\"," + std::to_string(r.count) + "],";
        }
        std::cout << out << (references.error ? quoted(to_string(references.error->code())) : "null") << "]\n";
      } else if (mode == "typesof") {
        std::string out = "[";
        for (const Reference& r : references_of(read_pickle(file))) {
          out += "[" + quoted(r.name) + ",\"" + std::string(to_string(r.risk)) + "\"," + std::to_string(r.count) + "],";
        }
        std::cout << out << "null]\n";
      } else if (mode == "all") {
        PickleReader reader(file);
        std::string out = "[";
        while (!reader.at_end()) {
          out += dump(reader.next()) + ',';
        }
        std::cout << out << "null]\n";
      } else if (mode == "buffers") {
        std::vector<AnyArray> buffers;
        std::vector<std::string> held;
        for (int i = 0; std::FILE* part = std::fopen((path + '.' + std::to_string(i)).c_str(), "rb"); ++i) {
          std::string bytes(1 << 20, '\0');
          bytes.resize(std::fread(bytes.data(), 1, bytes.size(), part));
          std::fclose(part);
          buffers.push_back(AnyArray::copy_of(ArrayView(DType::Kind::uint8, bytes.data(), bytes.size())));
        }
        std::cout << dump(read_pickle(file, {.buffers = buffers})) << '\n';
      } else {
        std::cout << dump(read_pickle(file)) << '\n';
      }
    } catch (const Error& error) {
      std::cout << "[\"error\",\"" << to_string(error.code()) << "\"," << quoted(error.what()) << "]\n";
    }
    std::cout.flush();
  }
}
"""


class Reader:
    """The program, which reads one file after the other."""

    def __init__(self):
        compiler = Compiler()
        compiler.include.append(f"-I{SOURCE_DIR / 'src'}")
        pathlib.Path("reader.cpp").write_text(PROGRAM, encoding="utf-8")
        compiler.compile("reader.cpp", "reader")
        self.process = subprocess.Popen(["./reader"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, path, mode="read"):
        self.process.stdin.write(f"{mode} {path}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the reader ended with {self.process.wait()} at {path}")
        return json.loads(line)

    def value(self, data, mode="read"):
        pathlib.Path("file.pickle").write_bytes(data)
        return self.ask("file.pickle", mode)


# --- What is expected ------------------------------------------------------------------------------------------------

def text(string):
    return ["text", string.encode().hex()]


def typed(name, content):
    return ["typed", name.encode().hex(), content]


def sequence(items):
    return ["sequence", True, *items]


def record(**fields):
    return ["record", *([name.encode().hex(), value] for name, value in fields.items())]


def integers(*values):
    return ["array", "uint64", [len(values)], "C", struct.pack(f"<{len(values)}Q", *values).hex()]


def dtype_name(dtype):
    """As stele names it."""
    if dtype.names:
        return "{" + ", ".join(field_name(name, dtype.fields[name][0]) for name in dtype.names) + "}"
    if dtype.kind == "S":
        return f"bytes[{dtype.itemsize}]"
    if dtype.kind == "U":
        return f"utf32[{dtype.itemsize // 4}]"
    return dtype.newbyteorder("<").name


def field_name(name, dtype):
    base, shape = dtype.subdtype or (dtype, ())
    return f"{name}: {dtype_name(base)}" + (f"[{math.prod(shape)}]" if shape and math.prod(shape) != 1 else "")


def array_value(a):
    order = "C" if a.flags.c_contiguous else "F"
    little = a.astype(a.dtype.newbyteorder("<"))
    return ["array", dtype_name(a.dtype), list(a.shape), order, little.tobytes("C").hex()]


def expected(x):
    """The Value of a Python object that holds no object twice."""
    if x is None:
        return ["null"]
    if isinstance(x, numpy.generic):
        return typed("py:numpy.generic", array_value(numpy.array(x)))
    kind = type(x)
    if kind is bool:
        return ["boolean", x]
    if kind is int:
        return ["integer", x] if -(1 << 63) <= x < 1 << 64 else typed("py:int", text(hex(x)))
    if kind is float:
        return ["real", str(struct.unpack("<Q", struct.pack("<d", x))[0])]
    if kind is str:
        try:
            return text(x)
        except UnicodeEncodeError:
            return typed("py:str", ["bytes", x.encode("utf-8", "surrogatepass").hex()])
    if kind is bytes:
        return ["bytes", x.hex()]
    if kind is bytearray:
        return typed("py:bytearray", ["bytes", x.hex()])
    if kind is complex:
        return array_value(numpy.array(x))
    if kind is list:
        return sequence(map(expected, x))
    if kind is tuple:
        return typed("py:tuple", sequence(map(expected, x)))
    if kind is dict:
        return ["map", *([expected(k), expected(v)] for k, v in x.items())]
    if kind is set:
        return typed("py:set", sequence(map(expected, x)))
    if kind is frozenset:
        return typed("py:frozenset", sequence(map(expected, x)))
    if kind is numpy.ndarray and x.dtype == object:
        order = "C" if x.flags.c_contiguous else "F"
        return typed("py:numpy.object_array",
                     record(shape=integers(*x.shape), order=text(order), items=sequence(map(expected, x.ravel(order)))))
    if kind is numpy.ndarray:
        return array_value(x)
    if isinstance(x, numpy.dtype):
        return typed("py:numpy.dtype", text(str(x.descr) if x.names else x.str))
    if isinstance(x, type) or callable(x):
        return typed("py:global", text(f"{x.__module__}.{x.__qualname__}"))
    raise TypeError(f"{kind} has no expected value")


def check(name, found, wanted):
    if found != wanted:
        sys.exit(f"{name}:\nfound  {str(found)[:2000]}\nwanted {str(wanted)[:2000]}")


# --- The samples -----------------------------------------------------------------------------------------------------

def plain_samples():
    yield "leaves", [None, True, False, 0, 1, -1, 255, 256, 65535, 65536, -129,
                     2**31 - 1, -2**31, 2**31, 2**63 - 1, 2**63,
                     2**64 - 1, -2**63, 1.5, -0.0, 1e300, 5e-324, math.inf, -math.inf]
    yield "nan", float("nan")
    yield "big", [2**64, -2**63 - 1, 2**2000 + 12345, -(2**2000), 10**100, -(256**20), 2**71 - 1]
    yield "text", ["", "a", "ünï", "\U0001f600", "x" * 255, "y" * 256, "ü" * 70000, "line\nback\\slash\\u0041\0\r\x1a",
                   "\ud800x\udfff"]
    yield "bytes", [b"", b"a", bytes(range(256)), b"z" * 100000, bytearray(), bytearray(b"abc"), bytearray(b"q" * 5000)]
    yield "containers", [[], (), {}, (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [[1], [2, [3]]],
                         {"a": 1, 2: "b", (3, 4): [5]},
                         {None: {}}, set(), {1}, frozenset(), frozenset({2})]
    yield "long", [list(range(5000)), {i: str(i) for i in range(3000)}, set(range(2500)), tuple(range(2000))]
    yield "complex", [1 + 2j, complex(math.inf, -0.0)]
    yield "globals", [collections.OrderedDict, len, datetime.date, functools.partial]


def array_samples():
    rng = numpy.random.default_rng(1)
    yield "numbers", [numpy.arange(7, dtype=t) for t in "bBhHiIlLqQefdFD"]
    yield "bools", numpy.array([[True, False], [False, True]])
    yield "orders", [rng.random((3, 4)), numpy.asfortranarray(rng.random((3, 4))), rng.random((2, 3, 4)),
                     rng.random((5, 6))[::2, ::3].copy()]
    yield "empty", [numpy.zeros(0), numpy.zeros((3, 0, 2)), numpy.array(3.5), numpy.zeros((1, 1))]
    yield "big-endian", [numpy.arange(5, dtype=">i4"), numpy.arange(5, dtype=">f8"),
                         numpy.array(["aü", "b"], dtype=">U3")]
    yield "text", [numpy.array(["a", "bcd"]), numpy.array([b"a", b"bcd"]), numpy.array(["", "\U0001f600"])]
    yield "times", [numpy.array(["2020-01-01", "NaT"], dtype="M8[D]"), numpy.array([1, 2], dtype="m8[25us]"),
                    numpy.array([1, 2], dtype="m8"), numpy.array([1, 2], dtype=">M8[ns]")]
    yield "records", [numpy.array([(1, 2.5, (3, 4))], dtype=[("a", "i4"), ("b", "f8"), ("c", "i2", (2,))]),
                      numpy.array([(1, (2, 3.5))], dtype=[("x", ">i2"), ("y", [("p", "u1"), ("q", ">f4")])])]
    yield "objects", [numpy.array([1, "a", None, [2]], dtype=object), numpy.array([[1, 2, 3], [4, 5, 6]], dtype=object),
                      numpy.asfortranarray(numpy.array([[1, 2, 3], [4, 5, 6]], dtype=object)),
                      numpy.array(None, dtype=object)]
    yield "scalars", [numpy.float64(1.5), numpy.int8(-3), numpy.bool_(True), numpy.datetime64("2020-01-01"),
                      numpy.str_("aü"),
                      numpy.bytes_(b"ab"), numpy.complex64(1 + 2j), numpy.float16(0.5)]
    yield "dtypes", [numpy.dtype(t) for t in ("f8", ">f8", "i1", "?", "U3", "S4", "V20", "O", "M8[ns]",
                                              "m8[25us]", "c16", ">u2", "g")]
    yield "structured dtypes", [numpy.dtype([("a", "<i4"), ("b", ">f8", (2, 3)), ("c", [("d", "|u1")])]),
                                numpy.dtype({"names": ["a", "b"], "formats": ["<i4", "<f8"], "offsets": [4, 16],
                                             "itemsize": 32})]
    yield "large", rng.random((300, 400))


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y


class Slotted:
    __slots__ = ("a",)

    def __init__(self, a):
        self.a = a


class Made:
    def __new__(cls, a=0, *, b=0):
        return super().__new__(cls)

    def __getnewargs_ex__(self):
        return (1,), {"b": 2}


class Listed(list):
    pass


class Outer:
    class Inner:
        pass


class Called:
    def __reduce__(self):
        return Point, (1, 2)


def generic(name, **fields):
    return typed("py:" + name, record(**fields))


def dump_with_hook(obj, protocol):
    class Pickler(pickle.Pickler):
        def persistent_id(self, x):
            return "the point" if isinstance(x, Point) else None
    file = io.BytesIO()
    Pickler(file, protocol).dump(obj)
    return file.getvalue()


def check_objects(reader):
    here = __name__
    state = ["map", [text("x"), ["integer", 1]], [text("y"), ["integer", 2]]]
    new = ["boolean", True]
    for protocol in range(2, 6):
        def found(obj, protocol=protocol):
            return reader.value(pickle.dumps(obj, protocol))
        check("instance", found(Point(1, 2)), generic(f"{here}.Point", new=new, state=state))
        check("slots", found(Slotted(1)), generic(f"{here}.Slotted", new=new, state=typed("py:tuple", sequence(
            [["null"], ["map", [text("a"), ["integer", 1]]]]))))
        check("call", found(Called()), generic(f"{here}.Point", args=sequence([["integer", 1], ["integer", 2]])))
        check("list", found(Listed([1, 2])), generic(f"{here}.Listed",
              new=new, items=sequence([["integer", 1], ["integer", 2]])))
        check("ordered", found(collections.OrderedDict(a=1)),
              generic("collections.OrderedDict", entries=["map", [text("a"), ["integer", 1]]]))
        if protocol >= 4:
            check("keywords", found(Made()), generic(f"{here}.Made", new=new, args=sequence([["integer", 1]]),
                                                     kwargs=["map", [text("b"), ["integer", 2]]]))
            check("inner", found(Outer.Inner()), generic(f"{here}:Outer.Inner", new=new))
        check("timedelta", found(datetime.timedelta(1, 2, 3)),
              generic("datetime.timedelta", args=sequence([["integer", i] for i in (1, 2, 3)])))
        check("persistent", reader.value(dump_with_hook([Point(1, 2)], protocol)),
              sequence([typed("py:persistent", text("the point"))]))
    check("persistent 0", reader.value(dump_with_hook([Point(1, 2)], 0)),
          sequence([typed("py:persistent", text("the point"))]))
    check("protocol 0", reader.value(pickle.dumps(Point(1, 2), 0)), generic( "copyreg._reconstructor", args=sequence(
        [typed("py:global", text(f"{here}.Point")), typed("py:global", text("builtins.object")), ["null"]]),
        state=state))
    copyreg.add_extension(here, "Point", 0x4321)
    try:
        check("extension", reader.value(pickle.dumps(Point, 2)), typed("py:extension", ["integer", 0x4321]))
    finally:
        copyreg.remove_extension(here, "Point", 0x4321)
    check("old class", reader.value(b"(i__main__\nOld\np0\n(dp1\nS'a'\nI1\nsb."),
          generic("__main__.Old", state=["map", [text("a"), ["integer", 1]]]))
    check("obj", reader.value(b"(c__main__\nOld\nI7\no."), generic("__main__.Old", args=sequence([["integer", 7]])))
    check("called object", reader.value(b"cm\nf\n(tR(I1\ntR."),
          typed("py:call", record(callable=generic("m.f"), args=sequence([["integer", 1]]))))
    check("two states", reader.value(b"cm\nf\n(tRI1\nbI2\nb."), generic(
        "m.f", states=sequence([["integer", 1], ["integer", 2]])))
    check("old str", reader.value(b"(U\x02abU\x02\xff\xfeS'q\\x41\\n\\''\nT\x01\0\0\0zt."),
          typed("py:tuple", sequence([text("ab"), ["bytes", "fffe"], text("qA\n'"), text("z")])))


def check_identity(reader):
    cycle = []
    cycle.append(cycle)
    through = ([],)
    through[0].append(through)
    shared = ["shared"]
    point = Point(1, None)
    point.y = point
    long = "x" * 64
    numbers = numpy.arange(3.0)
    for protocol in range(6):
        def found(obj, protocol=protocol):
            return reader.value(pickle.dumps(obj, protocol))
        check("cycle", found(cycle), ["shared", 1, sequence([["reference", 1]])])
        check("cycle by tuple", found(through), ["shared", 1, typed(
            "py:tuple", sequence([sequence([["reference", 1]])]))])
        value = ["shared", 1, sequence([text("shared")])]
        check("shared", found([shared, shared, {"a": shared}]),
              sequence([value, ["reference", 1], ["map", [text("a"), ["reference", 1]]]]))
        check("short texts are repeated", found([{"key": "text"}, {"key": "text"}]),
              sequence([["map", [text("key"), text("text")]]] * 2))
        check("long texts are shared", found([long, long]), sequence([["shared", 1, text(long)], ["reference", 1]]))
        check("keys are plain", found([{long: 1}, {long: 2}]),
              sequence([["map", [text(long), ["integer", i]]] for i in (1, 2)]))
        check("array twice", found([numbers, numbers]), sequence(
            [["shared", 1, array_value(numbers)], ["reference", 1]]))
        check("dtype twice", found([numbers.dtype, numbers.dtype]), sequence([expected(numbers.dtype)] * 2))
        if protocol >= 2:
            check("object in itself", found(point), ["shared", 1, generic(
                f"{__name__}.Point", new=["boolean", True],
                state=["map", [text("x"), ["integer", 1]], [text("y"), ["reference", 1]]])])


def check_plain(reader):
    for name, sample in [*plain_samples(), *array_samples()]:
        for protocol in range(6):
            # What repeats is not shared here: each item by itself.
            parts = sample if type(sample) is list else [sample]
            for index, part in enumerate(parts):
                for data in (pickle.dumps(part, protocol), pickletools.optimize(pickle.dumps(part, protocol)),
                             pickle._dumps(part, protocol)):
                    wanted = expected(part)
                    if name == "globals" and protocol < 4:
                        continue  # names of Python 2
                    check(f"{name} {index}, protocol {protocol}", reader.value(data), wanted)


def check_arrays_otherwise(reader):
    matrix = numpy.matrix([[1.0, 2.0]])
    found = reader.value(pickle.dumps(matrix, 2))
    names = {bytes.fromhex(name).decode(): value for name, value in found[2][1:]}
    check("matrix", bytes.fromhex(found[1]).decode().rsplit(".", 1)[1], "_reconstruct")
    check("matrix", names["args"][2], typed("py:global", text("numpy.matrix")))
    check("matrix", names["state"][2][-1], array_value(numpy.asarray(matrix)))
    masked = numpy.ma.array([1.0, 2.0], mask=[True, False])
    found = reader.value(pickle.dumps(masked))
    check("masked", bytes.fromhex(found[1]).decode(), "py:numpy.ma.core._mareconstruct")
    check("masked", dict(map(tuple, [[bytes.fromhex(k).decode(), v[0]] for k, v in found[2][1:]]))["state"], "typed")
    # Types that stele lacks keep their bytes.
    for array_ in (numpy.array([1, 2], dtype="g"), numpy.zeros(2, "V3"), numpy.zeros(1, [("a", "f8", (2, 2))])):
        found = reader.value(pickle.dumps(array_, 2))
        if "bytes" not in json.dumps(found) or array_.tobytes().hex() not in json.dumps(found):
            sys.exit(f"{array_.dtype}: {found}")
    # Out of band.
    arrays = [
    numpy.arange(1000.0), numpy.asfortranarray(
        numpy.arange(6).reshape(
            2, 3)), numpy.arange(24).reshape(
                2, 3, 4).transpose(
                    2, 0, 1)]
    buffers = []
    data = pickle.dumps(arrays, 5, buffer_callback=buffers.append)
    for i, buffer in enumerate(buffers):
        pathlib.Path(f"file.pickle.{i}").write_bytes(buffer.raw())
    found = reader.value(data, "buffers")
    for a, value in zip(arrays, found[2:]):
        if value[0] != "array" or value[2] != list(a.shape) or value[4] != a.tobytes("C").hex():
            sys.exit(f"out of band: {value} for {a}")
    check("no buffers", reader.value(data)[:2], ["error", "unsupported"])


# --- joblib ----------------------------------------------------------------------------------------------------------

def check_joblib(reader):
    if joblib is None:
        print("no joblib")
        return
    compressors = [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("lzma", 1), ("xz", 1)]
    try:
        import lz4.frame  # noqa: F401
        compressors.append(("lz4", 0))
    except ImportError:
        pass
    for name, sample in [*plain_samples(), *array_samples()]:
        for index, part in enumerate(sample if type(sample) is list else [sample]):
            for protocol in range(6):
                if name == "globals" and protocol < 4:
                    continue
                joblib.dump(part, "file.joblib", protocol=protocol)
                for mode in ("read", "map"):
                    check(f"joblib {name} {index}, protocol {protocol}, {mode}",
                          reader.ask("file.joblib", mode), expected(part))
    model = {
    "weights": numpy.arange(1000.0).reshape(
        20, 50), "bias": numpy.asfortranarray(
            numpy.ones(
                (3, 4), "f4")), "names": numpy.array(
                    [
                        "a", None], dtype=object), "big": numpy.arange(
                            9, dtype=">i8"), "n": 3, "text": "abc" * 100}
    for compress in compressors:
        joblib.dump(model, "file.joblib", compress=compress)
        check(f"joblib {compress}", reader.ask("file.joblib"), expected(model))
    # An array is stored twice, as joblib itself reads it.
    joblib.dump([model["bias"]] * 2, "file.joblib")
    check("joblib twice", reader.ask("file.joblib"), expected([model["bias"]] * 2))
    with open("file.joblib", "wb") as file:
        joblib.dump(model, file)
        joblib.dump([1, 2], file)
    check("joblib in a row", reader.ask("file.joblib", "all"), [expected(model), expected([1, 2]), None])
    check("two for one", reader.ask("file.joblib")[:2], ["error", "malformed"])
    if hasattr(numpy, "dtypes") and hasattr(numpy.dtypes, "StringDType"):  # pickled as objects are
        joblib.dump([numpy.array(["a", "bc"], numpy.dtypes.StringDType()), 7], "file.joblib")
        found = reader.ask("file.joblib")
        check("joblib strings", [found[0], found[2][0], found[3]], ["sequence", "typed", ["integer", 7]])
    joblib.dump(numpy.matrix([[1.0, 2.0]]), "file.joblib")
    found = json.dumps(reader.ask("file.joblib"))
    for part in (array_value(numpy.array([[1.0, 2.0]])), text("numpy.matrix")):
        if json.dumps(part) not in found:
            sys.exit(f"joblib matrix: {found}")


def check_legacy(reader):
    """Files as joblib before 0.10 wrote them, made by hand."""
    def zfile(data):
        return b"ZF" + hex(len(data)).encode().ljust(19) + zlib.compress(data)
    sample = {"a": numpy.arange(5.0), "b": [1, "x"]}
    for extra in (b"", b" "):
        data = zfile(pickle.dumps(sample, 2))
        check("Z-file", reader.value(data[:21] + extra + data[21:]), expected(sample))
    data = zfile(pickle.dumps(sample, 2))
    check("Z-file with a wrong size", reader.value(data[:5] + b"f" + data[6:])[0], "error")

    class Wrapper:
        def __init__(self, name, **fields):
            self.name, self.fields = name, fields

        def __reduce__(self):
            return copyreg.__newobj__, (Class(self.name),), self.fields

    class Class:
        def __init__(self, name):
            self.name = name

    class Pickler(pickle._Pickler):
        def save(self, obj, *rest):
            if type(obj) is Class:
                self.write(b"cjoblib.numpy_pickle\n" + obj.name.encode() + b"\n")
            elif type(obj) is Wrapper:
                self.save(Class(obj.name))
                self.write(b")\x81")
                super().save(obj.fields)
                self.write(b"b")
            else:
                super().save(obj, *rest)

    def dumps(obj):
        file = io.BytesIO()
        Pickler(file, 2).dump(obj)
        return file.getvalue()
    numbers = numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3))
    objects = numpy.array([1, "a"], dtype=object)
    numpy.save("file_01.npy", numbers)
    numpy.save("file_02.npy", objects)
    pathlib.Path("file_03.npy.z").write_bytes(zfile(numbers.tobytes("F")))
    data = dumps([Wrapper("NDArrayWrapper", filename="/somewhere/else/file_01.npy", subclass=numpy.ndarray),
                  Wrapper("NDArrayWrapper", filename="file_02.npy", subclass=numpy.ndarray, allow_mmap=True),
                  Wrapper("ZNDArrayWrapper", filename="file_03.npy.z", init_args=(numpy.ndarray, (0,), b"b"),
                          state=(1, (2, 3), numpy.dtype("f8"), True))])
    for mode in ("read", "map"):
        check(f"companions, {mode}", reader.value(data, mode), expected([numbers, objects, numbers]))
    check("missing companion", reader.value(dumps(Wrapper("NDArrayWrapper",
          filename="../file_09.npy", subclass=numpy.ndarray)))[:2], ["error", "not_found"])


def check_references(reader):
    evil = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x94\x8c\x02ls\x85\x94R\x94."
    check("posix.system", reader.value(evil, "types"), [["posix.system".encode().hex(), "dangerous", 1], None])
    check("posix.system", reader.value(evil, "typesof"), [["posix.system".encode().hex(), "dangerous", 1], None])
    check("nothing runs", reader.value(evil), generic("posix.system", args=sequence([text("ls")])))
    check("up to an error", reader.value(b"cos\nsystem\n\xff", "types"), [
          ["os.system".encode().hex(), "dangerous", 1], b"malformed".hex()])
    sample = {"a": numpy.arange(5.0), "p": [Point(1, 2), Point(3, 4)], "d": datetime.date(2020, 1, 1)}
    found = reader.value(pickle.dumps(sample, 2), "types")
    risks = {bytes.fromhex(name).decode(): risk for name, risk, _ in found[:-1]}
    check("types", [risks[f"{__name__}.Point"], risks["datetime.date"], risks["numpy.dtype"]], ["code", "data", "data"])
    if joblib is not None:
        joblib.dump({"a": numpy.arange(1000.0), "o": numpy.array(
            [len, Point], dtype=object), "z": eval}, "file.joblib", compress=3)
        found = reader.ask("file.joblib", "types")
        risks = {bytes.fromhex(name).decode(): risk for name, risk, _ in found[:-1]}
        check("joblib types", [risks["builtins.eval"],
              risks[f"{__name__}.Point"], found[-1]], ["dangerous", "code", None])


def check_truncated(reader):
    sample = {"a": numpy.arange(5.0), "p": [Point(1, 2)], "s": "x" * 300, "t": (1, 2.5, None, {3})}
    for data in (pickle.dumps(sample, 0), pickle.dumps(sample, 2), pickle.dumps(sample, 5)):
        for end in range(len(data)):
            found = reader.value(data[:end])
            if found[0] != "error" or found[1] not in ("truncated", "malformed"):
                sys.exit(f"cut at {end}: {found}")


def main():
    reader = Reader()
    for part in (check_objects, check_identity, check_plain, check_arrays_otherwise, check_joblib, check_legacy,
                 check_references, check_truncated):
        part(reader)
        print(part.__name__)


if __name__ == "__main__":
    main()
