// The correct version of what the other files here do wrong: this one must compile.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "stele/stele.hpp"

namespace {

struct Layer {
  std::string name;
  std::vector<float> weights;
};

struct Model {
  std::vector<Layer> layers;
  std::map<std::string, double> metrics;
  std::unique_ptr<int> epoch;
};

}  // namespace

int main() {
  const Model model;
  stele::save(model, "model.stele");
  const Model loaded = stele::load<Model>("model.stele");
  return static_cast<int>(loaded.layers.size());
}
