#include "cli/store/support.hpp"

#include <charconv>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "cli/print/format.hpp"
#include "cli/store/store.hpp"
#include "format/text/base64.hpp"
#include "stele/error.hpp"

namespace stele::cli {
namespace {

template <class I>
std::optional<I> whole_number(const std::string& text) {
  I value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

StoreKey hex_key(const std::string& text) {
  const std::string_view digits = std::string_view(text).substr(text.starts_with("0x") ? 2 : 0);
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    unsigned value = 0;
    const std::string_view pair = digits.substr(i, 2);
    const auto [end, error] = std::from_chars(pair.data(), pair.data() + pair.size(), value, 16);
    if (pair.size() != 2 || error != std::errc() || end != pair.data() + 2) {
      fail(Errc::invalid_argument, "the key " + text + " is not bytes in hexadecimal");
    }
    bytes.push_back(static_cast<std::byte>(value));
  }
  return StoreKey(Bytes(bytes));
}

}  // namespace

StoreKey StoreKeyForm::key(const std::string& text) const {
  if (hex) {
    return hex_key(text);
  }
  if (!integer) {
    return StoreKey(text);
  }
  if (const auto value = whole_number<std::int64_t>(text)) {
    return StoreKey(*value);
  }
  if (const auto value = whole_number<std::uint64_t>(text)) {
    return StoreKey(*value);
  }
  fail(Errc::invalid_argument, "the key " + text + " is not an integer of 64 bits");
}

StoreKeyRange StoreRangeOptions::range(const StoreKeyForm& form) const {
  StoreKeyRange range;
  range.reverse = reverse;
  const auto set = [&](std::optional<StoreKey>& bound, const std::optional<std::string>& text) {
    if (text) {
      bound = form.key(*text);
    }
  };
  set(range.from, from);
  set(range.to, to);
  set(range.prefix, prefix);
  return range;
}

std::string key_text(const StoreKey& key) {
  if (key.kind() != StoreKey::Kind::text) {
    return key.describe();
  }
  const std::string text(key.text());
  const bool looks_otherwise =
      whole_number<std::int64_t>(text) || whole_number<std::uint64_t>(text) || text.starts_with("0x");
  return looks_otherwise ? quoted_text(text) : name_text(text);
}

nlohmann::ordered_json key_json(const StoreKey& key) {
  switch (key.kind()) {
    case StoreKey::Kind::text:
      return std::string(key.text());
    case StoreKey::Kind::integer:
      return nlohmann::ordered_json::parse(key.describe());
    case StoreKey::Kind::bytes:
      break;
  }
  std::string base64;
  append_base64(base64, key.bytes());
  return {{"bytes", base64}};
}

Store open_to_read(const std::string& path) {
  return Store::open(path, StoreMode::read_only, {.verify = Verify::full});
}

StoreWatch::StoreWatch(const std::string& label, bool json, bool guarded)
    : label_(std::filesystem::path(label).filename().string()), wanted_(!json) {
  if (guarded) {
    guard_.emplace();
  }
}

StoreProgress StoreWatch::progress() {
  return [this](std::uint64_t done, std::uint64_t total) {
    if (!bar_) {
      bar_.emplace(label_, total > 0 ? std::optional(total) : std::nullopt, wanted_);
    }
    bar_->update(done);
    return !interrupted();
  };
}

void StoreWatch::finish() {
  bar_.reset();
  check_interrupt();
}

}  // namespace stele::cli
