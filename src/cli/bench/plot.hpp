#pragma once
// The plot of `stele bench` as SVG: size against speed, saving and loading side by side.

#include <string>
#include <vector>

#include "cli/bench/measure.hpp"

namespace stele::cli {

/// One candidate in the plot.
struct BenchPoint {
  Candidate candidate;
  double ratio = 0;       // plain bytes per stored byte
  double save_speed = 0;  // plain bytes per second
  double load_speed = 0;
  std::int64_t save_memory = -1;  // bytes; negative: unknown
  std::int64_t load_memory = -1;
  bool save_front = false;  // no other candidate is both smaller and faster
  bool load_front = false;
};

/// "zstd 3", "plain".
std::string candidate_name(const Candidate& candidate);

/// A complete SVG document. Colour shows the codec, marker form the filter, marker area the memory.
std::string bench_svg(const std::string& title, const std::string& subtitle, const std::vector<BenchPoint>& points);

}  // namespace stele::cli
