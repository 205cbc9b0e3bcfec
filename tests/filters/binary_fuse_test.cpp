#include "stele/filters/binary_fuse.hpp"

#include <cmath>

#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::Folder;

KeyHash key_of(std::uint64_t i) { return i % 2 == 0 ? KeyHash(i) : KeyHash("key " + std::to_string(i)); }

std::vector<KeyHash> keys_of(std::uint64_t count, std::uint64_t first = 0) {
  std::vector<KeyHash> keys;
  for (std::uint64_t i = 0; i < count; ++i) {
    keys.push_back(key_of(first + i));
  }
  return keys;
}

template <class Filter>
class Fuse : public testing::Test {};
using Filters = testing::Types<BinaryFuse, BinaryFuse16>;
TYPED_TEST_SUITE(Fuse, Filters);

TYPED_TEST(Fuse, HasNoFalseNegativesAtAnySize) {
  for (std::uint64_t count = 0; count <= 300; ++count) {
    const auto keys = keys_of(count);
    const TypeParam filter(keys);
    EXPECT_EQ(filter.size(), count);
    for (const KeyHash key : keys) {
      ASSERT_TRUE(filter.contains(key)) << count;
    }
  }
  for (const std::uint64_t count : {1000U, 12'345U, 100'000U, 400'000U}) {
    const auto keys = keys_of(count);
    const TypeParam filter(keys, count);
    for (const KeyHash key : keys) {
      ASSERT_TRUE(filter.contains(key)) << count;
    }
  }
}

TYPED_TEST(Fuse, ErrsAtItsRate) {
  const TypeParam filter(keys_of(100'000));
  constexpr std::uint64_t asked = test::sanitized ? 300'000 : 3'000'000;
  std::uint64_t hits = 0;
  for (std::uint64_t i = 0; i < asked; ++i) {
    hits += filter.contains(KeyHash(1'000'000'000 + i)) ? 1 : 0;
  }
  const double mean = filter.false_positive_rate() * static_cast<double>(asked);
  EXPECT_NEAR(static_cast<double>(hits), mean, 5 * std::sqrt(mean) + 1);
}

TYPED_TEST(Fuse, IsSmall) {
  const TypeParam filter(keys_of(300'000));
  const double width = -std::log2(filter.false_positive_rate());
  const double bits_per_key = 8 * static_cast<double>(filter.byte_count()) / static_cast<double>(filter.size());
  EXPECT_LT(bits_per_key, 1.18 * width);  // 1.125 from a million keys on
}

TYPED_TEST(Fuse, KeysMayRepeat) {
  auto keys = keys_of(5000);
  const TypeParam once(keys, 1);
  for (int i = 0; i < 5; ++i) {
    const auto more = keys_of(5000 / (i + 1));
    keys.insert(keys.end(), more.begin(), more.end());
  }
  const TypeParam filter(keys, 0);
  EXPECT_EQ(filter.size(), 5000U);
  EXPECT_EQ(filter.byte_count(), once.byte_count());
  for (const KeyHash key : keys) {
    ASSERT_TRUE(filter.contains(key));
  }
  const std::vector<KeyHash> same(1000, KeyHash("one"));
  const TypeParam one(same);
  EXPECT_EQ(one.size(), 1U);
  EXPECT_TRUE(one.contains("one"));
}

TYPED_TEST(Fuse, WithoutKeysContainsNothing) {
  const TypeParam none;
  EXPECT_FALSE(none.contains("a"));
  EXPECT_EQ(none, TypeParam(std::span<const KeyHash>()));
  EXPECT_EQ(none.byte_count(), 0U);
  EXPECT_EQ(none.false_positive_rate(), 0);
}

TYPED_TEST(Fuse, ManyAtOnceAnswersAsOneByOne) {
  const TypeParam filter(keys_of(2000));
  const auto keys = keys_of(3000, 1500);
  std::vector<std::uint8_t> found(keys.size(), 7);
  const std::size_t hits = filter.contains_many(keys, found);
  std::size_t expected = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(found[i], filter.contains(keys[i]) ? 1 : 0);
    expected += found[i];
  }
  EXPECT_EQ(hits, expected);
  EXPECT_GE(hits, 500U);
  EXPECT_EQ(error_of([&] { (void)filter.contains_many(keys, std::span(found).first(1)); }).code(),
            Errc::invalid_argument);
}

TYPED_TEST(Fuse, IsSavedLoadedAndMapped) {
  const Folder folder;
  const TypeParam filter(keys_of(10'000));
  test::expect_same(filter);
  test::expect_same(TypeParam());
  test::expect_same(TypeParam(keys_of(1)));
  save(filter, folder / "filter.stele");
  const auto mapped = load<TypeParam>(folder / "filter.stele", {.map = MapMode::read_only});
  EXPECT_FALSE(mapped.writable());
  EXPECT_EQ(mapped, filter);
  EXPECT_TRUE(mapped.contains(key_of(77)));
}

// The form of docs/guide/filters.md, written down once more: other programs may read the file so.
template <class Fingerprint>
bool look_up(const std::vector<Fingerprint>& fingerprints, std::uint64_t segment_length, std::uint64_t seed,
             KeyHash key) {
  const auto product = [](std::uint64_t a, std::uint64_t b) {  // high and low half
    const std::uint64_t low = (a & 0xffffffff) * (b & 0xffffffff);
    const std::uint64_t one = (a >> 32) * (b & 0xffffffff) + (low >> 32);
    const std::uint64_t two = (a & 0xffffffff) * (b >> 32) + (one & 0xffffffff);
    return std::pair((a >> 32) * (b >> 32) + (one >> 32) + (two >> 32), a * b);
  };
  const auto [high, low] = product(key.hash() ^ seed, 0x9fb21c651e98df25U);
  const std::uint64_t h = high ^ low;
  const std::uint64_t first = product(h, fingerprints.size() - 2 * segment_length).first;
  const std::uint64_t second = (first + segment_length) ^ (h >> 18 & (segment_length - 1));
  const std::uint64_t third = (first + 2 * segment_length) ^ (h & (segment_length - 1));
  return static_cast<Fingerprint>(h ^ h >> 32) ==
         static_cast<Fingerprint>(fingerprints[first] ^ fingerprints[second] ^ fingerprints[third]);
}

TYPED_TEST(Fuse, LooksUpAsTheFormatSays) {
  using Fingerprint = std::conditional_t<std::is_same_v<TypeParam, BinaryFuse>, std::uint8_t, std::uint16_t>;
  const TypeParam filter(keys_of(5000), 17);
  const auto archive = to_bytes(filter);
  const File file = open(memory_source(archive));
  const auto fingerprints = file.load<std::vector<Fingerprint>>("fingerprints");
  const auto segment_length = file.load<std::uint64_t>("segment_length");
  for (std::uint64_t i = 0; i < 50'000; ++i) {
    ASSERT_EQ(look_up(fingerprints, segment_length, filter.seed(), key_of(i)), filter.contains(key_of(i))) << i;
  }
  EXPECT_TRUE(look_up(fingerprints, segment_length, filter.seed(), key_of(4999)));
}

TEST(BinaryFuse, AFileIsReadByItsOwnWidthOnly) {
  const auto narrow = to_bytes(BinaryFuse(keys_of(100)));
  EXPECT_EQ(error_of([&] { (void)from_bytes<BinaryFuse16>(narrow); }).code(), Errc::damaged);
}

struct Stored {
  std::uint32_t bits = 8;
  std::uint64_t count = 5;
  std::uint64_t segment_length = 8;
  std::vector<std::uint8_t> fingerprints = std::vector<std::uint8_t>(24);
  std::uint32_t version = 1;
  static void visit(auto& v, auto& self) {
    v.version(self.version);
    v("bits", self.bits)("count", self.count)("segment_length", self.segment_length);
    v("fingerprints", self.fingerprints);
  }
};

TEST(BinaryFuse, RefusesDamagedFiles) {
  const auto code = [](const Stored& stored) {
    const auto bytes = to_bytes(stored);
    return error_of([&] { (void)from_bytes<BinaryFuse>(bytes); }).code();
  };
  EXPECT_EQ(code({.bits = 9}), Errc::damaged);
  EXPECT_EQ(code({.segment_length = 0}), Errc::damaged);
  EXPECT_EQ(code({.segment_length = 6}), Errc::damaged);
  EXPECT_EQ(code({.segment_length = 16}), Errc::damaged);
  EXPECT_EQ(code({.segment_length = std::uint64_t{1} << 33}), Errc::out_of_range);
  EXPECT_EQ(code({.fingerprints = std::vector<std::uint8_t>(23)}), Errc::damaged);
  EXPECT_EQ(code({.fingerprints = std::vector<std::uint8_t>(16)}), Errc::damaged);
  EXPECT_EQ(code({.fingerprints = {}}), Errc::damaged);
  EXPECT_EQ(code({.version = 2}), Errc::unsupported);
  const auto good = to_bytes(Stored());
  const auto filter = from_bytes<BinaryFuse>(good);
  for (int i = 0; i < 1000; ++i) {
    (void)filter.contains(i);
  }
}

TEST(BinaryFuse, NoDamagedByteCrashes) {
  const auto whole = to_bytes(BinaryFuse(keys_of(20)));
  std::size_t refused = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    auto bytes = whole;
    bytes[i] ^= std::byte{0x21};
    try {
      const auto filter = from_bytes<BinaryFuse>(bytes, {.verify = Verify::none});
      for (int k = 0; k < 50; ++k) {
        (void)filter.contains(k);
      }
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 0U);
}

}  // namespace
}  // namespace stele
