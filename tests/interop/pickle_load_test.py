#!/usr/bin/env python3
"""Python's pickle and joblib read what stele writes: every kind of value, in every protocol, mapped too.

A program makes values and writes each as a pickle and as a file of joblib.
"""

import collections
import copyreg
import datetime
import decimal
import enum
import fractions
import functools
import importlib.util
import io
import itertools
import os
import pathlib
import pickle
import pickletools
import subprocess
import sys
import warnings

from build_program import SOURCE_DIR, Compiler, skip

try:
    import numpy as np
except ImportError:
    skip("no NumPy")
try:
    import joblib
except ImportError:
    joblib = None

PROGRAM = r"""
#include <cmath>
#include <cstring>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include <stele/stele.hpp>

#include "interop/pickle/write/pickle_writer.hpp"

using namespace stele;
using Values = std::vector<Value>;
using Fields = std::vector<std::pair<std::string, Value>>;

static Value py(const std::string& name, Value content) { return Value::make_typed("py:" + name, std::move(content)); }
static Value list(Values items) { return Value::make_sequence(std::move(items)); }
static Value tuple(Values items) { return py("tuple", list(std::move(items))); }
static Value set(Values items) { return Value::make_sequence(std::move(items), Ordering::unordered); }
static Value record(Fields fields, std::uint32_t version = 0) {
  std::vector<std::string> names;
  Values values;
  for (auto& [name, value] : fields) {
    names.push_back(name);
    values.push_back(value);
  }
  return Value::make_record(names, values, version);
}
static Value object(const std::string& name, Fields fields) { return py(name, record(std::move(fields))); }
static Value global(const std::string& name) { return py("global", name); }
static Value dict(std::vector<Value::Entry> entries) { return Value::make_map(std::move(entries)); }
static Value bytes(const std::string& text) { return Value::make_bytes(std::as_bytes(std::span(text))); }
static Value shared(const Value::Anchor& anchor, Value content) {
  return Value::make_shared(anchor, std::move(content));
}
static Value reference(const Value::Anchor& anchor) { return Value::make_reference(anchor); }

/// Elements that count up, as they lie in memory.
static AnyArray raw(const DType& dtype, const Shape& shape, Order order, int step = 1) {
  const ArrayView view(dtype, nullptr, shape, order);
  auto buffer = Buffer::allocate(view.byte_count());
  for (std::size_t i = 0; i < buffer->size(); ++i) {
    buffer->mutable_data()[i] = static_cast<std::byte>(step * i % 100);
  }
  return AnyArray(ArrayView(dtype, buffer->data(), shape, order), buffer);
}
template <class T>
static AnyArray array(const std::vector<T>& values, const Shape& shape, Order order = Order::row_major) {
  return AnyArray::copy_of(ArrayView(element_dtype<T>(), values.data(), shape, order));
}
static std::vector<double> up_to(int count) {
  std::vector<double> values;
  for (int i = 0; i < count; ++i) {
    values.push_back(i);
  }
  return values;
}

static std::map<std::string, std::function<Value()>> samples() {
  std::map<std::string, std::function<Value()>> all;
  all["scalars"] = [] {
    return list({nullptr,
                 true,
                 false,
                 0,
                 1,
                 255,
                 256,
                 65535,
                 65536,
                 2147483647,
                 2147483648,
                 -1,
                 -2147483648,
                 -2147483649,
                 INT64_MIN,
                 INT64_MAX,
                 UINT64_MAX,
                 Value(Number{Number::Type::negative, UINT64_MAX}),
                 0.0,
                 -0.0,
                 1.5,
                 1.5f,
                 float16(0.25f),
                 std::numeric_limits<double>::infinity(),
                 "",
                 "text",
                 "\xc3\xa4",
                 std::string(255, 'a'),
                 std::string(256, 'b'),
                 std::string(70000, 'c'),
                 bytes(""),
                 bytes(std::string("\0\x80\xff", 3)),
                 bytes(std::string(300, '\xfe')),
                 bytes(std::string(700000, '\x81'))});
  };
  all["nan"] = [] { return std::numeric_limits<double>::quiet_NaN(); };
  all["big_integers"] = [] {
    Values values;
    for (const char* text : {"0x10000000000000000", "-0x10000000000000001", "0x8000000000000000", "-0x8000000000000000",
                             "0x7f", "0x80", "-0x80", "-0x81", "0xff00", "0x0", "-0x1"}) {
      values.push_back(py("int", text));
    }
    values.push_back(py("int", "0x" + std::string(1000, 'f')));
    values.push_back(py("int", "-0x1" + std::string(2000, '0')));
    return list(values);
  };
  all["surrogates"] = [] { return py("str", bytes("a\xed\xa0\x80\xc3\xa4")); };
  all["containers"] = [] {
    return list({list({}),
                 tuple({}),
                 tuple({1}),
                 tuple({1, 2}),
                 tuple({1, 2, 3}),
                 tuple({1, 2, 3, 4}),
                 dict({}),
                 dict({{"a", 1}}),
                 dict({{1, "x"}, {tuple({1, "b"}), list({2})}}),
                 record({{"x", 1}, {"y", nullptr}}),
                 record({{"x", 1}}, 3),
                 set({}),
                 set({1, "a", bytes("b"), nullptr, 2.5, tuple({1, 2})}),
                 py("frozenset", set({1, 2})),
                 set({py("frozenset", set({1})), py("frozenset", set({}))}),
                 set({list({1})}),
                 set({1, 1}),
                 py("set", list({1, 2})),
                 py("set", list({})),
                 py("bytearray", bytes("ab")),
                 py("bytearray", bytes("")),
                 Value::make_typed("Circle", record({{"radius", 1}}))});
  };
  for (const int count : {1, 999, 1000, 1001, 2000, 2001}) {
    all["many" + std::to_string(count)] = [count] {
      Values items;
      std::vector<Value::Entry> entries;
      std::vector<std::string> names;
      for (int i = 0; i < count; ++i) {
        items.push_back(i);
        entries.emplace_back("key" + std::to_string(i), i);
        names.push_back("key" + std::to_string(i));
      }
      return list({list(items), dict(entries), Value::make_record(names, items), set(items),
                   py("frozenset", set(items)), tuple(items)});
    };
  }
  all["repeated_names"] = [] {
    Values items;
    for (int i = 0; i < 5000; ++i) {
      items.push_back(record({{"a_rather_long_name", i}, {"another_long_name", "x"}}));
      items.push_back(dict({{"a_rather_long_name", i}}));
    }
    return list(items);
  };
  all["deep"] = [] {
    Value value = 7;
    for (int i = 0; i < 20000; ++i) {
      value = i % 3 == 0   ? list({std::move(value)})
              : i % 3 == 1 ? dict({{"k", std::move(value)}})
                           : tuple({std::move(value)});
    }
    return value;
  };
  all["arrays"] = [] {
    using K = DType::Kind;
    std::vector<Value::Entry> entries;
    const auto add = [&](const std::string& name, AnyArray value) {
      entries.emplace_back(name, Value(std::move(value)));
    };
    for (const K kind : {K::boolean, K::int8, K::int16, K::int32, K::int64, K::uint8, K::uint16, K::uint32, K::uint64,
                         K::float16, K::float32, K::float64, K::complex64, K::complex128}) {
      add(DType(kind).name(), raw(kind, {3, 5}, Order::row_major, kind == K::boolean ? 0 : 1));
    }
    add("S3", raw(DType::fixed_bytes(3), {4}, Order::row_major));
    AnyArray text = raw(DType::fixed_utf32(2), {2}, Order::row_major, 0);
    std::memcpy(text.buffer()->mutable_data(), U"abc", 12);
    add("U2", text);
    add("M8[ns]", raw(DType::time_point({TimeUnit::Base::nanosecond, 1}), {2}, Order::row_major));
    add("M8[25us]", raw(DType::time_point({TimeUnit::Base::microsecond, 25}), {2}, Order::row_major));
    add("m8[D]", raw(DType::duration({TimeUnit::Base::day, 1}), {2}, Order::row_major));
    add("m8", raw(DType::duration({}), {2}, Order::row_major));
    const DType inner = DType::record({{"q", DType::fixed_utf32(1)}, {"r", K::float32, 4}}, 8);
    add("record", raw(DType::record({{"a", K::float32, 4},
                                     {"b", K::int16, 8, 3},
                                     {"c", DType::time_point({TimeUnit::Base::nanosecond, 1}), 16},
                                     {"d", inner, 24, 2},
                                     {"e", inner, 40}},
                                    50),
                      {3}, Order::row_major, 0));
    add("fortran", array(up_to(6), {2, 3}, Order::column_major));
    add("cube", array(up_to(24), {2, 3, 4}));
    add("zero_d", array(up_to(1), {}));
    add("empty", array(up_to(0), {0, 3}));
    const AnyArray whole = array(up_to(24), {4, 6});
    ArrayView part = whole.view();
    part.shape = {4, 3};
    part.strides[1] *= 2;
    entries.emplace_back("strided", Value(AnyArray(part, whole.buffer())));
    part = whole.view();
    part.data += 23 * 8;
    part.strides[0] *= -1;
    part.strides[1] *= -1;
    entries.emplace_back("reversed", Value(AnyArray(part, whole.buffer())));
    entries.emplace_back("same_buffer", Value(whole));
    const AnyArray large = array(up_to(400000), {400, 1000});
    part = large.view();
    part.shape = {400, 999};
    entries.emplace_back("large_strided", Value(AnyArray(part, large.buffer())));
    entries.emplace_back("large", Value(large));
    const auto anchor = Value::make_anchor(1);
    entries.emplace_back("shared", shared(anchor, array(up_to(10), {10})));
    entries.emplace_back("shared_again", reference(anchor));
    entries.emplace_back("after", "the end");
    return dict(entries);
  };
  all["no_archive_has"] = [] {
    return list({raw(DType::fixed_bytes(0), {4}, Order::row_major), raw(DType::record({}, 4), {2}, Order::row_major)});
  };
  all["numpy"] = [] {
    const std::vector<double> pair = {1.5, -2};
    Values objects;
    for (int i = 0; i < 6; ++i) {
      objects.push_back(i);
    }
    const auto shape = [](std::vector<std::uint64_t> extents) { return Value(array(extents, {extents.size()})); };
    return list(
        {AnyArray::copy_of(ArrayView(DType::Kind::complex128, pair.data(), Shape{}, Order::row_major)),
         py("numpy.generic", array(std::vector<float>{1.5F}, {})),
         py("numpy.generic", AnyArray::copy_of(ArrayView(DType::time_point({TimeUnit::Base::day, 1}), pair.data(),
                                                         Shape{}, Order::row_major))),
         py("numpy.dtype", "<f8"), py("numpy.dtype", ">i4"), py("numpy.dtype", "|O"), py("numpy.dtype", "<M8[ns]"),
         py("numpy.dtype", ">M8[D]"), py("numpy.dtype", "|V3"), py("numpy.dtype", "<f16"), py("numpy.dtype", "|S2"),
         py("numpy.dtype", "[('a', '>f4'), ('', '|V4'), ('b', '<i2', (3,))]"),
         py("numpy.object_array", record({{"shape", shape({2, 3})}, {"order", "C"}, {"items", list(objects)}})),
         py("numpy.object_array", record({{"shape", shape({2, 3})}, {"order", "F"}, {"items", list(objects)}})),
         py("numpy.object_array", record({{"shape", shape({})}, {"order", "C"}, {"items", list({"one"})}})),
         dict({{array(std::vector<float>{2.5F}, {}), "scalar"}}),
         object("numpy.core.multiarray._reconstruct",
                {{"args", list({global("numpy.matrix"), tuple({0}), bytes("b")})},
                 {"state", tuple({1, tuple({2, 3}), py("numpy.dtype", "<f8"), true,
                                  array(up_to(6), {2, 3}, Order::column_major)})}}),
         object("numpy._core.multiarray._reconstruct",  // the state of old versions
                {{"args", list({global("numpy.matrix"), tuple({0}), bytes("b")})},
                 {"state", tuple({tuple({1, 2}), py("numpy.dtype", "<f8"), false, array(up_to(2), {1, 2})})}}),
         object("numpy.ma.core._mareconstruct",
                {{"args", list({global("numpy.ma.core.MaskedArray"), global("numpy.ndarray"), tuple({0}), bytes("b")})},
                 {"state", tuple({1, tuple({2}), py("numpy.dtype", "<f8"), false, array(up_to(2), {2}),
                                  bytes(std::string("\0\1", 2)), array(up_to(1), {})})}})});
  };
  all["sharing"] = [] {
    const auto a = Value::make_anchor(1), b = Value::make_anchor(2), c = Value::make_anchor(3),
               d = Value::make_anchor(4);
    return list({shared(a, list({1})), reference(a), shared(b, tuple({1, 2})), reference(b),
                 shared(c, std::string(100, 't')), reference(c), shared(d, dict({})), reference(d),
                 shared(Value::make_anchor(5), reference(a))});
  };
  all["cyclic_list"] = [] {
    const auto a = Value::make_anchor(1);
    return shared(a, list({1, reference(a)}));
  };
  all["cyclic_dict"] = [] {
    const auto a = Value::make_anchor(1);
    return shared(a, dict({{"self", reference(a)}}));
  };
  for (const int count : {1, 3, 4}) {
    all["cyclic_tuple" + std::to_string(count)] = [count] {
      const auto a = Value::make_anchor(1);
      Values items(static_cast<std::size_t>(count), 5);
      items[0] = list({reference(a), list({reference(a)})});
      return shared(a, tuple(items));
    };
  }
  all["cyclic_tuples"] = [] {
    const auto a = Value::make_anchor(1), b = Value::make_anchor(2);
    return shared(a, tuple({shared(b, tuple({dict({{"a", reference(a)}, {"b", reference(b)}})})), reference(b)}));
  };
  all["cyclic_frozenset"] = [] {
    const auto a = Value::make_anchor(1);
    return shared(
        a, py("frozenset", set({object("__main__.Plain", {{"new", true}, {"state", dict({{"set", reference(a)}})}})})));
  };
  all["cyclic_set"] = [] {
    const auto a = Value::make_anchor(1);
    return shared(a, set({object("__main__.Plain", {{"new", true}, {"state", dict({{"set", reference(a)}})}})}));
  };
  all["cyclic_object"] = [] {
    const auto a = Value::make_anchor(1);
    return shared(a, object("__main__.Plain", {{"new", true}, {"state", dict({{"me", reference(a)}})}}));
  };
  all["cyclic_argument"] = [] {  // the object is an item of a list in its own arguments
    const auto a = Value::make_anchor(1);
    return shared(a, object("__main__.Holder", {{"args", list({list({reference(a)})})}, {"state", dict({{"n", 1}})}}));
  };
  all["cyclic_objects"] = [] {
    const auto a = Value::make_anchor(1);
    const Value shape = array(std::vector<std::uint64_t>{2}, {1});
    return shared(
        a, py("numpy.object_array", record({{"shape", shape}, {"order", "C"}, {"items", list({reference(a), 1})}})));
  };
  all["objects"] = [] {
    const Value deque = object("collections.deque", {{"args", list({tuple({}), 5})}, {"items", list({1, 2})}});
    return list({
        object("__main__.Plain", {{"new", true}, {"state", dict({{"x", 1}})}}),
        object("__main__:Outer.Inner", {{"new", true}, {"state", dict({{"x", 2}})}}),
        object("__main__.WithSlots", {{"new", true}, {"state", tuple({nullptr, dict({{"a", 1}})})}}),
        object("__main__.Keywords", {{"new", true}, {"args", list({1})}, {"kwargs", dict({{"b", 2}})}}),
        object("__main__.Keywords", {{"new", true}, {"kwargs", dict({{"a", 3}, {"b", 4}})}}),
        object("__main__.Point", {{"new", true}, {"args", list({1, 2})}}),
        object("__main__.Color", {{"args", list({2})}}),
        object("__main__.Data", {{"new", true}, {"state", dict({{"name", "n"}, {"values", list({1})}})}}),
        object("collections.OrderedDict", {{"entries", dict({{"b", 1}, {"a", 2}})}}),
        object("collections.defaultdict",
               {{"args", list({global("builtins.list")})}, {"entries", dict({{"k", list({1})}})}}),
        object("collections.Counter", {{"args", list({dict({{"a", 2}})})}}),
        deque,
        object("datetime.datetime", {{"args", list({bytes(std::string("\x07\xe4\x01\x02\x03\x04\x05\0\0\x06", 10))})}}),
        object("decimal.Decimal", {{"args", list({"1.50"})}}),
        object("fractions.Fraction", {{"args", list({"3/4"})}}),
        object("builtins.slice", {{"args", list({1, nullptr, 2})}}),
        object("builtins.range", {{"args", list({0, 5, 1})}}),
        object("functools.partial",
               {{"args", list({global("builtins.int")})},
                {"state", tuple({global("builtins.int"), tuple({}), dict({{"base", 2}}), nullptr})}}),
        object("call", {{"callable", object("functools.partial", {{"args", list({global("builtins.int")})},
                                                                  {"state", tuple({global("builtins.int"), tuple({}),
                                                                                   dict({{"base", 2}}), nullptr})}})},
                        {"args", list({"101"})}}),
        object("__main__.MyList", {{"new", true}, {"items", list({1, 2, 3})}, {"state", dict({{"note", "n"}})}}),
        object("__main__.MyDict", {{"new", true}, {"entries", dict({{"a", 1}})}}),
        object("__main__.Twice", {{"new", true}, {"states", list({dict({{"x", 1}}), dict({{"y", 2}})})}}),
        global("builtins.len"),
        global("__main__:Outer.Inner"),
        global("__builtin__.xrange"),
        object("copy_reg._reconstructor",
               {{"args", list({global("__main__.Plain"), global("__builtin__.object"), nullptr})}}),
        object("collections.deque", {{"args", list({list({1})})}}),
        set({object("__main__.Color", {{"args", list({1})}}), object("decimal.Decimal", {{"args", list({"2"})}})}),
        dict({{object("__main__.Color", {{"args", list({1})}}), 1}}),
    });
  };
  all["extension"] = [] { return py("extension", 250); };
  all["persistent"] = [] { return list({py("persistent", tuple({"storage", 1})), py("persistent", "x")}); };
  all["refused"] = [] { return array(std::vector<bfloat16>{bfloat16(1.0F)}, {1}); };
  all["floats"] = [] {  // for the time it takes
    std::vector<Value::Entry> entries;
    for (int i = 0; i < 1000000; ++i) {
      entries.emplace_back("key" + std::to_string(i), i * 0.5);
    }
    return dict(entries);
  };
  all["strings"] = [] {
    Values items;
    for (int i = 0; i < 1000000; ++i) {
      items.push_back("string" + std::to_string(i));
    }
    return list(items);
  };
  return all;
}

// Arguments: protocol, 1 for joblib, position, codec, a folder, names of samples; each becomes a file of its name. Exit
// code 3: this build lacks the codec.
int main(int count, char** arguments) {
  try {
    PickleWriteOptions options;
    options.protocol = static_cast<unsigned>(std::stoul(arguments[1]));
    options.joblib = arguments[2] == std::string("1");
    options.position = std::stoull(arguments[3]);
    const Codecs codecs;
    const Codec* const codec = codecs.find(arguments[4]);
    if (codec == nullptr && arguments[4] != std::string("plain")) {
      return 3;
    }
    for (int i = 6; i < count; ++i) {
      const Value value = samples().at(arguments[i])();
      const auto file = file_sink(std::string(arguments[5]) + "/" + arguments[i]);
      const auto compressed = codec == nullptr ? nullptr : compressing_sink(*file, *codec, std::nullopt);
      Sink& sink = compressed == nullptr ? *file : *compressed;
      const std::string before(options.position, 'x');
      sink.write(std::as_bytes(std::span(before)));
      write_pickle(sink, value, options);
      if (compressed != nullptr) {
        compressed->close();
      }
      file->close();
    }
  } catch (const Error& error) {
    std::cerr << to_string(error.code()) << ": " << error.what() << '\n';
    return 1;
  }
}
"""


class Plain:
    pass


class Outer:
    class Inner:
        pass


class WithSlots:
    __slots__ = ("a",)


class Keywords:
    def __new__(cls, a, b):
        self = object.__new__(cls)
        self.sum = (a, b)
        return self


class Holder:
    def __init__(self, items):
        self.items = items


class MyList(list):
    pass


class MyDict(dict):
    pass


class Twice:
    pass


class Data:
    pass


Point = collections.namedtuple("Point", "x y")


class Color(enum.Enum):
    red = 1
    green = 2


def same(a, b):
    """Equal, and of the same types."""
    return type(a) is type(b) and (a == b) is True


def check_scalars(value):
    expected = [None, True, False, 0, 1, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -1, -2**31, -2**31 - 1, -2**63,
                2**63 - 1,
                2**64 - 1, -2**64, 0.0, -0.0, 1.5, 1.5, 0.25, float("inf"), "", "text", "ä", "a" * 255, "b" * 256,
                "c" * 70000, b"", b"\0\x80\xff", b"\xfe" * 300, b"\x81" * 700000]
    assert len(value) == len(expected)
    for a, b in zip(value, expected):
        assert same(a, b), (a, b)
    assert str(value[19]) == "-0.0"


def check_big_integers(value):
    assert value == [2**64, -2**64 - 1, 2**63, -2**63, 127, 128, -128, -129, 0xff00, 0, -1, int("f" * 1000, 16),
                     -int("1" + "0" * 2000, 16)]


def check_containers(value):
    expected = [[], (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {}, {"a": 1}, {1: "x", (1, "b"): [2]}, {"x": 1,
                "y": None},
                {"@version": 3, "x": 1}, set(), {1, "a", b"b", None, 2.5, (1, 2)}, frozenset({1, 2}),
                {frozenset({1}), frozenset()}, [[1]], [1, 1], {1, 2}, set(), bytearray(b"ab"), bytearray(),
                {"type": "Circle", "value": {"radius": 1}}]
    assert len(value) == len(expected)
    for a, b in zip(value, expected):
        assert same(a, b), (a, b)


def check_many(count, value):
    items = list(range(count))
    names = {f"key{i}": i for i in items}
    assert value == [items, names, names, set(items), frozenset(items), tuple(items)]
    assert list(value[1]) == list(names)


def check_deep(value):
    depth = 0
    while value != 7:
        value = value["k"] if isinstance(value, dict) else value[0]
        depth += 1
    assert depth == 20000


def elements(dtype, shape, step=1):
    size = int(np.prod(shape)) * dtype.itemsize
    return np.frombuffer(bytes(step * i % 100 for i in range(size)), dtype=dtype).reshape(shape)


INNER = np.dtype([("q", "<U1"), ("r", "<f4")])
RECORD = np.dtype({"names": ["a", "b", "c", "d", "e"],
                   "formats": ["<f4", ("<i2", (3,)), "<M8[ns]", (INNER, (2,)), INNER],
                   "offsets": [4, 8, 16, 24, 40], "itemsize": 50})


def check_arrays(value):
    expected = {}
    for name in ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
                 "float64", "complex64", "complex128"):
        expected[name] = elements(np.dtype(name), (3, 5), 0 if name == "bool" else 1)
    expected["S3"] = elements(np.dtype("S3"), (4,))
    expected["U2"] = np.array(["ab", "c"])
    for code in ("M8[ns]", "M8[25us]", "m8[D]", "m8"):
        expected[code] = elements(np.dtype(code), (2,))
    expected["record"] = np.zeros(3, RECORD)
    expected["fortran"] = np.arange(6.0).reshape((2, 3), order="F")
    expected["cube"] = np.arange(24.0).reshape(2, 3, 4)
    expected["zero_d"] = np.array(0.0)
    expected["empty"] = np.zeros((0, 3))
    whole = np.arange(24.0).reshape(4, 6)
    expected["strided"] = whole[:, ::2]
    expected["reversed"] = whole[::-1, ::-1]
    expected["same_buffer"] = whole
    expected["large"] = np.arange(400000.0).reshape(400, 1000)
    expected["large_strided"] = expected["large"][:, :999]
    expected["shared"] = expected["shared_again"] = np.arange(10.0)
    for name, array in expected.items():
        found = value[name]
        assert isinstance(found, np.ndarray), name
        assert found.dtype == array.dtype, (name, found.dtype, array.dtype)
        assert found.shape == array.shape, name
        assert found.tobytes() == array.tobytes(), (name, found, array)
        assert np.dtype(found.dtype.descr if name != "record" else found.dtype).itemsize == array.dtype.itemsize
    assert value["record"].dtype.fields["b"][0].shape == (3,) and value["record"].dtype.itemsize == 50
    for found, wanted in ((value["record"].dtype, RECORD), (value["record"].dtype["b"], RECORD["b"]),
                          (value["record"].dtype["d"], RECORD["d"]), (value["record"].dtype["e"], INNER),
                          (value["U2"].dtype, np.dtype("U2")), (value["M8[25us]"].dtype, np.dtype("M8[25us]"))):
        assert found.__reduce__() == wanted.__reduce__(), (found.__reduce__(), wanted.__reduce__())
    assert value["fortran"].flags.f_contiguous and not value["fortran"].flags.c_contiguous
    assert value["shared"] is value["shared_again"]
    assert value["after"] == "the end"


def check_no_archive_has(value):
    no_bytes, no_fields = value
    assert no_bytes.dtype == np.dtype("S0") and no_bytes.shape == (4,)  # joblib would divide by the size of an element
    assert no_fields.dtype.itemsize == 4 and no_fields.dtype.names == () and no_fields.shape == (2,)


def check_numpy(value):
    (a_complex, scalar, date, f8, i4, objects, times, days, raw, long, fixed, structured, rows, columns, single,
     keyed, matrix, old, masked) = value
    assert same(a_complex, 1.5 - 2j)
    assert type(scalar) is np.float32 and scalar == 1.5
    assert type(date) is np.datetime64 and date.dtype == np.dtype("M8[D]")
    for found, code in ((f8, "<f8"), (i4, ">i4"), (objects, "O"), (times, "M8[ns]"), (days, ">M8[D]"), (raw, "V3"),
                        (long, "<f16"), (fixed, "S2")):
        assert found.__reduce__() == np.dtype(code).__reduce__() or found.kind == "M", found
        assert found == np.dtype(code), found
    assert structured == np.dtype({"names": ["a", "b"], "formats": [">f4", ("<i2", (3,))], "offsets": [0, 8],
                                   "itemsize": 14})
    assert rows.dtype == object and rows.tolist() == [[0, 1, 2], [3, 4, 5]] and rows.flags.c_contiguous
    assert columns.dtype == object and columns.tolist() == [[0, 2, 4], [1, 3, 5]] and columns.flags.f_contiguous
    assert single.shape == () and single.item() == "one"
    assert keyed == {np.float32(2.5): "scalar"} and type(next(iter(keyed))) is np.float32
    assert type(matrix) is np.matrix and matrix.tolist() == [[0, 2, 4], [1, 3, 5]]
    assert type(old) is np.matrix and old.tolist() == [[0, 1]]
    assert type(masked) is np.ma.MaskedArray and masked.tolist() == [0.0, None] and masked.fill_value == 0.0


def check_sharing(value):
    assert value == [[1], [1], (1, 2), (1, 2), "t" * 100, "t" * 100, {}, {}, [1]]
    assert all(value[i] is value[i + 1] for i in (0, 2, 4, 6)) and value[8] is value[0]


def check_cyclic_list(value):
    assert type(value) is list and value[0] == 1 and value[1] is value


def check_cyclic_dict(value):
    assert type(value) is dict and value["self"] is value


def check_cyclic_tuple(count, value):
    assert type(value) is tuple and len(value) == count and value[0][0] is value and value[0][1][0] is value
    assert value[1:] == (5,) * (count - 1)


def check_cyclic_tuples(value):
    inner = value[0]
    assert type(value) is tuple and type(inner) is tuple and value[1] is inner
    assert inner[0]["a"] is value and inner[0]["b"] is inner


def check_cyclic_set(kind, value):
    assert type(value) is kind and len(value) == 1 and next(iter(value)).set is value


def check_cyclic_object(value):
    assert type(value) is Plain and value.me is value


def check_cyclic_argument(value):
    assert type(value) is Holder and value.items[0] is value and value.n == 1


def check_cyclic_objects(value):
    assert value.dtype == object and value[0] is value and value[1] == 1


def check_objects(value):
    (plain, inner, slots, keywords, keywords_only, point, color, data, ordered, default, counter, deque, date, number,
     fraction, a_slice, a_range, partial, called, my_list, my_dict, twice, length, inner_class, old_range,
     made_by_copyreg,
     small_deque, members, keyed) = value
    assert type(plain) is Plain and plain.x == 1
    assert type(inner) is Outer.Inner and inner.x == 2
    assert type(slots) is WithSlots and slots.a == 1
    assert keywords.sum == (1, 2) and keywords_only.sum == (3, 4)
    assert same(point, Point(1, 2)) and color is Color.green
    assert type(data) is Data and data.name == "n" and data.values == [1]
    assert same(ordered, collections.OrderedDict(b=1, a=2)) and list(ordered) == ["b", "a"]
    assert same(default, collections.defaultdict(list, k=[1])) and default.default_factory is list
    assert same(counter, collections.Counter("aa"))
    assert same(deque, collections.deque([1, 2], 5)) and deque.maxlen == 5
    assert date == datetime.datetime(2020, 1, 2, 3, 4, 5, 6)
    assert str(number) == "1.50" and same(number, decimal.Decimal("1.50")) and same(fraction, fractions.Fraction(3, 4))
    assert a_slice == slice(1, None, 2) and same(a_range, range(5))
    assert type(partial) is functools.partial and partial.func is int and partial("11") == 3 and called == 5
    assert type(my_list) is MyList and my_list == [1, 2, 3] and my_list.note == "n"
    assert type(my_dict) is MyDict and my_dict == {"a": 1}
    assert twice.x == 1 and twice.y == 2
    assert length is len and inner_class is Outer.Inner and old_range is range
    assert type(made_by_copyreg) is Plain and same(small_deque, collections.deque([1]))
    assert same(members, {Color.red, decimal.Decimal(2)}) and keyed == {Color.red: 1}


CHECKS = {
    "scalars": check_scalars,
    "nan": lambda value: value != value or sys.exit("no NaN"),
    "big_integers": check_big_integers,
    "surrogates": lambda value: same(value, "a\ud800ä") or sys.exit("other surrogates"),
    "containers": check_containers,
    **{f"many{count}": functools.partial(check_many, count) for count in (1, 999, 1000, 1001, 2000, 2001)},
    "deep": check_deep,
    "arrays": check_arrays,
    "no_archive_has": check_no_archive_has,
    "numpy": check_numpy,
    "sharing": check_sharing,
    "cyclic_list": check_cyclic_list,
    "cyclic_dict": check_cyclic_dict,
    **{f"cyclic_tuple{count}": functools.partial(check_cyclic_tuple, count) for count in (1, 3, 4)},
    "cyclic_tuples": check_cyclic_tuples,
    "cyclic_frozenset": functools.partial(check_cyclic_set, frozenset),
    "cyclic_set": functools.partial(check_cyclic_set, set),
    "cyclic_object": check_cyclic_object,
    "cyclic_argument": check_cyclic_argument,
    "cyclic_objects": check_cyclic_objects,
    "objects": check_objects,
}


class PersistentUnpickler(pickle.Unpickler):
    def persistent_load(self, pid):
        return ("loaded", pid)


class Program:
    def __init__(self):
        compiler = Compiler()
        compiler.include.append(f"-I{SOURCE_DIR / 'src'}")
        source = pathlib.Path("pickle_write.cpp")
        source.write_text(PROGRAM, encoding="utf-8")
        self.path = pathlib.Path("pickle_write").absolute()
        compiler.compile(source, self.path)

    def write(self, folder, names, protocol=4, with_joblib=False, position=0, codec="plain"):
        """The paths of the files, what the program said of an error, or None without the codec."""
        folder = pathlib.Path(folder)
        folder.mkdir(exist_ok=True)
        done = subprocess.run([self.path, str(protocol), str(int(with_joblib)), str(position), codec, folder, *names],
                              capture_output=True, text=True, check=False)
        if done.returncode == 3:
            return None
        return done.stderr if done.returncode else [folder / name for name in names]


def check_well_formed(data, protocol):
    """The opcodes end at the end of the file, are none of a later protocol, and leave one object."""
    pickletools.dis(data, out=io.StringIO())
    opcodes = list(pickletools.genops(data))
    assert max(opcode.proto for opcode, _, _ in opcodes) <= protocol
    assert opcodes[-1][2] == len(data) - 1
    assert "FRAME" not in {opcode.name for opcode, _, _ in opcodes}


def check_pickles(program):
    for protocol in (2, 3, 4, 5):
        paths = program.write(f"pickle{protocol}", CHECKS, protocol)
        assert not isinstance(paths, str), paths
        for path in paths:
            data = path.read_bytes()
            check_well_formed(data, protocol)
            for load in (pickle.loads, pickle._loads):  # in C and in Python
                CHECKS[path.name](load(data))
    names = pathlib.Path("pickle4")
    repeated = program.write(names, ["repeated_names"])[0].read_bytes()
    assert repeated.count(b"a_rather_long_name") == 1 and len(pickle.loads(repeated)) == 10000
    assert len(repeated) < 25 * 10000
    data = program.write(names, ["persistent"])[0].read_bytes()
    assert PersistentUnpickler(io.BytesIO(data)).load() == [("loaded", ("storage", 1)), ("loaded", "x")]
    copyreg.add_extension("__main__", "Plain", 250)
    assert pickle.loads(program.write(names, ["extension"])[0].read_bytes()) is Plain
    copyreg.remove_extension("__main__", "Plain", 250)
    said = program.write(names, ["refused"])
    assert isinstance(said, str) and said.startswith("unsupported: ") and "bfloat16" in said
    assert not (names / "refused").exists()


def check_joblib(program):
    for protocol in (2, 3, 4, 5):
        folder = pathlib.Path(f"joblib{protocol}")
        paths = program.write(folder, CHECKS, protocol, True)
        assert not isinstance(paths, str), paths
        for path in paths:
            for mode in (None, "r", "c"):
                value = joblib.load(path, mmap_mode=mode)
                CHECKS[path.name](value)
                if path.name == "arrays" and mode:
                    for name, array in value.items():
                        if isinstance(array, np.ndarray) and array.nbytes:
                            assert isinstance(array, np.memmap), name
                            assert array.ctypes.data % 64 == 0, name
                            assert mode == "c" or not array.flags.writeable
        # After other bytes, elements are aligned in the file.
        (path,) = program.write("joblib_later", ["arrays"], protocol, True, 1001)
        with open(path, "rb") as file:
            file.seek(1001)
            CHECKS["arrays"](joblib.load(file))
        data = path.read_bytes()
        large = np.arange(400000.0).tobytes()
        assert data.index(large) % 64 == 0
    # joblib's decompressors take a gzip file of one member only, so these are less than a block.
    for codec, names in {"zlib": ("arrays", "objects"), "gzip": ("objects", "numpy"), "bzip2": ("arrays",),
                         "lzma": ("arrays",), "xz": ("arrays",), "lz4": ("arrays",)}.items():
        if codec == "lz4" and not importlib.util.find_spec("lz4"):
            continue
        for path in program.write(f"joblib_{codec}", names, 4, True, 0, codec) or ():
            CHECKS[path.name](joblib.load(path))


def check_round_trips():
    """pickle → stele → pickle, with a command line that converts both ways: equal objects come back, sets too."""
    stele = os.environ.get("STELE_BIN")
    sources = SOURCE_DIR / "src" / "interop" / "pickle" / "pickle.hpp"
    if not stele or not sources.is_file():
        print("no round trips: the command line does not read pickles")
        return
    for name, check in CHECKS.items():
        if name in ("deep", "no_archive_has"):  # deeper than the limit; arrays that archives lack
            continue
        for protocol, target in itertools.product((2, 3, 4, 5), ("pkl", "joblib")):
            source = pathlib.Path(f"pickle{protocol}") / name
            for arguments in ((source, "there.stele"), ("there.stele", f"back.{target}")):
                subprocess.run([stele, "convert", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
            back = pathlib.Path(f"back.{target}")
            check(pickle.loads(back.read_bytes()) if target == "pkl" else joblib.load(back))


def main():
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=PendingDeprecationWarning)  # of numpy.matrix
    program = Program()
    check_pickles(program)
    if joblib:
        check_joblib(program)
    check_round_trips()
    print(f"{len(CHECKS)} values")


if __name__ == "__main__":
    main()
