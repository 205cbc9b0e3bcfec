// fork() with open Writers, Readers and Files: a child does not finish its parent's work, and does not wait for threads
// that it does not have.

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <functional>
#include <sstream>
#include <thread>

#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace {
bool is_child = false;
}

/// Asked by the leak sanitizer at exit. In a child it cannot see what the parent's threads, which are not there, alone
/// pointed to, and takes all of that for lost.
extern "C" int __lsan_is_turned_off() { return is_child ? 1 : 0; }

namespace stele {
namespace {

using test::Folder;

constexpr const char* refused = "cannot be used in a child after fork(); open it there anew";

/// Runs `action` in a child, which then ends at once or, if `by_exit`, as programs do. 0: it returned, and in time.
int in_child(const std::function<void()>& action, bool by_exit = false) {
  std::fflush(nullptr);  // or exit() would print it twice
  const pid_t child = ::fork();
  if (child == 0) {
    is_child = true;
    ::alarm(30);
    try {
      action();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "child: %s\n", error.what());
      ::_exit(1);
    }
    if (by_exit) {
      std::exit(testing::Test::HasFailure() ? 2 : 0);
    }
    ::_exit(testing::Test::HasFailure() ? 2 : 0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
}

std::vector<double> numbers(std::size_t count) {
  std::vector<double> made(count);
  for (std::size_t i = 0; i < count; ++i) {
    made[i] = static_cast<double>(i % 10'007) * 0.37;
  }
  return made;
}

std::vector<std::string> codecs() {
  std::vector<std::string> names{"plain"};
  for (const char* const name : {"gzip", "zlib", "bzip2", "xz", "lzma", "zstd", "lz4"}) {
    if (test::has_codec(name)) {
      names.emplace_back(name);
    }
  }
  return names;
}

class Fork : public testing::TestWithParam<std::string> {
 protected:
  SaveOptions options() const { return {.codec = GetParam(), .threads = 4}; }
  Folder folder;
};

TEST_P(Fork, AWriterStaysItsParents) {
  const std::vector<double> big = numbers(400'000);
  const std::vector<std::string> texts(60'000, std::string(40, 't'));
  for (const bool by_exit : {false, true}) {
    const std::string path = folder / "log";
    auto out = std::make_unique<Writer>(path, options());
    out->write(big);
    EXPECT_EQ(in_child(
                  [&] {
                    EXPECT_ERROR(out->write(big), Errc::invalid_argument, refused);
                    EXPECT_ERROR(out->close(), Errc::invalid_argument, refused);
                    out.reset();
                    save(texts, folder / "of the child", options());
                    EXPECT_EQ(load<std::vector<std::string>>(folder / "of the child", {.threads = 4}), texts);
                  },
                  by_exit),
              0);
    EXPECT_EQ(in_child([] {}, by_exit), 0);  // which does not touch it, except in exit()
    out->write(texts);
    out->close();
    Reader in(path, {.threads = 4});
    EXPECT_EQ(in.read<std::vector<double>>(), big);
    EXPECT_EQ(in.read<std::vector<std::string>>(), texts);
    EXPECT_EQ(folder.names(), (std::vector<std::string>{"log", "of the child"}));
  }
}

TEST_P(Fork, AMapWriterStaysItsParents) {
  const std::vector<double> big = numbers(400'000);
  const std::string path = folder / "map";
  auto out = std::make_unique<MapWriter>(path, options());
  out->write("first", big);
  auto growing = std::make_optional(out->grow<double>("rows"));
  growing->append(std::span<const double>(big));
  EXPECT_EQ(in_child([&] {
              EXPECT_ERROR(growing->append(std::span<const double>(big)), Errc::invalid_argument, refused);
              EXPECT_ERROR(growing->close(), Errc::invalid_argument, refused);
              EXPECT_ERROR(out->write("more", 1), Errc::invalid_argument, refused);
              EXPECT_ERROR(out->close(), Errc::invalid_argument, refused);
              growing.reset();
              out.reset();
            }),
            0);
  growing->append(std::span<const double>(big));
  growing->close();
  out->close();
  const File file = open(path);
  EXPECT_EQ(file.load<std::vector<double>>("first"), big);
  EXPECT_EQ(file.load<std::vector<double>>("rows").size(), 2 * big.size());
  EXPECT_EQ(folder.names(), std::vector<std::string>{"map"});
}

/// Calls a function in the middle of writing or reading.
struct Interrupted {
  std::vector<double> before;
  std::vector<double> behind;
  static inline std::function<void()> call;
  static void visit(auto& v, auto& self) {
    v("before", self.before);
    if (call) {
      call();
    }
    v("behind", self.behind);
  }
};

TEST_P(Fork, AChildMadeInTheMiddleOfAWriteOrReadUnwinds) {
  struct Unwind {};
  Interrupted value{numbers(300'000), numbers(300'000)};
  const std::string path = folder / "value";
  bool in_child_now = false;
  int result = -1;
  Interrupted::call = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(30);
      in_child_now = true;
      throw Unwind{};
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    result = WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
  };
  try {
    save(value, path, options());
  } catch (const Unwind&) {
    ::_exit(in_child_now ? 0 : 1);
  }
  EXPECT_EQ(result, 0);
  EXPECT_EQ(folder.names(), std::vector<std::string>{"value"});
  result = -1;
  try {
    EXPECT_EQ(load<Interrupted>(path, {.threads = 4}).behind, value.behind);
  } catch (const Unwind&) {
    ::_exit(in_child_now ? 0 : 1);
  }
  EXPECT_EQ(result, 0);
  Interrupted::call = nullptr;
}

TEST_P(Fork, AReaderStaysItsParents) {
  const std::vector<double> big = numbers(400'000);
  const std::string path = folder / "log";
  {
    Writer out(path, options());
    for (int i = 0; i < 3; ++i) {
      out.write(big);
    }
    out.close();
  }
  auto in = std::make_unique<Reader>(path, LoadOptions{.threads = 4});
  EXPECT_EQ(in->read<std::vector<double>>(), big);
  EXPECT_EQ(in_child([&] {
              EXPECT_ERROR(in->read<std::vector<double>>(), Errc::invalid_argument, refused);
              in.reset();
            }),
            0);
  EXPECT_EQ(in->read<std::vector<double>>(), big);
  EXPECT_EQ(in->read<std::vector<double>>(), big);
  EXPECT_FALSE(in->more());
}

TEST_P(Fork, AnOpenFileIsReadByChildrenToo) {
  const std::vector<double> big = numbers(600'000);
  const std::vector<std::string> texts(60'000, std::string(40, 't'));
  const std::string path = folder / "value";
  save(std::pair(big, texts), path, options());
  auto file = std::make_optional(open(path, {.threads = 4}));
  EXPECT_EQ(file->load<std::vector<std::string>>("1"), texts);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(in_child([&] {
                EXPECT_EQ(file->load<std::vector<double>>("0"), big);
                EXPECT_EQ(file->load<std::vector<std::string>>("1"), texts);
                file->verify();
                file.reset();
              }),
              0);
  }
  EXPECT_EQ(file->load<std::vector<double>>("0"), big);
}

TEST_P(Fork, AChildWorksWhileItsParentsThreadsDo) {
  const std::vector<double> big = numbers(50'000);
  const std::vector<std::string> texts(10'000, std::string(40, 't'));
  const std::string shared = folder / "shared";
  save(std::pair(big, texts), shared, options());
  std::atomic<bool> over = false;
  std::vector<std::thread> threads;
  for (int id = 0; id < 2; ++id) {
    threads.emplace_back([&, id] {
      const std::string path = folder / ("of thread " + std::to_string(id));
      while (!over) {
        save(std::pair(big, texts), path, options());
        open(shared, {.threads = 4}).load<std::vector<std::string>>("1");
      }
    });
  }
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(in_child(
                  [&] {
                    const std::string path = folder / "of the child";
                    save(std::pair(big, texts), path, options());
                    const auto back =
                        load<std::pair<std::vector<double>, std::vector<std::string>>>(path, {.threads = 4});
                    EXPECT_EQ(back.second, texts);
                  },
                  i % 2 == 0),
              0);
  }
  over = true;
  for (std::thread& thread : threads) {
    thread.join();
  }
  open(shared).verify();
}

INSTANTIATE_TEST_SUITE_P(Codecs, Fork, testing::ValuesIn(codecs()), [](const auto& name) { return name.param; });

TEST(ForkOfSinks, WhatCompressesOrGoesToAStreamIsRefusedToo) {
  std::ostringstream stream;
  Writer out(stream);
  out.write(1);
  const Codecs all;
  std::vector<std::byte> bytes;
  const auto memory = memory_sink(bytes);
  auto compressing = compressing_sink(*memory, *all.find("gzip"), std::nullopt, 4);
  const std::vector<double> big = numbers(400'000);
  compressing->write(std::as_bytes(std::span(big)));
  EXPECT_EQ(in_child([&] {
              EXPECT_ERROR(out.write(2), Errc::invalid_argument, refused);
              EXPECT_ERROR(compressing->write({}), Errc::invalid_argument, refused);
              EXPECT_ERROR(compressing->close(), Errc::invalid_argument, refused);
              compressing.reset();
            }),
            0);
  compressing->close();
  EXPECT_GT(bytes.size(), 1000u);
}

TEST(ForkOfMappings, AChildSharesTheNumbersAndLeavesTheChecksums) {
  const Folder folder;
  const std::string path = folder / "array";
  save(Array<double>({5000}), path);
  {
    File file = open(path, {.map = MapMode::read_write});
    auto array = file.load<Array<double>>();
    array.mutable_data()[1] = 5;
    EXPECT_EQ(in_child([&] {
                array.mutable_data()[2] = 6;
                EXPECT_ERROR(file.flush(), Errc::invalid_argument, refused);
                const File gone = std::move(file);
                array = {};
              }),
              0);
    EXPECT_EQ(array.data()[2], 6);
    file.flush();
  }
  open(path).verify();
  EXPECT_EQ(load<Array<double>>(path).data()[2], 6);
}

/// One that exit() destroys, in a child as well.
std::unique_ptr<Writer>& standing() {
  static std::unique_ptr<Writer> writer;
  return writer;
}

TEST(ForkOfStatics, ExitInAChildLeavesAWriterOfTheParentAlone) {
  const Folder folder;
  standing() = std::make_unique<Writer>(folder / "log", SaveOptions{.codec = "gzip", .threads = 4});
  standing()->write(numbers(400'000));
  EXPECT_EQ(in_child([] {}, true), 0);
  standing()->close();
  EXPECT_EQ(load<std::vector<double>>(folder / "log").size(), 400'000u);
  standing().reset();
}

}  // namespace
}  // namespace stele
