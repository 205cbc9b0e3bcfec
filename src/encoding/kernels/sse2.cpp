// The kernels for SSE2, which every x86-64 has.

#include "encoding/kernels/kernels.hpp"

#if defined(__x86_64__)

#include <emmintrin.h>

#include <cstring>
#include <type_traits>

#include "encoding/kernels/scalar.hpp"

namespace stele {
namespace {

struct Vector {
  using Bits = __m128i;
  static constexpr std::string_view name = "sse2";
  static constexpr std::size_t lanes = 1;

  static Bits load(const std::byte* from) { return _mm_loadu_si128(reinterpret_cast<const Bits*>(from)); }
  static void store(std::byte* to, Bits x) { _mm_storeu_si128(reinterpret_cast<Bits*>(to), x); }
  static Bits load_lanes(const std::byte* from, std::size_t) { return load(from); }
  static void store_lanes(std::byte* to, std::size_t, Bits x) { store(to, x); }

  /// Of unsigned integers; 0 if b is larger.
  template <std::size_t w>
  static Bits sub_saturated(Bits a, Bits b) {
    if constexpr (w == 1) {
      return _mm_subs_epu8(a, b);
    } else {
      return _mm_subs_epu16(a, b);
    }
  }

  /// The lower or higher bytes of integers of 2 bytes: those of a, then those of b.
  static Bits even_bytes(Bits a, Bits b) {
    const Bits low = _mm_set1_epi16(0xff);
    return _mm_packus_epi16(a & low, b & low);
  }
  static Bits odd_bytes(Bits a, Bits b) { return _mm_packus_epi16(_mm_srli_epi16(a, 8), _mm_srli_epi16(b, 8)); }
  /// The lower halves of integers of w bytes.
  template <std::size_t w>
  static Bits low_halves(Bits a, Bits b) {
    if constexpr (w == 2) {
      return even_bytes(a, b);
    } else if constexpr (w == 4) {
      return _mm_packs_epi32(_mm_srai_epi32(_mm_slli_epi32(a, 16), 16), _mm_srai_epi32(_mm_slli_epi32(b, 16), 16));
    } else {
      return _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b), 0x88));
    }
  }
  /// Alternating items of w bytes of a and b, from the lower or the higher half.
  template <std::size_t w>
  static Bits interleave_low(Bits a, Bits b) {
    if constexpr (w == 1) {
      return _mm_unpacklo_epi8(a, b);
    } else if constexpr (w == 2) {
      return _mm_unpacklo_epi16(a, b);
    } else {
      return _mm_unpacklo_epi32(a, b);
    }
  }
  template <std::size_t w>
  static Bits interleave_high(Bits a, Bits b) {
    if constexpr (w == 1) {
      return _mm_unpackhi_epi8(a, b);
    } else if constexpr (w == 2) {
      return _mm_unpackhi_epi16(a, b);
    } else {
      return _mm_unpackhi_epi32(a, b);
    }
  }

  /// Moves bytes up by `count` places within a lane and fills with zeros.
  template <int count>
  static Bits move_up(Bits x) {
    return _mm_slli_si128(x, count);
  }
  /// The last integer of w bytes of each lane, in all places of the lane.
  template <std::size_t w>
  static Bits last_of_lane(Bits x) {
    if constexpr (w == 1) {
      x = _mm_unpackhi_epi8(x, x);  // twice in the highest two bytes
    }
    if constexpr (w <= 2) {
      x = _mm_shufflehi_epi16(x, 0xff);
    }
    return _mm_shuffle_epi32(x, w == 8 ? 0xee : 0xff);
  }
  /// What to add to the sums of a lane: the last integer of the previous lane. There is only one lane.
  template <std::size_t w>
  static Bits last_of_lanes_below(Bits) {
    return _mm_setzero_si128();
  }
  /// The last integer of all, in all places.
  template <std::size_t w>
  static Bits last_everywhere(Bits x) {
    return last_of_lane<w>(x);
  }
};

}  // namespace
}  // namespace stele

#include "encoding/kernels/vector.hpp"

namespace stele {

const EncodingKernels* sse2_kernels() noexcept { return &vector_kernels; }

}  // namespace stele

#else

namespace stele {

const EncodingKernels* sse2_kernels() noexcept { return nullptr; }

}  // namespace stele

#endif
