#include <array>
#include <bit>
#include <cmath>

#include "base/bytes.hpp"
#include "stele/store/items.hpp"

namespace stele {
namespace {

constexpr std::size_t text_size = 24;
constexpr std::uint64_t sign = std::uint64_t{1} << 63;

std::string number(char kind, std::uint64_t bits) {
  std::array<std::byte, 8> big;
  store_be<std::uint64_t>(big.data(), bits);
  return kind + std::string(reinterpret_cast<const char*>(big.data()), big.size());
}

/// Bits whose order as integers is the order of the floats (IEEE 754): all bits of negative numbers are inverted.
std::uint64_t ordered_bits(double value) {
  if (std::isnan(value)) {
    return ~std::uint64_t{0};
  }
  const auto bits = std::bit_cast<std::uint64_t>(value);
  return (bits & sign) != 0 ? ~bits : bits | sign;
}

/// A short text ends with zero bytes, so that a key may follow it.
std::string padded(std::string_view text) {
  std::string all = '\3' + std::string(text.substr(0, text_size));
  all.resize(1 + text_size, '\0');
  return all;
}

}  // namespace

StoreOrderValue::StoreOrderValue(std::int64_t value, int)
    : sortable_(number('\1', static_cast<std::uint64_t>(value) ^ sign)) {}
StoreOrderValue::StoreOrderValue(double value) : sortable_(number('\2', ordered_bits(value))) {}
StoreOrderValue::StoreOrderValue(std::string_view text) : sortable_(padded(text)) {}

}  // namespace stele
