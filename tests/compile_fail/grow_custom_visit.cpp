// expect: stele: the elements of an array are numbers or records of numbers, without a visit or a stele::Visit
#include "stele/stele.hpp"

struct Point {
  float x = 0, y = 0;
  static void visit(auto& v, auto& self) { v("x", self.x)("y", self.y); }
};

int main() {
  stele::MapWriter out("points.stele");
  out.grow<Point>("points").close();
}
