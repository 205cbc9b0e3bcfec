// expect: stele: stele_required names a field that the type does not have
#include <string_view>

#include "stele/stele.hpp"

namespace {

struct Model {
  static constexpr std::string_view stele_required[] = {"wieghts"};
  double weights;
};

}  // namespace

int main() { return static_cast<int>(stele::load<Model>("model.stele").weights); }
