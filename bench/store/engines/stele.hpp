#pragma once
// stele's store for the benchmarks.

#include <optional>

#include "stele/store.hpp"
#include "store/engine.hpp"

namespace bench {

class SteleEngine : public Engine {
 public:
  SteleEngine(const std::string& folder, EngineMode mode, const EngineSetting& setting)
      : integers_(setting.integers),
        store_(stele::Store::open(
            folder + "/store", mode == EngineMode::read ? stele::StoreMode::read_only : stele::StoreMode::create,
            {.durability = setting.durable ? stele::StoreDurability::commit : stele::StoreDurability::none})) {}
  ~SteleEngine() override { store_.close(); }
  void put(const StoreKey& key, Bytes value) override { store_.put(key_of(key), value); }
  void commit() override { store_.commit(); }
  std::unique_ptr<EngineReader> reader() override { return std::make_unique<Reader>(*this); }

  stele::StoreKey key_of(const StoreKey& key) const {
    return integers_ ? stele::StoreKey(key.number) : stele::StoreKey(key.text());
  }

 private:
  class Reader : public EngineReader {
   public:
    explicit Reader(SteleEngine& engine) : engine_(engine) {}
    Bytes find(const StoreKey& key) override {
      value_ = engine_.store_.view(engine_.key_of(key));
      require(value_.has_value(), "stele: view");
      return value_->bytes();
    }
    void find_many(std::span<const StoreKey> keys, const std::function<void(Bytes)>& found) override {
      std::vector<stele::StoreKey> wanted;
      wanted.reserve(keys.size());
      for (const StoreKey& key : keys) {
        wanted.push_back(engine_.key_of(key));
      }
      engine_.store_.view_many(wanted, [&](std::size_t, const stele::StoreValue& value) { found(value.bytes()); });
    }
    void scan(bool by_key, const std::function<void(Bytes)>& each) override {
      for (const stele::StoreItem& item : by_key ? engine_.store_.items() : engine_.store_.by_insertion()) {
        each(item.value.bytes());
      }
    }

   private:
    SteleEngine& engine_;
    std::optional<stele::StoreValue> value_;
  };

  bool integers_;
  stele::Store store_;
};

}  // namespace bench
