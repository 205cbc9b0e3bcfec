#pragma once
// What Python can use as a key, and which keys it takes for the same one.

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "archive/value/nodes.hpp"
#include "base/checksum.hpp"
#include "stele/value.hpp"

namespace stele {

/// What shared values and references stand for.
class PickleTargets {
 public:
  struct Target {
    const Value* value = nullptr;  // neither shared nor a reference
    const void* anchor = nullptr;  // of the innermost shared value; null where it is not shared
  };

  /// `root` must outlive this.
  explicit PickleTargets(const Value& root) : anchors_(root) {}
  /// Throws: Error(not_found) for a reference without its shared value, Error(unsupported) for one that leads to
  /// itself.
  Target find(const Value& value);

 private:
  Anchors anchors_;
};

class PickleKeys {
 public:
  struct Key {
    bool hashable = false;
    /// The same for keys that Python takes for equal; nothing for a key that equals no other.
    std::optional<Hash128> digest = std::nullopt;
  };

  /// `targets` must outlive this.
  explicit PickleKeys(PickleTargets& targets) : targets_(targets) {}

  struct Fault {
    std::size_t index = 0;
    bool repeated = false;  // equal to an earlier one; else it cannot be hashed
  };

  Key key(const Value& value);
  /// What keeps `count` values, which `at(i)` returns, from being the keys of one dict or set.
  template <class At>
  std::optional<Fault> fault(std::size_t count, At at);

 private:
  struct Level {
    std::span<const Value> items;
    std::size_t next = 0;
    bool ordered = true;
    const void* anchor = nullptr;
    bool comparable = true;
    std::vector<Hash128> digests = {};
  };

  static constexpr std::size_t ahead = 32;  // digests whose slots are fetched from memory together

  std::optional<Key> begin(const Value& value, std::vector<Level>& levels);
  void clear(std::size_t count);
  /// False for a digest that was added since the last clear().
  bool add(const Hash128& digest);

  PickleTargets& targets_;
  std::unordered_map<const void*, std::optional<Key>> known_;  // by anchor; nothing while it is being looked at
  std::vector<std::uint64_t> table_;                           // low halves of digests, by hash; 0: free
  std::uint64_t mask_ = 0;
};

template <class At>
std::optional<PickleKeys::Fault> PickleKeys::fault(std::size_t count, At at) {
  clear(count);
  std::array<std::optional<Hash128>, ahead> digests;
  for (std::size_t first = 0; first < count; first += ahead) {
    const std::size_t n = std::min(ahead, count - first);
    for (std::size_t i = 0; i < n; ++i) {
      const Key found = key(at(first + i));
      if (!found.hashable) {
        return Fault{first + i, false};
      }
      digests[i] = found.digest;
      if (found.digest) {
        __builtin_prefetch(&table_[found.digest->high & mask_], 1);
      }
    }
    for (std::size_t i = 0; i < n; ++i) {
      if (digests[i] && !add(*digests[i])) {
        return Fault{first + i, true};
      }
    }
  }
  return std::nullopt;
}

/// The sequence in a typed value "py:tuple" or "py:frozenset"; null for any other value.
const Value* pickle_tuple(const Value& value);
const Value* pickle_frozenset(const Value& value);

}  // namespace stele
