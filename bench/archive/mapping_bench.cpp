// Mapping: the time until the arrays of a file can be used, for files of very different sizes. One element is read.

#include <filesystem>

#include "bench.hpp"
#include "stele/archive.hpp"

namespace {

struct Layer {
  std::string name;
  stele::Array<float, 2> weights;
  stele::Array<float> bias;
};

/// Maps the file of a value that `make` returns; the file is made once and kept.
template <class Make, class Touch>
void add_map(const std::string& what, Make make, Touch touch) {
  using T = decltype(make());
  const std::string path = bench::file("map_" + what + ".stele");
  if (!std::filesystem::exists(path)) {
    stele::save(make(), path);
  }
  for (const auto& [name, mode] : {std::pair{"stele", stele::MapMode::read_only},
                                   std::pair{"stele copy-on-write", stele::MapMode::copy_on_write}}) {
    benchmark::RegisterBenchmark(("map/" + what + "/" + name).c_str(), [=, options = stele::LoadOptions{.map = mode}](
                                                                           benchmark::State& state) {
      for (auto _ : state) {
        const T mapped = stele::load<T>(path, options);
        benchmark::DoNotOptimize(touch(mapped));
      }
    })->Unit(benchmark::kMicrosecond);
  }
  benchmark::RegisterBenchmark(("open/" + what + "/stele").c_str(), [=](benchmark::State& state) {
    for (auto _ : state) {
      benchmark::DoNotOptimize(stele::open(path));
    }
  })->Unit(benchmark::kMicrosecond);
}

}  // namespace

int main(int argc, char** argv) {
  for (const std::uint64_t size : {1U, 100U, 1024U}) {
    const auto make = [size] {
      const std::vector<float> values = bench::weights(1 << 20);
      auto array = stele::Array<float, 2>::uninitialized({size, bench::mib / sizeof(float)});
      for (std::uint64_t i = 0; i < array.size(); ++i) {
        array.mutable_data()[i] = values[i % values.size()];
      }
      return array;
    };
    add_map(std::to_string(size) + " MiB", make, [](const auto& mapped) { return mapped(0, 0); });
  }
  const auto make = [] {
    std::vector<Layer> layers(50);
    for (Layer& layer : layers) {
      layer.name = "layer " + std::to_string(&layer - layers.data());
      layer.weights = stele::Array<float, 2>({512, 512});
      layer.bias = stele::Array<float>({2048});
    }
    return layers;
  };
  add_map("100 arrays", make, [](const auto& mapped) { return mapped.front().bias(0); });
  add_map("100 arrays, each touched", make, [](const auto& mapped) {  // 100 page faults
    float sum = 0;
    for (const Layer& layer : mapped) {
      sum += layer.weights(0, 0) + layer.bias(0);
    }
    return sum;
  });
  return bench::run(argc, argv);
}
