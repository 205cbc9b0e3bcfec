#pragma once
// Blocks of a Bloom filter: 512 bits in a cache line. Computes the bits of a key in its block, and tests many keys.

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "services/filters/mix.hpp"

namespace stele::bloom {

inline constexpr unsigned block_bits = 512;
inline constexpr std::uint64_t block_words = block_bits / 64;
inline constexpr unsigned group_size = 7;  // bits of a key from one hash; each takes 9 bits of the hash

/// The bits of a key with seeded hash h: the groups of 9 bits of other(h), from the lowest, then those of
/// other(other(h)), and so on.
class BlockBits {
 public:
  explicit BlockBits(std::uint64_t hash) noexcept : hash_(mix::other(hash)), left_(hash_) {}
  std::uint64_t next() noexcept {
    if (taken_ == group_size) {
      hash_ = left_ = mix::other(hash_);
      taken_ = 0;
    }
    ++taken_;
    return std::exchange(left_, left_ >> 9) & (block_bits - 1);
  }

 private:
  std::uint64_t hash_;
  std::uint64_t left_;
  unsigned taken_ = 0;
};

/// Sets found[i] to whether blocks[i] has all bits of the key with seeded hash hashes[i].
using TestBlocks = void(std::span<const std::uint64_t* const> blocks, unsigned hash_count, const std::uint64_t* hashes,
                        std::uint8_t* found);

TestBlocks test_blocks;  // the fastest available
TestBlocks test_blocks_portable;
/// Null if the build or the processor lacks AVX2.
TestBlocks* test_blocks_avx2() noexcept;

}  // namespace stele::bloom
