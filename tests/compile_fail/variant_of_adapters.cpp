// expect: stele: an alternative of a variant whose stele::Visit writes it needs a name
#include <variant>

#include "stele/stele.hpp"

namespace {

struct Money {
  long long cents;
};

}  // namespace

template <>
struct stele::Visit<Money> {
  static void write(OutVisitor& out, const Money& money) { out.integer(money.cents); }
  static void read(InVisitor& in, Money& money) { stele::read(in, money.cents); }
};

int main() { return static_cast<int>(stele::to_bytes(std::variant<int, Money>()).size()); }
