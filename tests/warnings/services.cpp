// The templates of the services, compiled with many warnings, as a consumer may do.

#include <map>
#include <string>
#include <vector>

#include "stele/cache.hpp"
#include "stele/features/feature_store.hpp"
#include "stele/features/known_features.hpp"
#include "stele/filters/own_array.hpp"
#include "stele/state_text.hpp"
#include "stele/stele.hpp"
#include "stele/store.hpp"
#include "stele/token_counts.hpp"

namespace {

struct State {
  std::vector<std::int64_t> counts;
  std::map<std::string, float> weights;
};

}  // namespace

int main() {
  stele::Store store = stele::Store::open("a.store", stele::StoreMode::create);
  store.put("state", State{{1, 2}, {{"a", 1.0F}}});
  store.put(7, std::string("text"));
  const auto state = store.get<State>("state");
  for (const stele::StoreItem& item : store.items()) {
    if (item.value.is_text()) {
      return 1;
    }
  }
  stele::Cache cache = stele::Cache::open("a.cache");
  const auto made = cache.get_or_compute("make", 1, 2, stele::cache::ignored(3), [](int, int) { return State{}; });
  const auto found = cache.peek<State>({.name = "make", .version = "1"}, 2);
  if (found && found->value.counts != made.value.counts) {
    return 2;
  }
  const std::string text = stele::to_text(state.counts);
  return stele::from_text<std::vector<std::int64_t>>(text).size() + stele::hash(state).bytes.size() > 0 ? 0 : 1;
}
