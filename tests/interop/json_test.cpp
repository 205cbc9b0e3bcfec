// Values as JSON: round trips, and texts that the library never writes.

#include "interop/json.hpp"

#include <gtest/gtest.h>

#include <complex>
#include <cstring>
#include <limits>

#include "stele/describe.hpp"
#include "stele/types.hpp"
#include "stele/value.hpp"
#include "support/samples.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::bytes_of;
using test::matrix;

std::string written(const Value& value) {
  std::vector<std::byte> out;
  const std::unique_ptr<Sink> sink = memory_sink(out);
  JsonWriter writer(*sink);
  writer.value(value);
  const std::uint64_t bytes = writer.flush();
  EXPECT_EQ(bytes, out.size());
  return {reinterpret_cast<const char*>(out.data()), out.size()};
}

/// Objects at the root are plain, so the value goes into a list.
Value through_json(const Value& value) { return parse_json("[" + written(value) + "]", JsonForm::extended).at(0); }

TEST(Json, EveryValueComesBack) {
  std::vector<Value> values = {nullptr,
                               true,
                               0,
                               -1,
                               std::numeric_limits<std::int64_t>::min(),
                               std::numeric_limits<std::uint64_t>::max(),
                               Value(Number{Number::Type::negative, std::numeric_limits<std::uint64_t>::max()}),
                               0.0,
                               -0.0,
                               1.0,
                               1e300,
                               0.1,
                               1e22,
                               123456789012345680.0,
                               std::numeric_limits<double>::infinity(),
                               -std::numeric_limits<double>::infinity(),
                               Value(Number{Number::Type::float64, 0x7ff8000000000000U}),
                               Value(Number{Number::Type::float64, 0xfff8000000001234U}),
                               "",
                               "\u2028 \U0001F600",
                               Value::make_bytes({}),
                               Value::make_bytes(bytes_of("\x00\xff"))};
  values.push_back(Value::make_sequence(values));
  values.push_back(Value::make_map({{"$bytes", "no bytes"}}));
  values.push_back(Value::make_map({{"$unknown", 1}}));
  values.push_back(Value::make_map({{"$a", 1}, {"$b", 2}}));
  values.push_back(Value::make_map({{1, "one"}, {nullptr, 2}}));
  values.push_back(Value::make_map({{"twice", 1}, {"twice", 2}}));
  values.push_back(Value::make_record({"x", "y"}, {1, 2.5}, 3));
  values.push_back(Value::make_record({"$x"}, {1}));
  values.push_back(Value::make_typed("shape.Circle", Value::make_map({{"radius", 2.0}})));
  values.push_back(to_value(matrix(2, 3)));
  values.push_back(to_value(matrix(7, 3, Order::column_major)));
  values.push_back(to_value(Array<float, 2>({0, 3})));
  values.push_back(to_value(std::vector<bool>{true, false}));
  values.push_back(to_value(std::vector<std::complex<double>>{{1, 2}}));
  const Value::Anchor anchor = Value::make_anchor(5);
  values.push_back(
      Value::make_sequence({Value::make_shared(anchor, Value::make_sequence({Value::make_reference(anchor)})),
                            Value::make_reference(anchor)}));
  for (const Value& value : values) {
    EXPECT_EQ(through_json(value), value) << describe(value);
  }
  const DType record = DType::record(
      {{"id", DType::Kind::uint16, 0, 1}, {"at", DType::record({{"x", DType::Kind::float32, 4, 2}}, 16), 8, 1}}, 24);
  const std::shared_ptr<Buffer> buffer = Buffer::allocate(48);
  std::memset(buffer->mutable_data(), 7, 48);
  const Value records(AnyArray(ArrayView(record, buffer->data(), Shape{2}, Order::row_major), buffer));
  EXPECT_EQ(through_json(records), records);
}

TEST(Json, RecordsWithoutVersionBecomeObjects) {
  EXPECT_EQ(written(Value::make_record({"name", "size"}, {"x", 2.5F})), R"({"name":"x","size":2.5})");
}

TEST(Json, TextsAreEscapedWhereTheyMust) {
  EXPECT_EQ(written("a\"b\\c\n\t\r"), R"("a\"b\\c\n\t\r")");
  EXPECT_EQ(written(std::string("\x01 \0\x1f", 4)), R"("\u0001 \u0000\u001f")");
  EXPECT_EQ(written("\u00e4\u2028/\x7f"), "\"\u00e4\u2028/\x7f\"");
  std::string all;
  for (char c = 0; c < 0x7f; ++c) {
    all += c;
    all += "\u00fc";
  }
  for (const std::string& text : {all, all + "\"", std::string(200'000, '\n')}) {
    EXPECT_EQ(through_json(text).text(), text);
  }
}

TEST(Json, HostileTextIsAnError) {
  const auto parse = [](const std::string& text) { return parse_json("[" + text + "]", JsonForm::extended); };
  EXPECT_ERROR(parse_json("", JsonForm::plain), Errc::malformed, "no valid JSON");
  EXPECT_ERROR(parse_json("{\"a\":1} x", JsonForm::plain), Errc::malformed, "no valid JSON at byte");
  EXPECT_ERROR(parse_json(std::string_view("1\0 x", 4), JsonForm::plain), Errc::malformed, "at byte 2");
  EXPECT_ERROR(parse("\"\xff\""), Errc::malformed, "no valid JSON");
  EXPECT_ERROR(parse("\"\\ud800\""), Errc::malformed, "no valid JSON");
  EXPECT_ERROR(parse("18446744073709551616"), Errc::out_of_range, "does not fit 64 bits");
  EXPECT_ERROR(parse("-9223372036854775809"), Errc::out_of_range, "does not fit 64 bits");
  EXPECT_ERROR(parse("1e999"), Errc::out_of_range, "a float");
  EXPECT_ERROR(parse(R"({"a":1,"b":2,"a":3})"), Errc::duplicate_field, "\"a\" twice");
  EXPECT_ERROR(parse_json(std::string(5'000'000, '['), JsonForm::plain), Errc::limit_exceeded, "1000 deep");
  EXPECT_ERROR(parse(R"({"$bytes":"a"})"), Errc::malformed, "base64");
  EXPECT_ERROR(parse(R"({"$bytes":3})"), Errc::malformed, "a text is missing");
  EXPECT_ERROR(parse(R"({"$float":"0x"})"), Errc::malformed, "$float");
  EXPECT_ERROR(parse(R"({"$float":"nan"})"), Errc::malformed, "$float");
  EXPECT_ERROR(parse(R"({"$map":[[1]]})"), Errc::malformed, "list of two");
  EXPECT_ERROR(parse(R"({"$record":[]})"), Errc::malformed, "$record");
  EXPECT_ERROR(parse(R"({"$typed":["x"]})"), Errc::malformed, "list of two");
  EXPECT_ERROR(parse(R"({"$reference":1})"), Errc::malformed, "not $shared");
  EXPECT_ERROR(parse(R"({"$shared":[1,2]},{"$shared":[1,2]})"), Errc::malformed, "twice");
  const auto array = [&](const std::string& dtype, const std::string& shape, const std::string& data) {
    return parse(R"({"$array":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"order":"C","data":")" + data +
                 "\"}}");
  };
  EXPECT_ERROR(array("\"<f4\"", "[2]", "AAAA"), Errc::malformed, "3 bytes of data do not fit float32[2]");
  EXPECT_ERROR(array("\"<f4\"", "[4611686018427387904,4]", ""), Errc::limit_exceeded, "cannot be held");
  EXPECT_ERROR(array("\"<f4\"", "[0,9223372036854775807,9223372036854775807]", ""), Errc::limit_exceeded,
               "cannot be held");
  EXPECT_ERROR(array("\"<f4\"", "[-1]", ""), Errc::malformed, "natural");
  EXPECT_ERROR(array("\"<f4\"", "3", ""), Errc::malformed, "list is missing");
  EXPECT_ERROR(array("\"|b1\"", "[3]", "AAEC"), Errc::malformed, "neither 0 nor 1");
  EXPECT_ERROR(array("\">f4\"", "[0]", ""), Errc::unsupported, "little-endian");
  EXPECT_ERROR(array("\"|O\"", "[0]", ""), Errc::unsupported, "");
  EXPECT_ERROR(array(R"({"size":2,"fields":[{"name":"x","dtype":"<f8","offset":0,"count":1}]})", "[0]", ""),
               Errc::invalid_argument, "ends after");
  EXPECT_ERROR(array(R"({"size":99999999999,"fields":[]})", "[0]", ""), Errc::malformed, "too large");
}

}  // namespace
}  // namespace stele
