#include "io/read.hpp"

#include "stele/error.hpp"

namespace stele {

std::size_t read_up_to(Source& source, MutableBytes into) {
  std::size_t got = 0;
  while (got < into.size()) {
    const std::size_t n = source.read(into.subspan(got));
    if (n == 0) {
      break;
    }
    got += n;
  }
  return got;
}

void read_exactly(Source& source, MutableBytes into) {
  if (const std::size_t got = read_up_to(source, into); got < into.size()) {
    fail(Errc::truncated, "it ends " + std::to_string(into.size() - got) + " bytes early");
  }
}

}  // namespace stele
