#include <stele/state_text.hpp>

#include <vector>

int main() {
  const std::vector<int> state = {1, 2, 3};
  return stele::from_text<std::vector<int>>(stele::to_text(state)) == state ? 0 : 1;
}
