// Pickles of values: their bytes in small cases, and what is refused. pickle_load_test.py has Python read them.

#include "interop/pickle/write/pickle_writer.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "support/samples.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::Data;
using test::hex;

Data pickled(const Value& value, const PickleWriteOptions& options = {}) {
  Data bytes;
  const auto sink = memory_sink(bytes);
  write_pickle(*sink, value, options);
  return bytes;
}

Value py(const std::string& name, Value content) { return Value::make_typed("py:" + name, std::move(content)); }
Value list(std::vector<Value> items) { return Value::make_sequence(std::move(items)); }
Value tuple(std::vector<Value> items) { return py("tuple", list(std::move(items))); }
Value set(std::vector<Value> items) { return Value::make_sequence(std::move(items), Ordering::unordered); }
Value object(const std::string& name, std::vector<std::string> fields, std::vector<Value> values) {
  return py(name, Value::make_record(std::move(fields), std::move(values)));
}

/// The error of a value, which is found before a byte is written.
Error refused(const Value& value, const PickleWriteOptions& options = {}) {
  Data bytes;
  const auto sink = memory_sink(bytes);
  const Error error = test::error_of([&] { write_pickle(*sink, value, options); });
  EXPECT_TRUE(bytes.empty());
  EXPECT_EQ(test::error_of([&] { check_pickle(value, options); }).what(), std::string(error.what()));
  return error;
}

TEST(PickleWrite, BytesOfSmallValues) {
  EXPECT_EQ(pickled(nullptr), hex("8004 4e 2e"));
  EXPECT_EQ(pickled(true, {.protocol = 2}), hex("8002 88 2e"));
  EXPECT_EQ(pickled(list({255, 256, 65536, -1})), hex("8004 5d 28 4bff 4d0001 4a00000100 4affffffff 65 2e"));
  EXPECT_EQ(pickled(2147483648U), hex("8004 8a05 0000008000 2e"));
  EXPECT_EQ(pickled(-2147483649), hex("8004 8a05 ffffff7fff 2e"));
  EXPECT_EQ(pickled(UINT64_MAX), hex("8004 8a09 ffffffffffffffff00 2e"));
  EXPECT_EQ(pickled(py("int", "-0x10000000000000000")), hex("8004 8a09 0000000000000000ff 2e"));
  EXPECT_EQ(pickled(1.5F), hex("8004 47 3ff8000000000000 2e"));
  EXPECT_EQ(pickled("ab"), hex("8004 8c02 6162 2e"));
  EXPECT_EQ(pickled("ab", {.protocol = 3}), hex("8003 5802000000 6162 2e"));
  EXPECT_EQ(pickled(list({1})), hex("8004 5d 4b01 61 2e"));
  EXPECT_EQ(pickled(tuple({1, 2})), hex("8004 4b01 4b02 86 2e"));
  EXPECT_EQ(pickled(tuple({1, 2, 3, 4})), hex("8004 28 4b01 4b02 4b03 4b04 74 2e"));
  EXPECT_EQ(pickled(set({1})), hex("8004 8f 28 4b01 90 2e"));
  EXPECT_EQ(pickled(py("frozenset", set({1}))), hex("8004 28 4b01 91 2e"));
  EXPECT_EQ(pickled(Value::make_map({{1, 2}})), hex("8004 7d 4b01 4b02 73 2e"));
  // An instance, as Python writes it but for the memo.
  EXPECT_EQ(pickled(object("m.C", {"new", "args"}, {true, list({1})})),
            hex("8004 8c01 6d 94 8c01 43 93 94 4b01 85 81 2e"));
  // The same as an archive returns it.
  EXPECT_EQ(pickled(py("m.C", Value::make_map({{"new", true}, {"args", list({1})}}))),
            hex("8004 8c01 6d 94 8c01 43 93 94 4b01 85 81 2e"));
}

TEST(PickleWrite, NamesAreWrittenOnce) {
  const Value record = Value::make_record({"name"}, {1});
  EXPECT_EQ(pickled(list({record, record, Value::make_map({{"name", 2}})})),
            hex("8004 5d 28  7d 8c04 6e616d65 94 4b01 73  7d 6800 4b01 73  7d 6800 4b02 73  65 2e"));
}

TEST(PickleWrite, ObjectsThatAreShared) {
  const auto anchor = Value::make_anchor(1);
  EXPECT_EQ(pickled(list({Value::make_shared(anchor, list({})), Value::make_reference(anchor)})),
            hex("8004 5d 28 5d 94 6800 65 2e"));
  // A tuple of a list of the tuple: the very bytes of Python's pickler.
  EXPECT_EQ(pickled(Value::make_shared(anchor, tuple({list({Value::make_reference(anchor)})}))),
            hex("8004 5d 94 6800 85 94 61 30 6801 2e"));
}

TEST(PickleWrite, BytesInProtocol2AreATextThatIsEncoded) {
  EXPECT_EQ(
      pickled(Value::make_bytes(hex("41ff")), {.protocol = 2}),
      hex("8002 63 5f636f64656373 0a 656e636f6465 0a 7100 5803000000 41c3bf 5806000000 6c6174696e31 7101 86 52 2e"));
}

TEST(PickleWrite, ElementsOfJoblibArraysAreAligned) {
  const Value array = AnyArray::copy_of(test::matrix(3, 5).view());
  const Bytes elements(array.array().view().data, 60);
  for (std::uint64_t position = 0; position < 130; ++position) {
    const Data bytes = pickled(list({array, "x", array}), {.joblib = true, .position = position});
    auto from = bytes.begin();
    for (int i = 0; i < 2; ++i) {
      const auto found = std::search(from, bytes.end(), elements.begin(), elements.end());
      ASSERT_NE(found, bytes.end());
      const auto at = static_cast<std::size_t>(found - bytes.begin());
      EXPECT_EQ((position + at) % 64, 0U);
      std::size_t fill = 0;  // a BUILD, the number of bytes and as many of them
      while (bytes[at - 1 - fill] == std::byte{0xff}) {
        ++fill;
      }
      EXPECT_EQ(bytes[at - 1 - fill], static_cast<std::byte>(fill));
      EXPECT_EQ(bytes[at - 2 - fill], static_cast<std::byte>('b'));
      from = found + 60;
    }
  }
}

TEST(PickleWrite, ValuesOfCpp) {
  EXPECT_EQ(pickled(to_value(std::optional<int>())), hex("8004 4e 2e"));
  EXPECT_EQ(pickled(to_value(std::map<std::string, double>{{"a", 1}})),
            hex("8004 7d 8c01 61 94 47 3ff0000000000000 73 2e"));
  EXPECT_EQ(pickled(to_value(std::make_tuple(std::string("a"), true))), hex("8004 5d 28 8c01 61 88 65 2e"));
  // Objects of polymorphic types keep their name.
  EXPECT_EQ(pickled(Value::make_typed("T", 1)),
            hex("8004 7d 28 8c04 74797065 94 8c01 54 94 8c05 76616c7565 94 4b01 75 2e"));
  // A set in Python holds no lists, and no item twice.
  EXPECT_EQ(pickled(set({list({1})})), hex("8004 5d 5d 4b01 61 61 2e"));
  EXPECT_EQ(pickled(set({1, 1.0})), hex("8004 5d 28 4b01 47 3ff0000000000000 65 2e"));
}

TEST(PickleWrite, WhatPythonCannotHoldIsRefusedWithItsPath) {
  const std::vector<bfloat16> halves(2);
  const AnyArray brain = AnyArray::copy_of(ArrayView(element_dtype<bfloat16>(), halves.data(), 2));
  Error error = refused(Value::make_record({"layers"}, {list({1, Value::make_map({{"w", Value(brain)}})})}));
  EXPECT_EQ(error.code(), Errc::unsupported);
  EXPECT_EQ(error.path(), "layers/1/w");
  EXPECT_NE(error.message().find("bfloat16"), std::string::npos);
  const DType record = DType::record({{"a", DType::Kind::float8_e5m2, 0}}, 1);
  EXPECT_EQ(refused(AnyArray::copy_of(ArrayView(record, halves.data(), 2)), {.joblib = true}).code(),
            Errc::unsupported);

  error = refused(list({Value::make_map({{"a", 1}, {list({}), 2}})}));
  EXPECT_EQ(error.code(), Errc::unsupported);
  EXPECT_EQ(error.path(), "0/~#1");
  EXPECT_EQ(refused(Value::make_map({{tuple({tuple({set({})})}), 2}})).code(), Errc::unsupported);
  EXPECT_EQ(refused(py("set", list({list({})}))).code(), Errc::unsupported);
  EXPECT_EQ(refused(Value::make_map({{py("set", list({})), 1}})).code(), Errc::unsupported);
  EXPECT_EQ(refused(tuple({py("frozenset", set({list({})}))})).path(), "0");

  error = refused(to_value(std::multimap<std::string, int>{{"a", 1}, {"b", 2}, {"b", 3}}));
  EXPECT_EQ(error.code(), Errc::duplicate_field);
  EXPECT_EQ(error.path(), "~#2");
  for (const auto& [one, other] :
       std::vector<std::pair<Value, Value>>{{1, 1.0},
                                            {true, 1},
                                            {0.0, -0.0},
                                            {1.5F, 1.5},
                                            {tuple({1, "a"}), tuple({true, "a"})},
                                            {py("frozenset", set({1, 2})), py("frozenset", set({2, 1}))},
                                            {std::uint64_t{1} << 63, 0x1p63}}) {
    EXPECT_EQ(refused(Value::make_map({{one, 1}, {other, 2}})).code(), Errc::duplicate_field);
  }
  for (const auto& [one, other] :
       std::vector<std::pair<Value, Value>>{{1, "1"},
                                            {"a", Value::make_bytes(hex("61"))},
                                            {NAN, NAN},
                                            {tuple({1}), tuple({2})},
                                            {tuple({1}), 1},
                                            {object("m.C", {"new"}, {true}), object("m.C", {"new"}, {true})},
                                            {-1, std::uint64_t{0}}}) {
    EXPECT_FALSE(pickled(Value::make_map({{one, 1}, {other, 2}})).empty());
  }
  EXPECT_EQ(refused(Value::make_record({"a", "a"}, {1, 2})).code(), Errc::duplicate_field);
  EXPECT_EQ(refused(Value::make_record({"@version"}, {1}, 2)).code(), Errc::duplicate_field);

  const auto anchor = Value::make_anchor(1);
  error = refused(list({Value::make_reference(anchor)}));
  EXPECT_EQ(error.code(), Errc::not_found);
  EXPECT_EQ(error.path(), "0");
  EXPECT_EQ(refused(Value::make_shared(anchor, tuple({Value::make_reference(anchor)}))).code(), Errc::unsupported);
  EXPECT_EQ(refused(Value::make_shared(anchor, Value::make_reference(anchor))).code(), Errc::unsupported);
  EXPECT_EQ(
      refused(Value::make_shared(anchor, object("m.f", {"args"}, {list({Value::make_reference(anchor)})}))).path(),
      "args/0/args/0");
}

TEST(PickleWrite, ValuesThatStandForNothingInPython) {
  for (const Value& value : {py("int", "12"),
                             py("int", "0x"),
                             py("int", "0xg"),
                             py("int", 1),
                             py("str", Value::make_bytes(hex("ff"))),
                             py("str", Value::make_bytes(hex("eda0"))),
                             py("tuple", 1),
                             py("frozenset", Value::make_map({})),
                             py("set", 1),
                             py("", 1),
                             py("unknown", Value::make_record({}, {})),
                             py("global", "name"),
                             py("global", "module."),
                             py("extension", 0),
                             py("extension", -1),
                             py("numpy.generic", AnyArray::copy_of(test::matrix(1, 1).view())),
                             py("numpy.dtype", "x; y"),
                             py("numpy.dtype", ""),
                             py("numpy.dtype", "|"),
                             py("numpy.dtype", "|V"),
                             py("numpy.object_array", 1),
                             py("bytearray", "a"),
                             object("m.C", {"state", "other"}, {1, 2}),
                             object("m.C", {"state", "state"}, {1, 2}),
                             object("m.C", {"args"}, {1}),
                             object("m.C", {"items"}, {1}),
                             py("m.C", Value::make_map({{1, 2}})),
                             object("m.C", {"new"}, {1}),
                             object("m.C", {"kwargs"}, {Value::make_map({})}),
                             object("m.C", {"new", "kwargs"}, {true, 1}),
                             object("m.C", {"callable"}, {py("global", "m.f")}),
                             object("call", {}, {}),
                             object("m.C", {"state", "states"}, {1, list({})})}) {
    EXPECT_EQ(refused(list({value})).code(), Errc::invalid_argument) << value.content().size() << value.type_name();
  }
  EXPECT_EQ(refused(list({1, py("global", "name")})).path(), "1");
}

TEST(PickleWrite, Protocols) {
  for (const unsigned protocol : {0U, 1U, 6U}) {
    EXPECT_EQ(refused(1, {.protocol = protocol}).code(), Errc::invalid_argument);
  }
  EXPECT_EQ(refused(py("global", "a\nb.c"), {.protocol = 3}).code(), Errc::unsupported);
  EXPECT_FALSE(pickled(py("global", "a\nb.c")).empty());
}

TEST(PickleWrite, DeepValues) {
  Value value = 1;
  for (int i = 0; i < 100'000; ++i) {
    value = i % 2 == 0 ? list({std::move(value)}) : tuple({std::move(value)});
  }
  EXPECT_EQ(pickled(value).size(), 2 + 2 + 2 * 50'000 + 50'000 + 1U);
  Value key = 1;
  for (int i = 0; i < 100'000; ++i) {
    key = tuple({std::move(key)});
  }
  EXPECT_EQ(pickled(Value::make_map({{key, 1}})).size(), 2 + 1 + 2 + 100'000 + 2 + 1 + 1U);
  Value frozen = 1;
  for (int i = 0; i < 100'000; ++i) {
    frozen = py("frozenset", set({std::move(frozen)}));
  }
  EXPECT_EQ(pickled(frozen).size(), 2 + 100'000 + 2 + 100'000 + 1U);
}

TEST(PickleWrite, SharedTuplesThatHoldEachOtherTakeTimeInProportion) {
  std::vector<Value> items{Value::make_shared(Value::make_anchor(0), tuple({1, 2}))};
  for (std::uint64_t i = 1; i < 1000; ++i) {  // 2^1000 if each were followed
    const Value below = Value::make_reference(items.back().anchor());
    items.push_back(Value::make_shared(Value::make_anchor(i), tuple({below, below})));
  }
  const Value last = Value::make_reference(items.back().anchor());
  items.push_back(Value::make_map({{last, 1}}));
  items.push_back(set({last, tuple({last, last})}));
  EXPECT_LT(pickled(list(items)).size(), 20'000U);
}

TEST(PickleWrite, AnErrorOfTheSinkHasNoPath) {
  test::PipeSink sink(1);
  const Error error = test::error_of([&] { write_pickle(sink, list({list({"abc"})})); });
  EXPECT_EQ(error.code(), Errc::io);
  EXPECT_EQ(error.path(), "");
}

}  // namespace
}  // namespace stele
