// expect: stele: to be loaded, a stele::Visit<T> has `static void read(InVisitor&, T&)`
#include "stele/stele.hpp"

namespace {

struct Point {
  int x = 0;
};

}  // namespace

template <>
struct stele::Visit<Point> {
  static void write(OutVisitor& out, const Point& point) { out.integer(point.x); }
};

int main() { stele::from_bytes<Point>({}); }
