#include "stele/codec.hpp"

#include <thread>

#include "codec/support.hpp"

namespace stele {
namespace {

// ---- every codec ----

class EveryCodec : public testing::TestWithParam<std::string> {
 protected:
  const Codecs codecs_ = all_codecs();
  const Codec& codec_ = *codecs_.find(GetParam());
  const int fast_ = codec_.levels().lowest;  // for much data; RoundTripsAllLevels takes them all
};
class CodecOfBlocks : public EveryCodec {};
class CodecWithIndex : public EveryCodec {};
class CodecWithChecksum : public EveryCodec {};

bool has_blocks(const Codec& codec) {
  Data out;
  const auto to = memory_sink(out);
  return codec.in_order_sink(*to, codec.levels().lowest) == nullptr;
}
/// Whether its files say where each block lies and how large it is.
bool has_index(const Codec& codec) { return has_blocks(codec) && !codec.fixed_blocks(); }
/// Whether its files have checksums; otherwise only the archive in it finds damage.
bool has_checksum(const Codec& codec) { return codec.name() != "lzma"; }

std::string name_of(const testing::TestParamInfo<std::string>& info) { return info.param; }
INSTANTIATE_TEST_SUITE_P(, EveryCodec, testing::ValuesIn(codec_names()), name_of);
INSTANTIATE_TEST_SUITE_P(, CodecOfBlocks, testing::ValuesIn(codec_names(has_blocks)), name_of);
INSTANTIATE_TEST_SUITE_P(, CodecWithIndex, testing::ValuesIn(codec_names(has_index)), name_of);
INSTANTIATE_TEST_SUITE_P(, CodecWithChecksum, testing::ValuesIn(codec_names(has_checksum)), name_of);

TEST_P(EveryCodec, IsFoundByNameExtensionAndMagic) {
  EXPECT_EQ(codecs_.find(GetParam()), &codec_);
  for (std::string_view extension : codec_.extensions()) {
    EXPECT_EQ(codecs_.by_extension("a.b/model.stele" + std::string(extension)), &codec_);
  }
  const Data stored = compressed(codec_, text_data(1000));
  EXPECT_EQ(codecs_.by_magic(Bytes(stored).first(12)), &codec_);
  EXPECT_FALSE(codec_.recognises({}));
  EXPECT_FALSE(codec_.recognises(random_data(12)));
  EXPECT_FALSE(codec_.library().empty());
}

TEST_P(EveryCodec, RoundTripsAllSizes) {
  const std::size_t block = codec_.block_size(fast_);
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{4095}, block / 2 - 1,
                           block / 2, block - 1, block, block + 1, 2 * block, 3 * block + block / 3, 4 * block - 5}) {
    std::vector<Data> contents = {text_data(size)};
    if (size <= block + 1 || size % block == block / 3) {
      contents.push_back(random_data(size));
      contents.push_back(Data(size));
    }
    for (const Data& plain : contents) {
      const Data stored = compressed(codec_, plain, fast_);
      EXPECT_LE(stored.size(), size + size / 50 + 1000);
      EXPECT_EQ(plain_in_order(codec_, stored), plain) << size;
      EXPECT_EQ(plain_at_random(codec_, stored), plain) << size;
    }
  }
}

TEST_P(EveryCodec, RoundTripsAllLevels) {
  const Data plain = text_data(300'000) + random_data(10'000) + Data(300'000);
  for (int level = codec_.levels().lowest; level <= codec_.levels().highest; ++level) {
    const Data stored = compressed(codec_, plain, level);
    EXPECT_EQ(plain_in_order(codec_, stored), plain) << level;
    EXPECT_EQ(plain_at_random(codec_, stored), plain) << level;
  }
}

TEST_P(EveryCodec, KeepsTheBytesHoweverTheyAreWritten) {
  const Data plain = text_data(2 * mib + 12'345);
  for (std::size_t piece : {std::size_t{1}, std::size_t{999}, std::size_t{300'000}, mib / 2, mib - 1, 3 * mib / 2}) {
    const Data stored = compressed(codec_, plain, fast_, piece);
    EXPECT_EQ(plain_in_order(codec_, stored), plain) << piece;
    EXPECT_EQ(plain_at_random(codec_, stored), plain) << piece;
  }
}

TEST_P(EveryCodec, WritesTheSameBytesEachTime) {
  const Data plain = text_data(mib + 5);
  EXPECT_EQ(compressed(codec_, plain), compressed(codec_, plain));
}

TEST_P(CodecWithIndex, CutsALargeWriteIntoBlocksOfItsOwn) {
  const std::size_t block = codec_.block_size(fast_);
  Data stored;
  const auto to = memory_sink(stored);
  const auto sink = compressing_sink(*to, codec_, fast_);
  sink->write(text_data(10));
  sink->write(text_data(2 * block + block / 2));
  sink->write(text_data(block + 20));
  sink->write(text_data(30));
  sink->close();
  const auto index = codec_.index(*memory_source(stored));
  ASSERT_TRUE(index);
  std::vector<std::uint64_t> sizes;
  std::uint64_t plain = 0;
  for (const Block& b : index->blocks) {
    EXPECT_EQ(b.plain_offset, plain);
    plain += b.plain_size;
    sizes.push_back(b.plain_size);
  }
  const std::uint64_t quarter = 5 * block / 8;
  const std::uint64_t half = (block + 20) / 2 / 64 * 64 + 64;
  EXPECT_EQ(sizes, (std::vector<std::uint64_t>{10, quarter, quarter, quarter, quarter, half, block + 20 - half, 30}));
}

TEST_P(EveryCodec, RejectsALevelItDoesNotHave) {
  Data out;
  const auto to = memory_sink(out);
  const auto [lowest, highest, standard] = codec_.levels();
  for (int level : {lowest - 1, highest + 1, 40, -1000}) {
    EXPECT_EQ(code_of([&] { compressing_sink(*to, codec_, level); }), Errc::invalid_argument);
  }
  EXPECT_EQ(message_of([&] { compressing_sink(*to, codec_, 40); }),
            GetParam() + " has levels " + std::to_string(lowest) + " to " + std::to_string(highest) + ", not 40");
}

TEST_P(EveryCodec, RefusesToCloseAfterAnError) {
  const Data plain = random_data(3 * mib);
  for (int writes : {0, 1, 2}) {
    FailingSink to(writes);
    const auto sink = compressing_sink(to, codec_, fast_);
    EXPECT_EQ(code_of([&] { sink->write(plain); }), Errc::io);
    EXPECT_EQ(code_of([&] { sink->write(plain); }), Errc::io);
    EXPECT_EQ(code_of([&] { sink->close(); }), Errc::io);
  }
}

TEST_P(EveryCodec, TakesNothingAfterClose) {
  Data out;
  const auto to = memory_sink(out);
  const auto sink = compressing_sink(*to, codec_, std::nullopt);
  sink->close();
  EXPECT_EQ(code_of([&] { sink->write(random_data(5)); }), Errc::io);
  EXPECT_EQ(code_of([&] { sink->close(); }), Errc::io);
}

TEST_P(CodecOfBlocks, ReadsAtAnyOffset) {
  const Data plain = text_data(3 * mib + 777) + random_data(2 * mib);
  const Data stored = compressed(codec_, plain, fast_);
  const auto source = by_blocks(std::make_unique<FileLike>(stored), codec_);
  ASSERT_TRUE(source->random_access());
  ASSERT_EQ(source->size(), plain.size());
  std::mt19937_64 random(3);
  for (int i = 0; i < 200; ++i) {
    const std::size_t most = i % 10 == 0 ? 3 * mib : 5000;
    const std::size_t offset = random() % plain.size();
    const std::size_t size = std::min(random() % most, plain.size() - offset);
    Data part(size);
    source->read_at(offset, part);
    ASSERT_TRUE(std::equal(part.begin(), part.end(), plain.begin() + static_cast<std::ptrdiff_t>(offset)));
  }
  source->seek(mib + 3);
  EXPECT_EQ(read_all(*source), Data(plain.begin() + mib + 3, plain.end()));
  source->finish();
  Data one(1);
  EXPECT_EQ(code_of([&] { source->read_at(plain.size(), one); }), Errc::truncated);
  source->read_at(plain.size(), {});
}

TEST_P(CodecOfBlocks, ReadsAtOffsetsFromSeveralThreads) {
  const Data plain = text_data(4 * mib + 777);
  const Data stored = compressed(codec_, plain, fast_);
  const auto source = by_blocks(std::make_unique<FileLike>(stored), codec_);
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < 20; ++i) {
        const std::size_t offset = random() % plain.size();
        Data part(std::min(random() % (i % 2 == 0 ? 3 * mib : 3000), plain.size() - offset));
        source->read_at(offset, part);
        wrong += !std::equal(part.begin(), part.end(), plain.begin() + static_cast<std::ptrdiff_t>(offset));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(wrong, 0);
}

TEST_P(CodecWithIndex, ReadsOnlyTheBlocksItNeeds) {
  const Data plain = random_data(16 * mib);
  const Data stored = compressed(codec_, plain, fast_);
  auto file = std::make_unique<FileLike>(stored);
  const FileLike& seen = *file;
  const auto source = decompressing_source(std::move(file), codec_);
  Data part(1000);
  source->read_at(9 * mib + 5, part);
  source->read_at(9 * mib + 5000, part);
  EXPECT_LT(seen.asked_, 2 * codec_.block_size(fast_));
  EXPECT_LT(seen.calls_, 40U);
}

TEST_P(EveryCodec, LeavesThePipeAfterTheArchive) {
  for (std::size_t size : {std::size_t{1}, std::size_t{5000}}) {
    for (const Data& plain : {text_data(size), random_data(size)}) {
      expect_exact(codec_, compressed(codec_, plain, fast_), plain);
    }
  }
  const Data a = text_data(3000);
  const Data b = random_data(500);
  expect_exact(codec_, small_blocks(codec_, {a, b, a}), a + b + a);
  const std::size_t block = codec_.block_size(fast_);
  for (std::size_t size : {block, block + 1, 3 * block + 5}) {
    for (const Data& plain : {text_data(size), random_data(size)}) {
      expect_exact(codec_, compressed(codec_, plain, fast_), plain, {100'000});
    }
  }
}

TEST_P(EveryCodec, ReadsOneArchiveAfterAnother) {
  const Data first = text_data(2 * mib + 9);
  const Data second = random_data(1000);
  const Data third = text_data(mib + mib / 2, 5);
  const Data stored =
      compressed(codec_, first, fast_) + compressed(codec_, second, fast_) + compressed(codec_, third, fast_);
  Pipe pipe(stored);
  for (const Data& plain : {first, second, third}) {  // a decoder for each
    const auto source = codec_.in_order(pipe, {});
    EXPECT_EQ(read_exactly(*source, plain.size()), plain);
    source->finish();
  }
  EXPECT_EQ(pipe.given(), stored.size());
  PeekPipe peek(stored);
  for (const Data& plain : {first, second, third}) {
    const auto source = codec_.in_order(peek, {});
    EXPECT_EQ(read_exactly(*source, plain.size()), plain);
    source->finish();
  }
  EXPECT_EQ(peek.given(), stored.size());
  FileLike file(stored);
  const auto together = codec_.in_order(file, {.threads = 2});
  for (const Data& plain : {first, second, third}) {
    EXPECT_EQ(read_exactly(*together, plain.size()), plain);
    together->finish();
  }
  Pipe again(stored);
  const auto source = codec_.in_order(again, {});
  for (const Data& plain : {first, second, third}) {  // one decoder for all
    EXPECT_EQ(read_exactly(*source, plain.size()), plain);
    source->finish();
  }
  EXPECT_EQ(read_all(*source), Data{});
  EXPECT_EQ(plain_in_order(codec_, stored), first + second + third);
  EXPECT_EQ(plain_at_random(codec_, stored), first + second + third);
}

TEST_P(EveryCodec, ReportsDataAfterTheArchive) {
  const Data plain = text_data(5000);
  const Data stored = compressed(codec_, plain);
  Pipe pipe(stored);
  const auto source = codec_.in_order(pipe, {});
  read_exactly(*source, 4000);
  EXPECT_NE(message_of([&] { source->finish(); }).find("data after the end of the archive"), std::string::npos);
  Data more(10);
  EXPECT_EQ(code_of([&] { source->read(more); }), Errc::damaged);
  EXPECT_EQ(code_of([&] { source->finish(); }), Errc::damaged);
}

TEST_P(EveryCodec, RejectsOtherBytesAfterIt) {
  const Data plain = text_data(5000);
  const Data stored = compressed(codec_, plain) + bytes_of("x and more");
  EXPECT_EQ(code_of([&] { plain_in_order(codec_, stored); }), Errc::damaged);
  EXPECT_EQ(code_of([&] { plain_at_random(codec_, stored); }), Errc::damaged);
}

TEST_P(EveryCodec, ReportsEveryTruncation) {
  const Data plain = text_data(3000);
  const Data stored = compressed(codec_, plain);
  for (std::size_t size = 0; size < stored.size(); ++size) {
    const Bytes cut = Bytes(stored).first(size);
    const auto exactly = [&] {  // the consumer that knows how much it wants
      Pipe pipe(cut);
      const auto source = codec_.in_order(pipe, {});
      Data all(plain.size());
      for (MutableBytes left = all; !left.empty();) {
        const std::size_t count = source->read(left);
        EXPECT_GT(count, 0U) << size;
        left = left.subspan(count == 0 ? left.size() : count);
      }
      source->finish();
      return all;
    };
    EXPECT_EQ(code_of([&] { plain_in_order(codec_, cut); }), Errc::truncated) << size;
    EXPECT_EQ(code_of([&] { plain_at_random(codec_, cut); }), Errc::truncated) << size;
    EXPECT_EQ(code_of(exactly), Errc::truncated) << size;
  }
}

TEST_P(CodecWithChecksum, NeverTakesDamageForData) {
  const Data a = text_data(700);
  const Data b = random_data(60);
  const Data c = text_data(300, 9);
  const Data plain = a + b + c;
  Data stored = small_blocks(codec_, {a, b, c});
  ASSERT_EQ(plain_in_order(codec_, stored), plain);
  for (std::size_t bit = 0; bit < stored.size() * 8; ++bit) {
    const auto flip = std::byte{1} << static_cast<int>(bit % 8);
    stored[bit / 8] ^= flip;
    try {
      EXPECT_EQ(plain_in_order(codec_, stored), plain) << bit;
    } catch (const Error&) {
    }
    try {
      EXPECT_EQ(plain_at_random(codec_, stored), plain) << bit;
    } catch (const Error&) {
    }
    try {
      Pipe pipe(stored);
      const auto source = codec_.in_order(pipe, {});
      Data all(plain.size());
      std::size_t done = 0;
      for (std::size_t count = 1; count > 0 && done < all.size(); done += count) {
        count = source->read(MutableBytes(all).subspan(done));
      }
      source->finish();
      // A file may seem to end between blocks; the archive in it knows better.
      EXPECT_TRUE(std::equal(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(done), plain.begin())) << bit;
    } catch (const Error&) {
    }
    stored[bit / 8] ^= flip;
  }
}

TEST_P(EveryCodec, SurvivesAnyBytes) {
  std::mt19937 random(11);
  const Data good = small_blocks(codec_, {text_data(400), random_data(50), Data(5000)});
  for (int i = 0; i < 3000; ++i) {
    Data bad = good;
    for (int n = 1 + static_cast<int>(random() % 8); n > 0; --n) {
      const std::size_t at = random() % bad.size();
      switch (random() % 3) {
        case 0:
          bad[at] = static_cast<std::byte>(random());
          break;
        case 1:
          bad.erase(bad.begin() + static_cast<std::ptrdiff_t>(at));
          break;
        default:
          bad.insert(bad.begin() + static_cast<std::ptrdiff_t>(at), std::byte{0xff});
      }
    }
    for (bool in_order : {true, false}) {
      try {
        in_order ? plain_in_order(codec_, bad) : plain_at_random(codec_, bad);
      } catch (const Error&) {
      }
    }
  }
}

// ---- a user's codec ----

/// Blocks as they are, with their size before them.
class Stored final : public Codec {
 public:
  struct Encoder final : BlockEncoder {
    std::uint64_t encode(Bytes plain, std::vector<std::byte>& out) override {
      out.resize(out.size() + 4);
      store_le<std::uint32_t>(out.data() + out.size() - 4, static_cast<std::uint32_t>(plain.size()));
      out.insert(out.end(), plain.begin(), plain.end());
      return 42;
    }
  };
  struct Decoder final : BlockDecoder {
    void decode(const Block&, Bytes stored, MutableBytes plain) override {
      if (stored.size() != plain.size() + 4) {
        fail(Errc::damaged, "wrong size");
      }
      std::copy(stored.begin() + 4, stored.end(), plain.begin());
    }
  };
  std::string_view name() const noexcept override { return "stored"; }
  std::span<const std::string_view> extensions() const noexcept override {
    static constexpr std::string_view list[] = {".stored"};
    return list;
  }
  bool recognises(Bytes first) const noexcept override { return !first.empty() && first[0] == std::byte{'S'}; }
  LevelRange levels() const noexcept override { return {}; }
  std::string library() const override { return "none"; }
  std::size_t block_size(int) const noexcept override { return 10; }
  std::unique_ptr<BlockEncoder> encoder(int) const override { return std::make_unique<Encoder>(); }
  std::unique_ptr<BlockDecoder> decoder(const DecodeOptions&) const override { return std::make_unique<Decoder>(); }
  void prologue(int, std::vector<std::byte>& out) const override { out.push_back(std::byte{'S'}); }
  void epilogue(std::span<const Block> blocks, std::vector<std::byte>& out) const override {
    for (const Block& block : blocks) {
      EXPECT_EQ(block.check, 42U);
    }
    out.push_back(std::byte{'E'});
  }
  std::optional<BlockIndex> index(const Source& stored) const override {
    std::vector<Block> blocks;
    std::uint64_t plain = 0;
    for (std::uint64_t at = 1; at < *stored.size() - 1;) {
      std::byte size[4];
      stored.read_at(at, size);
      blocks.push_back({plain, load_le<std::uint32_t>(size), at, load_le<std::uint32_t>(size) + std::uint64_t{4}, 0});
      plain += blocks.back().plain_size;
      at += blocks.back().stored_size;
    }
    return BlockIndex{std::move(blocks)};
  }
  std::unique_ptr<Source> in_order(Source&, const DecodeOptions&) const override {
    fail(Errc::unsupported, "only with random access");
  }
};

TEST(Codecs, TakesAUsersCodec) {
  Codecs codecs;
  const std::size_t before = codecs.all().size();
  codecs.add(std::make_shared<Stored>());
  EXPECT_EQ(codecs.all().size(), before + 1);
  const Codec* codec = codecs.find("stored");
  ASSERT_NE(codec, nullptr);
  EXPECT_EQ(codecs.by_extension("x.stored"), codec);
  EXPECT_EQ(codecs.by_magic(bytes_of("S")), codec);
  const Data plain = text_data(99);
  for (std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{99}}) {
    const Data stored = compressed(*codec, plain, std::nullopt, piece);
    EXPECT_EQ(plain_at_random(*codec, stored), plain);
  }
  EXPECT_EQ(compressed(*codec, {}), bytes_of("SE"));
}

TEST(Codecs, RefusesBlocksThatCannotBe) {
  class Lying final : public Codec {
   public:
    explicit Lying(std::vector<Block> blocks) : blocks_(std::move(blocks)) {}
    std::string_view name() const noexcept override { return "lying"; }
    std::span<const std::string_view> extensions() const noexcept override { return {}; }
    bool recognises(Bytes) const noexcept override { return false; }
    LevelRange levels() const noexcept override { return {}; }
    std::string library() const override { return {}; }
    std::size_t block_size(int) const noexcept override { return 10; }
    std::unique_ptr<BlockEncoder> encoder(int) const override { return nullptr; }
    std::unique_ptr<BlockDecoder> decoder(const DecodeOptions&) const override { return nullptr; }
    std::optional<BlockIndex> index(const Source&) const override { return BlockIndex{blocks_}; }
    std::unique_ptr<Source> in_order(Source&, const DecodeOptions&) const override {
      fail(Errc::unsupported, "in order");
    }

   private:
    std::vector<Block> blocks_;
  };
  const Data file(100);
  const auto opens = [&](std::vector<Block> blocks) {
    try {
      return decompressing_source(memory_source(file), Lying(std::move(blocks)))->random_access();
    } catch (const Error& error) {
      EXPECT_EQ(error.message(), "in order");
      return false;
    }
  };
  EXPECT_TRUE(opens({{0, 5, 0, 50, 0}, {5, 9, 50, 50, 0}}));
  EXPECT_FALSE(opens({{0, 5, 0, 50, 0}, {6, 9, 50, 50, 0}}));           // a gap
  EXPECT_FALSE(opens({{0, 5, 0, 50, 0}, {5, 9, 50, 51, 0}}));           // beyond the end
  EXPECT_FALSE(opens({{0, 5, 0, 50, 0}, {5, 9, 49, 50, 0}}));           // nested blocks
  EXPECT_FALSE(opens({{0, 5, ~std::uint64_t{0}, 50, 0}}));              // wraps around
  EXPECT_FALSE(opens({{0, (std::uint64_t{64} << 20) + 1, 0, 50, 0}}));  // too large to believe
}

TEST(Codecs, EndALongExpansionHoweverTheFileIsRead) {
  const Codecs codecs;
  const Codec& codec = *codecs.find("gzip");
  Data stored;
  const auto to = memory_sink(stored);
  const auto sink = compressing_sink(*to, codec, std::nullopt, 2);
  const Data zeros(4 * mib);
  for (int i = 0; i < 257; ++i) {
    sink->write(zeros);
  }
  sink->close();
  const DecodeOptions limited{.threads = 2, .expansion = 100};
  const auto read = [&](std::unique_ptr<Source> from, const DecodeOptions& options) {
    const auto source = decompressing_source(std::move(from), codec, options);
    Data piece(4 * mib);
    while (source->read(piece) > 0) {
    }
  };
  EXPECT_EQ(code_of([&] { read(memory_source(stored), limited); }), Errc::limit_exceeded);
  EXPECT_EQ(code_of([&] { read(std::make_unique<Pipe>(stored), limited); }), Errc::limit_exceeded);
  stored.push_back(std::byte{});  // no index then
  EXPECT_EQ(code_of([&] { read(memory_source(stored), limited); }), Errc::limit_exceeded);
  EXPECT_NO_THROW(read(memory_source(stored), {}));
}

TEST(Codecs, KnowsNothingOfOtherNames) {
  const Codecs codecs;
  EXPECT_EQ(codecs.find("zip"), nullptr);
  EXPECT_EQ(codecs.by_extension("model.stele"), nullptr);
  EXPECT_EQ(codecs.by_magic(bytes_of("PK\3\4")), nullptr);
  EXPECT_EQ(codecs.by_magic({}), nullptr);
}

}  // namespace
}  // namespace stele
