// expect: stele: std::shared_ptr<T[]> does not know its length; use stele::Array
#include <memory>

#include "stele/stele.hpp"

namespace {

struct Buffer {
  std::shared_ptr<float[]> elements;
};

}  // namespace

int main() { stele::save(Buffer(), "buffer.stele"); }
