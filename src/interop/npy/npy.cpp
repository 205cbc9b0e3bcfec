#include "interop/npy/npy.hpp"

#include <algorithm>

#include "archive/convert.hpp"
#include "archive/read/rereader.hpp"
#include "archive/value/later.hpp"
#include "base/bytes.hpp"
#include "interop/array.hpp"
#include "io/read.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::uint64_t longest_header = std::uint64_t{1} << 20;

[[noreturn]] void goes_on() { fail(Errc::malformed, "it goes on after the array's elements"); }

/// Nothing more may come. Also reads the end, where a checksum may be compared.
void expect_end(Source& file) {
  std::byte rest{};
  if (read_up_to(file, {&rest, 1}) != 0) {
    goes_on();
  }
}

/// The array whose elements lie at `begin` + header.offset of a mapping, up to `end`.
AnyArray array_in_mapping(const Neighbour& file, std::uint64_t begin, std::uint64_t end, const NpyHeader& header) {
  const std::uint64_t bytes = array_bytes(header.array);
  const std::uint64_t offset = begin + header.offset;
  if (bytes > end - offset) {
    fail(Errc::truncated, "it ends " + std::to_string(bytes - (end - offset)) + " bytes early");
  }
  if (bytes < end - offset) {
    goes_on();
  }
  if (header.swaps.empty()) {
    return array_at(file, offset, header.array);
  }
  check_copy(file, bytes, "its numbers are big-endian");
  const Bytes elements =
      file.mapping->bytes().subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(bytes));
  AnyArray array = read_elements(*memory_source(elements), header.array);
  swap_npy(header, array.buffer()->mutable_data());
  return array;
}

}  // namespace

bool may_come_later(const NpyHeader& header) {
  constexpr std::uint64_t least = std::uint64_t{1} << 20;
  return !header.has_objects && header.swaps.empty() && !has_booleans(header.array.dtype) &&
         array_bytes(header.array) >= least;
}

void swap_npy(const NpyHeader& header, std::byte* elements) {
  const DType& dtype = header.array.dtype;
  const std::uint64_t count = header.array.shape.count();
  for (const NpySwap& swap : header.swaps) {
    if (!dtype.is_record()) {
      swap_elements(swap.dtype, elements, count);
      continue;
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      swap_elements(swap.dtype, elements + i * dtype.item_size() + swap.offset, swap.count);
    }
  }
}

NpyHeader read_npy_header(Source& file) {
  std::byte start[npy_long_start];
  const std::size_t got = read_up_to(file, std::span(start).first(npy_short_start));
  if (got < npy_short_start) {
    fail(Errc::truncated, "a .npy file of " + std::to_string(got) + " bytes");
  }
  if (std::string_view(reinterpret_cast<const char*>(start), npy_magic.size()) != npy_magic) {
    fail(Errc::malformed, "no .npy file: it does not begin as one");
  }
  const auto version = std::to_integer<unsigned>(start[npy_magic.size()]);
  const auto minor = std::to_integer<unsigned>(start[npy_magic.size() + 1]);
  if (version < 1 || version > 3 || minor != 0) {
    fail(Errc::unsupported, "a .npy file of version " + std::to_string(version) + "." + std::to_string(minor));
  }
  const std::size_t begin = version == 1 ? npy_short_start : npy_long_start;
  read_exactly(file, std::span(start).subspan(npy_short_start, begin - npy_short_start));
  const std::uint64_t bytes = load_le(start + npy_size_at, begin - npy_size_at);
  if (bytes > longest_header) {
    fail(Errc::limit_exceeded, "a .npy header of " + std::to_string(bytes) + " bytes");
  }
  std::string text(static_cast<std::size_t>(bytes), '\0');
  read_exactly(file, std::as_writable_bytes(std::span(text)));
  NpyHeader header = parse_npy_header(text, version);
  header.offset = begin + bytes;
  return header;
}

AnyArray read_npy(Source& file) {
  const NpyHeader header = read_npy_header(file);
  if (header.has_objects) {
    fail(Errc::unsupported, "an array of Python objects");
  }
  AnyArray array = read_elements(file, header.array);
  expect_end(file);
  swap_npy(header, array.buffer()->mutable_data());
  return array;
}

Value read_npy(const Neighbour& file) {
  if (file.mapping != nullptr) {
    return read_npy(file, 0, file.mapping->bytes().size());
  }
  const NpyHeader header = read_npy_header(file.source);
  if (header.has_objects) {
    Value value = read_npy_objects(file.source, header, file.options);
    expect_end(file.source);
    return value;
  }
  if (file.again != nullptr && may_come_later(header)) {
    return file.again->array(header.offset, header.array, true);
  }
  AnyArray array = array_at(file, header.offset, header.array);
  expect_end(file.source);
  swap_npy(header, array.buffer()->mutable_data());
  return array;
}

Value read_npy(const Neighbour& file, std::uint64_t begin, std::uint64_t size) {
  const Bytes whole = file.mapping->bytes().subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(size));
  const std::unique_ptr<Source> source = memory_source(whole);
  const NpyHeader header = read_npy_header(*source);
  return header.has_objects ? read_npy_objects(*source, header, file.options)
                            : Value(array_in_mapping(file, begin, begin + size, header));
}

std::optional<NpyFile> npy_file(const AnyArray& array) {
  AnyArray lying = dense(array);
  std::optional<std::string> header = npy_header({array.dtype(), array.shape(), order_of(lying.view())});
  return header ? std::optional(NpyFile{std::move(*header), std::move(lying)}) : std::nullopt;
}

void write_npy(Sink& to, const AnyArray& array) {
  const std::optional<NpyFile> file = npy_file(array);
  if (!file) {
    fail(Errc::unsupported, "elements that NumPy lacks: " + array.dtype().name());
  }
  for (const Bytes part : file->parts()) {
    to.write(part);
  }
}

void write_npy(Sink& to, LaterArray& array) {
  const std::optional<std::string> header = npy_header(array.header());
  if (!header) {
    fail(Errc::unsupported, "elements that NumPy lacks: " + array.header().dtype.name());
  }
  to.write(std::as_bytes(std::span(*header)));
  array.pass([&](Bytes piece) { to.write(piece); });
}

}  // namespace stele
