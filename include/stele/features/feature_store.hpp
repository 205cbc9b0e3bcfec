#pragma once
// FeatureStore: which categorical features each entity has had (user → "category=books", "clicked=17", …) in a few bits
// for each pair, for models that take an entity's history as their input. Pairs of entity and feature are keys of a
// blocked Bloom filter: contains() has no false negatives, and false positives at a rate that its size decides. The
// known features are also stored exactly, so that those of an entity can be listed.
//
// The memory form is the file form: save(), load() and mapping need nothing more. docs/guide/feature-store.md has
// measurements of what a model loses at which size.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stele/features/known_features.hpp"
#include "stele/filters/bloom.hpp"
#include "stele/filters/count_min.hpp"
#include "stele/filters/key_hash.hpp"
#include "stele/walk.hpp"

namespace stele {

struct FeatureStoreOptions {
  /// The number of distinct pairs of entity and feature that the store is made for, in all generations together.
  std::uint64_t capacity = 1'000'000;
  /// The size of a pair: 0 takes 32 bits, 1: 24, 2: 16, 3: 12, 4: 8, 5: 6, 6: 4, 7: 2, 8: 1, 9: half a bit.
  /// docs/guide/feature-store.md has the false positive rates, and what they cost a model.
  int level = 3;
  /// Bits for each pair instead of a level; 0: the level's.
  double bits_per_pair = 0;
  /// The number of generations, 1 to 64: rotate() drops the oldest. A look-up asks each of them.
  unsigned generations = 1;
  /// Count pairs of features added together, with 99 % of the counts too high by at most this share of all pairs; 0: do
  /// not count. Takes 54 / epsilon bytes for each generation.
  double together_epsilon = 0;
  std::uint64_t seed = 0;
};

/// Events for FeatureStore::build().
class FeatureBatch {
 public:
  /// Copies the feature's text.
  void add(KeyHash entity, const Feature& feature);
  std::size_t size() const noexcept { return events_.size(); }
  void clear() noexcept;

 private:
  friend class FeatureBuild;
  struct Event {
    KeyHash entity;
    KeyHash feature;
    std::int64_t number = 0;
    std::size_t begin = 0;  // of the text
    std::size_t length = 0;
    bool is_number = false;
  };
  std::vector<Event> events_;
  std::string text_;
};

/// Fills an empty batch with events, preferably some thousand; leaves it empty at the end of the stream. Called by one
/// thread at a time.
using FeatureSource = std::function<void(FeatureBatch&)>;

struct FeatureStoreReport {
  std::uint64_t filter_bytes = 0;
  std::uint64_t known_bytes = 0;     // of the list of known features
  std::uint64_t together_bytes = 0;  // of the counts of features added together
  std::uint64_t known_features = 0;
  double pairs = 0;                // the approximate number of distinct pairs of each generation, summed
  double bits_per_pair = 0;        // of the filters alone
  double false_positive_rate = 0;  // of a look-up, with the bits set now
  double expected_rate = 0;        // of a look-up once the store is full
};

/// Copies are values. Not thread-safe, except const functions; different threads may use distinct stores. To change a
/// store, load it or map it copy_on_write, and save it again: with read_write only bits reach the file, not the list of
/// features, which grows.
class FeatureStore {
 public:
  /// No capacity: contains nothing, and add() fails.
  FeatureStore() noexcept = default;
  /// Throws: Error(invalid_argument), Error(limit_exceeded).
  explicit FeatureStore(const FeatureStoreOptions& options);
  /// The bits for each pair at a compression level, 0 to 9.
  /// Throws: Error(invalid_argument).
  static double bits_per_pair(int level);

  /// Adds a feature to an entity, in the youngest generation. More pairs than the capacity only raise the rate. A store
  /// mapped read-only gets its own memory first.
  /// Throws: Error(invalid_argument) without a capacity, Error(limit_exceeded).
  void add(KeyHash entity, const Feature& feature);
  /// Adds several features, and counts each pair of distinct ones among them once as together.
  void add_together(KeyHash entity, std::span<const Feature> features);
  /// Adds all events of a stream on `threads` threads; 0: as many as the machine has, at most 16. The result is that of
  /// add() for each in turn. Exceptions of the source pass through; the store then has the events before.
  void build(const FeatureSource& source, unsigned threads = 0);
  /// Adds the content of `other`. Both must have the same options and the same number of rotations.
  /// Throws: Error(invalid_argument).
  void merge(const FeatureStore& other);
  /// Drops the oldest generation, with the features last seen in it, and begins a new one. The time depends only on the
  /// size of a generation and the number of known features. Indices of known features change.
  /// Throws: Error(invalid_argument) without a capacity, Error(limit_exceeded), Error(damaged); then nothing has
  /// changed.
  void rotate();

  /// Whether the entity has the feature, in any generation.
  bool contains(KeyHash entity, KeyHash feature) const noexcept;
  /// Sets found[i] to 1 if the entity has features[i], else to 0; returns how many it has. A thousand at once take a
  /// few microseconds.
  /// Throws: Error(invalid_argument) for different lengths.
  std::size_t contains_many(KeyHash entity, std::span<const KeyHash> features, std::span<std::uint8_t> found) const;
  /// Sets found[i] to 1 if entities[i] has the feature, else to 0.
  std::size_t contains_many(std::span<const KeyHash> entities, KeyHash feature, std::span<std::uint8_t> found) const;
  /// How many rotations ago the feature was last added to the entity; nothing if no generation has it.
  std::optional<unsigned> age(KeyHash entity, KeyHash feature) const noexcept;
  /// The indices in known() of the features that the entity has, ascending; others are among them at the false positive
  /// rate.
  std::vector<std::uint32_t> features(KeyHash entity) const;
  /// The known features.
  const KnownFeatures& known() const noexcept { return known_; }

  /// How often the two features were added together; 0 if this is not counted.
  std::uint64_t together(KeyHash one, KeyHash two) const noexcept;
  /// How many of the entities have both features.
  std::size_t count_with_both(std::span<const KeyHash> entities, KeyHash one, KeyHash two) const;

  unsigned generations() const noexcept { return static_cast<unsigned>(filters_.size()); }
  /// The number of rotations.
  std::uint32_t rotations() const noexcept { return rotations_; }
  /// Reads all filters.
  FeatureStoreReport report() const;

  friend bool operator==(const FeatureStore&, const FeatureStore&) = default;

  static void visit(auto& v, auto& self) {
    v.version(1);
    v("rotations", self.rotations_)("filters", self.filters_)("known", self.known_)("together", self.together_);
  }

 private:
  friend struct Visit<FeatureStore>;
  friend class FeatureBuild;
  template <class HashOf>
  std::size_t test_all(std::size_t count, std::span<std::uint8_t> found, HashOf&& hash_of) const;
  void require_capacity() const;
  const char* fault() const noexcept;

  std::uint32_t rotations_ = 0;
  std::vector<BloomFilter> filters_;  // a generation each, the youngest first
  std::vector<CountMin> together_;    // as many, or none
  KnownFeatures known_;
};

/// Stored as a record; loading checks it.
/// Throws: Error(damaged), Error(unsupported) for a newer version.
template <>
struct Visit<FeatureStore> {
  using built_in = FeatureStore;
  static void write(OutVisitor& out, const FeatureStore& value);
  static void read(InVisitor& in, FeatureStore& value);
};

}  // namespace stele
