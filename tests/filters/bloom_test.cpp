#include "stele/filters/bloom.hpp"

#include <bit>
#include <cmath>
#include <limits>
#include <thread>
#include <unordered_set>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "services/filters/bloom_rate.hpp"
#include "stele/hash.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::Folder;

/// Keys of both kinds, distinct for distinct i.
KeyHash key_of(std::uint64_t i) { return i % 2 == 0 ? KeyHash(i) : KeyHash("key " + std::to_string(i)); }

std::vector<BloomOptions> layouts() { return {{.blocked = false}, {.blocked = true}, {.blocked = true, .seed = 99}}; }

/// Hits among `count` keys that are in no filter here.
std::uint64_t false_positives(const BloomFilter& filter, std::uint64_t count) {
  std::uint64_t hits = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    hits += filter.contains(KeyHash(1'000'000'000'000 + i)) ? 1 : 0;
  }
  return hits;
}

/// Whether `hits` of `count` fits a probability of `rate`; fails by chance once in a million.
void expect_rate(std::uint64_t hits, std::uint64_t count, double rate, const std::string& what) {
  const double mean = rate * static_cast<double>(count);
  EXPECT_NEAR(static_cast<double>(hits), mean, 5 * std::sqrt(mean * (1 - rate)) + 3) << what;
}

TEST(Bloom, HasNoFalseNegatives) {
  for (const BloomOptions& options : layouts()) {
    for (const std::uint64_t capacity : {1U, 2U, 10U, 1000U, 20'000U}) {
      for (const double rate : {0.9, 0.3, 0.01, 1e-4, 1e-9}) {
        BloomFilter filter(capacity, rate, options);
        for (std::uint64_t i = 0; i < 2 * capacity; ++i) {  // more than it is made for, too
          filter.add(key_of(i));
        }
        for (std::uint64_t i = 0; i < 2 * capacity; ++i) {
          ASSERT_TRUE(filter.contains(key_of(i))) << i << " of " << capacity << " at " << rate;
        }
      }
    }
  }
}

TEST(Bloom, ReachesTheRateAskedFor) {
  constexpr std::uint64_t keys = 50'000;
  constexpr std::uint64_t asked = test::sanitized ? 200'000 : 1'000'000;
  for (const BloomOptions& options : layouts()) {
    for (const double rate : {0.5, 0.1, 0.01, 1e-3}) {
      BloomFilter filter(keys, rate, options);
      for (std::uint64_t i = 0; i < keys; ++i) {
        filter.add(key_of(i));
      }
      const std::string what = std::to_string(rate) + (options.blocked ? " blocked" : " spread");
      const std::uint64_t hits = false_positives(filter, asked);
      expect_rate(hits, asked, filter.false_positive_rate(), what + ", by the bits");
      const double expected =
          BloomFilter::expected_rate(filter.bit_count(), filter.hash_count(), keys, options.blocked);
      EXPECT_LE(expected, rate) << what;
      EXPECT_GT(expected, 0.95 * rate) << what << ": bits are wasted";
      EXPECT_NEAR(filter.false_positive_rate() / expected, 1, 0.04) << what << ", by the formula";
    }
  }
}

TEST(Bloom, SmallFiltersKeepTheRate) {
  // the rate over many small filters, each with a seed of its own
  constexpr std::uint64_t asked = 2000;
  constexpr std::uint64_t filters = 400;
  for (const bool blocked : {false, true}) {
    for (const std::uint64_t keys : {1U, 7U, 40U}) {
      std::uint64_t hits = 0;
      double expected = 0;
      for (std::uint64_t seed = 0; seed < filters; ++seed) {
        BloomFilter filter(keys, 0.02, {.blocked = blocked, .seed = seed});
        for (std::uint64_t i = 0; i < keys; ++i) {
          filter.add(KeyHash(i));
        }
        hits += false_positives(filter, asked);
        expected = BloomFilter::expected_rate(filter.bit_count(), filter.hash_count(), keys, blocked);
      }
      EXPECT_LE(expected, 0.02);
      const double rate = static_cast<double>(hits) / static_cast<double>(asked * filters);
      EXPECT_LT(rate, expected * 1.1 + 0.0005) << keys << (blocked ? " blocked" : "");
      if (!blocked) {  // a single block holds all keys, not a random number of them
        EXPECT_GT(rate, expected * 0.9 - 0.0005) << keys;
      }
    }
  }
}

TEST(Bloom, SizesFollowFromTheFormula) {
  const BloomFilter spread(1'000'000, 0.01);
  EXPECT_NEAR(static_cast<double>(spread.bit_count()) / 1e6, 9.585, 0.02);  // ln(100) / ln(2)^2
  EXPECT_EQ(spread.hash_count(), 7U);
  const BloomFilter blocked(1'000'000, 0.01, {.blocked = true});
  EXPECT_EQ(blocked.bit_count() % 512, 0U);
  const double more = static_cast<double>(blocked.bit_count()) / static_cast<double>(spread.bit_count());
  EXPECT_GT(more, 1.02);
  EXPECT_LT(more, 1.06);
}

TEST(Bloom, OfBitsTakesTheBestNumberOfHashes) {
  for (const double bits_per_key : {0.1, 1.0, 4.0, 12.0, 24.0}) {
    for (const bool blocked : {false, true}) {
      const auto bits = static_cast<std::uint64_t>(bits_per_key * 100'000);
      const BloomFilter filter = BloomFilter::of_bits(bits, 100'000, {.blocked = blocked});
      EXPECT_GE(filter.bit_count(), bits);
      EXPECT_LT(filter.bit_count(), bits + 512);
      const auto rate = [&](unsigned hashes) {
        return BloomFilter::expected_rate(filter.bit_count(), hashes, 100'000, blocked);
      };
      const unsigned k = filter.hash_count();
      EXPECT_LE(rate(k), rate(k + 1)) << bits_per_key;
      EXPECT_LE(rate(k), rate(std::max(1U, k - 1))) << bits_per_key;
    }
  }
}

TEST(Bloom, SeedsErrOnDifferentKeys) {
  BloomFilter one(1000, 0.1, {.seed = 1});
  BloomFilter two(1000, 0.1, {.seed = 2});
  for (std::uint64_t i = 0; i < 1000; ++i) {
    one.add(KeyHash(i));
    two.add(KeyHash(i));
  }
  std::uint64_t both = 0;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    both += one.contains(KeyHash(1'000'000 + i)) && two.contains(KeyHash(1'000'000 + i)) ? 1 : 0;
  }
  expect_rate(both, 100'000, one.false_positive_rate() * two.false_positive_rate(), "of both");
}

TEST(Bloom, ManyAtOnceAnswersAsOneByOne) {
  for (const BloomOptions& options : layouts()) {
    for (const std::uint64_t capacity : {std::uint64_t{100}, std::uint64_t{3'000'000}}) {  // the larger is beyond 1 MiB
      BloomFilter filter(capacity, 0.05, options);
      std::vector<KeyHash> keys;
      for (std::uint64_t i = 0; i < 3000; ++i) {
        keys.push_back(key_of(i));
      }
      filter.add_many(std::span(keys).first(1001));
      BloomFilter slow(capacity, 0.05, options);
      for (std::uint64_t i = 0; i < 1001; ++i) {
        slow.add(keys[i]);
      }
      EXPECT_EQ(filter, slow);
      std::vector<std::uint8_t> found(keys.size(), 7);
      const std::size_t hits = filter.contains_many(keys, found);
      std::size_t expected = 0;
      for (std::size_t i = 0; i < keys.size(); ++i) {
        EXPECT_EQ(found[i], filter.contains(keys[i]) ? 1 : 0) << i;
        expected += found[i];
      }
      EXPECT_EQ(hits, expected);
      EXPECT_GE(hits, 1001U);
    }
  }
  std::vector<std::uint8_t> found(2);
  const std::vector<KeyHash> three(3);
  EXPECT_EQ(error_of([&] { (void)BloomFilter(1, 0.1).contains_many(three, found); }).code(), Errc::invalid_argument);
}

TEST(Bloom, VectorsTestBlocksAsPlainCodeDoes) {
  bloom::TestBlocks* const vectors = bloom::test_blocks_avx2();
  if (vectors == nullptr) {
    GTEST_SKIP() << "no AVX2";
  }
  constexpr std::size_t count = 2000;
  for (unsigned hashes = 1; hashes <= bloom::max_hashes; ++hashes) {
    std::vector<std::uint64_t> words = test::numbers<std::uint64_t>(count * bloom::block_words, hashes);
    const auto seeds = test::numbers<std::uint64_t>(count, hashes + 100);
    std::vector<const std::uint64_t*> blocks(count);
    for (std::size_t i = 0; i < count; ++i) {
      std::uint64_t* block = words.data() + i * bloom::block_words;
      blocks[i] = block;
      bloom::BlockBits bits(seeds[i]);
      for (unsigned k = 0; i % 3 != 0 && k < hashes; ++k) {  // all bits, or all but the last
        const std::uint64_t bit = bits.next();
        block[bit / 64] |= std::uint64_t{1} << bit % 64;
        if (i % 3 == 1 && k + 1 == hashes) {
          block[bit / 64] ^= std::uint64_t{1} << bit % 64;
        }
      }
    }
    std::vector<std::uint8_t> plain(count, 7);
    std::vector<std::uint8_t> vectored(count, 9);
    bloom::test_blocks_portable(blocks, hashes, seeds.data(), plain.data());
    vectors(blocks, hashes, seeds.data(), vectored.data());
    ASSERT_EQ(plain, vectored) << hashes;
    for (std::size_t i = 0; i < count; ++i) {
      if (i % 3 != 0) {
        ASSERT_EQ(plain[i], i % 3 == 1 ? 0 : 1) << hashes;
      }
    }
  }
}

TEST(Bloom, EstimatesCountFillAndRate) {
  for (const BloomOptions& options : layouts()) {
    BloomFilter filter(100'000, 0.01, options);
    EXPECT_EQ(filter.fill(), 0);
    EXPECT_EQ(filter.estimated_count(), 0);
    EXPECT_EQ(filter.false_positive_rate(), 0);
    for (std::uint64_t i = 0; i < 100'000; ++i) {
      filter.add(KeyHash(i));
      filter.add(KeyHash(i / 2));  // again
    }
    EXPECT_NEAR(filter.estimated_count(), 100'000, 1000);
    EXPECT_NEAR(filter.false_positive_rate(), 0.01, 0.0008);
    if (!options.blocked) {
      EXPECT_NEAR(filter.fill(), 0.5, 0.02);
    }
    filter.clear();
    EXPECT_EQ(filter.fill(), 0);
  }
  BloomFilter full = BloomFilter::of_bits(64, 10);
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    full.add(KeyHash(i));
  }
  EXPECT_EQ(full.fill(), 1);
  EXPECT_EQ(full.false_positive_rate(), 1);
  EXPECT_EQ(full.estimated_count(), std::numeric_limits<double>::infinity());
}

TEST(Bloom, UnionContainsBoth) {
  for (const BloomOptions& options : layouts()) {
    BloomFilter one(2000, 0.01, options);
    BloomFilter two(2000, 0.01, options);
    BloomFilter all(2000, 0.01, options);
    for (std::uint64_t i = 0; i < 2000; ++i) {
      (i % 3 == 0 ? one : two).add(key_of(i));
      all.add(key_of(i));
    }
    one.merge(two);
    EXPECT_EQ(one, all);
  }
}

TEST(Bloom, UnionOfUnequalParametersNamesTheDifference) {
  BloomFilter filter(1000, 0.01, {.seed = 3});
  const auto message = [&](const BloomFilter& other) {
    const Error error = error_of([&] { filter.merge(other); });
    EXPECT_EQ(error.code(), Errc::invalid_argument);
    return error.message();
  };
  EXPECT_NE(message(BloomFilter(2000, 0.01, {.seed = 3})).find("number of bits"), std::string::npos);
  EXPECT_NE(message(BloomFilter(1000, 0.01, {.seed = 4})).find("seed"), std::string::npos);
  const BloomFilter blocked = BloomFilter::of_bits(512, 40, {.blocked = true});
  BloomFilter spread = BloomFilter::of_bits(512, 40);
  EXPECT_EQ(error_of([&] { spread.merge(blocked); }).code(), Errc::invalid_argument);
  BloomFilter few = BloomFilter::of_bits(512, 400);
  EXPECT_NE(error_of([&] { spread.merge(few); }).message().find("number of hashes"), std::string::npos);
}

TEST(Bloom, CopiesHaveBitsOfTheirOwn) {
  BloomFilter filter(100, 0.001);
  filter.add("before");
  BloomFilter copy = filter;
  copy.add("later");
  EXPECT_TRUE(copy.contains("before"));
  EXPECT_TRUE(copy.contains("later"));
  EXPECT_FALSE(filter.contains("later"));
  const BloomFilter moved = std::move(filter);
  EXPECT_TRUE(moved.contains("before"));
  EXPECT_FALSE(filter.contains("before"));  // NOLINT(bugprone-use-after-move): it has no capacity left
  EXPECT_EQ(error_of([&] { filter.add("x"); }).code(), Errc::invalid_argument);
}

TEST(Bloom, RefusesWhatMakesNoSense) {
  for (const double rate : {0.0, 1.0, -1.0, 2.0, std::nan("")}) {
    EXPECT_EQ(error_of([&] { BloomFilter(10, rate); }).code(), Errc::invalid_argument) << rate;
  }
  EXPECT_EQ(error_of([] { BloomFilter(0, 0.1); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([] { BloomFilter::of_bits(0, 1); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([] { BloomFilter(~std::uint64_t{0}, 1e-9); }).code(), Errc::limit_exceeded);
  BloomFilter none;
  EXPECT_FALSE(none.contains("a"));
  EXPECT_EQ(error_of([&] { none.add("a"); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { none.add_atomic("a"); }).code(), Errc::invalid_argument);
}

TEST(Bloom, ThreadsAddTogether) {
  for (const BloomOptions& options : layouts()) {
    BloomFilter alone(40'000, 0.01, options);
    BloomFilter together(40'000, 0.01, options);
    for (std::uint64_t i = 0; i < 40'000; ++i) {
      alone.add(KeyHash(i));
    }
    std::vector<std::jthread> threads;
    for (std::uint64_t t = 0; t < 4; ++t) {
      threads.emplace_back([&together, t] {
        for (std::uint64_t i = t; i < 40'000; i += 4) {
          together.add_atomic(KeyHash(i));
        }
      });
    }
    threads.clear();
    EXPECT_EQ(together, alone);
  }
}

// --- Files -----------------------------------------------------------------------------------------------------------

BloomFilter filled(const BloomOptions& options, std::uint64_t keys = 10'000) {
  BloomFilter filter(keys, 0.01, options);
  for (std::uint64_t i = 0; i < keys; ++i) {
    filter.add(key_of(i));
  }
  return filter;
}

TEST(Bloom, IsSavedAndLoaded) {
  for (const BloomOptions& options : layouts()) {
    test::expect_same(filled(options));
    test::expect_same(filled(options, 3));
    EXPECT_EQ(test::round_trip(std::vector{filled(options)}).front(), filled(options));
  }
  test::expect_same(BloomFilter());
  EXPECT_EQ(hash(filled({})), hash(filled({})));
}

TEST(Bloom, BitsAreFrozen) {
  // The meaning of the bits is part of the file format and must never change.
  const auto digest = [](const BloomOptions& options) {
    BloomFilter filter(1000, 0.001, options);
    for (std::uint64_t i = 0; i < 1000; ++i) {
      filter.add(key_of(i));
    }
    const auto archive = to_bytes(filter);
    const auto words = open(memory_source(archive)).load<Array<std::uint64_t>>("words");
    std::vector<std::byte> bytes(8 * words.size());
    for (std::size_t i = 0; i < words.size(); ++i) {
      store_le(bytes.data() + 8 * i, words[i]);
    }
    return xxh3_64(bytes);
  };
  EXPECT_EQ(digest({}), 13684290784107634770U);
  EXPECT_EQ(digest({.blocked = true}), 9787640840910035625U);
  EXPECT_EQ(digest({.blocked = true, .seed = 5}), 6926043594472105958U);
}

TEST(Bloom, IsMapped) {
  const Folder folder;
  for (const BloomOptions& options : layouts()) {
    const BloomFilter filter = filled(options);
    save(filter, folder / "filter.stele");
    auto mapped = load<BloomFilter>(folder / "filter.stele", {.map = MapMode::read_only});
    EXPECT_FALSE(mapped.writable());
    EXPECT_EQ(mapped, filter);
    EXPECT_EQ(error_of([&] { mapped.add_atomic("new"); }).code(), Errc::read_only);
    const BloomFilter sharing = mapped;
    EXPECT_FALSE(sharing.writable());
    mapped.add("new");  // copies first
    EXPECT_TRUE(mapped.writable());
    EXPECT_TRUE(mapped.contains("new"));
    EXPECT_FALSE(sharing.contains("new"));
    EXPECT_EQ(load<BloomFilter>(folder / "filter.stele"), filter);

    auto private_copy = load<BloomFilter>(folder / "filter.stele", {.map = MapMode::copy_on_write});
    private_copy.add("new");
    EXPECT_EQ(private_copy, mapped);
    EXPECT_EQ(load<BloomFilter>(folder / "filter.stele"), filter);
  }
}

TEST(Bloom, MappedForWritingChangesTheFile) {
  const Folder folder;
  save(filled({.blocked = true}), folder / "filter.stele");
  {
    const File file = open(folder / "filter.stele", {.map = MapMode::read_write});
    auto filter = file.load<BloomFilter>();
    filter.add("new");
  }
  const auto changed = load<BloomFilter>(folder / "filter.stele", {.verify = Verify::full});
  EXPECT_TRUE(changed.contains("new"));
}

TEST(Bloom, CopiesOfAMappedFilterStayApartWhenSavedAndLoaded) {
  const Folder folder;
  BloomFilter filter = BloomFilter::of_bits(100'000, 5000, {.blocked = true});
  filter.add("old");
  save(filter, folder / "filter.stele");
  const auto mapped = load<BloomFilter>(folder / "filter.stele", {.map = MapMode::read_only});
  auto pair = from_bytes<std::vector<BloomFilter>>(to_bytes(std::vector{mapped, mapped}));
  pair[0].add("new");
  EXPECT_TRUE(pair[0].contains("new"));
  EXPECT_EQ(pair[1], filter);
  EXPECT_EQ(error_of([&] {
              auto again = from_bytes<std::vector<BloomFilter>>(to_bytes(std::vector{mapped, mapped}));
              again[0].add_atomic("new");
            }).code(),
            Errc::read_only);
}

/// The stored form, to write files that a BloomFilter never writes.
struct Stored {
  std::uint32_t version = 1;
  std::uint64_t capacity = 10;
  std::uint64_t hashes = 7;
  bool blocked = false;
  std::uint64_t seed = 0;
  std::vector<std::uint64_t> words = std::vector<std::uint64_t>(8);
  static void visit(auto& v, auto& self) {
    v.version(self.version);
    v("capacity", self.capacity)("hashes", self.hashes)("blocked", self.blocked)("seed", self.seed)("words",
                                                                                                    self.words);
  }
};

TEST(Bloom, RefusesDamagedParameters) {
  const auto code = [](const Stored& stored) {
    const auto bytes = to_bytes(stored);
    return error_of([&] { (void)from_bytes<BloomFilter>(bytes); }).code();
  };
  EXPECT_EQ(from_bytes<BloomFilter>(to_bytes(Stored())).bit_count(), 512U);
  for (const std::uint64_t hashes : {std::uint64_t{0}, std::uint64_t{65}, std::uint64_t{0xffffffff}}) {
    EXPECT_EQ(code({.hashes = hashes}), Errc::damaged);
  }
  EXPECT_EQ(code({.hashes = std::uint64_t{1} << 40}), Errc::out_of_range);
  EXPECT_EQ(code({.blocked = true, .words = std::vector<std::uint64_t>(7)}), Errc::damaged);
  EXPECT_EQ(code({.version = 2}), Errc::unsupported);
  EXPECT_EQ(code({.version = 0}), Errc::type_mismatch);
}

TEST(Bloom, RefusesOtherRecords) {
  const auto bytes = to_bytes(std::map<std::string, int>{{"hashes", 3}});
  EXPECT_EQ(error_of([&] { (void)from_bytes<BloomFilter>(bytes); }).code(), Errc::type_mismatch);
  const auto strided = to_bytes(std::vector<int>{1, 2});
  EXPECT_EQ(error_of([&] { (void)from_bytes<BloomFilter>(strided); }).code(), Errc::type_mismatch);
}

TEST(Bloom, FailedLoadLeavesTheOldFilter) {
  BloomFilter filter(100, 0.001);
  filter.add("kept");
  auto bytes = to_bytes(Stored{.hashes = 70});
  Reader in{Bytes(bytes)};
  EXPECT_EQ(error_of([&] { in.read_into(filter); }).code(), Errc::damaged);
  EXPECT_TRUE(filter.contains("kept"));
}

TEST(Bloom, NoDamagedByteCrashes) {
  const auto whole = to_bytes(filled({.blocked = true}, 20));
  std::size_t refused = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int flip : {1, 0x80}) {
      auto bytes = whole;
      bytes[i] ^= static_cast<std::byte>(flip);
      try {
        auto filter = from_bytes<BloomFilter>(bytes, {.verify = Verify::none});
        for (std::uint64_t k = 0; k < 10; ++k) {
          (void)filter.contains(KeyHash(k));
          if (filter.bit_count() != 0) {
            filter.add(KeyHash(k));
          }
        }
      } catch (const Error&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 0U);
}

}  // namespace
}  // namespace stele
