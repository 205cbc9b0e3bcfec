// Encodes and decodes blocks: runs the stages one after another.

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "encoding/encoding.hpp"
#include "encoding/kernels/kernels.hpp"
#include "encoding/palette.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

using First = Encoding::First;
using Last = Encoding::Last;

/// Stages alternate between buffers 0 and 1; the last buffer holds the planes of bitshuffle.
constexpr std::size_t planes_buffer = 2;

bool has_kernels(std::uint32_t item_size) noexcept { return item_size <= 8 && std::has_single_bit(item_size); }

void shuffle(std::uint32_t item_size, const std::byte* from, std::size_t count, std::byte* to) {
  if (has_kernels(item_size)) {
    encoding_kernels().shuffle[width_index(item_size)](from, count, to);
  } else {
    shuffle_items(from, item_size, count, to);
  }
}
void unshuffle(std::uint32_t item_size, const std::byte* from, std::size_t count, std::byte* to) {
  if (has_kernels(item_size)) {
    encoding_kernels().unshuffle[width_index(item_size)](from, count, to);
  } else {
    unshuffle_items(from, item_size, count, to);
  }
}

/// Elements whose planes are made at once, so that they stay in the L1 cache.
std::size_t plane_items(std::uint32_t item_size) noexcept { return item_size <= 8 ? 1024 : 256; }

void bitshuffle(std::uint32_t item_size, const std::byte* from, std::size_t count, std::byte* to,
                EncodingScratch& scratch) {
  const EncodingKernels& kernels = encoding_kernels();
  const std::size_t whole = count - count % 8;  // the rest is stored unchanged
  const std::size_t stride = whole / 8;
  if (item_size == 1) {
    kernels.to_bit_rows(from, stride, to, stride);
  } else {
    const std::size_t most = plane_items(item_size);
    std::byte* planes = scratch.buffer(planes_buffer, most * item_size);
    for (std::size_t first = 0; first < whole; first += most) {
      const std::size_t items = std::min(most, whole - first);
      shuffle(item_size, from + first * item_size, items, planes);
      for (std::size_t j = 0; j < item_size; ++j) {
        kernels.to_bit_rows(planes + j * items, items / 8, to + j * whole + first / 8, stride);
      }
    }
  }
  std::copy_n(from + whole * item_size, (count - whole) * item_size, to + whole * item_size);
}
void unbitshuffle(std::uint32_t item_size, const std::byte* from, std::size_t count, std::byte* to,
                  EncodingScratch& scratch) {
  const EncodingKernels& kernels = encoding_kernels();
  const std::size_t whole = count - count % 8;
  const std::size_t stride = whole / 8;
  if (item_size == 1) {
    kernels.from_bit_rows(from, stride, stride, to);
  } else {
    const std::size_t most = plane_items(item_size);
    std::byte* planes = scratch.buffer(planes_buffer, most * item_size);
    for (std::size_t first = 0; first < whole; first += most) {
      const std::size_t items = std::min(most, whole - first);
      for (std::size_t j = 0; j < item_size; ++j) {
        kernels.from_bit_rows(from + j * whole + first / 8, stride, items / 8, planes + j * items);
      }
      unshuffle(item_size, planes, items, to + first * item_size);
    }
  }
  std::copy_n(from + whole * item_size, (count - whole) * item_size, to + whole * item_size);
}

}  // namespace

std::byte* EncodingScratch::buffer(std::size_t index, std::size_t size) {
  std::vector<std::byte>& bytes = buffers_[index];
  if (bytes.size() < size) {
    bytes.resize(size);
  }
  return bytes.data();
}

void encode_block(const Encoding& encoding, const std::byte* elements, std::uint64_t count, std::byte* stored,
                  EncodingScratch& scratch) {
  assert(count <= encoding.block_items && encoding.first != First::bits);  // bools are packed before this
  if (count == 0) {
    return;
  }
  const auto n = static_cast<std::size_t>(count);
  const std::uint32_t size = encoding.stored_item_size;
  const EncodingKernels& kernels = encoding_kernels();
  const std::byte* from = elements;
  if (encoding.first != First::none) {
    std::byte* to = encoding.delta || encoding.last != Last::none ? scratch.buffer(0, n * size) : stored;
    if (encoding.first == First::narrow) {
      kernels.narrow[width_index(encoding.item_size)][width_index(size)](from, n, encoding.base, to);
    } else {
      encoding.palette->encode(from, n, to);
    }
    from = to;
  }
  if (encoding.delta) {
    std::byte* to = encoding.last != Last::none ? scratch.buffer(1, n * size) : stored;
    kernels.delta[width_index(size)](from, n, to);
    from = to;
  }
  if (encoding.last == Last::shuffle) {
    shuffle(size, from, n, stored);
  } else if (encoding.last == Last::bitshuffle) {
    bitshuffle(size, from, n, stored, scratch);
  } else if (from == elements) {
    std::memcpy(stored, elements, n * size);
  }
}

void decode_block(const Encoding& encoding, const std::byte* stored, std::uint64_t count, std::byte* elements,
                  EncodingScratch& scratch) {
  assert(count <= encoding.block_items);
  if (count == 0) {
    return;
  }
  if (encoding.first == First::bits) {
    if (count % 8 != 0 && (stored[count / 8] >> (count % 8)) != std::byte{0}) {
      fail(Errc::damaged, "a bit is set after the last bool");
    }
    return unpack_bits(stored, count, elements);
  }
  const auto n = static_cast<std::size_t>(count);
  const std::uint32_t size = encoding.stored_item_size;
  const EncodingKernels& kernels = encoding_kernels();
  // The output of these stages goes directly to the destination, unless a later stage enlarges the elements.
  std::byte* const smaller = encoding.first == First::none ? elements : nullptr;
  const std::byte* from = stored;
  if (encoding.last != Last::none) {
    std::byte* to = smaller != nullptr ? smaller : scratch.buffer(0, n * size);
    if (encoding.last == Last::shuffle) {
      unshuffle(size, from, n, to);
    } else {
      unbitshuffle(size, from, n, to, scratch);
    }
    from = to;
  }
  if (encoding.delta) {
    std::byte* to = smaller != nullptr ? smaller : scratch.buffer(0, n * size);
    kernels.undelta[width_index(size)](from, n, to);
    from = to;
  }
  if (encoding.first == First::narrow) {
    kernels.widen[width_index(encoding.item_size)][width_index(size)](from, n, encoding.base, elements);
  } else if (encoding.first == First::palette) {
    encoding.palette->decode(from, n, elements);
  } else if (from == stored) {
    std::memcpy(elements, stored, n * size);
  }
}

StoredPart stored_part(const Encoding& encoding, std::uint64_t block_count, std::uint64_t first,
                       std::uint64_t count) noexcept {
  const bool bits = encoding.first == First::bits;
  const std::uint64_t size = encoding.stored_item_size;
  std::uint64_t begin = encoding.delta ? 0 : first;
  std::uint64_t end = first + count;
  if (bits || encoding.last == Last::bitshuffle) {  // eight elements share a byte
    begin -= begin % 8;
    end = std::min(end + (8 - end % 8) % 8, block_count);
  }
  if (encoding.last == Last::bitshuffle && block_count % 8 != 0) {  // the last elements are stored differently
    begin = 0;
    end = block_count;
  }
  const std::uint64_t n = end - begin;
  StoredPart part{.first = begin, .count = n};
  if (n == block_count) {
    part.size = encoding.stored_size(n);
  } else if (bits) {
    part.offset = begin / 8;
    part.size = encoding.stored_size(n);
  } else if (encoding.last == Last::none) {
    part.offset = begin * size;
    part.size = n * size;
  } else {
    const std::uint64_t shared = encoding.last == Last::shuffle ? 1 : 8;  // elements of a stored byte
    part.offset = begin / shared;
    part.stretches = size * shared;
    part.size = n / shared;
    part.distance = block_count / shared;
  }
  return part;
}

}  // namespace stele
