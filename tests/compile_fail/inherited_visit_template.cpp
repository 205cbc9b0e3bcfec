// expect: stele: this class inherits its visit from a base class, which does not know its own fields
#include <string>

#include "stele/stele.hpp"

template <int n>
struct Layers : Layers<n - 1> {
  int weight = n;
};
template <>
struct Layers<0> {
  std::string name;
  static void visit(auto& v, auto& self) { v("name", self.name); }
};

int main() { stele::to_bytes(Layers<2>()); }
