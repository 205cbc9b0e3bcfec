// expect: stele: this class looks like a container or another type of the standard library, but may hold more than it
// shows
#include <optional>

#include "stele/stele.hpp"

namespace {

// The flag may lie in the padding of std::optional<int>, so that both have one size.
struct Score : std::optional<int> {
  using std::optional<int>::optional;
  bool final_score = false;
};

}  // namespace

int main() { stele::hash(Score(3)); }
