// expect: stele: std::unique_ptr<T[]> does not know its length; use std::vector or stele::Array
#include <memory>

#include "stele/stele.hpp"

namespace {

struct Buffer {
  std::unique_ptr<float[]> elements;
};

}  // namespace

int main() { stele::save(Buffer(), "buffer.stele"); }
