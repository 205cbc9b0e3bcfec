#pragma once
// BinaryFuse: a set that no longer changes, in 9 bits for each key with 0.4 % false positives, or 18 with 0.0015 %
// (T. Graf and D. Lemire, Binary fuse filters: fast and smaller than xor filters, 2022; the variant of three places). A
// Bloom filter of that rate takes 11.5 bits. A look-up reads three bytes.
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

/// A fixed set of keys without false negatives, by fingerprints of 8 or 16 bits. Copies are values. All functions but
/// the constructor are const and may be called by several threads.
template <class Fingerprint>
class BasicBinaryFuse {
 public:
  /// No keys.
  BasicBinaryFuse() noexcept = default;
  /// The set of `keys`, which may repeat. Takes about 30 bytes of memory for each key while it builds. Tries seeds from
  /// `seed` on until one fits: almost always the first or second.
  /// Throws: Error(limit_exceeded) for more than 3 * 10^9 keys, if there is no memory, or if none of 100 seeds fits.
  explicit BasicBinaryFuse(std::span<const KeyHash> keys, std::uint64_t seed = 0);

  bool contains(KeyHash key) const noexcept {
    std::uint8_t found = 0;
    test({&key, 1}, {&found, 1});
    return found != 0;
  }
  /// Sets found[i] to 1 if keys[i] is contained and else to 0; returns how many are. Several times faster than one by
  /// one if the filter is larger than the cache.
  /// Throws: Error(invalid_argument) for different lengths.
  std::size_t contains_many(std::span<const KeyHash> keys, std::span<std::uint8_t> found) const;

  /// The number of distinct keys.
  std::uint64_t size() const noexcept { return count_; }
  std::uint64_t byte_count() const noexcept { return sizeof(Fingerprint) * fingerprints_.size(); }
  /// The false positive rate: 2^-8 or 2^-16; 0 without keys.
  double false_positive_rate() const noexcept;
  /// The seed that fitted.
  std::uint64_t seed() const noexcept { return seed_; }
  bool writable() const noexcept { return fingerprints_.writable(); }

  friend bool operator==(const BasicBinaryFuse&, const BasicBinaryFuse&) = default;

  static void visit(auto& v, auto& self) {
    v.version(1);
    v("bits", self.bits_)("count", self.count_)("seed", self.seed_)("segment_length", self.segment_length_);
    v("fingerprints", self.fingerprints_.stored());
  }

 private:
  friend struct Visit<BasicBinaryFuse>;
  void test(std::span<const KeyHash> keys, std::span<std::uint8_t> found) const noexcept;
  const char* fault() const noexcept;

  std::uint32_t bits_ = 8 * sizeof(Fingerprint);
  std::uint64_t count_ = 0;
  std::uint64_t seed_ = 0;
  std::uint32_t segment_length_ = 0;    // a power of two
  OwnArray<Fingerprint> fingerprints_;  // consecutive segments, at least three
};

using BinaryFuse = BasicBinaryFuse<std::uint8_t>;
using BinaryFuse16 = BasicBinaryFuse<std::uint16_t>;

extern template class BasicBinaryFuse<std::uint8_t>;
extern template class BasicBinaryFuse<std::uint16_t>;

/// Stored as a record; loading checks it.
/// Throws: Error(damaged), Error(unsupported) for a newer version.
template <class Fingerprint>
struct Visit<BasicBinaryFuse<Fingerprint>> {
  using built_in = BasicBinaryFuse<Fingerprint>;
  static void write(OutVisitor& out, const BasicBinaryFuse<Fingerprint>& value);
  static void read(InVisitor& in, BasicBinaryFuse<Fingerprint>& value);
};

extern template struct Visit<BinaryFuse>;
extern template struct Visit<BinaryFuse16>;

}  // namespace stele
