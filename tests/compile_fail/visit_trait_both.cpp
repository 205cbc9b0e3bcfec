// expect: stele: a stele::Visit<T> has either visit(), or write() and read()
#include "stele/stele.hpp"

namespace {

struct Point {
  int x = 0;
};

}  // namespace

template <>
struct stele::Visit<Point> {
  static void visit(auto& v, auto& self) { v("x", self.x); }
  static void write(OutVisitor& out, const Point& point) { out.integer(point.x); }
};

int main() { stele::to_bytes(Point{}); }
