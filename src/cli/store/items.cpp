// stele store get, put, erase

#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/print/report.hpp"
#include "cli/store/store.hpp"
#include "cli/store/support.hpp"
#include "cli/streams/input.hpp"
#include "cli/streams/output.hpp"
#include "format/text/base64.hpp"
#include "interop/json.hpp"
#include "stele/value.hpp"

namespace stele::cli {
namespace {

[[noreturn]] void fail_missing(const StoreKey& key) { fail(Errc::not_found, "the store has no key " + key.describe()); }

Value object_of(const StoreValue& value) { return value.as<Value>({.verify = Verify::full}); }

void write_value(const StoreValue& value, const StoreGetOptions& options, Output& output) {
  if (value.is_text() || value.is_bytes()) {
    output.write(value.bytes());
    return;
  }
  const Codecs codecs;
  const Codec* const codec = choose_codec(codecs, options.codec, options.output, options.level);
  save(output, object_of(value),
       {.codec = std::string(codec != nullptr ? codec->name() : "plain"), .level = options.level});
}

std::string shown(const StoreValue& value, const StoreGetOptions& options, bool json) {
  ShowOptions show;
  show.items = options.items;
  show.depth = options.depth;
  show.full = options.full;
  show.json = json;
  return show_text(object_of(value), show);
}

void print_value(const StoreValue& value, const StoreGetOptions& options) {
  if (value.is_text() || value.is_bytes()) {
    print(std::string_view(value.text()));
    return;
  }
  print(shown(value, options, false) + "\n");
}

nlohmann::ordered_json value_json(const StoreValue& value, const StoreGetOptions& options) {
  if (value.is_text()) {
    return std::string(value.text());
  }
  if (value.is_bytes()) {
    std::string base64;
    append_base64(base64, value.bytes());
    return {{"bytes", base64}};
  }
  return nlohmann::ordered_json::parse(shown(value, options, true));
}

/// Parses a value in JSON, which may use the extended form.
Value from_json(const std::string& text) {
  const Value list = parse_json("[" + text + "]", JsonForm::extended);
  if (list.size() != 1) {
    fail(Errc::invalid_argument, "--json takes one value");
  }
  return list.at(0);
}

void put_value(Store& store, const StoreKey& key, const StorePutOptions& options) {
  if (options.text) {
    store.put(key, *options.text);
  } else if (options.value) {
    const Value value = from_json(*options.value);
    value.is_text() ? store.put(key, value.text()) : store.put(key, value);
  } else if (options.archive) {
    store.put(key, open_archive(*options.file, {.verify = Verify::full}).load<Value>());
  } else {
    store.put(key, Bytes(read_all(*open_input(*options.file))));
  }
}

}  // namespace

int store_get(const StoreGetOptions& options) {
  const Store store = open_to_read(options.store);
  const StoreKey key = options.form.key(options.key);
  const std::optional<StoreValue> value = store.view(key);
  if (!value) {
    fail_missing(key);
  }
  nlohmann::ordered_json document;
  document["store"] = options.store;
  document["key"] = key_json(key);
  if (!options.output.empty()) {
    Output output(options.output, Sync::none, false, options.json);
    write_value(*value, options, output);
    output.close();
    document["output"] = options.output;
    document["bytes"] = output.count();
  } else if (options.json) {
    document["stored_bytes"] = value->stored_bytes();
    document["value"] = value_json(*value, options);
  } else {
    print_value(*value, options);
  }
  if (options.json) {
    print_json(document);
  }
  return exit_fine;
}

int store_put(const StorePutOptions& options) {
  const int given = (options.file ? 1 : 0) + (options.text ? 1 : 0) + (options.value ? 1 : 0);
  if (given != 1) {
    fail(Errc::invalid_argument, "put takes one of FILE, --text and --json");
  }
  const StoreKey key = options.form.key(options.key);
  const InterruptGuard guard;
  Store store = Store::open(options.store, StoreMode::create, options.open);
  put_value(store, key, options);
  check_interrupt();
  store.close();
  if (options.json) {
    print_json({{"store", options.store}, {"key", key_json(key)}});
  }
  return exit_fine;
}

int store_erase(const StoreEraseOptions& options) {
  Store store = Store::open(options.store, StoreMode::read_write, options.open);
  StoreBatch batch = store.batch();
  for (const std::string& text : options.keys) {
    const StoreKey key = options.form.key(text);
    if (!batch.erase(key)) {
      fail_missing(key);
    }
  }
  batch.commit();
  store.close();
  if (options.json) {
    print_json({{"store", options.store}, {"erased", options.keys.size()}});
  }
  return exit_fine;
}

}  // namespace stele::cli
