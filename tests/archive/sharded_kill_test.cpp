// Ranks that are killed while they write and commit an archive: it is the old one or the new one, whole.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <random>

#include "io/system.hpp"
#include "stele/sharded_archive.hpp"
#include "stele/storage.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

constexpr std::uint64_t per_rank = 20'000;

void write_part(const std::string& place, unsigned rank, unsigned ranks, const std::string& attempt, int number) {
  ShardedWriter out(place, rank, ranks, {.attempt = attempt, .wait_s = 0.3});
  Array<int, 1> part({per_rank});
  std::iota(part.mutable_data(), part.mutable_data() + per_rank, number);
  out.put("x", part, {per_rank * ranks}, {rank * per_rank});
  out.put_value("number", number);
  out.commit();
}

/// The number of the archive, all of which must be of it.
int number_of(const std::string& place, unsigned ranks) {
  const File file = open(place);
  file.verify();
  const int number = file.load<int>("number");
  const auto x = file.load<Array<int, 1>>("x");
  EXPECT_EQ(x.size(), per_rank * ranks);
  for (std::uint64_t i = 0; i < x.size(); ++i) {
    if (x.data()[i] != number + static_cast<int>(i % per_rank)) {
      ADD_FAILURE() << "a mixture at " << i;
      break;
    }
  }
  return number;
}

template <class Work>
pid_t forked(const Work& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    int result = 1;
    try {
      work();
      result = 0;
    } catch (const std::exception&) {
    }
    ::_exit(result);
  }
  return child;
}

bool succeeded(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int rounds(int usual) {
  const char* const given = std::getenv("STELE_KILL_ROUNDS");
  return given != nullptr ? std::atoi(given) : test::sanitized ? usual / 4 : usual;
}

TEST(ShardedArchiveKilled, AtAnyTimeIsOldOrNew) {
  const test::Folder folder;
  const std::string place = folder / "a";
  constexpr unsigned ranks = 3;
  std::mt19937 random(11);
  int there = 0;  // the number of the archive; 0: none
  int done = 0;
  int lost = 0;
  for (int number = 1; number <= rounds(20); ++number) {
    const std::string attempt = "n" + std::to_string(number);
    std::vector<pid_t> children;
    for (unsigned rank = 0; rank < ranks; ++rank) {
      children.push_back(forked([&] { write_part(place, rank, ranks, attempt, number); }));
    }
    ::usleep(random() % 60'000);
    for (unsigned victims = 1 + random() % 2; victims > 0; --victims) {
      ::kill(children[random() % ranks], SIGKILL);
    }
    bool committed = false;
    for (unsigned rank = 0; rank < ranks; ++rank) {
      const bool fine = succeeded(children[rank]);
      committed = committed || (rank == 0 && fine);
    }
    int now = 0;
    try {
      now = number_of(place, ranks);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::not_found) << error.what();
      EXPECT_EQ(there, 0) << error.what();
    }
    EXPECT_TRUE(now == number || (now == there && !committed)) << now << " after " << there << " in " << number;
    done += now == number ? 1 : 0;
    lost += now == there ? 1 : 0;
    there = now;
    ASSERT_FALSE(HasFailure());
  }
  RecordProperty("committed", done);
  RecordProperty("not_committed", lost);
  std::printf("%d committed, %d not\n", done, lost);
  // What the killed ones left goes with the next commit, when it is old enough.
  ShardedWriter last(place, 0, 1, {.keep_s = -1});
  last.put_value("number", 0);
  EXPECT_TRUE(last.commit().left.empty());
  EXPECT_EQ(open_storage(place)->list("shards/").size(), 1);
}

// --- At each system call in turn -------------------------------------------------------------------------------------

int countdown = -1;  // calls that still succeed; -1: all
bool seen = false;   // whether the call came
bool kills = false;  // else the call fails

const SystemCalls& real() {
  static const SystemCalls calls = system_calls();
  return calls;
}

template <auto Call>
struct Ending;
template <class R, class... A, R (*SystemCalls::*Call)(A...)>
struct Ending<Call> {
  static R call(A... arguments) {
    if (countdown < 0 || countdown-- > 0) {
      return (real().*Call)(arguments...);
    }
    if (kills) {
      ::kill(::getpid(), SIGKILL);
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
void make_ending() {
  real();
  ((system_calls().*Calls = Ending<Calls>::call), ...);
}

class ShardedArchiveEnds : public testing::Test {
 protected:
  void SetUp() override {
    using S = SystemCalls;
    make_ending<&S::open, &S::close, &S::read, &S::pread, &S::write, &S::pwrite, &S::lseek, &S::fstat, &S::stat,
                &S::fchmod, &S::ftruncate, &S::fsync, &S::mkdir, &S::mmap, &S::openat, &S::fstatat, &S::statx,
                &S::rename, &S::renameat, &S::linkat, &S::unlink, &S::unlinkat, &S::fallocate>();
  }
  void TearDown() override {
    countdown = -1;
    kills = false;
    system_calls() = real();
  }

  /// Two ranks one after the other, in this thread.
  static void save_both(const std::string& place, int number) {
    for (unsigned rank = 2; rank-- > 0;) {
      ShardedWriter out(place, rank, 2,
                        {.attempt = "n" + std::to_string(number), .wait_s = 0, .save = {.threads = 1}});
      Array<int, 1> part({per_rank});
      std::iota(part.mutable_data(), part.mutable_data() + per_rank, number);
      out.put("x", part, {per_rank * 2}, {rank * per_rank});
      out.put_value("number", number);
      out.commit();
    }
  }
  const test::Folder folder;
};

TEST_F(ShardedArchiveEnds, WithASystemCallThatFails) {
  for (int n = 0; n < 3000; ++n) {
    const std::string place = folder / std::to_string(n);
    save_both(place, 1);
    seen = false;
    countdown = n;
    bool failed = false;
    try {
      save_both(place, 2);
    } catch (const Error& error) {
      failed = true;
      EXPECT_TRUE(seen) << error.what();
    }
    countdown = -1;
    const int number = number_of(place, 2);
    EXPECT_TRUE(failed || number == 2) << n;
    ASSERT_FALSE(HasFailure()) << n;
    std::filesystem::remove_all(place);
    if (!seen) {
      EXPECT_GT(n, 50);
      return;
    }
  }
  ADD_FAILURE() << "never done";
}

TEST_F(ShardedArchiveEnds, KilledAtEachSystemCall) {
  const int stride = test::sanitized ? 7 : 1;
  for (int n = 0; n < 3000; n += stride) {
    const std::string place = folder / std::to_string(n);
    save_both(place, 1);
    const pid_t child = forked([&] {
      kills = true;
      countdown = n;
      save_both(place, 2);
    });
    const bool done = succeeded(child);
    const int number = number_of(place, 2);
    EXPECT_TRUE(number == 2 || (number == 1 && !done)) << n;
    ASSERT_FALSE(HasFailure()) << n;
    std::filesystem::remove_all(place);
    if (done) {
      EXPECT_GT(n, 50);
      return;
    }
  }
  ADD_FAILURE() << "never done";
}

}  // namespace
}  // namespace stele
