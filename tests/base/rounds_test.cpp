#include "base/threads/rounds.hpp"

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>

#include "base/threads/interruption.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using std::chrono::milliseconds;
using Clock = Rounds::Clock;

TEST(Rounds, WhatComesDuringARoundIsForOneMore) {
  std::atomic<int> changes = 0;
  std::atomic<int> seen = 0;
  std::atomic<int> rounds = 0;
  std::promise<void> go;
  const std::shared_future<void> gone = go.get_future();
  Rounds work([&] {
    const int now = changes;
    ++rounds;
    gone.wait();
    seen = now;
  });
  EXPECT_TRUE(work.wait()) << "nothing has begun";
  ++changes;
  work.begin();
  while (rounds == 0) {
    std::this_thread::yield();
  }
  for (int i = 0; i < 100; ++i) {
    ++changes;
    work.begin();  // does not wait for the round that runs
  }
  EXPECT_FALSE(work.wait(Clock::now() + milliseconds(30)));
  go.set_value();
  EXPECT_TRUE(work.wait());
  EXPECT_EQ(rounds, 2);
  EXPECT_EQ(seen, 101);
}

TEST(Rounds, AFailureIsThrownOnceAndTheNextRoundRuns) {
  bool fails = true;
  int rounds = 0;
  Rounds work([&] {
    ++rounds;
    if (fails) {
      throw std::runtime_error("as the test wants it");
    }
  });
  work.begin();
  EXPECT_THROW(work.wait(), std::runtime_error);
  EXPECT_TRUE(work.wait());
  fails = false;
  work.begin();
  EXPECT_TRUE(work.wait());
  EXPECT_EQ(rounds, 2);
}

TEST(Rounds, AnInterruptedWaitLeavesTheRoundAndTheEndStopsIt) {
  struct Interrupted {};
  std::atomic<bool> began = false;
  std::atomic<bool> over = false;
  {
    Rounds work([&] {
      began = true;
      const test::Finally end([&] { over = true; });
      for (;;) {
        std::this_thread::sleep_for(milliseconds(1));
        interruption_point();
      }
    });
    work.begin();
    while (!began) {
      std::this_thread::yield();
    }
    const Interruption checks([] { throw Interrupted(); });
    EXPECT_THROW(work.wait(), Interrupted);
    EXPECT_FALSE(over);
  }
  EXPECT_TRUE(over);
}

TEST(Rounds, ManyThreadsMayBeginAndWait) {
  std::atomic<int> changes = 0;
  std::atomic<int> seen = 0;
  Rounds work([&] { seen = changes.load(); });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        ++changes;
        work.begin();
        if (i % 50 == 0) {
          work.wait();
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_TRUE(work.wait());
  EXPECT_EQ(seen, 800);
}

}  // namespace
}  // namespace stele
