// LZ4 and its tools.

#if STELE_WITH_LZ4

#include <lz4.h>
#include <lz4frame.h>

#include "base/checksum.hpp"
#include "codec/support.hpp"

namespace stele {
namespace {

class Lz4 : public testing::Test {
 protected:
  const Codecs codecs_;
  const Codec& codec_ = *codecs_.find("lz4");
};

Data skippable(std::uint32_t magic, std::size_t size) {
  Data data(8 + size, std::byte{7});
  store_le<std::uint32_t>(data.data(), magic);
  store_le<std::uint32_t>(data.data() + 4, static_cast<std::uint32_t>(size));
  return data;
}

/// A frame by LZ4's own library.
Data framed(const Data& plain, const LZ4F_frameInfo_t& info) {
  LZ4F_preferences_t preferences{};
  preferences.frameInfo = info;
  Data out(LZ4F_compressFrameBound(plain.size(), &preferences));
  const std::size_t size = LZ4F_compressFrame(out.data(), out.size(), plain.data(), plain.size(), &preferences);
  EXPECT_FALSE(LZ4F_isError(size));
  out.resize(size);
  return out;
}

LZ4F_frameInfo_t info_of(LZ4F_blockMode_t mode, LZ4F_contentChecksum_t content, LZ4F_blockChecksum_t block,
                         std::uint64_t size = 0) {
  LZ4F_frameInfo_t info{};
  info.blockSizeID = LZ4F_max64KB;
  info.blockMode = mode;
  info.contentChecksumFlag = content;
  info.blockChecksumFlag = block;
  info.contentSize = size;
  return info;
}

/// Corrects the checksum of a frame's header.
void fix_header(Data& frame, std::size_t descriptor_size) {
  frame[4 + descriptor_size - 1] =
      static_cast<std::byte>(xxh32(Bytes(frame).subspan(4, descriptor_size - 1)) >> 8 & 0xff);
}

TEST_F(Lz4, IsReadByOtherTools) {
  if (!has_tool("lz4")) {
    GTEST_SKIP() << "no lz4";
  }
  for (std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{5000}, std::size_t{70'000}, mib, 2 * mib, 3 * mib + 5}) {
    for (const Data& plain : {text_data(size), random_data(size)}) {
      for (int level : {1, 9}) {
        const Folder folder;
        folder.put("plain", plain);
        folder.put("a.lz4", compressed(codec_, plain, level));
        EXPECT_TRUE(folder.run("lz4 -t a.lz4")) << size;
        EXPECT_TRUE(folder.run("lz4 -d a.lz4 b && cmp b plain")) << size;
        EXPECT_TRUE(folder.run("cat a.lz4 a.lz4 > c.lz4 && lz4 -d c.lz4 c && cat plain plain | cmp - c")) << size;
      }
    }
  }
}

TEST_F(Lz4, ReadsOtherTools) {
  if (!has_tool("lz4")) {
    GTEST_SKIP() << "no lz4";
  }
  const Data plain = text_data(mib + 5000) + random_data(100'000) + Data(100'000);
  for (const char* command : {"lz4 -c in", "lz4 -9 -c in", "lz4 -BD -c in", "lz4 -BD -9 -B4 -c in", "lz4 -B4 -c in",
                              "lz4 -B5 -c in", "lz4 -B6 -c in", "lz4 -B7 -c in", "lz4 -BX -c in",
                              "lz4 --no-frame-crc -c in", "lz4 -BX -B4 --no-frame-crc -c in",
                              "lz4 --content-size -c in", "lz4 --favor-decSpeed -12 -B6 -c in", "lz4 -c < in"}) {
    SCOPED_TRACE(command);
    const Data stored = made_by(command, plain);
    expect_reads(codec_, stored, plain);
    expect_exact(codec_, stored, plain, {100'000});
    const Data small = text_data(200'000);
    expect_exact(codec_, made_by(command, small), small);
    expect_reads(codec_, stored + skippable(0x184d2a50, 100) + skippable(0x184d2a5f, 0), plain);
    expect_reads(codec_, stored + skippable(0x184d2a51, 5) + stored, plain + plain);
    const Data cut(stored.begin(), stored.end() - 1);
    EXPECT_EQ(code_of([&] { plain_in_order(codec_, cut); }), Errc::truncated);
    EXPECT_EQ(code_of([&] { plain_at_random(codec_, cut); }), Errc::truncated);
  }
}

TEST_F(Lz4, ReadsTheLegacyFormat) {
  if (!has_tool("lz4")) {
    GTEST_SKIP() << "no lz4";
  }
  for (std::size_t size : {std::size_t{5000}, 8 * mib, 8 * mib + 1}) {
    const Data plain = text_data(size);
    const Data stored = made_by("lz4 -l -c in", plain);
    ASSERT_EQ(load_le<std::uint32_t>(stored.data()), 0x184c2102U);
    expect_reads(codec_, stored, plain);
    expect_reads(codec_, stored + compressed(codec_, plain), plain + plain);
    if (size % (8 * mib) != 0) {  // a block that is not full is the last one
      expect_exact(codec_, stored, plain);
      continue;
    }
    const Data two = stored + compressed(codec_, plain);
    FileLike file(two);
    const auto source = codec_.in_order(file, {});
    EXPECT_EQ(read_exactly(*source, plain.size()), plain);
    source->finish();
    EXPECT_EQ(file.position(), stored.size());
    Pipe pipe(stored);
    const auto alone = codec_.in_order(pipe, {});
    EXPECT_EQ(read_exactly(*alone, plain.size()), plain);
    alone->finish();
  }
}

TEST_F(Lz4, ReadsEveryKindOfFrame) {
  const Data plain = text_data(200'000) + random_data(70'000) + text_data(65'536, 4);
  for (auto mode : {LZ4F_blockLinked, LZ4F_blockIndependent}) {
    for (auto content : {LZ4F_noContentChecksum, LZ4F_contentChecksumEnabled}) {
      for (auto block : {LZ4F_noBlockChecksum, LZ4F_blockChecksumEnabled}) {
        for (std::uint64_t size : {std::uint64_t{0}, std::uint64_t{plain.size()}}) {
          const Data stored = framed(plain, info_of(mode, content, block, size));
          expect_reads(codec_, stored, plain);
          const auto index = codec_.index(FileLike(stored));
          EXPECT_EQ(index.has_value(), mode == LZ4F_blockIndependent);
          EXPECT_TRUE(!index || !index->certain);
        }
      }
    }
  }
}

TEST_F(Lz4, NeverTakesDamageOfOtherFramesForData) {
  const Data plain = text_data(3000) + random_data(100);
  for (auto mode : {LZ4F_blockLinked, LZ4F_blockIndependent}) {
    Data stored = framed(plain, info_of(mode, LZ4F_contentChecksumEnabled, LZ4F_noBlockChecksum, plain.size()));
    for (std::size_t bit = 0; bit < stored.size() * 8; ++bit) {
      const auto flip = std::byte{1} << static_cast<int>(bit % 8);
      stored[bit / 8] ^= flip;
      try {
        EXPECT_EQ(plain_in_order(codec_, stored), plain) << bit;
      } catch (const Error&) {
      }
      stored[bit / 8] ^= flip;
    }
    for (std::size_t size = 0; size < stored.size(); ++size) {
      EXPECT_EQ(code_of([&] { plain_in_order(codec_, Bytes(stored).first(size)); }), Errc::truncated) << size;
    }
  }
}

TEST_F(Lz4, IndexesFramesByTheirBlockSizes) {
  const Data plain = text_data(3 * 65'536 + 100);
  const Data stored = framed(plain, info_of(LZ4F_blockIndependent, LZ4F_contentChecksumEnabled, LZ4F_noBlockChecksum));
  const auto index = codec_.index(FileLike(stored));
  ASSERT_TRUE(index);
  ASSERT_EQ(index->blocks.size(), 4U);
  EXPECT_EQ(index->blocks[3].plain_offset, 3U * 65'536);
  EXPECT_EQ(index->blocks[3].plain_size, 100U);
  EXPECT_FALSE(index->certain);
  const Data small = framed(Data(plain.begin(), plain.begin() + 500),
                            info_of(LZ4F_blockLinked, LZ4F_noContentChecksum, LZ4F_noBlockChecksum));
  const auto one = codec_.index(FileLike(small));
  ASSERT_TRUE(one);
  EXPECT_TRUE(one->certain);
  EXPECT_EQ(one->blocks.at(0).plain_size, 500U);
}

TEST_F(Lz4, HasNoIndexForOtherFiles) {
  const Data plain = text_data(200'000);
  const Data ours = compressed(codec_, plain);
  const Data frame = framed(plain, info_of(LZ4F_blockIndependent, LZ4F_noContentChecksum, LZ4F_noBlockChecksum));
  EXPECT_TRUE(codec_.index(FileLike(ours)));
  EXPECT_TRUE(codec_.index(FileLike(frame)));
  Data short_block = frame;  // a block that cannot be full stands before another one
  short_block.insert(short_block.begin() + 7, {std::byte{1}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}});
  Data wrong_size =
      framed(plain, info_of(LZ4F_blockIndependent, LZ4F_noContentChecksum, LZ4F_noBlockChecksum, plain.size()));
  store_le<std::uint64_t>(wrong_size.data() + 6, plain.size() + 1);
  fix_header(wrong_size, 11);
  for (const Data& stored : {Data{}, ours + ours, ours + frame, frame + ours, frame + frame, ours + Data(1),
                             frame + Data(8), Data(frame.begin(), frame.end() - 1), short_block, wrong_size}) {
    EXPECT_FALSE(codec_.index(FileLike(stored)));
  }
}

TEST_F(Lz4, UsesNoTableThatContradictsTheFile) {
  const Data plain = text_data(3 * mib);
  const Data good = compressed(codec_, plain);
  const auto index = codec_.index(FileLike(good));
  ASSERT_TRUE(index);
  EXPECT_TRUE(index->certain);
  EXPECT_EQ(index->blocks.size(), 4U);
  for (std::size_t at = good.size() - 4 * 8 - 16 - 21; at < good.size(); ++at) {
    Data bad = good;
    bad[at] ^= std::byte{1};
    EXPECT_FALSE(codec_.index(FileLike(bad))) << at;
    try {
      EXPECT_EQ(plain_in_order(codec_, bad), plain) << at;
    } catch (const Error&) {
    }
  }
}

TEST_F(Lz4, RefusesWhatItCannotRead) {
  const Data plain = text_data(500);
  const Data good = framed(plain, info_of(LZ4F_blockIndependent, LZ4F_noContentChecksum, LZ4F_noBlockChecksum));
  const auto code = [&](std::size_t at, unsigned char value, std::size_t size = 3) {
    Data bad = good;
    bad[at] = std::byte{value};
    fix_header(bad, size);
    return code_of([&] { plain_in_order(codec_, bad); });
  };
  EXPECT_EQ(code(4, 0x61, 7), Errc::unsupported);  // a dictionary
  EXPECT_EQ(code(4, 0xa0), Errc::damaged);         // another version
  EXPECT_EQ(code(4, 0x62), Errc::damaged);         // reserved
  EXPECT_EQ(code(5, 0x41), Errc::damaged);
  EXPECT_EQ(code(5, 0xc0), Errc::damaged);
  EXPECT_EQ(code(5, 0x30), Errc::damaged);  // a block size that is not defined
  Data bad = good;
  bad[6] ^= std::byte{1};
  EXPECT_EQ(code_of([&] { plain_in_order(codec_, bad); }), Errc::damaged);
}

TEST_F(Lz4, DoesNotTrustSizes) {
  const Data plain = text_data(500);
  // A claimed content size of 1 TiB allocates nothing and is an error at the end.
  Data huge = framed(plain, info_of(LZ4F_blockIndependent, LZ4F_noContentChecksum, LZ4F_noBlockChecksum, plain.size()));
  store_le<std::uint64_t>(huge.data() + 6, std::uint64_t{1} << 40);
  fix_header(huge, 11);
  EXPECT_EQ(message_of([&] { plain_in_order(codec_, huge); }), "lz4 frame at byte 0: its plain size is wrong");
  EXPECT_EQ(code_of([&] { plain_at_random(codec_, huge); }), Errc::damaged);
  for (std::uint32_t size : {0x7fffffffU, 65'537U, 0xffffffffU, 0x80010001U}) {
    Data bad = framed(plain, info_of(LZ4F_blockIndependent, LZ4F_noContentChecksum, LZ4F_noBlockChecksum));
    store_le<std::uint32_t>(bad.data() + 7, size);
    EXPECT_EQ(code_of([&] { plain_in_order(codec_, bad); }), Errc::damaged) << size;
    EXPECT_EQ(code_of([&] { plain_at_random(codec_, bad); }), Errc::damaged) << size;
  }
  Data endless = skippable(0x184d2a50, 0) + compressed(codec_, plain);
  store_le<std::uint32_t>(endless.data() + 4, 0xffffffffU);
  EXPECT_EQ(code_of([&] { plain_in_order(codec_, endless); }), Errc::truncated);
  EXPECT_EQ(code_of([&] { plain_at_random(codec_, endless); }), Errc::truncated);
}

TEST_F(Lz4, BlocksAboutTheSizeThatIsDividedAreReadInOrder) {
  for (const std::size_t size : {32'767U, 32'768U, 32'769U, 32'770U}) {
    const Data plain = text_data(size);
    EXPECT_EQ(plain_in_order(codec_, compressed(codec_, plain)), plain) << size;
    EXPECT_EQ(plain_at_random(codec_, compressed(codec_, plain)), plain) << size;
  }
}

TEST_F(Lz4, SaysWhereTheDamageIs) {
  const Data a = text_data(500);
  Data stored = compressed(codec_, a) + compressed(codec_, a);
  const std::size_t second = stored.size() / 2;
  stored[second + 20] ^= std::byte{4};
  EXPECT_EQ(message_of([&] { plain_in_order(codec_, stored); }),
            "lz4 frame at byte " + std::to_string(second) + ": the checksum of a block is wrong");
  Data one = compressed(codec_, a);
  one[20] ^= std::byte{4};
  EXPECT_EQ(message_of([&] { plain_at_random(codec_, one); }), "lz4 block at byte 7: its checksum is wrong");
}

}  // namespace
}  // namespace stele

#endif  // STELE_WITH_LZ4
