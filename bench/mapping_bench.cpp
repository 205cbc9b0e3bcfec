// Mapping: the time until the arrays of a file can be used, for files of very different sizes. Nothing of the arrays is
// read but one element of each.

#include <filesystem>

#include "bench.hpp"
#include "stele/archive.hpp"

namespace {

struct Layer {
  std::string name;
  stele::Array<float, 2> weights;
  stele::Array<float> bias;
};

template <class T, class Touch>
void add_map(const std::string& what, const T& value, Touch touch) {
  const std::string path = bench::file("map_" + what + ".stele");
  if (!std::filesystem::exists(path)) {
    stele::save(value, path);
  }
  for (const auto& [name, mode] : {std::pair{"stele", stele::MapMode::read_only},
                                   std::pair{"stele copy-on-write", stele::MapMode::copy_on_write}}) {
    benchmark::RegisterBenchmark(("map/" + what + "/" + name).c_str(), [=, mode = mode](benchmark::State& state) {
      for (auto _ : state) {
        const T mapped = stele::load<T>(path, {.map = mode});
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
  const std::vector<float> values = bench::weights(1 << 20);
  for (const std::uint64_t size : {1, 100, 1024}) {
    stele::Array<float, 2> array = stele::Array<float, 2>::uninitialized({size, bench::mib / sizeof(float)});
    for (std::uint64_t i = 0; i < array.size(); ++i) {
      array.data()[i] = values[i % values.size()];
    }
    add_map(std::to_string(size) + " MiB", array, [](const auto& mapped) { return mapped(0, 0); });
  }
  std::vector<Layer> layers(50);
  for (Layer& layer : layers) {
    layer.name = "layer " + std::to_string(&layer - layers.data());
    layer.weights = stele::Array<float, 2>({512, 512});
    layer.bias = stele::Array<float>({2048});
  }
  add_map("100 arrays", layers, [](const auto& mapped) {
    float sum = 0;
    for (const Layer& layer : mapped) {
      sum += layer.weights(0, 0) + layer.bias(0);
    }
    return sum;
  });
  return bench::run(argc, argv);
}
