#pragma once
// RocksDB for the benchmarks: its log without waiting unless durable, no compression, a block cache of 256 MiB (32 MiB
// where memory is scarce), Bloom filters of 10 bits, a WriteBatch for each commit. With `blobs`, values from 4 KiB on
// go to blob files.

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <bit>

#include "store/engine.hpp"

namespace bench {

template <bool blobs>
class RocksEngine : public Engine {
 public:
  RocksEngine(const std::string& folder, EngineMode, const EngineSetting& setting) : integers_(setting.integers) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache((setting.scarce ? 32 : 256) * mib);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    rocksdb::Options options;
    options.create_if_missing = true;
    options.write_buffer_size = (setting.scarce ? 16 : 64) * mib;
    options.compression = rocksdb::kNoCompression;
    options.max_background_jobs = 2;
    options.enable_blob_files = blobs;
    options.min_blob_size = 4096;
    options.blob_cache = table.block_cache;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    write_.sync = setting.durable;
    rocksdb::DB* database = nullptr;
    check(rocksdb::DB::Open(options, folder, &database));
    database_.reset(database);
  }
  ~RocksEngine() override {
    if (batch_.Count() != 0) {
      database_->Write(write_, &batch_);
    }
    database_->Close();
  }
  void put(const StoreKey& key, Bytes value) override {
    Name name;
    check(batch_.Put(slice(key, name), {reinterpret_cast<const char*>(value.data()), value.size()}));
  }
  void commit() override {
    check(database_->Write(write_, &batch_));
    batch_.Clear();
  }
  std::unique_ptr<EngineReader> reader() override { return std::make_unique<Reader>(*this); }

 private:
  using Name = std::uint64_t;

  class Reader : public EngineReader {
   public:
    explicit Reader(RocksEngine& engine) : engine_(engine) {}
    Bytes find(const StoreKey& key) override {
      Name name;
      value_.Reset();
      check(engine_.database_->Get({}, engine_.database_->DefaultColumnFamily(), engine_.slice(key, name), &value_));
      return bytes_of(value_);
    }
    void find_many(std::span<const StoreKey> keys, const std::function<void(Bytes)>& found) override {
      std::vector<Name> names(keys.size());
      std::vector<rocksdb::Slice> slices;
      for (std::size_t i = 0; i < keys.size(); ++i) {
        slices.push_back(engine_.slice(keys[i], names[i]));
      }
      std::vector<rocksdb::PinnableSlice> values(keys.size());
      std::vector<rocksdb::Status> states(keys.size());
      engine_.database_->MultiGet({}, engine_.database_->DefaultColumnFamily(), keys.size(), slices.data(),
                                  values.data(), states.data());
      for (std::size_t i = 0; i < keys.size(); ++i) {
        check(states[i]);
        found(bytes_of(values[i]));
      }
    }
    void scan(bool, const std::function<void(Bytes)>& each) override {
      const std::unique_ptr<rocksdb::Iterator> all(engine_.database_->NewIterator({}));
      for (all->SeekToFirst(); all->Valid(); all->Next()) {
        each(bytes_of(all->value()));
      }
      check(all->status());
    }

   private:
    static Bytes bytes_of(const rocksdb::Slice& slice) {
      return {reinterpret_cast<const std::byte*>(slice.data()), slice.size()};
    }
    RocksEngine& engine_;
    rocksdb::PinnableSlice value_;
  };

  static void check(const rocksdb::Status& status) {
    if (!status.ok()) {
      throw std::runtime_error("bench: RocksDB: " + status.ToString());
    }
  }
  /// Integers with the most significant byte first, so that their order is kept.
  rocksdb::Slice slice(const StoreKey& key, Name& name) const {
    if (!integers_) {
      return {key.digits.data(), key.digits.size()};
    }
    name = std::endian::native == std::endian::little ? __builtin_bswap64(key.number) : key.number;
    return {reinterpret_cast<const char*>(&name), sizeof(name)};
  }

  bool integers_;
  rocksdb::WriteOptions write_;
  rocksdb::WriteBatch batch_;
  std::unique_ptr<rocksdb::DB> database_;
};

}  // namespace bench
