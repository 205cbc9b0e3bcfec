#pragma once
// Shared by the codec tests: data, Sinks and Sources with special behaviour, other tools.

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "codec/blocks/source.hpp"
#include "codec/decompress.hpp"
#include "stele/block_codec.hpp"
#include "stele/codec.hpp"
#include "stele/error.hpp"

namespace stele {

using Data = std::vector<std::byte>;

constexpr std::size_t mib = std::size_t{1} << 20;

inline Data random_data(std::size_t size, unsigned seed = 1) {
  std::mt19937_64 random(seed);
  Data data(size);
  for (std::byte& b : data) {
    b = static_cast<std::byte>(random() >> 32);
  }
  return data;
}

/// Words, so that it shrinks to about a quarter and every level finds something to do.
inline Data text_data(std::size_t size, unsigned seed = 1) {
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

inline Data bytes_of(std::string_view text) {
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return Data(first, first + text.size());
}

inline Data operator+(Data a, const Data& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// ---- codecs ----

/// A codec of the program's own, made of zlib's two functions.
inline BlockFunctions own_functions() {
  return {.name = "own",
          .extensions = {".own"},
          .magic = "own codec",
          .compress =
              [](Bytes plain, int level, std::vector<std::byte>& out) {
                uLongf size = compressBound(plain.size());
                const std::size_t start = out.size();
                out.resize(start + size);
                compress2(reinterpret_cast<Bytef*>(out.data() + start), &size,
                          reinterpret_cast<const Bytef*>(plain.data()), plain.size(), level);
                out.resize(start + size);
              },
          .decompress =
              [](Bytes stored, MutableBytes plain) {
                uLongf size = plain.size();
                return uncompress(reinterpret_cast<Bytef*>(plain.data()), &size,
                                  reinterpret_cast<const Bytef*>(stored.data()), stored.size()) == Z_OK &&
                       size == plain.size();
              },
          .levels = {.lowest = 1, .highest = 3, .standard = 1},
          .block_size = mib / 2,
          .library = "zlib"};
}

/// The codecs of the build, and that one.
inline Codecs all_codecs() {
  Codecs codecs;
  codecs.add(block_codec(own_functions()));
  return codecs;
}

// ---- Sinks and Sources ----

/// Returns bytes in order only, a random number at a time, and counts them.
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

/// The same, with peeking at the next bytes.
class PeekPipe final : public Source {
 public:
  explicit PeekPipe(Bytes bytes, std::size_t most = 100'000) : bytes_(bytes), most_(most) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t count = copy(into);
    given_ += count;
    return count;
  }
  std::optional<std::size_t> peek(MutableBytes into) override { return copy(into); }
  std::size_t given() const { return given_; }

 private:
  std::size_t copy(MutableBytes into) {
    const std::size_t count = std::min({into.size(), bytes_.size() - given_, 1 + random_() % most_});
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(given_), count, into.begin());
    return count;
  }

  Bytes bytes_;
  std::size_t most_;
  std::size_t given_ = 0;
  std::mt19937 random_{7};
};

/// Random access without memory(), as a file has it; counts the bytes and calls.
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

inline Data read_all(Source& source, std::size_t piece = 70'000) {
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

inline Data read_exactly(Source& source, std::size_t size) {
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

inline Data compressed(const Codec& codec, Bytes plain, std::optional<int> level = std::nullopt,
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

inline Data plain_in_order(const Codec& codec, Bytes stored) {
  Pipe pipe(stored);
  return read_all(*codec.in_order(pipe, {}));
}

inline Data plain_at_random(const Codec& codec, Bytes stored) {
  return read_all(*decompressing_source(memory_source(stored), codec));
}

template <class Action>
inline Errc code_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return Errc::io;
}

template <class Action>
inline std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.message();
  }
  ADD_FAILURE() << "no error";
  return {};
}

// ---- tools ----

inline bool has_tool(const std::string& name) {
  return std::system(("command -v " + name + " >/dev/null 2>&1").c_str()) == 0;
}

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
inline Data made_by(const std::string& command, Bytes plain) {
  const Folder folder;
  folder.put("in", plain);
  EXPECT_TRUE(folder.run(command + " > out")) << command;
  return folder.get("out");
}

/// Reads a foreign file in every way, and the bytes after it.
inline void expect_reads(const Codec& codec, const Data& stored, const Data& plain) {
  EXPECT_TRUE(codec.recognises(stored));
  EXPECT_EQ(plain_at_random(codec, stored), plain);
  FileLike file(stored);
  EXPECT_EQ(read_all(*codec.in_order(file, {})), plain);
  EXPECT_EQ(plain_in_order(codec, stored), plain);
}

/// Reads exactly the plain bytes and finishes: nothing of what follows may be taken. Pipes give up to so many bytes at
/// a time.
inline void expect_exact(const Codec& codec, const Data& stored, const Data& plain,
                         std::initializer_list<std::size_t> pipes = {1, 5, 100'000}) {
  const Data more = stored + random_data(100);
  for (std::size_t most : pipes) {
    Pipe pipe(more, most);
    const auto source = codec.in_order(pipe, {});
    EXPECT_EQ(read_exactly(*source, plain.size()), plain);
    source->finish();
    EXPECT_EQ(pipe.given(), stored.size());
    PeekPipe peek(more, most);
    const auto ahead = codec.in_order(peek, {});
    EXPECT_EQ(read_exactly(*ahead, plain.size()), plain);
    ahead->finish();
    EXPECT_EQ(peek.given(), stored.size());
  }
  FileLike file(more);
  const auto source = codec.in_order(file, {});
  EXPECT_EQ(read_exactly(*source, plain.size()), plain);
  source->finish();
  EXPECT_EQ(file.position(), stored.size());
}

/// A file of several blocks, where the format has them, that is small enough to damage every bit of it.
inline Data small_blocks(const Codec& codec, std::initializer_list<Data> blocks) {
  Data out;
  const auto to = memory_sink(out);
  if (const auto sink = codec.in_order_sink(*to, codec.levels().standard)) {
    for (const Data& data : blocks) {
      sink->write(data);
    }
    sink->close();
    return out;
  }
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

/// The plain bytes by blocks, even if they are not an archive.
inline std::unique_ptr<Source> by_blocks(std::unique_ptr<Source> stored, const Codec& codec, unsigned threads = 1) {
  auto source = block_source(stored, codec, {.threads = threads});
  EXPECT_NE(source, nullptr);
  return source;
}

/// The codecs of this build and one made of two functions, filtered by `which`.
inline std::vector<std::string> codec_names(bool (*which)(const Codec&) = [](const Codec&) { return true; }) {
  const Codecs codecs = all_codecs();
  std::vector<std::string> list;
  for (const auto& codec : codecs.all()) {
    if (which(*codec)) {
      list.emplace_back(codec->name());
    }
  }
  return list;
}

}  // namespace stele
