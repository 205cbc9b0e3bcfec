// The copy of a folder of checkpoints in another place.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "stele/checkpoint.hpp"
#include "stele/sharded.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;
using test::content;
using test::Data;
using test::fresh;
using test::put;

struct State {
  std::map<std::string, Array<float, 1>> arrays;
  int epoch = 0;
};

/// One array stays the same from step to step.
State state(int epoch) {
  State made;
  made.epoch = epoch;
  Array<float, 1> fixed({300'000});
  std::fill_n(fixed.mutable_data(), fixed.size(), 0.5F);
  Array<float, 1> moving({50'000});
  std::fill_n(moving.mutable_data(), moving.size(), static_cast<float>(epoch));
  made.arrays["fixed"] = std::move(fixed);
  made.arrays["moving"] = std::move(moving);
  return made;
}

std::map<std::string, std::string> files_of(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = fs::relative(entry.path(), folder).string();
    if (entry.is_regular_file() && name != "writer.lock") {
      files[name] = hash(content(entry.path().string())).text();
    }
  }
  return files;
}

class CheckpointRemoteCopy : public testing::Test {
 protected:
  CheckpointRemoteCopy() {
    fs::remove_all(here_);
    fs::remove_all(there_);
  }
  CheckpointOptions options() {
    CheckpointOptions made;
    made.keep_last = 2;
    made.sync = Sync::none;
    made.remote = there_;
    made.warn = [this](const std::string& message) { warnings_.push_back(message); };
    return made;
  }
  const std::string here_ = fresh("remote_copy_here");
  const std::string there_ = fresh("remote_copy_there");
  std::vector<std::string> warnings_;
};

TEST_F(CheckpointRemoteCopy, FollowsTheFolder) {
  Checkpoints kept = Checkpoints::open(here_, options());
  for (int step = 0; step < 6; ++step) {
    if (step % 2 == 0) {
      kept.save(static_cast<std::uint64_t>(step), state(step));
    } else {
      kept.save_later(static_cast<std::uint64_t>(step), state(step));
    }
    kept.wait();
    EXPECT_EQ(files_of(there_), files_of(here_)) << step;
  }
  EXPECT_GT(kept.stats().parts, 0U) << "steps refer to a file of a removed one";
  kept.save(5, state(50), {.overwrite = true});
  kept.wait();
  EXPECT_EQ(files_of(there_), files_of(here_));
  kept.remove(4);
  kept.wait();
  EXPECT_EQ(files_of(there_), files_of(here_));
  EXPECT_EQ(Checkpoints::open(there_, {.read_only = true}).restore<State>().epoch, 50);
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(CheckpointRemoteCopy, AnEmptyFolderTakesAllOfIt) {
  {
    Checkpoints kept = Checkpoints::open(here_, options());
    for (int step = 1; step <= 4; ++step) {
      kept.save(static_cast<std::uint64_t>(step), state(step));
    }
  }  // waits for the copy
  const auto before = files_of(there_);
  EXPECT_EQ(before, files_of(here_));
  fs::remove_all(here_);
  Checkpoints kept = Checkpoints::open(here_, options());
  EXPECT_EQ(files_of(here_), before);
  EXPECT_EQ(kept.steps(), (std::vector<std::uint64_t>{3, 4}));
  const State back = kept.restore<State>();
  EXPECT_EQ(back.epoch, 4);
  EXPECT_EQ(back.arrays.at("moving")[7], 4.0F);
  kept.save(5, state(5));
  kept.close();
  EXPECT_EQ(files_of(there_), files_of(here_));
}

TEST_F(CheckpointRemoteCopy, ReopenedItCopiesWhatIsMissingAlone) {
  {
    Checkpoints kept = Checkpoints::open(here_, options());
    kept.save(1, state(1));
    kept.save(2, state(2));
  }
  const auto written = fs::last_write_time(there_ + "/step-000000000001.stele");
  fs::remove(there_ + "/step-000000000002.stele");
  Checkpoints kept = Checkpoints::open(here_, options());
  kept.prune();
  kept.wait();
  EXPECT_EQ(files_of(there_), files_of(here_));
  EXPECT_EQ(fs::last_write_time(there_ + "/step-000000000001.stele"), written);
  // Another file of the same name and size is found by its end.
  Data other = content(there_ + "/step-000000000001.stele");
  other[other.size() - 20] ^= std::byte{1};
  put(there_ + "/step-000000000001.stele", other);
  Checkpoints again = Checkpoints::open(here_, options());
  again.prune();
  again.wait();
  EXPECT_EQ(files_of(there_), files_of(here_));
}

TEST_F(CheckpointRemoteCopy, WhatItHasNeverSeenItLeavesAlone) {
  fs::create_directories(there_ + "/other");
  std::ofstream(there_ + "/other/file") << "not a checkpoint";
  std::ofstream(there_ + "/step-000000000099.stele") << "of another folder";
  fs::create_directories(here_);
  {
    CheckpointOptions alone = options();
    alone.remote.clear();
    Checkpoints::open(here_, alone).save(1, state(1));
  }
  Checkpoints kept = Checkpoints::open(here_, options());
  kept.save(2, state(2));
  kept.remove(1);
  kept.wait();
  EXPECT_TRUE(fs::exists(there_ + "/step-000000000002.stele"));
  EXPECT_TRUE(fs::exists(there_ + "/other/file"));
  EXPECT_TRUE(fs::exists(there_ + "/step-000000000099.stele"));
  EXPECT_FALSE(fs::exists(there_ + "/step-000000000001.stele"));
}

TEST_F(CheckpointRemoteCopy, AFailureIsReportedAndMadeUpFor) {
  Checkpoints kept = Checkpoints::open(here_, options());
  kept.save(1, state(1));
  kept.wait();
  fs::rename(there_, there_ + "-away");
  std::ofstream(there_) << "a file where the folder was";
  kept.save(2, state(2));
  EXPECT_THROW(kept.wait(), Error);
  EXPECT_EQ(kept.latest(), 2U) << "the checkpoint itself is good";
  kept.wait();  // reported once
  fs::remove(there_);
  fs::rename(there_ + "-away", there_);
  kept.save(3, state(3));
  kept.wait();
  EXPECT_EQ(files_of(there_), files_of(here_));
}

TEST_F(CheckpointRemoteCopy, ShardedStepsToo) {
  const ShardJob job{.step = 7, .rank = 0, .ranks = 1, .attempt = "a"};
  {
    ShardWriter part(here_, job, options());
    part.put("x", Array<float, 1>({1000}), {1000}, {0});
    part.close();
  }
  commit_shards(here_, job, {}, options());
  EXPECT_EQ(files_of(there_), files_of(here_));
  EXPECT_EQ(ShardedCheckpoint::open(there_).info().step, 7U);
}

TEST_F(CheckpointRemoteCopy, AUrlIsNoFolder) {
  EXPECT_ERROR(Checkpoints::open("s3://bucket/run", {}), Errc::unsupported, "checkpoints are in a local folder");
  EXPECT_FALSE(fs::exists("s3:"));
  CheckpointOptions bad = options();
  bad.remote = "unknown://place";
  EXPECT_ERROR(Checkpoints::open(here_, bad), Errc::unsupported, "unknown://");
}

}  // namespace
}  // namespace stele
