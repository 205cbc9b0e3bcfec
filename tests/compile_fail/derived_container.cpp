// expect: stele: an aggregate with a base class that has members
#include <vector>

#include "stele/stele.hpp"

namespace {

struct Table : std::vector<float> {
  int columns = 0;
};

}  // namespace

int main() { stele::save(Table(), "table.stele"); }
