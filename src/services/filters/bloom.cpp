#include "stele/filters/bloom.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <string>
#include <utility>

#include "services/filters/bloom_blocks.hpp"
#include "services/filters/bloom_rate.hpp"
#include "services/filters/checked_read.hpp"
#include "services/filters/mix.hpp"

namespace stele {
namespace {

constexpr std::uint32_t bloom_version = 1;
using bloom::block_words;
constexpr std::uint64_t most_words = std::uint64_t{1} << 40;
constexpr std::size_t bloom_batch = 64;                         // keys that are prefetched together
constexpr std::uint64_t cached_words = std::uint64_t{1} << 19;  // size of a filter that is mostly in the cache

// The bits of a key, spread: h_0 is the seeded hash, h_i+1 = next(h_i), and bit i is scale(h_i, bits). Blocked: the
// block is scale(h_0, blocks), its bits are those of BlockBits(h_0).

class SpreadBits {
 public:
  SpreadBits(std::uint64_t hash, std::uint64_t bits) noexcept : hash_(hash), bits_(bits) {}
  std::uint64_t next() noexcept {
    const std::uint64_t bit = mix::scale(hash_, bits_);
    hash_ = mix::next(hash_);
    return bit;
  }

 private:
  std::uint64_t hash_;
  std::uint64_t bits_;
};

bool is_set(const std::uint64_t* words, std::uint64_t bit) noexcept { return (words[bit / 64] >> bit % 64 & 1) != 0; }

std::uint8_t test_spread(const std::uint64_t* words, std::uint64_t word_count, unsigned hashes,
                         std::uint64_t hash) noexcept {
  SpreadBits bits(hash, 64 * word_count);
  if (word_count <= cached_words) {  // a mispredicted branch would cost more than the loads
    std::uint64_t all = 1;
    for (unsigned i = 0; i < hashes; ++i) {
      const std::uint64_t bit = bits.next();
      all &= words[bit / 64] >> bit % 64;
    }
    return static_cast<std::uint8_t>(all);
  }
  for (unsigned i = 0; i < hashes; ++i) {
    if (!is_set(words, bits.next())) {
      return 0;
    }
  }
  return 1;
}

const std::uint64_t* block_of(const std::uint64_t* words, std::uint64_t word_count, std::uint64_t hash) noexcept {
  return words + block_words * mix::scale(hash, word_count / block_words);
}

/// Calls set(word index, mask) for each bit of a key.
template <class Set>
void for_each_bit(std::uint64_t word_count, unsigned hashes, bool blocked, std::uint64_t hash, Set&& set) {
  if (blocked) {
    const std::uint64_t first = block_words * mix::scale(hash, word_count / block_words);
    bloom::BlockBits bits(hash);
    for (unsigned i = 0; i < hashes; ++i) {
      const std::uint64_t bit = bits.next();
      set(first + bit / 64, std::uint64_t{1} << bit % 64);
    }
  } else {
    SpreadBits bits(hash, 64 * word_count);
    for (unsigned i = 0; i < hashes; ++i) {
      const std::uint64_t bit = bits.next();
      set(bit / 64, std::uint64_t{1} << bit % 64);
    }
  }
}

std::uint64_t words_of(double bits) {
  const double words = std::ceil(bits / 64);
  if (!(words <= static_cast<double>(most_words))) {
    fail(Errc::limit_exceeded, "a Bloom filter of more than 2^46 bits");
  }
  return static_cast<std::uint64_t>(words);
}

std::uint64_t count_ones(const std::uint64_t* words, std::uint64_t count) noexcept {
  std::uint64_t ones = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    ones += static_cast<std::uint64_t>(std::popcount(words[i]));
  }
  return ones;
}

void require_capacity(std::uint64_t words) {
  if (words == 0) {
    fail(Errc::invalid_argument, "a Bloom filter without a capacity takes no keys");
  }
}

}  // namespace

BloomFilter::BloomFilter(std::uint64_t words, unsigned hashes, std::uint64_t capacity, const BloomOptions& options)
    : capacity_(capacity),
      hashes_(hashes),
      blocked_(options.blocked),
      seed_(options.seed),
      words_(Array<std::uint64_t>({words})) {}

BloomFilter::BloomFilter(std::uint64_t capacity, double false_positive_rate, const BloomOptions& options) {
  if (capacity == 0 || !(false_positive_rate > 0 && false_positive_rate < 1)) {
    fail(Errc::invalid_argument, "a Bloom filter takes a capacity of at least 1 and a rate between 0 and 1, not " +
                                     std::to_string(capacity) + " and " + std::to_string(false_positive_rate));
  }
  const bloom::Plan plan = bloom::plan(static_cast<double>(capacity), false_positive_rate, options.blocked);
  *this = BloomFilter(words_of(plan.bits), plan.hashes, capacity, options);
}

BloomFilter BloomFilter::of_bits(std::uint64_t bits, std::uint64_t capacity, const BloomOptions& options) {
  if (bits == 0 || capacity == 0) {
    fail(Errc::invalid_argument, "a Bloom filter of " + std::to_string(bits) + " bits for " + std::to_string(capacity) +
                                     " keys; both must be at least 1");
  }
  const double unit = options.blocked ? bloom::block_bits : 64;
  const double rounded = std::ceil(static_cast<double>(bits) / unit) * unit;
  const std::uint64_t words = words_of(rounded);
  return {words, bloom::best_hashes(rounded, static_cast<double>(capacity), options.blocked), capacity, options};
}

/// The words for writing; copied first if they are mapped read-only.
std::uint64_t* BloomFilter::own_words() {
  require_capacity(words_.size());
  return words_.own();
}

void BloomFilter::add(KeyHash key) { add_many({&key, 1}); }
void BloomFilter::add_atomic(KeyHash key) { add_many_atomic({&key, 1}); }

void BloomFilter::add_many(std::span<const KeyHash> keys) {
  std::uint64_t* words = own_words();
  set_bits(keys, words, [words](std::uint64_t at, std::uint64_t mask) { words[at] |= mask; });
}

void BloomFilter::add_many_atomic(std::span<const KeyHash> keys) {
  require_capacity(words_.size());
  std::uint64_t* words = words_.mutable_data();
  set_bits(keys, words, [words](std::uint64_t at, std::uint64_t mask) {
    const std::atomic_ref<std::uint64_t> word(words[at]);
    if ((word.load(std::memory_order_relaxed) & mask) == 0) {  // usually saves taking the cache line exclusively
      word.fetch_or(mask, std::memory_order_relaxed);
    }
  });
}

/// Calls set(word index, mask) for the bits of all keys; prefetches their memory.
template <class Set>
void BloomFilter::set_bits(std::span<const KeyHash> keys, const std::uint64_t* words, Set&& set) const {
  const std::uint64_t count = words_.size();
  std::uint64_t hashes[bloom_batch];
  while (!keys.empty()) {
    const std::size_t size = std::min(bloom_batch, keys.size());
    for (std::size_t i = 0; i < size; ++i) {
      hashes[i] = mix::seeded(keys[i].hash(), seed_);
      if (size > 1) {
        for_each_bit(count, blocked_ ? 1 : hashes_, blocked_, hashes[i],
                     [&](std::uint64_t at, std::uint64_t) { __builtin_prefetch(words + at, 1); });
      }
    }
    for (std::size_t i = 0; i < size; ++i) {
      for_each_bit(count, hashes_, blocked_, hashes[i], set);
    }
    keys = keys.subspan(size);
  }
}

/// found[i] = whether the key with hash hashes[i] is contained.
void BloomFilter::test(std::span<const std::uint64_t> hashes, std::span<std::uint8_t> found) const noexcept {
  const std::uint64_t* words = words_.data();
  const std::uint64_t count = words_.size();
  if (count == 0) {
    std::fill_n(found.begin(), hashes.size(), std::uint8_t{0});
    return;
  }
  if (hashes.size() == 1) {
    const std::uint64_t hash = mix::seeded(hashes[0], seed_);
    if (blocked_) {
      const std::uint64_t* block = block_of(words, count, hash);
      bloom::test_blocks({&block, 1}, hashes_, &hash, found.data());
    } else {
      found[0] = test_spread(words, count, hashes_, hash);
    }
    return;
  }
  std::uint64_t seeded[bloom_batch];
  const std::uint64_t* blocks[bloom_batch];
  for (std::size_t done = 0; done < hashes.size(); done += bloom_batch) {
    const std::size_t size = std::min(bloom_batch, hashes.size() - done);
    std::uint8_t* out = found.data() + done;
    if (blocked_) {
      for (std::size_t i = 0; i < size; ++i) {
        seeded[i] = mix::seeded(hashes[done + i], seed_);
        blocks[i] = block_of(words, count, seeded[i]);
        __builtin_prefetch(blocks[i]);
      }
      bloom::test_blocks({blocks, size}, hashes_, seeded, out);
      continue;
    }
    for (std::size_t i = 0; i < size; ++i) {
      seeded[i] = mix::seeded(hashes[done + i], seed_);
      if (count > cached_words) {  // half of the absent keys need at most two bits
        SpreadBits bits(seeded[i], 64 * count);
        __builtin_prefetch(words + bits.next() / 64);
        __builtin_prefetch(words + bits.next() / 64);
      }
    }
    for (std::size_t i = 0; i < size; ++i) {
      out[i] = test_spread(words, count, hashes_, seeded[i]);
    }
  }
}

std::size_t BloomFilter::contains_many(std::span<const KeyHash> keys, std::span<std::uint8_t> found) const {
  if (keys.size() != found.size()) {
    fail(Errc::invalid_argument,
         std::to_string(found.size()) + " places for the answers to " + std::to_string(keys.size()) + " keys");
  }
  std::size_t hits = 0;
  std::uint64_t hashes[bloom_batch];
  while (!keys.empty()) {
    const std::size_t size = std::min(bloom_batch, keys.size());
    for (std::size_t i = 0; i < size; ++i) {
      hashes[i] = keys[i].hash();
    }
    test({hashes, size}, found.first(size));
    for (std::size_t i = 0; i < size; ++i) {
      hits += found[i];
    }
    keys = keys.subspan(size);
    found = found.subspan(size);
  }
  return hits;
}

void BloomFilter::merge(const BloomFilter& other) {
  const auto require = [](bool same, const char* what) {
    if (!same) {
      fail(Errc::invalid_argument, std::string("Bloom filters that differ in their ") + what + " cannot be merged");
    }
  };
  require(words_.size() == other.words_.size(), "number of bits");
  require(hashes_ == other.hashes_, "number of hashes");
  require(blocked_ == other.blocked_, "layout");
  require(seed_ == other.seed_, "seed");
  if (words_.empty()) {
    return;
  }
  std::uint64_t* words = own_words();
  const std::uint64_t* more = other.words_.data();
  for (std::uint64_t i = 0, n = words_.size(); i < n; ++i) {
    words[i] |= more[i];
  }
}

void BloomFilter::clear() {
  if (!words_.empty()) {
    std::fill_n(own_words(), words_.size(), std::uint64_t{0});
  }
}

double BloomFilter::fill() const noexcept {
  return words_.empty()
             ? 0
             : static_cast<double>(count_ones(words_.data(), words_.size())) / static_cast<double>(bit_count());
}

double BloomFilter::estimated_count() const noexcept {
  // The expected share of unset bits after n keys, solved for n. The number of keys per block has a Poisson
  // distribution, whose generating function makes the mean over blocks an exponential again.
  if (words_.empty()) {
    return 0;
  }
  const double unset = std::log1p(-fill());
  if (blocked_) {
    const std::uint64_t blocks = words_.size() / block_words;
    return unset == 0
               ? 0
               : static_cast<double>(blocks) * unset / std::expm1(hashes_ * std::log1p(-1.0 / bloom::block_bits));
  }
  return unset == 0 ? 0 : unset / (hashes_ * std::log1p(-1 / static_cast<double>(bit_count())));
}

double BloomFilter::false_positive_rate() const noexcept {
  if (words_.empty()) {
    return 0;
  }
  if (!blocked_) {
    return std::pow(fill(), hashes_);
  }
  double of_ones[bloom::block_bits + 1];
  for (unsigned ones = 0; ones <= bloom::block_bits; ++ones) {
    of_ones[ones] = std::pow(static_cast<double>(ones) / bloom::block_bits, hashes_);
  }
  double sum = 0;
  for (std::uint64_t i = 0; i < words_.size(); i += block_words) {
    sum += of_ones[count_ones(words_.data() + i, block_words)];
  }
  const std::uint64_t blocks = words_.size() / block_words;
  return sum / static_cast<double>(blocks);
}

double BloomFilter::expected_rate(std::uint64_t bits, unsigned hashes, std::uint64_t keys, bool blocked) {
  if (bits == 0 || hashes == 0 || hashes > bloom::max_hashes) {
    fail(Errc::invalid_argument, "a Bloom filter of no bits, or not of 1 to 64 hashes");
  }
  return bloom::rate(static_cast<double>(bits), hashes, static_cast<double>(keys), blocked);
}

bool operator==(const BloomFilter& a, const BloomFilter& b) {
  return a.capacity_ == b.capacity_ && a.hashes_ == b.hashes_ && a.blocked_ == b.blocked_ && a.seed_ == b.seed_ &&
         a.words_.size() == b.words_.size() &&
         std::equal(a.words_.data(), a.words_.data() + a.words_.size(), b.words_.data());
}

/// The problem with parameters and sizes, which determine memory accesses; null for none.
const char* BloomFilter::fault() const noexcept {
  if (hashes_ < 1 || hashes_ > bloom::max_hashes) {
    return "the number of hashes is not between 1 and 64";
  }
  if (!words_.array().is_dense() || words_.size() > most_words || (blocked_ && words_.size() % block_words != 0)) {
    return "the words do not match the other fields";
  }
  return nullptr;
}

void Visit<BloomFilter>::write(OutVisitor& out, const BloomFilter& value) { walk::As<BloomFilter>::write(out, value); }

void Visit<BloomFilter>::read(InVisitor& in, BloomFilter& value) {
  checked_read(in, value, bloom_version, "Bloom filter", [](const BloomFilter& filter) { return filter.fault(); });
}

}  // namespace stele
