// expect: stele: stele::Visit<T>::visit takes the object by reference
#include "stele/stele.hpp"

namespace {

struct Point {
  int x = 0;
  int y = 0;
};

}  // namespace

template <>
struct stele::Visit<Point> {
  static void visit(auto& v, Point self) { v("x", self.x)("y", self.y); }
};

int main() { stele::to_bytes(Point()); }
