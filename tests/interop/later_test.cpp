// Arrays that are left in their file until they are written: equal files, in memory of a few blocks.

#include "archive/value/later.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "archive/formats.hpp"
#include "archive/read/foreign.hpp"
#include "interop/npy/npy.hpp"
#include "interop/npy/npz.hpp"
#include "interop/pickle/write/pickle_writer.hpp"
#include "stele/codec.hpp"
#include "stele/interop.hpp"
#include "stele/stele.hpp"
#include "stele/value.hpp"
#include "support/memory.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::Folder;

constexpr std::size_t mebibyte = std::size_t{1} << 20;

Value floats(std::size_t mib, const Shape& shape, Order order = Order::row_major) {
  std::mt19937_64 random(mib);
  std::vector<float> values(mib * mebibyte / sizeof(float));
  for (float& value : values) {
    value = static_cast<float>(random() >> 40) / (1 << 24);
  }
  return AnyArray::copy_of(ArrayView(DType::Kind::float32, values.data(), shape, order));
}

/// Arrays of all kinds, large ones, and what is beside them. So many MiB each.
Value tree(std::size_t mib) {
  const std::uint64_t rows = mib * mebibyte / sizeof(float) / 256;
  std::vector<std::int64_t> numbers(mib * mebibyte / sizeof(std::int64_t));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = static_cast<std::int64_t>(i % 100);  // narrow is best, which takes all of it
  }
  const std::vector<std::uint8_t> bools(mib * mebibyte, 1);
  return Value::make_map(
      {{Value("matrix"), floats(mib, {rows, 256})},
       {Value("columns"), floats(mib, {rows, 256}, Order::column_major)},
       {Value("small"), floats(1, {512, 512})},
       {Value("numbers"), AnyArray::copy_of(ArrayView(DType::Kind::int64, numbers.data(), numbers.size()))},
       {Value("bools"), AnyArray::copy_of(ArrayView(DType::Kind::boolean, bools.data(), bools.size()))}});
}

void write(const Value& value, const std::string& file) {
  const auto to = file_sink(file);
  const Codecs codecs;
  const Codec* const codec = codecs.by_extension(file);
  const auto compressed = codec != nullptr ? compressing_sink(*to, *codec, 1) : nullptr;
  Sink& sink = compressed != nullptr ? *compressed : *to;
  if (file.find(".npy") != std::string::npos) {
    write_npy(sink, value.array());
  } else if (file.find(".npz") != std::string::npos) {
    write_npz(sink, value, {.level = 1});
  } else {
    write_pickle(sink, value, {.joblib = true});
  }
  if (compressed != nullptr) {
    compressed->close();
  }
  to->close();
}

ForeignFile open_later(const std::string& file) { return open_foreign(file, {.formats = &neighbours()}); }

class Later : public testing::TestWithParam<const char*> {};

TEST_P(Later, AnArchiveIsTheSameAsOfArraysInMemory) {
  const Folder folder;
  const bool alone = std::string(GetParam()).find(".npy") != std::string::npos;
  const Value whole = alone ? floats(6, {6 * mebibyte / 16, 4}) : tree(6);
  const std::string file = folder / ("x" + std::string(GetParam()));
  write(whole, file);
  const ForeignFile later = open_later(file);
  const Value& first = alone ? later.content.value : later.content.value["matrix"];
  ASSERT_NE(later_array(first), nullptr);
  for (const char* const codec : {"plain", "zstd", "gzip"}) {
    const auto bytes = to_bytes(later.content.value, {.codec = codec});
    const auto good = to_bytes(whole, {.codec = codec});
    if (codec == std::string("plain")) {
      EXPECT_TRUE(bytes == good);
    } else {  // blocks and samples may differ
      EXPECT_LT(bytes.size(), good.size() * 101 / 100) << codec;
    }
    EXPECT_TRUE(from_bytes<Value>(bytes) == whole) << codec;
  }
  EXPECT_EQ(hash(later.content.value), hash(whole));
  EXPECT_TRUE(later.content.value == whole) << "who asks for the elements has them";
}

TEST_P(Later, DamageIsFoundWhenItIsWritten) {
  const Folder folder;
  const bool alone = std::string(GetParam()).find(".npy") != std::string::npos;
  const std::string file = folder / ("x" + std::string(GetParam()));
  write(alone ? floats(5, {5 * mebibyte / 4}) : tree(5), file);
  test::Data bytes;
  {
    const auto source = file_source(file);
    bytes.resize(source->size().value());
    source->read_at(0, bytes);
  }
  for (const std::size_t at : {bytes.size() / 4, bytes.size() / 2, bytes.size() - 6}) {
    test::Data damaged = bytes;
    damaged[at] ^= std::byte{0x10};
    test::put(file, damaged);
    const Error error = test::error_of([&] {
      const ForeignFile later = open_later(file);
      (void)to_bytes(later.content.value);
    });
    EXPECT_TRUE(error.code() == Errc::damaged || error.code() == Errc::truncated || error.code() == Errc::malformed)
        << at << ": " << error.what();
  }
  bytes.resize(bytes.size() / 2);
  test::put(file, bytes);
  EXPECT_NE(test::error_of([&] { (void)to_bytes(open_later(file).content.value); }).code(), Errc::io);
}

TEST_P(Later, MemoryIsThatOfAFewBlocks) {
#ifdef STELE_TEST_SANITIZED
  GTEST_SKIP() << "sanitizers take memory themselves";
#endif
  const Folder folder;
  const bool alone = std::string(GetParam()).find(".npy") != std::string::npos;
  const std::string file = folder / ("x" + std::string(GetParam()));
  {
    const Value matrix = floats(80, {80 * mebibyte / 1024, 256});
    write(alone ? matrix : Value::make_map({{Value("a"), matrix}, {Value("b"), matrix}}), file);
  }
  for (const char* const codec : {"plain", "zstd"}) {
    const auto sink = file_sink(folder / "x.stele");
    EXPECT_LT(test::peak_mib([&] {
                const ForeignFile later = open_later(file);
                save(*sink, later.content.value, {.codec = codec, .level = codec == std::string("zstd") ? 1 : 0});
              }),
              40)
        << codec;
    sink->close();
  }
}

TEST_P(Later, OtherFormatsAreWrittenFromThere) {
  const Folder folder;
  const bool alone = std::string(GetParam()).find(".npy") != std::string::npos;
  const Value matrix = floats(40, {40 * mebibyte / 1024, 256});
  const Value whole = alone ? matrix : Value::make_map({{Value("a"), matrix}, {Value("b"), matrix}});
  const std::string file = folder / ("x" + std::string(GetParam()));
  write(whole, file);
  const char* const format = alone ? "npy" : "npz";
  const auto to = file_sink(folder / "y");
  const auto good = file_sink(folder / "good");
  neighbours().write(format, *good, whole, {});
  good->close();
  // Of a .npz file one array at a time, as its checksum comes first.
  [[maybe_unused]] const double used =
      test::peak_mib([&] { neighbours().write(format, *to, open_later(file).content.value, {}); });
  to->close();
#ifndef STELE_TEST_SANITIZED
  EXPECT_LT(used, alone ? 24 : 40 + 24);
#endif
  EXPECT_TRUE(load<Value>(folder / "y", {.formats = &neighbours()}) == whole);
  EXPECT_EQ(std::filesystem::file_size(folder / "y"), std::filesystem::file_size(folder / "good"));
}

INSTANTIATE_TEST_SUITE_P(Neighbours, Later, testing::Values(".npy.gz", ".npy.zst", ".npz", ".joblib.z", ".joblib.lz4"),
                         [](const auto& info) {
                           std::string name(info.param + 1);
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST(LaterFile, ElementsLargerThanAPieceAreReadWhole) {
  const Folder folder;
  constexpr std::uint32_t item = 5'000'000;
  std::vector<char> elements(3 * item);
  for (std::size_t i = 0; i < elements.size(); ++i) {
    elements[i] = static_cast<char>('a' + i % 23);
  }
  const Value whole = AnyArray::copy_of(ArrayView(DType::fixed_bytes(item), elements.data(), 3));
  const std::string file = folder / "wide.npy.gz";
  write(whole, file);
  const ForeignFile later = open_later(file);
  ASSERT_NE(later_array(later.content.value), nullptr);
  EXPECT_TRUE(to_bytes(later.content.value) == to_bytes(whole));
}

TEST(LaterFile, AFileThatIsReplacedMeanwhileIsAnErrorAndNoOtherArray) {
  const Folder folder;
  const std::string file = folder / "x.npy.gz";
  write(floats(6, {6 * mebibyte / 16, 4}), file);
  const ForeignFile later = open_later(file);
  ASSERT_NE(later_array(later.content.value), nullptr);
  write(floats(7, {7 * mebibyte / 16, 4}), file);
  EXPECT_ERROR(to_bytes(later.content.value), Errc::io, "changed or replaced while it was read");
}

}  // namespace
}  // namespace stele
