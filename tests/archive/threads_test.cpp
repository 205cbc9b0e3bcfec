// If no thread can be started, the calling thread does everything.

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <numeric>
#include <string>

#include "stele/codec.hpp"
#include "stele/stele.hpp"
#include "support/test_support.hpp"

#ifndef STELE_TEST_SANITIZED

namespace {

std::atomic<int> threads_left = 1 << 20;
std::atomic<int> threads_refused = 0;

}  // namespace

/// In place of the C library's, which it calls as long as threads are left.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                              void* argument) {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  if (threads_left-- <= 0) {
    ++threads_refused;
    return EAGAIN;
  }
  return create(thread, attributes, start, argument);
}

namespace stele {
namespace {

struct Sample {
  std::vector<std::int32_t> numbers;
  std::vector<std::string> names;
  bool operator==(const Sample&) const = default;
};

Sample sample() {
  Sample made;
  made.numbers.resize(std::size_t{3} << 20);
  std::iota(made.numbers.begin(), made.numbers.end(), -1000);
  for (int i = 0; i < 200'000; ++i) {
    made.names.push_back("a name of some length, " + std::to_string(i));
  }
  return made;
}

class Threads : public testing::TestWithParam<const char*> {};

TEST_P(Threads, WorkIsDoneByThoseThatCanBeHad) {
  const Codecs codecs;
  if (GetParam() != std::string("plain") && codecs.find(GetParam()) == nullptr) {
    GTEST_SKIP() << "this build has no " << GetParam();
  }
  const Sample made = sample();
  for (const int left : {0, 1, 2}) {
    threads_left = left;
    threads_refused = 0;
    save(made, "threads", {.codec = GetParam(), .threads = 4});
    threads_left = left;
    EXPECT_EQ(load<Sample>("threads", {.threads = 4}), made) << left;
    threads_left = left;
    EXPECT_EQ(open("threads", {.threads = 4}).load<std::vector<std::int32_t>>("numbers"), made.numbers) << left;
    EXPECT_GT(threads_refused, 0);
  }
  threads_left = 1 << 20;
}

INSTANTIATE_TEST_SUITE_P(Codecs, Threads, testing::Values("plain", "gzip", "zlib", "lz4", "zstd"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace stele

#endif
