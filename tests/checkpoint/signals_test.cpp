// Saving when the system ends the program.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stele/checkpoint.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

TEST(StopSignals, LetTheProgramSaveFirst) {
  const test::Folder place;
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      const StopSignals signals({SIGTERM, SIGUSR1});
      Checkpoints kept = Checkpoints::open(place / "steps");
      std::uint64_t step = 0;
      while (signals.received() == 0) {
        ++step;
        ::usleep(1000);
      }
      kept.save(step, signals.received());
      ::_exit(7);
    } catch (const std::exception&) {
      ::_exit(1);
    }
  }
  ::usleep(100'000);
  ASSERT_EQ(::kill(child, SIGTERM), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(Checkpoints::open(place / "steps").restore<int>(), SIGTERM);
}

TEST(StopSignals, ActAsBeforeTheSecondTime) {
  const pid_t child = ::fork();
  if (child == 0) {
    const StopSignals signals({SIGTERM});
    ::raise(SIGTERM);
    ::raise(SIGTERM);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

TEST(StopSignals, AreReleased) {
  static int seen = 0;
  struct sigaction mine{};
  mine.sa_handler = [](int) { ++seen; };
  ASSERT_EQ(::sigaction(SIGUSR2, &mine, nullptr), 0);
  {
    const StopSignals signals({SIGUSR2});
    EXPECT_ERROR(StopSignals({SIGUSR1}), Errc::invalid_argument, "another StopSignals");
    ::raise(SIGUSR2);
    EXPECT_EQ(signals.received(), SIGUSR2);
    EXPECT_EQ(seen, 0);
  }
  ::raise(SIGUSR2);
  EXPECT_EQ(seen, 1);
  {
    const StopSignals signals({SIGUSR2});
    EXPECT_EQ(signals.received(), 0);
  }
  ::raise(SIGUSR2);
  EXPECT_EQ(seen, 2);
  EXPECT_ERROR(StopSignals({SIGUSR2, 9999}), Errc::io, "signal 9999");
  ::raise(SIGUSR2);
  EXPECT_EQ(seen, 3);
  EXPECT_ERROR(StopSignals({SIGKILL}), Errc::io, "signal 9");
}

}  // namespace
}  // namespace stele
