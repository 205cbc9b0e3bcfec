#include "stele/filters/count_min.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "services/filters/checked_read.hpp"
#include "services/filters/mix.hpp"

namespace stele {
namespace {

constexpr std::uint32_t count_min_version = 1;
constexpr unsigned max_depth = 64;
constexpr std::uint64_t max_width = std::uint64_t{1} << 36;
constexpr std::uint32_t highest = std::numeric_limits<std::uint32_t>::max();

std::uint32_t saturated(std::uint64_t sum) noexcept {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(sum, highest));
}

/// The counters of a key, one in each row: h_0 is the seeded hash, h_i+1 = next(h_i), column i is scale(h_i, width).
class Places {
 public:
  Places(KeyHash key, std::uint64_t seed, std::uint64_t width) noexcept
      : hash_(mix::seeded(key.hash(), seed)), width_(width) {}
  std::uint64_t next() noexcept {
    const std::uint64_t place = row_ + mix::scale(hash_, width_);
    hash_ = mix::next(hash_);
    row_ += width_;
    return place;
  }

 private:
  std::uint64_t hash_;
  std::uint64_t width_;
  std::uint64_t row_ = 0;
};

}  // namespace

CountMin::CountMin(std::uint64_t width, unsigned depth, const CountMinOptions& options)
    : conservative_(options.conservative), seed_(options.seed), counts_(Array<std::uint32_t, 2>({depth, width})) {}

CountMin::CountMin(double epsilon, double delta, const CountMinOptions& options) {
  if (!(epsilon > 0 && epsilon < 1 && delta > 0 && delta < 1)) {
    fail(Errc::invalid_argument, "a count-min sketch takes an epsilon and a delta between 0 and 1, not " +
                                     std::to_string(epsilon) + " and " + std::to_string(delta));
  }
  const double width = std::ceil(std::exp(1.0) / epsilon);
  const double depth = std::min(std::ceil(-std::log(delta)), static_cast<double>(max_depth));
  if (width > static_cast<double>(max_width)) {
    fail(Errc::limit_exceeded, "a count-min sketch of more than 2^36 counters in a row");
  }
  *this = CountMin(static_cast<std::uint64_t>(width), static_cast<unsigned>(std::max(depth, 1.0)), options);
}

CountMin CountMin::of_size(std::uint64_t width, unsigned depth, const CountMinOptions& options) {
  if (width == 0 || width > max_width || depth == 0 || depth > max_depth) {
    fail(Errc::invalid_argument, "a count-min sketch has 1 to 64 rows of 1 to 2^36 counters, not " +
                                     std::to_string(depth) + " of " + std::to_string(width));
  }
  return {width, depth, options};
}

/// The counters for writing; copied first if they are mapped read-only.
std::uint32_t* CountMin::own_counts() {
  if (counts_.empty()) {
    fail(Errc::invalid_argument, "a count-min sketch without counters counts nothing");
  }
  return counts_.own();
}

void CountMin::add(KeyHash key, std::uint32_t times) {
  std::uint32_t* counts = own_counts();
  const unsigned rows = depth();
  total_ += std::min(std::uint64_t{times}, ~total_);
  const std::uint32_t least = conservative_ ? saturated(std::uint64_t{estimate(key)} + times) : 0;
  Places places(key, seed_, width());
  for (unsigned i = 0; i < rows; ++i) {
    std::uint32_t& count = counts[places.next()];
    count = conservative_ ? std::max(count, least) : saturated(std::uint64_t{count} + times);
  }
}

std::uint32_t CountMin::estimate(KeyHash key) const noexcept {
  if (counts_.empty()) {
    return 0;
  }
  std::uint32_t least = highest;
  Places places(key, seed_, width());
  for (unsigned i = 0, rows = depth(); i < rows; ++i) {
    least = std::min(least, counts_.data()[places.next()]);
  }
  return least;
}

void CountMin::merge(const CountMin& other) {
  if (counts_.array().shape() != other.counts_.array().shape() || seed_ != other.seed_) {
    fail(Errc::invalid_argument, "count-min sketches that differ in their width, depth or seed cannot be merged");
  }
  if (counts_.empty()) {
    return;
  }
  std::uint32_t* counts = own_counts();
  for (std::uint64_t i = 0, n = counts_.size(); i < n; ++i) {
    counts[i] = saturated(std::uint64_t{counts[i]} + other.counts_.data()[i]);
  }
  total_ += std::min(other.total_, ~total_);
}

void CountMin::clear() {
  total_ = 0;
  if (!counts_.empty()) {
    std::fill_n(own_counts(), counts_.size(), 0U);
  }
}

void Visit<CountMin>::write(OutVisitor& out, const CountMin& value) { walk::As<CountMin>::write(out, value); }

void Visit<CountMin>::read(InVisitor& in, CountMin& value) {
  checked_read(in, value, count_min_version, "count-min sketch", [](const CountMin& sketch) -> const char* {
    const auto& counts = sketch.counts_.array();
    const bool none = counts.shape()[0] == 0 && counts.shape()[1] == 0;
    const bool good = counts.shape()[0] <= max_depth && counts.shape()[1] <= max_width && !counts.empty() &&
                      counts.is_dense(Order::row_major);
    return none || good ? nullptr : "the counters are no rows of a table";
  });
}

}  // namespace stele
