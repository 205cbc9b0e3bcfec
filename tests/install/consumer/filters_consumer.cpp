#include <stele/filters/bloom.hpp>

int main() {
  stele::BloomFilter filter(100, 0.01);
  filter.add("key");
  return filter.contains("key") ? 0 : 1;
}
