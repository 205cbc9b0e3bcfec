// The checksums of an array and of its pieces, however the bytes arrive.

#include "format/array/checksum.hpp"

#include <gtest/gtest.h>

#include <random>

#include "support/test_support.hpp"

namespace stele {
namespace {

constexpr std::size_t piece = std::size_t{1} << 20;

TEST(ArrayChecksum, ShortArraysHaveOneChecksum) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{5000}, piece}) {
    const std::vector<std::byte> bytes(size, std::byte{7});
    const ArrayChecksum found = array_checksum(bytes);
    EXPECT_EQ(found.whole, xxh3_64(bytes)) << size;
    EXPECT_TRUE(found.pieces.empty()) << size;
  }
}

TEST(ArrayChecksum, LongArraysHaveOneForEachMebibyte) {
  std::vector<std::byte> bytes(3 * piece + 17);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(i * 31 >> 7);
  }
  const ArrayChecksum found = array_checksum(bytes);
  ASSERT_EQ(found.pieces.size(), 4U);
  EXPECT_EQ(found.pieces[1], xxh3_64(Bytes(bytes).subspan(piece, piece)));
  EXPECT_EQ(found.pieces[3], xxh3_64(Bytes(bytes).subspan(3 * piece)));
  EXPECT_EQ(found.whole, xxh3_64(std::as_bytes(std::span(found.pieces))));
}

TEST(ArrayChecksum, DoesNotDependOnHowTheBytesArrive) {
  std::mt19937 random(3);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{100}, piece - 1, piece, piece + 1, 2 * piece, 2 * piece + 9}) {
    std::vector<std::byte> bytes(size);
    for (std::byte& byte : bytes) {
      byte = static_cast<std::byte>(random());
    }
    const ArrayChecksum expected = array_checksum(bytes);
    ArrayHash hash;
    for (const std::size_t most : {std::size_t{1} << 12, piece, piece + 4096, 5 * piece}) {
      for (const bool in_one : {false, true}) {
        hash.reset(in_one);
        for (Bytes left = bytes; !left.empty();) {
          const std::size_t count = std::min<std::size_t>(left.size(), 1 + random() % most);
          hash.update(left.first(count));
          left = left.subspan(count);
        }
        const ArrayChecksum found = hash.digest();
        EXPECT_EQ(found.whole, expected.whole) << size;
        EXPECT_EQ(found.pieces, expected.pieces) << size;
        if (in_one) {
          EXPECT_EQ(hash.in_one(), xxh3_64(bytes)) << size;
        }
      }
    }
  }
}

TEST(ArrayChecksum, BeginsWithPiecesThatAreKnown) {
  const std::vector<std::byte> bytes(2 * piece + 5, std::byte{3});
  const ArrayChecksum expected = array_checksum(bytes);
  ArrayHash hash;
  hash.reset();
  hash.begin_with({expected.pieces[0], expected.pieces[1]});
  hash.update(Bytes(bytes).subspan(2 * piece));
  EXPECT_EQ(hash.digest().whole, expected.whole);
}

}  // namespace
}  // namespace stele
