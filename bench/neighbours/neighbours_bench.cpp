// Files of other programs, read by stele, beside the programs that wrote them (rivals.py). Each is loaded into a tree
// of values, or opened and mapped, in a process of its own. The files are in the page cache.

#include <filesystem>
#include <string>
#include <vector>

#include "bench.hpp"
#include "child.hpp"
#include "stele/archive.hpp"
#include "stele/interop.hpp"
#include "stele/value.hpp"

namespace {

struct Measured {
  double seconds = 0;
  double peak_mib = 0;  // resident memory above the start, with the result
};

template <class Work>
Measured measure(Work work) {
  const std::uint64_t base = bench::reset_peak();
  const double begin = bench::seconds(CLOCK_MONOTONIC);
  const auto result = work();
  Measured measured;
  measured.seconds = bench::seconds(CLOCK_MONOTONIC) - begin;
  measured.peak_mib = bench::mib_above(base);
  return measured;
}

void add(const std::string& name, const std::string& path, bool maps) {
  benchmark::RegisterBenchmark(
      name.c_str(),
      [=](benchmark::State& state) {
        for (auto _ : state) {
          const Measured measured = bench::in_child([&] {
            if (maps) {
              return measure([&] {
                return stele::open(path, {.map = stele::MapMode::read_only, .formats = &stele::neighbours()});
              });
            }
            return measure([&] { return stele::load<stele::Value>(path, {.formats = &stele::neighbours()}); });
          });
          state.SetIterationTime(measured.seconds);
          state.counters["peak_mib"] = measured.peak_mib;
        }
      })
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string prefix = "neighbours ";
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(bench::file("x")).parent_path())) {
    const std::string file = entry.path().filename().string();
    if (!file.starts_with(prefix)) {
      continue;
    }
    const std::size_t dot = file.find('.');
    const std::string extension = file.substr(dot);
    const std::string name = "neighbours/" + file.substr(prefix.size(), dot - prefix.size()) + "/" + extension + "/";
    add(name + "load/stele", entry.path().string(), false);
    for (const char* const plain : {".npy", ".npz", ".safetensors", ".joblib", ".pt"}) {
      if (extension == plain) {
        add(name + "map/stele", entry.path().string(), true);
      }
    }
  }
  return bench::run(argc, argv);
}
