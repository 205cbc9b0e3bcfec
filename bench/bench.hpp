#pragma once
// What the benchmark programs share: timing of one call, the folder and data they work with, and plain system calls to
// compare with. scripts/bench runs the programs and their rivals; each also runs alone.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

inline constexpr std::size_t mib = std::size_t{1} << 20;

/// The time of a clock in seconds.
inline double seconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Makes the allocator merge freed memory now, so that the next large allocation need not.
inline void settle_heap() {
  void* volatile block = std::malloc(100'000);  // volatile: not to be optimised away
  std::free(block);
}

/// Registers a benchmark of single calls, each timed without `before` and without the destruction of its result. The
/// counter cpu_ms has the time that all threads of the process worked: less disturbed than the time on the wall. The
/// counter amount has the bytes or events that a call deals with.
template <class Before, class Work>
void add(const std::string& name, Before before, Work work, std::uint64_t amount = 0) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) {
                                 for (auto _ : state) {
                                   before();
                                   settle_heap();
                                   const double begin = seconds(CLOCK_MONOTONIC);
                                   const double cpu_begin = seconds(CLOCK_PROCESS_CPUTIME_ID);
                                   [[maybe_unused]] const auto result = work();
                                   const double cpu_end = seconds(CLOCK_PROCESS_CPUTIME_ID);
                                   state.SetIterationTime(seconds(CLOCK_MONOTONIC) - begin);
                                   state.counters["cpu_ms"] = 1e3 * (cpu_end - cpu_begin);
                                 }
                                 if (amount != 0) {
                                   state.counters["amount"] = static_cast<double>(amount);
                                 }
                               })
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}
template <class Work>
void add(const std::string& name, Work work, std::uint64_t amount = 0) {
  add(name, [] {}, work, amount);
}

/// A file in the folder that STELE_BENCH_FOLDER names, else in the current one.
inline std::string file(const std::string& name) {
  const char* folder = std::getenv("STELE_BENCH_FOLDER");
  return (folder == nullptr ? std::string() : std::string(folder) + "/") + name;
}

inline void require(bool ok, const char* what) {
  if (!ok) {
    throw std::runtime_error(std::string("bench: ") + what + " failed");
  }
}

/// A file descriptor, closed in the end.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    require(fd_ >= 0, "open");
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(fd_); }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

/// write(2) of all bytes to a new file, in pieces of 1 MiB.
inline bool write_raw(const std::string& path, std::span<const std::byte> bytes) {
  const Descriptor out(path, O_WRONLY | O_CREAT | O_TRUNC);
  while (!bytes.empty()) {
    const std::size_t piece = std::min(bytes.size(), mib);
    require(::write(out.get(), bytes.data(), piece) == static_cast<ssize_t>(piece), "write");
    bytes = bytes.subspan(piece);
  }
  return true;
}

/// read(2) of a whole file, in pieces of 1 MiB, into memory that is not set before.
inline std::unique_ptr<std::byte[]> read_raw(const std::string& path) {
  const Descriptor in(path, O_RDONLY);
  struct stat status{};
  require(::fstat(in.get(), &status) == 0, "fstat");
  const auto size = static_cast<std::size_t>(status.st_size);
  auto bytes = std::make_unique_for_overwrite<std::byte[]>(size);
  for (std::size_t done = 0; done < size;) {
    const ssize_t piece = ::read(in.get(), bytes.get() + done, std::min(size - done, mib));
    require(piece > 0, "read");
    done += static_cast<std::size_t>(piece);
  }
  return bytes;
}

/// Values as trained weights have them: normal, of deviation 0.02. The same in every run.
inline std::vector<float> weights(std::size_t count) {
  std::mt19937_64 random(1);
  std::vector<float> values(count);
  for (float& value : values) {
    const std::uint64_t bits = random();  // twelve uniform numbers add up to a normal one
    std::uint64_t sum = 0;
    for (int i = 0; i < 12; ++i) {
      sum += bits >> (5 * i) & 31;
    }
    value = 0.02F * (static_cast<float>(sum) - 186.0F) / 32.0F + 1e-6F * static_cast<float>(bits >> 60);
  }
  return values;
}

inline int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 2;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace bench
