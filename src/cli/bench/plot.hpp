#pragma once
// The picture of `stele bench`: size against speed, saving and loading side by side, as SVG.

#include <string>
#include <vector>

#include "cli/bench/measure.hpp"

namespace stele::cli {

/// One candidate in the picture.
struct BenchPoint {
  Candidate candidate;
  double ratio = 0;       // plain bytes per stored byte
  double save_speed = 0;  // plain bytes per second
  double load_speed = 0;
  std::int64_t save_memory = -1;  // bytes; negative: not known
  std::int64_t load_memory = -1;
  bool save_front = false;  // no other is both smaller and faster
  bool load_front = false;
};

/// "zstd 3", "plain".
std::string candidate_name(const Candidate& candidate);

/// A document of its own. A colour is a codec, a form a filter, the area of a mark the memory.
std::string bench_svg(const std::string& title, const std::string& subtitle, const std::vector<BenchPoint>& points);

}  // namespace stele::cli
