// expect: stele: visit_base<B> is for a base class that has a visit or is an aggregate; give another one as a field
#include <vector>

#include "stele/stele.hpp"

namespace {

struct Table : std::vector<float> {
  int columns = 0;
  static void visit(auto& v, auto& self) { stele::visit_base<std::vector<float>>(v, self)("columns", self.columns); }
};

}  // namespace

int main() { stele::to_bytes(Table()); }
