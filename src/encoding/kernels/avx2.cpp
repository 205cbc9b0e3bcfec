// The kernels for AVX2. Only the code between the pragmas is compiled for AVX2: inline functions of headers must not
// be, or other code might use them on processors without it.

#include "encoding/kernels/kernels.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>
#include <type_traits>

#include "encoding/kernels/scalar.hpp"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

namespace stele {
namespace {

struct Vector {
  using Bits = __m256i;
  static constexpr std::string_view name = "avx2";
  static constexpr std::size_t lanes = 2;

  static Bits load(const std::byte* from) { return _mm256_loadu_si256(reinterpret_cast<const Bits*>(from)); }
  static void store(std::byte* to, Bits x) { _mm256_storeu_si256(reinterpret_cast<Bits*>(to), x); }
  /// Lane l is loaded from or stored to `distance` * l.
  static Bits load_lanes(const std::byte* from, std::size_t distance) {
    return _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(from + distance),
                               reinterpret_cast<const __m128i*>(from));
  }
  static void store_lanes(std::byte* to, std::size_t distance, Bits x) {
    _mm256_storeu2_m128i(reinterpret_cast<__m128i*>(to + distance), reinterpret_cast<__m128i*>(to), x);
  }

  /// Of unsigned integers; 0 if b is larger.
  template <std::size_t w>
  static Bits sub_saturated(Bits a, Bits b) {
    if constexpr (w == 1) {
      return _mm256_subs_epu8(a, b);
    } else {
      return _mm256_subs_epu16(a, b);
    }
  }

  /// The lower or higher bytes of integers of 2 bytes: those of a, then those of b.
  static Bits even_bytes(Bits a, Bits b) {
    const Bits low = _mm256_set1_epi16(0xff);
    return _mm256_packus_epi16(a & low, b & low);
  }
  static Bits odd_bytes(Bits a, Bits b) {
    return _mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8));
  }
  /// The lower halves of integers of w bytes.
  template <std::size_t w>
  static Bits low_halves(Bits a, Bits b) {
    if constexpr (w == 2) {
      return even_bytes(a, b);
    } else if constexpr (w == 4) {
      return _mm256_packs_epi32(_mm256_srai_epi32(_mm256_slli_epi32(a, 16), 16),
                                _mm256_srai_epi32(_mm256_slli_epi32(b, 16), 16));
    } else {
      return _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88));
    }
  }
  /// Alternating items of w bytes of a and b, from the lower or the higher half.
  template <std::size_t w>
  static Bits interleave_low(Bits a, Bits b) {
    if constexpr (w == 1) {
      return _mm256_unpacklo_epi8(a, b);
    } else if constexpr (w == 2) {
      return _mm256_unpacklo_epi16(a, b);
    } else {
      return _mm256_unpacklo_epi32(a, b);
    }
  }
  template <std::size_t w>
  static Bits interleave_high(Bits a, Bits b) {
    if constexpr (w == 1) {
      return _mm256_unpackhi_epi8(a, b);
    } else if constexpr (w == 2) {
      return _mm256_unpackhi_epi16(a, b);
    } else {
      return _mm256_unpackhi_epi32(a, b);
    }
  }

  /// Moves bytes up by `count` places within a lane and fills with zeros.
  template <int count>
  static Bits move_up(Bits x) {
    return _mm256_slli_si256(x, count);
  }
  /// The last integer of w bytes of each lane, in all places of the lane.
  template <std::size_t w>
  static Bits last_of_lane(Bits x) {
    if constexpr (w == 1) {
      return _mm256_shuffle_epi8(x, _mm256_set1_epi8(15));
    } else if constexpr (w == 2) {
      return _mm256_shuffle_epi8(x, _mm256_set1_epi16(0x0f0e));
    } else if constexpr (w == 4) {
      return _mm256_shuffle_epi32(x, 0xff);
    } else {
      return _mm256_shuffle_epi32(x, 0xee);
    }
  }
  /// What to add to the sums of a lane: the last integer of the previous lane.
  template <std::size_t w>
  static Bits last_of_lanes_below(Bits x) {
    return _mm256_permute2x128_si256(last_of_lane<w>(x), x, 0x08);
  }
  /// The last integer of all, in all places.
  template <std::size_t w>
  static Bits last_everywhere(Bits x) {
    return _mm256_permute4x64_epi64(last_of_lane<w>(x), 0xff);
  }
};

}  // namespace
}  // namespace stele

#include "encoding/kernels/vector.hpp"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace stele {

const EncodingKernels* avx2_kernels() noexcept { return __builtin_cpu_supports("avx2") ? &vector_kernels : nullptr; }

}  // namespace stele

#else

namespace stele {

const EncodingKernels* avx2_kernels() noexcept { return nullptr; }

}  // namespace stele

#endif
