// Saving, listing, restoring and removing checkpoints.

#include "stele/checkpoint.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>

#include "base/threads/interruption.hpp"
#include "io/replace/writer_lock.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

struct State {
  std::string name;
  std::uint64_t steps = 0;
  std::map<std::string, Array<float, 2>> weights;
  std::vector<double> history;
};

Array<float, 2> matrix(std::uint64_t rows, std::uint64_t columns, float first) {
  Array<float, 2> made({rows, columns});
  std::iota(made.mutable_data(), made.mutable_data() + made.size(), first);
  return made;
}

/// Three matrices of 2 MiB, of which one is changed by `step`.
State state(std::uint64_t step) {
  State made{"model", step, {}, {}};
  made.weights.emplace("a", matrix(1024, 512, 1));
  made.weights.emplace("b", matrix(1024, 512, 2));
  made.weights.emplace("c", matrix(1024, 512, static_cast<float>(step)));
  made.history.assign(step % 1000, 0.5);
  return made;
}

void expect_equal(const State& a, const State& b) { EXPECT_EQ(to_bytes(a), to_bytes(b)); }

TEST(Checkpoints, ComeBackEqual) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "equal");
  const CheckpointInfo info = kept.save(100, state(100), {.metrics = {{"loss", 0.5}}, .metadata = {{"by", "me"}}});
  EXPECT_EQ(info.step, 100);
  EXPECT_EQ(info.metrics.at("loss"), 0.5);
  EXPECT_EQ(info.metadata.at("by").text(), "me");
  EXPECT_EQ(info.metadata.size(), 1);
  EXPECT_EQ(info.written, info.bytes);
  EXPECT_EQ(info.referred, 0);
  EXPECT_NEAR(info.created, static_cast<double>(std::time(nullptr)), 60);
  expect_equal(kept.restore<State>(), state(100));
  expect_equal(load<State>(info.file), state(100));  // an ordinary archive
  EXPECT_EQ(kept.steps(), std::vector<std::uint64_t>{100});
  EXPECT_EQ(kept.latest(), 100);
  EXPECT_EQ(kept.newest_good(), 100);
}

TEST(Checkpoints, WriteOnlyWhatHasChanged) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "changed");
  kept.save(1, state(1));
  for (const std::uint64_t step : {2, 300, 301}) {
    const CheckpointInfo info = kept.save(step, state(step));
    EXPECT_GE(info.referred, std::uint64_t{4} << 20);
    EXPECT_LT(info.written, std::uint64_t{5} << 19);
  }
  for (const std::uint64_t step : {1, 2, 300, 301}) {
    for (const MapMode map : {MapMode::none, MapMode::read_only, MapMode::copy_on_write}) {
      for (const Verify verify : {Verify::automatic, Verify::none, Verify::full}) {
        expect_equal(kept.restore<State>({.step = step, .verify = verify, .map = map}), state(step));
      }
    }
    expect_equal(load<State>(kept.info(step).file), state(step));
    kept.open_step(step).verify();
  }
  EXPECT_EQ(kept.verify().damaged.size(), 0);
  EXPECT_EQ(kept.verify().checked, 4);
  const CheckpointStats stats = kept.stats();
  EXPECT_EQ(stats.checkpoints, 4);
  EXPECT_GT(stats.bytes, stats.stored + (std::uint64_t{11} << 20));
}

TEST(Checkpoints, NeverLoseWhatOthersReferTo) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "referred");
  for (std::uint64_t step = 1; step <= 4; ++step) {
    kept.save(step, state(step));
  }
  kept.remove(1);
  kept.remove(3);
  EXPECT_EQ(kept.steps(), (std::vector<std::uint64_t>{2, 4}));
  EXPECT_EQ(kept.stats().parts, 1);  // nobody refers to what is new in 3
  expect_equal(kept.restore<State>({.step = 2}), state(2));
  expect_equal(kept.restore<State>({.map = MapMode::read_only}), state(4));
  kept.remove(4);
  EXPECT_EQ(kept.stats().parts, 1);
  kept.remove(2);
  EXPECT_EQ(kept.stats().parts, 0);
  EXPECT_EQ(kept.latest(), std::nullopt);
  EXPECT_ERROR(kept.restore<State>(), Errc::not_found, "no checkpoint");
}

TEST(Checkpoints, KeepTheOneJustSavedAfterARewind) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "rewound", {.keep_last = 2});
  for (const std::uint64_t step : {10, 20, 30}) {
    kept.save(step, state(step));
  }
  kept.save(15, state(15));
  EXPECT_EQ(kept.steps(), (std::vector<std::uint64_t>{15, 20, 30}));
  kept.save(16, state(16));
  EXPECT_EQ(kept.steps(), (std::vector<std::uint64_t>{16, 20, 30}));
}

/// Both have the same table, and other bytes of their own.
TEST(Checkpoints, DoNotTakeOneOfTheSameSizesForTheOneTheyReferTo) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "same_sizes");
  using Two = std::vector<std::vector<float>>;
  const auto two = [](float second) { return Two{std::vector<float>(100'000, 1), std::vector<float>(50'000, second)}; };
  kept.save(1, two(1.5));
  kept.save(2, two(2));
  ASSERT_EQ(kept.save(3, two(2)).referred, 600'000);  // one array in 1, and one in 2
  kept.save(2, two(4), {.overwrite = true});
  EXPECT_EQ(kept.restore<Two>({.step = 2}), two(4));
  EXPECT_EQ(kept.restore<Two>({.step = 3}), two(2));
  kept.remove(2);
  EXPECT_EQ(kept.restore<Two>({.step = 3}), two(2));
}

TEST(Checkpoints, ReplaceOneThatOthersReferTo) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "replaced");
  kept.save(1, state(1));
  kept.save(2, state(2));
  EXPECT_ERROR(kept.save(1, state(7)), Errc::invalid_argument, "a checkpoint of step 1 already");
  kept.save(1, state(7), {.overwrite = true});
  expect_equal(kept.restore<State>({.step = 1}), state(7));
  expect_equal(kept.restore<State>({.step = 2}), state(2));
  // What refers to the file that it replaces.
  EXPECT_GT(kept.save(1, state(8), {.overwrite = true}).referred, 0);
  EXPECT_GT(kept.save(1, state(9), {.overwrite = true}).referred, 0);
  expect_equal(kept.restore<State>({.step = 1}), state(9));
  expect_equal(kept.restore<State>({.step = 2}), state(2));
  EXPECT_EQ(kept.verify().damaged.size(), 0);
  kept.remove(2);
  expect_equal(kept.restore<State>({.step = 1}), state(9));
}

TEST(Checkpoints, AreSavedInTheBackground) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "background");
  State now = state(5);
  kept.save_later(5, now);
  now.weights.at("a").mutable_data()[7] = -1;  // the copy has it as it was
  kept.wait();
  expect_equal(kept.restore<State>(), state(5));
  kept.save_later(6, now);
  EXPECT_ERROR(kept.save_later(6, now), Errc::invalid_argument, "step 6 already");
  kept.save_later_unchanged(7, now);
  kept.close();
  expect_equal(kept.restore<State>(), now);
}

TEST(Checkpoints, ShareMemoryInTheBackgroundAsTheyDoOtherwise) {
  const test::Folder place;
  const Array<float, 2> whole = matrix(512, 512, 1);
  const std::vector<Array<float, 2>> views{
      whole, whole, Array<float, 2>(whole.buffer(), whole.data() + 10 * 512, {20, 512}, {512, 1})};
  Checkpoints kept = Checkpoints::open(place / "shared");
  kept.save(1, views);
  kept.save_later(2, views);
  kept.wait();
  EXPECT_EQ(kept.info(1).bytes, kept.info(2).bytes);
  EXPECT_LT(kept.info(1).bytes, 2 * whole.size() * sizeof(float));
  const auto back = kept.restore<std::vector<Array<float, 2>>>();
  EXPECT_EQ(to_bytes(back), to_bytes(views));
  EXPECT_EQ(back[0].data() + 10 * 512, back[2].data());
}

TEST(Checkpoints, TellFailuresOfTheBackground) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "failing");
  kept.save(1, state(1));
  std::filesystem::remove_all(place / "failing");
  kept.save_later(2, state(2));
  EXPECT_ERROR(kept.wait(), Errc::io, "");
  kept.wait();  // told once
}

TEST(Checkpoints, WaitingForASaveCanBeInterrupted) {
  struct Stopped {};
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "interrupted");
  {
    const WriterLock other(Folder::open(kept.folder()), 0, "the folder");  // the save waits for it
    kept.save_later(1, state(1));
    const Interruption stop([] { throw Stopped(); });
    EXPECT_THROW(kept.wait(), Stopped);
    EXPECT_TRUE(kept.is_saving());
  }
  kept.wait();
  expect_equal(kept.restore<State>(), state(1));
}

TEST(Checkpoints, ArePassedOverIfDamaged) {
  const test::Folder place;
  std::vector<std::string> told;
  Checkpoints kept =
      Checkpoints::open(place / "damaged", {.warn = [&](const std::string& text) { told.push_back(text); }});
  for (std::uint64_t step = 1; step <= 3; ++step) {
    kept.save(step, state(step));
  }
  const std::string newest = kept.info(3).file;
  {
    std::fstream file(newest, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(newest) / 2));
    file.put('\x55');
  }
  expect_equal(kept.restore<State>(), state(2));
  EXPECT_EQ(told.size(), 1);
  EXPECT_EQ(kept.latest(), 3);  // its directory is whole
  EXPECT_EQ(kept.newest_good(), 2);
  EXPECT_EQ(kept.verify().damaged.size(), 1);
  EXPECT_EQ(kept.verify().damaged.at(0).first, 3);
  EXPECT_ERROR(kept.restore<State>({.step = 3}), Errc::damaged, "");
  std::filesystem::resize_file(newest, 1000);
  expect_equal(kept.restore<State>(), state(2));
  EXPECT_EQ(kept.latest(), 2);
  kept.save(4, state(4));
  expect_equal(kept.restore<State>(), state(4));
  kept.remove(3);
  EXPECT_EQ(kept.steps(), (std::vector<std::uint64_t>{1, 2, 4}));
  // The one that all refer to.
  std::filesystem::remove(kept.info(1).file);
  EXPECT_ERROR(kept.restore<State>(), Errc::not_found, "no checkpoint can be read: step 4");
}

TEST(Checkpoints, AreNotPassedOverForFaultsOfTheCaller) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "faults");
  kept.save(1, 17);
  kept.save(2, std::string("text"));
  EXPECT_ERROR(kept.restore<int>(), Errc::type_mismatch, "");
  EXPECT_EQ(kept.restore<int>({.step = 1}), 17);
  EXPECT_ERROR(kept.restore<int>({.path = "no/such"}), Errc::not_found, "");
  EXPECT_ERROR(kept.restore<int>({.step = 9}), Errc::not_found, "no checkpoint of step 9");
}

TEST(Checkpoints, RestoreArraysInPlace) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "in_place");
  kept.save(1, state(1));
  kept.save(2, state(2));
  std::vector<float> a(1024 * 512);
  std::vector<double> b(1024 * 512);
  std::vector<float> none(12);
  std::vector<float> narrow(8);
  const auto target = [](std::string path, DType::Kind kind, auto& memory, Shape shape) {
    return CheckpointTarget{std::move(path), kind, shape, std::as_writable_bytes(std::span(memory))};
  };
  const CheckpointRestored result = kept.restore_arrays({target("weights/a", DType::Kind::float32, a, {1024, 512}),
                                                         target("weights/b", DType::Kind::float64, b, {1024, 512}),
                                                         target("weights/none", DType::Kind::float32, none, {12}),
                                                         target("weights/c", DType::Kind::float32, narrow, {8})});
  EXPECT_EQ(result.step, 2);
  EXPECT_EQ(result.restored, (std::vector<std::string>{"weights/a", "weights/b"}));
  EXPECT_EQ(result.missing, (std::vector<std::string>{"weights/none"}));
  EXPECT_EQ(result.unexpected, (std::vector<std::string>{"history"}));
  ASSERT_EQ(result.mismatched.size(), 1);
  EXPECT_NE(result.mismatched[0].find("[1024, 512]"), std::string::npos) << result.mismatched[0];
  EXPECT_EQ(a[1023 * 512 + 5], 1023 * 512 + 5 + 1);
  EXPECT_EQ(b[77], 79);
  State into = state(9);
  const float* const before = into.weights.at("a").data();
  EXPECT_EQ(kept.restore_into(into), 2);
  expect_equal(into, state(2));
  static_cast<void>(before);
}

TEST(Checkpoints, AreExportedAsOrdinaryArchives) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "exported");
  kept.save(1, state(1));
  kept.save(2, state(2));
  kept.export_to(2, place / "exported.stele");
  kept.export_to(2, place / "exported.stele.zst");
  std::filesystem::remove_all(place / "exported");
  expect_equal(load<State>(place / "exported.stele"), state(2));
  expect_equal(load<State>(place / "exported.stele", {.map = MapMode::read_write}), state(2));
  expect_equal(load<State>(place / "exported.stele.zst"), state(2));
}

TEST(Checkpoints, DifferInTheArraysThatChanged) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "differ");
  State first = state(1);
  first.weights.emplace("old", matrix(100, 100, 0));
  State second = state(1);
  second.weights.at("b").mutable_data()[100] += 3;
  second.weights.at("c") = matrix(10, 512, 1);
  second.weights.emplace("new", matrix(100, 100, 0));
  kept.save(1, first);
  kept.save(2, second);
  const std::vector<CheckpointChange> changes = kept.diff(1, 2);
  ASSERT_EQ(changes.size(), 4);
  using Kind = CheckpointChange::Kind;
  EXPECT_EQ(changes[0].path, "weights/b");
  EXPECT_EQ(changes[0].largest, 3);
  EXPECT_GT(changes[0].relative, 0);
  EXPECT_LT(changes[0].relative, 1e-6);
  EXPECT_EQ(changes[1].path, "weights/c");
  EXPECT_EQ(changes[1].kind, Kind::reshaped);
  EXPECT_EQ(changes[2].path, "weights/new");
  EXPECT_EQ(changes[2].kind, Kind::added);
  EXPECT_EQ(changes[3].path, "weights/old");
  EXPECT_EQ(changes[3].kind, Kind::removed);
  EXPECT_TRUE(kept.diff(2, 2).empty());
}

TEST(Checkpoints, AreCompressedIfAsked) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "compressed", {.codec = "zstd"});
  kept.save(1, state(1));
  const CheckpointInfo info = kept.save(2, state(2), {.metrics = {{"loss", 2}}});
  EXPECT_EQ(info.referred, 0);
  EXPECT_LT(info.written, info.bytes);
  EXPECT_EQ(info.metrics.at("loss"), 2);
  expect_equal(kept.restore<State>(), state(2));
  EXPECT_EQ(Checkpoints::open(place / "compressed").save(3, state(3)).referred, 0);
  EXPECT_ERROR(Checkpoints::open(place / "compressed", {.codec = "nonsense"}), Errc::unknown_codec, "nonsense");
}

TEST(Checkpoints, DoNotCountOtherFiles) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "other");
  kept.save(5, 1);
  save(3, place / "other/step-000000000009.stele");  // an archive, but no checkpoint
  std::filesystem::copy_file(place / "other/step-000000000005.stele",
                             place / "other/step-000000000006.stele");  // of another step
  std::ofstream(place / "other/step-7.stele") << "x";
  std::ofstream(place / "other/readme.txt") << "x";
  EXPECT_EQ(kept.steps(), std::vector<std::uint64_t>{5});
  EXPECT_EQ(kept.restore<int>(), 1);
}

TEST(Checkpoints, OfTheLargestStep) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "largest");
  const std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();
  kept.save(largest, 1);
  kept.save(0, 0);
  EXPECT_EQ(kept.steps(), (std::vector<std::uint64_t>{0, largest}));
  EXPECT_EQ(kept.restore<int>(), 1);
}

TEST(Checkpoints, CannotBeWrittenToThroughAMapping) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "unwritable");
  kept.save(1, state(1));
  kept.save(2, state(2));
  EXPECT_ERROR(kept.restore<State>({.map = MapMode::read_write}), Errc::invalid_argument, "mapped for writing");
  EXPECT_ERROR(load<State>(kept.info(2).file, {.map = MapMode::read_write}), Errc::not_mappable, "linked archive");
  Checkpoints reader = Checkpoints::open(place / "unwritable", {.read_only = true});
  EXPECT_ERROR(reader.save(3, state(3)), Errc::read_only, "");
  expect_equal(reader.restore<State>(), state(2));
  EXPECT_ERROR(Checkpoints::open(place / "nowhere", {.read_only = true}), Errc::not_found, "no folder of checkpoints");
}

TEST(LinkedArchive, IsOpenedByItsPathAlone) {
  const test::Folder place;
  Checkpoints kept = Checkpoints::open(place / "by_path");
  kept.save(1, state(1));
  const std::string file = kept.save(2, state(2)).file;
  EXPECT_EQ(open(file).info().codec, "linked");
  EXPECT_EQ(open(file).load<std::uint64_t>("steps"), 2);
  std::ifstream stream(file, std::ios::binary);
  EXPECT_ERROR(load<State>(stream), Errc::unsupported, "opened by its path");
  std::filesystem::create_directory(place / "elsewhere");
  std::filesystem::copy_file(file, place / "elsewhere/copy.stele");
  EXPECT_ERROR(load<State>(place / "elsewhere/copy.stele"), Errc::not_found, "step-000000000001.stele");
}

}  // namespace
}  // namespace stele
