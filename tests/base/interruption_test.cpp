#include "base/threads/interruption.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "stele/stele.hpp"

namespace stele {
namespace {

struct Stop {};
int calls = 0;
int calls_left = 0;  // before it stops

void count() {
  ++calls;
  if (calls_left-- == 0) {
    throw Stop();
  }
}

TEST(Interruption, ChecksNowAndThenOnItsThread) {
  interruption_point();  // nothing to call
  calls = 0;
  calls_left = 1000;
  const Interruption outer(&count);
  interrupted();
  EXPECT_EQ(calls, 1);
  interruption_point();  // soon after
  EXPECT_EQ(calls, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  std::thread([] { interruption_point(); }).join();
  EXPECT_EQ(calls, 1);
  {
    const Interruption none(nullptr);
    interruption_point();
    interrupted();
  }
  EXPECT_EQ(calls, 1);
  interruption_point();
  EXPECT_EQ(calls, 2);
}

class InterruptedFiles : public testing::Test {
 protected:
  InterruptedFiles() : folder_("interruption_test." + std::to_string(::getpid())) {
    std::filesystem::create_directory(folder_);
    for (int i = 0; i < 1'000'000; ++i) {
      many_.push_back(std::to_string(i));
    }
  }
  ~InterruptedFiles() override { std::filesystem::remove_all(folder_); }

  /// Calls `work` with an Interruption that ends it at every check in turn, until it is through.
  template <class F>
  void end_everywhere(F&& work) const {
    int ended = 0;
    for (int at = 0;; ++at) {
      calls_left = at;
      try {
        const Interruption checks(&count);
        let_the_pause_pass();
        work();
        break;
      } catch (const Stop&) {
        ++ended;
      }
      ASSERT_LT(at, 10'000);
    }
    EXPECT_GT(ended, 0);
  }
  /// Lets the pause since the last check pass.
  static void let_the_pause_pass() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }

  std::filesystem::path folder_;
  std::vector<double> large_ = std::vector<double>(4'000'000, 1.5);
  std::vector<std::string> many_;
};

TEST_F(InterruptedFiles, KeepTheOldFileAndLeaveNothing) {
  for (const char* name : {"x.stele", "x.stele.zst", "x.stele.z"}) {
    const std::filesystem::path path = folder_ / name;
    save(std::vector<int>{1, 2}, path);
    calls_left = 0;
    try {
      const Interruption checks(&count);
      let_the_pause_pass();
      save(std::pair(large_, many_), path);
      FAIL() << "not interrupted";
    } catch (const Stop&) {
    }
    EXPECT_EQ(load<std::vector<int>>(path), (std::vector<int>{1, 2}));
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), std::filesystem::directory_iterator()), 1);
    std::filesystem::remove(path);
  }
}

TEST_F(InterruptedFiles, AreLoadedWholeAfterwards) {
  for (const char* name : {"x.stele", "x.stele.zst", "x.stele.z"}) {
    const std::filesystem::path path = folder_ / name;
    save(std::pair(large_, many_), path);
    end_everywhere([&] {
      const auto back = load<std::pair<std::vector<double>, std::vector<std::string>>>(path);
      EXPECT_EQ(back.second.back(), many_.back());
    });
    std::filesystem::remove(path);
  }
}

}  // namespace
}  // namespace stele
