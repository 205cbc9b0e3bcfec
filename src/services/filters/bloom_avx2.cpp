// The test of blocks with AVX2: looks up the bits of a group together in the two halves of the block.

#include "services/filters/bloom_blocks.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

namespace stele::bloom {
namespace {

__attribute__((target("avx2"))) void test_avx2(std::span<const std::uint64_t* const> blocks, unsigned hash_count,
                                               const std::uint64_t* hashes, std::uint8_t* found) {
  // Lanes 0 to 6 of the shuffled halves have bits 0 to 6 of the group; lane 7 is ignored.
  const __m256i shifts_even = _mm256_setr_epi64x(0, 9, 36, 45);
  const __m256i shifts_odd = _mm256_setr_epi64x(18, 27, 54, 63);
  const __m256i low_9 = _mm256_set1_epi32(static_cast<int>(block_bits) - 1);
  const __m256i low_5 = _mm256_set1_epi32(31);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto* block = reinterpret_cast<const __m256i*>(blocks[i]);
    const __m256i low_half = _mm256_loadu_si256(block);
    const __m256i high_half = _mm256_loadu_si256(block + 1);
    std::uint64_t group = mix::other(hashes[i]);
    bool all = true;
    for (unsigned left = hash_count;;) {
      const __m256i everywhere = _mm256_set1_epi64x(static_cast<long long>(group));
      const __m256i even = _mm256_srlv_epi64(everywhere, shifts_even);
      const __m256i odd = _mm256_srlv_epi64(everywhere, shifts_odd);
      const __m256i packed = _mm256_castps_si256(
          _mm256_shuffle_ps(_mm256_castsi256_ps(even), _mm256_castsi256_ps(odd), _MM_SHUFFLE(2, 0, 2, 0)));
      const __m256i bits = _mm256_and_si256(packed, low_9);
      const __m256i index = _mm256_srli_epi32(bits, 5);
      const __m256 words = _mm256_blendv_ps(_mm256_castsi256_ps(_mm256_permutevar8x32_epi32(low_half, index)),
                                            _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(high_half, index)),
                                            _mm256_castsi256_ps(_mm256_slli_epi32(bits, 23)));
      const __m256i tops = _mm256_sllv_epi32(_mm256_castps_si256(words), _mm256_andnot_si256(bits, low_5));
      const auto set = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(tops)));
      const unsigned wanted = (1U << (left < group_size ? left : group_size)) - 1;
      all &= (set & wanted) == wanted;
      if (left <= group_size) {
        break;
      }
      left -= group_size;
      group = mix::other(group);
    }
    found[i] = all ? 1 : 0;
  }
}

}  // namespace

TestBlocks* test_blocks_avx2() noexcept { return __builtin_cpu_supports("avx2") ? test_avx2 : nullptr; }

}  // namespace stele::bloom

#else

namespace stele::bloom {

TestBlocks* test_blocks_avx2() noexcept { return nullptr; }

}  // namespace stele::bloom

#endif
