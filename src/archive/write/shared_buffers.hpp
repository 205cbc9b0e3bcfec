#pragma once
// Finds arrays that share a buffer, so that its bytes are stored once.

#include <algorithm>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "archive/write/array_scanner.hpp"
#include "stele/visitor.hpp"

namespace stele {

/// The byte range of an array, including gaps.
struct Extent {
  const std::byte* first = nullptr;
  const std::byte* last = nullptr;
};
Extent extent_of(const ArrayView& view);

/// A map with buffers as keys. An entry expires with its buffer, because a new buffer may get the same address.
template <class T>
class BufferMap {
 public:
  /// The entry of a buffer; a new T if there is none.
  T& at(const Buffer* buffer) {
    if (known_.size() >= drop_at_) {
      std::erase_if(known_, [](const auto& item) { return item.second.buffer.expired(); });
      drop_at_ = std::max<std::size_t>(1024, 2 * known_.size());
    }
    Known& known = known_[buffer];
    if (known.buffer.expired()) {
      known = {buffer->weak_from_this(), T{}};
    }
    return known.data;
  }
  T* find(const Buffer* buffer) noexcept {
    const auto found = known_.find(buffer);
    return found == known_.end() || found->second.buffer.expired() ? nullptr : &found->second.data;
  }
  void clear() noexcept { known_.clear(); }

 private:
  struct Known {
    std::weak_ptr<const Buffer> buffer;
    T data{};
  };
  std::unordered_map<const Buffer*, Known> known_;
  std::size_t drop_at_ = 1024;
};

class SharedBuffers {
 public:
  /// How to store an array in a Buffer.
  struct Plan {
    enum class Form : std::uint8_t {
      whole,        // on its own, so that later arrays can refer to it
      reference,    // already stored under `index`
      view_of_old,  // a view of `base`, which is stored under `index`
      view_of_new,  // a view of `base`, which is to be stored here
    };
    Form form = Form::whole;
    std::uint64_t index = 0;
    ArrayView base;
  };

  /// `walk` walks the whole object graph with the given visitor; it is called at most once.
  template <class F>
  Plan plan(const ArrayView& view, const TypeRegistry* types, F&& walk) {
    if (auto known = find(view)) {
      return *known;
    }
    if (!covers_buffer(view) && !scanned_) {
      scanned_ = true;
      const std::unique_ptr<ArrayScanner> seeing = scanner(types);
      walk(*seeing);
      seeing->finish();
    }
    return plan_new(view);
  }
  /// Records that `stored` was stored under `index`. `checksum`: see begin_part().
  void add(const ArrayView& stored, std::uint64_t index, std::uint64_t checksum = 0);
  /// From here on, arrays may have changed since they were stored. An array that was stored before is compared by its
  /// elements_checksum().
  void begin_part() noexcept { ++part_; }

 private:
  struct Piece {
    ArrayView view;
    std::uint64_t index;
    std::uint64_t checksum;
    std::uint64_t part;  // the part in which it was stored or last compared
  };
  struct Span {
    Extent extent;
    DType dtype;
    bool uniform = true;  // all arrays in the buffer have this dtype
    std::size_t arrays = 1;
  };
  class Scanner;
  std::optional<Plan> find(const ArrayView& view);
  bool covers_buffer(const ArrayView& view) const;
  Plan plan_new(const ArrayView& view);
  std::unique_ptr<ArrayScanner> scanner(const TypeRegistry* types);
  void scanned(const ArrayView& view);

  BufferMap<std::vector<Piece>> pieces_;
  BufferMap<std::vector<Span>> spans_;
  bool scanned_ = false;
  std::uint64_t part_ = 0;
};

/// XXH3-64 of the elements in the order in which they are stored.
std::uint64_t elements_checksum(const ArrayView& view);

}  // namespace stele
