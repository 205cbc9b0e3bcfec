// expect: stele: an aggregate with a base class that has members; give it a static visit(v, self), with
// stele::visit_base<Base>(v, self)
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
