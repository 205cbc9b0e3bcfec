#pragma once
// CountMin: how often each key occurred, never too low and seldom much too high, in a table of a fixed size (G. Cormode
// and S. Muthukrishnan, An improved data stream summary: the count-min sketch and its applications, 2005). Conservative
// updates (C. Estan and G. Varghese, New directions in traffic measurement and accounting, 2002) have smaller errors.
//
// The memory form is the file form: save(), load() and mapping need nothing more.

#include <cstddef>
#include <cstdint>

#include "stele/filters/key_hash.hpp"
#include "stele/filters/own_array.hpp"
#include "stele/walk.hpp"

namespace stele {

struct CountMinOptions {
  /// Raise only the counters that are lowest for the key. Errors are several times smaller for skewed counts; an add
  /// costs one more look-up, and merged sketches have the errors of ordinary ones.
  bool conservative = false;
  /// Stored with the sketch.
  std::uint64_t seed = 0;
};

/// Counts of keys. Copies have their own counters. Not thread-safe, except for look-ups.
class CountMin {
 public:
  /// No counters: all counts are 0, and add() fails.
  CountMin() noexcept = default;
  /// With a probability of at least 1 - `delta`, an estimate is too high by at most `epsilon` times total(). Takes
  /// about 2.72 / epsilon * ln(1 / delta) counters of 4 bytes. Both lie between 0 and 1, excluded.
  /// Throws: Error(invalid_argument), Error(limit_exceeded).
  CountMin(double epsilon, double delta, const CountMinOptions& options = {});
  /// With `depth` rows, 1 to 64, of `width` counters each.
  static CountMin of_size(std::uint64_t width, unsigned depth, const CountMinOptions& options = {});

  /// Counts a key. Counters stop at 2^32 - 1. A sketch mapped read-only gets its own memory first.
  /// Throws: Error(invalid_argument) without counters, Error(limit_exceeded).
  void add(KeyHash key, std::uint32_t times = 1);
  /// At least the number of times that the key was added (or 2^32 - 1).
  std::uint32_t estimate(KeyHash key) const noexcept;

  /// Adds the counts of `other`. Both need the same width, depth and seed.
  /// Throws: Error(invalid_argument).
  void merge(const CountMin& other);
  void clear();

  std::uint64_t width() const noexcept { return counts_.array().shape()[1]; }
  unsigned depth() const noexcept { return static_cast<unsigned>(counts_.array().shape()[0]); }
  std::uint64_t byte_count() const noexcept { return 4 * counts_.size(); }
  bool conservative() const noexcept { return conservative_; }
  std::uint64_t seed() const noexcept { return seed_; }
  bool writable() const noexcept { return counts_.writable(); }
  /// The number of keys added in all.
  std::uint64_t total() const noexcept { return total_; }

  friend bool operator==(const CountMin& a, const CountMin& b) = default;

  static void visit(auto& v, auto& self) {
    v.version(1);
    v("conservative", self.conservative_)("seed", self.seed_)("total", self.total_)("counts", self.counts_.stored());
  }

 private:
  friend struct Visit<CountMin>;
  friend class FeatureStore;
  CountMin(std::uint64_t width, unsigned depth, const CountMinOptions& options);
  std::uint32_t* own_counts();

  bool conservative_ = false;
  std::uint64_t seed_ = 0;
  std::uint64_t total_ = 0;
  OwnArray<std::uint32_t, 2> counts_;  // depth rows of width
};

/// Stored as a record; loading checks it.
/// Throws: Error(damaged), Error(unsupported) for a newer version.
template <>
struct Visit<CountMin> {
  using built_in = CountMin;
  static void write(OutVisitor& out, const CountMin& value);
  static void read(InVisitor& in, CountMin& value);
};

}  // namespace stele
