// expect: stele: a raw pointer has no owner; use std::unique_ptr, std::shared_ptr or std::optional
#include <string>

#include "stele/stele.hpp"

namespace {

struct Node {
  std::string name;
  Node* next = nullptr;
};

}  // namespace

int main() { stele::save(Node(), "node.stele"); }
