// expect: stele: this class inherits its visit from a base class, which does not know its own fields
#include <string>

#include "stele/stele.hpp"

namespace {

template <class T>
struct Net {
  struct Layer {
    T weight{};
    static void visit(auto& v, auto& self) { v("weight", self.weight); }
  };
  struct Biased : Layer {
    T bias{};
  };
};

}  // namespace

int main() { stele::to_bytes(Net<std::string>::Biased()); }
