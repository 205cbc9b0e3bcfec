// expect: stele: a visit is `static void visit(auto& v, auto& self)`, with both by reference
#include "stele/stele.hpp"

namespace {

class Point {
 public:
  static void visit(auto& v, auto self) { v("x", self.x_)("y", self.y_); }

 private:
  int x_ = 0;
  int y_ = 0;
};

}  // namespace

int main() { stele::to_bytes(Point()); }
