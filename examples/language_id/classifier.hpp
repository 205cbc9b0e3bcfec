#pragma once
// A naive Bayes classifier: a table of words for each language, and the language whose table makes a text most likely.

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "stele/token_counts.hpp"
#include "words.hpp"

namespace language_id {

struct Language {
  std::string name;
  stele::TokenCounts words;
};

/// An aggregate of tables: saved, loaded and mapped without a line of code.
struct Classifier {
  std::vector<Language> languages;

  /// The language of a text; empty for a text without a known word. Thread-safe.
  std::string_view classify(std::string_view text) const {
    std::vector<std::string> words;
    for_each_word(text, [&](std::string_view word) { words.emplace_back(word); });
    const std::vector<std::string_view> views(words.begin(), words.end());
    std::vector<std::uint64_t> counts(words.size());
    std::string_view best;
    double best_score = 0;
    for (const Language& language : languages) {
      language.words.count_many(views, counts);
      if (std::all_of(counts.begin(), counts.end(), [](std::uint64_t count) { return count == 0; })) {
        continue;
      }
      double score = 0;
      for (const std::uint64_t count : counts) {
        // a word that was never met counts as a tenth of one
        score +=
            std::log((count == 0 ? 0.1 : static_cast<double>(count)) / static_cast<double>(language.words.total()));
      }
      if (best.empty() || score > best_score) {
        best = language.name;
        best_score = score;
      }
    }
    return best;
  }
};

}  // namespace language_id
