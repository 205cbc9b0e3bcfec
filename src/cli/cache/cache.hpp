#pragma once
// The commands of `stele cache`, one function each, as in commands.hpp.

#include <cstdint>
#include <optional>
#include <string>

namespace stele::cli {

struct CacheOptionsGiven {
  std::string folder;
  std::string remote;
  std::string sort = "used";
  std::string name;     // of a function
  std::string version;  // of it
  std::optional<std::uint64_t> limit;
  std::optional<std::uint64_t> bytes;
  std::optional<std::uint64_t> items;
  double age = -1;  // seconds; negative: not given
  bool json = false;
};
int cache_ls(const CacheOptionsGiven& options);
int cache_stat(const CacheOptionsGiven& options);
int cache_prune(const CacheOptionsGiven& options);
int cache_verify(const CacheOptionsGiven& options);
int cache_clear(const CacheOptionsGiven& options);
int cache_push(const CacheOptionsGiven& options);

}  // namespace stele::cli
