#include <stele/store/exchange.hpp>

#include <vector>

int main() {
  stele::Store store = stele::Store::open("consumer.store");
  store.put("key", 42);
  std::vector<std::byte> lines;
  stele::export_json_lines(store, *stele::memory_sink(lines));  // links other file formats
  return store.get<int>("key") == 42 && !lines.empty() ? 0 : 1;
}
