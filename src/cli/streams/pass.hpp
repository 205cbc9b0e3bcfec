#pragma once
// Reads archives from an input, compressed or not, verifies their checksums and copies them to a Sink, for `verify` and
// `convert`. The memory does not depend on their size.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "stele/io.hpp"
#include "stele/value.hpp"

namespace stele::cli {

struct PassOptions {
  unsigned threads = 0;
  bool progress = false;  // whether to show one
  /// If set, every value is loaded and passed to it with its metadata after the checks.
  std::function<void(const Value&, const Metadata&)> take = {};
  /// If set, there must be one value, which may be of another program's file. It is passed to this before the checks,
  /// a large array while it is read; see StreamedRoot.
  std::function<void(const Value&)> take_root = {};
};

/// Totals so far.
struct Passed {
  struct Archive {
    std::uint64_t offset = 0;  // in the plain bytes
    std::uint64_t bytes = 0;
  };
  std::string codec;
  std::uint64_t stored_bytes = 0;
  std::uint64_t plain_bytes = 0;
  std::vector<Archive> archives;
};

/// Reads all archives of an input (open_input()) and checks everything in them. Writes the plain bytes to `to`, unless
/// it is null, before they are checked: close it only if nothing is thrown. Throws: Error(not_an_archive),
/// Error(truncated), Error(damaged) …
Passed pass_archives(const std::string& file, Sink* to, const PassOptions& options);

}  // namespace stele::cli
