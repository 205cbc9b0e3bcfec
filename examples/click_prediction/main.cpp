// Click prediction with users' histories in a filter: how much of what the history is worth remains at which size?
//
//   click_prediction                     a small made-up data set, in seconds
//   click_prediction --full              one of millions of examples
//   click_prediction --movielens FOLDER  ratings.csv, movies.csv and users.csv as bench/features/data.py writes them

#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

#include "experiment.hpp"
#include "movielens.hpp"
#include "stele/stele.hpp"
#include "synthetic.hpp"

namespace {

using namespace clicks;

void require(bool good, const char* what) {
  if (!good) {
    throw std::runtime_error(std::string("the experiment went wrong: ") + what);
  }
}

void print(const std::string& name, const Outcome& outcome, const Outcome& none, const Outcome& exact) {
  std::printf("%-18s %8.4f %8.1f %% %10.1f KiB %8.3f %% %8.1f M/s %8.1f M/s\n", name.c_str(), outcome.auc,
              100 * (outcome.auc - none.auc) / (exact.auc - none.auc), static_cast<double>(outcome.bytes) / 1024,
              100 * static_cast<double>(outcome.bytes) / static_cast<double>(exact.bytes),
              outcome.answers_per_second / 1e6, outcome.examples_per_second / 1e6);
}

/// The store is saved, mapped, and answers as before.
void check_file(const Data& data, const FilteredHistory& history) {
  stele::save(history.store(), "history.stele");
  const FilteredHistory mapped(stele::load<stele::FeatureStore>("history.stele", {.map = stele::MapMode::read_only}));
  for (std::size_t i = data.trained; i < data.size(); i += 7) {
    const Example example = data[i];
    std::vector<std::uint8_t> first(example.questions.size());
    std::vector<std::uint8_t> second(first.size());
    history.answer(example.user, example.questions, first);
    mapped.answer(example.user, example.questions, second);
    require(first == second, "the mapped store answers otherwise");
  }
}

void experiment(const Data& data, int epochs) {
  std::size_t clicks = 0;
  for (std::size_t i = 0; i < data.size(); ++i) {
    clicks += data[i].clicked ? 1 : 0;
  }
  std::printf("%zu examples, %.0f %% clicked; %zu pairs of user and feature\n\n", data.size(),
              100.0 * static_cast<double>(clicks) / static_cast<double>(data.size()), data.history.size());
  std::printf("%-18s %8s %10s %14s %10s %12s %12s\n", "history", "ROC-AUC", "uplift", "size", "of exact", "answers",
              "examples");
  const Outcome none = run(data, NoHistory(), epochs);
  const Outcome exact = run(data, ExactHistory(data), epochs);
  print("none", none, none, exact);
  print("exact", exact, none, exact);
  require(exact.auc > none.auc + 0.02, "the history is worth nothing");
  double best = 0;
  for (const double bits : sweep_bits()) {
    const FilteredHistory history(data, bits);
    if (bits == sweep_bits().front()) {
      check_file(data, history);
    }
    const Outcome outcome = run(data, history, epochs);
    char name[32];
    std::snprintf(name, sizeof name, "%g bits a pair", bits);
    print(name, outcome, none, exact);
    best = std::max(best, outcome.auc);
    require(bits < 8 || outcome.auc > exact.auc - 0.01, "a filter of many bits loses much");
  }
  require(best < exact.auc + 0.005, "a filter knows more than the history");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string_view what = argc > 1 ? argv[1] : "";
    if (what == "--movielens" && argc == 3) {
      experiment(movielens(argv[2]), 20);
    } else if (what == "--full" && argc == 2) {
      experiment(Synthetic({}).make(), 2);
    } else if (argc == 1) {
      experiment(Synthetic({.users = 10'000, .items = 10'000, .examples = 150'000}).make(), 3);
    } else {
      std::fprintf(stderr, "usage: %s [--full | --movielens FOLDER]\n", argv[0]);
      return 2;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
