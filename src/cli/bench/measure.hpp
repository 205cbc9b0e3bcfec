#pragma once
// One way to save an object, measured: time, size and memory, in a process of its own.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "stele/value.hpp"

namespace stele::cli {

/// One way to save; the names are those of SaveOptions.
struct Candidate {
  std::string codec;
  std::optional<int> level;
  std::string filter;
};

struct MeasureOptions {
  std::string path;  // of the file that is written and read, again and again
  unsigned threads = 0;
  double seconds = 0;    // further rounds of saving and loading begin until so many have gone
  unsigned rounds = 10;  // at most
  double patience = 0;   // seconds after which it is given up
};

struct Measurement {
  double save_seconds = 0;  // the least of all rounds
  double load_seconds = 0;
  std::uint64_t stored_bytes = 0;
  // Peak resident memory above the object, the first time; negative where the system does not tell.
  std::int64_t save_memory = -1;
  std::int64_t load_memory = -1;
  unsigned rounds = 0;
};

/// Saves and loads `value` in a child process, so that what one candidate leaves in the heap does not count for the
/// next. A loaded object must equal the saved one. `waiting` is called every tenth of a second; what it throws ends the
/// child. The kernel's high-water mark of resident memory (VmHWM) begins anew before saving and before loading; above
/// the object is what it then exceeds the memory by that is resident before, or after loading, the loaded object.
/// Throws: Error of the child's, Error(limit_exceeded) where it takes too long or is ended by a signal, Error(io).
Measurement measure(const Value& value, const Candidate& candidate, const MeasureOptions& options,
                    const std::function<void()>& waiting);

}  // namespace stele::cli
