#include "stele/array.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/bytes.hpp"

namespace stele {
namespace {

constexpr std::uint64_t largest_count = static_cast<std::uint64_t>(INT64_MAX);

/// Describes a copy of elements between dense memory and strided memory. Axes are ordered so that the last varies
/// fastest in the dense memory; strides are in bytes.
struct Axes {
  std::size_t rank = 0;
  std::uint64_t extents[max_rank];
  std::int64_t strided[max_rank];
  std::int64_t dense[max_rank];
};

/// The axes of `view` in `order`. Drops axes of one element and joins neighbouring axes that are contiguous.
Axes joined_axes(const ArrayView& view, Order order) {
  Axes axes;
  const std::size_t rank = view.shape.rank();
  for (std::size_t i = 0; i < rank; ++i) {
    const std::size_t axis = order == Order::row_major ? i : rank - 1 - i;
    const std::uint64_t extent = view.shape[axis];
    const std::int64_t stride = view.strides[axis];
    if (extent == 1) {
      continue;
    }
    if (axes.rank > 0 && axes.strided[axes.rank - 1] == stride * static_cast<std::int64_t>(extent)) {
      axes.extents[axes.rank - 1] *= extent;
      axes.strided[axes.rank - 1] = stride;
      continue;
    }
    axes.extents[axes.rank] = extent;
    axes.strided[axes.rank] = stride;
    ++axes.rank;
  }
  auto step = static_cast<std::int64_t>(view.dtype.item_size());
  if (axes.rank == 0) {
    axes.extents[0] = 1;
    axes.strided[0] = step;
    axes.rank = 1;
  }
  for (std::size_t i = axes.rank; i-- > 0;) {
    axes.dense[i] = step;
    step *= static_cast<std::int64_t>(axes.extents[i]);
  }
  return axes;
}

template <std::size_t item>
struct FixedItem {
  void operator()(std::byte* to, const std::byte* from) const noexcept { std::memcpy(to, from, item); }
  static constexpr std::size_t size() noexcept { return item; }
};
struct AnyItem {
  std::size_t bytes;
  void operator()(std::byte* to, const std::byte* from) const noexcept { std::memcpy(to, from, bytes); }
  std::size_t size() const noexcept { return bytes; }
};

/// One side of a plane of elements: the address of its first element and the strides of its two axes.
template <class Byte>
struct Plane {
  Byte* first;
  std::int64_t outer;
  std::int64_t inner;

  Byte* at(std::uint64_t i, std::uint64_t j) const noexcept {
    return first + static_cast<std::int64_t>(i) * outer + static_cast<std::int64_t>(j) * inner;
  }
};

template <class Copy>
void copy_rows(Plane<const std::byte> from, Plane<std::byte> to, std::uint64_t rows, std::uint64_t columns, Copy copy) {
  const auto item = static_cast<std::int64_t>(copy.size());
  const bool contiguous = from.inner == item && to.inner == item;
  for (std::uint64_t i = 0; i < rows; ++i) {
    const std::byte* source = from.at(i, 0);
    std::byte* target = to.at(i, 0);
    if (contiguous) {
      std::memcpy(target, source, columns * copy.size());
      continue;
    }
    for (std::uint64_t j = 0; j < columns; ++j) {
      copy(target, source);
      source += from.inner;
      target += to.inner;
    }
  }
}

/// Copies a plane tile by tile through a small dense buffer, so that each cache line of either side is used completely
/// at once: lines that are a power of two apart evict each other. One side is nearly contiguous along its rows, the
/// other along its columns.
template <class Copy>
void copy_plane(Plane<const std::byte> from, Plane<std::byte> to, std::uint64_t rows, std::uint64_t columns,
                Copy copy) {
  constexpr std::uint64_t most_bytes = 16384;
  const std::uint64_t item = copy.size();
  const std::uint64_t edge = item <= 1 ? 128 : item <= 4 ? 64 : item <= 16 ? 32 : 16;
  const std::uint64_t area = edge * edge;
  if (area * item > most_bytes) {
    return copy_rows(from, to, rows, columns, copy);
  }
  const std::uint64_t tile_columns = rows < edge ? area / rows : edge;
  const std::uint64_t tile_rows = columns < edge ? area / columns : edge;
  const auto step = static_cast<std::int64_t>(item);
  const bool rows_first = std::abs(from.inner) <= std::abs(from.outer);
  std::byte buffer[most_bytes];
  for (std::uint64_t i = 0; i < rows; i += tile_rows) {
    const std::uint64_t height = std::min(tile_rows, rows - i);
    for (std::uint64_t j = 0; j < columns; j += tile_columns) {
      const std::uint64_t width = std::min(tile_columns, columns - j);
      if (rows_first) {
        const std::int64_t pitch = static_cast<std::int64_t>(width) * step;
        copy_rows({from.at(i, j), from.outer, from.inner}, {buffer, pitch, step}, height, width, copy);
        copy_rows({buffer, step, pitch}, {to.at(i, j), to.inner, to.outer}, width, height, copy);
      } else {
        const std::int64_t pitch = static_cast<std::int64_t>(height) * step;
        copy_rows({from.at(i, j), from.inner, from.outer}, {buffer, pitch, step}, width, height, copy);
        copy_rows({buffer, step, pitch}, {to.at(i, j), to.outer, to.inner}, height, width, copy);
      }
    }
  }
}

/// Iterates over the indices of all axes from `first_axis` on except two, the innermost fastest.
class Odometer {
 public:
  Odometer(const Axes& axes, std::size_t first_axis, std::size_t skip_a, std::size_t skip_b) noexcept : axes_(axes) {
    for (std::size_t axis = axes.rank; axis-- > first_axis;) {
      if (axis != skip_a && axis != skip_b && axes.extents[axis] > 1) {
        loops_[rank_] = axis;
        index_[rank_++] = 0;
      }
    }
  }

  /// Moves both offsets to the next element; false after the last.
  bool next(std::int64_t& strided, std::int64_t& dense) noexcept {
    for (std::size_t i = 0; i < rank_; ++i) {
      const std::size_t axis = loops_[i];
      strided += axes_.strided[axis];
      dense += axes_.dense[axis];
      if (++index_[i] < axes_.extents[axis]) {
        return true;
      }
      strided -= axes_.strided[axis] * static_cast<std::int64_t>(axes_.extents[axis]);
      dense -= axes_.dense[axis] * static_cast<std::int64_t>(axes_.extents[axis]);
      index_[i] = 0;
    }
    return false;
  }

 private:
  const Axes& axes_;
  std::size_t rank_ = 0;
  std::size_t loops_[max_rank];
  std::uint64_t index_[max_rank];
};

/// Copies a range of elements between dense and strided memory, in the direction given by `gathers`.
template <bool gathers>
class Mover {
 public:
  using Strided = std::conditional_t<gathers, const std::byte, std::byte>;
  using Dense = std::conditional_t<gathers, std::byte, const std::byte>;

  Mover(const ArrayView& view, Order order) : axes_(joined_axes(view, order)), item_(view.dtype.item_size()) {}

  /// Copies elements `first` to `first + count`; the dense ones begin at `dense`.
  void move(Strided* strided, Dense* dense, std::uint64_t first, std::uint64_t count) {
    move_from(0, strided, dense, first, count);
  }

 private:
  /// Splits a range within `axis` and its inner axes into boxes: a beginning and an end that fill inner axes only
  /// partly, and the part between.
  void move_from(std::size_t axis, Strided* strided, Dense* dense, std::uint64_t first, std::uint64_t count) {
    const auto inner = static_cast<std::uint64_t>(axes_.dense[axis]) / item_;
    std::uint64_t index = first / inner;
    const std::uint64_t skipped = first % inner;
    const auto at = [&] { return strided + static_cast<std::int64_t>(index) * axes_.strided[axis]; };
    if (skipped > 0) {
      const std::uint64_t part = std::min(count, inner - skipped);
      move_from(axis + 1, at(), dense, skipped, part);
      dense += part * item_;
      count -= part;
      ++index;
    }
    const std::uint64_t whole = count / inner;
    if (whole > 0) {
      const std::uint64_t extent = std::exchange(axes_.extents[axis], whole);
      move_box(axis, at(), dense);
      axes_.extents[axis] = extent;
      dense += whole * inner * item_;
      count -= whole * inner;
      index += whole;
    }
    if (count > 0) {
      move_from(axis + 1, at(), dense, 0, count);
    }
  }

  /// Copies all elements of the axes from `first_axis` on.
  void move_box(std::size_t first_axis, Strided* strided, Dense* dense) {
    const std::size_t last = axes_.rank - 1;
    if (axes_.strided[last] == static_cast<std::int64_t>(item_)) {
      move_runs(first_axis, strided, dense);
      return;
    }
    // The axis along which the strided side is read fastest; for the dense side it is the last one.
    std::size_t across = max_rank;
    for (std::size_t axis = first_axis; axis < last; ++axis) {
      if (axes_.extents[axis] > 1 && (across == max_rank || distance(axis) <= distance(across))) {
        across = axis;
      }
    }
    switch (item_) {
      case 1:
        return move_planes(first_axis, across, strided, dense, FixedItem<1>());
      case 2:
        return move_planes(first_axis, across, strided, dense, FixedItem<2>());
      case 4:
        return move_planes(first_axis, across, strided, dense, FixedItem<4>());
      case 8:
        return move_planes(first_axis, across, strided, dense, FixedItem<8>());
      case 16:
        return move_planes(first_axis, across, strided, dense, FixedItem<16>());
      default:
        return move_planes(first_axis, across, strided, dense, AnyItem{item_});
    }
  }

  void move_runs(std::size_t first_axis, Strided* strided, Dense* dense) const {
    const std::size_t last = axes_.rank - 1;
    const std::size_t bytes = static_cast<std::size_t>(axes_.extents[last]) * item_;
    Odometer places(axes_, first_axis, last, last);
    std::int64_t from = 0;
    std::int64_t to = 0;
    do {
      if constexpr (gathers) {
        std::memcpy(dense + to, strided + from, bytes);
      } else {
        std::memcpy(strided + from, dense + to, bytes);
      }
    } while (places.next(from, to));
  }

  template <class Copy>
  void move_planes(std::size_t first_axis, std::size_t across, Strided* strided, Dense* dense, Copy copy) const {
    const std::size_t last = axes_.rank - 1;
    const bool tiled = across != max_rank && distance(across) < distance(last);
    const std::uint64_t rows = across == max_rank ? 1 : axes_.extents[across];
    const std::int64_t strided_outer = across == max_rank ? 0 : axes_.strided[across];
    const std::int64_t dense_outer = across == max_rank ? 0 : axes_.dense[across];
    Odometer places(axes_, first_axis, last, across);
    std::int64_t from = 0;
    std::int64_t to = 0;
    do {
      const Plane<Strided> places_plane{strided + from, strided_outer, axes_.strided[last]};
      const Plane<Dense> dense_plane{dense + to, dense_outer, axes_.dense[last]};
      const auto move_plane = [&](auto source, auto target) {
        tiled ? copy_plane(source, target, rows, axes_.extents[last], copy)
              : copy_rows(source, target, rows, axes_.extents[last], copy);
      };
      if constexpr (gathers) {
        move_plane(places_plane, dense_plane);
      } else {
        move_plane(dense_plane, places_plane);
      }
    } while (places.next(from, to));
  }

  std::uint64_t distance(std::size_t axis) const noexcept {
    const std::int64_t stride = axes_.strided[axis];
    return stride < 0 ? -static_cast<std::uint64_t>(stride) : static_cast<std::uint64_t>(stride);
  }

  Axes axes_;
  std::size_t item_;
};

}  // namespace

Shape::Shape(std::span<const std::uint64_t> extents) {
  if (extents.size() > max_rank) {
    fail(Errc::limit_exceeded, "an array of " + std::to_string(extents.size()) + " dimensions; at most " +
                                   std::to_string(max_rank) + " are possible");
  }
  std::copy(extents.begin(), extents.end(), extents_);
  rank_ = static_cast<std::uint32_t>(extents.size());
}

void Shape::push_back(std::uint64_t extent) {
  if (rank_ == max_rank) {
    fail(Errc::limit_exceeded, "an array of more than " + std::to_string(max_rank) + " dimensions");
  }
  extents_[rank_++] = extent;
}

std::uint64_t Shape::count() const {
  if (std::find(begin(), end(), 0) != end()) {
    return 0;
  }
  std::uint64_t count = 1;
  for (const std::uint64_t extent : *this) {
    const auto product = checked_multiply(count, extent);
    if (!product || *product > largest_count) {
      fail(Errc::out_of_range, "an array of shape " + text() + " has too many elements");
    }
    count = *product;
  }
  return count;
}

std::string Shape::text() const {
  std::string text = "[";
  for (std::size_t i = 0; i < rank_; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(extents_[i]);
  }
  return text + "]";
}

bool operator==(const Shape& a, const Shape& b) noexcept { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

ArrayView::ArrayView(DType type, const void* first, const Shape& extents, Order order)
    : dtype(std::move(type)), shape(extents), data(static_cast<const std::byte*>(first)) {
  byte_count();  // throws if a stride would overflow
  std::uint64_t step = dtype.item_size();
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    const std::size_t axis = order == Order::row_major ? shape.rank() - 1 - i : i;
    strides[axis] = static_cast<std::int64_t>(step);
    step *= shape[axis];
  }
}

std::uint64_t ArrayView::byte_count() const {
  const auto bytes = checked_multiply(shape.count(), dtype.item_size());
  if (!bytes || *bytes > largest_count) {
    fail(Errc::out_of_range, "an array " + dtype.name() + shape.text() + " has too many bytes");
  }
  return *bytes;
}

bool ArrayView::is_dense(Order order) const noexcept {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) {
    return true;
  }
  std::uint64_t step = dtype.item_size();
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    const std::size_t axis = order == Order::row_major ? shape.rank() - 1 - i : i;
    if (shape[axis] != 1 && strides[axis] != static_cast<std::int64_t>(step)) {
      return false;
    }
    step *= shape[axis];
  }
  return true;
}

void gather(const ArrayView& from, Order order, std::uint64_t first, std::uint64_t count, std::byte* to) {
  assert(first <= from.shape.count() && count <= from.shape.count() - first);
  if (count > 0 && from.dtype.item_size() > 0) {
    Mover<true>(from, order).move(from.data, to, first, count);
  }
}

void scatter(const std::byte* from, Order order, std::uint64_t first, std::uint64_t count, const ArrayView& to,
             std::byte* data) {
  assert(first <= to.shape.count() && count <= to.shape.count() - first);
  if (count > 0 && to.dtype.item_size() > 0) {
    Mover<false>(to, order).move(data, from, first, count);
  }
}

}  // namespace stele
