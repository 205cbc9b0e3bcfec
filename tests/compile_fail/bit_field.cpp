// expect: stele: a bit-field has no address; use a whole integer, or give the type a static visit(v, self)
#include <string>

#include "stele/stele.hpp"

namespace {

struct Flags {
  std::string text;
  unsigned on : 1;
  unsigned off : 1;
};

}  // namespace

int main() { stele::save(Flags(), "flags.stele"); }
