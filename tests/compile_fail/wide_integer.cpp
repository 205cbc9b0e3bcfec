// expect: stele: integers have up to 64 bits
#include "stele/stele.hpp"

int main() {
  __extension__ __int128 wide = 1;
  stele::save(wide, "wide.stele");
}
