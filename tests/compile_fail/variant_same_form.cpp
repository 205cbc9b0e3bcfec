// expect: stele: two alternatives of a variant have the same form and could be mistaken for one another
#include <variant>

#include "stele/stele.hpp"

namespace {

struct Celsius {
  double degrees;
};
struct Fahrenheit {
  double degrees;
};

}  // namespace

int main() { return static_cast<int>(stele::to_bytes(std::variant<int, Celsius, Fahrenheit>()).size()); }
