#include "stele/features/feature_store.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "services/features/pair.hpp"
#include "services/filters/checked_read.hpp"

namespace stele {
namespace {

constexpr std::uint32_t version = 1;
constexpr unsigned most_generations = 64;
constexpr double together_delta = 0.01;
constexpr std::size_t batch = 256;  // pairs hashed before the filters are queried
constexpr std::array<double, 10> bits_of_level{32, 24, 16, 12, 8, 6, 4, 2, 1, 0.5};

void require_lengths(std::size_t keys, std::size_t places) {
  if (keys != places) {
    fail(Errc::invalid_argument,
         std::to_string(places) + " places for the answers to " + std::to_string(keys) + " keys");
  }
}

}  // namespace

double FeatureStore::bits_per_pair(int level) {
  if (level < 0 || level >= static_cast<int>(bits_of_level.size())) {
    fail(Errc::invalid_argument, "a feature store has levels 0 to 9, not " + std::to_string(level));
  }
  return bits_of_level[static_cast<std::size_t>(level)];
}

FeatureStore::FeatureStore(const FeatureStoreOptions& options) {
  const double bits = options.bits_per_pair == 0 ? bits_per_pair(options.level) : options.bits_per_pair;
  if (options.capacity == 0 || !(bits > 0 && bits <= 64) || options.generations == 0 ||
      options.generations > most_generations) {
    fail(Errc::invalid_argument,
         "a feature store takes a capacity of at least 1, up to 64 bits for each pair and 1 to 64 generations");
  }
  const std::uint64_t capacity = (options.capacity - 1) / options.generations + 1;
  const double total = std::ceil(bits * static_cast<double>(capacity));
  if (!(total < 0x1p62)) {
    fail(Errc::limit_exceeded, "a feature store of more than 2^62 bits");
  }
  filters_.resize(options.generations);
  for (BloomFilter& filter : filters_) {
    filter = BloomFilter::of_bits(static_cast<std::uint64_t>(total), capacity, {.blocked = true, .seed = options.seed});
  }
  if (options.together_epsilon != 0) {
    together_.assign(options.generations,
                     CountMin(options.together_epsilon, together_delta, {.conservative = true, .seed = options.seed}));
  }
}

void FeatureStore::require_capacity() const {
  if (filters_.empty()) {
    fail(Errc::invalid_argument, "a feature store without a capacity takes no features");
  }
}

void FeatureStore::add(KeyHash entity, const Feature& feature) {
  require_capacity();
  known_.add(feature, rotations_);
  filters_.front().add(entity_with(entity, feature.key().hash()));
}

void FeatureStore::add_together(KeyHash entity, std::span<const Feature> features) {
  for (const Feature& feature : features) {
    add(entity, feature);
  }
  if (together_.empty()) {
    return;
  }
  std::vector<KeyHash> keys;
  for (const Feature& feature : features) {
    if (std::find(keys.begin(), keys.end(), feature.key()) == keys.end()) {
      for (const KeyHash other : keys) {
        together_.front().add(both_of(feature.key(), other));
      }
      keys.push_back(feature.key());
    }
  }
}

void FeatureStore::merge(const FeatureStore& other) {
  if (rotations_ != other.rotations_ || filters_.size() != other.filters_.size() ||
      together_.size() != other.together_.size()) {
    fail(Errc::invalid_argument,
         "feature stores that differ in their generations, rotations or what they count cannot be merged");
  }
  FeatureStore merged = *this;  // all or nothing
  for (std::size_t i = 0; i < filters_.size(); ++i) {
    merged.filters_[i].merge(other.filters_[i]);
  }
  for (std::size_t i = 0; i < together_.size(); ++i) {
    merged.together_[i].merge(other.together_[i]);
  }
  for (std::uint32_t i = 0; i < other.known_.size(); ++i) {
    const auto number = other.known_.number(i);
    merged.known_.add(number ? Feature(*number) : Feature(other.known_.name(i)), other.known_.last_time(i));
  }
  *this = std::move(merged);
}

void FeatureStore::rotate() {
  require_capacity();
  if (rotations_ == std::numeric_limits<std::uint32_t>::max()) {
    fail(Errc::limit_exceeded, "a feature store rotated 2^32 times");
  }
  (void)filters_.back().own_words();  // first what may fail
  if (!together_.empty()) {
    (void)together_.back().own_counts();
  }
  if (rotations_ + 1 >= generations()) {
    known_.forget_before(rotations_ + 1 - generations() + 1);
  }
  ++rotations_;
  std::rotate(filters_.begin(), filters_.end() - 1, filters_.end());
  filters_.front().clear();
  if (!together_.empty()) {
    std::rotate(together_.begin(), together_.end() - 1, together_.end());
    together_.front().clear();
  }
}

bool FeatureStore::contains(KeyHash entity, KeyHash feature) const noexcept {
  const KeyHash pair = entity_with(entity, feature.hash());
  return std::any_of(filters_.begin(), filters_.end(), [&](const BloomFilter& f) { return f.contains(pair); });
}

std::optional<unsigned> FeatureStore::age(KeyHash entity, KeyHash feature) const noexcept {
  const KeyHash pair = entity_with(entity, feature.hash());
  const auto youngest =
      std::find_if(filters_.begin(), filters_.end(), [&](const BloomFilter& f) { return f.contains(pair); });
  return youngest == filters_.end() ? std::nullopt : std::optional(static_cast<unsigned>(youngest - filters_.begin()));
}

/// found[i] = whether a generation has the pair with hash hash_of(i). Returns how many were found.
template <class HashOf>
std::size_t FeatureStore::test_all(std::size_t count, std::span<std::uint8_t> found, HashOf&& hash_of) const {
  std::uint64_t hashes[batch];
  std::uint8_t older[batch];
  std::size_t hits = 0;
  for (std::size_t done = 0; done < count; done += batch) {
    const std::size_t size = std::min(batch, count - done);
    const std::span<std::uint8_t> part = found.subspan(done, size);
    for (std::size_t i = 0; i < size; ++i) {
      hashes[i] = hash_of(done + i);
    }
    std::fill(part.begin(), part.end(), std::uint8_t{0});
    for (const BloomFilter& filter : filters_) {
      filter.test({hashes, size}, {older, size});
      for (std::size_t i = 0; i < size; ++i) {
        part[i] |= older[i];
      }
    }
    for (std::size_t i = 0; i < size; ++i) {
      hits += part[i];
    }
  }
  return hits;
}

std::size_t FeatureStore::contains_many(KeyHash entity, std::span<const KeyHash> features,
                                        std::span<std::uint8_t> found) const {
  require_lengths(features.size(), found.size());
  return test_all(features.size(), found,
                  [&](std::size_t i) { return entity_with(entity, features[i].hash()).hash(); });
}

std::size_t FeatureStore::contains_many(std::span<const KeyHash> entities, KeyHash feature,
                                        std::span<std::uint8_t> found) const {
  require_lengths(entities.size(), found.size());
  return test_all(entities.size(), found,
                  [&](std::size_t i) { return entity_with(entities[i], feature.hash()).hash(); });
}

std::vector<std::uint32_t> FeatureStore::features(KeyHash entity) const {
  const std::span<const std::uint64_t> hashes = known_.hashes();
  std::vector<std::uint32_t> indices;
  std::uint8_t found[batch];
  for (std::size_t done = 0; done < hashes.size(); done += batch) {
    const std::size_t size = std::min(batch, hashes.size() - done);
    test_all(size, {found, size}, [&](std::size_t i) { return entity_with(entity, hashes[done + i]).hash(); });
    for (std::size_t i = 0; i < size; ++i) {
      if (found[i] != 0) {
        indices.push_back(static_cast<std::uint32_t>(done + i));
      }
    }
  }
  return indices;
}

std::uint64_t FeatureStore::together(KeyHash one, KeyHash two) const noexcept {
  std::uint64_t sum = 0;
  for (const CountMin& generation : together_) {
    sum += generation.estimate(both_of(one, two));
  }
  return sum;
}

std::size_t FeatureStore::count_with_both(std::span<const KeyHash> entities, KeyHash one, KeyHash two) const {
  std::uint8_t first[batch];
  std::uint8_t second[batch];
  std::size_t both = 0;
  while (!entities.empty()) {
    const std::size_t size = std::min(batch, entities.size());
    (void)contains_many(entities.first(size), one, {first, size});
    (void)contains_many(entities.first(size), two, {second, size});
    for (std::size_t i = 0; i < size; ++i) {
      both += first[i] & second[i];
    }
    entities = entities.subspan(size);
  }
  return both;
}

FeatureStoreReport FeatureStore::report() const {
  FeatureStoreReport report;
  double none = 1;
  double none_expected = 1;
  for (const BloomFilter& filter : filters_) {
    report.filter_bytes += filter.byte_count();
    report.pairs += filter.estimated_count();
    none *= 1 - filter.false_positive_rate();
    none_expected *= 1 - BloomFilter::expected_rate(filter.bit_count(), filter.hash_count(), filter.capacity(), true);
  }
  for (const CountMin& counts : together_) {
    report.together_bytes += counts.byte_count();
  }
  report.known_bytes = known_.byte_count();
  report.known_features = known_.size();
  report.bits_per_pair = report.pairs == 0 ? 0 : 8 * static_cast<double>(report.filter_bytes) / report.pairs;
  report.false_positive_rate = 1 - none;
  report.expected_rate = 1 - none_expected;
  return report;
}

/// The problem with the combination of its parts; null for none.
const char* FeatureStore::fault() const noexcept {
  if (filters_.size() > most_generations) {
    return "more than 64 generations";
  }
  if (!together_.empty() && together_.size() != filters_.size()) {
    return "not as many counts as generations";
  }
  const auto good = [](const BloomFilter& filter) { return filter.bit_count() != 0 && filter.blocked(); };
  return std::all_of(filters_.begin(), filters_.end(), good) ? nullptr : "a generation is not a blocked filter";
}

void Visit<FeatureStore>::write(OutVisitor& out, const FeatureStore& value) {
  walk::As<FeatureStore>::write(out, value);
}

void Visit<FeatureStore>::read(InVisitor& in, FeatureStore& value) {
  checked_read(in, value, version, "feature store", [](const FeatureStore& store) { return store.fault(); });
}

}  // namespace stele
