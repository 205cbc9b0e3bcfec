#pragma once
// One array that grows for days: its rows are appended to a file batch by batch, each batch an entry (appender.hpp),
// and are read as one array.

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "stele/appender.hpp"

namespace stele {

/// Which rows lie in which entry. The part of AppendedArray that does not depend on the type of its elements.
class AppendedRows {
 public:
  AppendedRows(const Path& path, std::size_t rank, const LoadOptions& options);

  std::uint64_t rows() const noexcept { return ends_.empty() ? 0 : ends_.back(); }
  std::uint64_t refresh();
  /// The extents of `count` rows.
  Shape extents(std::uint64_t count) const;
  /// Calls `read(reader, skip, take)` for each entry that has some of the rows; the reader stands before it, and `take`
  /// of its rows are wanted, from row `skip` of it on.
  using Read = std::function<void(EntryReader& reader, std::uint64_t skip, std::uint64_t take)>;
  void visit(std::uint64_t first, std::uint64_t count, std::uint64_t item_bytes, const Read& read);

 private:
  EntryReader reader_;
  std::size_t rank_;
  std::uint64_t allocation_;
  Shape row_;
  std::vector<std::uint64_t> ends_;  // of each entry: the row after its last
};

/// The entries of a file, all of them arrays whose extents but for the first agree, as one array. Opening passes over
/// all entries: in a plain file without reading elements, in a compressed one it decompresses them. Keeps 8 bytes for
/// each entry. Not thread-safe.
template <class T, std::size_t Rank>
class AppendedArray {
  static_assert(Rank >= 1, "stele: an array that grows has rows: Rank is 1 or more");

 public:
  /// Throws: Error(type_mismatch) for an entry that is no array of that rank or has other extents, and what EntryReader
  /// throws.
  explicit AppendedArray(const Path& path, const LoadOptions& options = {}) : rows_(path, Rank, options) {}

  /// The rows that were committed when this was opened, or at the last refresh().
  std::uint64_t rows() const noexcept { return rows_.rows(); }
  std::array<std::uint64_t, Rank> shape() const { return shape_of(rows()); }
  /// Looks for rows that were committed since; returns how many there are then. Throws: as the constructor.
  std::uint64_t refresh() { return rows_.refresh(); }

  /// `count` rows from row `first` on, in row-major order. Reads the entries that hold them.
  /// Throws: Error(out_of_range), Error(type_mismatch) for elements of another type, Error(limit_exceeded), and what
  /// load() throws.
  Array<T, Rank> rows(std::uint64_t first, std::uint64_t count) {
    Array<T, Rank> all;
    std::uint64_t done = 0;
    rows_.visit(first, count, sizeof(T), [&](EntryReader& reader, std::uint64_t skip, std::uint64_t take) {
      const auto batch = reader.read<Array<T, Rank>>();
      if (done == 0) {
        all = Array<T, Rank>(shape_of(count));
      }
      const Array<T, Rank> part = batch.slice(skip, skip + take);
      if (part.shape() != shape_of(take)) {
        fail(Errc::damaged, "an entry has other rows than before");
      }
      gather(part.view_as(DType::fixed_bytes(sizeof(T))), Order::row_major, 0, part.size(),
             reinterpret_cast<std::byte*>(all.mutable_data() + done * per_row()));
      done += take;
    });
    return done == 0 ? Array<T, Rank>(shape_of(count)) : all;
  }
  /// All rows.
  Array<T, Rank> load() { return rows(0, rows()); }

 private:
  std::array<std::uint64_t, Rank> shape_of(std::uint64_t count) const {
    const Shape shape = rows_.extents(count);
    std::array<std::uint64_t, Rank> extents{};
    std::copy_n(shape.begin(), Rank, extents.begin());
    return extents;
  }
  std::uint64_t per_row() const { return rows_.extents(1).count(); }
  AppendedRows rows_;
};

}  // namespace stele
