#pragma once
// The commands of `stele store`, one function each, as in commands.hpp.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "stele/store/exchange.hpp"

namespace stele::cli {

/// How to interpret keys on the command line.
struct StoreKeyForm {
  bool integer = false;
  bool hex = false;
  /// Throws: Error(invalid_argument).
  StoreKey key(const std::string& text) const;
};

struct StoreRangeOptions {
  std::optional<std::string> prefix;
  std::optional<std::string> from;
  std::optional<std::string> to;
  bool reverse = false;
  bool any() const noexcept { return prefix || from || to; }
  StoreKeyRange range(const StoreKeyForm& form) const;
};

struct StoreLsOptions {
  std::string store;
  StoreKeyForm form;
  StoreRangeOptions range;
  std::string order = "key";
  std::optional<std::uint64_t> limit;
  bool detailed = false;
  bool json = false;
};
int store_ls(const StoreLsOptions& options);

struct StoreGetOptions {
  std::string store;
  std::string key;
  StoreKeyForm form;
  std::string output;  // empty: standard output, as text
  std::string codec;
  std::optional<int> level;
  std::optional<std::size_t> items;
  std::optional<std::size_t> depth;
  bool full = false;
  bool json = false;
};
int store_get(const StoreGetOptions& options);

struct StorePutOptions {
  std::string store;
  std::string key;
  StoreKeyForm form;
  std::optional<std::string> file;
  std::optional<std::string> text;
  std::optional<std::string> value;  // JSON
  bool archive = false;
  StoreOptions open;
  bool json = false;
};
int store_put(const StorePutOptions& options);

struct StoreEraseOptions {
  std::string store;
  std::vector<std::string> keys;
  StoreKeyForm form;
  StoreOptions open;
  bool json = false;
};
int store_erase(const StoreEraseOptions& options);

/// The options of commands for a whole store.
struct StoreCareOptions {
  std::string store;
  std::string output;  // for compact
  double dead_share = StoreVacuumOptions{}.dead_share;
  StoreOptions open;
  bool json = false;
};
int store_stat(const StoreCareOptions& options);
int store_verify(const StoreCareOptions& options);
int store_vacuum(const StoreCareOptions& options);
int store_recover(const StoreCareOptions& options);
int store_compact(const StoreCareOptions& options);

struct ImportArguments {
  std::string store;
  std::string source;
  std::string format;  // empty: derived from the source
  StoreImportOptions import;
  StoreOptions open;
  bool json = false;
};
int store_import(const ImportArguments& options);

struct ExportArguments {
  std::string store;
  std::string output;
  std::string format;  // empty: derived from the output's name
  StoreKeyForm form;
  StoreRangeOptions range;
  StoreExportOptions export_;
  bool json = false;
};
int store_export(const ExportArguments& options);

}  // namespace stele::cli
