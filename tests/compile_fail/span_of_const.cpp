// expect: stele: a span of const has no memory of its own; read into a std::vector or stele::Array
#include <span>

#include "stele/stele.hpp"

namespace {

struct View {
  std::span<const float> numbers;
};

}  // namespace

int main() { return static_cast<int>(stele::load<View>("view.stele").numbers.size()); }
