#include <stele/store.hpp>

int main() {
  stele::Store store = stele::Store::open("consumer.store");
  store.put("key", 42);
  return store.get<int>("key") == 42 ? 0 : 1;
}
