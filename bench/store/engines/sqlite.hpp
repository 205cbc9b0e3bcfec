#pragma once
// SQLite for the benchmarks: WAL, no waiting for the device unless durable, prepared statements, a transaction for each
// commit, 64 MiB of cache and mapped reads (where memory is scarce 16 MiB, and not mapped). Texts are the primary key
// of a table, WITHOUT ROWID where values are small, as its documentation advises; integers are the rowid.

#include <sqlite3.h>

#include <optional>

#include "store/engine.hpp"

namespace bench {

class SqliteEngine : public Engine {
 public:
  SqliteEngine(const std::string& folder, EngineMode mode, const EngineSetting& setting)
      : path_(folder + "/sqlite.db"), setting_(setting), connection_(path_, setting) {
    if (mode == EngineMode::make) {
      constexpr std::size_t small = 200;  // a twentieth of a page
      connection_.run(setting.integers              ? "CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB)"
                      : setting.value_size <= small ? "CREATE TABLE t (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID"
                                                    : "CREATE TABLE t (k TEXT PRIMARY KEY, v BLOB)");
    }
    if (mode != EngineMode::read) {
      insert_.emplace(connection_, "INSERT OR REPLACE INTO t VALUES (?, ?)");
    }
  }
  ~SqliteEngine() override {
    if (writing_) {
      ::sqlite3_exec(connection_.get(), "COMMIT", nullptr, nullptr, nullptr);
    }
  }
  void put(const StoreKey& key, Bytes value) override {
    if (!writing_) {
      connection_.run("BEGIN");
      writing_ = true;
    }
    insert_->bind(key, setting_.integers);
    ::sqlite3_bind_blob64(insert_->get(), 2, value.data(), value.size(), SQLITE_STATIC);
    require(::sqlite3_step(insert_->get()) == SQLITE_DONE, "SQLite: INSERT");
    ::sqlite3_reset(insert_->get());
  }
  void commit() override {
    if (writing_) {
      connection_.run("COMMIT");
      writing_ = false;
    }
  }
  std::unique_ptr<EngineReader> reader() override { return std::make_unique<Reader>(path_, setting_); }

 private:
  class Connection {
   public:
    Connection(const std::string& path, const EngineSetting& setting) {
      require(::sqlite3_open(path.c_str(), &database_) == SQLITE_OK, "SQLite: open");
      ::sqlite3_busy_timeout(database_, 10'000);
      run("PRAGMA journal_mode = WAL");
      run(setting.durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = OFF");
      run(setting.scarce ? "PRAGMA cache_size = -16384" : "PRAGMA cache_size = -65536");
      run(setting.scarce ? "PRAGMA mmap_size = 0" : "PRAGMA mmap_size = 2147418112");
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { ::sqlite3_close(database_); }
    void run(const char* text) {
      if (::sqlite3_exec(database_, text, nullptr, nullptr, nullptr) != SQLITE_OK) {
        throw std::runtime_error(std::string("bench: SQLite: ") + text + ": " + ::sqlite3_errmsg(database_));
      }
    }
    sqlite3* get() const noexcept { return database_; }

   private:
    sqlite3* database_ = nullptr;
  };

  class Statement {
   public:
    Statement(Connection& connection, const char* text) {
      require(::sqlite3_prepare_v3(connection.get(), text, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr) ==
                  SQLITE_OK,
              text);
    }
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;
    ~Statement() { ::sqlite3_finalize(statement_); }
    void bind(const StoreKey& key, bool integers) {
      if (integers) {
        ::sqlite3_bind_int64(statement_, 1, static_cast<sqlite3_int64>(key.number));
      } else {
        ::sqlite3_bind_text(statement_, 1, key.digits.data(), static_cast<int>(key.digits.size()), SQLITE_STATIC);
      }
    }
    Bytes column(int number) const {
      const auto* data = static_cast<const std::byte*>(::sqlite3_column_blob(statement_, number));
      return {data, static_cast<std::size_t>(::sqlite3_column_bytes(statement_, number))};
    }
    sqlite3_stmt* get() const noexcept { return statement_; }

   private:
    sqlite3_stmt* statement_ = nullptr;
  };

  class Reader : public EngineReader {
   public:
    Reader(const std::string& path, const EngineSetting& setting)
        : integers_(setting.integers),
          connection_(path, setting),
          select_(connection_, "SELECT v FROM t WHERE k = ?") {}
    Bytes find(const StoreKey& key) override {
      ::sqlite3_reset(select_.get());
      select_.bind(key, integers_);
      require(::sqlite3_step(select_.get()) == SQLITE_ROW, "SQLite: SELECT");
      return select_.column(0);
    }
    void scan(bool by_key, const std::function<void(Bytes)>& each) override {
      ::sqlite3_reset(select_.get());
      const Statement all(connection_, by_key ? "SELECT v FROM t ORDER BY k" : "SELECT v FROM t");
      while (::sqlite3_step(all.get()) == SQLITE_ROW) {
        each(all.column(0));
      }
    }
    void renew() override { ::sqlite3_reset(select_.get()); }

   private:
    bool integers_;
    Connection connection_;
    Statement select_;
  };

  std::string path_;
  EngineSetting setting_;
  Connection connection_;
  std::optional<Statement> insert_;
  bool writing_ = false;
};

}  // namespace bench
