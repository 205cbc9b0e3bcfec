// expect: stele: an element of an Array has no visit and no stele::Visit; use a std::vector
#include <string>

#include "stele/stele.hpp"

enum class Color { red, green };

template <>
struct stele::Visit<Color> {
  static void write(OutVisitor& out, const Color& color) { out.text(color == Color::red ? "red" : "green"); }
  static void read(InVisitor& in, Color& color) {
    std::string name;
    in.text(name);
    color = name == "red" ? Color::red : Color::green;
  }
};

int main() { stele::to_bytes(stele::Array<Color>({3})); }
