#include <stele/token_counts.hpp>

int main() {
  stele::TokenCounts counts;
  counts.add("key", 3);
  return counts.count("key") == 3 ? 0 : 1;
}
