// Several processes and threads at a folder of checkpoints, and what happens to those that are killed, to full disks
// and to system calls that fail.

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <set>
#include <thread>

#include "archive/linked/source.hpp"
#include "io/system.hpp"
#include "stele/checkpoint.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::Folder;

struct State {
  std::uint64_t step = 0;
  std::uint64_t version = 0;  // one for each time that the step was saved
  Array<std::uint32_t, 1> fixed;
  Array<std::uint32_t, 1> slow;
  std::vector<std::uint32_t> fast;
};

/// Of 384 KiB, of which a later step shares a third or two.
State state(std::uint64_t step, std::uint64_t version = 0) {
  const auto numbers = [](std::uint64_t from) {
    Array<std::uint32_t, 1> made({std::uint64_t{32} << 10});
    for (std::uint64_t i = 0; i < made.size(); ++i) {
      made.mutable_data()[i] = static_cast<std::uint32_t>(from * 2654435761u + i);
    }
    return made;
  };
  State made{step, version, numbers(0), numbers(1 + step / 4), {}};
  made.fast.assign((std::size_t{32} << 10) + step % 700, static_cast<std::uint32_t>(step * 31 + version));
  return made;
}

bool is_whole(const State& found) { return to_bytes(found) == to_bytes(state(found.step, found.version)); }

pid_t start(const std::function<void()>& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      action();
      std::_Exit(0);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    std::_Exit(1);
  }
  return child;
}

int end_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// Files that belong to nothing: temporaries, and parts that no checkpoint refers to.
std::vector<std::string> leftovers(const std::string& path) {
  std::set<std::string> used{"writer.lock", "parts"};
  for (const CheckpointInfo& info : Checkpoints::open(path, {.read_only = true}).list()) {
    used.insert(std::filesystem::path(info.file).filename());
    if (open(info.file).info().codec == "linked") {
      for (const LinkTable::File& file : open_linked(info.file, MapMode::none, {}).table.files) {
        used.insert(kept_name(file.name, file.id));
      }
    }
  }
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    const std::string name = entry.path().lexically_relative(path).string();
    if (!used.contains(name)) {
      found.push_back(name);
    }
  }
  return found;
}

// --- Killed savers ---------------------------------------------------------------------------------------------------

/// What a saver tells before it is killed: it is about to save, or save() has returned.
struct Note {
  std::uint64_t step = 0;
  std::uint64_t version = 0;
  bool done = false;
};

/// Saves in all ways until it is killed.
void save_for_ever(const std::string& path, unsigned seed, std::uint64_t first, int notes) {
  std::mt19937 random(seed);
  const auto note = [&](std::uint64_t step, std::uint64_t version, bool done) {
    const Note made{step, version, done};
    [[maybe_unused]] const ssize_t written = ::write(notes, &made, sizeof made);
  };
  Checkpoints kept =
      Checkpoints::open(path, {.keep_last = 3, .incremental = random() % 8 != 0, .sync = Sync::none, .threads = 2});
  for (std::uint64_t step = first;; ++step) {
    note(step, 0, false);
    if (random() % 3 == 0) {
      kept.save_later(step, state(step));
      kept.wait();
    } else {
      kept.save(step, state(step));
    }
    note(step, 0, true);
    if (random() % 4 == 0) {
      const std::uint64_t version = random();
      note(step, version, false);
      kept.save(step, state(step, version), {.overwrite = true});
      note(step, version, true);
    }
    if (random() % 8 == 0) {
      kept.prune();
    }
  }
}

/// STELE_KILLS makes it longer.
TEST(CheckpointProcesses, KilledAtAnyPointLoseNothingThatWasSaved) {
  const char* const wanted = std::getenv("STELE_KILLS");
  const int kills = wanted != nullptr ? std::atoi(wanted) : 250;
  const Folder place;
  const std::string path = place / "killed";
  std::mt19937 random(wanted != nullptr ? static_cast<unsigned>(kills) : 1);
  std::map<std::uint64_t, std::uint64_t> saved;  // the version of each step that save() has returned for
  std::uint64_t linked = 0;
  for (int round = 0; round < kills; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const auto seed = static_cast<unsigned>(random());
    const std::uint64_t first = saved.empty() ? 1 : saved.rbegin()->first + 2;
    const pid_t child = start([&] { save_for_ever(path, seed, first, ends[1]); });
    ::close(ends[1]);
    ::usleep(static_cast<useconds_t>(random() % 25'000));
    ::kill(child, SIGKILL);
    ASSERT_EQ(end_of(child), -SIGKILL);
    std::optional<Note> begun;
    for (Note note; ::read(ends[0], &note, sizeof note) == sizeof note;) {
      begun = note;
      if (note.done) {
        saved[note.step] = note.version;
        begun.reset();
      }
    }
    ::close(ends[0]);
    const Checkpoints kept = Checkpoints::open(path, {.keep_last = 3});
    ASSERT_EQ(leftovers(path), std::vector<std::string>{}) << round;
    if (const CheckpointReport report = kept.verify(); !report.damaged.empty()) {
      FAIL() << round << ": " << report.damaged[0].second;
    }
    const std::vector<std::uint64_t> steps = kept.steps();
    // The last three of what was saved, of which the one in work may have displaced another.
    std::size_t wanted_steps = 3;
    for (auto last = saved.rbegin(); last != saved.rend() && wanted_steps > 0; ++last, --wanted_steps) {
      const bool may_be_gone = wanted_steps == 1 && begun && begun->version == 0 && begun->step > saved.rbegin()->first;
      ASSERT_TRUE(may_be_gone || std::find(steps.begin(), steps.end(), last->first) != steps.end())
          << round << ": step " << last->first;
    }
    for (const std::uint64_t step : steps) {
      const State found = kept.restore<State>({.step = step});
      ASSERT_TRUE(is_whole(found)) << round;
      const bool in_work = begun && begun->step == step && begun->version == found.version;
      ASSERT_TRUE(in_work || (saved.contains(step) && saved.at(step) == found.version)) << round << ": step " << step;
      saved[step] = found.version;
      linked += kept.info(step).referred > 0 ? 1 : 0;
    }
  }
  EXPECT_GT(saved.size(), static_cast<std::size_t>(kills) / 4);
  EXPECT_GT(linked, static_cast<std::uint64_t>(kills) / 2);
}

// --- Several at once -------------------------------------------------------------------------------------------------

TEST(CheckpointProcesses, SaversTakeTurns) {
  const Folder place;
  const std::string path = place / "turns";
  constexpr std::uint64_t count = 60;
  const auto save_some = [&](std::uint64_t first) {
    Checkpoints kept = Checkpoints::open(path, {.sync = Sync::none});
    for (std::uint64_t step = first; step < count; step += 4) {
      kept.save(step, state(step));
    }
  };
  const pid_t one = start([&] { save_some(0); });
  const pid_t two = start([&] {
    std::jthread other([&] { save_some(1); });
    save_some(2);
  });
  save_some(3);
  EXPECT_EQ(end_of(one), 0);
  EXPECT_EQ(end_of(two), 0);
  const Checkpoints kept = Checkpoints::open(path);
  EXPECT_EQ(kept.steps().size(), count);
  EXPECT_EQ(kept.verify().damaged.size(), 0);
  for (const std::uint64_t step : kept.steps()) {
    EXPECT_TRUE(is_whole(kept.restore<State>({.step = step})));
  }
  EXPECT_EQ(leftovers(path), std::vector<std::string>{});
}

TEST(CheckpointProcesses, AKilledSaverHoldsUpNobody) {
  const Folder place;
  const std::string path = place / "beside";
  Checkpoints kept = Checkpoints::open(path, {.sync = Sync::none, .wait_s = 20});
  std::mt19937 random(3);
  std::uint64_t step = 0;
  for (int round = 0; round < 15; ++round) {
    const pid_t child = start([&] {  // saves odd steps, and removes some
      Checkpoints other = Checkpoints::open(path, {.sync = Sync::none});
      for (std::uint64_t odd = 1001 + static_cast<std::uint64_t>(round) * 1000;; odd += 2) {
        other.save(odd, state(odd));
        if (odd % 6 == 1) {
          other.remove(odd);
        }
      }
    });
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(5 + random() % 30);
    do {
      step += 2;
      kept.save(step, state(step));
    } while (std::chrono::steady_clock::now() < until);
    ::kill(child, SIGKILL);
    ASSERT_EQ(end_of(child), -SIGKILL);
    step += 2;
    kept.save(step, state(step));
    for (const std::uint64_t odd : kept.steps()) {
      ASSERT_TRUE(is_whole(kept.restore<State>({.step = odd})));
      if (odd % 2 == 1) {
        kept.remove(odd);
      }
    }
    ASSERT_EQ(kept.steps().size(), step / 2);
    Checkpoints::open(path);
    ASSERT_EQ(leftovers(path), std::vector<std::string>{}) << round;
    if (round % 5 == 4) {
      ASSERT_EQ(kept.verify().damaged.size(), 0);
    }
  }
}

TEST(CheckpointProcesses, AReaderFindsTheNextStepWhereItsOwnWasRemoved) {
  const Folder place;
  const std::string path = place / "read";
  Checkpoints::open(path, {.sync = Sync::none}).save(1, state(1));
  const pid_t child = start([&] {
    Checkpoints kept = Checkpoints::open(path, {.keep_last = 1, .sync = Sync::none});
    for (std::uint64_t step = 2;; ++step) {
      kept.save(step, state(step));
      kept.save(step, state(step, 1), {.overwrite = true});
    }
  });
  std::vector<std::string> told;
  const Checkpoints kept =
      Checkpoints::open(path, {.warn = [&](const std::string& text) { told.push_back(text); }, .read_only = true});
  std::uint64_t before = 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(4);
  for (int i = 0; std::chrono::steady_clock::now() < until; ++i) {
    const State found = kept.restore<State>({.map = i % 2 == 0 ? MapMode::none : MapMode::read_only});
    ASSERT_TRUE(is_whole(found));
    ASSERT_GE(found.step, before);
    before = found.step;
    const CheckpointReport report = kept.verify();
    ASSERT_TRUE(report.damaged.empty()) << report.damaged[0].second;
    ASSERT_NE(kept.newest_good(), std::nullopt);
    const std::uint64_t step = kept.latest().value();
    try {
      ASSERT_EQ(kept.restore<State>({.step = step}).step, step);
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), Errc::not_found);
      ASSERT_NE(std::string(error.what()).find("there is no checkpoint of step"), std::string::npos) << error.what();
    }
  }
  EXPECT_GT(before, 3);
  EXPECT_EQ(told, std::vector<std::string>{});
  ::kill(child, SIGKILL);
  EXPECT_EQ(end_of(child), -SIGKILL);
}

// --- Without room, without permission --------------------------------------------------------------------------------

/// Saves until it fails; what was saved stays.
void fill_up(const std::string& path) {
  Checkpoints kept = Checkpoints::open(path, {.keep_last = 3, .incremental = false});
  std::uint64_t last = 0;
  for (std::uint64_t step = 1; step < 50; ++step) {
    State large = state(step);
    large.fast.resize(large.fast.size() + step * 20'000);
    try {
      kept.save(step, large);
      last = step;
    } catch (const Error& error) {
      if (error.code() != Errc::io) {
        throw;
      }
      break;
    }
  }
  if (last < 3 || last > 40) {
    throw std::runtime_error("it never failed: " + std::to_string(last));
  }
  if (kept.steps() != std::vector<std::uint64_t>{last - 2, last - 1, last} || !kept.verify().damaged.empty() ||
      kept.restore<State>().step != last || leftovers(path) != std::vector<std::string>{}) {
    throw std::runtime_error("something was lost");
  }
}

TEST(CheckpointProcesses, AFullDiskLosesNothing) {
  const Folder place;
  const pid_t limited = start([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1'000'000, 1'000'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    fill_up(place / "limited");
  });
  EXPECT_EQ(end_of(limited), 0);
  const std::string disk = place / "disk";
  std::filesystem::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=4m") == 0) {
    EXPECT_EQ(end_of(start([&] { fill_up(disk); })), 0);
    EXPECT_EQ(::umount(disk.c_str()), 0);
  }
}

TEST(CheckpointProcesses, AFolderWithoutPermissionToWriteIsRead) {
  const Folder place;
  const std::string path = place / "locked";
  Checkpoints::open(path).save(1, state(1));
  Checkpoints::open(path).save(2, state(2));
  std::filesystem::permissions(place.path(), std::filesystem::perms(0755));
  std::filesystem::permissions(path, std::filesystem::perms(0555));
  EXPECT_EQ(end_of(start([&] {
              if (::geteuid() == 0 && ::setuid(65534) != 0) {
                throw std::runtime_error("setuid");
              }
              Checkpoints kept = Checkpoints::open(path);
              if (!is_whole(kept.restore<State>()) || !kept.verify().damaged.empty()) {
                throw std::runtime_error("not restored");
              }
              for (const auto& change :
                   {std::function<void()>([&] { kept.save(3, 3); }), std::function<void()>([&] { kept.remove(1); })}) {
                if (error_of(change).code() != Errc::read_only) {
                  throw std::runtime_error("not refused");
                }
              }
            })),
            0);
  std::filesystem::permissions(path, std::filesystem::perms(0755));
}

// --- System calls that fail ------------------------------------------------------------------------------------------

int countdown = -1;  // calls that still succeed; -1: all
bool seen = false;   // whether the failing one came

const SystemCalls& real() {
  static const SystemCalls calls = system_calls();
  return calls;
}

template <auto Call>
struct Failing;
template <class R, class... A, R (*SystemCalls::*Call)(A...)>
struct Failing<Call> {
  static R call(A... arguments) {
    if (countdown < 0 || countdown-- > 0) {
      return (real().*Call)(arguments...);
    }
    if constexpr (std::is_same_v<decltype(Call), int (*SystemCalls::*)(int)>) {
      (real().*Call)(arguments...);  // close and fsync
    }
    seen = true;
    errno = EIO;
    return (R)-1;  // MAP_FAILED too
  }
};
template <auto... Calls>
void make_failing() {
  real();
  ((system_calls().*Calls = Failing<Calls>::call), ...);
}

class CheckpointFaults : public testing::Test {
 protected:
  void SetUp() override {
    using S = SystemCalls;
    make_failing<&S::open, &S::close, &S::read, &S::pread, &S::write, &S::pwrite, &S::lseek, &S::fstat, &S::stat,
                 &S::fchmod, &S::ftruncate, &S::fsync, &S::mkdir, &S::mmap, &S::mprotect, &S::openat, &S::fstatat,
                 &S::statx, &S::renameat, &S::linkat, &S::unlinkat, &S::fallocate>();
  }
  void TearDown() override {
    countdown = -1;
    system_calls() = real();
  }
  /// Does it with the first call failing, then the second … until none fails, each time in a copy of the same folder.
  template <class Change>
  void fail_every_call(std::uint64_t newest, const Change& change) {
    const std::string original = place / "original";
    Checkpoints made = Checkpoints::open(original, {.threads = 1});
    for (std::uint64_t step = 1; step <= 3; ++step) {
      made.save(step, state(step));
    }
    made.remove(1);  // a part
    for (int n = 0; n < 2000; ++n) {
      const std::string path = place / "copy";
      std::filesystem::remove_all(path);
      std::filesystem::copy(original, path, std::filesystem::copy_options::recursive);
      bool failed = false;
      seen = false;
      countdown = n;
      try {
        change(path);
      } catch (const Error& error) {
        failed = true;
        EXPECT_TRUE(seen) << error.what();
        EXPECT_EQ(error.code(), Errc::io) << n << ": " << error.what();
      }
      countdown = -1;
      const Checkpoints kept = Checkpoints::open(path);
      EXPECT_EQ(leftovers(path), std::vector<std::string>{}) << n;
      const CheckpointReport report = kept.verify();
      EXPECT_TRUE(report.damaged.empty()) << n << ": " << report.damaged[0].second;
      const std::vector<std::uint64_t> steps = kept.steps();
      EXPECT_EQ(std::count(steps.begin(), steps.end(), 3), 1) << n;
      EXPECT_TRUE(failed || steps.back() == newest) << n;
      EXPECT_TRUE(steps.back() == 4 || steps.front() == 2) << n;
      for (const std::uint64_t step : steps) {
        EXPECT_TRUE(is_whole(kept.restore<State>({.step = step}))) << n;
      }
      ASSERT_FALSE(HasFailure());
      if (!seen) {
        EXPECT_GT(n, 20);
        return;
      }
    }
    ADD_FAILURE() << "never done";
  }
  Folder place;
};

TEST_F(CheckpointFaults, EveryCallOfASaveFailsInTurn) {
  fail_every_call(4, [](const std::string& path) {
    Checkpoints kept = Checkpoints::open(path, {.keep_last = 2, .threads = 1});
    kept.save(4, state(4));
  });
}

TEST_F(CheckpointFaults, EveryCallOfAReplacementFailsInTurn) {
  fail_every_call(3, [](const std::string& path) {
    Checkpoints kept = Checkpoints::open(path, {.threads = 1});
    kept.save(3, state(3, 1), {.overwrite = true});
  });
}

TEST_F(CheckpointFaults, EveryCallOfARestoreFailsInTurn) {
  const std::string path = place / "restored";
  {
    Checkpoints made = Checkpoints::open(path, {.threads = 1});
    made.save(1, state(1));
    made.save(2, state(2));
  }
  const Checkpoints kept = Checkpoints::open(path, {.threads = 1, .read_only = true});
  for (const MapMode map : {MapMode::none, MapMode::read_only}) {
    for (int n = 0; n < 1000; ++n) {
      seen = false;
      countdown = n;
      try {
        const State found = kept.restore<State>({.map = map});
        countdown = -1;
        EXPECT_TRUE(is_whole(found));
        EXPECT_EQ(found.step, 2) << n;  // a call that fails is no damage
      } catch (const Error& error) {
        countdown = -1;
        EXPECT_TRUE(seen) << error.what();
        EXPECT_EQ(error.code(), Errc::io) << n << ": " << error.what();
      }
      ASSERT_FALSE(HasFailure());
      if (!seen) {
        EXPECT_GT(n, 10);
        break;
      }
    }
  }
}

/// What refers to the removed one cannot be read at that moment: it must not lose what it refers to.
TEST_F(CheckpointFaults, WhatCannotBeReadForTheMomentLosesNothing) {
  const std::string path = place / "moment";
  Checkpoints kept = Checkpoints::open(path, {.threads = 1});
  kept.save(1, state(1));
  kept.save(2, state(2));
  static std::string victim;
  victim = kept.info(2).file;
  Checkpoints other = Checkpoints::open(path, {.threads = 1});  // which has not read it yet
  static int refused;
  refused = 0;
  system_calls().open = [](const char* name, int flags, mode_t mode) {
    if (name == victim) {
      ++refused;
      errno = EMFILE;
      return -1;
    }
    return real().open(name, flags, mode);
  };
  system_calls().openat = [](int folder, const char* name, int flags, mode_t mode) {
    if (victim.ends_with(std::string("/") + name)) {
      ++refused;
      errno = EMFILE;
      return -1;
    }
    return real().openat(folder, name, flags, mode);
  };
  other.remove(1);
  EXPECT_GT(refused, 0);
  system_calls() = real();
  EXPECT_TRUE(is_whole(kept.restore<State>({.step = 2})));
  EXPECT_EQ(kept.steps(), std::vector<std::uint64_t>{2});
}

}  // namespace
}  // namespace stele
