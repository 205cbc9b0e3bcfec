#include "stele/store/key.hpp"

#include <array>
#include <limits>

#include "base/bytes.hpp"
#include "format/text/utf8.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

enum Tag : char { negative = 1, natural_number = 2, byte_string = 3, text_string = 4 };
constexpr std::size_t number_size = 9;

std::string number(Tag tag, std::uint64_t value) {
  std::array<std::byte, 8> big;
  store_be<std::uint64_t>(big.data(), value);
  std::string sortable(1, tag);
  sortable.append(reinterpret_cast<const char*>(big.data()), big.size());
  return sortable;
}

std::string string(Tag tag, std::string_view bytes) {
  std::string sortable;
  sortable.reserve(1 + bytes.size());
  sortable += tag;
  sortable += bytes;
  return sortable;
}

}  // namespace

StoreKey::StoreKey(std::string_view text) : sortable_(string(is_utf8(text) ? text_string : byte_string, text)) {}

StoreKey::StoreKey(Bytes bytes)
    : sortable_(string(byte_string, {reinterpret_cast<const char*>(bytes.data()), bytes.size()})) {}

void StoreKey::set_signed(std::int64_t value) {
  sortable_ = number(value < 0 ? negative : natural_number, static_cast<std::uint64_t>(value));
}

void StoreKey::set_unsigned(std::uint64_t value) { sortable_ = number(natural_number, value); }

StoreKey::Kind StoreKey::kind() const noexcept {
  switch (sortable_[0]) {
    case byte_string:
      return Kind::bytes;
    case text_string:
      return Kind::text;
    default:
      return Kind::integer;
  }
}

std::string_view StoreKey::text() const& {
  if (kind() == Kind::integer) {
    fail(Errc::type_mismatch, "the key " + describe() + " is an integer, not a text");
  }
  return std::string_view(sortable_).substr(1);
}

Bytes StoreKey::bytes() const& {
  const std::string_view all = text();
  return std::as_bytes(std::span(all));
}

std::int64_t StoreKey::integer() const {
  const std::uint64_t value = sortable_[0] == negative ? 0 : natural();
  if (sortable_[0] == negative) {
    return static_cast<std::int64_t>(load_be<std::uint64_t>(reinterpret_cast<const std::byte*>(sortable_.data()) + 1));
  }
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    fail(Errc::out_of_range, "the key " + describe() + " does not fit a signed integer of 64 bits");
  }
  return static_cast<std::int64_t>(value);
}

std::uint64_t StoreKey::natural() const {
  if (kind() != Kind::integer) {
    fail(Errc::type_mismatch, "the key " + describe() + " is not an integer");
  }
  if (sortable_[0] == negative) {
    fail(Errc::out_of_range, "the key " + describe() + " is negative");
  }
  return load_be<std::uint64_t>(reinterpret_cast<const std::byte*>(sortable_.data()) + 1);
}

std::string StoreKey::describe() const {
  switch (kind()) {
    case Kind::integer:
      return sortable_[0] == negative ? std::to_string(integer()) : std::to_string(natural());
    case Kind::text:
      return '"' + sortable_.substr(1) + '"';
    case Kind::bytes:
      break;
  }
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex = "0x";
  for (const char c : std::string_view(sortable_).substr(1)) {
    const auto byte = static_cast<unsigned char>(c);
    hex += digits[byte >> 4];
    hex += digits[byte & 15];
  }
  return hex;
}

StoreKey StoreKey::from_sortable(std::string_view sortable) {
  const char tag = sortable.empty() ? '\0' : sortable[0];
  bool good = false;
  if (tag == negative || tag == natural_number) {
    good = sortable.size() == number_size && (tag == natural_number || (sortable[1] & 0x80) != 0);
  } else if (tag == byte_string || tag == text_string) {
    good = tag == byte_string || is_utf8(sortable.substr(1));
  }
  if (!good) {
    fail(Errc::damaged, "the index has an invalid key");
  }
  StoreKey key{0};
  key.sortable_ = sortable;
  return key;
}

}  // namespace stele
