// Saves a model, loads it whole and in part, and compares.
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include <stele/stele.hpp>

struct Layer {
  std::string name;
  std::vector<float> weights;
};

struct Model {
  std::vector<Layer> layers;
  std::map<std::string, double> metrics;
  int epoch = 0;
};

int main() {
  Model model;
  model.layers = {{"first", std::vector<float>(5000, 0.5F)}, {"second", {1.0F, 2.0F, 3.0F}}};
  model.metrics = {{"accuracy", 0.875}, {"loss", 0.25}};
  model.epoch = 7;
  for (const char* path : {"model.stele", "model.stele.gz"}) {
    stele::save(model, path);
    const Model loaded = stele::load<Model>(path);
    auto file = stele::open(path);
    const auto weights = file.load<std::vector<float>>("layers/0/weights");
    const bool same = loaded.layers.size() == 2 && loaded.layers[0].weights == model.layers[0].weights &&
                      loaded.layers[1].name == "second" && loaded.layers[1].weights == model.layers[1].weights &&
                      loaded.metrics == model.metrics && loaded.epoch == 7 && weights == model.layers[0].weights;
    if (!same) {
      std::fprintf(stderr, "%s: loaded another model than was saved\n", path);
      return 1;
    }
  }
  return 0;
}
