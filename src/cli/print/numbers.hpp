#pragma once
// Numeric options of the command line. Each accepts only decimal digits, in a range.

#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace stele::cli {

/// Parses all of `text` as a number. Throws: CLI::ValidationError, which names the option.
std::int64_t parse_integer(const std::string& option, const std::string& text, std::int64_t least, std::int64_t most);
std::uint64_t parse_natural(const std::string& option, const std::string& text, std::uint64_t least,
                            std::uint64_t most);
double parse_real(const std::string& option, const std::string& text, double least, double most);

template <std::integral I>
struct NumberRange {
  I least = std::numeric_limits<I>::lowest();
  I most = std::numeric_limits<I>::max();

  I parse(const std::string& option, const std::string& text) const {
    if constexpr (std::signed_integral<I>) {
      return static_cast<I>(parse_integer(option, text, least, most));
    } else {
      return static_cast<I>(parse_natural(option, text, least, most));
    }
  }
};

/// Adds an option that sets `to`.
template <std::integral I>
CLI::Option* add_number(CLI::App& command, const std::string& name, I& to, const std::string& about,
                        NumberRange<std::type_identity_t<I>> range = {}) {
  return command.add_option_function<std::string>(
      name, [&to, name, range](const std::string& text) { to = range.parse(name, text); }, about);
}
template <std::integral I>
CLI::Option* add_number(CLI::App& command, const std::string& name, std::optional<I>& to, const std::string& about,
                        NumberRange<std::type_identity_t<I>> range = {}) {
  return command.add_option_function<std::string>(
      name, [&to, name, range](const std::string& text) { to = range.parse(name, text); }, about);
}
/// Several numbers, separated by commas.
template <std::integral I>
CLI::Option* add_numbers(CLI::App& command, const std::string& name, std::vector<I>& to, const std::string& about) {
  return command.add_option_function<std::string>(
      name,
      [&to, name](const std::string& text) {
        to.clear();
        for (std::size_t at = 0; at <= text.size();) {
          const std::size_t end = std::min(text.find(',', at), text.size());
          to.push_back(NumberRange<I>{}.parse(name, text.substr(at, end - at)));
          at = end + 1;
        }
      },
      about);
}
CLI::Option* add_real(CLI::App& command, const std::string& name, double& to, const std::string& about, double least,
                      double most);

}  // namespace stele::cli
