#include <stele/cache.hpp>

int main() {
  stele::Cache cache = stele::Cache::open("results.cache");
  return cache.get_or_compute("twice", 1, 21, [](int x) { return 2 * x; }).value == 42 ? 0 : 1;
}
