// expect: stele: this class inherits its visit from a base class, which does not know its own fields
#include "stele/stele.hpp"

namespace {

struct Base {
  int a = 0;
  static void visit(auto& v, auto& self) { v("a", self.a); }
};
struct Derived : Base {
  int b = 0;
};

}  // namespace

int main() { stele::from_bytes<Derived>({}); }
