// bzip2 and its tools.

#include "codec/support.hpp"

namespace stele {
namespace {

class Bzip2 : public testing::Test {
 protected:
  void SetUp() override {
    if (codecs_.find("bzip2") == nullptr) {
      GTEST_SKIP() << "this build has no bzip2";
    }
  }
  const Codec& codec() const { return *codecs_.find("bzip2"); }
  const Codecs codecs_;
};

constexpr std::size_t level_1_block = std::size_t{96} << 10;

TEST_F(Bzip2, IsReadByOtherTools) {
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{5000}, 2 * mib + 5}) {
    const Folder folder;
    const Data plain = text_data(size);
    folder.put("plain", plain);
    folder.put("a.bz2", compressed(codec(), plain));
    for (const std::string tool : {"bzip2", "pbzip2", "lbzip2"}) {
      if (has_tool(tool)) {
        EXPECT_TRUE(folder.run(tool + " -t a.bz2")) << tool;
        EXPECT_TRUE(folder.run(tool + " -dc a.bz2 | cmp - plain")) << tool;
      }
    }
    if (has_tool("python3")) {
      EXPECT_TRUE(
          folder.run("python3 -c \"import bz2; a = bz2.open('a.bz2').read(); b = open('plain', 'rb').read(); "
                     "assert a == b and bz2.decompress(open('a.bz2', 'rb').read()) == b\""));
    }
  }
}

TEST_F(Bzip2, ReadsOtherTools) {
  const Data plain = text_data(150'000) + random_data(20'000) + Data(100'000);
  std::vector<std::string> commands;
  if (has_tool("bzip2")) {
    commands.insert(commands.end(),
                    {"bzip2 -1 -c in", "bzip2 -9 -c in", "bzip2 -c in; head -c 5000 in | bzip2 -c",
                     "bzip2 -c < /dev/null; bzip2 -c in", "bzip2 -c in; bzip2 -c < /dev/null",
                     "bzip2 -c < /dev/null; bzip2 -1c in; bzip2 -c < /dev/null; head -c 5000 in | bzip2"});
  }
  if (has_tool("pbzip2")) {
    commands.insert(commands.end(), {"pbzip2 -p2 -c in", "pbzip2 -p2 -b1 -1 -c in"});
  }
  if (has_tool("lbzip2")) {
    commands.insert(commands.end(), {"lbzip2 -n2 -c in", "lbzip2 -n2 -1 -c in"});
  }
  if (has_tool("python3")) {
    commands.emplace_back(
        "python3 -c \"import bz2, sys; sys.stdout.buffer.write(bz2.compress(open('in', 'rb').read()))\"");
  }
  for (const std::string& command : commands) {
    SCOPED_TRACE(command);
    const Data stored = made_by("{ " + command + "; }", plain);
    Data expected = plain;
    if (command.find("head") != std::string::npos) {
      expected.insert(expected.end(), plain.begin(), plain.begin() + 5000);
    }
    expect_reads(codec(), stored, expected);
    if (!command.ends_with("/dev/null")) {
      expect_exact(codec(), stored, expected);
    }
    expect_reads(codec(), stored + Data(1000), expected);  // padded with zeros, as on tapes
  }
}

/// Decodes each block of an index on its own.
Data plain_by_blocks(const Codec& codec, const Data& stored, const BlockIndex& index) {
  Data plain;
  const auto decoder = codec.decoder({});
  for (const Block& block : index.blocks) {
    EXPECT_EQ(block.plain_offset, plain.size());
    Data part(block.plain_size);
    decoder->decode(block, Bytes(stored).subspan(block.stored_offset, block.stored_size), part);
    plain = std::move(plain) + part;
  }
  return plain;
}

TEST_F(Bzip2, FindsItsBlocks) {
  for (std::size_t more : {std::size_t{1}, std::size_t{500}, level_1_block}) {
    const Data plain = text_data(3 * level_1_block) + random_data(level_1_block + more);
    const Data stored = compressed(codec(), plain, 1);
    const FileLike file(stored);
    const auto index = codec().index(file);
    ASSERT_TRUE(index);
    ASSERT_EQ(index->blocks.size(), 5U);
    EXPECT_FALSE(index->certain);  // the blocks between have any size
    EXPECT_EQ(index->blocks[3].plain_size, level_1_block);
    EXPECT_EQ(index->blocks[4].plain_size, more);
    EXPECT_LT(file.asked_, 2 * stored.size());
    EXPECT_EQ(plain_by_blocks(codec(), stored, *index), plain);
    EXPECT_EQ(plain_by_blocks(codec(), stored, *codec().index(*memory_source(stored))), plain);
  }
}

TEST_F(Bzip2, FindsStreamsAcrossWindows) {
  // Starts of streams at many places of the windows in which the file is searched.
  const Data plain = random_data(14 * level_1_block + 5000);
  for (std::size_t shift = 0; shift < 3; ++shift) {
    const Data first = compressed(codec(), random_data(level_1_block + shift), 9);
    const Data stored = first + compressed(codec(), plain, 1);
    const auto index = codec().index(FileLike(stored));
    ASSERT_TRUE(index);
    ASSERT_EQ(index->blocks.size(), 16U);
    const auto in_memory = codec().index(*memory_source(stored));
    for (std::size_t i = 0; i < 16; ++i) {
      EXPECT_EQ(index->blocks[i].stored_offset, in_memory->blocks[i].stored_offset);
    }
  }
}

TEST_F(Bzip2, IsCertainOfTwoStreams) {
  const Data a = text_data(3000);
  const Data b = random_data(700);
  const Data empty = compressed(codec(), {});
  const Data one = compressed(codec(), a, 1);
  const Data two = compressed(codec(), b, 5);
  for (const Data& stored : {one + two, one + empty + two, one + two + empty + empty}) {
    const auto index = codec().index(FileLike(stored));
    ASSERT_TRUE(index);
    EXPECT_TRUE(index->certain);
    EXPECT_EQ(plain_by_blocks(codec(), stored, *index), a + b);
    EXPECT_EQ(plain_in_order(codec(), stored), a + b);
  }
}

TEST_F(Bzip2, HasNoIndexForOtherFiles) {
  const Data a = compressed(codec(), text_data(3000));
  const Data empty = compressed(codec(), {});
  EXPECT_EQ(empty.size(), 14U);
  for (const Data& stored : {Data{}, empty, a, empty + a + a, a + a + Data(1), a + a + bytes_of("more"),
                             a + Data(a.begin(), a.end() - 1), bytes_of("x") + a + a}) {
    EXPECT_FALSE(codec().index(*memory_source(stored)));
    EXPECT_FALSE(codec().index(FileLike(stored)));
  }
}

TEST_F(Bzip2, TakesOnlyWholeStreamsForABlock) {
  const Data a = text_data(3000);
  const Data one = compressed(codec(), a);
  const Data two = one + one;
  const auto decodes = [&](Bytes stored, std::size_t size) {
    Data plain(size);
    try {
      codec().decoder({})->decode({}, stored, plain);
      return true;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::damaged);
      return false;
    }
  };
  EXPECT_TRUE(decodes(one, 3000));
  EXPECT_TRUE(decodes(two, 6000));
  EXPECT_TRUE(decodes(compressed(codec(), {}), 0));
  for (std::size_t size : {0, 1, 2999, 3001, 6000}) {
    EXPECT_FALSE(decodes(one, size)) << size;
  }
  for (std::size_t stored = 0; stored < two.size(); ++stored) {  // as where data looks like the start of a stream
    if (stored != one.size()) {
      EXPECT_FALSE(decodes(Bytes(two).first(stored), stored < one.size() ? 3000 : 6000)) << stored;
    }
  }
  EXPECT_FALSE(decodes(one + Data(1), 3000));
}

TEST_F(Bzip2, DoesNotTrustStarts) {
  // Starts of streams with nothing in them, in large numbers; and streams that grow a thousandfold.
  Data starts;
  for (int i = 0; i < 50'000; ++i) {
    starts = std::move(starts) + bytes_of("BZh91AY&SY");
  }
  EXPECT_FALSE(codec().index(FileLike(starts)));
  EXPECT_EQ(code_of([&] { plain_at_random(codec(), starts); }), Errc::damaged);
  Data stored;
  codec().encoder(9)->encode(Data(20 * mib), stored);
  EXPECT_LT(stored.size(), 2000U);
  EXPECT_FALSE(codec().index(FileLike(stored + stored)));
  const auto file = memory_source(stored);
  EXPECT_EQ(read_exactly(*codec().in_order(*file, {}), 20 * mib), Data(20 * mib));
}

TEST_F(Bzip2, RejectsNonzeroBytesAfterTheLastStream) {
  const Data stored = compressed(codec(), text_data(300));
  for (const Data& more : {bytes_of("BZh"), bytes_of("BZh0aaaaaaaaaaaaaaaaaaaaa"), bytes_of("B"),
                           Data(20) + Data(1, std::byte{1}), Data(100'000) + Data(1, std::byte{1})}) {
    EXPECT_THROW(plain_in_order(codec(), stored + more), Error);
    EXPECT_THROW(plain_at_random(codec(), stored + more), Error);
  }
}

TEST_F(Bzip2, IsNotMisledByAnEndInDamagedData) {
  const Data plain = text_data(3000);
  const Data good = compressed(codec(), plain);
  constexpr std::uint64_t end_magic = 0x177245385090;
  for (std::size_t bit = 100; bit + 48 < 8 * good.size(); bit += 37) {
    Data stored = good;
    for (std::size_t i = 0; i < 48; ++i) {
      const auto mask = std::byte{0x80} >> ((bit + i) % 8);
      std::byte& byte = stored[(bit + i) / 8];
      byte = (end_magic >> (47 - i) & 1) != 0 ? byte | mask : byte & ~mask;
    }
    EXPECT_THROW(plain_in_order(codec(), stored), Error) << bit;
  }
}

TEST_F(Bzip2, LeavesThePipeAfterStreamsOfAllKinds) {
  for (unsigned seed = 1; seed < 60; ++seed) {
    for (const Data& plain : {text_data(37 * seed, seed), random_data(seed, seed), Data(1000 * seed)}) {
      expect_exact(codec(), compressed(codec(), plain), plain);
    }
  }
}

TEST_F(Bzip2, IsDistinguishedFromOtherData) {
  EXPECT_FALSE(codec().recognises(bytes_of("BZh9 is a word")));
  EXPECT_FALSE(codec().recognises(bytes_of("BZh01AY&SY....")));
  EXPECT_TRUE(codec().recognises(compressed(codec(), {})));
}

TEST_F(Bzip2, SaysWhereTheDamageIs) {
  const Data a = text_data(500);
  Data stored = compressed(codec(), a) + compressed(codec(), a);
  const std::string second = std::to_string(stored.size() / 2);
  stored[stored.size() - 2] ^= std::byte{4};  // the checksum of the second
  EXPECT_EQ(message_of([&] { plain_in_order(codec(), stored); }),
            "bzip2 stream at byte " + second + ": its data or its checksum is wrong");
  EXPECT_EQ(message_of([&] { plain_in_order(codec(), bytes_of("a text")); }), "bzip2 stream at byte 0: not bzip2");
}

}  // namespace
}  // namespace stele
