#pragma once
// What Python can use as a key, and which keys it takes for the same one.

#include <cstdint>
#include <functional>
#include <optional>
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
    const Value* value = nullptr;   // neither shared nor a reference
    const void* anchor = nullptr;  // of the innermost shared value; null where it is not shared
  };

  /// `root` must outlive this.
  explicit PickleTargets(const Value& root) : anchors_(root) {}
  /// Throws: Error(not_found) for a reference without its shared value, Error(unsupported) where there are only
  /// references.
  Target find(const Value& value);

 private:
  Anchors anchors_;
};

class PickleKeys {
 public:
  struct Key {
    bool hashable = false;
    std::optional<Hash128> digest = std::nullopt;  // equal for keys that are equal; nothing for those that equal no other
  };

  /// `targets` must outlive this.
  explicit PickleKeys(PickleTargets& targets) : targets_(targets) {}

  Key key(const Value& value);
  /// Adds a key to those since the last clear(). False where it is equal to one of them.
  bool add(const Key& key);
  /// For about `count` keys.
  void clear(std::size_t count);

 private:
  struct Level {
    std::span<const Value> items;
    std::size_t next = 0;
    bool ordered = true;
    const void* anchor = nullptr;
    bool comparable = true;
    std::vector<Hash128> digests = {};
  };

  std::optional<Key> begin(const Value& value, std::vector<Level>& levels);

  PickleTargets& targets_;
  std::unordered_map<const void*, std::optional<Key>> known_;  // by anchor; nothing while it is being looked at
  std::vector<std::uint64_t> table_;                           // low halves of digests, by hash; 0: free
  std::uint64_t mask_ = 0;
};

/// The elements of a typed value "py:frozenset" or "py:tuple", of any other the null pointer.
const Value* pickle_tuple(const Value& value);
const Value* pickle_frozenset(const Value& value);

}  // namespace stele
