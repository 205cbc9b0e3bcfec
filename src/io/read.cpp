#include "io/read.hpp"

#include <span>
#include <vector>

#include "base/threads/interruption.hpp"
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

void copy_rest(Source& from, Sink& to) {
  std::vector<std::byte> piece(std::size_t{1} << 20);
  for (std::size_t count = from.read(piece); count > 0; count = from.read(piece)) {
    interruption_point();
    to.write(std::span(piece).first(count));
  }
}

}  // namespace stele
