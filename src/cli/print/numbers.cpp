#include "cli/print/numbers.hpp"

#include <charconv>
#include <sstream>

namespace stele::cli {
namespace {

/// Parses all of `text` as a number; nothing if it is not one.
template <class N>
std::optional<N> whole(const std::string& text) noexcept {
  N value{};
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  return error == std::errc() && end == last ? std::optional(value) : std::nullopt;
}

template <class N>
[[noreturn]] void fail_number(const std::string& option, const std::string& text, const char* kind, N least, N most) {
  std::ostringstream message;
  message << '"' << text << "\" is not " << kind << " from " << least << " to " << most;
  throw CLI::ValidationError(option, message.str());
}

template <class N>
N parse(const std::string& option, const std::string& text, const char* kind, N least, N most) {
  const std::optional<N> value = whole<N>(text);
  if (!value || !(*value >= least && *value <= most)) {  // rejects NaN too
    fail_number(option, text, kind, least, most);
  }
  return *value;
}

}  // namespace

std::int64_t parse_integer(const std::string& option, const std::string& text, std::int64_t least, std::int64_t most) {
  return parse(option, text, "a whole number", least, most);
}

std::uint64_t parse_natural(const std::string& option, const std::string& text, std::uint64_t least,
                            std::uint64_t most) {
  return parse(option, text, "a whole number", least, most);
}

double parse_real(const std::string& option, const std::string& text, double least, double most) {
  return parse(option, text, "a number", least, most);
}

CLI::Option* add_real(CLI::App& command, const std::string& name, double& to, const std::string& about, double least,
                      double most) {
  return command.add_option_function<std::string>(
      name, [&to, name, least, most](const std::string& text) { to = parse_real(name, text, least, most); }, about);
}

}  // namespace stele::cli
