// expect: stele: this class looks like a container or another type of the standard library, but may hold more than it
// shows
#include <string>

#include "stele/stele.hpp"

namespace {

struct Name : std::string {
  using std::string::string;
  int language = 0;
};

}  // namespace

int main() { stele::save(Name("x"), "name.stele"); }
