#pragma once
// What imports and exports share: batches of bounded size, reports, progress.

#include <optional>
#include <string>
#include <utility>

#include "stele/store/exchange.hpp"

namespace stele {

/// What exchanges need of a Store beyond its interface.
class StoreExchange {
 public:
  /// The folder or file of the store.
  static const std::string& path(const Store& store) noexcept;
  /// Copies a stored value without decoding it; returns false if `to` uses another encoding.
  static bool put_stored(Store& to, const StoreKey& key, const StoreValue& value, const std::string& from_codec);
};

/// Adds a line to a report of what was left out.
void note_skipped(StoreExchangeReport& report, std::string note);

/// Runs `work`; its Errors then name the item.
template <class Work>
void with_item(const std::string& item, Work&& work) {
  try {
    std::forward<Work>(work)();
  } catch (const Error& error) {
    fail(error.code(), item + ": " + error.message(), {error.path(), error.offset(), error.file()});
  }
}

/// Puts items through batches; what no batch has committed the destructor undoes.
class Importer {
 public:
  /// `total`: the bytes to come, 0 where that is not known.
  Importer(Store& store, const StoreImportOptions& options, std::uint64_t total);

  /// The key with the options' prefix.
  StoreKey prefixed(StoreKey key) const;
  template <class T>
  void put(const StoreKey& key, const T& value, std::uint64_t bytes) {
    if (begin(key)) {
      store_.put(key, value);
      end(bytes);
    }
  }
  /// False where the key is there and is to stay, which is counted.
  bool begin(const StoreKey& key);
  /// An item of so many bytes was put.
  void end(std::uint64_t bytes);
  void skip(std::string note) { note_skipped(report_, std::move(note)); }
  /// Tells of progress; false where the import is to end.
  bool go_on(std::uint64_t done);
  StoreExchangeReport finish();

  const StoreExchangeReport& report() const noexcept { return report_; }

 private:
  Store& store_;
  const StoreImportOptions& options_;
  const std::uint64_t total_;
  std::optional<StoreBatch> batch_;
  std::uint64_t batch_items_ = 0;
  std::uint64_t batch_bytes_ = 0;
  StoreExchangeReport report_;
};

/// Goes through what is exported: `each` is given items and the report to count them in. Returns it.
StoreExchangeReport export_items(const Store& store, const StoreExportOptions& options,
                                 const std::function<void(const StoreItem& item, StoreExchangeReport& report)>& each);

}  // namespace stele
