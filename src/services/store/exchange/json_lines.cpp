// JSON lines into stores, and back.

#include <optional>

#include "format/text/base64.hpp"
#include "interop/json.hpp"
#include "interop/lines.hpp"
#include "services/store/exchange/import.hpp"
#include "stele/error.hpp"

namespace stele {

namespace {

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

std::vector<std::byte> decode(const Value& value) {
  try {
    return decode_base64(value.text());
  } catch (const Error& error) {
    fail(Errc::malformed, "\"bytes\" is no valid base64: " + error.message());
  }
}

StoreKey key_of(const Value& value) {
  if (value.is_text()) {
    return StoreKey(value.text());
  }
  if (value.is(ValueKind::integer)) {
    const Number number = value.number();
    if (number.type == Number::Type::natural) {
      return StoreKey(number.bits);
    }
    if (number.bits <= static_cast<std::uint64_t>(INT64_MAX)) {
      return StoreKey(static_cast<std::int64_t>(~number.bits));
    }
  }
  if (value.is_map() && value.size() == 1 && value.contains("bytes")) {
    return StoreKey(Bytes(decode(value["bytes"])));
  }
  fail(Errc::malformed, "the key is neither a text nor an integer nor {\"bytes\": …}");
}

void put_value(Importer& importer, const StoreKey& key, const Value& value, std::uint64_t bytes) {
  if (value.is_text()) {
    importer.put(key, value.text(), bytes);
  } else {
    importer.put(key, value, bytes);
  }
}

void import_line(Importer& importer, std::string_view line, const StoreImportOptions& options) {
  const bool whole = !options.key_field.empty();
  const Value root = parse_json(line, whole ? JsonForm::plain : JsonForm::extended);
  if (!root.is_map()) {
    fail(Errc::malformed, "no object");
  }
  const Value* const key = root.find(whole ? options.key_field : "key");
  if (key == nullptr) {
    fail(Errc::missing_field, "the object has no \"" + (whole ? options.key_field : "key") + "\"");
  }
  const StoreKey prefixed = importer.prefixed(key_of(*key));
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

void write_key(JsonWriter& out, const StoreKey& key) {
  switch (key.kind()) {
    case StoreKey::Kind::integer:
      out.raw(key.describe());
      return;
    case StoreKey::Kind::text:
      out.text(key.text());
      return;
    case StoreKey::Kind::bytes:
      out.raw(R"({"bytes":)");
      out.base64(key.bytes());
      out.raw("}");
      return;
  }
}

}  // namespace

StoreExchangeReport import_json_lines(Store& store, Source& source, const StoreImportOptions& options) {
  Importer importer(store, options, source.size().value_or(0));
  LineReader lines(source, options.line_bytes);
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

StoreExchangeReport export_json_lines(const Store& store, Sink& to, const StoreExportOptions& options) {
  JsonWriter out(to);
  StoreExchangeReport report = export_items(store, options, [&](const StoreItem& item, StoreExchangeReport& counted) {
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

}  // namespace stele
