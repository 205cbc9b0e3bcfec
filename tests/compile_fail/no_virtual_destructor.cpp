// expect: stele: a std::unique_ptr to a base class needs a virtual destructor there
#include <memory>

#include "stele/stele.hpp"

namespace {

struct Base {
  virtual int area() const { return 0; }
  static void visit(auto&, auto&) {}
};
struct Holder {
  std::unique_ptr<Base> base;
};

}  // namespace

int main() { return stele::load<Holder>("holder.stele").base->area(); }
