#pragma once
// A made-up shop. An item has eight features: its own number, brand, category, seller, and four tags. A user's history
// has the features of the items viewed. Users are shown items they have viewed, similar ones and others, and click the
// more often the more features an item has that they have had before.

#include <algorithm>
#include <array>
#include <vector>

#include "data.hpp"

namespace clicks {

struct SyntheticOptions {
  std::uint32_t users = 200'000;
  double views_per_user = 6;
  std::uint32_t items = 50'000;
  std::size_t examples = 3'000'000;  // a third of them for the test
  std::uint64_t seed = 1;
};

class Synthetic {
 public:
  explicit Synthetic(const SyntheticOptions& options) : options_(options), random_(options.seed) {
    for (auto& weights : request_weights_) {
      std::generate(weights.begin(), weights.end(), [&] { return 0.285 * random_.normal(); });
    }
    for (std::uint32_t slot = 0; slot < slots; ++slot) {
      std::generate(match_weights_[slot].begin(), match_weights_[slot].end(),
                    [&] { return (slot == 0 ? 0.55 : 0.2) * (1 + 0.3 * random_.normal()); });
    }
    std::uint32_t first = 0;
    for (std::uint32_t slot = 0; slot < slots; ++slot) {
      firsts_[slot] = first;
      first += values(slot);
    }
    by_brand_.resize(values(1));
    for (std::uint32_t item = 0; item < options.items; ++item) {
      Item made{};
      for (std::uint32_t slot = 0; slot < slots; ++slot) {
        made[slot] = firsts_[slot] + (slot == 0 ? item : static_cast<std::uint32_t>(random_.below(values(slot))));
      }
      by_brand_[made[1] - firsts_[1]].push_back(item);
      items_.push_back(made);
    }
  }

  Data make() {
    Data data;
    data.first_count = first_match + slots * kinds;
    data.inputs = data.first_count + slots + 1;
    data.trained = options_.examples / 3 * 2;
    make_history(data);
    for (std::size_t i = 0; i < options_.examples; ++i) {
      add_example(data);
    }
    return data;
  }

 private:
  static constexpr std::uint32_t slots = 8;
  static constexpr std::uint32_t kinds = 16;   // of the features in a slot: a feature's kind is its number modulo this
  static constexpr std::uint32_t context = 4;  // facts of the request that are not the item's, of `kinds` values each
  static constexpr std::uint32_t first_match = 1 + (slots + context) * kinds;  // input 0 is always 1
  using Item = std::array<std::uint32_t, slots>;                               // its features

  /// How many features a slot has.
  std::uint32_t values(std::uint32_t slot) const {
    constexpr std::array<std::uint32_t, slots> share{1, 25, 100, 20, 10, 10, 10, 10};  // one for so many items
    return std::max(options_.items / share[slot], 1U);
  }

  std::uint32_t draw_item() {  // low numbers are popular
    const double u = random_.uniform();
    return static_cast<std::uint32_t>(u * u * options_.items);
  }
  /// Another item of the same brand.
  std::uint32_t similar(std::uint32_t item) {
    const auto& brand = by_brand_[items_[item][1] - firsts_[1]];
    return brand[random_.below(brand.size())];
  }

  void make_history(Data& data) {
    std::vector<std::uint32_t> features;
    for (std::uint32_t user = 0; user < options_.users; ++user) {
      const double activity = std::exp(0.9 * random_.normal() - 0.405);  // a mean of 1, a long tail
      const auto count = 1 + static_cast<std::size_t>((options_.views_per_user - 0.5) * activity);
      features.clear();
      viewed_.emplace_back();
      for (std::size_t i = 0; i < count; ++i) {
        viewed_.back().push_back(draw_item());
        const Item& item = items_[viewed_.back().back()];
        features.insert(features.end(), item.begin(), item.end());
      }
      std::sort(features.begin(), features.end());
      features.erase(std::unique(features.begin(), features.end()), features.end());
      starts_.push_back(data.history.size());
      for (const std::uint32_t feature : features) {
        data.history.push_back({user, feature});
      }
    }
    starts_.push_back(data.history.size());
  }

  bool has(const Data& data, std::uint32_t user, std::uint32_t feature) const {
    const Event* begin = data.history.data() + starts_[user];
    const Event* end = data.history.data() + starts_[user + 1];
    const Event* found =
        std::lower_bound(begin, end, feature, [](const Event& event, std::uint32_t f) { return event.feature < f; });
    return found != end && found->feature == feature;
  }

  void add_example(Data& data) {
    const auto user = static_cast<std::uint32_t>(random_.below(options_.users));
    std::uint32_t shown = draw_item();
    if (const double how = random_.uniform(); how < 0.5) {
      shown = viewed_[user][random_.below(viewed_[user].size())];
      shown = how < 0.35 ? shown : similar(shown);
    }
    double logit = -1.8;
    std::array<std::uint32_t, 1 + slots + context> request{};
    std::array<Question, slots> questions{};
    for (std::uint32_t group = 0; group < slots + context; ++group) {
      const bool of_item = group < slots;
      const std::uint32_t feature = of_item ? items_[shown][group] : 0;
      const auto kind = of_item ? feature % kinds : static_cast<std::uint32_t>(random_.below(kinds));
      request[1 + group] = 1 + group * kinds + kind;
      logit += request_weights_[group][kind];
      if (of_item) {
        questions[group] = {feature, first_match + group * kinds + kind, 1};
        logit += has(data, user, feature) ? match_weights_[group][kind] : 0;
      }
    }
    data.add(user, random_.uniform() < 1 / (1 + std::exp(-logit)), request, questions);
  }

  SyntheticOptions options_;
  Random random_;
  std::array<std::array<double, kinds>, slots + context> request_weights_{};
  std::array<std::array<double, kinds>, slots> match_weights_{};
  std::array<std::uint32_t, slots> firsts_{};  // feature of each slot
  std::vector<Item> items_;
  std::vector<std::vector<std::uint32_t>> by_brand_;
  std::vector<std::vector<std::uint32_t>> viewed_;  // items, by user
  std::vector<std::size_t> starts_;                 // of each user in the history
};

}  // namespace clicks
