#include "services/filters/bloom_blocks.hpp"

namespace stele::bloom {
namespace {

/// Whether the first `count` bits of a group are set.
template <unsigned count>
std::uint64_t test_group(const std::uint64_t* block, std::uint64_t bits) noexcept {
  std::uint64_t all = 1;
#pragma GCC unroll 7
  for (unsigned i = 0; i < count; ++i) {
    const std::uint64_t bit = bits >> (9 * i) & (block_bits - 1);
    all &= block[bit / 64] >> bit % 64;
  }
  return all;
}

/// For keys of `group_size * groups + rest` bits. Has no branch that depends on a bit: half of them would be
/// mispredicted.
template <unsigned rest>
void test(std::span<const std::uint64_t* const> blocks, unsigned groups, const std::uint64_t* hashes,
          std::uint8_t* found) {
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    std::uint64_t bits = mix::other(hashes[i]);
    std::uint64_t all = 1;
    for (unsigned group = 0; group < groups; ++group) {
      all &= test_group<group_size>(blocks[i], bits);
      bits = mix::other(bits);
    }
    found[i] = static_cast<std::uint8_t>(all & test_group<rest>(blocks[i], bits));
  }
}

constexpr TestBlocks* by_rest[group_size] = {test<0>, test<1>, test<2>, test<3>, test<4>, test<5>, test<6>};

}  // namespace

void test_blocks_portable(std::span<const std::uint64_t* const> blocks, unsigned hash_count,
                          const std::uint64_t* hashes, std::uint8_t* found) {
  by_rest[hash_count % group_size](blocks, hash_count / group_size, hashes, found);
}

void test_blocks(std::span<const std::uint64_t* const> blocks, unsigned hash_count, const std::uint64_t* hashes,
                 std::uint8_t* found) {
  static TestBlocks* const fastest = test_blocks_avx2() != nullptr ? test_blocks_avx2() : test_blocks_portable;
  fastest(blocks, hash_count, hashes, found);
}

}  // namespace stele::bloom
