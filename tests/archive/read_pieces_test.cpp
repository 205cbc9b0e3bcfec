// Reading an array in pieces on several threads.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "archive/read/parts/pieces.hpp"

namespace stele {
namespace {

TEST(ReadPieces, AThreadThatIsHeldUpDoesNotHoldUpTheOthers) {
  constexpr std::uint64_t count = 8;
  std::mutex mutex;
  std::condition_variable came;
  std::uint64_t read = 0;
  bool others_went_on = false;
  Crew crew(2);
  read_pieces(crew, {.size = count,
                     .end_of = [](std::uint64_t begin) { return begin + 1; },
                     .read =
                         [&](std::uint64_t begin, std::uint64_t) {
                           std::unique_lock lock(mutex);
                           if (begin == 0) {
                             others_went_on =
                                 came.wait_for(lock, std::chrono::seconds(20), [&] { return read == count - 1; });
                           }
                           ++read;
                           came.notify_all();
                         },
                     .arrived = {}});
  EXPECT_TRUE(others_went_on);
  EXPECT_EQ(read, count);
}

TEST(ReadPieces, ArriveInOrder) {
  std::vector<std::uint64_t> arrived;
  Crew crew(3);
  read_pieces(crew, {.size = 100,
                     .end_of = [](std::uint64_t begin) { return begin + 7; },
                     .read = [](std::uint64_t, std::uint64_t) {},
                     .arrived =
                         [&](std::uint64_t begin, std::uint64_t end) {
                           EXPECT_EQ(end, std::min<std::uint64_t>(begin + 7, 100));
                           arrived.push_back(begin);
                         }});
  std::vector<std::uint64_t> expected;
  for (std::uint64_t begin = 0; begin < 100; begin += 7) {
    expected.push_back(begin);
  }
  EXPECT_EQ(arrived, expected);
}

}  // namespace
}  // namespace stele
