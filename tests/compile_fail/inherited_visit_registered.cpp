// expect: stele: this class inherits its visit from a base class, which does not know its own fields
#include <string>

#include "stele/stele.hpp"

namespace {

struct Animal {
  virtual ~Animal() = default;
  int legs = 4;
  static void visit(auto& v, auto& self) { v("legs", self.legs); }
};
struct Dog : Animal {
  std::string name;
};

}  // namespace

int main() {
  stele::TypeRegistry types;
  types.add<Dog, Animal>("dog");
}
