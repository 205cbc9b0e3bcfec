#pragma once
// HyperLogLog: the approximate number of distinct keys, in a few kilobytes however many there are (P. Flajolet, É.
// Fusy, O. Gandouet and F. Meunier, HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm,
// 2007). The estimate is O. Ertl's (New cardinality estimation algorithms for HyperLogLog sketches, 2017), which needs
// no table of corrections and is as good for few keys as for many.
//
// The memory form is the file form: save(), load() and mapping need nothing more.

#include <cstddef>
#include <cstdint>

#include "stele/filters/key_hash.hpp"
#include "stele/filters/own_array.hpp"
#include "stele/walk.hpp"

namespace stele {

/// A count of distinct keys. Copies have their own registers. Not thread-safe, except estimate().
class HyperLogLog {
 public:
  /// No registers: counts 0, and add() fails.
  HyperLogLog() noexcept = default;
  /// 2^precision registers of a byte each, precision from 4 to 18; the relative standard error is 1.04 /
  /// sqrt(registers): 1.6 % for 4 KiB (12), 0.8 % for 16 KiB (14).
  /// Throws: Error(invalid_argument).
  explicit HyperLogLog(unsigned precision, std::uint64_t seed = 0);

  /// Counts a key, once however often it is added. A sketch mapped read-only gets its own memory first.
  /// Throws: Error(invalid_argument) without registers, Error(limit_exceeded).
  void add(KeyHash key);
  /// The approximate number of distinct keys added.
  double estimate() const noexcept;
  /// Merges `other`: the result is that of one sketch for all keys. Both need the same precision and seed.
  /// Throws: Error(invalid_argument).
  void merge(const HyperLogLog& other);
  void clear();

  /// 0 without registers.
  unsigned precision() const noexcept { return precision_; }
  std::uint64_t seed() const noexcept { return seed_; }
  std::uint64_t byte_count() const noexcept { return registers_.size(); }
  bool writable() const noexcept { return registers_.writable(); }
  /// The relative standard error of estimate().
  double standard_error() const noexcept;

  friend bool operator==(const HyperLogLog& a, const HyperLogLog& b) = default;

  static void visit(auto& v, auto& self) {
    v.version(1);
    v("precision", self.precision_)("seed", self.seed_)("registers", self.registers_.stored());
  }

 private:
  friend struct Visit<HyperLogLog>;
  std::uint8_t* own_registers();

  std::uint32_t precision_ = 0;
  std::uint64_t seed_ = 0;
  OwnArray<std::uint8_t> registers_;  // the highest rank of the keys of each
};

/// Stored as a record; loading checks it.
/// Throws: Error(damaged), Error(unsupported) for a newer version.
template <>
struct Visit<HyperLogLog> {
  using built_in = HyperLogLog;
  static void write(OutVisitor& out, const HyperLogLog& value);
  static void read(InVisitor& in, HyperLogLog& value);
};

}  // namespace stele
