// Files of torch.save(): tensors over storages, in zip files and in the older form, and what somebody may have written
// to do harm.
#include "interop/torch/torch.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "interop/zip/zip.hpp"
#include "stele/interop.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using namespace std::string_literals;
using test::fresh;

const LoadOptions any{.formats = &neighbours()};

Bytes bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string le(std::uint64_t value, std::size_t width) {
  std::string bytes(width, '\0');
  store_le(reinterpret_cast<std::byte*>(bytes.data()), value, width);
  return bytes;
}

// --- Pickles by hand -------------------------------------------------------------------------------------------------

std::string text(const std::string& value) { return "X" + le(value.size(), 4) + value; }
std::string number(std::uint64_t value) { return value < 256 ? "K" + le(value, 1) : "\x8a\x08"s + le(value, 8); }
std::string tuple(const std::vector<std::uint64_t>& numbers) {
  std::string made = "(";
  for (const std::uint64_t value : numbers) {
    made += number(value);
  }
  return made + "t";
}
std::string global(const std::string& module, const std::string& name) { return "c" + module + "\n" + name + "\n"; }
std::string storage(const std::string& type, const std::string& key, std::uint64_t count,
                    const std::string& more = "") {
  return "(" + text("storage") + global("torch", type) + text(key) + text("cpu") + number(count) + more + "tQ";
}
const std::string no_hooks = global("collections", "OrderedDict") + ")R";
std::string tensor(const std::string& from, std::uint64_t offset, const std::vector<std::uint64_t>& shape,
                   const std::vector<std::uint64_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") + "(" + from + number(offset) + tuple(shape) + tuple(strides) +
         "\x89" + no_hooks + "tR";
}
std::string typed_tensor(const std::string& from, const std::string& dtype, std::uint64_t offset,
                         const std::vector<std::uint64_t>& shape, const std::vector<std::uint64_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v3") + "(" + from + number(offset) + tuple(shape) + tuple(strides) +
         "\x89" + no_hooks + global("torch", dtype) + "tR";
}
std::string dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string made = "}(";
  for (const auto& [key, value] : items) {
    made += text(key) + value;
  }
  return made + "u";
}

using Parts = std::vector<std::pair<std::string, std::string>>;

/// A file of that pickle and those storages.
std::vector<std::byte> zip_of(const std::string& pickle, const Parts& storages, const Parts& more = {},
                              std::optional<int> level = std::nullopt) {
  std::vector<std::byte> file;
  const std::unique_ptr<Sink> sink = memory_sink(file);
  ZipWriter zip(*sink, level);
  const auto add = [&](const std::string& name, const std::string& content) {
    const Bytes bytes = bytes_of(content);
    zip.add("m/" + name, {&bytes, 1});
  };
  add("data.pkl", "\x80\x02" + pickle + ".");
  for (const auto& [name, content] : more) {
    add(name, content);
  }
  for (const auto& [key, content] : storages) {
    add("data/" + key, content);
  }
  add("version", "3\n");
  zip.finish();
  return file;
}

std::string old_file(const std::string& pickle, const Parts& storages, std::size_t item) {
  std::string keys = "](";
  std::string contents;
  for (const auto& [key, content] : storages) {
    keys += text(key);
    contents += le(content.size() / item, 8) + content;
  }
  const std::string head = "\x80\x02";
  return head + "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." + head + number(1001) + "." + head +
         dict({{"little_endian", "\x88"}}) + "." + head + pickle + "." + head + keys + "e." + contents;
}

template <class T>
std::string elements(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

const std::string floats = elements<float>({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});

Value read(const std::vector<std::byte>& file, LoadOptions options = any) { return from_bytes<Value>(file, options); }

std::vector<double> numbers_of(const Value& value) {
  std::vector<double> found;
  const ArrayView& view = value.array().view();
  std::vector<float> dense(static_cast<std::size_t>(view.shape.count()));
  gather(view, Order::row_major, 0, dense.size(), reinterpret_cast<std::byte*>(dense.data()));
  return {dense.begin(), dense.end()};
}

using Numbers = std::vector<double>;

// --- Tests -----------------------------------------------------------------------------------------------------------

TEST(Torch, TensorsAreArraysWithTheirStrides) {
  const std::string all = storage("FloatStorage", "0", 12);
  const std::vector<std::byte> file = zip_of(dict({{"whole", tensor(all, 0, {3, 4}, {4, 1})},
                                                   {"turned", tensor(all, 0, {4, 3}, {1, 4})},
                                                   {"part", tensor(all, 5, {2, 2}, {4, 2})},
                                                   {"repeated", tensor(all, 7, {2, 3}, {0, 1})},
                                                   {"one", tensor(all, 11, {}, {})},
                                                   {"none", tensor(all, 0, {0, 7}, {7, 1})},
                                                   {"bytes", all}}),
                                             {{"0", floats}});
  for (const std::optional<int> level : {std::optional<int>(), std::optional(6)}) {
    const Value value = read(zip_of(dict({{"a", tensor(all, 0, {3, 4}, {4, 1})}}), {{"0", floats}}, {}, level));
    EXPECT_EQ(numbers_of(value["a"])[7], 7);
  }
  const Value value = read(file);
  EXPECT_EQ(value["whole"].array().shape(), (Shape{3, 4}));
  EXPECT_EQ(value["whole"].array().dtype(), DType(DType::Kind::float32));
  EXPECT_EQ(numbers_of(value["turned"]), (Numbers{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}));
  EXPECT_TRUE(value["turned"].array().view().is_dense(Order::column_major));
  EXPECT_EQ(numbers_of(value["part"]), (Numbers{5, 7, 9, 11}));
  EXPECT_EQ(numbers_of(value["repeated"]), (Numbers{7, 8, 9, 7, 8, 9}));
  EXPECT_EQ(numbers_of(value["one"]), (Numbers{11}));
  EXPECT_EQ(value["none"].array().shape(), (Shape{0, 7}));
  EXPECT_EQ(value["bytes"].array().shape(), (Shape{12}));
}

TEST(Torch, EveryElementType) {
  const std::vector<std::pair<std::string, DType::Kind>> types = {
      {"BFloat16Storage", DType::Kind::bfloat16},
      {"BoolStorage", DType::Kind::boolean},
      {"ByteStorage", DType::Kind::uint8},
      {"CharStorage", DType::Kind::int8},
      {"ComplexDoubleStorage", DType::Kind::complex128},
      {"ComplexFloatStorage", DType::Kind::complex64},
      {"DoubleStorage", DType::Kind::float64},
      {"FloatStorage", DType::Kind::float32},
      {"HalfStorage", DType::Kind::float16},
      {"IntStorage", DType::Kind::int32},
      {"LongStorage", DType::Kind::int64},
      {"ShortStorage", DType::Kind::int16},
  };
  for (const auto& [name, kind] : types) {
    const std::string content(2 * DType(kind).item_size(), '\1');
    const Value value = read(zip_of(tensor(storage(name, "0", 2), 0, {2}, {1}), {{"0", content}}));
    EXPECT_EQ(value.array().dtype(), DType(kind)) << name;
  }
  const std::string bytes = storage("UntypedStorage", "0", 16);
  for (const auto& [name, kind] : std::map<std::string, DType::Kind>{{"float8_e4m3fn", DType::Kind::float8_e4m3fn},
                                                                     {"float8_e5m2", DType::Kind::float8_e5m2},
                                                                     {"uint16", DType::Kind::uint16},
                                                                     {"uint32", DType::Kind::uint32},
                                                                     {"uint64", DType::Kind::uint64}}) {
    const Value value = read(zip_of(typed_tensor(bytes, name, 1, {1}, {1}), {{"0", std::string(16, '\1')}}));
    EXPECT_EQ(value.array().dtype(), DType(kind)) << name;
  }
  // What stele lacks stays what would be called, with the bytes.
  const Value other =
      read(zip_of(typed_tensor(bytes, "float4_e2m1fn_x2", 0, {16}, {1}), {{"0", std::string(16, '\1')}}));
  EXPECT_EQ(other.type_name(), "py:torch._utils._rebuild_tensor_v3");
}

TEST(Torch, ParametersSizesAndWhatIsNoTensor) {
  const std::string made = tensor(storage("FloatStorage", "0", 12), 0, {12}, {1});
  const Value value =
      read(zip_of(dict({{"p", global("torch._utils", "_rebuild_parameter") + "(" + made + "\x88" + no_hooks + "tR"},
                        {"size", global("torch", "Size") + "(" + tuple({2, 3}) + "tR"},
                        {"device", global("torch", "device") + "(" + text("cpu") + "tR"},
                        {"conjugated", global("torch._utils", "_rebuild_tensor_v2") + "(" +
                                           storage("FloatStorage", "0", 12) + number(0) + tuple({1}) + tuple({1}) +
                                           "\x89" + no_hooks + dict({{"conj", "\x88"}}) + "tR"}}),
                  {{"0", floats}}));
  EXPECT_TRUE(value["p"].is_array());
  EXPECT_EQ(value["size"].type_name(), "py:tuple");
  EXPECT_EQ(value["device"].type_name(), "py:torch.device");
  EXPECT_EQ(value["conjugated"].type_name(), "py:torch._utils._rebuild_tensor_v2");
}

TEST(Torch, TensorsOfOneStorageShareItInArchivesToo) {
  const std::string all = storage("FloatStorage", "0", 12);
  const std::vector<std::byte> file =
      zip_of(dict({{"a", tensor(all, 0, {12}, {1})}, {"b", tensor(all, 4, {2, 4}, {4, 1})}}), {{"0", floats}});
  const Value value = read(file);
  EXPECT_EQ(value["a"].array().buffer(), value["b"].array().buffer());
  const Value again = from_bytes<Value>(to_bytes(value));
  EXPECT_EQ(again["a"].array().buffer(), again["b"].array().buffer());
  EXPECT_EQ(numbers_of(again["b"]), (Numbers{4, 5, 6, 7, 8, 9, 10, 11}));
}

TEST(Torch, IsMappedInPlace) {
  const std::string path = fresh("model.pt");
  test::put(path, zip_of(dict({{"a", tensor(storage("FloatStorage", "0", 12), 0, {12}, {1})},
                               {"b", typed_tensor(storage("UntypedStorage", "1", 16), "uint64", 0, {2}, {1})}}),
                         {{"0", floats}, {"1", std::string(16, '\1')}}));
  const File file = open(path, {.map = MapMode::read_only, .formats = &neighbours()});
  EXPECT_EQ(file.info().writer, "torch");
  const auto array = file.load<Array<float>>("a");
  EXPECT_FALSE(array.writable());
  EXPECT_EQ(array[11], 11);
  EXPECT_EQ((file.load<Array<std::uint64_t>>("b")[1]), 0x0101010101010101U);
  EXPECT_EQ(load<Value>(path, any)["a"].array().shape(), Shape{12});
}

TEST(Torch, NumbersOfABigEndianMachine) {
  const std::string swapped("\0\0\0\1\0\0\0\2", 8);
  const std::string made = tensor(storage("IntStorage", "0", 2), 0, {2}, {1});
  const Value value = read(zip_of(made, {{"0", swapped}}, {{"byteorder", "big"}}));
  EXPECT_EQ(from_bytes<Array<std::int32_t>>(to_bytes(value))[1], 2);
  EXPECT_ERROR(read(zip_of(typed_tensor(storage("UntypedStorage", "0", 8), "uint16", 0, {4}, {1}), {{"0", swapped}},
                           {{"byteorder", "big"}})),
               Errc::unsupported, "big-endian");
}

TEST(Torch, WhatLiesIsAnError) {
  const std::string all = storage("FloatStorage", "0", 12);
  const auto fails = [&](const std::string& pickle, Errc code, const std::string& part) {
    EXPECT_ERROR(read(zip_of(pickle, {{"0", floats}})), code, part);
  };
  constexpr std::uint64_t huge = std::uint64_t{1} << 62;
  fails(tensor(all, 1, {12}, {1}), Errc::malformed, "outside of its storage of 12 elements");
  fails(tensor(all, 12, {1}, {1}), Errc::malformed, "outside");
  fails(tensor(all, huge, {1}, {1}), Errc::malformed, "outside");
  fails(tensor(all, 0, {3, 4}, {5, 1}), Errc::malformed, "outside");
  fails(tensor(all, 0, {2, 2}, {huge, huge}), Errc::malformed, "outside");
  fails(tensor(all, 0, {huge, huge}, {0, 0}), Errc::limit_exceeded, "cannot be held in memory");
  fails(tensor(all, 0, {huge / 4}, {0}), Errc::limit_exceeded, "many more elements than their storages");
  fails(storage("FloatStorage", "0", 13), Errc::malformed, "48 bytes instead of 52");
  fails(storage("FloatStorage", "0", huge), Errc::limit_exceeded, "cannot be held in memory");
  fails(storage("DoubleStorage", "0", 12), Errc::malformed, "48 bytes instead of 96");
  fails(storage("FloatStorage", "1", 12), Errc::not_found, "the storage 1 is not there");
  fails(storage("OddStorage", "0", 12), Errc::unsupported, "torch.OddStorage");
  fails("(" + text("storage") + global("os", "system") + text("0") + text("cpu") + number(12) + "tQ", Errc::unsupported,
        "os.system");
  fails("(" + text("storage") + number(1) + text("0") + text("cpu") + number(12) + "tQ", Errc::malformed, "known form");
  fails("(" + text("storage") + "tQ", Errc::malformed, "known form");
  fails("(" + storage("FloatStorage", "0", 12) + storage("FloatStorage", "0", 11) + "t", Errc::malformed,
        "which had 12");
  // An id that holds itself.
  fails("]q\0"s + "h\0"s + "a" + "Q", Errc::unsupported, "persistent id");
  // Strides that only matter along an axis of one element may be anything.
  EXPECT_EQ(read(zip_of(tensor(all, 0, {1, 12}, {huge, 1}), {{"0", floats}})).array().shape(), (Shape{1, 12}));
  // As many strides as axes.
  EXPECT_EQ(read(zip_of(tensor(all, 0, {12}, {}), {{"0", floats}})).kind(), ValueKind::typed);
}

TEST(Torch, DamageIsFound) {
  std::vector<std::byte> file =
      zip_of(dict({{"a", tensor(storage("FloatStorage", "0", 12), 0, {12}, {1})}}), {{"0", floats}});
  const auto at = std::search(file.begin(), file.end(), bytes_of(floats).begin(), bytes_of(floats).end());
  ASSERT_NE(at, file.end());
  at[20] ^= std::byte{1};
  EXPECT_ERROR(read(file), Errc::damaged, "checksum");
}

TEST(Torch, TheOlderForm) {
  const std::string all = storage("FloatStorage", "7", 12, "N");
  const std::string good =
      old_file(dict({{"a", tensor(all, 0, {3, 4}, {4, 1})}, {"b", tensor(all, 8, {4}, {1})}}), {{"7", floats}}, 4);
  const std::string path = fresh("old.pth");
  test::put(path, bytes_of(good));
  for (const Value& value :
       {from_bytes<Value>(bytes_of(good), any), load<Value>(path, any), open(path, any).load<Value>("")}) {
    EXPECT_EQ(numbers_of(value["b"]), (Numbers{8, 9, 10, 11}));
    EXPECT_EQ(value["a"].array().shape(), (Shape{3, 4}));
  }
  EXPECT_EQ(open(path, any).info().writer, "torch");
  const Value part = from_bytes<Value>(
      bytes_of(
          old_file(tensor(storage("FloatStorage", "7", 12, "(" + text("8") + number(2) + number(5) + "t"), 0, {5}, {1}),
                   {{"7", floats}}, 4)),
      any);
  EXPECT_EQ(numbers_of(part), (Numbers{2, 3, 4, 5, 6}));

  const auto fails = [&](const std::string& file, Errc code, const std::string& what) {
    EXPECT_ERROR(from_bytes<Value>(bytes_of(file), any), code, what);
  };
  fails(good.substr(0, good.size() - 1), Errc::truncated, "ends before its storages");
  fails(good + "x", Errc::malformed, "goes on");
  fails(old_file(all, {{"7", floats + "1234"}}, 4), Errc::malformed, "13 elements instead of 12");
  fails(old_file(all, {{"8", floats}}, 4), Errc::malformed, "no tensor has");
  fails(old_file(all, {}, 4), Errc::not_found, "storage 7 is not there");
  const References found = references_in(path, any);
  EXPECT_FALSE(found.error);
  EXPECT_EQ(found.found.size(), 3);
}

TEST(Torch, TensorsInOtherPickles) {
  const std::string inner = old_file(storage("FloatStorage", "1", 12, "N"), {{"1", floats}}, 4);
  const auto storage_bytes = [](const std::string& bytes) {
    return global("torch.storage", "_load_from_bytes") + "(B" + le(bytes.size(), 4) + bytes + "tR";
  };
  const std::string pickle = "\x80\x03" + tensor(storage_bytes(inner), 2, {2, 5}, {5, 1}) + ".";
  EXPECT_EQ(numbers_of(from_bytes<Value>(bytes_of(pickle), any))[9], 11);
  // Files in files in files stay bytes.
  std::string deep = inner;
  for (int i = 0; i < 50; ++i) {
    deep = old_file(storage_bytes(deep), {}, 4);
  }
  const Value value = from_bytes<Value>(bytes_of("\x80\x03" + storage_bytes(deep) + "."), any);
  EXPECT_EQ(value.type_name(), "py:torch.storage._load_from_bytes");
}

TEST(Torch, ReferencesAreThoseOfThePickle) {
  const std::string path = fresh("model.pt");
  test::put(path, zip_of(dict({{"a", tensor(storage("FloatStorage", "0", 12), 0, {12}, {1})},
                               {"b", global("os", "system") + "(" + text("true") + "tR"}}),
                         {{"0", floats}}));
  const References found = references_in(path);
  ASSERT_EQ(found.found.size(), 4);
  EXPECT_EQ(found.found[0].name, "os.system");
  EXPECT_EQ(found.found[0].risk, Reference::Risk::dangerous);
  EXPECT_EQ(found.found[3].risk, Reference::Risk::data);
}

TEST(Torch, StateDictsGoToFormatsOfArrays) {
  const std::string weights = global("collections", "OrderedDict") + ")R(" + text("fc.weight") +
                              tensor(storage("FloatStorage", "0", 12), 0, {3, 4}, {4, 1}) + "u}" + text("_metadata") +
                              "}sb";
  const Value value = read(zip_of(weights, {{"0", floats}}));
  const std::string model = fresh("model.pt");
  test::put(model, zip_of(weights, {{"0", floats}}));
  const File file = open(model, any);
  EXPECT_EQ((file.load<Array<float, 2>>("fc.weight").shape()[1]), 4);
  EXPECT_EQ((file.load<std::map<std::string, Array<float, 2>>>("entries").at("fc.weight").shape()[1]), 4);
  const std::string path = fresh("model.safetensors");
  save(value, path, {.formats = &neighbours()});
  EXPECT_EQ((load<std::map<std::string, Array<float, 2>>>(path, any).at("fc.weight").shape()[1]), 4);
  const std::string arrays = fresh("model.npz");
  save(value, arrays, {.formats = &neighbours()});
  EXPECT_EQ((load<std::map<std::string, Array<float, 2>>>(arrays, any).at("fc.weight").shape()[1]), 4);
  EXPECT_ERROR(save(value, "model.pt", {.formats = &neighbours()}), Errc::unsupported, "only read");
}

TEST(Torch, OtherZipFilesAreNone) {
  std::vector<std::byte> file;
  const std::unique_ptr<Sink> sink = memory_sink(file);
  ZipWriter zip(*sink, std::nullopt);
  const Bytes bytes = bytes_of(floats);
  zip.add("data.pkl", {&bytes, 1});
  zip.finish();
  EXPECT_TRUE(read(file)["data.pkl"].is(ValueKind::bytes));
}

}  // namespace
}  // namespace stele
