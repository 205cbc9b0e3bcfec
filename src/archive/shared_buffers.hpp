#pragma once
// Finds arrays that lie in one buffer, so that a buffer's bytes are stored once.

#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "stele/visitor.hpp"

namespace stele {

/// The bytes an array spans, gaps included.
struct Extent {
  const std::byte* first = nullptr;
  const std::byte* last = nullptr;
};
Extent extent_of(const ArrayView& view);

class SharedBuffers {
 public:
  /// How to store an array that lies in a Buffer.
  struct Plan {
    enum class Form : std::uint8_t {
      whole,         // by itself, as something later arrays may refer to
      reference,     // it is stored already under `index`
      view_of_old,   // a view of `base`, stored under `index`
      view_of_new,   // a view of `base`, to be stored here
    };
    Form form = Form::whole;
    std::uint64_t index = 0;
    ArrayView base;
  };

  /// `walk` walks the whole object graph with the visitor it is given; called at most once.
  template <class F>
  Plan plan(const ArrayView& view, F&& walk) {
    if (auto known = find(view)) {
      return *known;
    }
    if (!covers_buffer(view) && !scanned_) {
      scanned_ = true;
      walk(scanner());
    }
    return plan_new(view);
  }
  /// Tells under which index `stored` has been stored.
  void add(const ArrayView& stored, std::uint64_t index);

 private:
  struct Piece {
    ArrayView view;
    std::uint64_t index;
  };
  struct Span {
    Extent extent;
    DType dtype;
    bool uniform = true;  // all arrays in it have this dtype
    std::size_t arrays = 1;
  };
  class Scanner;
  std::optional<Plan> find(const ArrayView& view) const;
  bool covers_buffer(const ArrayView& view) const;
  Plan plan_new(const ArrayView& view) const;
  OutVisitor& scanner();
  void scanned(const ArrayView& view);

  std::unordered_map<const Buffer*, std::vector<Piece>> pieces_;
  std::unordered_map<const Buffer*, std::vector<Span>> spans_;
  std::shared_ptr<OutVisitor> scanner_;
  bool scanned_ = false;
};

}  // namespace stele
