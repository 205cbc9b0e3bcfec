// expect: stele: a raw pointer has no owner; use std::unique_ptr, std::shared_ptr or std::optional
#include <vector>

#include "stele/stele.hpp"

namespace {

struct Node {
  std::vector<const float*> rows;
};

}  // namespace

int main() { return static_cast<int>(stele::load<Node>("node.stele").rows.size()); }
