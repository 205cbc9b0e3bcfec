#pragma once
// Examples for click prediction, and the history that may help: which features each user has had before.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

namespace clicks {

/// Numbers that depend on the seed only, the same everywhere (SplitMix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t x = state_ += 0x9e3779b97f4a7c15U;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
    x = (x ^ x >> 27) * 0x94d049bb133111ebU;
    return x ^ x >> 31;
  }
  /// From 0 to 1, excluded.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(uniform() * static_cast<double>(n)); }
  double normal() { return std::sqrt(-2 * std::log(1 - uniform())) * std::cos(2 * std::numbers::pi * uniform()); }

 private:
  std::uint64_t state_;
};

/// A user has had a feature before.
struct Event {
  std::uint32_t user;
  std::uint32_t feature;
};

/// A feature to look for in the user's history; found, it adds `value` to the model's input `input`.
struct Question {
  std::uint32_t feature;
  std::uint32_t input;
  float value;
};

/// One shown item: the facts of the request, as inputs of the model that are 1, the questions, and whether it was
/// clicked.
struct Example {
  std::uint32_t user;
  bool clicked;
  std::span<const std::uint32_t> request;
  std::span<const Question> questions;
};

class Data {
 public:
  std::vector<Event> history;     // distinct
  std::uint32_t inputs = 0;       // of the model
  std::uint32_t first_count = 0;  // of the inputs that count questions answered by yes; 0: no such inputs
  std::size_t trained = 0;        // the first so many examples are for training, the others for the test

  void add(std::uint32_t user, bool clicked, std::span<const std::uint32_t> request,
           std::span<const Question> questions) {
    request_.insert(request_.end(), request.begin(), request.end());
    questions_.insert(questions_.end(), questions.begin(), questions.end());
    heads_.push_back({user, clicked, request_.size(), questions_.size()});
  }
  std::size_t size() const { return heads_.size(); }
  Example operator[](std::size_t i) const {
    const Head& head = heads_[i];
    const std::size_t request = i == 0 ? 0 : heads_[i - 1].request_end;
    const std::size_t question = i == 0 ? 0 : heads_[i - 1].questions_end;
    return {head.user, head.clicked, std::span(request_).subspan(request, head.request_end - request),
            std::span(questions_).subspan(question, head.questions_end - question)};
  }
  /// All questions, those of an example in a row.
  std::size_t question_count() const { return questions_.size(); }

 private:
  struct Head {
    std::uint32_t user;
    bool clicked;
    std::size_t request_end;
    std::size_t questions_end;
  };
  std::vector<Head> heads_;
  std::vector<std::uint32_t> request_;
  std::vector<Question> questions_;
};

}  // namespace clicks
