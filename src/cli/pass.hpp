#pragma once
// Archives on their way from an input, compressed or not, past their checksums and on to a Sink: what `verify` and
// `convert` do. The memory it takes does not depend on their size.

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
  std::string label;      // of the progress bar
  bool progress = false;  // whether there may be one
  /// If set, every value is loaded and given to it, together with its metadata, once it is checked.
  std::function<void(const Value&, const Metadata&)> take = {};
};

/// What has passed.
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

/// Reads one archive after another to the end of `stored` and checks everything in them. The plain bytes go to `to`,
/// unless it is null, before they are checked: close it only if nothing is thrown.
/// Throws: Error(not_an_archive), Error(truncated), Error(damaged) …
Passed pass_archives(std::unique_ptr<Source> stored, Sink* to, const PassOptions& options);

}  // namespace stele::cli
