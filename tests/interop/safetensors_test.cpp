// safetensors files: every element type, order and form of array both ways, hostile headers, and models in several
// files. tests/interop/safetensors_test.py compares with the reference implementation.

#include "interop/safetensors/safetensors.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "base/bytes.hpp"
#include "support/samples.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::bytes_of;
using test::Data;
using test::Folder;
using test::put;
using K = DType::Kind;

const LoadOptions plain_options;

/// A file of a header and data.
Data file_of(std::string_view header, std::string_view data = "") {
  Data file(8);
  store_le<std::uint64_t>(file.data(), header.size());
  for (const std::string_view part : {header, data}) {
    const Data bytes = bytes_of(part);
    file.insert(file.end(), bytes.begin(), bytes.end());
  }
  return file;
}

/// Gives a few bytes at a time and has no random access.
class Trickle final : public Source {
 public:
  explicit Trickle(Bytes bytes) : bytes_(bytes) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t count = std::min({into.size(), bytes_.size(), std::size_t{1000}});
    std::copy_n(bytes_.begin(), count, into.begin());
    bytes_ = bytes_.subspan(count);
    return count;
  }

 private:
  Bytes bytes_;
};

Tensors read(Bytes file, const LoadOptions& options = plain_options) {
  return read_safetensors({.source = *memory_source(file), .options = options});
}
Tensors read_stream(Bytes file, const LoadOptions& options = plain_options) {
  Trickle source(file);
  return read_safetensors({.source = source, .options = options});
}
Tensors read_mapped(const std::string& path, MapMode mode = MapMode::read_only) {
  const std::unique_ptr<Source> source = file_source(path);
  return read_safetensors({.source = *source, .mapping = Mapping::open(path, mode), .options = plain_options});
}

Data written(const Value& value, const Metadata& metadata = {}) {
  Data out;
  write_safetensors(*memory_sink(out), value, metadata);
  return out;
}

std::string header_of(Bytes file) {
  const auto length = static_cast<std::size_t>(load_le<std::uint64_t>(file.data()));
  return {reinterpret_cast<const char*>(file.data()) + 8, length};
}

AnyArray array_of(DType dtype, const Shape& shape, Order order = Order::row_major) {
  Data bytes(static_cast<std::size_t>(shape.count()) * dtype.item_size());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(dtype.kind() == K::boolean ? i % 2 : 7 * i + 1);
  }
  return AnyArray::copy_of(ArrayView(dtype, bytes.data(), shape, order));
}

Value map_of(std::vector<std::pair<std::string, Value>> entries) {
  std::vector<Value::Entry> out;
  for (auto& [name, value] : entries) {
    out.emplace_back(Value(name), std::move(value));
  }
  return Value::make_map(std::move(out));
}

/// One tensor "t".
std::string one(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return "{\"t\":{\"dtype\":\"" + std::string(dtype) + "\",\"shape\":" + std::string(shape) +
         ",\"data_offsets\":" + std::string(offsets) + "}}";
}

constexpr std::pair<const char*, K> known_types[] = {
    {"F64", K::float64},         {"F32", K::float32},   {"F16", K::float16},
    {"BF16", K::bfloat16},       {"I64", K::int64},     {"I32", K::int32},
    {"I16", K::int16},           {"I8", K::int8},       {"U64", K::uint64},
    {"U32", K::uint32},          {"U16", K::uint16},    {"U8", K::uint8},
    {"BOOL", K::boolean},        {"C64", K::complex64}, {"F8_E4M3", K::float8_e4m3fn},
    {"F8_E5M2", K::float8_e5m2},
};

TEST(Safetensors, BeginsWithALengthAndABrace) {
  EXPECT_TRUE(may_be_safetensors(file_of("{}")));
  EXPECT_TRUE(may_be_safetensors(Bytes(file_of("{\"a\"")).first(9)));
  EXPECT_FALSE(may_be_safetensors(Bytes(file_of("{}")).first(8)));
  EXPECT_FALSE(may_be_safetensors(file_of(" {}")));
  EXPECT_FALSE(may_be_safetensors(file_of("{")));
  EXPECT_FALSE(may_be_safetensors({}));
  Data long_header = file_of("{}");
  store_le<std::uint64_t>(long_header.data(), 100'000'000);
  EXPECT_TRUE(may_be_safetensors(long_header));
  store_le<std::uint64_t>(long_header.data(), 100'000'001);
  EXPECT_FALSE(may_be_safetensors(long_header));
}

TEST(Safetensors, KnownElementTypesAreArrays) {
  std::size_t types = 0;
  for (const auto& [name, kind] : known_types) {
    const AnyArray array = array_of(kind, {2, 3});
    const Data file = written(map_of({{"t", array}}));
    EXPECT_NE(header_of(file).find("\"dtype\":\"" + std::string(name) + "\",\"shape\":[2,3]"), std::string::npos);
    EXPECT_EQ(read(file).value, map_of({{"t", array}})) << name;
    EXPECT_EQ(read_stream(file).value, map_of({{"t", array}})) << name;
    ++types;
  }
  EXPECT_EQ(types, 16U);
}

TEST(Safetensors, OtherElementTypesAreTypedValuesAndComeBack) {
  for (const std::string name : {"F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}) {
    const Data file = file_of(one(name, "[2,2]", "[0,4]"), "\1\2\3\xff");
    const Value value = read(file).value;
    const Value& tensor = value["t"];
    EXPECT_EQ(tensor.type_name(), "safetensors:" + name);
    EXPECT_EQ(tensor.content().array().dtype(), DType(K::uint8));
    EXPECT_EQ(tensor.content().array().shape(), (Shape{2, 2}));
    EXPECT_EQ(read(written(value)).value, value);
    EXPECT_NE(header_of(written(value)).find("\"" + name + "\""), std::string::npos);
  }
  const std::pair<const char*, const char*> packed[] = {{"F4", "[0,4]"}, {"F6_E2M3", "[0,6]"}, {"F6_E3M2", "[0,6]"}};
  for (const auto& [name, offsets] : packed) {
    const Data file =
        file_of(one(name, "[2,4]", offsets), std::string_view("\1\2\3\4\5\6", std::string_view(name) == "F4" ? 4 : 6));
    const Value value = read(file).value;
    const Value& tensor = value["t"];
    EXPECT_EQ(tensor.type_name(), "safetensors:" + std::string(name));
    EXPECT_EQ(tensor.content()["shape"].to<std::vector<std::uint64_t>>(), (std::vector<std::uint64_t>{2, 4}));
    EXPECT_EQ(tensor.content()["data"].array().view().data[3], std::byte{4});
    EXPECT_EQ(read(written(value)).value, value);
    // Through an archive as well.
    const Value again = from_bytes<Value>(to_bytes(value));
    EXPECT_EQ(again["t"].type_name(), tensor.type_name());
    EXPECT_EQ(written(again), written(value));
  }
}

TEST(Safetensors, TypedValuesOfAnotherFormAreRefused) {
  const Value bytes(array_of(K::uint8, {4}));
  const Value shape(array_of(K::uint64, {1}));
  const auto refused = [&](const char* type, const Value& content) {
    EXPECT_ERROR(written(map_of({{"t", Value::make_typed(type, content)}})), Errc::invalid_argument, "t: ");
  };
  refused("safetensors:F8_E8M0", Value(array_of(K::int8, {4})));
  refused("safetensors:F8_E8M0", Value(1));
  refused("safetensors:F32", bytes);
  refused("safetensors:", bytes);
  refused("safetensors:F4", bytes);
  refused("safetensors:F4", Value::make_record({"shape", "data"}, {shape, bytes}));  // too many elements
  refused("safetensors:F4", Value::make_record({"shape", "data"}, {Value(8), bytes}));
  refused("safetensors:F4", Value::make_record({"shape", "data"}, {Value(array_of(K::uint64, {33})), bytes}));
  const std::uint64_t eight = 8;
  const Value right(AnyArray::copy_of(ArrayView(K::uint64, &eight, 1)));
  refused("safetensors:F4", Value::make_record({"shape", "data", "more"}, {right, bytes, bytes}));
  EXPECT_NO_THROW(written(
      map_of({{"t", Value::make_typed("safetensors:F4", Value::make_record({"shape", "data"}, {right, bytes}))}})));
  EXPECT_ERROR(written(map_of({{"t", Value::make_typed("Model", bytes)}})), Errc::unsupported, "the type Model");
}

TEST(Safetensors, ArraysOfAnyRankAndWithoutElements) {
  const Value value = map_of({{"scalar", array_of(K::float32, {})},
                              {"none", array_of(K::float32, {0})},
                              {"none_3d", array_of(K::int64, {3, 0, 5})},
                              {"", array_of(K::uint8, {1})},
                              {"\n\"\\/~é😀", array_of(K::uint8, {2})},
                              {"five", array_of(K::int16, {2, 1, 3, 1, 2})}});
  const Data file = written(value);
  const Value again = read(file).value;
  ASSERT_EQ(again.size(), value.size());
  for (const auto& [name, array] : value.entries()) {
    ASSERT_NE(again.find(name.text()), nullptr) << name.text();
    EXPECT_EQ(again[name.text()], array) << name.text();
  }
  EXPECT_EQ(read(written(map_of({}))).value.size(), 0U);
}

TEST(Safetensors, OtherOrdersAndStridesAreWrittenRowMajor) {
  for (const std::uint64_t rows : {3U, 3000U}) {  // the second is more than a piece
    const std::uint64_t columns = 500;
    std::vector<std::int32_t> numbers(static_cast<std::size_t>(rows * columns));
    std::iota(numbers.begin(), numbers.end(), 0);
    const ArrayView turned(K::int32, numbers.data(), {rows, columns}, Order::column_major);
    ArrayView reversed(K::int32, numbers.data() + numbers.size() - 1, {rows, columns}, Order::row_major);
    reversed.strides[0] = -4 * static_cast<std::int64_t>(columns);
    reversed.strides[1] = -4;
    ArrayView repeated(K::int32, numbers.data(), {rows, columns}, Order::row_major);
    repeated.strides[0] = 0;
    for (const ArrayView& view : {turned, reversed, repeated}) {
      const auto bytes = static_cast<std::size_t>(view.byte_count());
      const std::shared_ptr<Buffer> buffer =
          Buffer::wrap(reinterpret_cast<std::byte*>(numbers.data()), bytes, false, nullptr);
      const Value again = read(written(map_of({{"t", AnyArray(view, buffer)}}))).value;
      const ArrayView& found = again["t"].array().view();
      EXPECT_TRUE(found.is_dense(Order::row_major));
      Data expected(bytes);
      gather(view, Order::row_major, 0, rows * columns, expected.data());
      EXPECT_EQ(std::memcmp(expected.data(), found.data, bytes), 0);
    }
  }
}

TEST(Safetensors, WidestFirstThenByNameAndAligned) {
  const Data file = written(map_of({{"b", array_of(K::boolean, {3})},
                                    {"z", array_of(K::uint8, {3})},
                                    {"a", array_of(K::uint8, {1})},
                                    {"h", array_of(K::bfloat16, {3})},
                                    {"d", array_of(K::float64, {1})},
                                    {"f", array_of(K::float32, {1})}}),
                            {{"format", "pt"}, {"a", "\"1\""}});
  const std::string header = header_of(file);
  EXPECT_EQ((8 + header.size()) % 64, 0U);
  const std::string expected =
      R"({"__metadata__":{"a":"\"1\"","format":"pt"},)"
      R"("d":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"f":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},)"
      R"("h":{"dtype":"BF16","shape":[3],"data_offsets":[12,18]},)"
      R"("a":{"dtype":"U8","shape":[1],"data_offsets":[18,19]},)"
      R"("z":{"dtype":"U8","shape":[3],"data_offsets":[19,22]},)"
      R"("b":{"dtype":"BOOL","shape":[3],"data_offsets":[22,25]}})";
  EXPECT_EQ(header.substr(0, header.find_last_not_of(' ') + 1), expected);
  const Tensors again = read(file);
  EXPECT_EQ(again.metadata, (Metadata{{"format", "pt"}, {"a", "\"1\""}}));
  EXPECT_EQ(again.value.entries()[0].first.text(), "d");  // in the order of the file
  EXPECT_EQ(again.value.entries()[5].first.text(), "b");
}

TEST(Safetensors, NamesOfNestedMapsAndRecordsAreJoined) {
  const Value weight(array_of(K::float32, {2}));
  const Value layer = Value::make_record({"weight", "bias"}, {weight, Value(array_of(K::float32, {1}))}, 3);
  const Value shared = Value::make_shared(Value::make_anchor(0), map_of({{"scale", weight}}));
  const Value value = Value::make_record({"layer", "norm", "plain"}, {layer, shared, weight});
  const Value again = read(written(value)).value;
  ASSERT_EQ(again.size(), 4U);
  for (const char* name : {"layer.weight", "layer.bias", "norm.scale", "plain"}) {
    EXPECT_TRUE(again.contains(name)) << name;
  }
  EXPECT_ERROR(written(map_of({{"a.b", weight}, {"a", map_of({{"b", weight}})}})), Errc::duplicate_field, "a.b");
  EXPECT_ERROR(written(map_of({{"a", weight}, {"a", weight}})), Errc::duplicate_field, "a");
}

/// Nothing is written, and the message has the path.
TEST(Safetensors, WhatTheFormatLacksIsRefused) {
  const Value array(array_of(K::float32, {2}));
  const auto refused = [&](const Value& value, const std::string& message, const Metadata& metadata = {}) {
    Data out;
    const std::unique_ptr<Sink> sink = memory_sink(out);
    EXPECT_ERROR(write_safetensors(*sink, value, metadata), Errc::unsupported, message);
    EXPECT_TRUE(out.empty()) << message;
  };
  const auto within = [&](const Value& value) { return map_of({{"good", array}, {"in", map_of({{"x", value}})}}); };
  const Value::Anchor anchor = Value::make_anchor(1);
  refused(within(Value(1)), "in/x: a safetensors file cannot hold a value of the kind integer");
  refused(within(Value(1.5)), "in/x: ");
  refused(within(Value("text")), "in/x: ");
  refused(within(Value(nullptr)), "in/x: ");
  refused(within(Value(true)), "in/x: ");
  refused(within(Value::make_bytes(bytes_of("ab"))), "in/x: ");
  refused(within(Value::make_sequence({array})), "in/x: ");
  refused(within(map_of({})), "in/x: a safetensors file cannot hold a map without entries");
  refused(within(Value::make_typed("T", array)), "in/x: ");
  refused(map_of({{"a", Value::make_shared(anchor, array)}, {"b", Value::make_reference(anchor)}}),
          "b: a safetensors file cannot hold a reference");
  refused(within(Value(array_of(K::complex128, {1}))),
          "in/x: a safetensors file cannot hold elements of the type comp");
  refused(within(Value(array_of(DType::fixed_bytes(3), {1}))), "in/x: ");
  refused(within(Value(array_of(DType::time_point({TimeUnit::Base::second}), {1}))), "in/x: ");
  refused(within(Value::make_map({{Value(5), array}})), "in/x/~#0: a safetensors file cannot hold a key");
  refused(map_of({{"__metadata__", array}}), "__metadata__: ");
  refused(array, "only maps and records");
  refused(Value(1), "only maps and records");
  refused(map_of({{"a", array}}), "the metadata \"epoch\"", {{"epoch", 3}});
  refused(map_of({{"a", array}}), "the metadata", {{"bad", "\xff"}});
}

TEST(Safetensors, DeepValuesTakeNoStack) {
  Value value = map_of({{"t", array_of(K::uint8, {1})}});
  std::string name = "t";
  for (int i = 0; i < 2'000; ++i) {
    value = map_of({{"a", value}});
  }
  const Value again = read(written(value)).value;
  EXPECT_EQ(again.entries()[0].first.text().size(), 4'001U);
}

TEST(Safetensors, MappedArraysLieInTheMapping) {
  const Folder folder;
  const std::string path = folder / "m.safetensors";
  const Value value = map_of({{"a", array_of(K::float64, {100})}, {"b", array_of(K::uint8, {3})}});
  put(path, written(value));
  const Tensors mapped = read_mapped(path);
  EXPECT_EQ(mapped.value, value);
  EXPECT_FALSE(mapped.value["a"].array().buffer()->writable());
  {
    const Tensors changed = read_mapped(path, MapMode::read_write);
    changed.value["b"].array().buffer()->mutable_data()[1] = std::byte{99};
  }
  EXPECT_EQ(mapped.value["b"].array().view().data[1], std::byte{99});
  // Elements that are not aligned are copied.
  put(path, file_of(one("F32", "[1]", "[0,4]") + " ", "\1\2\3\4"));
  const Tensors copied = read_mapped(path);
  EXPECT_EQ(copied.value["t"].array().view().data[2], std::byte{3});
  EXPECT_ERROR(read_mapped(path, MapMode::read_write), Errc::not_mappable, "t: ");
}

/// A file with random access, read on several threads in pieces.
TEST(Safetensors, LargeFilesAreReadOnSeveralThreads) {
  const Folder folder;
  const std::string path = folder / "large.safetensors";
  std::vector<std::pair<std::string, Value>> entries;
  for (const std::uint64_t count : {1U, 1000U, 1'500'000U, 3'000'001U}) {
    std::vector<std::uint32_t> numbers(static_cast<std::size_t>(count));
    std::iota(numbers.begin(), numbers.end(), 17 * static_cast<std::uint32_t>(count));
    entries.emplace_back(std::to_string(count), AnyArray::copy_of(ArrayView(K::uint32, numbers.data(), count)));
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  const Value value = map_of(entries);
  const Data file = written(value);
  put(path, file);
  for (const unsigned threads : {1U, 3U}) {
    const LoadOptions options{.threads = threads};
    const std::unique_ptr<Source> source = file_source(path);
    EXPECT_EQ(read_safetensors({.source = *source, .options = options}).value, value);
  }
  EXPECT_EQ(read_stream(file).value, value);
  const LoadOptions little{.limits = {.allocation = 1'000'000}};
  EXPECT_ERROR(read(file, little), Errc::limit_exceeded, "1500000: an array of 6000000 bytes");
  EXPECT_ERROR(read_stream(file, little), Errc::limit_exceeded, "1500000: an array of 6000000 bytes");
}

TEST(Safetensors, FilesThatEndEarlyOrGoOnAreRefused) {
  const Folder folder;
  const std::string path = folder / "cut.safetensors";
  const Data whole = written(map_of({{"a", array_of(K::float64, {3})}, {"b", array_of(K::uint8, {5})}}), {{"k", "v"}});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Bytes part = Bytes(whole).first(size);
    EXPECT_ERROR(read(part), Errc::truncated, "");
    EXPECT_ERROR(read_stream(part), Errc::truncated, "");
    put(path, part);
    EXPECT_ERROR(read_mapped(path), Errc::truncated, "");
  }
  Data more = whole;
  more.push_back(std::byte{});
  put(path, more);
  EXPECT_ERROR(read(more), Errc::malformed, "goes on");
  EXPECT_ERROR(read_stream(more), Errc::malformed, "goes on");
  EXPECT_ERROR(read_mapped(path), Errc::malformed, "goes on");
  // A header that is cut, with a length that says so.
  const std::string header = header_of(whole);
  for (std::size_t size = 0; size <= header.find_last_not_of(' '); ++size) {
    EXPECT_ERROR(read(file_of(header.substr(0, size))), Errc::malformed, "");
  }
}

/// A length is not believed: neither that of the header nor that of an array takes memory before the bytes are there.
TEST(Safetensors, ClaimedSizesAreNotBelieved) {
  Data claims = file_of("{}");
  store_le<std::uint64_t>(claims.data(), 100'000'001);
  EXPECT_ERROR(read(claims), Errc::limit_exceeded, "a header of 100000001 bytes");
  store_le<std::uint64_t>(claims.data(), ~std::uint64_t{});
  EXPECT_ERROR(read_stream(claims), Errc::limit_exceeded, "a header");
  store_le<std::uint64_t>(claims.data(), 99'999'999);
  EXPECT_ERROR(read_stream(claims), Errc::truncated, "");
  const std::string large = one("F64", "[1000000000000]", "[0,8000000000000]");
  EXPECT_ERROR(read(file_of(large, "few")), Errc::truncated, "");
  EXPECT_ERROR(read_stream(file_of(large, "few")), Errc::truncated, "t: ");
  const std::string too_large = one("F64", "[1000000000000000]", "[0,8000000000000000]");
  EXPECT_ERROR(read_stream(file_of(too_large, "few")), Errc::limit_exceeded, "t: ");
}

TEST(Safetensors, HostileHeadersAreRefused) {
  const auto refused = [](const std::string& header, Errc code, std::string_view part, std::string_view data = "1234") {
    SCOPED_TRACE(header.substr(0, 200));
    EXPECT_ERROR(read(file_of(header, data)), code, std::string(part));
  };
  const std::string good = one("F32", "[1]", "[0,4]");
  const std::string inner = good.substr(1, good.size() - 2);
  EXPECT_NO_THROW(read(file_of(good + " \t\r\n", "1234")));
  refused("", Errc::malformed, "'{'");
  refused("[]", Errc::malformed, "'{'");
  refused(" " + good, Errc::malformed, "'{'");
  refused("\xef\xbb\xbf" + good, Errc::malformed, "'{'");
  refused(good + "x", Errc::malformed, "JSON");
  refused(good + std::string(1, '\0'), Errc::malformed, "JSON");
  refused("{" + inner + ",}", Errc::malformed, "JSON");
  refused("{" + inner + "," + inner + "}", Errc::duplicate_field, "t: the header names it twice");
  refused("{\"__metadata__\":{},\"__metadata__\":{}," + inner + "}", Errc::duplicate_field, "metadata");
  refused(R"({"__metadata__":{"a":"1","a":"1"},)" + inner + "}", Errc::duplicate_field, "\"a\"");
  for (const char* metadata : {"1", "\"a\"", "[]", R"({"a":1})", R"({"a":null})", R"({"a":{}})", R"({"a":["b"]})"}) {
    refused("{\"__metadata__\":" + std::string(metadata) + "," + inner + "}", Errc::malformed, "");
  }
  for (const char* tensor : {"null", "1", "\"F32\"", "[]", "{}", R"(["F32",[1],[0,4]])"}) {
    refused("{\"t\":" + std::string(tensor) + "}", Errc::malformed, "t: ");
  }
  refused(R"({"t":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", Errc::duplicate_field, "t: ");
  refused(R"({"t":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}})", Errc::duplicate_field, "t: ");
  refused(R"({"t":{"shape":[1],"data_offsets":[0,4]}})", Errc::malformed, "t: the dtype is missing");
  refused(R"({"t":{"dtype":"F32","data_offsets":[0,4]}})", Errc::malformed, "t: the shape is missing");
  refused(R"({"t":{"dtype":"F32","shape":[1]}})", Errc::malformed, "t: data_offsets are missing");
  for (const char* dtype : {"f32", "F99", "C128", "", "I4", "F32 "}) {
    refused(one(dtype, "[1]", "[0,4]"), Errc::unsupported, "t: the dtype \"");
  }
  for (const char* dtype : {"1", "null", "[\"F32\"]", "{\"F32\":null}"}) {
    refused(R"({"t":{"dtype":)" + std::string(dtype) + R"(,"shape":[1],"data_offsets":[0,4]}})", Errc::malformed,
            "t: ");
  }
  for (const char* list : {"null", "1", "\"1\"", "{}", "{\"0\":1}", "[1.0]", "[1e0]", "[-1]", "[-0]", "[\"1\"]",
                           "[true]", "[null]", "[[1]]", "[18446744073709551616]", "[01]", "[1,]"}) {
    refused(one("F32", list, "[0,4]"), Errc::malformed, "");
    refused(one("F32", "[1]", list), Errc::malformed, "");
  }
  for (const char* offsets : {"[]", "[4]", "[0,4,4]", "[4,0]", "[0,3]", "[0,5]", "[1,5]"}) {
    refused(one("F32", "[1]", offsets), Errc::malformed, "t: ");
  }
  refused(one("F32", "[4294967296,4294967296]", "[0,4]"), Errc::malformed, "do not fit");
  refused(one("F64", "[2305843009213693952]", "[0,0]"), Errc::malformed, "do not fit", "");
  refused(one("F32", "[9223372036854775808,2,0]", "[0,0]"), Errc::malformed, "do not fit", "");
  refused(one("F32", "[0,9223372036854775808]", "[0,0]"), Errc::limit_exceeded, "t: ", "");
  refused(one("F4", "[3]", "[0,2]"), Errc::malformed, "2 bytes of data do not fit F4[3]", "12");
  refused(one("BOOL", "[4]", "[0,4]"), Errc::malformed, "t: an array of bools");
  std::string deep = "[";
  for (int i = 0; i < 32; ++i) {
    deep += "1,";
  }
  EXPECT_EQ(read(file_of(one("F32", deep.substr(0, deep.size() - 1) + "]", "[0,4]"), "1234"))
                .value["t"]
                .array()
                .shape()
                .rank(),
            32U);
  refused(one("F32", deep + "1]", "[0,4]"), Errc::limit_exceeded, "t: more than 32 dimensions");
  const auto two = [](const char* a, const char* b) {
    return R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + std::string(a) +
           R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + b + "}}";
  };
  EXPECT_NO_THROW(read(file_of(two("[2,4]", "[0,2]"), "1234")));
  refused(two("[0,2]", "[3,5]"), Errc::malformed, "b: data_offsets", "12345");
  refused(two("[0,2]", "[1,3]"), Errc::malformed, "b: data_offsets", "123");
  refused(two("[0,2]", "[0,2]"), Errc::malformed, "b: data_offsets", "12");
  refused(two("[2,4]", "[4,6]"), Errc::malformed, "a: data_offsets", "123456");
  refused(two("[0,2]", "[18446744073709551615,1]"), Errc::malformed, "b: data_offsets");
  const auto unknown_field = [](const std::string& value) {
    return R"({"t":{"more":)" + value + R"(,"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  };
  for (const char* value :
       {"1", "[1.5,{\"dtype\":[]}]", "{\"shape\":{\"a\":null}}", "-0", "123456789012345678901234"}) {
    EXPECT_EQ(read(file_of(unknown_field(value), "1234")).value.size(), 1U) << value;
  }
  refused(unknown_field("1e999"), Errc::out_of_range, "number");
  EXPECT_NO_THROW(read(file_of(unknown_field(std::string(125, '[') + std::string(125, ']')), "1234")));
  refused(unknown_field(std::string(126, '[') + std::string(126, ']')), Errc::limit_exceeded, "deep");
  refused(unknown_field(std::string(1'000'000, '[')), Errc::limit_exceeded, "deep");
  refused("{\"\xff\":1}", Errc::malformed, "JSON");
  refused("{\"\\ud800\":1}", Errc::malformed, "JSON");
  refused("{\"\1\":1}", Errc::malformed, "JSON");
}

/// A header of many entries takes time that grows with its length.
TEST(Safetensors, ManyTensors) {
  std::string header = "{";
  for (int i = 0; i < 50'000; ++i) {
    header += "\"" + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)";
  }
  header += R"("t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  const Value value = read(file_of(header, "x")).value;
  ASSERT_EQ(value.size(), 50'001U);
  EXPECT_EQ(value.entries()[49'999].first.text(), "49999");  // equal offsets: in the order of the header
}

class SafetensorsIndex : public testing::Test {
 protected:
  SafetensorsIndex() {
    put(folder_ / "m-1.safetensors", written(map_of({{"a", first_}, {"left.out", second_}}), {{"format", "pt"}}));
    put(folder_ / "m-2.safetensors", written(map_of({{"b", second_}}), {{"format", "np"}, {"more", "x"}}));
  }
  Tensors read_text(std::string_view text, MapMode mode = MapMode::none) {
    const std::string path = folder_ / "model.safetensors.index.json";
    put(path, bytes_of(text));
    return read_safetensors_index(path, {.map = mode});
  }

  const Folder folder_;
  const AnyArray first_ = array_of(K::float32, {3, 4});
  const AnyArray second_ = array_of(K::bfloat16, {5});
};

constexpr std::string_view good_index =
    R"({"metadata":{"total_size":58,"negative":-1,"half":0.5,"yes":true,"text":"t"},"more":[{"a":1}],)"
    R"("weight_map":{"b":"m-2.safetensors","a":"m-1.safetensors"}})";

TEST_F(SafetensorsIndex, IsOpenedAsOne) {
  for (const MapMode mode : {MapMode::none, MapMode::read_only, MapMode::copy_on_write}) {
    const Tensors model = read_text(good_index, mode);
    EXPECT_EQ(model.value, map_of({{"a", first_}, {"b", second_}}));
    EXPECT_EQ(model.value["a"].array().buffer()->writable(), mode != MapMode::read_only);
    EXPECT_EQ(model.metadata, (Metadata{{"total_size", 58},
                                        {"negative", -1},
                                        {"half", 0.5},
                                        {"yes", true},
                                        {"text", "t"},
                                        {"format", "pt"},
                                        {"m-2.safetensors/format", "np"},
                                        {"more", "x"}}));
  }
  EXPECT_EQ(read_text(R"({"weight_map":{},"metadata":null})").value.size(), 0U);
}

TEST_F(SafetensorsIndex, MissingArraysAndFilesAreNamed) {
  const Error missing =
      test::error_of([&] { read_text(R"({"weight_map":{"a":"m-1.safetensors","c":"m-1.safetensors"}})"); });
  EXPECT_EQ(missing.code(), Errc::not_found);
  EXPECT_EQ(missing.path(), "c");
  EXPECT_TRUE(missing.file().ends_with("/m-1.safetensors"));
  for (const MapMode mode : {MapMode::none, MapMode::read_only}) {
    EXPECT_ERROR(read_text(R"({"weight_map":{"a":"m-3.safetensors"}})", mode), Errc::not_found, "m-3.safetensors");
  }
  EXPECT_ERROR(read_safetensors_index(folder_ / "none.index.json", {}), Errc::not_found, "none.index.json");
  put(folder_ / "m-2.safetensors", bytes_of("short"));
  EXPECT_ERROR(read_text(good_index), Errc::truncated, "m-2.safetensors");
}

TEST_F(SafetensorsIndex, HostileOnesAreRefused) {
  for (const char* file : {"../m-1.safetensors", "/etc/passwd", "a/b", "", ".", "..", "./m-1.safetensors", "a\\\\b",
                           "m-1.safetensors\\u0000"}) {
    EXPECT_ERROR(read_text("{\"weight_map\":{\"a\":\"" + std::string(file) + "\"}}"), Errc::malformed, "a: ");
  }
  for (const char* text :
       {"", "[]", "1", "{}", "{\"weight_map\":[]}", "{\"weight_map\":1}", "{\"weight_map\":null}",
        "{\"weight_map\":{\"a\":1}}", "{\"weight_map\":{\"a\":{}}}", "{\"weight_map\":{\"a\":[]}}",
        "{\"weight_map\":{},\"metadata\":1}", "{\"weight_map\":{},\"metadata\":[]}", "{\"weight_map\":{}} x"}) {
    EXPECT_ERROR(read_text(text), Errc::malformed, "model.safetensors.index.json");
  }
  EXPECT_ERROR(read_text(R"({"weight_map":{},"weight_map":{}})"), Errc::duplicate_field, "weight_map");
  EXPECT_ERROR(read_text(R"({"weight_map":{"a":"x","a":"x"}})"), Errc::duplicate_field, "\"a\"");
  EXPECT_ERROR(read_text(R"({"weight_map":{"a":"x","a":"y"}})"), Errc::duplicate_field, "\"a\"");
  EXPECT_ERROR(read_text(R"({"metadata":{"a":1,"a":2},"weight_map":{}})"), Errc::duplicate_field, "\"a\"");
  for (const char* value : {"null", "[]", "{}"}) {
    EXPECT_ERROR(read_text("{\"metadata\":{\"m\":" + std::string(value) + "},\"weight_map\":{}}"), Errc::unsupported,
                 "\"m\"");
  }
  for (std::size_t size = 0; size < good_index.size(); ++size) {
    EXPECT_ERROR(read_text(good_index.substr(0, size)), Errc::malformed, "");
  }
}

}  // namespace
}  // namespace stele
