// xz and its tools.

#include <zlib.h>

#include "codec/support.hpp"

namespace stele {
namespace {

class Xz : public testing::Test {
 protected:
  void SetUp() override {
    if (codecs_.find("xz") == nullptr) {
      GTEST_SKIP() << "this build has no xz";
    }
  }
  const Codec& codec() const { return *codecs_.find("xz"); }
  const Codecs codecs_;
};

constexpr std::size_t header_size = 12;  // of a stream, and of its footer

TEST_F(Xz, IsReadByOtherTools) {
  for (int level : {0, 6, 9}) {
    const std::vector<std::size_t> sizes =
        level == 0 ? std::vector<std::size_t>{0, 1, 2 * mib + 5} : std::vector{mib / 8};
    for (std::size_t size : sizes) {
      const Folder folder;
      const Data plain = text_data(size);
      folder.put("plain", plain);
      folder.put("a.xz", compressed(codec(), plain, level));
      if (has_tool("xz")) {
        EXPECT_TRUE(folder.run("xz -t a.xz"));
        EXPECT_TRUE(folder.run("xz -dc a.xz | cmp - plain"));
        EXPECT_TRUE(folder.run("xz -T2 -dc a.xz | cmp - plain"));
        const std::string blocks = size == 0 ? "0" : size > 2 * mib ? "4" : "1";
        EXPECT_TRUE(folder.run("xz --robot -l a.xz | awk '/^file/ {exit !($2 == 1 && $3 == " + blocks + ")}'"));
        EXPECT_TRUE(size == 0 || folder.run("xz --robot -l a.xz | grep -q CRC64"));
      }
      if (has_tool("pixz") && size > 0) {
        EXPECT_TRUE(folder.run("pixz -d < a.xz | cmp - plain"));
      }
      if (has_tool("python3")) {
        EXPECT_TRUE(
            folder.run("python3 -c \"import lzma; a = lzma.open('a.xz').read(); b = open('plain', 'rb').read();"
                       " assert a == b and lzma.decompress(open('a.xz', 'rb').read()) == b\""));
      }
    }
  }
}

TEST_F(Xz, ReadsOtherTools) {
  if (!has_tool("xz")) {
    GTEST_SKIP() << "no xz command";
  }
  const Data plain = text_data(120'000) + random_data(20'000) + Data(50'000);
  std::vector<std::string> commands = {"xz -0 -c in",
                                       "xz -9e -c in",
                                       "xz -1 -T2 --block-size=100000 -c in",
                                       "xz -1 -T1 --block-size=100000 -c in",
                                       "xz -1 --block-list=1000,5000,0 -c in",
                                       "xz -1 --check=none -c in",
                                       "xz -1 --check=crc32 -c in",
                                       "xz -1 --check=sha256 --block-size=100000 -c in",
                                       "xz --lzma2=preset=0,lc=0,lp=4,pb=0,dict=4KiB -c in",
                                       "xz --x86 --delta=dist=4 --lzma2=preset=0 -c in",
                                       "xz -1 -c in; head -c 5000 in | xz -c",
                                       "xz -1 -c in; head -c 8 /dev/zero; head -c 5000 in | xz -1 --check=crc32 -c",
                                       "xz -c < /dev/null; xz -1 -c in"};
  if (has_tool("pixz")) {
    commands.emplace_back("pixz -0 -p2 < in");
  }
  if (has_tool("python3")) {
    commands.emplace_back(
        "python3 -c \"import lzma, sys; "
        "sys.stdout.buffer.write(lzma.compress(open('in', 'rb').read(), preset=1))\"");
  }
  for (const std::string& command : commands) {
    SCOPED_TRACE(command);
    const Data stored = made_by("{ " + command + "; }", plain);
    Data expected = plain;
    if (command.find("head -c 5000") != std::string::npos) {
      expected.insert(expected.end(), plain.begin(), plain.begin() + 5000);
    }
    expect_reads(codec(), stored, expected);
    expect_exact(codec(), stored, expected);
    expect_reads(codec(), stored + Data(400), expected);  // stream padding
    const auto index = codec().index(FileLike(stored + Data(8)));
    ASSERT_TRUE(index);
    EXPECT_TRUE(index->certain);
    EXPECT_EQ(index->blocks.size() > 1, command.find("block") != std::string::npos || expected != plain);
  }
}

/// Counts how often it is read.
class Counting final : public Source {
 public:
  explicit Counting(Bytes bytes) : bytes_(bytes) {}
  std::size_t read(MutableBytes into) override {
    ++calls;
    const std::size_t count = std::min(into.size(), bytes_.size());
    std::copy_n(bytes_.begin(), count, into.begin());
    bytes_ = bytes_.subspan(count);
    return count;
  }
  std::size_t calls = 0;

 private:
  Bytes bytes_;
};

TEST_F(Xz, ReadsPipesInLargePieces) {
  const Data plain = random_data(1000) + text_data(500'000);
  std::vector<Data> files = {compressed(codec(), plain, 0)};
  if (has_tool("xz")) {
    files.push_back(made_by("xz -0 -T1 -c in", plain));  // its block does not state its size
  }
  for (const Data& stored : files) {
    Counting pipe(stored);
    EXPECT_EQ(read_all(*codec().in_order(pipe, {})), plain);
    EXPECT_LT(pipe.calls, 100U);
  }
}

TEST_F(Xz, HasNoIndexForOtherFiles) {
  const Data ours = compressed(codec(), text_data(5000));
  EXPECT_TRUE(codec().index(*memory_source(ours)));
  EXPECT_TRUE(codec().index(*memory_source(ours + ours)));
  EXPECT_TRUE(codec().index(*memory_source(ours + Data(4) + ours + Data(16))));
  for (const Data& stored : {Data{}, Data(ours.begin(), ours.end() - 1), ours + Data(1), ours + bytes_of("four"),
                             Data(4) + ours, Data(100), ours + Data(ours.begin(), ours.end() - 4)}) {
    EXPECT_FALSE(codec().index(*memory_source(stored)));
    EXPECT_FALSE(codec().index(FileLike(stored)));
  }
}

TEST_F(Xz, RejectsWrongPadding) {
  const Data ours = compressed(codec(), text_data(5000));
  for (const Data& stored :
       {ours + Data(1), ours + Data(7), Data(4) + ours, ours + Data(3) + ours, ours + Data(4) + bytes_of("x")}) {
    EXPECT_EQ(code_of([&] { plain_in_order(codec(), stored); }), Errc::damaged);
    EXPECT_EQ(code_of([&] { plain_at_random(codec(), stored); }), Errc::damaged);
  }
}

/// A file whose first block's header says how large a dictionary is needed: 2 or 3 times 2^(code / 2 + 11).
Data with_dictionary(Data file, std::uint8_t code) {
  std::byte* const header = file.data() + header_size;
  const std::size_t size = (std::to_integer<std::size_t>(header[0]) + 1) * 4;
  for (std::size_t i = 2; i < size - 6; ++i) {
    if (header[i] == std::byte{0x21} && header[i + 1] == std::byte{1}) {  // LZMA2, one byte of properties
      header[i + 2] = std::byte{code};
    }
  }
  store_le<std::uint32_t>(header + size - 4, static_cast<std::uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(header),
                                                                              static_cast<uInt>(size - 4))));
  return file;
}

TEST_F(Xz, RefusesADictionaryThatIsTooLarge) {
  const Data plain = text_data(5000);
  const Data ours = compressed(codec(), plain);
  EXPECT_EQ(plain_in_order(codec(), with_dictionary(ours, 30)), plain);  // 128 MiB
  EXPECT_EQ(plain_at_random(codec(), with_dictionary(ours, 30)), plain);
  for (std::uint8_t code : {32, 37, 40}) {
    EXPECT_EQ(code_of([&] { plain_in_order(codec(), with_dictionary(ours, code)); }), Errc::limit_exceeded);
    EXPECT_EQ(code_of([&] { plain_at_random(codec(), with_dictionary(ours, code)); }), Errc::limit_exceeded);
  }
  EXPECT_EQ(code_of([&] { plain_in_order(codec(), with_dictionary(ours, 41)); }), Errc::unsupported);
  const Data larger = with_dictionary(ours, 20);  // 4 MiB
  const auto read = [&](std::uint64_t window) {
    return read_all(*decompressing_source(memory_source(larger), codec(), {.window = window}));
  };
  EXPECT_EQ(read(4 * mib), plain);
  EXPECT_EQ(code_of([&] { read(2 * mib); }), Errc::limit_exceeded);
}

TEST_F(Xz, AsksForNoLargerDictionaryThanItsBlocksCanUse) {
  const Data small = compressed(codec(), text_data(5000), 9);
  const auto read = [&](const Data& stored, std::uint64_t window) {
    return read_all(*decompressing_source(memory_source(stored), codec(), {.window = window})).size();
  };
  EXPECT_EQ(read(small, 8192), 5000U);
}

/// A file of one block with a contradictory index.
Data with_index(const Codec& codec, const Data& plain, std::uint64_t plain_size, std::uint64_t less_stored = 0) {
  Data out;
  codec.prologue(0, out);
  Block block{.plain_size = plain_size};
  block.check = codec.encoder(0)->encode(plain, out) - (less_stored << 4);
  codec.epilogue(std::span(&block, 1), out);
  return out;
}

TEST_F(Xz, DoesNotTrustTheIndex) {
  const Data plain = text_data(5000);
  EXPECT_EQ(plain_at_random(codec(), with_index(codec(), plain, 5000)), plain);
  for (std::uint64_t size :
       {std::uint64_t{0}, std::uint64_t{4999}, std::uint64_t{5001}, 60 * std::uint64_t{mib}, std::uint64_t{1} << 62}) {
    const Data stored = with_index(codec(), plain, size);
    EXPECT_EQ(code_of([&] { plain_in_order(codec(), stored); }), Errc::damaged) << size;
    EXPECT_EQ(code_of([&] { plain_at_random(codec(), stored); }), Errc::damaged) << size;
  }
  for (std::uint64_t less : {1, 3, 4, 100}) {
    const Data stored = with_index(codec(), plain, 5000, less);
    EXPECT_EQ(code_of([&] { plain_in_order(codec(), stored); }), Errc::damaged) << less;
    EXPECT_EQ(code_of([&] { plain_at_random(codec(), stored); }), Errc::damaged) << less;
  }
}

TEST_F(Xz, BoundsTheMemoryOfAnIndex) {
  // Claims two million blocks.
  std::vector<Block> blocks(2'000'000, Block{.plain_size = 1, .check = 20 << 4 | 4});
  Data stored;
  codec().prologue(0, stored);
  stored.resize(header_size + blocks.size() * 20);
  codec().epilogue(blocks, stored);
  EXPECT_FALSE(codec().index(FileLike(stored)));
  blocks.resize(100'000);
  stored.resize(header_size + blocks.size() * 20);
  codec().epilogue(blocks, stored);
  const auto index = codec().index(FileLike(stored));
  ASSERT_TRUE(index);
  EXPECT_EQ(index->blocks.size(), 100'000U);
}

TEST_F(Xz, ReadsBlocksOfNoBytesInOrder) {
  Data stored;
  std::vector<Block> blocks(2);
  codec().prologue(0, stored);
  const auto encoder = codec().encoder(0);
  const Data plain = text_data(500);
  blocks[0].check = encoder->encode({}, stored);
  blocks[1].check = encoder->encode(plain, stored);
  blocks[1].plain_size = plain.size();
  codec().epilogue(blocks, stored);
  EXPECT_FALSE(codec().index(*memory_source(stored)));
  expect_reads(codec(), stored, plain);
  expect_exact(codec(), stored, plain);
}

TEST_F(Xz, StoresWhatDoesNotShrink) {
  const Data plain = random_data(300'000);
  EXPECT_LT(compressed(codec(), plain).size(), plain.size() + 200);
}

TEST_F(Xz, SaysWhereTheDamageIs) {
  const Data a = text_data(500);
  const Data one = compressed(codec(), a);
  const std::string second = "xz stream at byte " + std::to_string(one.size()) + ": ";
  const auto message = [&](std::size_t from_end) {
    Data stored = one + one;
    stored[stored.size() - from_end] ^= std::byte{4};
    return message_of([&] { plain_in_order(codec(), stored); });
  };
  EXPECT_EQ(message(4), second + "its footer is wrong");
  EXPECT_EQ(message(header_size + 1), second + "an index that contradicts the blocks");
  EXPECT_EQ(message(header_size + 12), second + "its data or its checksum is wrong");
  EXPECT_EQ(message_of([&] { plain_in_order(codec(), bytes_of("a text")); }), "xz stream at byte 0: not xz");
  EXPECT_EQ(message_of([&] { plain_in_order(codec(), one + bytes_of("a text")); }),
            second + "bytes that are not xz follow the last stream");
}

}  // namespace
}  // namespace stele
