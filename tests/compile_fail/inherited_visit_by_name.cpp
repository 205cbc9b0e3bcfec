// expect: stele: this class inherits its visit from a base class, which does not know its own fields
#include "stele/stele.hpp"

namespace {

struct Base {
  int a = 0;
  static void visit(auto& v, Base& self) { v("a", self.a); }
  static void visit(auto& v, const Base& self) { v("a", self.a); }
};
struct Derived : Base {
  int b = 0;
};

}  // namespace

int main() { stele::to_bytes(Derived()); }
