#pragma once
// Keys of filters and sketches. A filter sees of a key only 64 bits, its hash, which is part of the file format:
//
//   an integer     its value modulo 2^64, x: add 0x9e3779b97f4a7c15, then x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9,
//                  x = (x ^ x >> 27) * 0x94d049bb133111eb, x ^ x >> 31 (the finaliser of SplitMix64; G. Steele, D. Lea
//                  and C. Flood, Fast splittable pseudorandom number generators, 2014)
//   text, bytes    XXH3-64 (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md)
//
// Distinct integers thus have distinct hashes, whatever their types; the integer 7 and the text "7" are two keys. Both
// are good against chance, and no help against someone who looks for keys that collide.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

namespace stele {

/// The hash of an integer key.
constexpr std::uint64_t integer_hash(std::uint64_t value) noexcept {
  std::uint64_t x = value + 0x9e3779b97f4a7c15U;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
  x = (x ^ x >> 27) * 0x94d049bb133111ebU;
  return x ^ x >> 31;
}

/// A key of filters and sketches: converts from an integer, an enumerator, text or bytes.
class KeyHash {
 public:
  constexpr KeyHash() noexcept : KeyHash(0) {}
  template <class T>
    requires(std::integral<T> || std::is_enum_v<T>)
  constexpr KeyHash(T value) noexcept : hash_(integer_hash(static_cast<std::uint64_t>(value))) {}
  template <class T>
    requires std::convertible_to<const T&, std::string_view>
  KeyHash(const T& text) : KeyHash(std::as_bytes(std::span(std::string_view(text)))) {}
  /// Up to the first zero, as for a writable buffer.
  template <std::size_t N>
  KeyHash(char (&text)[N]) : KeyHash(std::as_bytes(std::span(std::string_view(text)))) {}
  /// A literal, without the zero at its end.
  template <std::size_t N>
  KeyHash(const char (&text)[N]) : KeyHash(std::as_bytes(std::span(text, text[N - 1] == '\0' ? N - 1 : N))) {}
  KeyHash(std::span<const std::byte> bytes) noexcept;

  /// The key with this hash, from another program or from before.
  static constexpr KeyHash of_hash(std::uint64_t hash) noexcept {
    KeyHash key;
    key.hash_ = hash;
    return key;
  }
  constexpr std::uint64_t hash() const noexcept { return hash_; }
  friend bool operator==(const KeyHash&, const KeyHash&) = default;

 private:
  std::uint64_t hash_ = 0;
};

}  // namespace stele
