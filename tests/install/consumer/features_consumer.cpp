#include <stele/features/feature_store.hpp>

int main() {
  stele::FeatureStore store({.capacity = 100});
  store.add("entity", "feature");
  return store.contains("entity", "feature") ? 0 : 1;
}
