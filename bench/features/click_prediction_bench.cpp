// The experiment of examples/click_prediction as benchmarks: the quality of a model with no history, exact histories
// and filters of many sizes. The time of each is that of answering and scoring one example; the counters have the rest.

#include <filesystem>
#include <functional>

#include "bench.hpp"
#include "examples/click_prediction/experiment.hpp"
#include "examples/click_prediction/movielens.hpp"
#include "examples/click_prediction/synthetic.hpp"

namespace {

using namespace clicks;

bool quick() { return std::getenv("STELE_BENCH_QUICK") != nullptr; }

struct Set {
  std::string name;
  std::function<Data()> make;
  int epochs;
  std::uint64_t seeds;  // filters of each size, over which results are averaged
};

/// Made when first asked for, and kept for the next benchmarks.
const Data& data_of(const Set& set) {
  static std::string made;
  static std::unique_ptr<Data> data;
  if (made != set.name) {
    data = nullptr;
    data = std::make_unique<Data>(set.make());
    made = set.name;
  }
  return *data;
}

/// Runs `outcomes` times and reports the means.
void add(const Set& set, const std::string& name, std::uint64_t outcomes,
         const std::function<Outcome(const Data&, std::uint64_t seed)>& outcome_of, double bits) {
  benchmark::RegisterBenchmark(("features/" + set.name + "/" + name).c_str(),
                               [=](benchmark::State& state) {
                                 for (auto _ : state) {
                                   const Data& data = data_of(set);
                                   Outcome mean;
                                   for (std::uint64_t seed = 0; seed < outcomes; ++seed) {
                                     const Outcome outcome = outcome_of(data, seed);
                                     const auto n = static_cast<double>(outcomes);
                                     mean.auc += outcome.auc / n;
                                     mean.answers_per_second += outcome.answers_per_second / n;
                                     mean.examples_per_second += outcome.examples_per_second / n;
                                     mean.bytes = outcome.bytes;
                                   }
                                   state.SetIterationTime(1 / mean.examples_per_second);
                                   state.counters["auc"] = mean.auc;
                                   state.counters["store_bytes"] = static_cast<double>(mean.bytes);
                                   state.counters["answers"] = mean.answers_per_second;
                                   state.counters["examples"] = mean.examples_per_second;
                                   state.counters["pairs"] = static_cast<double>(data.history.size());
                                   state.counters["tested"] = static_cast<double>(data.size() - data.trained);
                                   state.counters["all"] = static_cast<double>(data.size());
                                   state.counters["bits"] = bits;
                                 }
                               })
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kNanosecond);
}

void add(const Set& set) {
  add(set, "none", 1, [=](const Data& data, std::uint64_t) { return run(data, NoHistory(), set.epochs); }, 0);
  add(set, "exact", 1, [=](const Data& data, std::uint64_t) { return run(data, ExactHistory(data), set.epochs); }, 0);
  for (const double bits : sweep_bits()) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", bits);
    add(
        set, text, set.seeds,
        [=](const Data& data, std::uint64_t seed) { return run(data, FilteredHistory(data, bits, seed), set.epochs); },
        bits);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const SyntheticOptions small{.users = 10'000, .items = 10'000, .examples = 150'000};
  add({"synthetic", [=] { return Synthetic(quick() ? small : SyntheticOptions()).make(); }, quick() ? 3 : 2, 1});
  if (const std::string folder = bench::file("movielens"); std::filesystem::exists(folder)) {
    add({"movielens", [=] { return movielens(folder); }, 20, quick() ? 1U : 8U});
  }
  return bench::run(argc, argv);
}
