#include "interop/array.hpp"

#include <algorithm>
#include <optional>

#include "archive/convert.hpp"
#include "archive/read/parts/pieces.hpp"
#include "archive/value/any_array.hpp"
#include "array/huge_pages.hpp"
#include "base/bytes.hpp"
#include "base/threads/crew.hpp"
#include "base/threads/threads.hpp"
#include "io/read.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

AnyArray checked(const ArrayHeader& header, AnyArray array) {
  if (has_booleans(header.dtype) && !booleans_are_valid(header.dtype, array.view().data, header.shape.count())) {
    fail(Errc::malformed, "an array of bools with a byte that is neither 0 nor 1");
  }
  return array;
}

}  // namespace

std::uint64_t array_bytes(const ArrayHeader& header) {
  // Extents beside a zero count too, as strides are made of them.
  std::optional<std::uint64_t> bytes = std::max<std::uint64_t>(1, header.dtype.item_size());
  for (const std::uint64_t extent : header.shape) {
    bytes = bytes ? checked_multiply(*bytes, std::max<std::uint64_t>(1, extent)) : bytes;
  }
  if (!bytes || *bytes > static_cast<std::uint64_t>(INT64_MAX)) {
    fail(Errc::limit_exceeded, "an array of the shape " + header.shape.text() + " cannot be held in memory");
  }
  return header.shape.count() * header.dtype.item_size();
}

AnyArray read_elements(Source& source, const ArrayHeader& header) {
  const std::uint64_t total = array_bytes(header);
  AnyTarget target;
  std::uint64_t have = 0;
  do {
    const std::uint64_t end = std::min(total, std::max(ArrayTarget::claimed_bytes, 2 * have));
    std::byte* const to = target.memory(header, end, total, false);
    read_exactly(source, {to + have, static_cast<std::size_t>(end - have)});
    have = end;
  } while (have < total);
  return checked(header, {target.view(), target.buffer()});
}

AnyArray read_elements_at(Source& source, std::uint64_t offset, const ArrayHeader& header, unsigned threads,
                          const std::function<void(Bytes)>& arrived) {
  const std::uint64_t total = array_bytes(header);
  const std::uint64_t there = source.random_access() ? source.size().value_or(0) : 0;
  threads = thread_count(threads);
  if (total < parallel_array_bytes || threads < 2 || !source.memory().empty() || offset > there ||
      total > there - offset) {
    AnyArray array = read_elements(source, header);
    if (arrived) {
      arrived({array.view().data, static_cast<std::size_t>(total)});
    }
    return array;
  }
  AnyTarget target;
  std::byte* const to = target.memory(header, total, total, true);
  // Cut at the huge pages of the destination, so that no two threads wait for the same one to be cleared.
  const std::size_t before = reinterpret_cast<std::uintptr_t>(to) % huge_page_size;
  Crew crew(threads);
  std::function<void(std::uint64_t, std::uint64_t)> in_order;
  if (arrived) {
    in_order = [&](std::uint64_t begin, std::uint64_t end) {
      arrived({to + begin, static_cast<std::size_t>(end - begin)});
    };
  }
  read_pieces(crew, {.size = total,
                     .end_of = [&](std::uint64_t begin) -> std::uint64_t {
                       const std::uint64_t cut = source.next_cut(offset + begin) - offset;
                       const std::uint64_t page = begin + huge_page_size - (before + begin) % huge_page_size;
                       return std::max(cut, page);
                     },
                     .read =
                         [&](std::uint64_t begin, std::uint64_t end) {
                           source.read_at(offset + begin, {to + begin, static_cast<std::size_t>(end - begin)});
                         },
                     .arrived = in_order});
  source.seek(offset + total);
  return checked(header, {target.view(), target.buffer()});
}

AnyArray dense(const AnyArray& array) {
  const ArrayView& view = array.view();
  return view.is_dense(Order::row_major) || view.is_dense(Order::column_major) ? array : AnyArray::copy_of(view);
}

Order order_of(const ArrayView& view) noexcept {
  return view.is_dense(Order::row_major) ? Order::row_major : Order::column_major;
}

}  // namespace stele
