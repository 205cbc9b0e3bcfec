// JSON lines into stores, and back.

#include <algorithm>
#include <cstring>
#include <optional>

#include "services/store/exchange/base64.hpp"
#include "services/store/exchange/import.hpp"
#include "services/store/exchange/json.hpp"
#include "stele/error.hpp"

namespace stele {

#if STELE_WITH_JSON

namespace {

constexpr std::size_t piece = std::size_t{64} << 10;

/// Lines of a Source, one in memory at a time.
class Lines {
 public:
  Lines(Source& source, std::uint64_t longest) : source_(source), longest_(longest) {}

  /// The next line without its line feed, valid until the next call; nothing at the end.
  std::optional<std::string_view> next() {
    ++number_;
    std::size_t searched = 0;
    for (;;) {
      const char* const first = reinterpret_cast<const char*>(buffer_.data()) + at_;
      const std::size_t size = used_ - at_;
      const void* const feed = size > searched ? std::memchr(first + searched, '\n', size - searched) : nullptr;
      const std::size_t length =
          feed != nullptr ? static_cast<std::size_t>(static_cast<const char*>(feed) - first) : size;
      if (length > longest_) {
        fail(Errc::limit_exceeded, name() + ": more than " + std::to_string(longest_) + " bytes");
      }
      if (feed != nullptr || (ended_ && size > 0)) {
        const std::size_t taken = length + (feed != nullptr ? 1 : 0);
        at_ += taken;
        consumed_ += taken;
        return std::string_view(first, length);
      }
      if (ended_) {
        return std::nullopt;
      }
      searched = size;
      fill();
    }
  }
  std::string name() const { return "line " + std::to_string(number_); }
  std::uint64_t consumed() const noexcept { return consumed_; }

 private:
  void fill() {
    if (at_ > 0) {
      std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(at_),
                buffer_.begin() + static_cast<std::ptrdiff_t>(used_), buffer_.begin());
      used_ -= at_;
      at_ = 0;
    }
    if (buffer_.size() - used_ < piece) {
      buffer_.resize(std::max(2 * buffer_.size(), used_ + piece));
    }
    const std::size_t got = source_.read(MutableBytes(buffer_).subspan(used_));
    used_ += got;
    ended_ = got == 0;
  }

  Source& source_;
  const std::uint64_t longest_;
  std::vector<std::byte> buffer_;
  std::size_t at_ = 0;
  std::size_t used_ = 0;
  std::uint64_t consumed_ = 0;
  std::uint64_t number_ = 0;
  bool ended_ = false;
};

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

std::vector<std::byte> decode(const Value& text) {
  std::optional<std::vector<std::byte>> bytes;
  if (text.is_text()) {
    bytes = decode_base64(text.text());
  }
  if (!bytes) {
    fail(Errc::malformed, "\"bytes\" is no valid base64");
  }
  return std::move(*bytes);
}

Key key_of(const Value& value) {
  if (value.is_text()) {
    return Key(value.text());
  }
  if (value.is(ValueKind::integer)) {
    const Number number = value.number();
    if (number.type == Number::Type::natural) {
      return Key(number.bits);
    }
    if (number.bits <= static_cast<std::uint64_t>(INT64_MAX)) {
      return Key(static_cast<std::int64_t>(~number.bits));
    }
  }
  if (value.is_map() && value.size() == 1 && value.contains("bytes")) {
    return Key(Bytes(decode(value["bytes"])));
  }
  fail(Errc::malformed, "the key is neither a text nor an integer nor {\"bytes\": …}");
}

void put_value(Importer& importer, const Key& key, const Value& value, std::uint64_t bytes) {
  if (value.is_text()) {
    importer.put(key, value.text(), bytes);
  } else {
    importer.put(key, value, bytes);
  }
}

void import_line(Importer& importer, std::string_view line, const ImportOptions& options) {
  const bool whole = !options.key_field.empty();
  const Value root = parse_json(line, whole ? JsonForm::plain : JsonForm::extended);
  if (!root.is_map()) {
    fail(Errc::malformed, "no object");
  }
  const Value* const key = root.find(whole ? options.key_field : "key");
  if (key == nullptr) {
    fail(Errc::missing_field, "the object has no \"" + (whole ? options.key_field : "key") + "\"");
  }
  const Key prefixed = importer.prefixed(key_of(*key));
  if (whole) {
    importer.put(prefixed, root, line.size());
    return;
  }
  const Value* const value = root.find("value");
  const Value* const bytes = root.find("bytes");
  if (root.size() != 2 || (value == nullptr) == (bytes == nullptr)) {
    fail(Errc::malformed, "besides \"key\" there must be \"value\" or \"bytes\", and nothing else");
  }
  if (value != nullptr) {
    put_value(importer, prefixed, *value, line.size());
  } else {
    const std::vector<std::byte> decoded = decode(*bytes);
    importer.put(prefixed, Bytes(decoded), line.size());
  }
}

void write_key(JsonWriter& out, const Key& key) {
  switch (key.kind()) {
    case Key::Kind::integer:
      out.raw(key.describe());
      return;
    case Key::Kind::text:
      out.text(key.text());
      return;
    case Key::Kind::bytes:
      out.raw(R"({"bytes":)");
      out.base64(key.bytes());
      out.raw("}");
      return;
  }
}

}  // namespace

ExchangeReport import_json_lines(Store& store, Source& source, const ImportOptions& options) {
  Importer importer(store, options, source.size().value_or(0));
  Lines lines(source, options.line_bytes);
  while (const std::optional<std::string_view> line = lines.next()) {
    if (!is_blank(*line)) {
      with_item(lines.name(), [&] { import_line(importer, *line, options); });
    }
    if (!importer.go_on(lines.consumed())) {
      break;
    }
  }
  return importer.finish();
}

ExchangeReport export_json_lines(const Store& store, Sink& to, const ExportOptions& options) {
  JsonWriter out(to);
  ExchangeReport report = export_items(store, options, [&](const StoreItem& item, ExchangeReport& counted) {
    out.raw(R"({"key":)");
    write_key(out, item.key);
    if (item.value.is_bytes()) {
      out.raw(R"(,"bytes":)");
      out.base64(item.value.bytes());
    } else {
      out.raw(R"(,"value":)");
      if (item.value.is_text()) {
        out.text(item.value.text());
      } else {
        out.value(item.value.as<Value>({.verify = Verify::full}));
      }
    }
    out.raw("}");
    out.end_line();
    ++counted.items;
  });
  report.bytes = out.flush();
  return report;
}

#else

ExchangeReport import_json_lines(Store&, Source&, const ImportOptions&) {
  fail(Errc::unsupported, "this build of stele reads no JSON");
}
ExchangeReport export_json_lines(const Store&, Sink&, const ExportOptions&) {
  fail(Errc::unsupported, "this build of stele writes no JSON");
}

#endif  // STELE_WITH_JSON

}  // namespace stele
