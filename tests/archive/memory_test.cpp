// Loading when the size is only claimed, as from a pipe: memory stays at the object's size plus a few MiB.

#include <gtest/gtest.h>

#include <string>

#include "format/frozen.hpp"
#include "stele/codec.hpp"
#include "stele/eigen.hpp"
#include "stele/stele.hpp"
#include "stele/value.hpp"
#include "support/memory.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

constexpr std::size_t count = std::size_t{20} << 20;  // 80 MiB: not a power of 2, so that doubling exceeds it
constexpr double mebibyte = 1 << 20;

/// The most memory that an action takes at once, beyond `object` MiB.
template <class F>
double beyond(double object, F&& action) {
  return test::peak_mib(action) - object;
}

class MemoryOf : public testing::TestWithParam<const char*> {};

TEST_P(MemoryOf, ALoadFromAPipeIsThatOfTheObject) {
#ifdef STELE_TEST_SANITIZED
  GTEST_SKIP() << "sanitizers take memory themselves";
#endif
  const Codecs codecs;
  if (GetParam() != std::string("plain") && codecs.find(GetParam()) == nullptr) {
    GTEST_SKIP() << "this build has no " << GetParam();
  }
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(i >> 10 & 255);
  }
  const std::vector<std::byte> file = to_bytes(values, {.codec = GetParam()});
  constexpr double object = count * sizeof(float) / mebibyte;
  values = {};
  const auto load_as = [&]<class T>(T*) {
    test::TrickleSource source(file, std::size_t{1} << 16);
    const T back = load<T>(source);
    (void)back;
  };
  EXPECT_LT(beyond(object, [&] { load_as(static_cast<std::vector<float>*>(nullptr)); }), 16);
  EXPECT_LT(beyond(object, [&] { load_as(static_cast<Array<float>*>(nullptr)); }), 16);
  EXPECT_LT(beyond(object, [&] { load_as(static_cast<Value*>(nullptr)); }), 16);
  EXPECT_LT(beyond(object, [&] { load_as(static_cast<Eigen::VectorXf*>(nullptr)); }), 16);
  EXPECT_LT(beyond(2 * object, [&] { load_as(static_cast<std::vector<double>*>(nullptr)); }), 16);
  EXPECT_LT(beyond(2 * object, [&] { load_as(static_cast<Array<double>*>(nullptr)); }), 16);
}

TEST_P(MemoryOf, BatchesFromAPipeAreThatOfAFewBlocks) {
#ifdef STELE_TEST_SANITIZED
  GTEST_SKIP() << "sanitizers take memory themselves";
#endif
  const Codecs codecs;
  if (GetParam() != std::string("plain") && codecs.find(GetParam()) == nullptr) {
    GTEST_SKIP() << "this build has no " << GetParam();
  }
  test::PipeSink file;
  EXPECT_LT(beyond(0,
                   [&] {  // written batch by batch, into memory of `file`
                     MapWriter out(file, {.codec = GetParam()});
                     auto rows = out.grow<float>("rows", {256});
                     std::vector<float> batch(1024 * 256);
                     for (std::size_t i = 0; i < count / batch.size(); ++i) {
                       std::fill(batch.begin(), batch.end(), static_cast<float>(i));
                       rows.append(batch);
                     }
                     rows.close();
                     out.close();
                   }) -
                static_cast<double>(file.data.capacity()) * 1.5 / mebibyte,
            16);
  EXPECT_LT(beyond(0,
                   [&] {
                     test::TrickleSource source(file.data, std::size_t{1} << 16);
                     Reader reader(source);
                     std::uint64_t rows = 0;
                     for (const Array<float, 2>& batch : reader.batches<float, 2>("rows", 1024)) {
                       ASSERT_EQ(batch(1023, 255), static_cast<float>(rows / 1024));
                       rows += batch.shape()[0];
                     }
                     EXPECT_EQ(rows, count / 256);
                   }),
            32);  // the allocator keeps some 20 MiB, however many batches there are
}

/// A gzip member as other tools make it: without its size in the header.
std::vector<std::byte> foreign_member(Bytes content) {
  constexpr std::size_t header = 24;  // with the place of the next member; a plain one has 10
  std::vector<std::byte> one;
  const Codecs codecs;
  const auto to = memory_sink(one);
  const auto sink = compressing_sink(*to, *codecs.find("gzip"), std::nullopt);
  sink->write(content);
  sink->close();
  std::vector<std::byte> plain(one.begin(), one.begin() + 10);
  plain[3] = std::byte{0};
  plain.insert(plain.end(), one.begin() + header, one.end());
  return plain;
}

/// A gzip file of members without an index: the label of an archive, then 1 MiB of zeros in each.
std::vector<std::byte> foreign_gzip(std::size_t members) {
  std::vector<std::byte> all = foreign_member(std::as_bytes(std::span(frozen::label)));
  const std::vector<std::byte> zeros = foreign_member(std::vector<std::byte>(std::size_t{1} << 20));
  for (std::size_t i = 0; i < members; ++i) {
    all.insert(all.end(), zeros.begin(), zeros.end());
  }
  return all;
}

TEST(Memory, AFileThatExpandsTooMuchIsNotHeld) {
#ifdef STELE_TEST_SANITIZED
  GTEST_SKIP() << "takes long with a sanitizer";
#endif
  const std::vector<std::byte> bomb = foreign_gzip(1200);
  const Error error = test::error_of([&] { (void)open(memory_source(bomb), {.limits = {.expansion = 100}}); });
  EXPECT_EQ(error.code(), Errc::limit_exceeded);
  EXPECT_NE(error.message().find("100 times"), std::string::npos) << error.message();
}

TEST(Memory, OfAFileHeldWholeIsThatOfItsPlainBytes) {
#ifdef STELE_TEST_SANITIZED
  GTEST_SKIP() << "sanitizers take memory themselves";
#endif
  const std::vector<std::byte> file = foreign_gzip(140);  // just beyond 128 MiB
  EXPECT_LT(
      beyond(140,
             [&] { EXPECT_NE(test::error_of([&] { (void)open(memory_source(file)); }).code(), Errc::not_an_archive); }),
      16);
}

/// Other writers need not list the chunks of an array.
TEST(Memory, OfTheChunksOfALazyArrayIsBounded) {
#ifdef STELE_TEST_SANITIZED
  GTEST_SKIP() << "sanitizers take memory themselves";
#endif
  constexpr std::size_t chunks = 3'000'000;
  test::Data root = test::hex("d840 5f");
  for (std::size_t i = 0; i < chunks; ++i) {
    root.push_back(std::byte{0x41});
    root.push_back(static_cast<std::byte>(i % 251));
  }
  root.push_back(std::byte{0xff});
  const test::Data file = test::wrap(root);
  EXPECT_LT(beyond(0,
                   [&] {
                     const auto lazy = open(memory_source(file)).array<std::uint8_t, 1>();
                     ASSERT_EQ(lazy.shape()[0], chunks);
                     EXPECT_EQ(lazy.rows(2'999'000, 5)[4], 2'999'004 % 251);
                   }),
            32);
}

INSTANTIATE_TEST_SUITE_P(Codecs, MemoryOf, testing::Values("plain", "gzip", "zlib", "lz4", "zstd"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace stele
