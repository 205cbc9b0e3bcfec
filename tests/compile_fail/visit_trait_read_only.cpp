// expect: stele: to be saved, a stele::Visit<T> has `static void write(OutVisitor&, const T&)`
#include "stele/stele.hpp"

namespace {

struct Point {
  int x = 0;
};

}  // namespace

template <>
struct stele::Visit<Point> {
  static void read(InVisitor& in, Point& point) { stele::read(in, point.x); }
};

int main() { stele::to_bytes(Point{}); }
