#include "archive/write/shared_buffers.hpp"

#include <utility>

#include "archive/write/array_scanner.hpp"
#include "archive/write/gathered.hpp"
#include "format/array/checksum.hpp"
#include "format/array/typed.hpp"

namespace stele {
namespace {

bool same_layout(const ArrayView& a, const ArrayView& b) {
  return a.data == b.data && a.dtype == b.dtype && a.shape == b.shape &&
         std::equal(a.strides, a.strides + a.shape.rank(), b.strides);
}

bool overlap(const Extent& a, const Extent& b) noexcept { return a.first < b.last && b.first < a.last; }

bool is_dense(const ArrayView& view) noexcept {
  return view.is_dense(Order::row_major) || view.is_dense(Order::column_major);
}

}  // namespace

Extent extent_of(const ArrayView& view) {
  Extent extent{view.data, view.data + view.dtype.item_size()};
  for (std::size_t axis = 0; axis < view.shape.rank(); ++axis) {
    const std::int64_t reach = view.strides[axis] * (static_cast<std::int64_t>(view.shape[axis]) - 1);
    (reach < 0 ? extent.first : extent.last) += reach;
  }
  return extent;
}

/// Records every array in a Buffer.
class SharedBuffers::Scanner final : public ArrayScanner {
 public:
  Scanner(SharedBuffers& buffers, const TypeRegistry* types) : ArrayScanner(types), buffers_(buffers) {}
  void array(const ArrayView& value) override { buffers_.scanned(value); }

 private:
  SharedBuffers& buffers_;
};

std::unique_ptr<ArrayScanner> SharedBuffers::scanner(const TypeRegistry* types) {
  return std::make_unique<Scanner>(*this, types);
}

void SharedBuffers::scanned(const ArrayView& view) {
  if (view.buffer == nullptr || view.byte_count() == 0) {
    return;
  }
  Span merged{extent_of(view), view.dtype};
  std::vector<Span>& spans = spans_.at(view.buffer);
  for (std::size_t i = 0; i < spans.size();) {
    if (!overlap(spans[i].extent, merged.extent)) {
      ++i;
      continue;
    }
    merged.extent.first = std::min(merged.extent.first, spans[i].extent.first);
    merged.extent.last = std::max(merged.extent.last, spans[i].extent.last);
    merged.uniform = merged.uniform && spans[i].uniform && spans[i].dtype == merged.dtype;
    merged.arrays += spans[i].arrays;
    spans.erase(spans.begin() + static_cast<std::ptrdiff_t>(i));
    i = 0;
  }
  spans.push_back(merged);
}

std::optional<SharedBuffers::Plan> SharedBuffers::find(const ArrayView& view) {
  std::vector<Piece>* const pieces = pieces_.find(view.buffer);
  if (pieces == nullptr) {
    return std::nullopt;
  }
  std::erase_if(*pieces, [&](Piece& piece) {
    return std::exchange(piece.part, part_) != part_ && elements_checksum(piece.view) != piece.checksum;
  });
  const Extent extent = extent_of(view);
  for (const Piece& piece : *pieces) {
    if (same_layout(piece.view, view)) {
      return Plan{Plan::Form::reference, piece.index, piece.view};
    }
    const Extent whole = extent_of(piece.view);
    if (piece.view.dtype == view.dtype && is_dense(piece.view) && extent.first >= whole.first &&
        extent.last <= whole.last &&
        (view.data - whole.first) % static_cast<std::ptrdiff_t>(view.dtype.item_size()) == 0) {
      return Plan{Plan::Form::view_of_old, piece.index, piece.view};
    }
  }
  return std::nullopt;
}

bool SharedBuffers::covers_buffer(const ArrayView& view) const {
  const Extent extent = extent_of(view);
  return is_dense(view) && extent.first == view.buffer->data() &&
         extent.last == view.buffer->data() + view.buffer->size();
}

SharedBuffers::Plan SharedBuffers::plan_new(const ArrayView& view) {
  const std::vector<Span>* const spans = spans_.find(view.buffer);
  if (spans == nullptr) {
    return {};
  }
  const Extent extent = extent_of(view);
  for (const Span& span : *spans) {
    if (!overlap(span.extent, extent)) {
      continue;
    }
    const auto item = static_cast<std::ptrdiff_t>(view.dtype.item_size());
    const std::ptrdiff_t bytes = span.extent.last - span.extent.first;
    const bool is_all = span.extent.first == extent.first && span.extent.last == extent.last && is_dense(view);
    if (is_all || span.arrays < 2 || !span.uniform || bytes % item != 0 ||
        (view.data - span.extent.first) % item != 0) {
      return {};
    }
    Plan plan;
    plan.form = Plan::Form::view_of_new;
    plan.base = ArrayView(view.dtype, span.extent.first, static_cast<std::uint64_t>(bytes / item));
    plan.base.buffer = view.buffer;
    return plan;
  }
  return {};
}

void SharedBuffers::add(const ArrayView& stored, std::uint64_t index, std::uint64_t checksum) {
  pieces_.at(stored.buffer).push_back({stored, index, checksum, part_});
}

std::uint64_t elements_checksum(const ArrayView& view) {
  ArrayHash hash;
  hash.reset();
  std::vector<std::byte> gathered;
  for_each_piece(view, stored_order(view), gathered, [&](Bytes piece) { hash.update(piece); });
  return hash.digest().whole;
}

}  // namespace stele
