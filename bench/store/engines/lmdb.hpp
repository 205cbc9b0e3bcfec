#pragma once
// LMDB for the benchmarks: MDB_NOSYNC unless durable, a transaction for each commit, one read transaction for all
// reads.

#include <lmdb.h>

#include "store/engine.hpp"

namespace bench {

class LmdbEngine : public Engine {
 public:
  LmdbEngine(const std::string& folder, EngineMode mode, const EngineSetting& setting) : integers_(setting.integers) {
    check(::mdb_env_create(&environment_));
    check(::mdb_env_set_mapsize(environment_, std::size_t{16} << 30));
    const unsigned flags = MDB_NOTLS | (setting.durable ? 0U : unsigned{MDB_NOSYNC}) |
                           (setting.scarce ? unsigned{MDB_NORDAHEAD} : 0U) |
                           (mode == EngineMode::read ? unsigned{MDB_RDONLY} : 0U);
    check(::mdb_env_open(environment_, folder.c_str(), flags, 0666));
    MDB_txn* begin = nullptr;
    check(::mdb_txn_begin(environment_, nullptr, mode == EngineMode::read ? unsigned{MDB_RDONLY} : 0U, &begin));
    check(
        ::mdb_dbi_open(begin, nullptr, integers_ && mode != EngineMode::read ? unsigned{MDB_INTEGERKEY} : 0U, &table_));
    check(::mdb_txn_commit(begin));
  }
  ~LmdbEngine() override {
    if (write_ != nullptr) {
      ::mdb_txn_commit(write_);
    }
    ::mdb_env_close(environment_);
  }
  void put(const StoreKey& key, Bytes value) override {
    if (write_ == nullptr) {
      check(::mdb_txn_begin(environment_, nullptr, 0, &write_));
    }
    MDB_val name = key_of(key);
    MDB_val data{value.size(), const_cast<std::byte*>(value.data())};
    check(::mdb_put(write_, table_, &name, &data, 0));
  }
  void commit() override {
    if (write_ != nullptr) {
      check(::mdb_txn_commit(std::exchange(write_, nullptr)));
    }
  }
  std::unique_ptr<EngineReader> reader() override { return std::make_unique<Reader>(*this); }

 private:
  class Reader : public EngineReader {
   public:
    explicit Reader(LmdbEngine& engine) : engine_(engine) {
      check(::mdb_txn_begin(engine.environment_, nullptr, MDB_RDONLY, &read_));
    }
    ~Reader() override { ::mdb_txn_abort(read_); }
    Bytes find(const StoreKey& key) override {
      MDB_val name = engine_.key_of(key);
      MDB_val data;
      check(::mdb_get(read_, engine_.table_, &name, &data));
      return bytes_of(data);
    }
    void scan(bool, const std::function<void(Bytes)>& each) override {
      MDB_cursor* cursor = nullptr;
      check(::mdb_cursor_open(read_, engine_.table_, &cursor));
      MDB_val name;
      MDB_val data;
      while (::mdb_cursor_get(cursor, &name, &data, MDB_NEXT) == 0) {
        each(bytes_of(data));
      }
      ::mdb_cursor_close(cursor);
    }
    void renew() override {
      ::mdb_txn_reset(read_);
      check(::mdb_txn_renew(read_));
    }

   private:
    static Bytes bytes_of(const MDB_val& data) { return {static_cast<const std::byte*>(data.mv_data), data.mv_size}; }

    LmdbEngine& engine_;
    MDB_txn* read_ = nullptr;
  };

  static void check(int code) {
    if (code != 0) {
      throw std::runtime_error(std::string("bench: LMDB: ") + ::mdb_strerror(code));
    }
  }
  MDB_val key_of(const StoreKey& key) const {
    return integers_ ? MDB_val{sizeof(key.number), const_cast<std::uint64_t*>(&key.number)}
                     : MDB_val{key.digits.size(), const_cast<char*>(key.digits.data())};
  }

  bool integers_;
  MDB_env* environment_ = nullptr;
  MDB_dbi table_ = 0;
  MDB_txn* write_ = nullptr;
};

}  // namespace bench
