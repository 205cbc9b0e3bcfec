#pragma once
// The inner loops of the encodings: in portable C++, and for each instruction set that makes them faster. All give the
// same bytes. Pointers need no alignment.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace stele {

/// One function per item size: 1, 2, 4 and 8 bytes; see width_index().
template <class Function>
using ByWidth = Function* [4];

/// The index of an item size in a ByWidth: 0 for 1, 1 for 2, 2 for 4, 3 for 8.
constexpr std::size_t width_index(std::size_t item_size) noexcept { return item_size == 8 ? 3 : item_size / 2; }

struct EncodingKernels {
  using Convert = void(const std::byte* from, std::size_t count, std::byte* to);
  using Rebase = void(const std::byte* from, std::size_t count, std::uint64_t base, std::byte* to);
  using Largest = std::uint32_t(const std::byte* from, std::size_t count);
  using ToRows = void(const std::byte* from, std::size_t groups, std::byte* rows, std::size_t stride);
  using FromRows = void(const std::byte* rows, std::size_t stride, std::size_t groups, std::byte* to);

  std::string_view name;

  /// Moves byte j of element i to byte j * count + i, and back.
  ByWidth<Convert> shuffle;
  ByWidth<Convert> unshuffle;

  /// In each group of 8 bytes, bit b of byte k becomes bit k of one byte in row b; rows begin `stride` bytes apart. And
  /// back. `from` and `to` have 8 * groups bytes.
  ToRows* to_bit_rows;
  FromRows* from_bit_rows;

  /// Zigzag of the difference to the previous element, and back. undelta may work in place.
  ByWidth<Convert> delta;
  ByWidth<Convert> undelta;

  /// Subtracts `base` from elements of the first width and keeps the bytes of the second width, and back: narrow[3][0]
  /// turns 8 bytes into 1. Only if the second width is smaller.
  ByWidth<Rebase> narrow[4];
  ByWidth<Rebase> widen[4];

  /// The largest unsigned integer of 1 or 2 bytes; 0 without elements.
  Largest* largest[2];
};

/// In portable C++.
const EncodingKernels& portable_kernels() noexcept;
/// For SSE2 and AVX2; null if the build or the processor lacks them.
const EncodingKernels* sse2_kernels() noexcept;
const EncodingKernels* avx2_kernels() noexcept;
/// The fastest available.
const EncodingKernels& encoding_kernels() noexcept;

/// shuffle and unshuffle for any item size.
void shuffle_items(const std::byte* from, std::size_t item_size, std::size_t count, std::byte* to) noexcept;
void unshuffle_items(const std::byte* from, std::size_t item_size, std::size_t count, std::byte* to) noexcept;

}  // namespace stele
