#include "stele/filters/key_hash.hpp"

#include <gtest/gtest.h>

#include <string>

#include "base/checksum.hpp"

namespace stele {
namespace {

TEST(KeyHash, HashesAreFrozen) {
  EXPECT_EQ(KeyHash(0).hash(), 0xe220a8397b1dcdafU);  // the first number of SplitMix64 from 0
  EXPECT_EQ(KeyHash(1).hash(), 0x910a2dec89025cc1U);
  EXPECT_EQ(KeyHash(-1).hash(), 0xe4d971771b652c20U);
  EXPECT_EQ(KeyHash("").hash(), 0x2d06800538d394c2U);  // XXH3-64 of nothing
  EXPECT_EQ(KeyHash("stele").hash(), xxh3_64(std::as_bytes(std::span("stele", 5))));
}

TEST(KeyHash, CountsIntegersByValueAndTextByBytes) {
  enum class Colour : std::uint16_t { red = 7 };
  EXPECT_EQ(KeyHash(std::int8_t{-1}), KeyHash(std::int64_t{-1}));
  EXPECT_EQ(KeyHash(std::uint8_t{7}), KeyHash(7));
  EXPECT_EQ(KeyHash(Colour::red), KeyHash(7));
  EXPECT_EQ(KeyHash("seven"), KeyHash(std::string("seven")));
  EXPECT_EQ(KeyHash(std::string_view("seven")), KeyHash(std::as_bytes(std::span("seven", 5))));
  EXPECT_NE(KeyHash("7"), KeyHash(7));
  EXPECT_EQ(KeyHash::of_hash(KeyHash("a").hash()), KeyHash("a"));
}

TEST(KeyHash, ALiteralIsTextWholeButForTheZeroAtItsEnd) {
  using namespace std::string_literals;
  EXPECT_EQ(KeyHash("a\0b"), KeyHash("a\0b"s));
  EXPECT_NE(KeyHash("a\0b"), KeyHash("a\0c"));
  EXPECT_EQ(KeyHash(""), KeyHash(std::string()));
  char buffer[16] = "seven";  // up to the first zero, as in a Key
  EXPECT_EQ(KeyHash(buffer), KeyHash("seven"));
}

}  // namespace
}  // namespace stele
