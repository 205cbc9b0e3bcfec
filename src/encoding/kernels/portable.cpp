// The kernels in portable C++, and the choice of kernels for this processor.

#include <cstring>

#include "encoding/kernels/kernels.hpp"
#include "encoding/kernels/scalar.hpp"

namespace stele {
namespace {

template <std::size_t item_size>
void shuffle(const std::byte* from, std::size_t count, std::byte* to) {
  scalar::shuffle(from, item_size, count, 0, count, to);
}
template <std::size_t item_size>
void unshuffle(const std::byte* from, std::size_t count, std::byte* to) {
  scalar::unshuffle(from, item_size, count, 0, count, to);
}
void to_bit_rows(const std::byte* from, std::size_t groups, std::byte* rows, std::size_t stride) {
  scalar::to_bit_rows(from, 0, groups, rows, stride);
}
void from_bit_rows(const std::byte* rows, std::size_t stride, std::size_t groups, std::byte* to) {
  scalar::from_bit_rows(rows, stride, 0, groups, to);
}
template <class T>
void delta(const std::byte* from, std::size_t count, std::byte* to) {
  scalar::delta<T>(from, 0, count, to);
}
template <class T>
void undelta(const std::byte* from, std::size_t count, std::byte* to) {
  scalar::undelta<T>(from, 0, count, to);
}
template <class Wide, class Narrow>
void narrow(const std::byte* from, std::size_t count, std::uint64_t base, std::byte* to) {
  scalar::narrow<Wide, Narrow>(from, 0, count, static_cast<Wide>(base), to);
}
template <class Wide, class Narrow>
void widen(const std::byte* from, std::size_t count, std::uint64_t base, std::byte* to) {
  scalar::widen<Wide, Narrow>(from, 0, count, static_cast<Wide>(base), to);
}
template <class T>
std::uint32_t largest(const std::byte* from, std::size_t count) {
  return scalar::largest<T>(from, 0, count, 0);
}

using U8 = std::uint8_t;
using U16 = std::uint16_t;
using U32 = std::uint32_t;
using U64 = std::uint64_t;

constexpr EncodingKernels portable = {
    .name = "portable",
    .shuffle = {shuffle<1>, shuffle<2>, shuffle<4>, shuffle<8>},
    .unshuffle = {unshuffle<1>, unshuffle<2>, unshuffle<4>, unshuffle<8>},
    .to_bit_rows = to_bit_rows,
    .from_bit_rows = from_bit_rows,
    .delta = {delta<U8>, delta<U16>, delta<U32>, delta<U64>},
    .undelta = {undelta<U8>, undelta<U16>, undelta<U32>, undelta<U64>},
    .narrow = {{},
               {narrow<U16, U8>},
               {narrow<U32, U8>, narrow<U32, U16>},
               {narrow<U64, U8>, narrow<U64, U16>, narrow<U64, U32>}},
    .widen = {{},
              {widen<U16, U8>},
              {widen<U32, U8>, widen<U32, U16>},
              {widen<U64, U8>, widen<U64, U16>, widen<U64, U32>}},
    .largest = {largest<U8>, largest<U16>},
};

}  // namespace

const EncodingKernels& portable_kernels() noexcept { return portable; }

const EncodingKernels& encoding_kernels() noexcept {
  static const EncodingKernels& fastest = []() -> const EncodingKernels& {
    for (const EncodingKernels* kernels : {avx2_kernels(), sse2_kernels()}) {
      if (kernels != nullptr) {
        return *kernels;
      }
    }
    return portable;
  }();
  return fastest;
}

void shuffle_items(const std::byte* from, std::size_t item_size, std::size_t count, std::byte* to) noexcept {
  scalar::shuffle(from, item_size, count, 0, count, to);
}
void unshuffle_items(const std::byte* from, std::size_t item_size, std::size_t count, std::byte* to) noexcept {
  scalar::unshuffle(from, item_size, count, 0, count, to);
}

}  // namespace stele
