// Checkpoints that several processes write and any number of processes load.

#include "stele/sharded.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>

#include "support/test_support.hpp"

namespace stele {
namespace {

template <std::size_t Rank>
Array<float, Rank> numbered(const std::array<std::uint64_t, Rank>& shape, float first = 0) {
  Array<float, Rank> made(shape);
  std::iota(made.mutable_data(), made.mutable_data() + made.size(), first);
  return made;
}

/// A box of an array with two axes.
Array<float, 2> box_of(const Array<float, 2>& whole, std::uint64_t row, std::uint64_t column, std::uint64_t rows,
                       std::uint64_t columns) {
  return Array<float, 2>(whole.buffer(), whole.data() + row * whole.shape()[1] + column, {rows, columns},
                         {static_cast<std::int64_t>(whole.shape()[1]), 1});
}

/// Saves an array by rows and another one by tiles, as `ranks` ranks.
void save_shards(const std::string& folder, std::uint64_t step, unsigned ranks, const std::string& attempt,
                 float first = 0) {
  const Array<float, 2> rows = numbered<2>({1001, 300}, first);
  const Array<float, 2> tiles = numbered<2>({640, 512}, 1);
  for (unsigned rank = 0; rank < ranks; ++rank) {
    ShardWriter out(folder, {step, rank, ranks, attempt});
    const std::uint64_t begin = 1001 * rank / ranks;
    const std::uint64_t end = 1001 * (rank + 1) / ranks;
    out.put("model/rows", box_of(rows, begin, 0, end - begin, 300), {1001, 300}, {begin, 0});
    for (std::uint64_t tile = rank; tile < 8; tile += ranks) {  // two rows of four
      out.put("model/tiles", box_of(tiles, tile / 4 * 320, tile % 4 * 128, 320, 128), {640, 512},
              {tile / 4 * 320, tile % 4 * 128});
    }
    out.put_value("rank", rank + 10);
    out.close();
  }
}

TEST(Sharded, ComeBackAcrossOtherSplits) {
  const test::Folder place;
  const std::string folder = place / "steps";
  save_shards(folder, 7, 3, "a");
  EXPECT_ERROR(ShardedCheckpoint::open(folder), Errc::not_found, "no checkpoint");
  const CheckpointInfo info = commit_shards(folder, {7, 0, 3, "a"}, {.notes = {.metrics = {{"loss", 1.5}}}});
  EXPECT_EQ(info.metrics.at("loss"), 1.5);
  const ShardedCheckpoint shards = ShardedCheckpoint::open(folder);
  EXPECT_EQ(shards.info().step, 7);
  EXPECT_EQ(shards.ranks(), 3);
  ASSERT_EQ(shards.arrays().size(), 2);
  EXPECT_EQ(shards.arrays()[0].name, "model/rows");
  EXPECT_EQ(shards.arrays()[0].boxes.size(), 3);
  EXPECT_EQ(shards.arrays()[1].dtype, DType::Kind::float32);
  EXPECT_EQ(shards.value<int>("rank"), 10);
  const Array<float, 2> rows = numbered<2>({1001, 300});
  const Array<float, 2> tiles = numbered<2>({640, 512}, 1);
  EXPECT_EQ(to_bytes(shards.load<float, 2>("model/rows")), to_bytes(rows));
  EXPECT_EQ(to_bytes(shards.load<float, 2>("model/tiles")), to_bytes(tiles));
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const std::uint64_t row = random() % 641;
    const std::uint64_t column = random() % 513;
    const std::array<Range, 2> box{Range{row, random() % (641 - row)}, Range{column, random() % (513 - column)}};
    const Array<float, 2> part = shards.load<float, 2>("model/tiles", box);
    EXPECT_EQ(to_bytes(part), to_bytes(box_of(tiles, row, column, box[0].count, box[1].count)));
  }
  const std::array<Range, 1> beyond{Range{600, 50}};
  EXPECT_ERROR((shards.load<float, 2>("model/tiles", beyond)), Errc::out_of_range, "axis 0");
  EXPECT_ERROR((shards.load<float, 3>("model/tiles")), Errc::type_mismatch, "axes");
  EXPECT_ERROR((shards.load<float, 2>("none")), Errc::not_found, "");
  Checkpoints kept = Checkpoints::open(folder);
  EXPECT_EQ(kept.steps(), std::vector<std::uint64_t>{7});
  EXPECT_TRUE(kept.verify().damaged.empty());
  EXPECT_ERROR(kept.restore<int>(), Errc::type_mismatch, "sharded");
  EXPECT_ERROR(kept.open_step(7), Errc::type_mismatch, "sharded");
  EXPECT_TRUE(kept.diff(7, 7).empty());
  std::vector<float> memory(1001 * 300);
  const CheckpointRestored done = kept.restore_arrays(
      {{"model/rows", DType::Kind::float32, {1001, 300}, std::as_writable_bytes(std::span(memory))}});
  EXPECT_EQ(done.unexpected, std::vector<std::string>{"model/tiles"});
  EXPECT_EQ(memory.back(), rows.data()[rows.size() - 1]);
  kept.export_to(7, place / "one.stele");
  const File one = open(place / "one.stele");
  EXPECT_EQ(to_bytes(one.load<Array<float, 2>>("model~1tiles")), to_bytes(tiles));
  EXPECT_EQ(one.load<int>("rank"), 10);
}

TEST(Sharded, WriteOnlyWhatHasChanged) {
  const test::Folder place;
  const std::string folder = place / "steps";
  const Array<float, 2> fixed = numbered<2>({2048, 512});
  for (std::uint64_t step = 1; step <= 3; ++step) {
    const std::string attempt = "x" + std::to_string(step);
    for (unsigned rank = 0; rank < 2; ++rank) {
      ShardWriter out(folder, {step, rank, 2, attempt});
      out.put("fixed", box_of(fixed, rank * 1024, 0, 1024, 512), {2048, 512}, {rank * std::uint64_t{1024}, 0});
      out.put("moved", numbered<1>({100'000}, static_cast<float>(step)), {200'000}, {rank * std::uint64_t{100'000}});
      out.close();
    }
    commit_shards(folder, {step, 0, 2, attempt}, {}, {.keep_last = 2});
  }
  Checkpoints kept = Checkpoints::open(folder);
  EXPECT_EQ(kept.steps(), (std::vector<std::uint64_t>{2, 3}));
  std::uint64_t stored = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    stored += entry.is_regular_file() ? entry.file_size() : 0;
  }
  EXPECT_LT(stored, std::uint64_t{4} * 2048 * 512 + 3 * 900'000);
  for (std::uint64_t step = 2; step <= 3; ++step) {
    const ShardedCheckpoint shards = ShardedCheckpoint::open(folder, step);
    EXPECT_EQ(to_bytes(shards.load<float, 2>("fixed")), to_bytes(fixed));
    EXPECT_EQ((shards.load<float, 1>("moved").data()[100'000]), static_cast<float>(step));
  }
  EXPECT_TRUE(kept.verify().damaged.empty());
  kept.remove(2);
  EXPECT_EQ(to_bytes(ShardedCheckpoint::open(folder).load<float, 2>("fixed")), to_bytes(fixed));
  EXPECT_TRUE(kept.verify().damaged.empty());
  kept.remove(3);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    EXPECT_TRUE(!entry.is_regular_file() || entry.path().filename() == "writer.lock") << entry.path();
  }
}

TEST(Sharded, NeverMixAttempts) {
  const test::Folder place;
  const std::string folder = place / "steps";
  save_shards(folder, 5, 3, "killed", 1000);
  {
    ShardWriter out(folder, {5, 0, 3, "again"});
    out.put("model/rows", numbered<2>({1, 1}), {3, 1}, {0, 0});
    out.close();
  }
  EXPECT_ERROR(commit_shards(folder, {5, 0, 3, "again"}, {.wait_s = 0.1}), Errc::not_found, "2 ranks: 1, 2");
  save_shards(folder, 5, 3, "third");
  commit_shards(folder, {5, 0, 3, "third"});
  EXPECT_EQ((ShardedCheckpoint::open(folder).load<float, 2>("model/rows").data()[0]), 0);
  std::size_t parts = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/shards")) {
    parts += entry.path().string().find(".third.") != std::string::npos ? 1 : 100;
  }
  EXPECT_EQ(parts, 3);  // those of the killed attempts are gone
}

TEST(Sharded, RefuseGapsOverlapsAndContradictions) {
  const test::Folder place;
  const auto attempt = [&](std::uint64_t step, const std::vector<std::pair<std::uint64_t, std::uint64_t>>& boxes) {
    for (unsigned rank = 0; rank < boxes.size(); ++rank) {
      ShardWriter out(place / "steps", {step, rank, static_cast<unsigned>(boxes.size()), "a"});
      out.put("x", numbered<1>({boxes[rank].second}), {10}, {boxes[rank].first});
      out.close();
    }
    return commit_shards(place / "steps", {step, 0, static_cast<unsigned>(boxes.size()), "a"});
  };
  EXPECT_ERROR(attempt(1, {{0, 5}, {6, 4}}), Errc::invalid_argument, "gap");
  EXPECT_ERROR(attempt(2, {{0, 6}, {5, 5}}), Errc::invalid_argument, "overlap");
  EXPECT_ERROR(attempt(3, {{0, 5}, {4, 5}}), Errc::invalid_argument, "overlap");  // as many elements as it has
  EXPECT_EQ(attempt(4, {{0, 5}, {5, 5}, {0, 5}}).step, 4);                        // a copy
  ShardWriter out(place / "steps", {5, 0, 1, "a"});
  EXPECT_ERROR(out.put("x", numbered<1>({5}), {4}, {0}), Errc::invalid_argument, "not inside");
  EXPECT_ERROR(out.put("x", numbered<1>({5}), {10, 1}, {0}), Errc::invalid_argument, "not inside");
  out.put("x", numbered<1>({5}), {10}, {0});
  EXPECT_ERROR(out.put("x", numbered<1>({5}), {11}, {5}), Errc::invalid_argument, "the same extents");
  EXPECT_ERROR(ShardWriter(place / "steps", {5, 1, 1, "a"}), Errc::invalid_argument, "rank 1 of 1");
  EXPECT_ERROR(ShardWriter(place / "steps", {5, 0, 1, "a/b"}), Errc::invalid_argument, "attempt");
  EXPECT_EQ(Checkpoints::open(place / "steps").steps(), std::vector<std::uint64_t>{4});
}

TEST(Sharded, ArePassedOverWithoutAPart) {
  const test::Folder place;
  const std::string folder = place / "steps";
  for (const std::uint64_t step : {1, 2}) {
    save_shards(folder, step, 2, "s" + std::to_string(step), static_cast<float>(step));
    commit_shards(folder, {step, 0, 2, "s" + std::to_string(step)});
  }
  const std::string part = folder + "/shards/step-000000000002.s2.00001-of-00002.stele";
  std::filesystem::resize_file(part, std::filesystem::file_size(part) - 1);
  EXPECT_EQ(ShardedCheckpoint::open(folder).info().step, 1);
  EXPECT_ERROR(ShardedCheckpoint::open(folder, 2), Errc::not_found, "00001-of-00002");
  Checkpoints kept = Checkpoints::open(folder);
  ASSERT_EQ(kept.verify().damaged.size(), 1);
  EXPECT_EQ(kept.newest_good(Verify::directory), 1);
  std::filesystem::remove(part);
  EXPECT_EQ(ShardedCheckpoint::open(folder).info().step, 1);
}

TEST(Sharded, KeepTheirPartsWhileAManifestIsDamaged) {
  const test::Folder place;
  const std::string folder = place / "steps";
  for (const std::uint64_t step : {1, 2}) {
    save_shards(folder, step, 2, "s" + std::to_string(step), static_cast<float>(step));
    commit_shards(folder, {step, 0, 2, "s" + std::to_string(step)});
  }
  const std::string manifest = folder + "/step-000000000001.stele";
  std::fstream file(manifest, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(40);
  file.put('\xff');
  file.close();
  Checkpoints kept = Checkpoints::open(folder);
  EXPECT_EQ(kept.verify().damaged.size(), 1);
  EXPECT_TRUE(kept.prune().empty());
  for (const char* const part : {"s1.00000-of-00002", "s1.00001-of-00002", "s2.00000-of-00002", "s2.00001-of-00002"}) {
    const std::string step = part[1] == '1' ? "1" : "2";
    EXPECT_TRUE(std::filesystem::exists(folder + "/shards/step-00000000000" + step + "." + part + ".stele")) << part;
  }
  EXPECT_EQ((ShardedCheckpoint::open(folder).load<float, 2>("model/rows").data()[0]), 2);
  kept.remove(1);
  EXPECT_TRUE(kept.verify().damaged.empty());
}

TEST(Sharded, OfEveryRankAndSize) {
  const test::Folder place;
  ShardWriter out(place / "steps", {0, 0, 1, "a"});
  out.put("scalar", numbered<0>({}, 42), {}, {});
  out.put("empty", numbered<2>({0, 5}), {0, 5}, {0, 0});
  out.put("cube", numbered<3>({3, 4, 5}), {3, 4, 5}, {0, 0, 0});
  out.close();
  commit_shards(place / "steps", {0, 0, 1, "a"});
  const ShardedCheckpoint shards = ShardedCheckpoint::open(place / "steps");
  EXPECT_EQ((*shards.load<float, 0>("scalar").data()), 42);
  EXPECT_EQ((shards.load<float, 2>("empty").shape()), (std::array<std::uint64_t, 2>{0, 5}));
  const std::array<Range, 3> box{Range{1, 2}, Range{2, 1}, Range{1, 3}};
  const Array<float, 3> part = shards.load<float, 3>("cube", box);
  EXPECT_EQ(std::vector<float>(part.data(), part.data() + part.size()), (std::vector<float>{31, 32, 33, 51, 52, 53}));
}

TEST(Sharded, OfKilledProcessesAreOldOrNew) {
  const test::Folder place;
  const std::string folder = place / "steps";
  constexpr unsigned ranks = 3;
  std::mt19937 random(7);
  std::uint64_t committed = 0;
  const int rounds = test::sanitized ? 10 : 40;
  for (std::uint64_t step = 1; step <= static_cast<std::uint64_t>(rounds); ++step) {
    const std::string attempt = "n" + std::to_string(step);
    std::vector<pid_t> children;
    for (unsigned rank = 0; rank < ranks; ++rank) {
      const pid_t child = ::fork();
      if (child == 0) {
        try {
          ShardWriter out(folder, {step, rank, ranks, attempt});
          out.put("x", numbered<1>({50'000}, static_cast<float>(step)), {150'000}, {rank * std::uint64_t{50'000}});
          out.close();
          if (rank == 0) {
            commit_shards(folder, {step, 0, ranks, attempt}, {.wait_s = 0.5}, {.keep_last = 2});
          }
          ::_exit(0);
        } catch (const std::exception&) {
          ::_exit(1);
        }
      }
      children.push_back(child);
    }
    ::usleep(random() % 30'000);
    ::kill(children[random() % ranks], SIGKILL);
    bool done = false;
    for (const pid_t child : children) {
      int status = 0;
      ::waitpid(child, &status, 0);
      done = done || (child == children[0] && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    committed = done ? step : committed;
    if (committed != 0) {
      const ShardedCheckpoint shards = ShardedCheckpoint::open(folder);
      EXPECT_GE(shards.info().step, committed);
      EXPECT_TRUE(shards.info().step == committed || shards.info().step == step);
      committed = shards.info().step;
      const Array<float, 1> x = shards.load<float, 1>("x");
      for (unsigned rank = 0; rank < ranks; ++rank) {
        EXPECT_EQ(x.data()[rank * 50'000 + 9], static_cast<float>(committed + 9));
      }
    }
  }
}

}  // namespace
}  // namespace stele
