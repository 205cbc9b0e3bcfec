// zstd and its tools.

#include "codec/support.hpp"

namespace stele {
namespace {

class Zstd : public testing::Test {
 protected:
  void SetUp() override {
    if (codecs_.find("zstd") == nullptr) {
      GTEST_SKIP() << "this build has no zstd";
    }
  }
  const Codec& codec() const { return *codecs_.find("zstd"); }
  const Codecs codecs_;
};

TEST_F(Zstd, IsReadByOtherTools) {
  if (!has_tool("zstd")) {
    GTEST_SKIP() << "no zstd command";
  }
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{5000}, 2 * mib + 5}) {
    const Folder folder;
    const Data plain = text_data(size);
    folder.put("plain", plain);
    folder.put("a.zst", compressed(codec(), plain));
    EXPECT_TRUE(folder.run("zstd -t a.zst"));
    EXPECT_TRUE(folder.run("zstd -dc a.zst | cmp - plain"));
    EXPECT_TRUE(folder.run("zstd -lv a.zst | grep -q XXH64 || test ! -s plain"));
  }
}

TEST_F(Zstd, ReadsOtherTools) {
  if (!has_tool("zstd")) {
    GTEST_SKIP() << "no zstd command";
  }
  const Data plain = text_data(mib + 5000) + random_data(100'000) + Data(300'000);
  std::vector<std::string> commands = {
      "zstd -1 -c in",         "zstd -1 -c - < in",    "zstd -19 -c in",
      "zstd -19 --long -c in", "zstd --long=27 -c in", "zstd --long=27 -c - < in",
      "zstd --no-check -c in", "zstd -T2 -c in",       "zstd -c in; head -c 5000 in | zstd -c",
      "zstd -c in; zstd -c in"};
  if (has_tool("pzstd")) {
    commands.emplace_back("pzstd -p 2 -c in");
  }
  for (const std::string& command : commands) {
    SCOPED_TRACE(command);
    const Data stored = made_by("{ " + command + "; }", plain);
    Data expected = plain;
    if (command.find("head") != std::string::npos) {
      expected.insert(expected.end(), plain.begin(), plain.begin() + 5000);
    } else if (command.find("; zstd") != std::string::npos) {
      expected = plain + plain;
    }
    expect_reads(codec(), stored, expected);
    if (command.find(';') == std::string::npos && command.find("pzstd") == std::string::npos) {
      expect_exact(codec(), stored, expected);
    } else {
      Pipe pipe(stored);  // several frames without a table: the end of the file may follow
      const auto source = codec().in_order(pipe, {});
      EXPECT_EQ(read_exactly(*source, expected.size()), expected);
      source->finish();
    }
  }
}

TEST_F(Zstd, IndexesFramesWithoutATable) {
  const Data a = text_data(60'000);
  const Data b = random_data(50'000);
  const Data skippable = bytes_of(std::string_view("\x53\x2a\x4d\x18\3\0\0\0abc", 11));
  for (const Data& stored : {compressed(codec(), a) + compressed(codec(), b),
                             skippable + compressed(codec(), a) + skippable + compressed(codec(), b) + skippable}) {
    const auto index = codec().index(FileLike(stored));
    ASSERT_TRUE(index);
    ASSERT_EQ(index->blocks.size(), 2U);
    EXPECT_EQ(index->blocks.at(1).plain_offset, a.size());
    EXPECT_EQ(plain_at_random(codec(), stored), a + b);
    EXPECT_EQ(plain_in_order(codec(), stored), a + b);
  }
}

TEST_F(Zstd, HasNoIndexForOtherFiles) {
  const Data small = text_data(5000);
  const Data ours = compressed(codec(), small);
  EXPECT_TRUE(codec().index(*memory_source(ours)));
  for (const Data& stored : {Data{}, Data(ours.begin(), ours.end() - 1), ours + Data(1), ours + Data(30)}) {
    EXPECT_FALSE(codec().index(*memory_source(stored)));
  }
  if (has_tool("zstd")) {
    EXPECT_FALSE(codec().index(*memory_source(made_by("zstd -c - < in", small))));           // no content size
    EXPECT_FALSE(codec().index(*memory_source(made_by("zstd -c in", text_data(5 * mib)))));  // one large frame
  }
}

TEST_F(Zstd, ComparesTheSeekTable) {
  const Data a = text_data(500);
  const Data b = random_data(300);
  const Data good = small_blocks(codec(), {a, b});
  const std::size_t table_size = 8 + 2 * 8 + 9;
  ASSERT_EQ(codec().index(*memory_source(good))->blocks.size(), 2U);
  for (std::size_t i = 0; i < table_size; ++i) {
    Data stored = good;
    stored[good.size() - table_size + i] ^= std::byte{2};
    Pipe pipe(stored);
    const auto source = codec().in_order(pipe, {});
    EXPECT_EQ(read_exactly(*source, 800), a + b);
    EXPECT_THROW(source->finish(), Error) << i;
  }
  for (std::size_t cut = 1; cut < table_size; ++cut) {
    Pipe pipe(Bytes(good).first(good.size() - cut));
    const auto source = codec().in_order(pipe, {});
    read_exactly(*source, 800);
    EXPECT_EQ(code_of([&] { source->finish(); }), Errc::truncated) << cut;
  }
}

TEST_F(Zstd, UnreadsBytesThatAreNotASeekTable) {
  const Data a = text_data(500);
  const Data b = random_data(300);
  const Data frames = compressed(codec(), a) + compressed(codec(), b);
  const Data stored = frames + bytes_of("other bytes");
  FileLike file(stored);
  const auto source = codec().in_order(file, {});
  EXPECT_EQ(read_exactly(*source, 800), a + b);
  source->finish();
  EXPECT_EQ(file.position(), frames.size());
  Pipe pipe(stored);  // which cannot unread
  const auto piped = codec().in_order(pipe, {});
  read_exactly(*piped, 800);
  EXPECT_EQ(code_of([&] { piped->finish(); }), Errc::damaged);
}

TEST_F(Zstd, RefusesAWindowThatIsTooLarge) {
  // A frame header with a window of 2 GiB.
  const Data stored = bytes_of(std::string_view("\x28\xb5\x2f\xfd\x04\xa8\1\0\0\x99\xe9\xd8\x51", 13));
  EXPECT_EQ(code_of([&] { plain_in_order(codec(), stored); }), Errc::limit_exceeded);
  EXPECT_EQ(code_of([&] { plain_at_random(codec(), stored); }), Errc::limit_exceeded);
}

TEST_F(Zstd, DoesNotTrustSizes) {
  // A frame that claims 60 MiB and holds 5 bytes.
  const Data stored = bytes_of(std::string_view("\x28\xb5\x2f\xfd\xa0\0\0\xc0\3\x29\0\0hello", 17));
  const Data two = stored + compressed(codec(), text_data(10));
  EXPECT_EQ(code_of([&] { plain_in_order(codec(), two); }), Errc::damaged);
  EXPECT_EQ(code_of([&] { plain_at_random(codec(), two); }), Errc::damaged);
}

}  // namespace
}  // namespace stele
