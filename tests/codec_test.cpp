#include "stele/codec.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

using Data = std::vector<std::byte>;

constexpr std::size_t mib = std::size_t{1} << 20;

// ---- data ----

Data random_data(std::size_t size, unsigned seed = 1) {
  std::mt19937_64 random(seed);
  Data data(size);
  for (std::byte& b : data) {
    b = static_cast<std::byte>(random() >> 32);
  }
  return data;
}

/// Words, so that it shrinks to about a quarter and every level finds something to do.
Data text_data(std::size_t size, unsigned seed = 1) {
  std::mt19937_64 random(seed);
  Data data;
  data.reserve(size + 16);
  while (data.size() < size) {
    for (char c : std::to_string(random() % 500 * random() % 500)) {
      data.push_back(static_cast<std::byte>(c));
    }
    data.push_back(std::byte{' '});
  }
  data.resize(size);
  return data;
}

Data bytes_of(std::string_view text) {
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return Data(first, first + text.size());
}

Data operator+(Data a, const Data& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// ---- Sinks and Sources ----

/// Gives bytes in order only, a random number at a time, and tells how many it gave.
class Pipe final : public Source {
 public:
  explicit Pipe(Bytes bytes, std::size_t most = 100'000) : bytes_(bytes), most_(most) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t count = std::min({into.size(), bytes_.size() - given_, 1 + random_() % most_});
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(given_), count, into.begin());
    given_ += count;
    return count;
  }
  std::size_t given() const { return given_; }

 private:
  Bytes bytes_;
  std::size_t most_;
  std::size_t given_ = 0;
  std::mt19937 random_{7};
};

/// Random access without memory(), as a file has it; tells how many bytes and calls were asked of it.
class FileLike final : public Source {
 public:
  explicit FileLike(Bytes bytes) : bytes_(bytes) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t count = std::min(into.size(), bytes_.size() - static_cast<std::size_t>(position_));
    read_at(position_, into.first(count));
    position_ += count;
    return count;
  }
  std::optional<std::uint64_t> size() const override { return bytes_.size(); }
  bool random_access() const noexcept override { return true; }
  void seek(std::uint64_t offset) override { position_ = offset; }
  void read_at(std::uint64_t offset, MutableBytes into) const override {
    if (offset > bytes_.size() || into.size() > bytes_.size() - offset) {
      fail(Errc::truncated, "behind the end");
    }
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    asked_ += into.size();
    ++calls_;
  }
  std::uint64_t position() const { return position_; }
  mutable std::atomic<std::size_t> asked_ = 0;
  mutable std::atomic<std::size_t> calls_ = 0;

 private:
  Bytes bytes_;
  std::uint64_t position_ = 0;
};

/// Fails at the n-th write.
class FailingSink final : public Sink {
 public:
  explicit FailingSink(int writes) : left_(writes) {}
  void write(Bytes) override {
    if (left_-- == 0) {
      fail(Errc::io, "no space left");
    }
  }

 private:
  int left_;
};

// ---- calls ----

Data read_all(Source& source, std::size_t piece = 70'000) {
  Data all;
  while (true) {
    const std::size_t before = all.size();
    all.resize(before + piece);
    const std::size_t count = source.read(MutableBytes(all).subspan(before));
    all.resize(before + count);
    if (count == 0) {
      return all;
    }
  }
}

Data read_exactly(Source& source, std::size_t size) {
  Data all(size);
  for (std::size_t done = 0; done < size;) {
    const std::size_t count = source.read(MutableBytes(all).subspan(done));
    if (count == 0) {
      ADD_FAILURE() << "ends at byte " << done << " of " << size;
      break;
    }
    done += count;
  }
  return all;
}

Data compressed(const Codec& codec, Bytes plain, std::optional<int> level = std::nullopt,
                std::size_t piece = static_cast<std::size_t>(-1)) {
  Data out;
  const auto to = memory_sink(out);
  const auto sink = compressing_sink(*to, codec, level);
  while (!plain.empty()) {
    const std::size_t count = std::min(piece, plain.size());
    sink->write(plain.first(count));
    plain = plain.subspan(count);
  }
  sink->close();
  return out;
}

Data plain_in_order(const Codec& codec, Bytes stored) {
  Pipe pipe(stored);
  return read_all(*codec.in_order(pipe));
}

Data plain_at_random(const Codec& codec, Bytes stored) {
  return read_all(*decompressing_source(memory_source(stored), codec));
}

template <class Action>
Errc code_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return Errc::io;
}

template <class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.message();
  }
  ADD_FAILURE() << "no error";
  return {};
}

// ---- tools ----

bool has_tool(const std::string& name) { return std::system(("command -v " + name + " >/dev/null 2>&1").c_str()) == 0; }

/// A folder of this process, removed at the end.
class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / ("stele_codec_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

  /// Runs a shell command in the folder.
  bool run(const std::string& command) const {
    return std::system(("cd '" + path_.string() + "' && { " + command + " ; } >/dev/null 2>&1").c_str()) == 0;
  }
  void put(const std::string& name, Bytes bytes) const {
    std::ofstream(path_ / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  Data get(const std::string& name) const {
    std::ifstream in(path_ / name, std::ios::binary);
    return bytes_of(std::string(std::istreambuf_iterator<char>(in), {}));
  }

 private:
  std::filesystem::path path_;
};

/// What `command` makes of the file "in".
Data made_by(const std::string& command, Bytes plain) {
  const Folder folder;
  folder.put("in", plain);
  EXPECT_TRUE(folder.run(command + " > out")) << command;
  return folder.get("out");
}

/// Reads a foreign file by every way there is, and what stands behind it.
void expect_reads(const Codec& codec, const Data& stored, const Data& plain) {
  EXPECT_TRUE(codec.recognises(stored));
  EXPECT_EQ(plain_at_random(codec, stored), plain);
  FileLike file(stored);
  EXPECT_EQ(read_all(*codec.in_order(file)), plain);
  EXPECT_EQ(plain_in_order(codec, stored), plain);
}

/// Reads exactly the plain bytes and finishes: nothing of what follows may be taken.
void expect_exact(const Codec& codec, const Data& stored, const Data& plain) {
  const Data more = stored + random_data(100);
  for (std::size_t most : {std::size_t{1}, std::size_t{5}, std::size_t{100'000}}) {
    Pipe pipe(more, most);
    const auto source = codec.in_order(pipe);
    EXPECT_EQ(read_exactly(*source, plain.size()), plain);
    source->finish();
    EXPECT_EQ(pipe.given(), stored.size());
  }
  FileLike file(more);
  const auto source = codec.in_order(file);
  EXPECT_EQ(read_exactly(*source, plain.size()), plain);
  source->finish();
  EXPECT_EQ(file.position(), stored.size());
}

// ---- every codec ----

class EveryCodec : public testing::TestWithParam<std::string> {
 protected:
  const Codecs codecs_;
  const Codec& codec_ = *codecs_.find(GetParam());
};

std::vector<std::string> names() {
  const Codecs codecs;
  std::vector<std::string> list;
  for (const auto& codec : codecs.all()) {
    list.emplace_back(codec->name());
  }
  return list;
}
INSTANTIATE_TEST_SUITE_P(, EveryCodec, testing::ValuesIn(names()), [](const auto& name) { return name.param; });

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
  const std::size_t block = codec_.block_size(codec_.levels().standard);
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{4095}, block / 2 - 1,
                           block / 2, block - 1, block, block + 1, 2 * block, 3 * block + block / 3, 4 * block - 5}) {
    for (const Data& plain : {text_data(size), random_data(size), Data(size)}) {
      const Data stored = compressed(codec_, plain);
      EXPECT_LE(stored.size(), size + size / 100 + 1000);
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
    const Data stored = compressed(codec_, plain, std::nullopt, piece);
    EXPECT_EQ(plain_in_order(codec_, stored), plain) << piece;
    EXPECT_EQ(plain_at_random(codec_, stored), plain) << piece;
  }
}

TEST_P(EveryCodec, WritesTheSameBytesEachTime) {
  const Data plain = text_data(mib + 5);
  EXPECT_EQ(compressed(codec_, plain), compressed(codec_, plain));
}

TEST_P(EveryCodec, CutsABlockAtTheStartOfALargeWrite) {
  const std::size_t block = codec_.block_size(codec_.levels().standard);
  Data stored;
  const auto to = memory_sink(stored);
  const auto sink = compressing_sink(*to, codec_, std::nullopt);
  sink->write(text_data(10));
  sink->write(text_data(2 * block + block / 2));
  sink->write(text_data(block + 20));
  sink->write(text_data(30));
  sink->close();
  const auto blocks = codec_.index(*memory_source(stored));
  ASSERT_TRUE(blocks);
  std::vector<std::uint64_t> sizes;
  std::uint64_t plain = 0;
  for (const Block& b : *blocks) {
    EXPECT_EQ(b.plain_offset, plain);
    plain += b.plain_size;
    sizes.push_back(b.plain_size);
  }
  EXPECT_EQ(sizes, (std::vector<std::uint64_t>{10, block, block, block / 2, block, 50}));
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
    const auto sink = compressing_sink(to, codec_, std::nullopt);
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

TEST_P(EveryCodec, ReadsAtAnyOffset) {
  const Data plain = text_data(3 * mib + 777) + random_data(2 * mib);
  const Data stored = compressed(codec_, plain);
  const auto source = decompressing_source(std::make_unique<FileLike>(stored), codec_);
  ASSERT_TRUE(source->random_access());
  ASSERT_EQ(source->size(), plain.size());
  std::mt19937_64 random(3);
  for (int i = 0; i < 200; ++i) {
    const std::size_t most = i % 4 == 0 ? 3 * mib : 5000;
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

TEST_P(EveryCodec, ReadsAtOffsetsFromSeveralThreads) {
  const Data plain = text_data(4 * mib + 777);
  const Data stored = compressed(codec_, plain);
  const auto source = decompressing_source(std::make_unique<FileLike>(stored), codec_);
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

TEST_P(EveryCodec, ReadsOnlyTheBlocksItNeeds) {
  const Data plain = random_data(16 * mib);
  const Data stored = compressed(codec_, plain);
  auto file = std::make_unique<FileLike>(stored);
  const FileLike& seen = *file;
  const auto source = decompressing_source(std::move(file), codec_);
  Data part(1000);
  source->read_at(9 * mib + 5, part);
  source->read_at(9 * mib + 5000, part);
  EXPECT_LT(seen.asked_, 2 * mib);
  EXPECT_LT(seen.calls_, 40U);
}

TEST_P(EveryCodec, LeavesThePipeBehindTheArchive) {
  for (std::size_t size : {std::size_t{1}, std::size_t{5000}, mib, mib + 1, 3 * mib + 5}) {
    for (const Data& plain : {text_data(size), random_data(size)}) {
      expect_exact(codec_, compressed(codec_, plain), plain);
    }
  }
}

TEST_P(EveryCodec, ReadsOneArchiveAfterAnother) {
  const Data first = text_data(2 * mib + 9);
  const Data second = random_data(1000);
  const Data third = text_data(mib + mib / 2, 5);
  const Data stored = compressed(codec_, first) + compressed(codec_, second) + compressed(codec_, third);
  Pipe pipe(stored);
  for (const Data& plain : {first, second, third}) {  // a decoder for each
    const auto source = codec_.in_order(pipe);
    EXPECT_EQ(read_exactly(*source, plain.size()), plain);
    source->finish();
  }
  EXPECT_EQ(pipe.given(), stored.size());
  Pipe again(stored);
  const auto source = codec_.in_order(again);
  for (const Data& plain : {first, second, third}) {  // one decoder for all
    EXPECT_EQ(read_exactly(*source, plain.size()), plain);
    source->finish();
  }
  EXPECT_EQ(read_all(*source), Data{});
  EXPECT_EQ(plain_in_order(codec_, stored), first + second + third);
  EXPECT_EQ(plain_at_random(codec_, stored), first + second + third);
}

TEST_P(EveryCodec, ReportsDataBehindTheEndOfTheArchive) {
  const Data plain = text_data(5000);
  const Data stored = compressed(codec_, plain);
  Pipe pipe(stored);
  const auto source = codec_.in_order(pipe);
  read_exactly(*source, 4000);
  EXPECT_NE(message_of([&] { source->finish(); }).find("data behind the end of the archive"), std::string::npos);
  Data more(10);
  EXPECT_EQ(code_of([&] { source->read(more); }), Errc::damaged);
  EXPECT_EQ(code_of([&] { source->finish(); }), Errc::damaged);
}

TEST_P(EveryCodec, RejectsOtherBytesBehindIt) {
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
    EXPECT_EQ(code_of([&] { plain_in_order(codec_, cut); }), Errc::truncated) << size;
    EXPECT_EQ(code_of([&] { plain_at_random(codec_, cut); }), Errc::truncated) << size;
    Pipe pipe(cut);  // the consumer that knows how much it wants
    const auto source = codec_.in_order(pipe);
    EXPECT_EQ(code_of([&] {
                Data all(plain.size());
                for (MutableBytes left = all; !left.empty();) {
                  left = left.subspan(source->read(left));
                }
                source->finish();
              }),
              Errc::truncated)
        << size;
  }
}

/// A file of several blocks that is small enough to damage every bit of it.
Data small_blocks(const Codec& codec, std::initializer_list<Data> blocks) {
  Data out;
  std::vector<Block> list;
  codec.prologue(codec.levels().standard, out);
  const auto encoder = codec.encoder(codec.levels().standard);
  std::uint64_t plain = 0;
  for (const Data& data : blocks) {
    Block block{.plain_offset = plain, .plain_size = data.size(), .stored_offset = out.size()};
    block.check = encoder->encode(data, out);
    block.stored_size = out.size() - block.stored_offset;
    list.push_back(block);
    plain += data.size();
  }
  codec.epilogue(list, out);
  return out;
}

TEST_P(EveryCodec, NeverTakesDamageForData) {
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
      const auto source = codec_.in_order(pipe);
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

// ---- gzip and its tools ----

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
    folder.put("a.gz", compressed(codec_, plain));
    EXPECT_TRUE(folder.run("gzip -t a.gz"));
    EXPECT_TRUE(folder.run("gzip -dc a.gz | cmp - plain"));
    if (has_tool("pigz")) {
      EXPECT_TRUE(folder.run("pigz -dc a.gz | cmp - plain"));
    }
    if (has_tool("python3")) {
      EXPECT_TRUE(folder.run("python3 -c \"import gzip; a = gzip.open('a.gz').read(); b = open('plain', 'rb').read(); "
                             "assert a == b and gzip.decompress(open('a.gz', 'rb').read()) == b\""));
    }
  }
}

TEST_F(Gzip, ReadsOtherTools) {
  const Data plain = text_data(mib + 5000) + random_data(100'000);
  std::vector<std::string> commands = {"gzip -1 -c in", "gzip -9 -c in", "gzip -N -c in", "gzip -n -c in",
                                       "gzip -c in; head -c 5000 in | gzip", "gzip -c in; gzip -c /dev/null"};
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
    if (command.find("/dev/null") == std::string::npos) {
      expect_exact(codec_, stored, expected);
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
  const auto blocks = codec_.index(FileLike(stored));
  ASSERT_TRUE(blocks);
  ASSERT_EQ(blocks->size(), 2U);
  EXPECT_EQ(blocks->at(1).plain_offset, a.size());
  expect_reads(codec_, stored, a + b);
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

// ---- zstd and its tools ----

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
  std::vector<std::string> commands = {"zstd -1 -c in",
                                       "zstd -1 -c - < in",
                                       "zstd -19 -c in",
                                       "zstd -19 --long -c in",
                                       "zstd --long=27 -c in",
                                       "zstd --long=27 -c - < in",
                                       "zstd --no-check -c in",
                                       "zstd -T2 -c in",
                                       "zstd -c in; head -c 5000 in | zstd -c",
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
      const auto source = codec().in_order(pipe);
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
    const auto blocks = codec().index(FileLike(stored));
    ASSERT_TRUE(blocks);
    ASSERT_EQ(blocks->size(), 2U);
    EXPECT_EQ(blocks->at(1).plain_offset, a.size());
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
    EXPECT_FALSE(codec().index(*memory_source(made_by("zstd -c - < in", small))));          // no content size
    EXPECT_FALSE(codec().index(*memory_source(made_by("zstd -c in", text_data(5 * mib)))));  // one large frame
  }
}

TEST_F(Zstd, ComparesTheSeekTable) {
  const Data a = text_data(500);
  const Data b = random_data(300);
  const Data good = small_blocks(codec(), {a, b});
  const std::size_t table_size = 8 + 2 * 8 + 9;
  ASSERT_EQ(codec().index(*memory_source(good))->size(), 2U);
  for (std::size_t i = 0; i < table_size; ++i) {
    Data stored = good;
    stored[good.size() - table_size + i] ^= std::byte{2};
    Pipe pipe(stored);
    const auto source = codec().in_order(pipe);
    EXPECT_EQ(read_exactly(*source, 800), a + b);
    EXPECT_THROW(source->finish(), Error) << i;
  }
  for (std::size_t cut = 1; cut < table_size; ++cut) {
    Pipe pipe(Bytes(good).first(good.size() - cut));
    const auto source = codec().in_order(pipe);
    read_exactly(*source, 800);
    EXPECT_EQ(code_of([&] { source->finish(); }), Errc::truncated) << cut;
  }
}

TEST_F(Zstd, GivesBackWhatIsNoSeekTable) {
  const Data a = text_data(500);
  const Data b = random_data(300);
  const Data frames = compressed(codec(), a) + compressed(codec(), b);
  const Data stored = frames + bytes_of("other bytes");
  FileLike file(stored);
  const auto source = codec().in_order(file);
  EXPECT_EQ(read_exactly(*source, 800), a + b);
  source->finish();
  EXPECT_EQ(file.position(), frames.size());
  Pipe pipe(stored);  // which cannot be given anything back
  const auto piped = codec().in_order(pipe);
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
    void decode(Bytes stored, MutableBytes plain) override {
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
  std::unique_ptr<BlockDecoder> decoder() const override { return std::make_unique<Decoder>(); }
  void prologue(int, std::vector<std::byte>& out) const override { out.push_back(std::byte{'S'}); }
  void epilogue(std::span<const Block> blocks, std::vector<std::byte>& out) const override {
    for (const Block& block : blocks) {
      EXPECT_EQ(block.check, 42U);
    }
    out.push_back(std::byte{'E'});
  }
  std::optional<std::vector<Block>> index(const Source& stored) const override {
    std::vector<Block> blocks;
    std::uint64_t plain = 0;
    for (std::uint64_t at = 1; at < *stored.size() - 1;) {
      std::byte size[4];
      stored.read_at(at, size);
      blocks.push_back({plain, load_le<std::uint32_t>(size), at, load_le<std::uint32_t>(size) + std::uint64_t{4}, 0});
      plain += blocks.back().plain_size;
      at += blocks.back().stored_size;
    }
    return blocks;
  }
  std::unique_ptr<Source> in_order(Source&) const override { fail(Errc::unsupported, "only with random access"); }
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
    std::unique_ptr<BlockDecoder> decoder() const override { return nullptr; }
    std::optional<std::vector<Block>> index(const Source&) const override { return blocks_; }
    std::unique_ptr<Source> in_order(Source&) const override { fail(Errc::unsupported, "in order"); }

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
  EXPECT_FALSE(opens({{0, 5, 0, 50, 0}, {5, 9, 50, 51, 0}}));           // behind the end
  EXPECT_FALSE(opens({{0, 5, 0, 50, 0}, {5, 9, 49, 50, 0}}));           // one in another
  EXPECT_FALSE(opens({{0, 5, ~std::uint64_t{0}, 50, 0}}));              // wraps around
  EXPECT_FALSE(opens({{0, (std::uint64_t{64} << 20) + 1, 0, 50, 0}}));  // too large to believe
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
