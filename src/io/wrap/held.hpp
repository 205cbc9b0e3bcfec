#pragma once
// A Source some parts of which are in memory.

#include <algorithm>
#include <iterator>
#include <map>
#include <vector>

#include "io/wrap/forwarding.hpp"

namespace stele {

/// For a short work on a slow Source, whose reads are known: each part is read once, with one read. Announcements of
/// reads are not passed on. Not thread-safe while it gets parts.
class HeldSource final : public ForwardingSource {
 public:
  /// `inner`, with random access, must outlive this object.
  explicit HeldSource(Source& inner) : ForwardingSource(inner) {}

  /// Reads a part, as far as there are such bytes, unless its first byte is held.
  void hold(std::uint64_t offset, std::uint64_t size) {
    const std::uint64_t end = *inner_.size();
    if (offset >= end || part_at(offset) != parts_.end()) {
      return;
    }
    std::vector<std::byte> bytes(static_cast<std::size_t>(std::min(size, end - offset)));
    inner_.read_at(offset, bytes);
    parts_.emplace(offset, std::move(bytes));
  }

  void read_at(std::uint64_t offset, MutableBytes into) const override {
    while (!into.empty()) {
      const auto part = part_at(offset);
      if (part == parts_.end()) {
        const auto next = parts_.upper_bound(offset);
        const std::uint64_t size =
            next == parts_.end() ? into.size() : std::min<std::uint64_t>(into.size(), next->first - offset);
        inner_.read_at(offset, into.first(static_cast<std::size_t>(size)));
        offset += size;
        into = into.subspan(static_cast<std::size_t>(size));
        continue;
      }
      const Bytes held = Bytes(part->second).subspan(static_cast<std::size_t>(offset - part->first));
      const std::size_t size = std::min(held.size(), into.size());
      std::copy_n(held.begin(), size, into.begin());
      offset += size;
      into = into.subspan(size);
    }
  }
  void will_read(std::uint64_t /*offset*/, std::uint64_t /*size*/) const override {}

 private:
  using Parts = std::map<std::uint64_t, std::vector<std::byte>>;
  /// The part that has a byte.
  Parts::const_iterator part_at(std::uint64_t offset) const {
    const auto next = parts_.upper_bound(offset);
    if (next == parts_.begin()) {
      return parts_.end();
    }
    const auto part = std::prev(next);
    return offset - part->first < part->second.size() ? part : parts_.end();
  }
  Parts parts_;  // by their offset
};

}  // namespace stele
