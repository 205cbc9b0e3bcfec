// expect: stele: this class looks like a container or another type of the standard library, but may hold more than it
// shows
#include <chrono>

#include "stele/stele.hpp"

namespace {

struct ZonedSeconds : std::chrono::seconds {
  using std::chrono::seconds::duration;
  int zone = 0;
};

}  // namespace

int main() { stele::to_bytes(std::vector<ZonedSeconds>(1)); }
