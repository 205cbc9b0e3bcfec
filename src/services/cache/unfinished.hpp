#pragma once
// Large results that are being written.

#include <cstdint>
#include <string>

#include "stele/hash.hpp"

namespace stele {

struct CacheCore;

/// A file that has no name in the cache yet. Removed unless it gets one.
class CacheUnfinished {
 public:
  explicit CacheUnfinished(CacheCore& core);
  ~CacheUnfinished();
  CacheUnfinished(const CacheUnfinished&) = delete;
  CacheUnfinished& operator=(const CacheUnfinished&) = delete;

  /// Where to write it.
  std::string path() const;
  /// Of what was written. Throws: Error(io).
  std::uint64_t bytes() const;
  /// Gives it the name of a result. Throws: Error(io).
  void rename_to(const Digest& key);

 private:
  CacheCore& core_;
  std::string name_;  // in the folder; empty once it has another one
};

}  // namespace stele
