// expect: assign
// Elements are read through a(i), and written through a.mutable_at(i), which asks whether they may be.
#include "stele/stele.hpp"

int main() {
  auto array = stele::load<stele::Array<float>>("a.stele", {.map = stele::MapMode::read_only});
  array(0) = 1;
  return 0;
}
