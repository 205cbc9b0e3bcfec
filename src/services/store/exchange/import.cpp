#include "services/store/exchange/import.hpp"

#include <algorithm>

#include "services/store/shard/store_record.hpp"
#include "stele/error.hpp"

namespace stele {

void note_skipped(StoreExchangeReport& report, std::string note) {
  constexpr std::size_t most = 1000;
  ++report.skipped;
  if (report.notes.size() < most) {
    report.notes.push_back(std::move(note));
  }
}

Importer::Importer(Store& store, const StoreImportOptions& options, std::uint64_t total)
    : store_(store), options_(options), total_(total) {
  if (options.batch_items == 0 || options.batch_bytes == 0) {
    fail(Errc::invalid_argument, "a batch of nothing: batch_items and batch_bytes must be at least 1");
  }
}

StoreKey Importer::prefixed(StoreKey key) const {
  if (options_.key_prefix.empty() || key.kind() != StoreKey::Kind::text) {
    return key;
  }
  return StoreKey(options_.key_prefix + std::string(key.text()));
}

bool Importer::begin(const StoreKey& key) {
  if (!options_.overwrite && store_.contains(key)) {
    skip(key.describe() + " is there already");
    return false;
  }
  if (!batch_) {
    batch_.emplace(store_.batch());
  }
  return true;
}

void Importer::end(std::uint64_t bytes) {
  ++report_.items;
  report_.bytes += bytes;
  ++batch_items_;
  batch_bytes_ += bytes;
  if (batch_items_ < options_.batch_items && batch_bytes_ < options_.batch_bytes) {
    return;
  }
  batch_->commit();
  batch_.reset();
  batch_items_ = 0;
  batch_bytes_ = 0;
}

bool Importer::go_on(std::uint64_t done) {
  report_.complete = !options_.progress || options_.progress(done, total_);
  return report_.complete;
}

StoreExchangeReport Importer::finish() {
  if (batch_) {
    batch_->commit();
    batch_.reset();
  }
  return std::move(report_);
}

StoreExchangeReport export_items(const Store& store, const StoreExportOptions& options,
                                 const std::function<void(const StoreItem&, StoreExchangeReport&)>& each) {
  const std::uint64_t total = options.progress ? store.stats().live_bytes : 0;
  std::uint64_t done = 0;
  StoreExchangeReport report;
  for (const StoreItem& item : store.items(options.range)) {
    with_item(item.key.describe(), [&] {
      StoreRecord::check(item.value);
      each(item, report);
    });
    done += item.value.stored_bytes();
    if (options.progress && !options.progress(done, std::max(done, total))) {
      report.complete = false;
      break;
    }
  }
  return report;
}

}  // namespace stele
