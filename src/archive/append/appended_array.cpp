#include "stele/appended_array.hpp"

#include <algorithm>

#include "base/bytes.hpp"

namespace stele {

AppendedRows::AppendedRows(const Path& path, std::size_t rank, const LoadOptions& options)
    : reader_(path, options), rank_(rank), allocation_(options.limits.allocation) {
  refresh();
}

std::uint64_t AppendedRows::refresh() {
  reader_.seek(ends_.size());
  while (reader_.more()) {
    const Shape shape = reader_.skip_array();
    const std::string which = "entry " + std::to_string(ends_.size());
    if (shape.rank() != rank_) {
      fail(Errc::type_mismatch, which + " is an array " + shape.text() + ", not one of " + std::to_string(rank_) +
                                    (rank_ == 1 ? " dimension" : " dimensions"));
    }
    const Shape row(std::span(shape.begin(), shape.end()).subspan(1));
    if (!ends_.empty() && row != row_) {
      fail(Errc::type_mismatch, which + " has rows " + row.text() + ", those before have " + row_.text());
    }
    if (shape[0] > ~rows()) {
      fail(Errc::limit_exceeded, which + " has more rows than can be counted");
    }
    row_ = row;
    ends_.push_back(rows() + shape[0]);
  }
  return rows();
}

Shape AppendedRows::extents(std::uint64_t count) const {
  Shape shape{count};
  for (std::size_t axis = 1; axis < rank_; ++axis) {
    shape.push_back(ends_.empty() ? 0 : row_[axis - 1]);
  }
  return shape;
}

void AppendedRows::visit(std::uint64_t first, std::uint64_t count, std::uint64_t item_bytes, const Read& read) {
  if (first > rows() || count > rows() - first) {
    fail(Errc::out_of_range, std::to_string(count) + " rows from row " + std::to_string(first) + " on; there are " +
                                 std::to_string(rows()));
  }
  const std::uint64_t row_bytes = extents(1).count() * item_bytes;  // of an entry that was found, so it fits
  if (row_bytes != 0 && count > allocation_ / row_bytes) {
    fail(Errc::limit_exceeded, std::to_string(count) + " rows are beyond the allocation limit");
  }
  auto entry = static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), first) - ends_.begin());
  while (count > 0) {
    const std::uint64_t begin = entry == 0 ? 0 : ends_[entry - 1];
    const std::uint64_t take = std::min(count, ends_[entry] - first);
    if (take > 0) {
      reader_.seek(entry);
      read(reader_, first - begin, take);
    }
    first += take;
    count -= take;
    ++entry;
  }
}

}  // namespace stele
