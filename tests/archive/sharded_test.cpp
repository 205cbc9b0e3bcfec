// One archive that several writers make.

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <numeric>
#include <random>
#include <thread>

#include "archive/read/foreign.hpp"
#include "stele/sharded_archive.hpp"
#include "stele/storage.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

template <std::size_t Rank, class T = float>
Array<T, Rank> numbered(const std::array<std::uint64_t, Rank>& shape, T first = {}) {
  Array<T, Rank> made(shape);
  std::iota(made.mutable_data(), made.mutable_data() + made.size(), first);
  return made;
}

/// A box of an array with two axes.
Array<float, 2> box_of(const Array<float, 2>& whole, std::uint64_t row, std::uint64_t column, std::uint64_t rows,
                       std::uint64_t columns) {
  return Array<float, 2>(whole.buffer(), whole.data() + row * whole.shape()[1] + column, {rows, columns},
                         {static_cast<std::int64_t>(whole.shape()[1]), 1});
}

struct Settings {
  std::string name = "adam";
  std::vector<double> rates = {0.1, 0.01};
  Array<std::int32_t, 1> steps;
};

struct Layer {
  Array<float, 2> rows;
  Array<float, 2> tiles;
};
struct Model {
  std::map<std::string, Layer> layers;
  Settings settings;
  int epoch = 0;
};

const Array<float, 2>& all_rows() {
  static const Array<float, 2> rows = numbered<2>({1001, 300}, 0.f);
  return rows;
}
const Array<float, 2>& all_tiles() {
  static const Array<float, 2> tiles = numbered<2>({640, 512}, 1.f);
  return tiles;
}

/// An array by rows, and one by tiles, of one layer.
void put_parts(ShardedWriter& out, unsigned rank, unsigned ranks) {
  const std::uint64_t begin = 1001 * rank / ranks;
  const std::uint64_t end = 1001 * (rank + 1) / ranks;
  out.put("layers/0/rows", box_of(all_rows(), begin, 0, end - begin, 300), {1001, 300}, {begin, 0});
  for (std::uint64_t tile = rank; tile < 8; tile += ranks) {  // two rows of four
    out.put("layers/0/tiles", box_of(all_tiles(), tile / 4 * 320, tile % 4 * 128, 320, 128), {640, 512},
            {tile / 4 * 320, tile % 4 * 128});
  }
  if (rank == ranks - 1) {
    out.put_value("settings", Settings{"adam", {0.5}, numbered<1, std::int32_t>({2000}, 0)});
  }
  out.put_value("epoch", rank + 10);
}

ShardedCommit save_all(const std::string& place, unsigned ranks, const std::string& attempt,
                       const SaveOptions& save = {}) {
  ShardedCommit made;
  for (unsigned rank = ranks; rank-- > 0;) {
    ShardedWriter out(place, rank, ranks, {.attempt = attempt, .save = save});
    put_parts(out, rank, ranks);
    made = out.commit();
  }
  return made;
}

TEST(ShardedArchive, IsLikeAnyArchive) {
  const test::Folder folder;
  for (const unsigned ranks : {1U, 3U, 8U}) {
    const std::string place = folder / ("of" + std::to_string(ranks));
    const ShardedCommit made = save_all(place, ranks, "a", {.metadata = {{"purpose", "a test"}}});
    EXPECT_EQ(made.arrays, 2);
    EXPECT_EQ(made.ranks, ranks);
    EXPECT_TRUE(made.left.empty());
    for (const std::string& path : {place, place + "/", place + "/manifest.stele", "file://" + place}) {
      const File file = open(path);
      EXPECT_EQ(to_bytes(file.load<Array<float, 2>>("layers/0/rows")), to_bytes(all_rows()));
      EXPECT_EQ(to_bytes(file.load<Array<float, 2>>("layers/0/tiles")), to_bytes(all_tiles()));
      EXPECT_EQ(file.load<int>("epoch"), 10);
      EXPECT_EQ(file.load<std::vector<double>>("settings/rates").at(0), 0.5);
      EXPECT_EQ(file.load<Settings>("settings").steps.data()[1999], 1999);
      EXPECT_EQ((file.array<std::int32_t, 1>("settings/steps").rows(7, 2).data()[1]), 8);
      EXPECT_TRUE(file.contains("layers/0") && file.contains("settings/name") && file.contains("layers/0/tiles"));
      EXPECT_FALSE(file.contains("layers/1") || file.contains("settings/none") || file.contains("layers/0/tiles/0"));
      EXPECT_ERROR(file.load<int>("layers/1"), Errc::not_found, "no value");
      EXPECT_ERROR(file.array("layers"), Errc::type_mismatch, "found a map");
      EXPECT_ERROR((file.array<float, 3>("layers/0/tiles")), Errc::type_mismatch, "float32");
      EXPECT_ERROR((file.load<Array<std::int8_t, 2>>("layers/0/tiles")), Errc::type_mismatch, "float32");
      for (const Model& model : {file.load<Model>(), load<Model>(path)}) {
        EXPECT_EQ(to_bytes(model.layers.at("0").rows), to_bytes(all_rows()));
        EXPECT_EQ(to_bytes(model.layers.at("0").tiles), to_bytes(all_tiles()));
        EXPECT_EQ(model.settings.steps.shape()[0], 2000);
        EXPECT_EQ(model.epoch, 10);
      }
      EXPECT_EQ(to_bytes(file.load<Layer>("layers/0").tiles), to_bytes(all_tiles()));
      const Value tree = load<Value>(path);
      EXPECT_EQ(tree, file.load<Value>());
      EXPECT_EQ(tree.at_path("settings/name").text(), "adam");
      EXPECT_EQ(tree.at_path("layers/0/rows").array().view().shape[0], 1001);
      const Info info = file.info();
      EXPECT_EQ(info.codec, "sharded");
      EXPECT_EQ(info.arrays, 2);
      EXPECT_EQ(info.array_bytes, (1001 * 300 + 640 * 512) * 4);
      EXPECT_GT(info.stored_bytes, info.array_bytes);
      EXPECT_EQ(info.metadata, (Metadata{{"purpose", "a test"}}));
      file.verify();
      Reader reader(Path{path});
      EXPECT_TRUE(reader.more());
      EXPECT_EQ(reader.read<Model>().epoch, 10);
      EXPECT_EQ(reader.metadata().at("purpose").text(), "a test");
      EXPECT_FALSE(reader.more());
    }
  }
}

TEST(ShardedArchive, ListsItsTree) {
  const test::Folder folder;
  save_all(folder / "a", 3, "a");
  const File file = open(folder / "a");
  std::vector<std::string> paths;
  for (const Entry& entry : file.list()) {
    paths.push_back(entry.path);
  }
  EXPECT_EQ(paths, (std::vector<std::string>{"", "epoch", "layers", "layers/0", "layers/0/rows", "layers/0/tiles",
                                             "settings", "settings/name", "settings/rates", "settings/steps"}));
  const std::vector<Entry> tiles = file.list({.path = "layers/0/tiles"});
  ASSERT_EQ(tiles.size(), 1);
  EXPECT_EQ(tiles[0].dtype, DType::Kind::float32);
  EXPECT_EQ(tiles[0].shape, (Shape{640, 512}));
  EXPECT_EQ(tiles[0].bytes, 640 * 512 * 4);
  EXPECT_EQ(file.list({.depth = 1}).size(), 4);
  EXPECT_EQ(file.list({.path = "settings", .depth = 0}).size(), 1);
  EXPECT_EQ(file.list({.path = "settings/steps"}).at(0).path, "settings/steps");
  EXPECT_EQ(file.list({.depth = 1, .max_items = 1}).size(), 2);
  EXPECT_ERROR(file.list({.path = "none"}), Errc::not_found, "none");
}

TEST(ShardedArchive, ReadsBoxesStepsAndRowsOfAnySplit) {
  const test::Folder folder;
  std::mt19937 random(3);
  for (const unsigned ranks : {1U, 2U, 5U}) {
    const std::string place = folder / std::to_string(ranks);
    save_all(place, ranks, "a", {.codec = ranks == 2 ? "gzip" : ""});
    save(all_tiles(), folder / "tiles.stele");
    const auto expected = open(folder / "tiles.stele").array<float, 2>();
    const auto tiles = open(place).array<float, 2>("layers/0/tiles");
    const auto any_range = [&](std::uint64_t extent) {
      const std::uint64_t first = random() % extent;
      const auto step = static_cast<std::int64_t>(random() % 9) - 4;
      Range range{first, Range::rest, step == 0 ? 1 : step};
      if (random() % 2 == 0) {
        const std::uint64_t distance = range.step > 0 ? extent - 1 - first : first;
        range.count = random() % (distance / static_cast<std::uint64_t>(std::abs(range.step)) + 2);
      }
      return range;
    };
    for (int round = 0; round < 400; ++round) {
      const std::array<Range, 2> box{any_range(640), any_range(512)};
      ASSERT_EQ(to_bytes(tiles.read(box)), to_bytes(expected.read(box)));
      std::vector<std::uint64_t> rows(random() % 50);
      std::generate(rows.begin(), rows.end(), [&] { return random() % 640; });
      ASSERT_EQ(to_bytes(tiles.gather(rows)), to_bytes(expected.gather(rows)));
    }
    std::uint64_t row = 0;
    for (const Array<float, 2>& batch : tiles.batches(100)) {
      EXPECT_EQ(batch(0, 0), all_tiles()(row, 0));
      row += batch.shape()[0];
    }
    EXPECT_EQ(row, 640);
    const auto wide = open(place).array<double, 2>("layers/0/tiles");  // converted
    EXPECT_EQ(wide.read({Range{639, 1}, Range{511, 1}})(0, 0), all_tiles()(639, 511));
    EXPECT_EQ((open(place).load<Array<double, 2>>("layers/0/tiles")(320, 127)), all_tiles()(320, 127));
    EXPECT_EQ((open(place).load<std::vector<std::vector<float>>>("layers/0/tiles").at(400).at(300)),
              all_tiles()(400, 300));
    EXPECT_ERROR(tiles.read({Range{600, 41}}), Errc::out_of_range, "640");
    EXPECT_ERROR(tiles.gather({640}), Errc::out_of_range, "row 640");
  }
}

TEST(ShardedArchive, IsConvertedPieceByPiece) {
  const test::Folder folder;
  const std::string place = folder / "a";
  for (unsigned rank = 2; rank-- > 0;) {
    ShardedWriter out(place, rank, 2, {.attempt = "a"});
    put_parts(out, rank, 2);
    const Array<float, 3> half = numbered<3>({5, 700, 900}, static_cast<float>(rank));  // windows of a part of a row
    out.put("large", half, {5, 700, 1800}, {0, 0, rank * std::uint64_t{900}});
    out.commit();
  }
  const ForeignFile file = open_foreign(place, {});
  for (const char* codec : {"plain", "zstd"}) {
    save(file.content.value, folder / "one.stele", {.codec = codec});
    EXPECT_EQ(load<Value>(folder / "one.stele"), load<Value>(place));
  }
}

struct Point {
  float x = 0;
  std::int32_t n = 0;
};
struct Longer {
  std::int64_t n = 0;
  double added = 4.5;
  double x = 0;
};

TEST(ShardedArchive, HoldsAllRanksTypesAndOrders) {
  const test::Folder folder;
  const std::string place = folder / "a";
  const Array<float, 2> column_major = numbered<2>({4, 6}, 0.f);
  for (unsigned rank = 2; rank-- > 0;) {
    ShardedWriter out(place, rank, 2, {.attempt = "a"});
    if (rank == 0) {
      out.put("scalar", numbered<0>({}, 42.f));
      out.put("empty", numbered<2>({0, 5}, 0.f));
    }
    out.put("cube", numbered<3>({3, 2, 5}, static_cast<float>(rank * 100)), {3, 4, 5}, {0, rank * std::uint64_t{2}, 0});
    // Elements with their first axis fastest.
    out.put("turned", Array<float, 2>(column_major.buffer(), column_major.data(), {6, 4}, {1, 6}), {12, 4},
            {rank * std::uint64_t{6}, 0});
    Array<Point, 2> points({2, 3});
    points.mutable_at(1, 2) = {0.5F, static_cast<std::int32_t>(rank + 1)};
    out.put("points", points, {2, 6}, {0, rank * std::uint64_t{3}});
    out.put("odd~1name/~0x", numbered<1>({3}, 0.f), {3}, {0});  // the same box twice
    out.commit();
  }
  const File file = open(place);
  EXPECT_EQ((*file.load<Array<float, 0>>("scalar").data()), 42);
  EXPECT_EQ((file.load<Array<float, 2>>("empty").shape()), (std::array<std::uint64_t, 2>{0, 5}));
  const Array<float, 3> part = file.array<float, 3>("cube").read({Range{1, 2}, Range{1, 2}, Range{4, 1}});
  EXPECT_EQ(std::vector<float>(part.data(), part.data() + part.size()), (std::vector<float>{19, 114, 29, 124}));
  const auto turned = file.load<Array<float, 2>>("turned");
  EXPECT_EQ(turned(7, 3), column_major(3, 1));
  const auto points = file.load<Array<Point, 2>>("points");
  EXPECT_EQ(points(1, 2).n, 1);
  EXPECT_EQ(points(1, 5).n, 2);
  const auto longer = file.array<Longer, 2>("points").read({Range{0, 2}});
  EXPECT_EQ(longer(1, 5).n, 2);
  EXPECT_EQ(longer(1, 5).x, 0.5);
  EXPECT_EQ(longer(1, 5).added, 4.5);  // not stored
  EXPECT_EQ((file.array<Longer, 2>("points").gather({1})(0, 5).added), 4.5);
  EXPECT_EQ((file.load<std::map<std::string, Array<float, 1>>>("odd~1name").at("~x").size()), 3);
}

TEST(ShardedArchive, OfOneArrayIsTheArray) {
  const test::Folder folder;
  for (unsigned rank = 2; rank-- > 0;) {
    ShardedWriter out(folder / "a", rank, 2, {.attempt = "x"});
    out.put("", numbered<1>({10}, static_cast<float>(rank * 10)), {20}, {rank * std::uint64_t{10}});
    out.commit();
  }
  EXPECT_EQ(to_bytes(load<Array<float, 1>>(folder / "a")), to_bytes(numbered<1>({20}, 0.f)));
  EXPECT_EQ((open(folder / "a").array<float, 1>().rows(9, 2).data()[1]), 10);
}

TEST(ShardedArchive, DoesNotExistWithoutItsCommit) {
  const test::Folder folder;
  const std::string place = folder / "a";
  EXPECT_ERROR(open(place), Errc::not_found, "");
  {
    ShardedWriter out(place, 0, 2, {.attempt = "a"});
    put_parts(out, 0, 2);
    out.close();
    EXPECT_ERROR(out.close(), Errc::invalid_argument, "closed");
    EXPECT_ERROR(out.put("more", numbered<1>({3}, 0.f)), Errc::invalid_argument, "closed");
    ShardedWriter dropped(place, 1, 2, {.attempt = "a"});
    put_parts(dropped, 1, 2);
  }
  EXPECT_ERROR(open(place), Errc::not_found, "manifest.stele");
  EXPECT_ERROR(load<Value>(place), Errc::not_found, "manifest.stele");
  EXPECT_ERROR(commit_sharded(place, 2, "a", {.wait_s = 0.05}), Errc::not_found, "of 1 ranks: 1");
  EXPECT_ERROR(commit_sharded(place, 0, "a"), Errc::invalid_argument, "ranks");
  EXPECT_ERROR(ShardedWriter(place, 0, 2, {.attempt = "a"}), Errc::invalid_argument, "never repeated");
  std::thread late([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ShardedWriter out(place, 1, 2, {.attempt = "a"});
    put_parts(out, 1, 2);
    out.close();
  });
  EXPECT_EQ(commit_sharded(place, 2, "a").arrays, 2);
  late.join();
  EXPECT_EQ(load<Model>(place).epoch, 10);
}

TEST(ShardedArchive, IsReplacedWhole) {
  const test::Folder folder;
  const std::string place = folder / "a";
  save_all(place, 3, "a");
  EXPECT_ERROR(ShardedWriter(place, 0, 3, {.attempt = "a"}), Errc::invalid_argument, "another attempt");
  const File before = open(place);
  {
    ShardedWriter dead(place, 0, 2, {.attempt = "dead"});
    dead.put("x", numbered<1>({3}, 0.f));
    dead.close();
  }
  for (unsigned rank = 2; rank-- > 0;) {
    ShardedWriter out(place, rank, 2, {.attempt = "b"});
    out.put("new", numbered<1>({10}, 0.f), {20}, {rank * std::uint64_t{10}});
    EXPECT_TRUE(open(place).contains("layers"));
    EXPECT_EQ(out.commit().left, std::vector<std::string>{});
    EXPECT_EQ(open(place).contains("new"), rank == 0);
  }
  EXPECT_ERROR(commit_sharded(place, 2, "b"), Errc::invalid_argument, "already");
  EXPECT_TRUE(open(place).contains("new"));
  EXPECT_FALSE(open(place).contains("layers"));
  std::vector<std::string> parts;
  for (const StoredObject& object : open_storage(place)->list("shards/")) {
    parts.push_back(object.key);
  }
  EXPECT_EQ(parts, (std::vector<std::string>{"shards/b.00000-of-00002.stele", "shards/b.00001-of-00002.stele",
                                             "shards/dead.00000-of-00002.stele"}));
  EXPECT_ERROR(before.load<Model>(), Errc::not_found, "replaced");
  std::filesystem::last_write_time(place + "/shards/dead.00000-of-00002.stele",
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(25));
  ShardedWriter last(place, 0, 1);
  last.put_value("", 5);
  EXPECT_EQ(last.commit().ranks, 1);
  EXPECT_EQ(load<int>(place), 5);
  EXPECT_EQ(open_storage(place)->list("shards/").size(), 1);
}

TEST(ShardedArchive, RefusesWhatIsNoWhole) {
  const test::Folder folder;
  int count = 0;
  const auto refused = [&](const auto& put, const std::string& why) {
    const std::string place = folder / std::to_string(++count);
    for (unsigned rank = 0; rank < 2; ++rank) {
      ShardedWriter out(place, rank, 2, {.attempt = "a"});
      put(out, rank);
      out.close();
    }
    EXPECT_ERROR(commit_sharded(place, 2, "a"), Errc::invalid_argument, why);
    EXPECT_ERROR(open(place), Errc::not_found, "");
  };
  using W = ShardedWriter;
  refused([](W& out, unsigned r) { out.put("x", numbered<1>({5}, 0.f), {11}, {r * std::uint64_t{6}}); }, "gap");
  refused([](W& out, unsigned r) { out.put("x", numbered<1>({6}, 0.f), {10}, {r * std::uint64_t{4}}); }, "overlap");
  refused([](W& out, unsigned r) { out.put("x", numbered<1>({5}, 0.f), {10 + r}, {r * std::uint64_t{5}}); },
          "disagree");
  refused(
      [](W& out, unsigned r) {
        r == 0 ? out.put("x", numbered<1>({5}, 0.f), {10}, {0}) : out.put("x", numbered<1, double>({5}, 0), {10}, {5});
      },
      "disagree");
  refused([](W& out, unsigned r) { out.put_value(r == 0 ? "a/b" : "a", 1); }, "inside");
  refused([](W& out, unsigned r) { r == 0 ? out.put("a", numbered<1>({5}, 0.f)) : out.put_value("a", 1); },
          "same path");
  ShardedWriter out(folder / "one", 0, 2, {.attempt = "a"});
  out.put("a/b", numbered<1>({5}, 0.f), {10}, {0});
  EXPECT_ERROR(out.put("a/b", numbered<1>({5}, 0.f), {10}, {6}), Errc::invalid_argument, "not inside");
  EXPECT_ERROR(out.put("a/b", numbered<1>({5}, 0.f), {11}, {6}), Errc::invalid_argument, "same extents");
  EXPECT_ERROR(out.put_value("a", 1), Errc::invalid_argument, "inside");
  EXPECT_ERROR(out.put_value("a/b/c", 1), Errc::invalid_argument, "inside");
  EXPECT_ERROR(out.put_value("a/b", 1), Errc::invalid_argument, "same path");
  EXPECT_ERROR(out.put_value("a/~#3", 1), Errc::invalid_argument, "names");
  out.put_value("a/bc", 1);
  EXPECT_ERROR(out.put_value("a/bc", 1), Errc::invalid_argument, "already");
  out.put("a/b", numbered<1>({5}, 0.f), {10}, {5});  // the refused ones left nothing
  out.close();
  EXPECT_ERROR(ShardedWriter(folder / "one", 2, 2, {.attempt = "b"}), Errc::invalid_argument, "rank 2");
  EXPECT_ERROR(ShardedWriter(folder / "one", 1, 2, {.attempt = "no spaces"}), Errc::invalid_argument, "letters");
  save(1, folder / "one/manifest.stele");
  EXPECT_ERROR(commit_sharded(folder / "one", 2, "a"), Errc::invalid_argument, "no manifest");
  EXPECT_ERROR(open(folder / "one"), Errc::not_an_archive, "no manifest");
}

TEST(ShardedArchive, FindsDamage) {
  const test::Folder folder;
  const std::string place = folder / "a";
  save_all(place, 2, "a");
  const std::string part = place + "/shards/a.00001-of-00002.stele";
  const test::Data good = test::content(part);
  test::Data bad = good;
  bad[good.size() / 2] ^= std::byte{1};
  test::put(part, bad);
  EXPECT_ERROR(open(place).verify(), Errc::damaged, "");
  EXPECT_ERROR(load<Model>(place), Errc::damaged, "");
  EXPECT_EQ(open(place).load<int>("epoch"), 10);  // of the other part
  test::put(part, Bytes(good).first(good.size() - 64));
  EXPECT_ERROR(open(place).verify(), Errc::not_found, "00001-of-00002");
  EXPECT_ERROR(open(place).load<Settings>("settings"), Errc::not_found, "00001-of-00002");
  std::filesystem::remove(part);
  EXPECT_ERROR(open(place).load<Settings>("settings"), Errc::not_found, "00001-of-00002");
  test::put(part, good);
  open(place).verify();
  test::Data manifest = test::content(place + "/manifest.stele");
  for (std::size_t at = 0; at < manifest.size(); at += 7) {
    manifest[at] ^= std::byte{0x41};
    test::put(place + "/manifest.stele", manifest);
    try {
      open(place).verify();
      ADD_FAILURE() << "not found at " << at;
    } catch (const Error&) {
    }
    manifest[at] ^= std::byte{0x41};
  }
  EXPECT_ERROR(open(place, {.map = MapMode::read_only}), Errc::not_mappable, "several files");
}

TEST(ShardedArchive, TakesItsAttemptFromTheLaunch) {
  const std::vector<std::string> names = {"OMPI_MCA_orte_precondition_transports",
                                          "TORCHELASTIC_RUN_ID",
                                          "TORCHELASTIC_RESTART_COUNT",
                                          "SLURM_JOB_ID",
                                          "SLURM_STEP_ID",
                                          "SLURM_RESTART_COUNT",
                                          "SLURM_PROCID"};
  const auto with = [&](const std::map<std::string, std::string>& set) {
    for (const std::string& name : names) {
      ::unsetenv(name.c_str());
    }
    for (const auto& [name, value] : set) {
      ::setenv(name.c_str(), value.c_str(), 1);
    }
    return job_attempt();
  };
  EXPECT_EQ(with({{"SLURM_JOB_ID", "47"}, {"SLURM_STEP_ID", "2"}, {"SLURM_PROCID", "0"}}), "slurm-47-2-0");
  EXPECT_EQ(with({{"SLURM_JOB_ID", "47"}}), "");
  EXPECT_EQ(with({{"TORCHELASTIC_RUN_ID", "my run"}, {"TORCHELASTIC_RESTART_COUNT", "3"}}), "torchrun-my_run-3");
  EXPECT_EQ(with({{"TORCHELASTIC_RUN_ID", "none"}}), "");
  EXPECT_EQ(with({{names[0], "ab-cd"}, {"SLURM_JOB_ID", "47"}}), "mpirun-ab-cd");
  const test::Folder folder;
  EXPECT_EQ(ShardedWriter(folder / "a", 0, 2).attempt(), "mpirun-ab-cd");
  with({});
  EXPECT_ERROR(ShardedWriter(folder / "a", 0, 2), Errc::invalid_argument, "options.attempt");
}

}  // namespace
}  // namespace stele
