#include <stele/checkpoint.hpp>

int main() {
  stele::Checkpoints kept = stele::Checkpoints::open("steps", {.keep_last = 1});
  kept.save(1, 20);
  kept.save(2, 21);
  return kept.steps().size() == 1 && kept.restore<int>() == 21 ? 0 : 1;
}
