// expect: stele: a pointer to void does not tell the type of its object
#include <memory>

#include "stele/stele.hpp"

namespace {

struct Handle {
  std::shared_ptr<void> target;
};

}  // namespace

int main() { stele::save(Handle(), "handle.stele"); }
