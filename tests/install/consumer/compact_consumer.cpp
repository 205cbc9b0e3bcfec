#include <stele/bloom.hpp>
#include <stele/state_text.hpp>
#include <stele/token_counts.hpp>
#include <vector>

int main() {
  stele::BloomFilter filter(100, 0.01);
  filter.add("key");
  stele::TokenCounts counts;
  counts.add("key", 3);
  const std::vector<int> state = {1, 2, 3};
  const bool good = filter.contains("key") && counts.count("key") == 3 &&
                    stele::from_text<std::vector<int>>(stele::to_text(state)) == state;
  return good ? 0 : 1;
}
