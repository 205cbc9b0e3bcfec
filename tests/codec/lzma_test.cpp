// The legacy .lzma format and its tools.

#if STELE_WITH_LIBLZMA
#include <lzma.h>
#endif

#include "codec/support.hpp"
#include "stele/archive.hpp"

namespace stele {
namespace {

class Lzma : public testing::Test {
 protected:
  void SetUp() override {
    if (codecs_.find("lzma") == nullptr) {
      GTEST_SKIP() << "this build has no lzma";
    }
  }
  const Codec& codec() const { return *codecs_.find("lzma"); }
  const Codecs codecs_;
};

constexpr std::size_t header_size = 13;

TEST_F(Lzma, IsReadByOtherTools) {
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{5000}, std::size_t{300'005}}) {
    const Folder folder;
    const Data plain = text_data(size);
    folder.put("plain", plain);
    folder.put("a.lzma", compressed(codec(), plain));
    if (has_tool("xz")) {
      EXPECT_TRUE(folder.run("xz --format=lzma -t a.lzma"));
      EXPECT_TRUE(folder.run("xz -dc a.lzma | cmp - plain"));
    }
    if (has_tool("python3")) {
      EXPECT_TRUE(
          folder.run("python3 -c \"import lzma; a = lzma.open('a.lzma').read(); b = open('plain', 'rb').read();"
                     " assert a == b and lzma.decompress(open('a.lzma', 'rb').read()) == b\""));
    }
  }
}

TEST_F(Lzma, ReadsOtherTools) {
  if (!has_tool("xz")) {
    GTEST_SKIP() << "no xz command";
  }
  const Data plain = text_data(100'000) + random_data(20'000) + Data(100'000);
  std::vector<std::string> commands = {"lzma -0 -c in",
                                       "xz --format=lzma -6e -c in",
                                       "xz --format=lzma -9 -c in",
                                       "xz --format=lzma --lzma1=preset=0,lc=0,lp=4,pb=0,dict=4KiB -c in",
                                       "xz --format=lzma --lzma1=preset=0,lc=4,lp=0,pb=4,dict=96KiB -c in",
                                       "xz --format=lzma -0 -c in; head -c 5000 in | xz --format=lzma -c"};
  if (has_tool("python3")) {
    commands.emplace_back(
        "python3 -c \"import lzma, sys; sys.stdout.buffer.write("
        "lzma.compress(open('in', 'rb').read(), format=lzma.FORMAT_ALONE, preset=1))\"");
  }
  for (const std::string& command : commands) {
    SCOPED_TRACE(command);
    const Data stored = made_by("{ " + command + "; }", plain);
    Data expected = plain;
    if (command.find("head") != std::string::npos) {
      expected.insert(expected.end(), plain.begin(), plain.begin() + 5000);
    }
    expect_reads(codec(), stored, expected);
    expect_exact(codec(), stored, expected);
  }
}

#if STELE_WITH_LIBLZMA
/// A file that says how long its content is and does not mark its end, as the LZMA SDK writes it.
Data with_size_and_no_mark(const Data& plain) {
  lzma_options_lzma options{};
  EXPECT_FALSE(lzma_lzma_preset(&options, 1));
  options.ext_flags = 0;
  lzma_set_ext_size(options, plain.size());
  const std::array<lzma_filter, 2> filters{{{LZMA_FILTER_LZMA1EXT, &options}, {LZMA_VLI_UNKNOWN, nullptr}}};
  Data out(header_size + plain.size() + 1000);
  out[0] = static_cast<std::byte>((options.pb * 5 + options.lp) * 9 + options.lc);
  store_le<std::uint32_t>(out.data() + 1, options.dict_size);
  store_le<std::uint64_t>(out.data() + 5, plain.size());
  std::size_t size = header_size;
  EXPECT_EQ(lzma_raw_buffer_encode(filters.data(), nullptr, reinterpret_cast<const std::uint8_t*>(plain.data()),
                                   plain.size(), reinterpret_cast<std::uint8_t*>(out.data()), &size, out.size()),
            LZMA_OK);
  out.resize(size);
  return out;
}

TEST_F(Lzma, ReadsFilesThatSayTheirSize) {
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{3000}}) {
    const Data plain = text_data(size);
    const Data stored = with_size_and_no_mark(plain);
    expect_reads(codec(), stored, plain);
    if (size > 0) {
      expect_exact(codec(), stored, plain);
    }
    for (std::size_t cut = 0; cut < stored.size(); ++cut) {
      EXPECT_EQ(code_of([&] { plain_in_order(codec(), Bytes(stored).first(cut)); }), Errc::truncated) << cut;
    }
    Data both = compressed(codec(), plain);  // which marks the end as well
    store_le<std::uint64_t>(both.data() + 5, size);
    EXPECT_EQ(plain_at_random(codec(), both), plain);  // liblzma 5.4 rejects it where the mark comes in pieces
    for (std::uint64_t other : {std::uint64_t{size} + 1, std::uint64_t{1} << 37}) {
      store_le<std::uint64_t>(both.data() + 5, other);
      EXPECT_THROW(plain_in_order(codec(), both), Error);
    }
  }
}
#endif

TEST_F(Lzma, LeavesThePipeAfterStreamsOfAllKinds) {
  for (unsigned seed = 1; seed < 100; ++seed) {
    for (const Data& plain : {text_data(37 * seed, seed), random_data(seed, seed), Data(1000 * seed)}) {
      expect_exact(codec(), compressed(codec(), plain, static_cast<int>(seed % 4)), plain);
    }
  }
}

TEST_F(Lzma, HasNoBlocks) {
  const Data stored = compressed(codec(), text_data(5000));
  EXPECT_FALSE(codec().index(*memory_source(stored)));
  EXPECT_EQ(code_of([&] { codec().encoder(6); }), Errc::unsupported);
  EXPECT_EQ(code_of([&] { codec().decoder({}); }), Errc::unsupported);
}

TEST_F(Lzma, IsDistinguishedFromOtherData) {
  const auto header = [](std::uint8_t properties, std::uint32_t dictionary, std::uint64_t size) {
    Data bytes(header_size);
    bytes[0] = std::byte{properties};
    store_le<std::uint32_t>(bytes.data() + 1, dictionary);
    store_le<std::uint64_t>(bytes.data() + 5, size);
    return bytes;
  };
  constexpr std::uint64_t unknown = ~std::uint64_t{0};
  for (const Data& bytes :
       {header(0x5d, 1 << 23, unknown), header(0x5d, 3 << 20, 5), header(0, 4096, 0),
        header(0x5d, ~std::uint32_t{0}, unknown), header(0x5d, 1 << 23, (std::uint64_t{1} << 38) - 1)}) {
    EXPECT_TRUE(codec().recognises(bytes));
    EXPECT_TRUE(codec().recognises(Bytes(bytes).first(12)));
    EXPECT_TRUE(codec().recognises(bytes + Data(1)));
    EXPECT_FALSE(codec().recognises(bytes + Data(1, std::byte{1})));
    EXPECT_FALSE(codec().recognises(Bytes(bytes).first(11)));
  }
  for (const Data& bytes :
       {header(225, 1 << 23, unknown), header(8 + 9 * 1, 1 << 23, unknown), header(0x5d, (1 << 23) + 1, unknown),
        header(0x5d, 5 << 20, unknown), header(0x5d, 2048, unknown), header(0x5d, 0, 5),
        header(0x5d, 1 << 23, std::uint64_t{1} << 38), header(0x5d, 1 << 23, unknown - 1),
        bytes_of("a text of 20 chars.."), bytes_of("PK\3\4 and so on...."), Data(20)}) {
    EXPECT_FALSE(codec().recognises(bytes));
  }
}

TEST_F(Lzma, RefusesADictionaryThatIsTooLarge) {
  const Data plain = text_data(500);
  Data stored = compressed(codec(), plain);
  const auto read = [&](std::uint32_t dictionary, const DecodeOptions& options) {
    store_le<std::uint32_t>(stored.data() + 1, dictionary);
    return read_all(*decompressing_source(memory_source(stored), codec(), options));
  };
  EXPECT_EQ(read(128 << 20, {}), plain);
  EXPECT_EQ(code_of([&] { read(192 << 20, {}); }), Errc::limit_exceeded);
  EXPECT_EQ(code_of([&] { read(~std::uint32_t{0}, {}); }), Errc::limit_exceeded);
  EXPECT_EQ(read(1 << 20, {.window = mib}), plain);
  EXPECT_EQ(code_of([&] { read(4 << 20, {.window = mib}); }), Errc::limit_exceeded);
}

TEST_F(Lzma, LeavesDamageToTheArchive) {
  // The format has no checksum, the archive in it has.
  const std::vector<int> numbers = {1, 2, 3, 500, 600, 7000, -1};
  const Data good = to_bytes(numbers, {.codec = "lzma"});
  EXPECT_EQ(from_bytes<std::vector<int>>(good), numbers);
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    Data bad = good;
    bad[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
    try {
      EXPECT_EQ(from_bytes<std::vector<int>>(bad), numbers) << bit;
    } catch (const Error&) {
    }
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_THROW(from_bytes<std::vector<int>>(Bytes(good).first(size)), Error) << size;
  }
}

TEST_F(Lzma, SaysWhereTheDamageIs) {
  const Data one = compressed(codec(), text_data(500));
  Data stored = one + one;
  stored[one.size() + header_size] = std::byte{1};  // where the range coder begins with a zero
  const std::string second = "lzma stream at byte " + std::to_string(one.size()) + ": ";
  EXPECT_EQ(message_of([&] { plain_in_order(codec(), stored); }), second + "its data or its checksum is wrong");
  EXPECT_EQ(message_of([&] { plain_in_order(codec(), bytes_of("a text of some length")); }),
            "lzma stream at byte 0: not lzma");
}

}  // namespace
}  // namespace stele
