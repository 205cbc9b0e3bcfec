#pragma once
// Shared by the tests of walk/: how a value is stored, and containers written item by item.

#include <sstream>
#include <string>
#include <string_view>

#include "stele/describe.hpp"
#include "stele/hash.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele::test {

inline std::string json(const auto& value) {
  std::string text = describe(value, {.format = DescribeOptions::Format::json});
  std::erase_if(text, [](char c) { return c == '\n' || c == ' '; });
  return text;
}

/// Checks that every visitor stores a value as `form` and reads it back.
template <class T>
void expect_form(const T& value, std::string_view form) {
  EXPECT_EQ(json(value), form);
  EXPECT_EQ(json(to_value(value)), form);
  const auto bytes = to_bytes(value);
  EXPECT_EQ(json(from_bytes<Value>(bytes)), form);
  EXPECT_EQ(json(from_bytes<T>(bytes)), form);
  EXPECT_EQ(hash(value), hash(from_bytes<T>(bytes)));
}

/// A container written and read item by item.
template <class C>
struct OneByOne {
  C items;
};

}  // namespace stele::test

template <class C>
struct stele::Visit<stele::test::OneByOne<C>> {
  static constexpr bool is_map = requires { typename C::mapped_type; };
  static void write(OutVisitor& out, const stele::test::OneByOne<C>& value) {
    is_map ? out.begin_map(value.items.size()) : out.begin_sequence(value.items.size());
    for (const auto& item : value.items) {
      if constexpr (is_map) {
        stele::write(out, item.first);
        stele::write(out, item.second);
      } else {
        stele::write(out, item);
      }
    }
    out.end();
  }
};

namespace stele::test {

inline std::mt19937_64& random_bits() {
  static std::mt19937_64 random(5);
  return random;
}

inline std::string letters(std::size_t length) {
  std::string text(length, ' ');
  for (char& letter : text) {
    letter = static_cast<char>('a' + random_bits()() % 26);
  }
  return text;
}

/// The bytes are those of the items written one by one, and they come back in order, from memory and from a stream.
template <class C>
void expect_round_trip(const C& value) {
  const std::vector<std::byte> bytes = to_bytes(value);
  EXPECT_TRUE(bytes == to_bytes(OneByOne<C>{value}));
  EXPECT_TRUE(from_bytes<C>(bytes) == value);
  std::stringstream stream(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  EXPECT_TRUE(load<C>(stream) == value);
}

}  // namespace stele::test
