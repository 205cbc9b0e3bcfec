#pragma once
// Keys of a Store: integers, byte strings and texts.

#include <compare>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "stele/io.hpp"

namespace stele {

/// A key. Integers come first, ordered by value; then byte strings, then texts, ordered by their bytes. A text that is
/// not UTF-8 is a byte string. Thread-safe as any value.
class StoreKey {
 public:
  enum class Kind : std::uint8_t { integer, bytes, text };
  /// The most bytes of a byte string or text; the Store refuses longer ones.
  static constexpr std::size_t max_size = 480;

  /// The empty text.
  StoreKey() : StoreKey(std::string_view{}) {}
  template <std::integral I>
    requires(!std::same_as<I, bool> && !std::same_as<I, char>)
  StoreKey(I value) {
    if constexpr (std::signed_integral<I>) {
      set_signed(value);
    } else {
      set_unsigned(value);
    }
  }
  StoreKey(std::string_view text);
  StoreKey(const std::string& text) : StoreKey(std::string_view(text)) {}
  /// Up to the first zero, as for a writable buffer.
  template <class P>
    requires std::same_as<P, const char*> || std::same_as<P, char*>
  StoreKey(P text) : StoreKey(std::string_view(text)) {}
  template <std::size_t N>
  StoreKey(char (&text)[N]) : StoreKey(static_cast<const char*>(text)) {}
  /// A literal, without the zero at its end.
  template <std::size_t N>
  StoreKey(const char (&text)[N]) : StoreKey(std::string_view(text, text[N - 1] == '\0' ? N - 1 : N)) {}
  StoreKey(Bytes bytes);

  Kind kind() const noexcept;
  /// The bytes of a text or byte string.
  /// Throws: Error(type_mismatch) for an integer.
  std::string_view text() const&;
  std::string_view text() const&& = delete;
  Bytes bytes() const&;
  Bytes bytes() const&& = delete;
  /// The value of an integer.
  /// Throws: Error(type_mismatch), Error(out_of_range).
  std::int64_t integer() const;
  std::uint64_t natural() const;
  /// For people and messages: 12, "abc", 0x00ff.
  std::string describe() const;

  friend bool operator==(const StoreKey&, const StoreKey&) = default;
  friend std::strong_ordering operator<=>(const StoreKey& a, const StoreKey& b) noexcept {
    return a.sortable_.compare(b.sortable_) <=> 0;
  }

  /// Bytes that sort as the keys do: what the index holds (docs/store.md).
  const std::string& sortable() const noexcept { return sortable_; }
  /// The reverse.
  /// Throws: Error(damaged) for bytes that no key has.
  static StoreKey from_sortable(std::string_view sortable);

 private:
  void set_signed(std::int64_t value);
  void set_unsigned(std::uint64_t value);
  std::string sortable_;  // a byte for the kind, then big-endian or the bytes themselves
};

/// Which keys an iteration visits. All bounds together must hold.
struct StoreKeyRange {
  /// The first key, itself included.
  std::optional<StoreKey> from = std::nullopt;
  /// The end, which is not included.
  std::optional<StoreKey> to = std::nullopt;
  /// Texts that begin with this text, or byte strings that begin with these bytes. Must not be an integer.
  std::optional<StoreKey> prefix = std::nullopt;
  /// From the last to the first.
  bool reverse = false;
};

}  // namespace stele
