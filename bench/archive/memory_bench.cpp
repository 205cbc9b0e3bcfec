// Peak memory above the object, saving and loading 1 GiB: each measured in a process of its own, by the kernel's
// high-water mark of resident memory.

#include <functional>

#include "bench.hpp"
#include "child.hpp"
#include "stele/archive.hpp"

namespace {

constexpr std::uint64_t bytes = 1024 * bench::mib;

struct Measured {
  double seconds;
  double above_mib;
};

stele::Array<float> make() {
  auto array = stele::Array<float>::uninitialized({bytes / sizeof(float)});
  const std::vector<float> values = bench::weights(1 << 20);
  for (std::uint64_t i = 0; i < array.size(); ++i) {
    array.mutable_data()[i] = values[i % values.size()];
  }
  return array;
}

void add(const std::string& name, const std::function<Measured()>& work) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [work](benchmark::State& state) {
                                 for (auto _ : state) {
                                   const Measured measured = bench::in_child(work);
                                   state.SetIterationTime(measured.seconds);
                                   state.counters["above_mib"] = measured.above_mib;
                                 }
                                 state.counters["bytes"] = bytes;
                               })
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}

}  // namespace

int main(int argc, char** argv) {
  for (const std::string extension : {"", ".gz", ".zst"}) {
    const std::string path = bench::file("memory.stele" + extension);
    const std::string what = extension.empty() ? "plain" : extension.substr(1);
    const auto save = [path] {
      const auto array = make();
      const std::uint64_t base = bench::reset_peak();
      const double begin = bench::seconds(CLOCK_MONOTONIC);
      stele::save(array, path);
      return Measured{bench::seconds(CLOCK_MONOTONIC) - begin, bench::mib_above(base)};
    };
    add("memory/save/" + what + "/stele", save);
    add("memory/load/" + what + "/stele", [path, save] {
      if (::access(path.c_str(), F_OK) != 0) {
        bench::in_child(save);
      }
      const std::uint64_t base = bench::reset_peak();
      const double begin = bench::seconds(CLOCK_MONOTONIC);
      const auto array = stele::load<stele::Array<float>>(path);
      return Measured{bench::seconds(CLOCK_MONOTONIC) - begin, bench::mib_above(base + bytes)};
    });
  }
  return bench::run(argc, argv);
}
