#include "format/path/path.hpp"

#include <algorithm>
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

bool is_step(const Number& number) noexcept {
  switch (number.type) {
    case Number::Type::natural:
    case Number::Type::negative:
      return true;
    case Number::Type::float64:
      return (number.bits & ~(std::uint64_t{1} << 63)) <= 0x7ff0000000000000;
    case Number::Type::float32:
      return (number.bits & 0x7fffffff) <= 0x7f800000;
    default:
      return (number.bits & 0x7fff) <= 0x7c00;
  }
}

void append_place(std::string& path, std::uint64_t place) {
  path.append(path.empty() ? "~#" : "/~#").append(std::to_string(place));
}

std::string deferred_path(std::uint64_t index) { return "~*" + std::to_string(index); }

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

std::vector<PathStep> split_path(std::string_view path) {
  std::vector<PathStep> steps;
  const auto bad = [&] {
    fail(Errc::invalid_argument, "in a path, ~ is written ~0, / in a key ~1, an empty key ~ and a place in a map ~#0",
         {path, {}});
  };
  for (std::size_t at = 0; !path.empty() && at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view token = path.substr(at, end - at);
    PathStep& step = steps.emplace_back();
    if (token.starts_with("~#") || token.starts_with("~*")) {
      step.kind = token[1] == '#' ? PathStep::Kind::place : PathStep::Kind::deferred;
      const char* const last = token.data() + token.size();
      const auto [stop, failed] = std::from_chars(token.data() + 2, last, step.index);
      if (failed != std::errc() || stop != last || (step.kind == PathStep::Kind::deferred && at > 0)) {
        bad();
      }
    } else if (token != "~") {
      for (std::size_t i = 0; i < token.size(); ++i) {
        if (token[i] != '~') {
          step.name += token[i];
          continue;
        }
        const char next = i + 1 < token.size() ? token[++i] : '\0';
        if (next != '0' && next != '1') {
          bad();
        }
        step.name += next == '0' ? '~' : '/';
      }
    }
    at = end + 1;
  }
  return steps;
}

}  // namespace stele
