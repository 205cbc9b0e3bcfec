// Blocks compressed and decompressed by several threads.

#include <algorithm>
#include <chrono>
#include <functional>
#include <set>
#include <thread>

#include "codec/compress.hpp"
#include "codec/support.hpp"

namespace stele {
namespace {

/// A run of plain bytes to be written in different ways.
struct Part {
  Data bytes;
  bool made = false;
};

/// Slow codecs get a fraction of the data of others; that still makes several blocks.
std::size_t share_of(const std::string& codec) {
  return codec == "bzip2" || codec == "lzma" ? 8 : codec == "xz" ? 2 : 1;
}

std::vector<Part> parts(const std::string& codec) {
  const std::size_t share = share_of(codec);
  std::vector<Part> list;
  unsigned seed = 1;
  for (std::size_t size : {std::size_t{5}, 2 * mib + 17, std::size_t{0}, std::size_t{700'000}, std::size_t{40},
                           10 * mib, std::size_t{100'000}, mib, 2 * mib - 1}) {
    list.push_back({text_data((size + share - 1) / share, seed), seed % 2 == 0});
    ++seed;
  }
  return list;
}

Data written(const Codec& codec, const std::vector<Part>& list, unsigned threads, std::size_t unit = 64) {
  Data out;
  const auto to = memory_sink(out);
  const auto sink = make_compressing_sink(*to, codec, codec.levels().lowest, threads);
  for (const Part& part : list) {
    std::atomic<int> tasks = 0;
    const std::function<void()> task = [&] { ++tasks; };
    if (part.made) {
      const MakeBytes make = [&](std::uint64_t offset, MutableBytes into) {
        EXPECT_EQ(offset % unit, 0U);
        EXPECT_TRUE(into.size() % unit == 0 || offset + into.size() == part.bytes.size());
        std::copy_n(part.bytes.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
      };
      sink->write_made(part.bytes.size(), unit, make, task);
      EXPECT_EQ(tasks, 1);
    } else if (part.bytes.size() % 3 == 0) {
      sink->write(part.bytes);
    } else {
      sink->write_beside(part.bytes, task);
      EXPECT_EQ(tasks, 1);
    }
  }
  sink->close();
  return out;
}

Data joined(const std::vector<Part>& list) {
  Data all;
  for (const Part& part : list) {
    all = std::move(all) + part.bytes;
  }
  return all;
}

class Pipeline : public testing::TestWithParam<std::string> {
 protected:
  const Codecs codecs_ = all_codecs();
  const Codec& codec_ = *codecs_.find(GetParam());
};
class PipelineOfBlocks : public Pipeline {};
std::string name_of(const testing::TestParamInfo<std::string>& info) { return info.param; }
INSTANTIATE_TEST_SUITE_P(, Pipeline, testing::ValuesIn(codec_names()), name_of);
INSTANTIATE_TEST_SUITE_P(, PipelineOfBlocks,
                         testing::ValuesIn(codec_names([](const Codec& codec) { return codec.name() != "lzma"; })),
                         name_of);

TEST_P(Pipeline, WritesTheSameBytesOnAnyNumberOfThreads) {
  const std::vector<Part> list = parts(GetParam());
  const Data one = written(codec_, list, 1);
  for (unsigned threads : {2U, 5U}) {
    const Data other = written(codec_, list, threads);
    const auto [at, end] = std::ranges::mismatch(other, one);
    EXPECT_TRUE(other == one) << threads << " threads differ at " << at - other.begin() << " of " << one.size()
                              << " and " << other.size()
                              << "; same content: " << (plain_in_order(codec_, other) == joined(list));
  }
  EXPECT_TRUE(plain_in_order(codec_, one) == joined(list));
}

TEST_P(Pipeline, ReadsTheSameBytesOnAnyNumberOfThreads) {
  const std::vector<Part> list = parts(GetParam());
  const Data plain = joined(list);
  const Data stored = written(codec_, list, 3, 4096);
  for (unsigned threads : {1U, 2U, 5U}) {
    for (std::size_t piece : {std::size_t{70'000}, 3 * mib}) {
      EXPECT_TRUE(read_all(*decompressing_source(memory_source(stored), codec_, {.threads = threads}), piece) == plain)
          << threads << ' ' << piece;
    }
  }
}

TEST_P(PipelineOfBlocks, ReadsFromManyThreadsAtOnce) {
  const std::vector<Part> list = parts(GetParam());
  const Data plain = joined(list);
  const Data stored = written(codec_, list, 2);
  const auto source = by_blocks(std::make_unique<FileLike>(stored), codec_, 3);
  std::vector<std::jthread> readers;
  std::atomic<int> wrong = 0;
  for (unsigned reader = 0; reader < 4; ++reader) {
    readers.emplace_back([&, reader] {
      std::mt19937_64 random(reader);
      Data into;
      // Two run through the file piece by piece, two jump.
      std::uint64_t at = reader * 1000;
      for (int i = 0; i < 60; ++i) {
        into.resize(1 + random() % (i % 10 == 0 ? 3 * mib : 200'000));
        if (reader < 2) {
          at = random() % plain.size();
        }
        into.resize(std::min<std::size_t>(into.size(), plain.size() - at));
        source->read_at(at, into);
        wrong += !std::equal(into.begin(), into.end(), plain.begin() + static_cast<std::ptrdiff_t>(at));
        at = reader < 2 ? at : (at + into.size()) % plain.size();
      }
    });
  }
  readers.clear();
  EXPECT_EQ(wrong, 0);
}

TEST_P(Pipeline, EndsAtTheFirstFailedWrite) {
  const Data plain = text_data(8 * mib / share_of(GetParam()));
  for (int writes : {0, 1, 2}) {
    FailingSink to(writes);
    const auto sink = make_compressing_sink(to, codec_, codec_.levels().lowest, 4);
    const auto write_all = [&] {
      for (int i = 0; i < 3; ++i) {
        sink->write(plain);
      }
      sink->close();
    };
    EXPECT_EQ(message_of(write_all), "no space left") << writes;
    EXPECT_EQ(code_of([&] { sink->write(plain); }), Errc::io);
    EXPECT_EQ(code_of([&] { sink->close(); }), Errc::io);
  }
}

TEST_P(Pipeline, GivesUpWithWorkUnfinished) {
  const Data plain = text_data(9 * mib / share_of(GetParam()));
  Data out;
  const auto to = memory_sink(out);
  const auto sink = make_compressing_sink(*to, codec_, codec_.levels().lowest, 4);
  sink->write(plain);
  sink->write(text_data(5));
}

// ---- what goes wrong in a worker ----

/// Blocks as they are; blocks and tasks that hold an 'x' fail.
class Fragile final : public Codec {
 public:
  struct Encoder final : BlockEncoder {
    explicit Encoder(const Fragile& codec) : codec_(codec) {}
    std::uint64_t encode(Bytes plain, std::vector<std::byte>& out) override {
      {
        const std::lock_guard lock(codec_.mutex_);
        codec_.threads_.insert(std::this_thread::get_id());
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      if (std::find(plain.begin(), plain.end(), std::byte{'x'}) != plain.end()) {
        fail(Errc::io, "an x");
      }
      out.insert(out.end(), plain.begin(), plain.end());
      return 0;
    }
    const Fragile& codec_;
  };
  std::string_view name() const noexcept override { return "fragile"; }
  std::span<const std::string_view> extensions() const noexcept override { return {}; }
  bool recognises(Bytes) const noexcept override { return false; }
  LevelRange levels() const noexcept override { return {}; }
  std::string library() const override { return {}; }
  std::size_t block_size(int) const noexcept override { return 1000; }
  std::unique_ptr<BlockEncoder> encoder(int) const override { return std::make_unique<Encoder>(*this); }
  std::unique_ptr<BlockDecoder> decoder(const DecodeOptions&) const override { return nullptr; }
  std::optional<BlockIndex> index(const Source&) const override { return std::nullopt; }
  std::unique_ptr<Source> in_order(Source&, const DecodeOptions&) const override { return nullptr; }

  mutable std::mutex mutex_;
  mutable std::set<std::thread::id> threads_;
};

TEST(PipelineErrors, ReportsTheFirstErrorOfTheWorkers) {
  const Fragile codec;
  for (unsigned threads : {1U, 2U, 4U}) {
    Data out;
    const auto to = memory_sink(out);
    const auto sink = make_compressing_sink(*to, codec, std::nullopt, threads);
    sink->write(Data(30'000));
    Data bad(30'000);
    bad[20'500] = std::byte{'x'};
    bad[25'000] = std::byte{'x'};
    EXPECT_EQ(message_of([&] { sink->write(bad); }), "fragile, the block of 960 bytes from byte 50160: an x")
        << threads;
    EXPECT_LE(out.size(), 50'160U);
    EXPECT_TRUE(std::all_of(out.begin(), out.end(), [](std::byte b) { return b == std::byte{0}; }));
    EXPECT_EQ(code_of([&] { sink->close(); }), Errc::io);
  }
}

TEST(PipelineErrors, ReportsAnErrorOfATask) {
  const Fragile codec;
  Data out;
  const auto to = memory_sink(out);
  const auto sink = make_compressing_sink(*to, codec, std::nullopt, 3);
  const std::function<void()> task = [] { fail(Errc::damaged, "a task"); };
  EXPECT_EQ(message_of([&] { sink->write_beside(Data(30'000), task); }), "a task");
  EXPECT_EQ(code_of([&] { sink->write(Data(5)); }), Errc::io);
}

TEST(PipelineErrors, StartsNoThreadForOneBlock) {
  const Fragile codec;
  Data out;
  const auto to = memory_sink(out);
  const auto sink = make_compressing_sink(*to, codec, std::nullopt, 4);
  sink->write(Data(300));
  sink->close();
  EXPECT_EQ(codec.threads_, std::set{std::this_thread::get_id()});
}

TEST(PipelineErrors, UsesAsManyThreadsAsAllowed) {
  for (unsigned threads : {1U, 3U}) {
    const Fragile codec;
    Data out;
    const auto to = memory_sink(out);
    const auto sink = make_compressing_sink(*to, codec, std::nullopt, threads);
    sink->write(Data(100'000));
    sink->close();
    EXPECT_EQ(codec.threads_.size(), threads);
    EXPECT_TRUE(codec.threads_.contains(std::this_thread::get_id()));
  }
}

}  // namespace
}  // namespace stele
