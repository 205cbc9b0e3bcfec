// Several archives compressed together: every way of reading finds all of them and nothing else.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <map>
#include <sstream>
#include <thread>

#include "codec/support.hpp"
#include "stele/archive.hpp"

namespace stele {
namespace {

using Values = std::vector<std::int64_t>;

/// Archives of one block and of several.
Values values_of(std::size_t count) {
  Values values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<std::int64_t>(i * i % 1000 + count);
  }
  return values;
}

constexpr std::size_t counts[] = {3, 40'000, 0, 5000};

Data archives() {
  Data all;
  for (std::size_t count : counts) {
    all = std::move(all) + to_bytes(values_of(count));
  }
  return all;
}

std::vector<Values> all_of(Reader&& reader) {
  std::vector<Values> all;
  while (reader.more()) {
    all.push_back(reader.read<Values>());
  }
  return all;
}

/// A pipe that a thread fills with `bytes`.
class FilledPipe {
 public:
  FilledPipe(const Data& bytes, bool socket) {
    std::signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(socket ? ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_) : ::pipe(ends_), 0);
    writer_ = std::jthread([this, &bytes] {
      for (Bytes left = bytes; !left.empty();) {
        const ssize_t count = ::write(ends_[1], left.data(), left.size());
        if (count <= 0) {
          break;
        }
        left = left.subspan(static_cast<std::size_t>(count));
      }
      ::close(ends_[1]);
    });
  }
  ~FilledPipe() {
    ::close(ends_[0]);
    writer_.join();
  }
  Descriptor descriptor() const { return {ends_[0]}; }

 private:
  int ends_[2] = {-1, -1};
  std::jthread writer_;
};

/// Calls `check(way, read)` for each way to read `stored`, where `read` makes a Reader and passes it to
/// its argument.
using Use = std::function<void(Reader&&)>;
void for_each_way(
    const Data& stored, bool streams_only,
    const std::function<void(const std::string& way, const std::function<void(const Use&)>& read)>& check) {
  const Folder folder;
  folder.put("file", stored);
  const std::string path = folder / "file";
  for (unsigned threads : {1U, 3U}) {
    const LoadOptions options{.threads = threads};
    const std::string with = ", " + std::to_string(threads) + " threads";
    if (!streams_only) {
      check("path" + with, [&](const Use& use) { use(Reader(path, options)); });
      check("memory" + with, [&](const Use& use) { use(Reader(Bytes(stored), options)); });
    }
    check("istream" + with, [&](const Use& use) {
      std::ifstream in(path, std::ios::binary);
      use(Reader(in, options));
    });
    check("descriptor" + with, [&](const Use& use) {
      const int fd = ::open(path.c_str(), O_RDONLY);
      use(Reader(Descriptor{fd}, options));
      ::close(fd);
    });
    for (bool socket : {false, true}) {
      check((socket ? "socket" : "pipe") + with, [&](const Use& use) {
        const FilledPipe pipe(stored, socket);
        use(Reader(pipe.descriptor(), options));
      });
    }
    for (std::size_t most : {stored.size() < 50'000 ? std::size_t{3} : std::size_t{5000}, std::size_t{100'000}}) {
      check("Source in order" + with, [&](const Use& use) {
        Pipe source(stored, most);
        use(Reader(source, options));
      });
      check("Source that peeks" + with, [&](const Use& use) {
        PeekPipe source(stored, most);
        use(Reader(source, options));
      });
    }
    check("Source with random access" + with, [&](const Use& use) {
      FileLike source(stored);
      use(Reader(source, options));
    });
  }
}

void expect_all(const Data& stored, const std::vector<Values>& expected, bool streams_only = false) {
  for_each_way(stored, streams_only, [&](const std::string& way, const auto& read) {
    SCOPED_TRACE(way);
    try {
      read([&](Reader&& reader) {
        const std::vector<Values> all = all_of(std::move(reader));
        EXPECT_EQ(all.size(), expected.size());
        EXPECT_TRUE(all == expected);
      });
      read([&](Reader&& reader) { EXPECT_TRUE(reader.read<Values>() == expected[0]); });  // as load() does
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
  });
}

/// Ways to compress a file as a whole: this library, and the installed tools.
std::map<std::string, Data> compressed_as_one(const Codec& codec, const Data& plain) {
  static const std::map<std::string, std::vector<std::string>> commands = {
      {"gzip", {"gzip", "pigz", "bgzip", "igzip"}},
      {"zlib", {"pigz -z"}},
      {"bzip2", {"bzip2", "lbzip2"}},
      {"xz", {"xz", "xz --block-size=10000", "xz -T2"}},
      {"lzma", {"xz --format=lzma"}},
      {"lz4", {"lz4", "lz4 -l", "lz4 -BD", "lz4 -B4 -BX"}},
      {"zstd", {"zstd", "zstd --no-content-size", "pzstd -p2"}}};
  std::map<std::string, Data> all;
  all["stele"] = compressed(codec, plain);
  if (const auto found = commands.find(std::string(codec.name())); found != commands.end()) {
    for (const std::string& command : found->second) {
      if (has_tool(command.substr(0, command.find(' ')))) {
        all[command] = made_by(command + " -c in", plain);
      }
    }
  }
  return all;
}

/// The codecs that LoadOptions know by default.
std::vector<std::string> built_in() {
  std::vector<std::string> names;
  const Codecs codecs;
  for (const auto& codec : codecs.all()) {
    names.emplace_back(codec->name());
  }
  return names;
}

class Joined : public testing::TestWithParam<std::string> {
 protected:
  const Codecs codecs_;
  const Codec& codec_ = *codecs_.find(GetParam());
};
INSTANTIATE_TEST_SUITE_P(, Joined, testing::ValuesIn(built_in()),
                         [](const testing::TestParamInfo<std::string>& info) { return info.param; });

TEST_P(Joined, ArchivesAreAllRead) {
  std::vector<Values> expected;
  for (std::size_t count : counts) {
    expected.push_back(values_of(count));
  }
  for (const auto& [command, stored] : compressed_as_one(codec_, archives())) {
    SCOPED_TRACE(command);
    expect_all(stored, expected);
  }
}

TEST_P(Joined, FilesOfThemToo) {
  std::vector<Values> expected;
  for (int file = 0; file < 2; ++file) {
    for (std::size_t count : counts) {
      expected.push_back(values_of(count));
    }
  }
  for (const auto& [command, stored] : compressed_as_one(codec_, archives())) {
    SCOPED_TRACE(command);
    expect_all(stored + stored, expected);
  }
}

TEST_P(Joined, WhatFollowsThemInAStreamIsReadToo) {
  std::vector<Values> expected;
  for (std::size_t count : counts) {
    expected.push_back(values_of(count));
  }
  expected.push_back(values_of(7));
  for (const auto& [command, stored] : compressed_as_one(codec_, archives())) {
    SCOPED_TRACE(command);
    if (command != "lz4 -l") {  // has no end of its own
      expect_all(stored + to_bytes(values_of(7)), expected, true);
    }
  }
}

TEST_P(Joined, BytesThatAreNotAnArchiveAreDamage) {
  for (const std::string junk : {"j", "\xd9\xd9\xf8", "\xd9 junk of some length"}) {
    const bool may_begin = junk == "\xd9\xd9\xf8";  // a label's first bytes: reading the next archive fails
    for (const auto& [command, stored] : compressed_as_one(codec_, to_bytes(values_of(3)) + bytes_of(junk))) {
      SCOPED_TRACE(command + ", " + junk);
      for_each_way(stored, false, [&](const std::string& way, const auto& read) {
        SCOPED_TRACE(way);
        read([&](Reader&& reader) {
          if (may_begin) {
            EXPECT_TRUE(reader.read<Values>() == values_of(3));
            EXPECT_TRUE(reader.more());
            EXPECT_EQ(code_of([&] { (void)reader.read<Values>(); }), Errc::truncated);
          } else {
            EXPECT_EQ(code_of([&] { (void)reader.read<Values>(); }), Errc::damaged);
          }
        });
      });
    }
  }
}

TEST_P(Joined, NoneIsFoundInEmptyData) {
  for (const auto& [command, stored] : compressed_as_one(codec_, {})) {
    SCOPED_TRACE(command);
    for_each_way(stored, false, [&](const std::string& way, const auto& read) {
      SCOPED_TRACE(way);
      read([&](Reader&& reader) { EXPECT_FALSE(reader.more()); });
      read([&](Reader&& reader) { EXPECT_EQ(code_of([&] { (void)reader.read<Values>(); }), Errc::truncated); });
    });
  }
}

/// The checksum of a stream comes after its data, which may have been parsed before.
TEST_P(Joined, DamageHasOneVerdict) {
  const Values values = values_of(140'000);  // more than is read without another thread
  for (const auto& [command, stored] : compressed_as_one(codec_, to_bytes(values))) {
    SCOPED_TRACE(command);
    for (std::size_t i = 1; i < 5; ++i) {
      Data damaged = stored;
      const std::size_t at = damaged.size() * i / 5;
      damaged[at] ^= std::byte{0x10};
      damaged[std::min(at + 3, damaged.size() - 1)] ^= std::byte{0xff};
      SCOPED_TRACE("byte " + std::to_string(at));
      std::optional<Errc> first;
      for_each_way(damaged, false, [&](const std::string& way, const auto& read) {
        SCOPED_TRACE(way);
        read([&](Reader&& reader) {
          const Errc code = code_of([&] { (void)reader.read<Values>(); });
          EXPECT_EQ(code, first.value_or(code)) << to_string(code) << ", not " << to_string(*first);
          first = first.value_or(code);
        });
      });
      if (codec_.name() != "lzma") {  // has no checksum
        EXPECT_TRUE(first == Errc::damaged || first == Errc::truncated) << to_string(*first);
      }
    }
  }
}

/// gzip, by a Codec that the library does not know.
class Foreign final : public Codec {
 public:
  std::string_view name() const noexcept override { return "foreign"; }
  std::span<const std::string_view> extensions() const noexcept override { return {}; }
  bool recognises(Bytes first) const noexcept override { return gzip().recognises(first); }
  LevelRange levels() const noexcept override { return gzip().levels(); }
  std::string library() const override { return "none"; }
  std::size_t block_size(int level) const noexcept override { return gzip().block_size(level); }
  std::unique_ptr<BlockEncoder> encoder(int level) const override { return gzip().encoder(level); }
  std::unique_ptr<BlockDecoder> decoder(const DecodeOptions& options) const override { return gzip().decoder(options); }
  std::optional<BlockIndex> index(const Source&) const override { return std::nullopt; }
  std::unique_ptr<Source> in_order(Source& stored, const DecodeOptions& options) const override {
    class Own final : public Source {
     public:
      explicit Own(std::unique_ptr<Source> source) : source_(std::move(source)) {}
      std::size_t read(MutableBytes into) override { return source_->read(into); }
      void finish() override { source_->finish(); }

     private:
      std::unique_ptr<Source> source_;
    };
    return std::make_unique<Own>(gzip().in_order(stored, options));
  }

 private:
  const Codec& gzip() const { return codecs_.get("gzip"); }
  const Codecs codecs_;
};

TEST(JoinedFiles, ACodecOfTheCallersLosesNone) {
  Codecs codecs;
  codecs.add(std::make_shared<Foreign>());
  const Codecs own;
  const Data stored = compressed(own.get("gzip"), to_bytes(values_of(3))) +
                      compressed(own.get("gzip"), to_bytes(values_of(5000))) + to_bytes(values_of(7));
  const std::vector<Values> expected = {values_of(3), values_of(5000), values_of(7)};
  const LoadOptions options{.codecs = &codecs};
  Pipe pipe(stored, 1000);
  EXPECT_TRUE(all_of(Reader(pipe, options)) == expected);
  PeekPipe peek(stored, 1000);
  EXPECT_TRUE(all_of(Reader(peek, options)) == expected);
  FileLike file(stored);
  EXPECT_TRUE(all_of(Reader(file, options)) == expected);
}

/// It did, and then took seconds for ten thousand, and the stack for more.
TEST(JoinedFiles, ManyArchivesInOneStreamDoNotNest) {
  constexpr std::size_t count = 60'000;
  const Data one = to_bytes(7);
  Data all;
  for (std::size_t i = 0; i < count; ++i) {
    all.insert(all.end(), one.begin(), one.end());
  }
  const Codecs codecs;
  const Data stored = compressed(codecs.get("gzip"), all);
  Pipe pipe(stored, 100'000);
  Reader reader(pipe);
  std::size_t found = 0;
  while (reader.more()) {
    found += reader.read<int>() == 7 ? 1 : 0;
  }
  EXPECT_EQ(found, count);
}

TEST(JoinedFiles, AnArchiveThatWasReadAsAnotherTypeIsReadAgainOrRefused) {
  const Codecs codecs;
  const Data plain = to_bytes(values_of(3)) + to_bytes(values_of(5000));
  for (const Data& stored : {plain, compressed(codecs.get("gzip"), plain)}) {
    FileLike file(stored);
    Reader reader(file);
    EXPECT_EQ(code_of([&] { (void)reader.read<std::string>(); }), Errc::type_mismatch);
    EXPECT_TRUE(reader.read<Values>() == values_of(3));
    EXPECT_EQ(code_of([&] { (void)reader.read<std::string>(); }), Errc::type_mismatch);
    try {
      EXPECT_TRUE(reader.read<Values>() == values_of(5000));  // never the first one again
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::damaged) << error.what();
    }
  }
}

TEST(JoinedFiles, TheEmptyMemberThatEndsAFileOfBgzipIsNotAnArchive) {
  if (!has_tool("bgzip")) {
    GTEST_SKIP() << "this machine has no bgzip";
  }
  expect_all(made_by("bgzip -c in", to_bytes(values_of(3))), {values_of(3)});
}

}  // namespace
}  // namespace stele
