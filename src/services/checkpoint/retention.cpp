#include "services/checkpoint/retention.hpp"

#include <algorithm>
#include <cmath>

namespace stele {

std::vector<std::size_t> best_checkpoints(const std::vector<CheckpointInfo>& all, std::string_view metric,
                                          bool largest) {
  const std::string name(metric);
  std::vector<std::size_t> best;
  for (std::size_t i = all.size(); i-- > 0;) {
    const auto found = all[i].metrics.find(name);
    if (found != all[i].metrics.end() && !std::isnan(found->second)) {
      best.push_back(i);
    }
  }
  std::sort(best.begin(), best.end(), [&](std::size_t a, std::size_t b) {
    const double x = all[a].metrics.at(name);
    const double y = all[b].metrics.at(name);
    return x == y ? a > b : (x > y) == largest;
  });
  return best;
}

std::vector<bool> checkpoints_to_keep(const std::vector<CheckpointInfo>& all, const CheckpointOptions& options,
                                      double now) {
  const bool has_policy = options.keep_last != 0 || options.keep_every != 0 || options.keep_interval_s > 0 ||
                          options.keep_age_s > 0 || !options.keep_best.empty();
  std::vector<bool> keep(all.size(), !has_policy);
  if (!has_policy || all.empty()) {
    return keep;
  }
  keep.back() = true;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all.size() - i <= options.keep_last || (options.keep_every != 0 && all[i].step % options.keep_every == 0) ||
        (options.keep_age_s > 0 && now - all[i].created <= options.keep_age_s)) {
      keep[i] = true;
    }
  }
  if (options.keep_interval_s > 0) {
    double last = -std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].created - last >= options.keep_interval_s) {
        keep[i] = true;
        last = all[i].created;
      }
    }
  }
  for (const KeepBest& rule : options.keep_best) {
    const std::vector<std::size_t> best = best_checkpoints(all, rule.metric, rule.largest);
    for (std::size_t i = 0; i < std::min(best.size(), rule.count); ++i) {
      keep[best[i]] = true;
    }
  }
  return keep;
}

}  // namespace stele
