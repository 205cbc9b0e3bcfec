// Arrays that are left in a compressed archive until they are written to a file of another program.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "archive/formats.hpp"
#include "archive/value/later.hpp"
#include "archive/value/nodes.hpp"
#include "io/read.hpp"
#include "stele/interop.hpp"
#include "stele/stele.hpp"
#include "stele/value.hpp"
#include "support/memory.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::Folder;

constexpr std::size_t mebibyte = std::size_t{1} << 20;

/// Arrays of all forms; those with a buffer in common share it.
class Arrays {
 public:
  explicit Arrays(std::uint64_t seed) : random_(seed) {}

  Value any() {
    switch (random_() % 8) {
      case 0:
        return made(DType::Kind::float32, Shape{3 * mebibyte / 4 / 16, 16}, Order::row_major);
      case 1:
        return made(DType::Kind::int64, Shape{2 * mebibyte / 8 / 32, 32}, Order::column_major);  // narrowed
      case 2:
        return made(DType::Kind::boolean, Shape{mebibyte + random_() % 1000}, Order::row_major);
      case 3:
        return made(DType::Kind::uint8, Shape{}, Order::row_major);
      case 4:
        return made(DType::Kind::float64, Shape{4, 0, 3}, Order::row_major);
      case 5:
        return made(record(), Shape{mebibyte / 8, 2}, Order::row_major);
      case 6:
        return shared_[random_() % std::size(shared_)];
      default:
        return made(DType::Kind::float64, Shape{random_() % 2000}, Order::row_major);
    }
  }
  /// Of one buffer: all of it, rows, the same rows, rows turned, columns, every second row, one row alone.
  std::vector<Value> views() {
    constexpr std::uint64_t rows = 4096;
    constexpr std::uint64_t columns = 256;
    const AnyArray base = made(DType::Kind::float32, {rows, columns}, Order::row_major);
    const auto view = [&](std::uint64_t first, const Shape& shape, std::int64_t a, std::int64_t b) {
      ArrayView part = base.view();
      part.data += first * sizeof(float);
      part.shape = shape;
      part.strides[0] = a * static_cast<std::int64_t>(sizeof(float));
      part.strides[1] = b * static_cast<std::int64_t>(sizeof(float));
      return Value(ValueAccess::array(part, base.buffer(), true));
    };
    const auto row = static_cast<std::int64_t>(columns);
    return {view(0, {rows, columns}, row, 1),
            view(columns * 100, {rows - 300, columns}, row, 1),
            view(columns * 100, {rows - 300, columns}, row, 1),
            view(columns * 8, {columns, rows - 16}, 1, row),
            view(5, {rows, 100}, row, 1),
            view(0, {rows / 2, columns}, 2 * row, 1),
            view(columns * 7, {1, columns}, row, 1)};
  }

  /// As any(), without records.
  Value of_numbers() {
    for (;;) {
      Value value = any();
      if (!value.array().dtype().is_record()) {
        return value;
      }
    }
  }

 private:
  static DType record() {
    std::vector<DType::Field> fields;
    fields.push_back({.name = "id", .type = DType(DType::Kind::int32), .offset = 0});
    fields.push_back({.name = "score", .type = DType(DType::Kind::float64), .offset = 8});
    return DType::record(std::move(fields), 16);
  }

  AnyArray made(const DType& dtype, const Shape& shape, Order order) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(shape.count() * dtype.item_size()));
    const std::uint64_t values = dtype.kind() == DType::Kind::boolean ? 2 : 1 + random_() % 200;
    const std::size_t step = dtype.kind() == DType::Kind::int64 ? 8 : 1 + random_() % 3;
    for (std::size_t i = 0; i < bytes.size(); i += step) {
      bytes[i] = static_cast<std::byte>((i * 2654435761U >> 9) % values);
    }
    return AnyArray::copy_of(ArrayView(dtype, bytes.data(), shape, order));
  }

  std::mt19937_64 random_;
  const std::vector<Value> shared_ = views();
};

Value tree(Arrays& arrays, std::mt19937_64& random, int depth) {
  std::vector<Value> items;
  for (std::uint64_t i = 0; i < 2 + random() % 3; ++i) {
    items.push_back(depth > 0 && random() % 3 == 0 ? tree(arrays, random, depth - 1) : arrays.any());
  }
  switch (random() % 3) {
    case 0:
      return Value::make_sequence(std::move(items));
    case 1: {
      std::vector<std::string> names;
      for (std::size_t i = 0; i < items.size(); ++i) {
        names.push_back("field" + std::to_string(i));
      }
      return Value::make_record(std::move(names), std::move(items));
    }
    default: {
      std::vector<Value::Entry> entries{{Value("n"), Value(7)}};
      for (std::size_t i = 0; i < items.size(); ++i) {
        entries.emplace_back(Value(i), std::move(items[i]));
      }
      return Value::make_map(std::move(entries));
    }
  }
}

std::size_t count_left(const Value& value) {
  std::size_t count = later_array(value) != nullptr ? 1 : 0;
  if (value.is_map()) {
    for (const auto& [key, item] : value.entries()) {
      count += count_left(item);
    }
  } else if (value.is_sequence() || value.is_record()) {
    for (const Value& item : value.items()) {
      count += count_left(item);
    }
  }
  return count;
}

std::vector<std::byte> written(std::string_view format, const Value& value) {
  std::vector<std::byte> bytes;
  neighbours().write(format, *memory_sink(bytes), value, {});
  return bytes;
}

class Left : public testing::TestWithParam<const char*> {
 protected:
  std::string file() const { return folder_ / ("x.stele." + std::string(GetParam())); }
  Folder folder_;
};

TEST_P(Left, OtherProgramsFilesAreTheSameAsOfArraysInMemory) {
  std::size_t left = 0;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    Arrays arrays(seed);
    std::mt19937_64 random(seed);
    save(tree(arrays, random, 2), file());
    const File archive = open(file());
    const Value whole = archive.load<Value>();
    const Value later = archive.load<LaterTree>().value;
    left += count_left(later);
    EXPECT_TRUE(written("joblib", later) == written("joblib", whole)) << seed;
    EXPECT_TRUE(written("pickle", later) == written("pickle", whole)) << seed;
    EXPECT_TRUE(later == whole) << seed;
  }
  EXPECT_GT(left, 10);
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    Arrays arrays(seed);
    std::vector<Value::Entry> entries;
    for (int i = 0; i < 8; ++i) {
      entries.emplace_back(Value("a" + std::to_string(i)), arrays.of_numbers());
    }
    save(Value::make_map(entries), file());
    const File archive = open(file());
    const Value whole = archive.load<Value>();
    for (const char* const format : {"npz", "safetensors"}) {
      EXPECT_TRUE(written(format, archive.load<LaterTree>().value) == written(format, whole)) << format << seed;
    }
    const auto sink = file_sink(folder_ / "y.npz");  // which can be patched
    neighbours().write("npz", *sink, archive.load<LaterTree>().value, {});
    sink->close();
    EXPECT_TRUE(load<Value>(folder_ / "y.npz", {.formats = &neighbours()}) ==
                from_bytes<Value>(written("npz", whole), {.formats = &neighbours()}));
  }
}

TEST_P(Left, MemoryIsThatOfAFewBlocks) {
#ifdef STELE_TEST_SANITIZED
  GTEST_SKIP() << "sanitizers take memory themselves";
#endif
  {
    std::mt19937_64 random(1);
    std::vector<float> values(64 * mebibyte / sizeof(float));
    for (float& value : values) {
      value = static_cast<float>(random() % 1000);
    }
    const Value matrix =
        AnyArray::copy_of(ArrayView(DType::Kind::float32, values.data(), {values.size() / 256, 256}, Order::row_major));
    save(Value::make_map({{Value("a"), matrix}, {Value("b"), Value(1)}}), file(), {.threads = 2});
    save(matrix, folder_ / ("root.stele." + std::string(GetParam())), {.threads = 2});
  }
  for (const std::string format : {"npy", "npz", "joblib", "pickle", "safetensors"}) {
    const std::string from = format == "npy" ? folder_ / ("root.stele." + std::string(GetParam())) : file();
    const auto to = file_sink(folder_ / "y");
    EXPECT_LT(test::peak_mib([&] {
                const Value later = open(from, {.threads = 2}).load<LaterTree>().value;
                const Value map = format == "safetensors" ? Value::make_map({{Value("a"), later["a"]}}) : later;
                neighbours().write(format, *to, map, {});
              }),
              24)
        << format;
    to->close();
  }
}

TEST_P(Left, ADamagedBlockIsFoundWhileItIsWritten) {
  std::mt19937_64 random(3);
  std::vector<std::uint64_t> numbers(4 * mebibyte / 8);
  std::generate(numbers.begin(), numbers.end(), random);
  const Value noise = AnyArray::copy_of(ArrayView(DType::Kind::uint64, numbers.data(), numbers.size()));
  save(Value::make_map({{Value("a"), noise}, {Value("b"), noise}}), file());
  std::vector<std::byte> bytes;
  {
    const auto source = file_source(file());
    bytes.resize(*source->size());
    source->read_at(0, bytes);
  }
  for (std::size_t i = 1; i < 8; ++i) {
    std::vector<std::byte> damaged = bytes;
    damaged[bytes.size() * i / 8] ^= std::byte{0x20};
    test::put(file(), damaged);
    const Error error = test::error_of(
        [&] { (void)written("joblib", open(file(), {.verify = Verify::full}).load<LaterTree>().value); });
    EXPECT_EQ(error.code(), Errc::damaged) << i << error.what();
    EXPECT_NE(std::string(error.what()).find("x.stele"), std::string::npos) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(Codecs, Left, testing::Values("gz", "zst", "lz4"));

TEST(LeftFile, ArraysOfAMappedFileAndSmallOnesAreNotLeft) {
  const Folder folder;
  Arrays arrays(1);
  const Value whole = Value::make_sequence({arrays.any(), arrays.any(), arrays.any(), arrays.any()});
  save(whole, folder / "x.stele");
  EXPECT_EQ(count_left(open(folder / "x.stele", {.map = MapMode::read_only}).load<LaterTree>().value), 0);
  EXPECT_GT(count_left(open(folder / "x.stele").load<LaterTree>().value), 0);
  const std::vector<float> values(mebibyte / 4 - 1);
  save(Value(AnyArray::copy_of(ArrayView(DType::Kind::float32, values.data(), values.size()))), folder / "y.stele.zst");
  EXPECT_EQ(count_left(open(folder / "y.stele.zst").load<LaterTree>().value), 0);
}

TEST(LeftFile, ViewsThatAreOneRunOfTheirBufferAreLeft) {
  const Folder folder;
  const std::vector<Value> views = Arrays(1).views();
  const auto left = [&](std::vector<Value> items) {
    save(Value::make_sequence(std::move(items)), folder / "x.stele.zst");
    return open(folder / "x.stele.zst").load<LaterTree>().value;
  };
  const Value all = left(views);
  EXPECT_EQ(count_left(all), 4);
  EXPECT_EQ(later_array(all.items()[1]), later_array(all.items()[2])) << "an array at two places is one";
  EXPECT_NE(later_array(all.items()[1]), later_array(all.items()[0]));
  EXPECT_EQ(count_left(left({views[1], views[3]})), 2) << "the first one brings the buffer";
  EXPECT_EQ(count_left(left({views[6], views[4], views[5]})), 0);
}

TEST(LeftFile, AnArrayInPiecesIsLeft) {
  const Folder folder;
  std::vector<float> rows(64 * 1024);
  {
    MapWriter map(folder / "x.stele.zst");
    GrowingArray<float> grows = map.grow<float>("grows", Shape{64});
    for (int i = 0; i < 9; ++i) {
      std::fill(rows.begin(), rows.end(), static_cast<float>(i));
      grows.append(std::span<const float>(rows));
    }
    grows.close();
    map.close();
  }
  const File archive = open(folder / "x.stele.zst");
  const Value later = archive.load<LaterTree>().value;
  EXPECT_EQ(count_left(later), 1);
  EXPECT_TRUE(written("joblib", later) == written("joblib", archive.load<Value>()));
}

/// Gives its bytes in order alone.
class Pipe final : public Source {
 public:
  explicit Pipe(std::unique_ptr<Source> from) : from_(std::move(from)) {}
  std::size_t read(MutableBytes into) override { return from_->read(into); }

 private:
  const std::unique_ptr<Source> from_;
};

TEST(StreamedRoots, AnArrayIsWrittenWhileItComes) {
  const Folder folder;
  std::mt19937_64 random(1);
  for (const Order order : {Order::row_major, Order::column_major}) {
    std::vector<float> values(50 * mebibyte / sizeof(float));
    for (float& value : values) {
      value = static_cast<float>(random() % 1000);
    }
    const Value matrix =
        AnyArray::copy_of(ArrayView(DType::Kind::float32, values.data(), {values.size() / 256, 256}, order));
    for (const std::string codec : {"plain", "zstd", "zlib"}) {
      save(matrix, folder / "x", {.codec = codec, .level = codec == "plain" ? std::nullopt : std::optional(1)});
      Pipe pipe(file_source(folder / "x"));
      const auto to = file_sink(folder / "y");
      bool later = false;
      [[maybe_unused]] const double peak = test::peak_mib([&] {
        Reader reader(pipe);
        StreamedRoot root{[&](const Value& value) {
          later = later_array(value) != nullptr;
          neighbours().write("npy", *to, value, {});
        }};
        reader.read_into(root);
        EXPECT_FALSE(reader.more());
      });
      to->close();
      EXPECT_TRUE(later);
#ifndef STELE_TEST_SANITIZED
      EXPECT_LT(peak, 24) << codec;
#endif
      EXPECT_TRUE(load<Value>(folder / "y", {.formats = &neighbours()}) == matrix) << codec;
    }
  }
}

TEST(StreamedRoots, ElementsThatFitNoPieceComeWhole) {
  constexpr std::uint32_t sizes[] = {24, 999'983, 9'000'001};
  for (const std::uint32_t size : sizes) {
    std::vector<char> texts(20'000'000 / size * size, 'x');
    for (std::size_t i = 0; i < texts.size(); i += 1001) {
      texts[i] = static_cast<char>('a' + i % 23);
    }
    const Value whole = AnyArray::copy_of(ArrayView(DType::fixed_bytes(size), texts.data(), texts.size() / size));
    const std::vector<std::byte> bytes = to_bytes(whole, {.codec = "zstd", .level = 1});
    for (const bool reads_all : {false, true}) {
      Pipe pipe(memory_source(bytes));
      bool same = false;
      StreamedRoot root{[&](const Value& value) {
        ASSERT_NE(later_array(value), nullptr);
        same = reads_all ? value == whole : written("npy", value) == written("npy", whole);
      }};
      Reader(pipe).read_into(root);
      EXPECT_TRUE(same) << size;
    }
    const Folder folder;
    test::put(folder / "x.zst", bytes);
    EXPECT_TRUE(written("joblib", open(folder / "x.zst").load<LaterTree>().value) == written("joblib", whole)) << size;
  }
}

TEST(StreamedRoots, OtherRootsAreReadWhole) {
  const Array<float> small({4});
  const Array<float> shared({mebibyte});
  const std::vector<Value> roots = {Value("text"), to_value(small), to_value(std::vector{shared, shared}), Value()};
  for (const Value& root : roots) {
    const std::vector<std::byte> bytes = to_bytes(root);
    Value found(1);
    StreamedRoot streamed{[&](const Value& value) { found = value; }};
    Reader(bytes).read_into(streamed);
    EXPECT_TRUE(found == root);
  }
}

TEST(StreamedRoots, DamageIsFound) {
  const std::vector<float> values(mebibyte);
  std::vector<std::byte> bytes =
      to_bytes(Value(AnyArray::copy_of(ArrayView(DType::Kind::float32, values.data(), values.size()))));
  bytes[bytes.size() / 2] ^= std::byte{1};
  const auto read = [](Bytes from) {
    StreamedRoot root{[](const Value& value) { (void)written("npy", value); }};
    Reader(from).read_into(root);
  };
  EXPECT_ERROR(read(bytes), Errc::damaged, "checksum");
  EXPECT_ERROR(read(Bytes(bytes).first(bytes.size() / 2)), Errc::truncated, "");
}

}  // namespace
}  // namespace stele
