// The kernels for the vectors of one instruction set. A file defines a `Vector` and then includes this header, compiled
// for its instructions. Hence the unnamed namespace, and no #pragma once.
//
// A Vector has lanes of 16 bytes, and its operations work within lanes. Loads and stores place lanes a distance apart,
// so that each lane works on its own part of the array and no data has to cross lanes. Arithmetic is that of the
// compilers' vector types.

namespace stele {
namespace {

using Bits = Vector::Bits;

/// Items per step: each lane makes 16 bytes of each plane.
constexpr std::size_t step = 16 * Vector::lanes;

// ---- integers of w bytes ----

template <std::size_t w>
struct IntegersOf {
  using Integer = std::conditional_t<
      w == 1, std::uint8_t,
      std::conditional_t<w == 2, std::uint16_t, std::conditional_t<w == 4, std::uint32_t, std::uint64_t>>>;
  using Signed = std::make_signed_t<Integer>;
  typedef Integer Integers __attribute__((vector_size(sizeof(Bits))));
  typedef Signed SignedIntegers __attribute__((vector_size(sizeof(Bits))));
};
template <std::size_t w>
using Integers = typename IntegersOf<w>::Integers;

/// An integer in all places.
template <std::size_t w>
[[gnu::always_inline]] inline Bits fill(std::uint64_t value) {
  return reinterpret_cast<Bits>(Integers<w>{} + static_cast<typename IntegersOf<w>::Integer>(value));
}
template <std::size_t w>
[[gnu::always_inline]] inline Bits add(Bits a, Bits b) {
  return reinterpret_cast<Bits>(reinterpret_cast<Integers<w>>(a) + reinterpret_cast<Integers<w>>(b));
}
template <std::size_t w>
[[gnu::always_inline]] inline Bits sub(Bits a, Bits b) {
  return reinterpret_cast<Bits>(reinterpret_cast<Integers<w>>(a) - reinterpret_cast<Integers<w>>(b));
}
template <std::size_t w>
[[gnu::always_inline]] inline Bits shift_left(Bits x, int count) {
  return reinterpret_cast<Bits>(reinterpret_cast<Integers<w>>(x) << count);
}
template <std::size_t w>
[[gnu::always_inline]] inline Bits shift_right(Bits x, int count) {
  return reinterpret_cast<Bits>(reinterpret_cast<Integers<w>>(x) >> count);
}
/// All bits set if the integer is negative.
template <std::size_t w>
[[gnu::always_inline]] inline Bits signs(Bits x) {
  if constexpr (w == 8) {  // SSE2 cannot compare these
    return sub<w>(fill<w>(0), shift_right<w>(x, 63));
  } else {
    return reinterpret_cast<Bits>(reinterpret_cast<typename IntegersOf<w>::SignedIntegers>(x) < 0);
  }
}

// ---- shuffle ----

/// Splits 16 items per lane, in w vectors, into w planes.
template <std::size_t w>
[[gnu::always_inline]] inline void split_planes(const Bits* items, Bits* planes) {
  if constexpr (w == 2) {
    planes[0] = Vector::even_bytes(items[0], items[1]);
    planes[1] = Vector::odd_bytes(items[0], items[1]);
  } else {
    Bits even[w / 2];
    Bits odd[w / 2];
#pragma GCC unroll 8
    for (std::size_t i = 0; i < w / 2; ++i) {
      even[i] = Vector::even_bytes(items[2 * i], items[2 * i + 1]);
      odd[i] = Vector::odd_bytes(items[2 * i], items[2 * i + 1]);
    }
    Bits even_planes[w / 2];
    Bits odd_planes[w / 2];
    split_planes<w / 2>(even, even_planes);
    split_planes<w / 2>(odd, odd_planes);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < w / 2; ++i) {
      planes[2 * i] = even_planes[i];
      planes[2 * i + 1] = odd_planes[i];
    }
  }
}
template <std::size_t w>
[[gnu::always_inline]] inline void join_planes(const Bits* planes, Bits* items) {
  if constexpr (w == 2) {
    items[0] = Vector::interleave_low<1>(planes[0], planes[1]);
    items[1] = Vector::interleave_high<1>(planes[0], planes[1]);
  } else {
    Bits even_planes[w / 2];
    Bits odd_planes[w / 2];
#pragma GCC unroll 8
    for (std::size_t i = 0; i < w / 2; ++i) {
      even_planes[i] = planes[2 * i];
      odd_planes[i] = planes[2 * i + 1];
    }
    Bits even[w / 2];
    Bits odd[w / 2];
    join_planes<w / 2>(even_planes, even);
    join_planes<w / 2>(odd_planes, odd);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < w / 2; ++i) {
      items[2 * i] = Vector::interleave_low<1>(even[i], odd[i]);
      items[2 * i + 1] = Vector::interleave_high<1>(even[i], odd[i]);
    }
  }
}

template <std::size_t w>
void shuffle(const std::byte* from, std::size_t count, std::byte* to) {
  std::size_t i = 0;
  if constexpr (w == 1) {
    std::memcpy(to, from, count);
    i = count;
  } else {
    for (; i + step <= count; i += step) {
      Bits items[w];
      Bits planes[w];
#pragma GCC unroll 8
      for (std::size_t k = 0; k < w; ++k) {
        items[k] = Vector::load_lanes(from + i * w + 16 * k, 16 * w);
      }
      split_planes<w>(items, planes);
#pragma GCC unroll 8
      for (std::size_t j = 0; j < w; ++j) {
        Vector::store(to + j * count + i, planes[j]);
      }
    }
  }
  scalar::shuffle(from, w, count, i, count, to);
}

template <std::size_t w>
void unshuffle(const std::byte* from, std::size_t count, std::byte* to) {
  std::size_t i = 0;
  if constexpr (w == 1) {
    std::memcpy(to, from, count);
    i = count;
  } else {
    for (; i + step <= count; i += step) {
      Bits items[w];
      Bits planes[w];
#pragma GCC unroll 8
      for (std::size_t j = 0; j < w; ++j) {
        planes[j] = Vector::load(from + j * count + i);
      }
      join_planes<w>(planes, items);
#pragma GCC unroll 8
      for (std::size_t k = 0; k < w; ++k) {
        Vector::store_lanes(to + i * w + 16 * k, 16 * w, items[k]);
      }
    }
  }
  scalar::unshuffle(from, w, count, i, count, to);
}

// ---- bits ----

/// Exchanges the bits of `a` under mask << shift with the bits of `b` under mask.
template <int shift>
[[gnu::always_inline]] inline void exchange_bits(Bits& a, Bits& b, std::uint8_t mask) {
  const Bits t = (shift_right<2>(a, shift) ^ b) & fill<1>(mask);
  b ^= t;
  a ^= shift_left<2>(t, shift);
}
/// Bit b of every byte of x[k] becomes bit k of that byte in x[b].
[[gnu::always_inline]] inline void transpose_bits(Bits* x) {
#pragma GCC unroll 8
  for (std::size_t k = 0; k < 4; ++k) {
    exchange_bits<4>(x[k], x[k + 4], 0x0f);
  }
#pragma GCC unroll 8
  for (std::size_t k = 0; k < 8; k += 4) {
    exchange_bits<2>(x[k], x[k + 2], 0x33);
    exchange_bits<2>(x[k + 1], x[k + 3], 0x33);
  }
#pragma GCC unroll 8
  for (std::size_t k = 0; k < 8; k += 2) {
    exchange_bits<1>(x[k], x[k + 1], 0x55);
  }
}

void to_bit_rows(const std::byte* from, std::size_t groups, std::byte* rows, std::size_t stride) {
  std::size_t i = 0;
  for (; i + step <= groups; i += step) {
    Bits bytes[8];
    Bits row[8];
#pragma GCC unroll 8
    for (std::size_t k = 0; k < 8; ++k) {
      bytes[k] = Vector::load_lanes(from + 8 * i + 16 * k, 128);
    }
    split_planes<8>(bytes, row);
    transpose_bits(row);
#pragma GCC unroll 8
    for (std::size_t b = 0; b < 8; ++b) {
      Vector::store(rows + b * stride + i, row[b]);
    }
  }
  scalar::to_bit_rows(from, i, groups, rows, stride);
}

void from_bit_rows(const std::byte* rows, std::size_t stride, std::size_t groups, std::byte* to) {
  std::size_t i = 0;
  for (; i + step <= groups; i += step) {
    Bits bytes[8];
    Bits row[8];
#pragma GCC unroll 8
    for (std::size_t b = 0; b < 8; ++b) {
      row[b] = Vector::load(rows + b * stride + i);
    }
    transpose_bits(row);
    join_planes<8>(row, bytes);
#pragma GCC unroll 8
    for (std::size_t k = 0; k < 8; ++k) {
      Vector::store_lanes(to + 8 * i + 16 * k, 128, bytes[k]);
    }
  }
  scalar::from_bit_rows(rows, stride, i, groups, to);
}

// ---- delta ----

template <class T>
void delta(const std::byte* from, std::size_t count, std::byte* to) {
  constexpr std::size_t w = sizeof(T);
  std::size_t i = count == 0 ? 0 : 1;
  scalar::delta<T>(from, 0, i, to);
  for (; i + step / w <= count; i += step / w) {
    const Bits d = sub<w>(Vector::load(from + i * w), Vector::load(from + i * w - w));
    Vector::store(to + i * w, add<w>(d, d) ^ signs<w>(d));
  }
  scalar::delta<T>(from, i, count, to);
}

template <class T>
void undelta(const std::byte* from, std::size_t count, std::byte* to) {
  constexpr std::size_t w = sizeof(T);
  const Bits one = fill<w>(1);
  const Bits zero = fill<1>(0);
  Bits before = zero;  // the previous element, in all places
  std::size_t i = 0;
  for (; i + step / w <= count; i += step / w) {
    const Bits z = Vector::load(from + i * w);
    const Bits half = shift_right<w>(z, 1);
    Bits sum = half ^ sub<w>(zero, z & one);
    if constexpr (w <= 1) {
      sum = add<w>(sum, Vector::move_up<1>(sum));
    }
    if constexpr (w <= 2) {
      sum = add<w>(sum, Vector::move_up<2>(sum));
    }
    if constexpr (w <= 4) {
      sum = add<w>(sum, Vector::move_up<4>(sum));
    }
    sum = add<w>(sum, Vector::move_up<8>(sum));
    sum = add<w>(sum, Vector::last_of_lanes_below<w>(sum));
    Vector::store(to + i * w, add<w>(sum, before));
    before = add<w>(before, Vector::last_everywhere<w>(sum));
  }
  scalar::undelta<T>(from, i, count, to);
}

// ---- narrow ----

/// Keeps the low halves of items of w bytes, repeatedly, until they have s bytes; 2 * n vectors become n.
template <std::size_t w, std::size_t s>
[[gnu::always_inline]] inline Bits narrowed(const Bits* items) {
  if constexpr (w == s) {
    return items[0];
  } else {
    constexpr std::size_t n = w / s / 2;
    Bits halves[n];
#pragma GCC unroll 8
    for (std::size_t i = 0; i < n; ++i) {
      halves[i] = Vector::low_halves<w>(items[2 * i], items[2 * i + 1]);
    }
    return narrowed<w / 2, s>(halves);
  }
}
/// Extends items of s bytes with zeros, repeatedly, until they have w bytes.
template <std::size_t s, std::size_t w>
[[gnu::always_inline]] inline void widened(Bits narrow_items, Bits* items) {
  if constexpr (s == w) {
    items[0] = narrow_items;
  } else {
    const Bits zero = fill<1>(0);
    widened<2 * s, w>(Vector::interleave_low<s>(narrow_items, zero), items);
    widened<2 * s, w>(Vector::interleave_high<s>(narrow_items, zero), items + w / s / 2);
  }
}

template <class Wide, class Narrow>
void narrow(const std::byte* from, std::size_t count, std::uint64_t base, std::byte* to) {
  constexpr std::size_t w = sizeof(Wide);
  constexpr std::size_t s = sizeof(Narrow);
  const Bits bases = fill<w>(base);
  std::size_t i = 0;
  for (; i + step / s <= count; i += step / s) {
    Bits items[w / s];
#pragma GCC unroll 8
    for (std::size_t k = 0; k < w / s; ++k) {
      items[k] = sub<w>(Vector::load_lanes(from + i * w + 16 * k, 16 * w / s), bases);
    }
    Vector::store(to + i * s, narrowed<w, s>(items));
  }
  scalar::narrow<Wide, Narrow>(from, i, count, static_cast<Wide>(base), to);
}

template <class Wide, class Narrow>
void widen(const std::byte* from, std::size_t count, std::uint64_t base, std::byte* to) {
  constexpr std::size_t w = sizeof(Wide);
  constexpr std::size_t s = sizeof(Narrow);
  const Bits bases = fill<w>(base);
  std::size_t i = 0;
  for (; i + step / s <= count; i += step / s) {
    Bits items[w / s];
    widened<s, w>(Vector::load(from + i * s), items);
#pragma GCC unroll 8
    for (std::size_t k = 0; k < w / s; ++k) {
      Vector::store_lanes(to + i * w + 16 * k, 16 * w / s, add<w>(items[k], bases));
    }
  }
  scalar::widen<Wide, Narrow>(from, i, count, static_cast<Wide>(base), to);
}

// ---- palette ----

template <class T>
std::uint32_t largest(const std::byte* from, std::size_t count) {
  constexpr std::size_t w = sizeof(T);
  std::size_t i = 0;
  Bits most = fill<1>(0);
  for (; i + step / w <= count; i += step / w) {
    const Bits values = Vector::load(from + i * w);
    most = add<w>(values, Vector::sub_saturated<w>(most, values));  // the larger of both
  }
  std::byte parts[step];
  Vector::store(parts, most);
  return scalar::largest<T>(from, i, count, scalar::largest<T>(parts, 0, step / w, 0));
}

using U8 = std::uint8_t;
using U16 = std::uint16_t;
using U32 = std::uint32_t;
using U64 = std::uint64_t;

constexpr EncodingKernels vector_kernels = {
    .name = Vector::name,
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
}  // namespace stele
