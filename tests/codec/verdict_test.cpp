// A compressed file is valid or invalid, and has the same bytes, by every way of reading it: samples from this library
// and other tools, and damaged copies.

#include <chrono>
#include <functional>
#include <map>

#include "base/checksum.hpp"
#include "codec/support.hpp"

namespace stele {
namespace {

/// The result of reading a file to its end.
struct Verdict {
  std::optional<Errc> error;
  Data plain;  // if there is no error
  std::string message;
};

Verdict verdict_of(const std::function<std::unique_ptr<Source>()>& open, std::size_t piece = 70'000) {
  Verdict verdict;
  try {
    const auto source = open();
    verdict.plain = read_all(*source, piece);
    source->finish();
  } catch (const Error& error) {
    verdict.error = error.code();
    verdict.plain.clear();
    verdict.message = error.message();
  }
  return verdict;
}

std::string text_of(const Verdict& verdict) {
  return verdict.error ? std::string(to_string(*verdict.error)) + " (" + verdict.message + ")"
                       : std::to_string(verdict.plain.size()) + " bytes";
}

/// Reads a Source with random access by read_at(), from its end to its start.
class Backwards final : public Source {
 public:
  explicit Backwards(std::unique_ptr<Source> source) : source_(std::move(source)) {
    plain_.resize(static_cast<std::size_t>(source_->size().value_or(0)));
    constexpr std::size_t piece = 1000;
    for (std::size_t end = plain_.size(); end > 0;) {
      const std::size_t size = std::min(piece, end);
      end -= size;
      source_->read_at(end, MutableBytes(plain_).subspan(end, size));
    }
  }
  std::size_t read(MutableBytes into) override {
    const std::size_t count = std::min(into.size(), plain_.size() - at_);
    std::copy_n(plain_.begin() + static_cast<std::ptrdiff_t>(at_), count, into.begin());
    at_ += count;
    return count;
  }
  void finish() override { source_->finish(); }

 private:
  std::unique_ptr<Source> source_;
  Data plain_;
  std::size_t at_ = 0;
};

/// Reads in every way and compares. Returns the common verdict.
Verdict expect_one_verdict(const Codec& codec, const Data& stored) {
  FileLike file(stored);
  Verdict expected = verdict_of([&] { return codec.in_order(file, {}); });
  const auto compare = [&](const char* way, const Verdict& verdict) {
    EXPECT_TRUE(verdict.error == expected.error && verdict.plain == expected.plain)
        << way << ": " << text_of(verdict) << ", in order: " << text_of(expected);
  };
  const auto file_like = [&] { return std::make_unique<FileLike>(stored); };
  compare("memory", verdict_of([&] { return decompressing_source(memory_source(stored), codec); }));
  compare("file", verdict_of([&] { return decompressing_source(file_like(), codec); }, 777));
  compare("threads", verdict_of([&] { return decompressing_source(file_like(), codec, {.threads = 3}); }, 900));
  compare("pipe", verdict_of([&] { return decompressing_source(std::make_unique<Pipe>(stored, 1000), codec); }));
  compare("trickle", verdict_of([&] { return decompressing_source(std::make_unique<Pipe>(stored, 3), codec); }));
  const auto pipe = [&](std::size_t most) { return std::make_unique<Pipe>(stored, most); };
  compare("pipe, threads", verdict_of([&] { return decompressing_source(pipe(1000), codec, {.threads = 3}); }));
  Pipe exact(stored, 50);
  compare("exact", verdict_of([&] { return codec.in_order(exact, {}); }));
  for (std::size_t most : {std::size_t{2}, std::size_t{1000}}) {
    PeekPipe peek(stored, most);
    compare("peek", verdict_of([&] { return codec.in_order(peek, {}); }));
  }
  FileLike parallel(stored);
  compare("in order, threads", verdict_of([&] { return codec.in_order(parallel, {.threads = 3}); }));
  if (!expected.error) {
    compare("backwards", verdict_of([&]() -> std::unique_ptr<Source> {
              auto source = decompressing_source(file_like(), codec);
              if (!source->random_access()) {
                return source;
              }
              return std::make_unique<Backwards>(std::move(source));
            }));
  }
  return expected;
}

using Samples = std::map<std::string, Data>;

/// Files of this library's, and how they may follow one another.
void add_own(const Codec& codec, Samples& samples) {
  const Data a = text_data(300);
  const Data b = random_data(60);
  const Data c = text_data(90, 9);
  const Data one = small_blocks(codec, {a});
  const Data three = small_blocks(codec, {a, b, c});
  const Data empty = compressed(codec, {});
  samples["own, one block"] = one;
  samples["own, three blocks"] = three;
  samples["own, empty"] = empty;
  samples["own, two files"] = three + one;
  samples["own, empty files between"] = empty + empty + one + empty + empty;
}

/// What the tools that are here make of a file; several members, levels and options.
void add_foreign(const std::string& codec, Samples& samples) {
  static const std::map<std::string, std::vector<std::string>> commands = {
      {"gzip",
       {"gzip -nc in", "gzip -c in", "pigz -c in", "bgzip -c in", "igzip -c in", "gzip -1c in; : | gzip -c; gzip -c in",
        "bgzip -c in; bgzip -c in", "pigz -c in; head -c 100 /dev/zero"}},
      {"bzip2",
       {"bzip2 -c in", "pbzip2 -c in", "lbzip2 -c in", "bzip2 -1c in; : | bzip2 -c; bzip2 -c in",
        "bzip2 -c in; head -c 100 /dev/zero"}},
      {"xz",
       {"xz -c in", "xz -c --check=none in", "xz -c --check=crc32 in", "xz -c --check=sha256 in",
        "xz -c --block-size=100 in", "xz -T2 -c --block-size=100 in", "xz -c --x86 --lzma2 in", "pixz < in",
        "xz -c in; : | xz -c; xz -c in", "xz -c in; head -c 8 /dev/zero; xz -c in; head -c 4 /dev/zero"}},
      {"lzma", {"xz --format=lzma -c in", "xz --format=lzma -c in; xz --format=lzma -c in"}},
      {"lz4",
       {"lz4 -c in", "lz4 -c -BD in", "lz4 -c -B4 -BX in", "lz4 -c --content-size in", "lz4 -c --no-frame-crc in",
        "lz4 -c --no-frame-crc -BX --content-size in", "lz4 -c -l in", "lz4 -c in; lz4 -c in",
        "lz4 -c in; printf '\\120\\052\\115\\030\\3\\0\\0\\0abc'", ": | lz4 -c; lz4 -c in"}},
      {"zstd",
       {"zstd -c in", "zstd -c --no-check in", "zstd -c - < in", "zstd -c --no-content-size in", "zstd -c --long=20 in",
        "zstd -19 -c in; zstd -c in", "pzstd -c in", ": | zstd -c; zstd -c in",
        "printf '\\120\\052\\115\\030\\3\\0\\0\\0abc'; zstd -c in; printf '\\136\\052\\115\\030\\3\\0\\0\\0abc'"}}};
  const auto found = commands.find(codec);
  if (found == commands.end()) {
    return;
  }
  for (const std::string& command : found->second) {
    if (has_tool(command.substr(0, command.find(' '))) || command[0] == ':' || command[0] == 'p') {
      const Folder folder;
      folder.put("in", text_data(330, 3));
      if (folder.run("{ " + command + "; } > out")) {
        samples[command] = folder.get("out");
      }
    }
  }
}

/// Files that other programs are known to make, by hand.
void add_by_hand(const std::string& codec, Samples& samples) {
  const auto hex = [](std::string_view digits) {
    Data bytes;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
      bytes.push_back(static_cast<std::byte>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16)));
    }
    return bytes;
  };
  if (codec == "gzip") {
    // BGZF's end, and a member with a checksum of its header.
    const Data end = hex("1f8b08040000000000ff0600424302001b0003000000000000000000");
    samples["end of BGZF"] = end + end;
    samples["header checksum"] = hex("1f8b08020000000000ff90c903000000000000000000");
  } else if (codec == "zstd") {
    samples["states a size, holds nothing"] = hex("28b52ffd840000a0000001000099e9d851");
    samples["states a million bytes, holds five"] = hex("28b52ffda040420f0028000068656c6c6f010000");
    samples["a window that is small"] = hex("28b52ffd0000290000") + bytes_of("hello");
  } else if (codec == "lzma") {
    samples["size and end mark"] =
        hex("5d0000800006000000000000000034"
            "1949ee8ddd3d3adfffffdd120000");
  }
}

class EveryVerdict : public testing::TestWithParam<std::string> {
 protected:
  const Codecs codecs_ = all_codecs();
  const Codec& codec_ = *codecs_.find(GetParam());

  Samples samples() const {
    Samples samples;
    add_own(codec_, samples);
    add_foreign(GetParam(), samples);
    add_by_hand(GetParam(), samples);
    return samples;
  }
};
INSTANTIATE_TEST_SUITE_P(, EveryVerdict, testing::ValuesIn(codec_names()),
                         [](const testing::TestParamInfo<std::string>& info) { return info.param; });

TEST_P(EveryVerdict, IsTheSameForGoodFiles) {
  for (const auto& [name, stored] : samples()) {
    SCOPED_TRACE(name);
    const Verdict verdict = expect_one_verdict(codec_, stored);
    EXPECT_EQ(verdict.error.has_value(), name.starts_with("states a")) << verdict.message;
  }
}

/// Of the bytes far from both ends a tenth will do.
bool in_the_midst(const Data& stored, std::size_t at) { return at > 60 && at + 60 < stored.size() && at % 10 != 0; }

TEST_P(EveryVerdict, IsTheSameWhereAByteIsWrong) {
  for (const auto& [name, good] : samples()) {
    SCOPED_TRACE(name);
    for (std::size_t i = 0; i < good.size(); ++i) {
      if (in_the_midst(good, i)) {
        continue;
      }
      SCOPED_TRACE(i);
      Data bad = good;
      bad[i] ^= i % 2 == 0 ? std::byte{0xff} : std::byte{1} << static_cast<int>(i % 8);
      expect_one_verdict(codec_, bad);
    }
  }
}

TEST_P(EveryVerdict, IsTheSameWhereTheEndIsMissing) {
  for (const auto& [name, good] : samples()) {
    SCOPED_TRACE(name);
    for (std::size_t size = 0; size < good.size(); ++size) {
      if (in_the_midst(good, size)) {
        continue;
      }
      SCOPED_TRACE(size);
      expect_one_verdict(codec_, Data(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)));
    }
  }
}

TEST_P(EveryVerdict, IsIndependentOfWhatFollows) {
  for (const auto& [name, good] : samples()) {
    SCOPED_TRACE(name);
    for (const Data& more : {Data(1), Data(3), Data(4), Data(8), Data(100), Data(70'000), bytes_of("x"),
                             bytes_of("x and more bytes, as many as a header has"), random_data(500), good}) {
      SCOPED_TRACE(more.size());
      expect_one_verdict(codec_, good + more);
      expect_one_verdict(codec_, more + good);
    }
  }
}

TEST_P(EveryVerdict, IsTheSameForLargeFiles) {
  const Data plain = text_data(400'000) + random_data(50'000) + Data(300'000);
  Samples samples;
  samples["own"] = compressed(codec_, plain, codec_.levels().lowest);
  const std::map<std::string, std::vector<std::string>> commands = {
      {"gzip", {"gzip -1c in", "bgzip -c in", "pigz -1c in"}},
      {"bzip2", {"bzip2 -1c in", "pbzip2 -1c in", "lbzip2 -1c in"}},
      {"xz", {"xz -0c --block-size=100000 in", "xz -T2 -0c --block-size=100000 in", "pixz -0 < in"}},
      {"lzma", {"xz --format=lzma -0c in"}},
      {"lz4", {"lz4 -c in", "lz4 -B4 -c in", "lz4 -BD -B4 -c in", "lz4 -BX -B5 --content-size -c in", "lz4 -l -c in"}},
      {"zstd", {"zstd -c in", "pzstd -p 2 -c in", "split -b 100000 in part; for i in part*; do zstd -c $i; done"}}};
  if (const auto found = commands.find(GetParam()); found != commands.end()) {
    for (const std::string& command : found->second) {
      if (has_tool(command.substr(0, command.find(' ')))) {
        samples[command] = made_by("{ " + command + "; }", plain);
      }
    }
  }
  for (const auto& [name, good] : samples) {
    SCOPED_TRACE(name);
    EXPECT_EQ(expect_one_verdict(codec_, good).plain, plain);
    std::mt19937 random(5);
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < 8; ++i) {
      places.insert(places.end(), {i, good.size() - 1 - i, random() % good.size()});
    }
    for (std::size_t place : places) {
      SCOPED_TRACE(place);
      Data bad = good;
      bad[place] ^= std::byte{1} << static_cast<int>(place % 8);
      FileLike file(bad);
      const Verdict expected = verdict_of([&] { return codec_.in_order(file, {}); });
      const Verdict seek = verdict_of([&] { return decompressing_source(memory_source(bad), codec_, {.threads = 2}); });
      EXPECT_TRUE(seek.error == expected.error && seek.plain == expected.plain)
          << text_of(seek) << ", in order: " << text_of(expected);
    }
  }
}

// ---- faults that were ----

TEST(Verdict, AnLz4FrameWithAWrongContentChecksumIsDamaged) {
  const Codecs codecs;
  const Codec* codec = codecs.find("lz4");
  if (codec == nullptr) {
    GTEST_SKIP() << "this build has no lz4";
  }
  // As the lz4 tool makes them: independent blocks of 64 KiB without checksums, and one of the content.
  for (std::size_t blocks : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
    SCOPED_TRACE(blocks);
    Data stored = bytes_of("\x04\x22\x4d\x18\x64\x40");
    stored.push_back(static_cast<std::byte>(xxh32(Bytes(stored).subspan(4)) >> 8));
    const Data plain = random_data(blocks * 65536);
    const auto put = [&](std::uint32_t value) {
      stored.resize(stored.size() + 4);
      store_le<std::uint32_t>(stored.data() + stored.size() - 4, value);
    };
    for (std::size_t i = 0; i < blocks; ++i) {
      put(0x80000000U | 65536U);
      stored.insert(stored.end(), plain.begin() + static_cast<std::ptrdiff_t>(i * 65536),
                    plain.begin() + static_cast<std::ptrdiff_t>((i + 1) * 65536));
    }
    put(0);
    put(xxh32(plain));
    EXPECT_EQ(expect_one_verdict(*codec, stored).plain, plain);
    Data bad = stored;
    bad.back() ^= std::byte{1};
    EXPECT_EQ(expect_one_verdict(*codec, bad).error, Errc::damaged);
    if (blocks > 0) {
      bad = stored;
      bad[stored.size() / 2] ^= std::byte{1};
      EXPECT_EQ(expect_one_verdict(*codec, bad).error, Errc::damaged);
    }
  }
}

/// Data in which those bytes occur that make the list of them, which stands in each block of bzip2, hold `magic`.
Data data_with_magic(std::uint64_t magic) {
  Data kinds;
  for (unsigned group = 0; group < 16; ++group) {
    const std::uint64_t bits = group >= 4 && group < 7 ? magic >> 16 * (6 - group) & 0xffff : 1;
    for (unsigned i = 0; i < 16; ++i) {
      if ((bits >> (15 - i) & 1) != 0) {
        kinds.push_back(static_cast<std::byte>(16 * group + i));
      }
    }
  }
  std::mt19937 random(1);
  Data data(450'000);
  for (std::byte& byte : data) {
    byte = kinds[random() % kinds.size()];
  }
  return data;
}

TEST(Verdict, AMagicInsideOfABzip2BlockBeginsNone) {
  const Codecs codecs;
  const Codec* codec = codecs.find("bzip2");
  if (codec == nullptr || !has_tool("bzip2")) {
    GTEST_SKIP() << "this build or machine has no bzip2";
  }
  for (std::uint64_t magic : {0x314159265359U, 0x177245385090U}) {
    SCOPED_TRACE(magic);
    const Data plain = data_with_magic(magic);
    const Data other = random_data(250'000);
    const Data stored = made_by("bzip2 -1c in", plain) + made_by("bzip2 -1c in", other);
    EXPECT_EQ(expect_one_verdict(*codec, stored).plain, plain + other);
    const Data first = made_by("bzip2 -1c in", other + plain);
    EXPECT_EQ(expect_one_verdict(*codec, first).plain, other + plain);
  }
}

TEST(Verdict, TheChecksumOfABzip2StreamIsOfItsBlocks) {
  const Codecs codecs;
  const Codec* codec = codecs.find("bzip2");
  if (codec == nullptr || !has_tool("bzip2")) {
    GTEST_SKIP() << "this build or machine has no bzip2";
  }
  const Data stored = made_by("bzip2 -1c in", random_data(450'000));
  for (std::size_t i = 1; i <= 10; ++i) {
    Data bad = stored;
    bad[bad.size() - i] ^= std::byte{0x10};
    EXPECT_EQ(expect_one_verdict(*codec, bad).error, Errc::damaged) << i;
  }
}

TEST(Verdict, AnEmptyGzipMemberHasAChecksumToo) {
  const Codecs codecs;
  const Codec& codec = *codecs.find("gzip");
  const Data good = compressed(codec, text_data(100)) + compressed(codec, {});
  ASSERT_FALSE(expect_one_verdict(codec, good).error);
  for (std::size_t i = 1; i <= 8; ++i) {
    Data bad = good;
    bad[bad.size() - i] ^= std::byte{1};
    EXPECT_EQ(expect_one_verdict(codec, bad).error, Errc::damaged) << i;
  }
}

// ---- files of very many parts ----

struct Many {
  std::string codec;
  std::string name;
  std::size_t count;
  Data (*part)(const Codec&);
};
class ManyParts : public testing::TestWithParam<Many> {};
Data empty_file(const Codec& codec) { return compressed(codec, {}); }
Data small_file(const Codec& codec) { return small_blocks(codec, {bytes_of("0123456789")}); }
Data skippable(const Codec&) { return bytes_of(std::string_view("\x50\x2a\x4d\x18\0\0\0\0", 8)); }
INSTANTIATE_TEST_SUITE_P(
    , ManyParts,
    testing::Values(Many{"xz", "empty", 100'000, empty_file}, Many{"gzip", "empty", 100'000, empty_file},
                    Many{"zlib", "empty", 100'000, empty_file}, Many{"bzip2", "empty", 20'000, empty_file},
                    Many{"lz4", "empty", 100'000, empty_file}, Many{"zstd", "empty", 100'000, empty_file},
                    Many{"lz4", "skippable", 200'000, skippable}, Many{"zstd", "skippable", 200'000, skippable},
                    Many{"gzip", "small", 300'000, small_file}, Many{"zstd", "small", 300'000, small_file},
                    Many{"xz", "small", 20'000, small_file}, Many{"bzip2", "small", 5'000, small_file}),
    [](const auto& info) { return info.param.codec + "_" + info.param.name; });

TEST_P(ManyParts, TakeTimeAsTheirSize) {
  const Codecs codecs;
  const Codec* codec = codecs.find(GetParam().codec);
  if (codec == nullptr) {
    GTEST_SKIP() << "this build does not have it";
  }
  const Data part = GetParam().part(*codec);
  const auto seconds_for = [&](std::size_t count) {
    Data stored = small_file(*codec);
    for (std::size_t i = 0; i < count; ++i) {
      stored.insert(stored.end(), part.begin(), part.end());
    }
    const auto start = std::chrono::steady_clock::now();
    Data piece(mib);
    const auto source = decompressing_source(std::make_unique<FileLike>(stored), *codec);
    while (source->read(piece) > 0) {
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const std::size_t few = GetParam().count / 10;
  const double quick = seconds_for(few);
  // It would take a hundred times as long if time grew with the square of the size.
  EXPECT_LT(seconds_for(10 * few), 40 * quick + 0.5);
}

TEST(ManyBlocks, HaveAnIndexOnlyAsLargeAsTheFileWarrants) {
  const Codecs codecs;
  for (const char* name : {"gzip", "zstd", "zlib"}) {
    const Codec* codec = codecs.find(name);
    if (codec == nullptr) {
      continue;
    }
    SCOPED_TRACE(name);
    const Data part = small_file(*codec);
    Data stored;
    const auto grow_to = [&](std::size_t count) {
      while (stored.size() < count * part.size()) {
        stored.insert(stored.end(), part.begin(), part.end());
      }
    };
    grow_to(50'000);
    EXPECT_TRUE(codec->index(*memory_source(stored)));
    grow_to(250'000);
    EXPECT_FALSE(codec->index(*memory_source(stored)));
    const auto source = decompressing_source(memory_source(stored), *codec);
    EXPECT_FALSE(source->random_access());
    EXPECT_EQ(read_all(*source).size(), 10U * 250'000U);
  }
}

}  // namespace
}  // namespace stele
