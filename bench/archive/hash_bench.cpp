// The content hash of arrays beside XXH3 alone, and of small objects.

#include <xxhash.h>

#include <map>

#include "bench.hpp"
#include "stele/array.hpp"
#include "stele/hash.hpp"

namespace {

void add(const std::string& name, std::uint64_t bytes, auto work) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    for (auto _ : state) {
      benchmark::DoNotOptimize(work());
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * static_cast<std::int64_t>(state.iterations()));
  })->Unit(benchmark::kMicrosecond);
}

}  // namespace

int main(int argc, char** argv) {
  for (const std::uint64_t size : {1U, 16U}) {
    const std::uint64_t bytes = size * bench::mib;
    const stele::Array<float, 2> array({bytes / 4096, 1024});
    const std::string what = std::to_string(size) + " MiB array";
    add("hash/" + what + "/stele", bytes, [=] { return stele::hash(array); });
    add("hash/" + what + " transposed/stele", bytes, [turned = array.transposed()] { return stele::hash(turned); });
    add("hash/" + what + "/XXH3-128", bytes, [=] { return XXH3_128bits(array.data(), bytes); });
  }
  std::map<std::string, double> metrics;
  for (int i = 0; i < 1000; ++i) {
    metrics["metric " + std::to_string(i)] = i;
  }
  add("hash/map of 1000 strings and numbers/stele", 0, [=] { return stele::hash(metrics); });
  return bench::run(argc, argv);
}
