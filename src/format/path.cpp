#include "format/path.hpp"

#include <bit>
#include <charconv>

#include "base/float_mode.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

/// The shortest text that reads back as the same number.
template <class T>
std::string shortest(T value) {
  char text[64];
  const auto [end, failed] = std::to_chars(text, text + sizeof text, value);
  return failed == std::errc() ? std::string(text, end) : std::string("#");
}

}  // namespace

std::string place_text(std::uint64_t index) { return "#" + std::to_string(index); }

std::string number_text(const Number& number) {
  const StandardFloats standard;
  switch (number.type) {
    case Number::Type::natural:
      return std::to_string(number.bits);
    case Number::Type::negative:
      return number.bits == ~std::uint64_t{0} ? "-18446744073709551616" : "-" + std::to_string(number.bits + 1);
    case Number::Type::float64:
      return shortest(std::bit_cast<double>(number.bits));
    case Number::Type::float32:
      return shortest(std::bit_cast<float>(static_cast<std::uint32_t>(number.bits)));
    default:
      return shortest(static_cast<float>(std::bit_cast<float16>(static_cast<std::uint16_t>(number.bits))));
  }
}

void append_step(std::string& path, std::string_view step) {
  if (!path.empty()) {
    path += '/';
  }
  if (step.empty()) {
    path += '~';
  }
  for (const char c : step) {
    if (c == '~') {
      path += "~0";
    } else if (c == '/') {
      path += "~1";
    } else {
      path += c;
    }
  }
}

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> steps;
  if (path.empty()) {
    return steps;
  }
  steps.emplace_back();
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '/') {
      steps.emplace_back();
    } else if (path[i] == '~' && steps.back().empty() && (i + 1 == path.size() || path[i + 1] == '/')) {
      continue;  // an empty key
    } else if (path[i] == '~') {
      const char next = i + 1 < path.size() ? path[i + 1] : '\0';
      if (next != '0' && next != '1') {
        fail(Errc::invalid_argument, "in a path, ~ is written ~0 and / in a key ~1", {path, {}});
      }
      steps.back() += next == '0' ? '~' : '/';
      ++i;
    } else {
      steps.back() += path[i];
    }
  }
  return steps;
}

}  // namespace stele
