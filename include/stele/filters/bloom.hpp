#pragma once
// BloomFilter: a set that answers "certainly not" or "probably" in a few bits per key (B. Bloom, Space/time trade-offs
// in hash coding with allowable errors, 1970), and its variant of cache-line blocks (F. Putze, P. Sanders and J.
// Singler, Cache-, hash- and space-efficient Bloom filters, 2007).
//
// The memory form is the file form: save(), load() and mapping need nothing more. docs/guide/filters.md has the
// details.

#include <cstddef>
#include <cstdint>
#include <span>

#include "stele/filters/key_hash.hpp"
#include "stele/filters/own_array.hpp"
#include "stele/walk.hpp"

namespace stele {

struct BloomOptions {
  /// Keep the bits of each key in one block of 64 bytes: a look-up is one cache miss instead of up to hash_count(). At
  /// the same false positive rate this takes 1 % more bits for 10 %, 3 % more for 1 %, 8 % more for 0.1 %.
  bool blocked = false;
  /// Filters with different seeds have different false positives. Stored with the filter.
  std::uint64_t seed = 0;
};

/// A set of keys without false negatives: contains() is true for each key that was added, and for others at a rate that
/// the size decides. Copies have their own bits. Different threads may use distinct filters. Several threads may use
/// one filter if all look up, or if all call add_atomic() or add_many_atomic().
class BloomFilter {
 public:
  /// No capacity: contains nothing, and add() fails.
  BloomFilter() noexcept = default;
  /// For `capacity` keys: with that many added, contains() is true for a key not added with a probability of at most
  /// `false_positive_rate`, above 0 and below 1. More keys raise the rate and do no other harm.
  /// Throws: Error(invalid_argument), Error(limit_exceeded) if there is no memory.
  BloomFilter(std::uint64_t capacity, double false_positive_rate, const BloomOptions& options = {});
  /// Of a given size, rounded up to whole words (blocks), with the best number of hashes for `capacity` keys.
  static BloomFilter of_bits(std::uint64_t bits, std::uint64_t capacity, const BloomOptions& options = {});

  /// Adds a key. A filter mapped read-only gets its own memory first; one mapped for writing changes the mapping.
  /// Throws: Error(invalid_argument) without a capacity, Error(limit_exceeded).
  void add(KeyHash key);
  void add_many(std::span<const KeyHash> keys);
  /// The same, for several threads at once, as long as none of them does anything else with the filter. The filter must
  /// be writable(). Takes about twice the time of add().
  /// Throws: Error(invalid_argument), Error(read_only).
  void add_atomic(KeyHash key);
  void add_many_atomic(std::span<const KeyHash> keys);
  bool contains(KeyHash key) const noexcept {
    const std::uint64_t hash = key.hash();
    std::uint8_t found = 0;
    test({&hash, 1}, {&found, 1});
    return found != 0;
  }
  /// Sets found[i] to 1 if keys[i] is contained and else to 0; returns how many are. Several times faster than one by
  /// one if the filter is larger than the cache.
  /// Throws: Error(invalid_argument) for different lengths.
  std::size_t contains_many(std::span<const KeyHash> keys, std::span<std::uint8_t> found) const;

  /// Adds the keys of `other`. Both need the same bit_count(), hash_count(), seed() and layout.
  /// Throws: Error(invalid_argument) that names the difference.
  void merge(const BloomFilter& other);
  /// Removes all keys.
  void clear();

  /// The number of keys the filter was made for.
  std::uint64_t capacity() const noexcept { return capacity_; }
  std::uint64_t bit_count() const noexcept { return 64 * words_.size(); }
  std::uint64_t byte_count() const noexcept { return 8 * words_.size(); }
  /// How many bits each key sets.
  unsigned hash_count() const noexcept { return hashes_; }
  bool blocked() const noexcept { return blocked_; }
  std::uint64_t seed() const noexcept { return seed_; }
  /// False if the bits are mapped read-only, or shared with another filter that was loaded with this one.
  bool writable() const noexcept { return words_.writable(); }

  /// The share of bits that are set; reads the whole filter, as the next two do.
  double fill() const noexcept;
  /// The approximate number of distinct keys added (S. Swamidass and P. Baldi, Mathematical correction for fingerprint
  /// similarity measures to improve chemical retrieval, 2007). Infinite if the filter is full.
  double estimated_count() const noexcept;
  /// The false positive rate with the bits set now.
  double false_positive_rate() const noexcept;
  /// The false positive rate expected of a filter of `bits` with `keys` in it.
  static double expected_rate(std::uint64_t bits, unsigned hashes, std::uint64_t keys, bool blocked);

  /// Equal parameters and bits.
  friend bool operator==(const BloomFilter& a, const BloomFilter& b);

  static void visit(auto& v, auto& self) {
    v.version(1);
    v("capacity", self.capacity_)("hashes", self.hashes_)("blocked", self.blocked_)("seed", self.seed_)(
        "words", self.words_.stored());
  }

 private:
  friend struct Visit<BloomFilter>;
  friend class FeatureStore;
  friend class FeatureBuild;
  BloomFilter(std::uint64_t words, unsigned hashes, std::uint64_t capacity, const BloomOptions& options);
  void test(std::span<const std::uint64_t> hashes, std::span<std::uint8_t> found) const noexcept;
  std::uint64_t* own_words();
  template <class Set>
  void set_bits(std::span<const KeyHash> keys, const std::uint64_t* words, Set&& set) const;
  const char* fault() const noexcept;

  std::uint64_t capacity_ = 0;
  std::uint32_t hashes_ = 1;
  bool blocked_ = false;
  std::uint64_t seed_ = 0;
  OwnArray<std::uint64_t> words_;  // bit i of the filter is bit i % 64 of word i / 64
};

/// Stored as a record; loading checks it.
/// Throws: Error(damaged), Error(unsupported) for a newer version.
template <>
struct Visit<BloomFilter> {
  using built_in = BloomFilter;
  static void write(OutVisitor& out, const BloomFilter& value);
  static void read(InVisitor& in, BloomFilter& value);
};

}  // namespace stele
