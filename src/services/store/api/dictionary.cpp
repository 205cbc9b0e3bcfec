// Operations that change how later values are stored: new dictionaries, dropped orders.

#include <algorithm>

#include "io/replace/folder.hpp"
#include "services/store/api/core.hpp"
#include "services/store/api/positions.hpp"
#include "services/store/shard/store_record.hpp"
#include "stele/archive.hpp"
#include "stele/error.hpp"

namespace stele {

void Store::train_dictionary(std::uint64_t samples, std::size_t bytes) {
  const std::lock_guard lock(state_->write_mutex);
  if (state_->codec->name() != "zstd") {
    fail(Errc::unsupported,
         "only values that are compressed by zstd have a dictionary; the store's codec is " + state_->codec->name());
  }
  std::vector<std::byte> all;
  std::vector<std::size_t> sizes;
  for (const StoreItem& item : sample(samples, 0)) {
    const Bytes one = StoreRecord::item(item.value);
    if (one.size() <= store_frozen::large_value) {
      all.insert(all.end(), one.begin(), one.end());
      sizes.push_back(one.size());
    }
  }
  const std::vector<std::byte> dictionary = ValueCodec::train(all, sizes, bytes);
  StoreWriter& writer = state_->writing();
  Tally next{writer.state(), writer.table()};
  ++next.state.dictionary;
  const auto file = file_sink_in(state_->folder, StoreCore::dictionary_name(next.state.dictionary), Sync::file_folder);
  save(*file, dictionary);
  file->close();
  const std::unique_ptr<IndexWrite> write = state_->index->write();
  next.write(*write, {});
  write->commit(state_->options.durability != StoreDurability::none);
  writer.adopt(std::move(next));
}

void Store::drop_order(std::string_view name) {
  const std::lock_guard lock(state_->write_mutex);
  StoreWriter& writer = state_->writing();
  state_->commit_waiting();
  Tally next{writer.state(), writer.table()};
  const auto found = std::find_if(next.state.orders.begin(), next.state.orders.end(),
                                  [&](const StoreState::Order& order) { return order.name == name; });
  if (found == next.state.orders.end()) {
    fail(Errc::not_found, "the store keeps no order \"" + std::string(name) + '"');
  }
  const std::unique_ptr<IndexWrite> write = state_->index->write();
  write->clear_order(found->number);
  next.state.orders.erase(found);
  next.write(*write, {});
  write->commit(state_->options.durability != StoreDurability::none);
  writer.adopt(std::move(next));
}

}  // namespace stele
