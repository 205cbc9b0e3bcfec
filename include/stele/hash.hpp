#pragma once
// The content hash: 128 bits that are equal for equal values, whatever their strides, capacities, addresses or the
// iteration order of an unordered container. hash() walks a value once; a Hasher takes the events of several values.
//
// The digest is XXH3-128 (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md) of the bytes below. They are frozen.
// Numbers are little-endian, lengths and counts have 8 bytes, a digest 16 in the canonical order (high first).
//
//   null            00                        text            08 length bytes
//   false, true     01, 02                    bytes           09 length bytes; also text that is not valid UTF-8
//   integer >= 0    03 value (8)              array           0a dtype order rank (1) extents (8 each) digest
//   integer < 0     04 -1 - value (8)         sequence        0b count items          0c count sum    if unordered
//   float16         05 bits (2)               map             0d count (key value)…   0e count sum    if unordered
//   float32         06 bits (4)               record          0f digest of the names, values
//   float64         07 bits (8)               typed           10 length name, value
//   shared object   11 digest                 back reference  12 distance (8)
//
// - Integers count by value whatever their width and signedness; floats by width and bits, so that 1.0f, 1.0 and 1
//   differ, and so do 0.0 and -0.0.
// - array: the digest is that of the elements in their order: 00 for row-major, 01 for column-major, the latter only
//   where the elements lie so densely and not also in row-major order. dtype: one byte, 01 bool, 02–05 int8–int64,
//   06–09 uint8–uint64, 0a float16, 0b bfloat16, 0c float32, 0d float64, 0e complex64, 0f complex128, 10 float8_e4m3fn,
//   11 float8_e5m2; 12 bytes and 13 utf32 with the item's size (4); 14 record with the number of fields (4) and of each
//   length, name, count (4), dtype; 15 duration and 16 time_point with the unit's base (1), the position of
//   "", Y, M, W, D, h, m, s, ms, us, ns, ps, fs, as, and its multiple (4). Offsets in a record and the bytes between
//   its fields do not count.
// - unordered: the sum modulo 2^128 of the digests of the items, each hashed by itself (a map's item is key, value).
// - record: the digest is that of version (4), number of fields (8), and length and bytes of each name.
// - shared object: the digest of its value hashed by itself, the same at each pointer to it, so that identity does not
//   count. Inside of itself an object is a back reference: the number of shared objects open between the two,
//   0 for the innermost. Objects on a cycle thus count as seen from where the walk enters the cycle.

#include <array>
#include <compare>
#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "stele/options.hpp"
#include "stele/walk.hpp"

namespace stele {

/// A content hash. Its order is that of its text.
struct Digest {
  std::array<std::byte, 16> bytes{};

  /// With the algorithm's name: "xxh3-128:" and 32 hexadecimal digits.
  std::string text() const;
  /// The reverse of text().
  /// Throws: Error(invalid_argument).
  static Digest parse(std::string_view text);

  friend bool operator==(const Digest&, const Digest&) = default;
  friend std::strong_ordering operator<=>(const Digest&, const Digest&) = default;
};

struct HashOptions {
  /// An array counts the same in either storage order. Column-major arrays then cost a transposition.
  bool ignore_order = false;
  /// Names of polymorphic types; must outlive the call, or the Hasher.
  const TypeRegistry* types = nullptr;
  /// Only `depth` applies, to what is nested in one shared object. Unless it is set, only the thread's stack is a
  /// limit: what is hashed is the program's own.
  Limits limits = {.depth = std::numeric_limits<std::size_t>::max()};
};

/// Hashes the events of one value or of several in a row. Not thread-safe.
class Hasher {
 public:
  explicit Hasher(const HashOptions& options = {});
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  /// Hashes a value, graphs of shared pointers of any depth.
  /// Throws: Error(limit_exceeded) for deep nesting.
  template <class T>
  void add(const T& value) {
    add([](OutVisitor& out, const void* v) { stele::write(out, *static_cast<const T*>(v)); }, &value);
  }
  /// Takes events one by one. Valid as long as the Hasher.
  OutVisitor& visitor() noexcept;
  /// The digest of all values so far; more may follow.
  /// Throws: Error(invalid_argument) in the middle of a value.
  Digest digest();

 private:
  void add(void (*write)(OutVisitor& out, const void* value), const void* value);
  class Visitor;
  std::unique_ptr<Visitor> visitor_;
};

/// The content hash of `value`.
/// Throws: what Hasher::add() throws, Error(unknown_type) for a polymorphic type that options.types does not have.
template <class T>
Digest hash(const T& value, const HashOptions& options = {}) {
  Hasher hasher(options);
  hasher.add(value);
  return hasher.digest();
}

/// The content hash of several values in order: that of their tuple. With options: hash(std::tie(a, b), options).
template <class A, class B, class... More>
  requires(!std::is_same_v<B, HashOptions> && !(std::is_same_v<More, HashOptions> || ...))
Digest hash(const A& a, const B& b, const More&... more) {
  Hasher hasher;
  OutVisitor& out = hasher.visitor();
  out.begin_sequence(2 + sizeof...(More));
  write(out, a);
  write(out, b);
  (write(out, more), ...);
  out.end();
  return hasher.digest();
}

}  // namespace stele
