// States as text: what a state costs to write and to read, and how many characters it takes, for several kinds of
// states. The states are left in STELE_BENCH_FOLDER for rivals.py, a byte for each counter.

#include <cmath>
#include <cstdio>
#include <map>

#include "bench.hpp"
#include "stele/state_text.hpp"

namespace {

constexpr std::size_t places = 3000;
constexpr std::size_t measured = 200;  // states
constexpr std::size_t learned = 800;   // others, for the dictionary
constexpr int most = 101;

using Counters = std::vector<int>;
using Random = std::mt19937_64;

/// As the article's, whose JSON list takes 9,020 characters, and 1,628 after Python's zlib: geometrically distributed.
/// No place is like itself in another state, so that there is nothing to learn.
std::vector<Counters> even_states() {
  Random random(1);
  std::geometric_distribution<int> counter(0.394);
  std::vector<Counters> states(measured + learned, Counters(places));
  for (Counters& state : states) {
    for (int& value : state) {
      value = std::min(counter(random), most);
    }
  }
  return states;
}

/// Words a learner has met: some words are frequent for all (Zipf's law, exponent 1.2), in the order of a dictionary,
/// not of frequency; some learners read more. `burst`: a user's own interest in each word, gamma distributed of that
/// shape.
std::vector<Counters> word_states(double words_read, double burst) {
  Random random(2);
  std::vector<double> rates(places);
  double total = 0;
  for (std::size_t i = 0; i < places; ++i) {
    rates[i] = std::pow(static_cast<double>(1 + i * 1009 % places), -1.2);
    total += rates[i];
  }
  std::lognormal_distribution<double> activity(0, 0.7);
  std::gamma_distribution<double> interest(burst, burst == 0 ? 1 : 1 / burst);
  std::vector<Counters> states(measured + learned, Counters(places));
  for (Counters& state : states) {
    const double read = words_read * activity(random) / total;
    for (std::size_t i = 0; i < places; ++i) {
      const double rate = read * rates[i] * (burst == 0 ? 1 : interest(random));
      state[i] = std::min(std::poisson_distribution<int>(rate + 1e-12)(random), most);
    }
  }
  return states;
}

struct Session {
  std::string user;
  std::map<std::string, double> preferences;
  std::vector<std::int64_t> visits;
  int version = 3;
};
std::vector<Session> session_states() {
  Random random(3);
  std::vector<Session> states(measured + learned);
  for (Session& state : states) {
    const auto n = static_cast<int>(random() % 100'000);
    state.user = "user-" + std::to_string(n);
    state.preferences = {
        {"brightness", n % 100 / 100.0}, {"notifications per day", n % 7}, {"language model weight", n % 13 / 3.0}};
    for (int i = 0; i < 20; ++i) {
      state.visits.push_back(static_cast<std::int64_t>(random() % 50));
    }
  }
  return states;
}

template <class T>
struct Set {
  std::string name;
  std::vector<T> states;  // the first are measured
  stele::TextDictionary dictionary;
};

/// Writing and reading with `options`; one state in each turn.
template <class T>
void add(const Set<T>& set, const std::string& how, const stele::TextSaveOptions& options, bool in_one_call = false) {
  const stele::TextLoadOptions loading{.dictionary = options.dictionary, .bare = options.bare, .item = options.item};
  auto texts = std::make_shared<std::vector<std::string>>();
  std::size_t characters = 0;
  for (std::size_t i = 0; i < measured; ++i) {
    characters += texts->emplace_back(stele::to_text(set.states[i], options)).size();
  }
  const std::string name = "text/" + set.name + "/" + how;
  benchmark::RegisterBenchmark(("encode/" + name).c_str(), [=, &set](benchmark::State& state) {
    stele::TextEncoder encoder(options);
    std::size_t i = 0;
    for (auto _ : state) {
      const T& value = set.states[i++ % measured];
      benchmark::DoNotOptimize(in_one_call ? stele::to_text(value, options) : encoder.text(value));
    }
    state.counters["characters"] = static_cast<double>(characters) / measured;
  })->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark(("decode/" + name).c_str(), [=](benchmark::State& state) {
    stele::TextDecoder decoder(loading);
    std::size_t i = 0;
    for (auto _ : state) {
      const std::string& text = (*texts)[i++ % measured];
      benchmark::DoNotOptimize(in_one_call ? stele::from_text<T>(text, loading) : decoder.value<T>(text));
    }
  })->Unit(benchmark::kMicrosecond);
}

/// All states at once.
void add_batch(const Set<Counters>& set, unsigned threads) {
  const stele::TextSaveOptions options{.max = most, .threads = threads};
  const stele::TextLoadOptions loading{.threads = threads};
  const std::string name = "batch/" + set.name + "/" + std::to_string(threads);
  const std::span<const Counters> states(set.states);
  benchmark::RegisterBenchmark(("encode/" + name).c_str(),
                               [=](benchmark::State& state) {
                                 for (auto _ : state) {
                                   benchmark::DoNotOptimize(stele::to_texts(states, options));
                                 }
                                 state.counters["states_per_second"] =
                                     benchmark::Counter(static_cast<double>(states.size() * state.iterations()),
                                                        benchmark::Counter::kIsRate);
                               })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
  const auto texts = std::make_shared<std::vector<std::string>>(stele::to_texts(states, options));
  benchmark::RegisterBenchmark(("decode/" + name).c_str(),
                               [=](benchmark::State& state) {
                                 for (auto _ : state) {
                                   benchmark::DoNotOptimize(stele::from_texts<Counters>(*texts, loading));
                                 }
                                 state.counters["states_per_second"] =
                                     benchmark::Counter(static_cast<double>(texts->size() * state.iterations()),
                                                        benchmark::Counter::kIsRate);
                               })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

void leave_for_rivals(const Set<Counters>& set) {
  std::FILE* file = std::fopen(bench::file("state_text " + set.name + ".raw").c_str(), "wb");
  bench::require(file != nullptr, "fopen");
  for (std::size_t i = 0; i < measured; ++i) {
    const std::vector<unsigned char> bytes(set.states[i].begin(), set.states[i].end());
    bench::require(std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size(), "fwrite");
  }
  bench::require(std::fclose(file) == 0, "fclose");
}

template <class T>
void add_set(Set<T>& set) {
  stele::TextSaveOptions options;
  options.max = most;
  set.dictionary = stele::TextDictionary::train(std::span<const T>(set.states).subspan(measured), options);
  add(set, "stele", options);
  add(set, "stele, in one call", options, true);
  if constexpr (std::is_same_v<T, Counters>) {
    add(set, "stele, zlib bytes", stele::zlib_bytes_save_options(most));
  }
  options.level = 6;
  add(set, "stele, level 6", options);
  options.dictionary = &set.dictionary;
  add(set, "stele, dictionary, level 6", options);
  options.level = 1;
  add(set, "stele, dictionary", options);
}

}  // namespace

int main(int argc, char** argv) {
  static Set<Counters> sets[] = {
      {"even", even_states(), {}}, {"words", word_states(2000, 0), {}}, {"words, bursts", word_states(2000, 2), {}}};
  for (Set<Counters>& set : sets) {
    leave_for_rivals(set);
    add_set(set);
  }
  static Set<Session> sessions{"sessions", session_states(), {}};
  add_set(sessions);
  for (const unsigned threads : {1U, 2U}) {
    add_batch(sets[0], threads);
  }
  return bench::run(argc, argv);
}
