// Peak memory above the object, saving and loading 1 GiB: each measured in a process of its own, by the kernel's
// high-water mark of resident memory.

#include <sys/wait.h>

#include <fstream>
#include <functional>

#include "bench.hpp"
#include "stele/archive.hpp"

namespace {

constexpr std::uint64_t bytes = 1024 * bench::mib;

/// A field of /proc/self/status in bytes.
std::uint64_t status(const std::string& field) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(field + ":")) {
      return std::stoull(line.substr(field.size() + 1)) * 1024;
    }
  }
  throw std::runtime_error("no " + field + " in /proc/self/status");
}

/// Begins the high-water mark anew and returns what is resident now.
std::uint64_t reset_peak() {
  std::ofstream("/proc/self/clear_refs") << "5";
  return status("VmRSS");
}

struct Measured {
  double seconds;
  double above_mib;
};

Measured in_child(const std::function<Measured()>& work) {
  int ends[2];
  bench::require(::pipe(ends) == 0, "pipe");
  const pid_t child = ::fork();
  bench::require(child >= 0, "fork");
  if (child == 0) {
    const Measured measured = work();
    ::_exit(::write(ends[1], &measured, sizeof(measured)) == sizeof(measured) ? 0 : 1);
  }
  ::close(ends[1]);
  Measured measured{};
  const bool whole = ::read(ends[0], &measured, sizeof(measured)) == sizeof(measured);
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  bench::require(whole, "the child process");
  return measured;
}

stele::Array<float> make() {
  auto array = stele::Array<float>::uninitialized({bytes / sizeof(float)});
  const std::vector<float> values = bench::weights(1 << 20);
  for (std::uint64_t i = 0; i < array.size(); ++i) {
    array.data()[i] = values[i % values.size()];
  }
  return array;
}

double mib_above(std::uint64_t base) {
  return (static_cast<double>(status("VmHWM")) - static_cast<double>(base)) / static_cast<double>(bench::mib);
}

void add(const std::string& name, const std::function<Measured()>& work) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [work](benchmark::State& state) {
                                 for (auto _ : state) {
                                   const Measured measured = in_child(work);
                                   state.SetIterationTime(measured.seconds);
                                   state.counters["above_mib"] = measured.above_mib;
                                 }
                                 state.counters["bytes"] = bytes;
                               })
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}

}  // namespace

int main(int argc, char** argv) {
  for (const std::string extension : {"", ".gz", ".zst"}) {
    const std::string path = bench::file("memory.stele" + extension);
    const std::string what = extension.empty() ? "plain" : extension.substr(1);
    const auto save = [path] {
      const auto array = make();
      const std::uint64_t base = reset_peak();
      const double begin = bench::seconds(CLOCK_MONOTONIC);
      stele::save(array, path);
      return Measured{bench::seconds(CLOCK_MONOTONIC) - begin, mib_above(base)};
    };
    add("memory/save/" + what + "/stele", save);
    add("memory/load/" + what + "/stele", [path, save] {
      if (::access(path.c_str(), F_OK) != 0) {
        in_child(save);
      }
      const std::uint64_t base = reset_peak();
      const double begin = bench::seconds(CLOCK_MONOTONIC);
      const auto array = stele::load<stele::Array<float>>(path);
      return Measured{bench::seconds(CLOCK_MONOTONIC) - begin, mib_above(base + bytes)};
    });
  }
  return bench::run(argc, argv);
}
