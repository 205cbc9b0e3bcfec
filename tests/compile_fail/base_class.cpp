// expect: stele: an aggregate with a base class; give it a static visit(v, self)
#include <string>

#include "stele/stele.hpp"

namespace {

struct Base {
  int number = 0;
};
struct Derived : Base {
  std::string text;
};

}  // namespace

int main() { stele::save(Derived(), "derived.stele"); }
