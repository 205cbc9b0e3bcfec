// gzip and its tools.

#include "codec/builtin.hpp"
#include "codec/support.hpp"

namespace stele {
namespace {

class Gzip : public testing::Test {
 protected:
  const Codecs codecs_;
  const Codec& codec_ = *codecs_.find("gzip");
};

TEST_F(Gzip, IsReadByOtherTools) {
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{5000}, 2 * mib + 5}) {
    const Folder folder;
    const Data plain = text_data(size);
    folder.put("plain", plain);
    folder.put("a.gz", compressed(codec_, plain, size % 2 == 0 ? 6 : 1));
    EXPECT_TRUE(folder.run("gzip -t a.gz"));
    EXPECT_TRUE(folder.run("gzip -dc a.gz | cmp - plain"));
    for (const std::string tool : {"pigz", "igzip", "bgzip"}) {
      if (has_tool(tool)) {
        EXPECT_TRUE(folder.run(tool + " -t a.gz")) << tool;
        EXPECT_TRUE(folder.run(tool + " -dc < a.gz | cmp - plain")) << tool;
      }
    }
    if (has_tool("python3")) {
      EXPECT_TRUE(
          folder.run("python3 -c \"import gzip; a = gzip.open('a.gz').read(); b = open('plain', 'rb').read(); "
                     "assert a == b and gzip.decompress(open('a.gz', 'rb').read()) == b\""));
    }
  }
}

TEST_F(Gzip, AsOneMember) {
  const std::shared_ptr<const Codec> member = gzip_member_codec();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, 3 * mib + 5}) {
    const Folder folder;
    const Data plain = text_data(size);
    folder.put("plain", plain);
    const Data stored = compressed(*member, plain);
    folder.put("a.gz", stored);
    EXPECT_TRUE(folder.run("gzip -dc a.gz | cmp - plain"));
    if (has_tool("python3")) {
      EXPECT_TRUE(folder.run(
          "python3 -c \"import zlib; d = zlib.decompressobj(31); a = d.decompress(open('a.gz', 'rb').read()); "
          "assert d.eof and not d.unused_data and a == open('plain', 'rb').read()\""));
    }
    EXPECT_EQ(plain_in_order(codec_, stored), plain);
  }
}

TEST_F(Gzip, ReadsOtherTools) {
  const Data plain = text_data(mib + 5000) + random_data(100'000);
  std::vector<std::string> commands = {"gzip -1 -c in",
                                       "gzip -9 -c in",
                                       "gzip -N -c in",
                                       "gzip -n -c in",
                                       "gzip -c in; head -c 5000 in | gzip",
                                       "gzip -c in; gzip -c /dev/null"};
  if (has_tool("igzip")) {
    commands.insert(commands.end(), {"igzip -0 -c in", "igzip -3 -c in"});
  }
  if (has_tool("bgzip")) {
    commands.insert(commands.end(), {"bgzip -c in"});
  }
  if (has_tool("pigz")) {
    commands.insert(commands.end(), {"pigz -c in", "pigz -i -c in", "pigz -9 -c -b 512 in", "pigz -k -c -C hello in"});
  }
  for (const std::string& command : commands) {
    const Data stored = made_by("{ " + command + "; }", plain);
    Data expected = plain;
    if (command.find("head") != std::string::npos) {
      expected.insert(expected.end(), plain.begin(), plain.begin() + 5000);
    }
    SCOPED_TRACE(command);
    expect_reads(codec_, stored, expected);
    if (command.find("/dev/null") == std::string::npos &&
        command.find("bgzip") == std::string::npos) {  // a last one is empty
      expect_exact(codec_, stored, expected, {100'000});
      Data small = text_data(20'000);
      const Data small_stored = made_by("{ " + command + "; }", small);
      if (expected.size() > plain.size()) {
        small.insert(small.end(), small.begin(), small.begin() + 5000);
      }
      expect_exact(codec_, small_stored, small);
    }
    expect_reads(codec_, stored + Data(1000), expected);  // padded with zeros, as on tapes
  }
}

/// A gzip file with every optional field.
Data with_all_fields(const Codec& codec, const Data& plain) {
  const Data stored = compressed(codec, plain);
  Data file = bytes_of(std::string_view("\x1f\x8b\x08\x1f\1\2\3\4\2\3\6\0xy\2\0ab", 18)) +
              bytes_of(std::string_view("name\0comment\0", 13));
  std::uint32_t crc = ~0U;
  for (std::byte b : file) {
    crc ^= std::to_integer<std::uint32_t>(b);
    for (int i = 0; i < 8; ++i) {
      crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320U : 0);
    }
  }
  Data check(2);
  store_le<std::uint16_t>(check.data(), static_cast<std::uint16_t>(~crc));
  return file + check + Data(stored.begin() + 24, stored.end());
}

TEST_F(Gzip, ReadsAllHeaderFields) {
  const Data plain = text_data(5000);
  Data stored = with_all_fields(codec_, plain);
  expect_reads(codec_, stored, plain);
  expect_exact(codec_, stored, plain);
  for (std::size_t size = 0; size < 40; ++size) {
    EXPECT_EQ(code_of([&] { plain_in_order(codec_, Bytes(stored).first(size)); }), Errc::truncated) << size;
  }
  stored[20] ^= std::byte{1};  // in the name
  EXPECT_EQ(code_of([&] { plain_in_order(codec_, stored); }), Errc::damaged);
}

/// The members of BGZF, the format of bgzip.
Data bgzf_member(const Codec& codec, const Data& plain) {
  const Data stored = compressed(codec, plain);
  Data header = bytes_of(std::string_view("\x1f\x8b\x08\4\0\0\0\0\0\xff\6\0BC\2\0\0\0", 18));
  store_le<std::uint16_t>(header.data() + 16, static_cast<std::uint16_t>(stored.size() - 24 + 18 - 1));
  return header + Data(stored.begin() + 24, stored.end());
}

TEST_F(Gzip, IndexesBgzf) {
  const Data a = text_data(60'000);
  const Data b = random_data(50'000);
  const Data stored =
      bgzf_member(codec_, a) + bgzf_member(codec_, {}) + bgzf_member(codec_, b) + bgzf_member(codec_, {});
  const auto index = codec_.index(FileLike(stored));
  ASSERT_TRUE(index);
  ASSERT_EQ(index->blocks.size(), 2U);
  EXPECT_EQ(index->blocks.at(1).plain_offset, a.size());
  expect_reads(codec_, stored, a + b);
}

/// A member with a size in a subfield of four bytes: its own, or without header and trailer.
Data member_with(const Codec& codec, const Data& plain, std::string_view id, bool whole) {
  const Data stored = compressed(codec, plain);
  const std::size_t deflated = stored.size() - 24 - 8;
  Data header = bytes_of(std::string_view("\x1f\x8b\x08\4\0\0\0\0\0\xff\x8\0", 12)) + bytes_of(id) +
                bytes_of(std::string_view("\4\0\0\0\0\0", 6));
  store_le<std::uint32_t>(header.data() + 16, static_cast<std::uint32_t>(deflated + (whole ? 20 + 8 : 0)));
  return header + Data(stored.begin() + 24, stored.end());
}

TEST_F(Gzip, IndexesMembersOfOtherParallelTools) {
  const Data a = text_data(60'000);
  const Data b = random_data(50'000);
  for (std::string_view id : {"IG", "MZ"}) {
    for (bool whole : {true, false}) {
      const Data stored = member_with(codec_, a, id, whole) + member_with(codec_, b, id, whole);
      const auto index = codec_.index(FileLike(stored));
      ASSERT_TRUE(index) << id << whole;
      ASSERT_EQ(index->blocks.size(), 2U);
      EXPECT_EQ(index->blocks.at(1).plain_offset, a.size());
      expect_reads(codec_, stored, a + b);
      Data wrong = stored;  // then the file is read in order, which does not need the size
      wrong[16] ^= std::byte{1};
      EXPECT_FALSE(codec_.index(FileLike(wrong)));
      expect_reads(codec_, wrong, a + b);
    }
  }
}

TEST_F(Gzip, HasNoIndexForOtherFiles) {
  const Data plain = text_data(5000);
  const Data ours = compressed(codec_, plain);
  const Data foreign = made_by("gzip -c in", plain);
  EXPECT_TRUE(codec_.index(*memory_source(ours)));
  EXPECT_TRUE(codec_.index(*memory_source(ours + ours)));
  for (const Data& stored : {Data{}, foreign, ours + foreign, foreign + ours, ours + Data(1), ours + Data(30),
                             ours + Data(ours.begin(), ours.end() - 1)}) {
    EXPECT_FALSE(codec_.index(*memory_source(stored)));
  }
}

TEST_F(Gzip, DoesNotTrustSizes) {
  const Data plain = text_data(5000);
  Data good = compressed(codec_, plain) + compressed(codec_, plain);
  const std::uint32_t member = load_le<std::uint32_t>(good.data() + 16);
  for (std::uint32_t size : {0U, 1U, 24U, 33U, member - 1, member + 1, 2 * member, 0xffffffffU}) {
    Data stored = good;
    store_le<std::uint32_t>(stored.data() + 16, size);
    EXPECT_THROW(plain_in_order(codec_, stored), Error) << size;
    EXPECT_THROW(plain_at_random(codec_, stored), Error) << size;
  }
  for (std::uint32_t size : {0U, 4999U, 5001U, 60U << 20, 0xffffffffU}) {
    Data stored = good;
    store_le<std::uint32_t>(stored.data() + 20, size);
    EXPECT_EQ(code_of([&] { plain_in_order(codec_, stored); }), Errc::damaged) << size;
    EXPECT_EQ(code_of([&] { plain_at_random(codec_, stored); }), Errc::damaged) << size;
  }
}

TEST_F(Gzip, SaysWhereTheDamageIs) {
  const Data a = text_data(500);
  Data stored = compressed(codec_, a) + compressed(codec_, a);
  const std::string second = std::to_string(stored.size() / 2);
  stored[stored.size() - 6] ^= std::byte{4};  // the checksum of the second
  EXPECT_EQ(message_of([&] { plain_in_order(codec_, stored); }),
            "gzip member at byte " + second + ": its checksum is wrong");
  EXPECT_EQ(message_of([&] { plain_at_random(codec_, stored); }).find("gzip block at byte " + second + ": "), 0U);
}

}  // namespace
}  // namespace stele
