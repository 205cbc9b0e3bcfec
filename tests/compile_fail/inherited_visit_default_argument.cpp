// expect: stele: a visit is `static void visit(auto& v, auto& self)`, with both by reference and without further
#include "stele/stele.hpp"

namespace {

struct Base {
  int x = 1;
  static void visit(auto& v, auto& self, int = 0) { v("x", self.x); }
};
struct Derived : Base {
  int y = 2;
};

}  // namespace

int main() { stele::to_bytes(Derived()); }
