// stele store ls

#include <nlohmann/json.hpp>

#include "cli/print/format.hpp"
#include "cli/print/report.hpp"
#include "cli/store/store.hpp"
#include "cli/store/support.hpp"
#include "stele/describe.hpp"
#include "stele/value.hpp"

namespace stele::cli {
namespace {

constexpr std::size_t rows_at_once = 1000;  // rows that are aligned together
constexpr std::size_t head_bytes = 60;

StoreItems items_of(const Store& store, const StoreLsOptions& options) {
  if (options.order == "key") {
    return store.items(options.range.range(options.form));
  }
  if (options.range.any()) {
    fail(Errc::invalid_argument, "--prefix, --from and --to are for --order key");
  }
  if (options.order == "insertion") {
    if (options.range.reverse) {
      fail(Errc::invalid_argument, "--reverse is not possible with --order insertion");
    }
    return store.by_insertion();
  }
  if (options.order == "size") {
    return store.by_size(options.range.reverse);
  }
  return store.by_order(options.order, options.range.reverse);
}

struct Described {
  std::string kind;
  std::string what;
};

Described describe_value(const StoreValue& value) {
  if (value.is_text()) {
    std::string_view text = value.text();
    const bool cut = text.size() > head_bytes;
    return {"text", quoted_text(text.substr(0, head_bytes)) + (cut ? "…" : "")};
  }
  if (value.is_bytes()) {
    return {"bytes", ""};
  }
  const auto object = value.as<Value>();
  std::string kind(to_string(object.kind()));
  switch (object.kind()) {
    case ValueKind::array:
      return {kind, printable(object.array().dtype().name()) + object.array().shape().text()};
    case ValueKind::sequence:
    case ValueKind::map:
    case ValueKind::record:
      return {kind, "of " + std::to_string(object.size())};
    case ValueKind::typed:
      return {kind, printable(object.type_name())};
    default:
      return {kind, printable(describe(object))};
  }
}

/// Calls `each` for the items to show.
template <class Each>
void go_through(StoreItems items, const StoreLsOptions& options, Each each) {
  std::uint64_t left = options.limit.value_or(UINT64_MAX);
  if (left == 0) {
    return;
  }
  for (const StoreItem& item : items) {
    each(item);
    if (--left == 0) {
      return;
    }
  }
}

void print_keys(const Store& store, const StoreLsOptions& options) {
  if (options.order != "key") {
    go_through(items_of(store, options), options, [](const StoreItem& item) { print(key_text(item.key) + "\n"); });
    return;
  }
  std::uint64_t left = options.limit.value_or(UINT64_MAX);
  for (const StoreKey& key : store.keys(options.range.range(options.form))) {  // does not read the values
    if (left-- == 0) {
      return;
    }
    print(key_text(key) + "\n");
  }
}

void print_table(const Store& store, const StoreLsOptions& options) {
  const std::vector<std::size_t> right = {1};
  Table table(right);
  std::size_t rows = 0;
  go_through(items_of(store, options), options, [&](const StoreItem& item) {
    const Described described = describe_value(item.value);
    table.add({key_text(item.key), size_text(item.value.stored_bytes()), described.kind, described.what});
    if (++rows == rows_at_once) {
      print(table.text());
      table = Table(right);
      rows = 0;
    }
  });
  print(table.text());
}

void print_document(const Store& store, const StoreLsOptions& options) {
  nlohmann::ordered_json document;
  document["store"] = options.store;
  document["items"] = nlohmann::ordered_json::array();
  go_through(items_of(store, options), options, [&](const StoreItem& item) {
    nlohmann::ordered_json entry;
    entry["key"] = key_json(item.key);
    entry["stored_bytes"] = item.value.stored_bytes();
    if (options.detailed) {
      const Described described = describe_value(item.value);
      entry["kind"] = described.kind;
      entry["what"] = described.what;
    }
    document["items"].push_back(std::move(entry));
  });
  print_json(document);
}

}  // namespace

int store_ls(const StoreLsOptions& options) {
  const Store store = Store::open(options.store, StoreMode::read_only);
  if (options.json) {
    print_document(store, options);
  } else if (options.detailed) {
    print_table(store, options);
  } else {
    print_keys(store, options);
  }
  return exit_fine;
}

}  // namespace stele::cli
