// The choice of an encoding by trial, on realistic arrays and with the compressors of this build.

#include <gtest/gtest.h>

#if STELE_WITH_LZ4
#include <lz4.h>
#endif

#include <functional>
#include <memory>
#include <set>

#include "encoding/data.hpp"
#include "stele/codec.hpp"

namespace stele {
namespace {

using CompressedSize = std::function<std::size_t(Bytes)>;
using Names = std::set<std::string>;

constexpr std::size_t mib = std::size_t{1} << 20;

/// A codec at its fastest level, or nothing where this build does not have it. lz4 is called for itself, without a
/// frame.
CompressedSize compressor(std::string_view name) {
#if STELE_WITH_LZ4
  if (name == "lz4") {
    return [out = std::vector<char>(static_cast<std::size_t>(LZ4_compressBound(mib)))](Bytes bytes) mutable {
      return static_cast<std::size_t>(LZ4_compress_default(reinterpret_cast<const char*>(bytes.data()), out.data(),
                                                           static_cast<int>(bytes.size()),
                                                           static_cast<int>(out.size())));
    };
  }
#endif
  static const Codecs codecs;
  const auto codec = codecs.find(name);
  if (codec == nullptr) {
    return nullptr;
  }
  std::shared_ptr<BlockEncoder> encoder = codec->encoder(codec->levels().lowest);
  return [encoder, out = std::make_shared<std::vector<std::byte>>()](Bytes bytes) {
    out->clear();
    encoder->encode(bytes, *out);
    return out->size();
  };
}

/// The bytes of a whole array and its table.
std::size_t encoded_and_compressed(const test::ExampleArray& array, const Encoding& encoding,
                                   const CompressedSize& compressed_size) {
  std::vector<std::byte> stored(encoding.stored_size(array.count()));
  EncodingScratch scratch;
  for (std::uint64_t first = 0; first < array.count(); first += encoding.block_items) {
    encode_block(encoding, array.bytes.data() + first * encoding.item_size,
                 std::min(encoding.block_items, array.count() - first),
                 stored.data() + first * encoding.stored_item_size, scratch);
  }
  std::size_t size = encoding.table().size();
  for (std::size_t at = 0; at < stored.size(); at += mib) {
    size += compressed_size(Bytes(stored).subspan(at, std::min(mib, stored.size() - at)));
  }
  return size;
}

const std::vector<test::ExampleArray>& arrays() {
  static const std::vector<test::ExampleArray> all = test::example_arrays(mib);
  return all;
}

class EncodingChoice : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!compressed_size_) {
      GTEST_SKIP() << "this build has no " << GetParam();
    }
  }
  const CompressedSize compressed_size_ = compressor(GetParam());
};

TEST_P(EncodingChoice, IsNearTheBest) {
  for (const test::ExampleArray& array : arrays()) {
    SCOPED_TRACE(array.name);
    const Encoding chosen = choose_encoding(array.elements(), compressed_size_);
    const std::size_t size = encoded_and_compressed(array, chosen, compressed_size_);
    const std::size_t raw_size =
        encoded_and_compressed(array, plan_encoding(array.elements(), "none"), compressed_size_);
    std::size_t best = raw_size;
    std::string best_name = "none";
    for (const char* name : {"shuffle", "bitshuffle", "delta+shuffle", "delta+bitshuffle", "narrow", "narrow+shuffle",
                             "narrow+bitshuffle", "narrow+delta+bitshuffle", "palette", "palette+delta",
                             "palette+shuffle", "palette+bitshuffle", "palette+delta+bitshuffle"}) {
      const std::size_t its = encoded_and_compressed(array, plan_encoding(array.elements(), name), compressed_size_);
      if (its < best) {
        best = its;
        best_name = name;
      }
    }
    EXPECT_LE(size, raw_size) << chosen.name();
    EXPECT_LE(static_cast<double>(size),
              1.12 * static_cast<double>(best) + 0.005 * static_cast<double>(array.bytes.size()))
        << chosen.name() << " of " << size << " bytes, but " << best_name << " of " << best;
  }
}

TEST_P(EncodingChoice, IsWhatIsExpected) {
  const std::vector<std::pair<std::string, Names>> expected = {
      {"float32 weights", {"shuffle", "bitshuffle"}},
      {"bfloat16 weights", {"shuffle", "bitshuffle"}},
      {"float32 pictures", {"palette", "palette+delta", "palette+bitshuffle"}},
      {"int64 counts", {"narrow", "narrow+bitshuffle"}},
      {"float64 walk", {"delta+shuffle", "delta+bitshuffle"}},
      {"float32 field", {"delta+shuffle", "delta+bitshuffle"}},
      {"int64 timestamps", {"narrow+delta+shuffle", "narrow+delta+bitshuffle"}},
      {"float64 2 decimals", {"palette", "palette+shuffle", "palette+bitshuffle"}},
      {"float64 3 decimals", {"raw"}},  // a shuffle hurts
      {"float32 mostly 0", {"raw"}},
      {"float32 zeros", {"raw"}},
      {"text", {"raw"}},
      {"random bytes", {"raw"}},
      {"uint64 hashes", {"raw"}},
      {"bool mask", {"bitshuffle"}}};
  for (const auto& [name, names] : expected) {
    for (const test::ExampleArray& array : arrays()) {
      if (array.name == name) {
        const std::string chosen = choose_encoding(array.elements(), compressed_size_).name();
        EXPECT_TRUE(names.contains(chosen)) << name << ": " << chosen;
      }
    }
  }
}

TEST_P(EncodingChoice, IsTheSameEachTimeAndForGatheredElements) {
  for (const test::ExampleArray& array : arrays()) {
    SCOPED_TRACE(array.name);
    const Encoding first = choose_encoding(array.elements(), compressed_size_);
    Elements gathered = array.elements();
    gathered.dense = {};
    gathered.gather = [&](std::uint64_t from, std::uint64_t count, std::byte* to) {
      ASSERT_LE(from + count, array.count());
      std::copy_n(array.bytes.data() + from * array.item_size, count * array.item_size, to);
    };
    const Encoding again = choose_encoding(gathered, compressed_size_);
    EXPECT_EQ(again.name(), first.name());
    EXPECT_EQ(again.base, first.base);
    EXPECT_EQ(again.stored_item_size, first.stored_item_size);
    EXPECT_TRUE(std::ranges::equal(again.table(), first.table()));
  }
}

INSTANTIATE_TEST_SUITE_P(All, EncodingChoice, testing::Values("gzip", "zstd", "lz4"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST(EncodingChoiceCost, LittleIsCompressed) {
  for (const test::ExampleArray& array : arrays()) {
    std::size_t tried = 0;
    choose_encoding(array.elements(), [&](Bytes bytes) {
      EXPECT_LE(bytes.size(), std::size_t{192} << 10);
      tried += bytes.size();
      return bytes.size();
    });
    EXPECT_GT(tried, 0U);
    EXPECT_LE(tried, array.bytes.size() / 18) << array.name;
  }
}

TEST(EncodingChoiceCost, SmallArraysStayRaw) {
  const std::vector<std::byte> bytes(16383);
  for (std::uint32_t item_size : {1U, 2U, 4U, 8U, 12U, 5000U}) {
    const Elements elements{.count = bytes.size() / item_size,
                            .item_size = item_size,
                            .element_class = ElementClass::natural,
                            .dense = bytes};
    const Encoding encoding = choose_encoding(elements, [](Bytes) -> std::size_t {
      ADD_FAILURE() << "a trial";
      return 0;
    });
    EXPECT_TRUE(encoding.is_raw());
  }
}

TEST(EncodingChoiceCost, OneOutlierIsSeenBeforeAnArrayIsNarrowed) {
  test::ExampleArray array = test::example<std::int64_t>("counts", mib / 8, [n = 0]() mutable { return n++ % 50; });
  const CompressedSize same = [](Bytes bytes) { return bytes.size(); };
  const Encoding small = choose_encoding(array.elements(), same);
  EXPECT_EQ(small.stored_item_size, 1U);
  for (const auto& [outlier, stored_item_size] :
       {std::pair<std::int64_t, std::uint32_t>{-1, 1}, {300, 2}, {-70'000, 4}, {std::int64_t{1} << 40, 8}}) {
    const std::int64_t before = 7;
    std::memcpy(array.bytes.data() + 12345 * 8, &outlier, 8);
    const Encoding encoding = choose_encoding(array.elements(), same);
    if (encoding.first != Encoding::First::palette) {  // a palette distinguishes one more value
      EXPECT_EQ(encoding.stored_item_size, stored_item_size) << outlier;
    }
    EncodingScratch scratch;
    std::vector<std::byte> stored(encoding.block_stored_size());
    std::vector<std::byte> decoded(encoding.block_size());
    encode_block(encoding, array.bytes.data(), encoding.block_items, stored.data(), scratch);
    decode_block(encoding, stored.data(), encoding.block_items, decoded.data(), scratch);
    EXPECT_TRUE(std::equal(decoded.begin(), decoded.end(), array.bytes.begin())) << outlier;
    std::memcpy(array.bytes.data() + 12345 * 8, &before, 8);
  }
}

}  // namespace
}  // namespace stele
