#pragma once
// Trains and tests a model whose questions about users' histories are answered by nothing, by exact sets, or by a
// FeatureStore of some size.

#include <malloc.h>

#include <chrono>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "data.hpp"
#include "logistic.hpp"
#include "stele/features/feature_store.hpp"

namespace clicks {

inline double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Histories as standard containers have them.
class ExactHistory {
 public:
  explicit ExactHistory(const Data& data) {
    const std::size_t before = heap_bytes();
    for (const Event& event : data.history) {
      sets_[event.user].insert(event.feature);
    }
    bytes_ = heap_bytes() - before;
  }
  /// On the heap, as the allocator counts.
  std::size_t bytes() const { return bytes_; }
  void answer(std::uint32_t user, std::span<const Question> questions, std::span<std::uint8_t> found) const {
    const auto own = sets_.find(user);
    for (std::size_t i = 0; i < questions.size(); ++i) {
      found[i] = own != sets_.end() && own->second.contains(questions[i].feature) ? 1 : 0;
    }
  }

 private:
  static std::size_t heap_bytes() {
    const struct mallinfo2 info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
  }
  std::unordered_map<std::uint32_t, std::unordered_set<std::uint32_t>> sets_;
  std::size_t bytes_ = 0;
};

/// Histories in a filter.
class FilteredHistory {
 public:
  FilteredHistory(const Data& data, double bits_per_pair, std::uint64_t seed = 0)
      : FilteredHistory(
            stele::FeatureStore({.capacity = data.history.size(), .bits_per_pair = bits_per_pair, .seed = seed})) {
    std::size_t next = 0;
    store_.build(
        [&](stele::FeatureBatch& batch) {
          for (; next < data.history.size() && batch.size() < 4096; ++next) {
            batch.add(data.history[next].user, data.history[next].feature);
          }
        },
        1);
  }
  explicit FilteredHistory(stele::FeatureStore store) : store_(std::move(store)) {}
  const stele::FeatureStore& store() const { return store_; }
  /// Of the filter. The names of the features are not counted: this model does not ask for them.
  std::size_t bytes() const { return static_cast<std::size_t>(store_.report().filter_bytes); }
  void answer(std::uint32_t user, std::span<const Question> questions, std::span<std::uint8_t> found) const {
    keys_.clear();
    for (const Question& question : questions) {
      keys_.emplace_back(question.feature);
    }
    store_.contains_many(user, keys_, found);
  }

 private:
  stele::FeatureStore store_;
  mutable std::vector<stele::KeyHash> keys_;
};

struct NoHistory {
  std::size_t bytes() const { return 0; }
  void answer(std::uint32_t, std::span<const Question>, std::span<std::uint8_t> found) const {
    std::fill(found.begin(), found.end(), std::uint8_t{0});
  }
};

struct Outcome {
  double auc = 0;
  std::size_t bytes = 0;
  double answers_per_second = 0;   // questions answered by one core
  double examples_per_second = 0;  // of the test, answered and scored by one core
};

/// The inputs of the model for an example whose questions are answered.
inline void inputs_of(const Data& data, const Example& example, std::span<const std::uint8_t> found,
                      std::vector<Input>& inputs) {
  inputs.clear();
  std::uint32_t hits = 0;
  for (const std::uint32_t index : example.request) {
    inputs.push_back({index, 1});
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (found[i] != 0) {
      inputs.push_back({example.questions[i].input, example.questions[i].value});
      ++hits;
    }
  }
  if (data.first_count != 0) {
    inputs.push_back({data.first_count + hits, 1});
  }
}

template <class History>
Outcome run(const Data& data, const History& history, int epochs) {
  Outcome outcome;
  outcome.bytes = history.bytes();
  std::vector<Input> inputs;

  std::vector<std::uint8_t> answers(data.question_count());  // of all examples, as every epoch needs those for training
  const auto answer = [&](std::size_t first, std::size_t last, std::size_t& at) {
    const double begin = seconds();
    for (std::size_t i = first; i < last; ++i) {
      const Example example = data[i];
      history.answer(example.user, example.questions, std::span(answers).subspan(at, example.questions.size()));
      at += example.questions.size();
    }
    return seconds() - begin;
  };
  std::size_t trained_questions = 0;
  const double answering = answer(0, data.trained, trained_questions);
  outcome.answers_per_second = static_cast<double>(trained_questions) / answering;

  LogisticRegression model(data.inputs);
  for (int epoch = 0; epoch < epochs; ++epoch) {
    std::size_t at = 0;
    for (std::size_t i = 0; i < data.trained; ++i) {
      const Example example = data[i];
      inputs_of(data, example, std::span(answers).subspan(at, example.questions.size()), inputs);
      model.learn(inputs, example.clicked);
      at += example.questions.size();
    }
  }

  std::vector<Scored> scored;
  scored.reserve(data.size() - data.trained);
  std::size_t at = trained_questions;
  std::size_t answered = trained_questions;
  double testing = answer(data.trained, data.size(), answered);
  const double begin = seconds();
  for (std::size_t i = data.trained; i < data.size(); ++i) {
    const Example example = data[i];
    inputs_of(data, example, std::span(answers).subspan(at, example.questions.size()), inputs);
    scored.push_back({model.score(inputs), example.clicked});
    at += example.questions.size();
  }
  testing += seconds() - begin;
  outcome.examples_per_second = static_cast<double>(scored.size()) / testing;
  outcome.auc = roc_auc(std::move(scored));
  return outcome;
}

/// Bits for each pair that the sweep goes through; the first ones to the half are those of levels, with some between.
inline const std::vector<double>& sweep_bits() {
  static const std::vector<double> bits{32, 24,  16, 12,  10,  8,   6,   5,   4,    3,   2.5,
                                        2,  1.5, 1,  0.7, 0.5, 0.3, 0.2, 0.1, 0.03, 0.01};
  return bits;
}

}  // namespace clicks
