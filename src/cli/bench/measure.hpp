#pragma once
// Measures one way to save an object: time, size and memory, in a separate process.

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
  std::string path;  // of the file, which is written and read repeatedly
  unsigned threads = 0;
  double seconds = 0;    // new rounds of saving and loading begin until this time has passed
  unsigned rounds = 10;  // at most
  double patience = 0;   // gives up after this time
};

struct Measurement {
  double save_seconds = 0;  // the minimum of all rounds
  double load_seconds = 0;
  std::uint64_t stored_bytes = 0;
  // Peak resident memory above the object, in the first round; negative if the system does not tell.
  std::int64_t save_memory = -1;
  std::int64_t load_memory = -1;
  unsigned rounds = 0;
};

/// Saves and loads `value` in a child process, so that the heap of one candidate does not affect the next. The loaded
/// object must equal the saved one. Calls `waiting` every tenth of a second; an exception from it ends the child. The
/// kernel's peak of resident memory (VmHWM) is reset before saving and before loading. The memory of saving is the peak
/// minus the memory resident before; for loading, also minus the loaded object.
/// Throws: Error of the child, Error(limit_exceeded) if it takes too long or is ended by a signal, Error(io).
Measurement measure(const Value& value, const Candidate& candidate, const MeasureOptions& options,
                    const std::function<void()>& waiting);

}  // namespace stele::cli
