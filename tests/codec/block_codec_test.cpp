// User-defined codecs from two functions. Tests for all codecs are in codec_test.cpp.

#include "stele/block_codec.hpp"

#include "codec/support.hpp"

namespace stele {
namespace {

Errc refused(void (*change)(BlockFunctions&)) {
  return code_of([&] {
    BlockFunctions functions = own_functions();
    change(functions);
    block_codec(functions);
  });
}

TEST(BlockCodec, RefusesFunctionsThatCannotServe) {
  EXPECT_EQ(refused([](BlockFunctions& f) { f.name.clear(); }), Errc::invalid_argument);
  EXPECT_EQ(refused([](BlockFunctions& f) { f.compress = nullptr; }), Errc::invalid_argument);
  EXPECT_EQ(refused([](BlockFunctions& f) { f.decompress = nullptr; }), Errc::invalid_argument);
  EXPECT_EQ(refused([](BlockFunctions& f) { f.magic = "own"; }), Errc::invalid_argument);
  EXPECT_EQ(refused([](BlockFunctions& f) { f.magic = "thirteen byte"; }), Errc::invalid_argument);
  EXPECT_EQ(refused([](BlockFunctions& f) { f.block_size = 0; }), Errc::invalid_argument);
  EXPECT_EQ(refused([](BlockFunctions& f) { f.block_size = 65 * mib; }), Errc::invalid_argument);
  EXPECT_EQ(refused([](BlockFunctions& f) { f.levels.standard = 4; }), Errc::invalid_argument);
  EXPECT_EQ(refused([](BlockFunctions& f) { f.extensions = {"own"}; }), Errc::invalid_argument);
  EXPECT_EQ(message_of([] { block_codec({.name = "x", .magic = "xxxx"}); }),
            "block_codec(\"x\"): it needs both functions");
}

TEST(BlockCodec, StoresABlockThatDoesNotShrink) {
  const auto codec = block_codec(own_functions());
  const Data plain = random_data(10'000);
  EXPECT_EQ(compressed(*codec, plain).size(), 9 + 16 + plain.size() + 8 + 8 + 16);
}

TEST(BlockCodec, PassesOnWhatAFunctionThrows) {
  BlockFunctions functions = own_functions();
  functions.compress = [](Bytes, int, std::vector<std::byte>&) { throw std::length_error("mine"); };
  const auto codec = block_codec(functions);
  EXPECT_THROW(compressed(*codec, text_data(10)), std::length_error);
}

TEST(BlockCodec, NoticesAFunctionThatTakesBytesAway) {
  BlockFunctions functions = own_functions();
  functions.compress = [](Bytes, int, std::vector<std::byte>& out) { out.clear(); };
  EXPECT_EQ(code_of([&] { compressed(*block_codec(functions), text_data(10)); }), Errc::invalid_argument);
}

TEST(BlockCodec, NoticesThatTheFunctionsDoNotFit) {
  BlockFunctions functions = own_functions();
  functions.decompress = [](Bytes, MutableBytes plain) {
    std::fill(plain.begin(), plain.end(), std::byte{1});
    return true;
  };
  const auto codec = block_codec(functions);
  const Data stored = compressed(*codec, text_data(1000));
  EXPECT_EQ(message_of([&] { plain_in_order(*codec, stored); }), "own file at byte 0: its checksum is wrong");
  EXPECT_EQ(message_of([&] { plain_at_random(*codec, stored); }), "own block at byte 9: its checksum is wrong");
}

TEST(BlockCodec, DoesNotTrustSizes) {
  const auto codec = block_codec(own_functions());
  const Data good = compressed(*codec, text_data(1000));
  for (std::uint32_t size : {0U, 1U, 999U, 1001U, 60U << 20, 65U << 20, 0xffffffffU}) {
    for (std::size_t at : {9U, 13U}) {  // stored and plain size of the block
      Data bad = good;
      store_le<std::uint32_t>(bad.data() + at, size);
      EXPECT_THROW(plain_in_order(*codec, bad), Error) << size;
      EXPECT_THROW(plain_at_random(*codec, bad), Error) << size;
    }
  }
}

TEST(BlockCodec, UsesNoIndexThatContradictsTheFile) {
  const auto codec = block_codec(own_functions());
  const Data good = compressed(*codec, text_data(3 * mib));
  ASSERT_TRUE(codec->index(*memory_source(good)));
  for (std::size_t at = good.size() - 6 * 8 - 16 - 8; at < good.size(); ++at) {  // end mark and table
    Data bad = good;
    bad[at] ^= std::byte{1};
    EXPECT_FALSE(codec->index(FileLike(bad))) << at;
    EXPECT_EQ(code_of([&] { plain_at_random(*codec, bad); }), Errc::damaged) << at;
  }
  EXPECT_FALSE(codec->index(FileLike(good + good)));
}

}  // namespace
}  // namespace stele
