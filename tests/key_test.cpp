#include "stele/key.hpp"

#include <gtest/gtest.h>

#include <string>

#include "src/base/checksum.hpp"

namespace stele {
namespace {

TEST(Key, HashesAreFrozen) {
  EXPECT_EQ(Key(0).hash(), 0xe220a8397b1dcdafU);  // the first number of SplitMix64 from 0
  EXPECT_EQ(Key(1).hash(), 0x910a2dec89025cc1U);
  EXPECT_EQ(Key(-1).hash(), 0xe4d971771b652c20U);
  EXPECT_EQ(Key("").hash(), 0x2d06800538d394c2U);  // XXH3-64 of nothing
  EXPECT_EQ(Key("stele").hash(), xxh3_64(std::as_bytes(std::span("stele", 5))));
}

TEST(Key, CountsIntegersByValueAndTextByBytes) {
  enum class Colour : std::uint16_t { red = 7 };
  EXPECT_EQ(Key(std::int8_t{-1}), Key(std::int64_t{-1}));
  EXPECT_EQ(Key(std::uint8_t{7}), Key(7));
  EXPECT_EQ(Key(Colour::red), Key(7));
  EXPECT_EQ(Key("seven"), Key(std::string("seven")));
  EXPECT_EQ(Key(std::string_view("seven")), Key(std::as_bytes(std::span("seven", 5))));
  EXPECT_NE(Key("7"), Key(7));
  EXPECT_EQ(Key::of_hash(Key("a").hash()), Key("a"));
}

}  // namespace
}  // namespace stele
