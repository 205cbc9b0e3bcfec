// expect: stele: a stele::Visit<T> has `static void visit(auto& v, auto& self)`
#include "stele/stele.hpp"

namespace {

struct Point {
  int x = 0;
};

}  // namespace

template <>
struct stele::Visit<Point> {};

int main() { stele::to_bytes(Point{}); }
