// States of users in a store: 3,000 counters for each, kept as text by a key, with a dictionary of what the states have
// in common in the same store. Visits change states one by one, as a server would do it.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "stele/state_text.hpp"
#include "stele/store.hpp"

namespace {

constexpr std::size_t users = 500;
constexpr std::size_t counters = 3000;
constexpr int highest = 101;

using State = std::vector<int>;

std::string key_of(std::size_t user) { return "user/" + std::to_string(user); }

/// Which counter a visit raises: few are raised often, most seldom.
class Visits {
 public:
  std::size_t user() { return std::uniform_int_distribution<std::size_t>(0, users - 1)(random_); }
  std::size_t counter() {
    const double share = std::uniform_real_distribution<double>(0, 1)(random_);
    return static_cast<std::size_t>(share * share * share * counters);
  }

 private:
  std::mt19937_64 random_{1};
};

void require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "state_store: %s\n", what);
    std::exit(1);
  }
}

}  // namespace

int main() {
  Visits visits;
  std::vector<State> states(users, State(counters));
  for (std::size_t i = 0; i < users * 400; ++i) {
    ++states[visits.user()][visits.counter()];
  }

  // The dictionary is trained on some states and stored as any value is.
  const auto sample = std::span<const State>(states).first(200);
  const auto dictionary = stele::TextDictionary::train(sample, {.max = highest});
  std::size_t characters = 0;
  {
    auto store = stele::Store::open("states");
    stele::StoreBatch batch = store.batch();  // readers see all of it or nothing
    batch.put("dictionary", dictionary);
    stele::TextEncoder encoder({.max = highest, .dictionary = &dictionary});
    for (std::size_t user = 0; user < users; ++user) {
      const std::string text = encoder.text(states[user]);
      characters += text.size();
      batch.put(key_of(user), text);
    }
    batch.commit();
    store.close();
  }

  // Later, in another process: the dictionary comes first.
  auto store = stele::Store::open("states");
  const auto learnt = store.get<stele::TextDictionary>("dictionary");
  stele::TextDecoder decoder({.dictionary = &learnt});
  stele::TextEncoder encoder({.max = highest, .dictionary = &learnt});
  for (int i = 0; i < 1000; ++i) {
    const std::size_t user = visits.user();
    const std::size_t counter = visits.counter();
    State state = decoder.value<State>(store.get<std::string>(key_of(user)));
    ++state[counter];
    store.put(key_of(user), encoder.text(state));
    ++states[user][counter];
  }
  store.commit();

  for (std::size_t user = 0; user < users; ++user) {
    State expected = states[user];
    for (int& counter : expected) {
      counter = std::min(counter, highest);
    }
    const State state = decoder.value<State>(store.get<std::string>(key_of(user)));
    require(state == expected, "a state came back changed");
  }
  std::printf("%zu users of %zu counters: %.0f characters each, %.1f %% of a byte for each counter\n", users, counters,
              static_cast<double>(characters) / users, 100.0 * static_cast<double>(characters) / (users * counters));
  return 0;
}
