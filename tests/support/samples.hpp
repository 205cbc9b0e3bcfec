#pragma once
// Values for round trips through other formats.

#include <span>
#include <string_view>
#include <vector>

#include "stele/array.hpp"
#include "stele/io.hpp"

namespace stele::test {

inline std::vector<std::byte> bytes_of(std::string_view text) {
  const Bytes bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

inline Array<float, 2> matrix(std::uint64_t rows, std::uint64_t columns, Order order = Order::row_major) {
  Array<float, 2> array({rows, columns}, order);
  for (std::uint64_t i = 0; i < rows; ++i) {
    for (std::uint64_t j = 0; j < columns; ++j) {
      array.mutable_at(i, j) = static_cast<float>(i) - static_cast<float>(j) / 3;
    }
  }
  return array;
}

}  // namespace stele::test
