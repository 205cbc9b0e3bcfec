#include "interop/neighbour.hpp"

#include <cstdint>
#include <memory>
#include <string>

#include "archive/convert.hpp"
#include "archive/read/decoder/fields.hpp"
#include "interop/array.hpp"
#include "stele/error.hpp"

namespace stele {

void check_copy(const Neighbour& file, std::uint64_t bytes, const std::string& why) {
  if (file.mapping == nullptr) {
    return;
  }
  constexpr std::uint64_t least = 4096;  // LoadOptions::map_all
  if (file.mapping->mode() == MapMode::read_write && bytes > 0) {
    fail(Errc::not_mappable, "the array cannot be mapped: " + why + "; changes could not be written to the file");
  }
  if (file.options.map_all && bytes >= least) {
    fail(Errc::not_mappable, "the array cannot be mapped: " + why);
  }
}

AnyArray array_at(const Neighbour& file, std::uint64_t offset, const ArrayHeader& header) {
  const std::uint64_t size = array_bytes(header);
  if (file.mapping == nullptr) {
    if (size > file.options.limits.allocation) {
      fail(Errc::limit_exceeded, "an array of " + std::to_string(size) + " bytes, more than the limit");
    }
    return read_elements_at(file.source, offset, header, file.options.threads);
  }
  const Bytes whole = file.mapping->bytes();
  if (offset > whole.size() || size > whole.size() - offset) {
    fail(Errc::truncated, "the file ends within an array of " + std::to_string(size) + " bytes");
  }
  const Bytes elements = whole.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
  if (reinterpret_cast<std::uintptr_t>(elements.data()) % alignment_to_map(header.dtype) != 0) {
    check_copy(file, size, "it is not aligned in the file");
    return read_elements(*memory_source(elements), header);
  }
  if (has_booleans(header.dtype) && !booleans_are_valid(header.dtype, elements.data(), header.shape.count())) {
    fail(Errc::malformed, "an array of bools with a byte that is neither 0 nor 1");
  }
  // The cast is safe: only memory that Buffer marks as writable is written.
  auto* const first = const_cast<std::byte*>(elements.data());
  const bool writable = file.mapping->mode() != MapMode::read_only;
  const std::shared_ptr<Buffer> buffer = Buffer::wrap(first, elements.size(), writable, file.mapping);
  ArrayView view(header.dtype, first, header.shape, header.order);
  view.buffer = buffer.get();
  return {view, buffer};
}

}  // namespace stele
