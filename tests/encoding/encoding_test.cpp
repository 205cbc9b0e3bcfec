// Encodings of arrays: every stage against its definition, every set of kernels against the portable one, limits of
// what a file may contain, and the choice by name. choice_test.cpp tests the choice by trial.

#include "encoding/encoding.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <tuple>

#include "base/bytes.hpp"
#include "encoding/kernels/kernels.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::Data;

Data random_bytes(std::size_t size, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  Data bytes(size);
  for (std::byte& byte : bytes) {
    byte = static_cast<std::byte>(random() >> 56);
  }
  return bytes;
}

template <class Action>
void expect_error(Errc code, Action&& action) {
  EXPECT_EQ(test::error_of(action).code(), code);
}

// ---- the definitions, as slow as they are plain ----

Data reference_shuffle(const Data& in, std::size_t w) {
  const std::size_t n = in.size() / w;
  Data out(in.size());
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < w; ++j) {
      out[j * n + i] = in[i * w + j];
    }
  }
  return out;
}

Data reference_bitshuffle(const Data& in, std::size_t w) {
  const std::size_t n = in.size() / w / 8 * 8;
  Data out(in.size());
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t bit = 0; bit < 8 * w; ++bit) {
      if ((in[i * w + bit / 8] >> (bit % 8) & std::byte{1}) != std::byte{0}) {
        out[bit * (n / 8) + i / 8] |= std::byte{1} << (i % 8);
      }
    }
  }
  std::copy(in.begin() + static_cast<std::ptrdiff_t>(n * w), in.end(),
            out.begin() + static_cast<std::ptrdiff_t>(n * w));
  return out;
}

Data reference_delta(const Data& in, std::size_t w) {
  Data out(in.size());
  const std::uint64_t mask = ~std::uint64_t{0} >> (64 - 8 * w);
  std::uint64_t before = 0;
  for (std::size_t at = 0; at < in.size(); at += w) {
    const std::uint64_t value = load_le(in.data() + at, w);
    const std::uint64_t difference = (value - before) & mask;
    const bool negative = difference >> (8 * w - 1) != 0;
    store_le(out.data() + at, negative ? 2 * (mask - difference) + 1 : 2 * difference, w);
    before = value;
  }
  return out;
}

Data reference_narrow(const Data& in, std::size_t w, std::size_t s, std::uint64_t base) {
  Data out(in.size() / w * s);
  for (std::size_t i = 0; i < in.size() / w; ++i) {
    store_le(out.data() + i * s, load_le(in.data() + i * w, w) - base, s);
  }
  return out;
}

// ---- kernels ----

std::vector<const EncodingKernels*> all_kernels() {
  std::vector<const EncodingKernels*> all = {&portable_kernels()};
  for (const EncodingKernels* kernels : {sse2_kernels(), avx2_kernels()}) {
    if (kernels != nullptr) {
      all.push_back(kernels);
    }
  }
  return all;
}

std::vector<std::size_t> counts() {
  std::vector<std::size_t> all(201);
  std::iota(all.begin(), all.end(), std::size_t{0});
  for (std::size_t more : {255U, 256U, 257U, 1000U, 1024U, 4099U, 32768U, 40007U}) {
    all.push_back(more);
  }
  return all;
}

/// Runs `work(from, to)` with both at odd addresses and a guard after `to`; returns what it wrote.
template <class Work>
Data run_unaligned(const Data& in, std::size_t out_size, Work work) {
  Data from(in.size() + 1);
  std::copy(in.begin(), in.end(), from.begin() + 1);
  Data to(out_size + 3 + 64, std::byte{0xa5});
  work(from.data() + 1, to.data() + 3);
  EXPECT_TRUE(std::all_of(to.end() - 64, to.end(), [](std::byte b) { return b == std::byte{0xa5}; }));
  return {to.begin() + 3, to.end() - 64};
}

class EncodingKernelsTest : public testing::TestWithParam<const EncodingKernels*> {
 protected:
  const EncodingKernels& kernels() const { return *GetParam(); }
};

TEST_P(EncodingKernelsTest, Shuffle) {
  for (std::size_t w : {1U, 2U, 4U, 8U}) {
    for (std::size_t count : counts()) {
      SCOPED_TRACE(std::to_string(count) + " of " + std::to_string(w));
      const Data plain = random_bytes(count * w);
      const Data stored = reference_shuffle(plain, w);
      const std::size_t at = width_index(w);
      EXPECT_EQ(run_unaligned(plain, plain.size(), [&](auto f, auto t) { kernels().shuffle[at](f, count, t); }),
                stored);
      EXPECT_EQ(run_unaligned(stored, plain.size(), [&](auto f, auto t) { kernels().unshuffle[at](f, count, t); }),
                plain);
    }
  }
}

TEST_P(EncodingKernelsTest, BitRows) {
  for (std::size_t count : counts()) {
    SCOPED_TRACE(count);
    const Data plain = random_bytes(8 * count);
    const Data stored = reference_bitshuffle(plain, 1);
    EXPECT_EQ(run_unaligned(plain, plain.size(), [&](auto f, auto t) { kernels().to_bit_rows(f, count, t, count); }),
              stored);
    EXPECT_EQ(run_unaligned(stored, plain.size(), [&](auto f, auto t) { kernels().from_bit_rows(f, count, count, t); }),
              plain);
  }
}

TEST_P(EncodingKernelsTest, Delta) {
  for (std::size_t w : {1U, 2U, 4U, 8U}) {
    for (std::size_t count : counts()) {
      SCOPED_TRACE(std::to_string(count) + " of " + std::to_string(w));
      const Data plain = random_bytes(count * w);
      const Data stored = reference_delta(plain, w);
      const std::size_t at = width_index(w);
      EXPECT_EQ(run_unaligned(plain, plain.size(), [&](auto f, auto t) { kernels().delta[at](f, count, t); }), stored);
      EXPECT_EQ(run_unaligned(stored, plain.size(), [&](auto f, auto t) { kernels().undelta[at](f, count, t); }),
                plain);
      Data in_place = stored;
      kernels().undelta[at](in_place.data(), count, in_place.data());
      EXPECT_EQ(in_place, plain);
    }
  }
}

TEST_P(EncodingKernelsTest, Narrow) {
  for (std::size_t w : {2U, 4U, 8U}) {
    for (std::size_t s = 1; s < w; s *= 2) {
      for (std::size_t count : counts()) {
        SCOPED_TRACE(std::to_string(count) + " of " + std::to_string(w) + " as " + std::to_string(s));
        const std::uint64_t base = 0xfedcba9876543210U >> (64 - 8 * w);
        const Data any = random_bytes(count * w);
        const auto narrow = kernels().narrow[width_index(w)][width_index(s)];
        EXPECT_EQ(run_unaligned(any, count * s, [&](auto f, auto t) { narrow(f, count, base, t); }),
                  reference_narrow(any, w, s, base));
        const Data stored = random_bytes(count * s);
        Data plain(count * w);
        for (std::size_t i = 0; i < count; ++i) {
          store_le(plain.data() + i * w, load_le(stored.data() + i * s, s) + base, w);
        }
        const auto widen = kernels().widen[width_index(w)][width_index(s)];
        EXPECT_EQ(run_unaligned(stored, count * w, [&](auto f, auto t) { widen(f, count, base, t); }), plain);
      }
    }
  }
}

TEST_P(EncodingKernelsTest, Largest) {
  for (std::size_t w : {1U, 2U}) {
    for (std::size_t count : counts()) {
      Data values(count * w);
      for (std::size_t place = 0; place < count; place += std::max<std::size_t>(1, count / 7)) {
        store_le(values.data() + place * w, 200, w);
        EXPECT_EQ(kernels().largest[width_index(w)](values.data(), count), 200U) << count << " of " << w;
        store_le(values.data() + place * w, 0, w);
      }
      EXPECT_EQ(kernels().largest[width_index(w)](values.data(), count), 0U);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, EncodingKernelsTest, testing::ValuesIn(all_kernels()),
                         [](const auto& tested) { return std::string(tested.param->name); });

TEST(EncodingKernels, AreTheFastestThereAre) {
  EXPECT_EQ(&encoding_kernels(), all_kernels().back());
#if defined(__x86_64__)
  EXPECT_NE(sse2_kernels(), nullptr);
  EXPECT_EQ(avx2_kernels() != nullptr, __builtin_cpu_supports("avx2") != 0);
#endif
}

// ---- blocks ----

Elements dense(const Data& bytes, std::uint32_t item_size, ElementClass element_class) {
  return {.count = bytes.size() / item_size, .item_size = item_size, .element_class = element_class, .dense = bytes};
}

/// The same elements, but copied by a function.
Elements gathered(const Elements& elements) {
  Elements copied = elements;
  copied.dense = {};
  copied.gather = [all = elements.dense, w = elements.item_size](std::uint64_t first, std::uint64_t count,
                                                                 std::byte* to) {
    std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(first * w), count * w, to);
  };
  return copied;
}

Data encoded(const Encoding& encoding, const Data& plain) {
  EncodingScratch scratch;
  const std::uint64_t count = plain.size() / encoding.item_size;
  Data stored(encoding.stored_size(count) + 32, std::byte{0xa5});
  for (std::uint64_t first = 0; first < count; first += encoding.block_items) {
    const std::uint64_t items = std::min(encoding.block_items, count - first);
    encode_block(encoding, plain.data() + first * encoding.item_size, items,
                 stored.data() + first / encoding.block_items * encoding.block_stored_size(), scratch);
  }
  EXPECT_TRUE(std::all_of(stored.end() - 32, stored.end(), [](std::byte b) { return b == std::byte{0xa5}; }));
  stored.resize(stored.size() - 32);
  return stored;
}

/// Decodes the last block first: blocks are independent.
Data decoded(const Encoding& encoding, const Data& stored) {
  EncodingScratch scratch;
  const std::uint64_t count = stored.size() / encoding.stored_item_size;
  Data plain(count * encoding.item_size + 32, std::byte{0xa5});
  const std::uint64_t blocks = (count + encoding.block_items - 1) / encoding.block_items;
  for (std::uint64_t block = blocks; block-- > 0;) {
    const std::uint64_t first = block * encoding.block_items;
    decode_block(encoding, stored.data() + block * encoding.block_stored_size(),
                 std::min(encoding.block_items, count - first), plain.data() + first * encoding.item_size, scratch);
  }
  EXPECT_TRUE(std::all_of(plain.end() - 32, plain.end(), [](std::byte b) { return b == std::byte{0xa5}; }));
  plain.resize(plain.size() - 32);
  return plain;
}

/// The encoding as it is read from a file.
Encoding reread(const Encoding& encoding, ElementClass element_class) {
  const std::string name = encoding.name();
  const bool narrow = encoding.first == Encoding::First::narrow;
  return checked_encoding({.name = name,
                           .block_items = encoding.block_items,
                           .stored_item_size = narrow ? encoding.stored_item_size : 0U,
                           .base = encoding.base,
                           .table = encoding.table()},
                          encoding.item_size, element_class);
}

/// Integers of `w` bytes around `middle`, `distinct` different ones.
Data integers(std::size_t count, std::size_t w, std::int64_t middle, std::uint64_t distinct) {
  std::mt19937_64 random(7);
  Data bytes(count * w);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t value = random() % distinct + static_cast<std::uint64_t>(middle) - distinct / 2;
    store_le(bytes.data() + i * w, value, w);
  }
  return bytes;
}

/// The result of the stages of a block by their definitions.
Data reference_block(const Encoding& encoding, Data block) {
  const std::size_t w = encoding.item_size;
  const std::size_t s = encoding.stored_item_size;
  if (encoding.first == Encoding::First::narrow) {
    block = reference_narrow(block, w, s, encoding.base);
  } else if (encoding.first == Encoding::First::palette) {
    std::map<std::uint64_t, std::uint64_t> index;
    for (std::size_t k = 0; k < encoding.table().size() / w; ++k) {
      index[load_le(encoding.table().data() + k * w, w)] = k;
    }
    Data indices(block.size() / w * s);
    for (std::size_t i = 0; i < block.size() / w; ++i) {
      store_le(indices.data() + i * s, index.at(load_le(block.data() + i * w, w)), s);
    }
    block = indices;
  }
  if (encoding.delta) {
    block = reference_delta(block, s);
  }
  if (encoding.last == Encoding::Last::shuffle) {
    block = reference_shuffle(block, s);
  } else if (encoding.last == Encoding::Last::bitshuffle) {
    block = reference_bitshuffle(block, s);
  }
  return block;
}

const std::vector<std::string> all_names = [] {
  std::vector<std::string> names;
  for (const char* first : {"", "narrow", "palette"}) {
    for (const char* delta : {"", "delta"}) {
      for (const char* last : {"", "shuffle", "bitshuffle"}) {
        std::string name;
        for (const std::string part : {first, delta, last}) {
          name += (name.empty() || part.empty() ? "" : "+") + part;
        }
        if (!name.empty()) {
          names.push_back(name);
        }
      }
    }
  }
  return names;
}();

TEST(Encoding, EveryNameIsReadAndWritten) {
  EXPECT_EQ(all_names.size(), 17U);
  const Data plain = integers(3000, 8, -5, 600);  // all stages apply
  for (const std::string& name : all_names) {
    const Encoding encoding = plan_encoding(dense(plain, 8, ElementClass::integer), name);
    EXPECT_EQ(encoding.name(), name);
    EXPECT_FALSE(encoding.is_raw());
    EXPECT_EQ(reread(encoding, ElementClass::integer).name(), name);
  }
}

TEST(Encoding, BlocksAreWhatTheDefinitionSays) {
  for (const std::string& name : all_names) {
    for (std::uint32_t w : {1U, 2U, 4U, 8U}) {
      for (std::uint64_t distinct : {7U, 200U, 3000U}) {
        for (std::size_t count : {1U, 7U, 8U, 63U, 64U, 65U, 200U, 1024U, 4000U}) {
          SCOPED_TRACE(name + ", " + std::to_string(count) + " of " + std::to_string(w));
          const Data plain = integers(count, w, -5, distinct);
          Encoding encoding = plan_encoding(dense(plain, w, ElementClass::integer), name);
          encoding.block_items = 128;
          const Data stored = encoded(encoding, plain);
          Data expected;
          for (std::size_t at = 0; at < plain.size(); at += encoding.block_size()) {
            const auto begin = plain.begin() + static_cast<std::ptrdiff_t>(at);
            const auto size =
                static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(encoding.block_size(), plain.size() - at));
            const Data block = reference_block(encoding, Data(begin, begin + size));
            expected.insert(expected.end(), block.begin(), block.end());
          }
          ASSERT_EQ(stored, expected);
          ASSERT_EQ(decoded(reread(encoding, ElementClass::integer), stored), plain);
        }
      }
    }
  }
}

TEST(Encoding, TheExampleOfTheFormatPage) {
  Data plain(20);
  for (std::size_t i = 0; const std::uint32_t value : {1000U, 1001U, 999U, 1000U, 1003U}) {
    store_le(plain.data() + 4 * i++, value);
  }
  const Encoding encoding =
      checked_encoding({.name = "narrow+delta+shuffle", .block_items = 64, .stored_item_size = 2, .base = 700}, 4,
                       ElementClass::integer);
  Data expected;
  for (int byte : {0x58, 0x02, 0x03, 0x02, 0x06, 0x02, 0x00, 0x00, 0x00, 0x00}) {
    expected.push_back(static_cast<std::byte>(byte));
  }
  EXPECT_EQ(encoded(encoding, plain), expected);
  EXPECT_EQ(decoded(encoding, expected), plain);
}

TEST(Encoding, UsualBlocksOfEveryWidth) {
  for (std::uint32_t w : {1U, 2U, 4U, 8U}) {
    for (const std::string& name : all_names) {
      SCOPED_TRACE(name + " of " + std::to_string(w));
      const std::size_t count = (std::size_t{600} << 10) / w + 5;
      const Data plain = integers(count, w, 1 << 20, 5000);
      const Encoding encoding = plan_encoding(gathered(dense(plain, w, ElementClass::integer)), name);
      EXPECT_EQ(encoding.block_size(), std::uint64_t{256} << 10);
      const Data stored = encoded(encoding, plain);
      EXPECT_EQ(stored.size(), encoding.stored_size(count));
      EXPECT_TRUE(decoded(reread(encoding, ElementClass::integer), stored) == plain);
    }
  }
}

/// Elements of a block, decoded from nothing but the stretches of stored_part().
Data decoded_part(const Encoding& encoding, const Data& block, std::uint64_t block_count, std::uint64_t first,
                  std::uint64_t count) {
  const StoredPart part = stored_part(encoding, block_count, first, count);
  EXPECT_LE(part.first, first);
  EXPECT_GE(part.first + part.count, first + count);
  EXPECT_LE(part.first + part.count, block_count);
  Data stored;
  for (std::uint64_t i = 0; i < part.stretches; ++i) {
    const std::uint64_t at = part.offset + i * part.distance;
    EXPECT_LE(at + part.size, block.size());
    stored.insert(stored.end(), block.begin() + static_cast<std::ptrdiff_t>(at),
                  block.begin() + static_cast<std::ptrdiff_t>(at + part.size));
  }
  EXPECT_EQ(stored.size(), encoding.stored_size(part.count));
  Data plain(part.count * encoding.item_size);
  EncodingScratch scratch;
  decode_block(encoding, stored.data(), part.count, plain.data(), scratch);
  const auto begin = plain.begin() + static_cast<std::ptrdiff_t>((first - part.first) * encoding.item_size);
  return Data(begin, begin + static_cast<std::ptrdiff_t>(count * encoding.item_size));
}

TEST(Encoding, PartsOfBlocks) {
  std::mt19937_64 random(9);
  for (const std::string& name : all_names) {
    for (std::uint32_t w : {1U, 2U, 4U, 8U}) {
      for (std::size_t block_count : {1U, 9U, 64U, 1000U, 1003U}) {
        const Data plain = integers(block_count, w, -5, 200);
        Encoding encoding = plan_encoding(dense(plain, w, ElementClass::integer), name);
        encoding.block_items = 1024;
        const Data block = encoded(encoding, plain);
        for (int round = 0; round < 20; ++round) {
          const std::uint64_t first = random() % block_count;
          const std::uint64_t count = 1 + random() % (block_count - first);
          SCOPED_TRACE(name + ", " + std::to_string(first) + " to " + std::to_string(first + count) + " of " +
                       std::to_string(block_count) + " of " + std::to_string(w));
          const auto begin = plain.begin() + static_cast<std::ptrdiff_t>(first * w);
          ASSERT_TRUE(decoded_part(encoding, block, block_count, first, count) ==
                      Data(begin, begin + static_cast<std::ptrdiff_t>(count * w)));
        }
      }
    }
  }
}

TEST(Encoding, APartIsNoLargerThanItMustBe) {
  const Data plain = integers(1000, 4, 0, 200);
  const auto stored_bytes = [&](const char* name) {
    const StoredPart part = stored_part(plan_encoding(dense(plain, 4, ElementClass::real), name), 1000, 496, 16);
    return part.stretches * part.size;
  };
  EXPECT_EQ(stored_bytes("shuffle"), 64U);
  EXPECT_EQ(stored_bytes("bitshuffle"), 64U);
  EXPECT_EQ(stored_bytes("palette"), 16U);
  EXPECT_EQ(stored_bytes("delta"), 4U * 512);  // from the beginning of the block on
}

TEST(Encoding, PartsOfBits) {
  Data block;
  for (int i = 0; i < 13; ++i) {
    block.push_back(static_cast<std::byte>(i == 12 ? 0x0d : 0x35 + 7 * i));
  }
  const std::uint64_t block_count = 100;
  const Data plain = decoded_part(bits_encoding(), block, block_count, 0, block_count);
  for (std::uint64_t first = 0; first < block_count; ++first) {
    for (std::uint64_t count = 1; count <= block_count - first; ++count) {
      const auto begin = plain.begin() + static_cast<std::ptrdiff_t>(first);
      ASSERT_TRUE(decoded_part(bits_encoding(), block, block_count, first, count) ==
                  Data(begin, begin + static_cast<std::ptrdiff_t>(count)));
    }
  }
}

TEST(Encoding, ItemsOfAnySize) {
  for (std::uint32_t w : {1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 9U, 10U, 11U, 12U, 13U, 14U, 15U, 16U, 33U, 1000U, 4096U}) {
    for (std::size_t count : {0U, 1U, 7U, 8U, 9U, 64U, 130U, 300U, 1500U}) {
      const Data plain = random_bytes(count * w, w);
      for (const char* name : {"shuffle", "bitshuffle"}) {
        SCOPED_TRACE(std::string(name) + ", " + std::to_string(count) + " of " + std::to_string(w));
        Encoding encoding = plan_encoding(dense(plain, w, ElementClass::other), name);
        EXPECT_EQ(encoding.block_items % 64, 0U);
        EXPECT_LE(encoding.block_size(), std::uint64_t{256} << 10);
        encoding.block_items = 2048;
        const Data stored = encoded(encoding, plain);
        ASSERT_TRUE(stored == reference_block(encoding, plain));
        ASSERT_TRUE(decoded(encoding, stored) == plain);
      }
    }
  }
}

TEST(Encoding, ExtremesAreNarrowed) {
  constexpr std::uint64_t lowest = std::uint64_t{1} << 63;
  for (const auto& [element_class, values, width] :
       std::vector<std::tuple<ElementClass, std::vector<std::uint64_t>, std::uint32_t>>{
           {ElementClass::integer, {lowest, lowest + 255}, 1},
           {ElementClass::integer, {lowest, lowest + 256}, 2},
           {ElementClass::integer, {~std::uint64_t{0}, 0, 65534}, 2},
           {ElementClass::integer, {~std::uint64_t{0}, 0, 65535}, 4},
           {ElementClass::integer, {lowest, lowest - 1}, 8},
           {ElementClass::natural, {~std::uint64_t{0}, 0}, 8},
           {ElementClass::natural, {lowest - 1, lowest}, 1},
           {ElementClass::natural, {0, 0xffffffff}, 4},
           {ElementClass::natural, {1, 0x100000001}, 8},
           {ElementClass::natural, {42, 42}, 1}}) {
    Data plain(values.size() * 8);
    for (std::size_t i = 0; i < values.size(); ++i) {
      store_le(plain.data() + 8 * i, values[i]);
    }
    const Encoding encoding = plan_encoding(dense(plain, 8, element_class), "narrow");
    EXPECT_EQ(encoding.stored_item_size, width) << values.back();
    EXPECT_EQ(decoded(reread(encoding, element_class), encoded(encoding, plain)), plain);
  }
}

TEST(Encoding, StagesThatCannotHelpAreLeftOut) {
  const Data small = integers(1000, 8, 0, 100);
  const Data wide = random_bytes(80'000);
  Data pairs(20'000);  // 300 values of two bytes
  for (std::size_t i = 0; i < 10'000; ++i) {
    store_le<std::uint16_t>(pairs.data() + 2 * i, static_cast<std::uint16_t>(i % 300 * 200));
  }
  const auto planned = [](const Data& data, std::uint32_t w, ElementClass element_class, const char* name) {
    return plan_encoding(dense(data, w, element_class), name).name();
  };
  EXPECT_EQ(planned(small, 8, ElementClass::real, "narrow+delta+shuffle"), "delta+shuffle");
  EXPECT_EQ(planned(wide, 8, ElementClass::natural, "narrow+bitshuffle"), "bitshuffle");
  EXPECT_EQ(planned(wide, 1, ElementClass::natural, "narrow"), "raw");
  EXPECT_EQ(planned(small, 8, ElementClass::integer, "narrow+shuffle"), "narrow");  // to single bytes
  EXPECT_EQ(planned(small, 8, ElementClass::real, "palette+shuffle"), "palette");
  EXPECT_EQ(planned(wide, 8, ElementClass::real, "palette+shuffle"), "shuffle");  // the table would be larger
  EXPECT_EQ(planned(pairs, 2, ElementClass::real, "palette"), "raw");             // indices would have two bytes
  EXPECT_EQ(planned(wide, 1, ElementClass::natural, "palette+shuffle"), "raw");
  EXPECT_EQ(planned(wide, 16, ElementClass::other, "palette+bitshuffle"), "bitshuffle");
  EXPECT_EQ(planned(wide, 8, ElementClass::other, "delta+shuffle"), "shuffle");
  EXPECT_EQ(planned(wide, 8, ElementClass::other, "none"), "raw");
  EXPECT_EQ(planned({}, 8, ElementClass::integer, "narrow+delta+shuffle"), "raw");
  EXPECT_EQ(planned(wide, 5000, ElementClass::other, "shuffle"), "raw");
}

TEST(Encoding, PaletteHasUpTo65536Patterns) {
  for (std::size_t distinct : {1U, 256U, 257U, 65536U, 65537U}) {
    for (std::uint32_t w : {4U, 8U}) {
      SCOPED_TRACE(std::to_string(distinct) + " of " + std::to_string(w));
      Data plain(3 * 65537 * w);
      for (std::size_t i = 0; i < plain.size() / w; ++i) {
        store_le(plain.data() + i * w, i % distinct * 0x9e3779b1U, w);
      }
      const Encoding encoding = plan_encoding(dense(plain, w, ElementClass::real), "palette");
      if (distinct > 65536) {
        EXPECT_TRUE(encoding.is_raw());
        continue;
      }
      EXPECT_EQ(encoding.stored_item_size, distinct > 256 ? 2U : 1U);
      EXPECT_EQ(encoding.table().size(), distinct * w);
      EXPECT_TRUE(decoded(reread(encoding, ElementClass::real), encoded(encoding, plain)) == plain);
    }
  }
}

TEST(Encoding, PaletteDistinguishesEveryPattern) {
  const std::vector<double> values = {0.0,
                                      -0.0,
                                      1.5,
                                      std::numeric_limits<double>::infinity(),
                                      std::bit_cast<double>(0x7ff8000000000001),
                                      std::bit_cast<double>(0x7ff8000000000002)};
  Data plain(8 * 600);
  for (std::size_t i = 0; i < 600; ++i) {
    store_le(plain.data() + 8 * i, std::bit_cast<std::uint64_t>(values[i * i % values.size()]));
  }
  const Encoding encoding = plan_encoding(dense(plain, 8, ElementClass::real), "palette");
  EXPECT_EQ(encoding.name(), "palette");
  EXPECT_EQ(decoded(encoding, encoded(encoding, plain)), plain);
}

TEST(Encoding, UnknownNames) {
  const Data plain = random_bytes(800);
  for (const char* name : {"", "raw", "auto", "+", "shuffle+", "+shuffle", "shuffle+delta", "delta+delta", "Shuffle",
                           "narrow+palette", "shuffle+bitshuffle", "delta++shuffle", "shuffled", "delta+none"}) {
    SCOPED_TRACE(name);
    expect_error(Errc::invalid_argument, [&] { plan_encoding(dense(plain, 8, ElementClass::real), name); });
    if (std::string_view(name) != "raw") {
      expect_error(Errc::unsupported,
                   [&] { checked_encoding({.name = name, .block_items = 64}, 8, ElementClass::real); });
    }
  }
}

// ---- files ----

TEST(Encoding, ImpossibleParametersAreErrors) {
  const auto integer = ElementClass::integer;
  const auto checked = [](const StoredEncoding& stored, std::uint64_t item_size, ElementClass element_class) {
    return [=] { checked_encoding(stored, item_size, element_class); };
  };
  const Data ascending = {std::byte{1}, std::byte{0}, std::byte{0}, std::byte{1}};
  const Data equal = {std::byte{1}, std::byte{1}, std::byte{1}, std::byte{1}};
  const Data descending = {std::byte{0}, std::byte{1}, std::byte{1}, std::byte{0}};
  Data long_table(2 * 65537 * 4);
  for (std::uint32_t i = 0; i < 65537; ++i) {
    store_le(long_table.data() + 4 * i, i);
  }
  long_table.resize(4 * 65537);
  const auto bad = Errc::malformed;
  const auto unsupported = Errc::unsupported;
  EXPECT_NO_THROW(checked({.name = "palette", .block_items = 64, .table = ascending}, 2, integer)());
  for (const auto& [code, attempt] : std::vector<std::pair<Errc, std::function<void()>>>{
           {bad, checked({.name = "shuffle", .block_items = 0}, 4, integer)},
           {bad, checked({.name = "shuffle", .block_items = 32}, 4, integer)},
           {bad, checked({.name = "shuffle", .block_items = 100}, 4, integer)},
           {unsupported, checked({.name = "shuffle", .block_items = std::uint64_t{1} << 63}, 4, integer)},
           {unsupported, checked({.name = "shuffle", .block_items = (std::uint64_t{1} << 20) + 64}, 4, integer)},
           {unsupported, checked({.name = "shuffle", .block_items = 64}, 0, integer)},
           {unsupported, checked({.name = "shuffle", .block_items = 64}, 4097, integer)},
           {unsupported, checked({.name = "shuffle", .block_items = 64}, ~std::uint64_t{0}, integer)},
           {bad, checked({.name = "delta", .block_items = 64}, 3, integer)},
           {bad, checked({.name = "delta+shuffle", .block_items = 64}, 16, integer)},
           {bad, checked({.name = "narrow", .block_items = 64, .stored_item_size = 1}, 1, integer)},
           {bad, checked({.name = "narrow", .block_items = 64, .stored_item_size = 0}, 4, integer)},
           {bad, checked({.name = "narrow", .block_items = 64, .stored_item_size = 3}, 4, integer)},
           {bad, checked({.name = "narrow", .block_items = 64, .stored_item_size = 4}, 4, integer)},
           {bad, checked({.name = "narrow", .block_items = 64, .stored_item_size = 8}, 4, integer)},
           {bad, checked({.name = "narrow", .block_items = 64, .stored_item_size = 4}, 16, integer)},
           {bad, checked({.name = "narrow", .block_items = 64, .stored_item_size = 1}, 4, ElementClass::real)},
           {bad, checked({.name = "narrow", .block_items = 64, .stored_item_size = 1}, 4, ElementClass::other)},
           {bad, checked({.name = "narrow", .block_items = 64, .stored_item_size = 1, .base = 65536}, 2, integer)},
           {bad, checked({.name = "palette", .block_items = 64}, 4, integer)},
           {bad, checked({.name = "palette", .block_items = 64, .table = ascending}, 8, integer)},
           {bad, checked({.name = "palette", .block_items = 64, .table = ascending}, 1, integer)},
           {bad, checked({.name = "palette", .block_items = 64, .table = ascending}, 16, integer)},
           {bad, checked({.name = "palette", .block_items = 64, .table = equal}, 2, integer)},
           {bad, checked({.name = "palette", .block_items = 64, .table = descending}, 2, integer)},
           {bad, checked({.name = "palette", .block_items = 64, .table = long_table}, 4, integer)},
           {bad,
            checked({.name = "palette", .block_items = 64, .table = Bytes(long_table).first(2 * 257)}, 2, integer)}}) {
    expect_error(code, attempt);
  }
}

TEST(Encoding, AnyStoredBytesDecodeOrAreDamaged) {
  std::vector<std::byte> table;
  for (std::uint32_t i = 0; i < 300; ++i) {
    table.resize(table.size() + 4);
    store_le(table.data() + 4 * i, 3 * i);
  }
  for (std::size_t entries : {1U, 100U, 256U, 300U}) {
    for (const char* name : {"palette", "palette+delta+bitshuffle", "palette+delta+shuffle", "palette+bitshuffle"}) {
      SCOPED_TRACE(std::string(name) + ", " + std::to_string(entries));
      const Encoding encoding = checked_encoding(
          {.name = name, .block_items = 1024, .table = Bytes(table).first(4 * entries)}, 4, ElementClass::real);
      for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const Data stored = random_bytes(1024 * encoding.stored_item_size, seed);
        if (entries == 256) {
          EXPECT_EQ(decoded(encoding, stored).size(), 4096U);
        } else {
          expect_error(Errc::damaged, [&] { decoded(encoding, stored); });
        }
      }
    }
  }
}

TEST(Encoding, AnIndexJustBeyondThePaletteIsDamage) {
  Data plain(8 * 1000);
  for (std::size_t i = 0; i < 1000; ++i) {
    store_le(plain.data() + 8 * i, 1000 + i % 10);
  }
  const Encoding encoding = plan_encoding(dense(plain, 8, ElementClass::real), "palette");
  for (std::size_t place : {0U, 1U, 500U, 998U, 999U}) {
    Data stored = encoded(encoding, plain);
    stored[place] = std::byte{9};
    EXPECT_NO_THROW(decoded(encoding, stored));
    stored[place] = std::byte{10};
    expect_error(Errc::damaged, [&] { decoded(encoding, stored); });
  }
}

}  // namespace
}  // namespace stele
