#pragma once
// Work measured in a process of its own, and its peak of resident memory.

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <type_traits>

#include "bench.hpp"

namespace bench {

/// A field of /proc/self/status in bytes.
inline std::uint64_t status(const std::string& field) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(field + ":")) {
      return std::stoull(line.substr(field.size() + 1)) * 1024;
    }
  }
  throw std::runtime_error("no " + field + " in /proc/self/status");
}

/// Resets the high-water mark and returns the resident memory.
inline std::uint64_t reset_peak() {
  std::ofstream("/proc/self/clear_refs") << "5";
  return status("VmRSS");
}

inline double mib_above(std::uint64_t base) {
  return (static_cast<double>(status("VmHWM")) - static_cast<double>(base)) / static_cast<double>(mib);
}

/// Runs `work` in a child process and returns its result.
template <class Work>
auto in_child(const Work& work) {
  using Measured = decltype(work());
  static_assert(std::is_trivially_copyable_v<Measured>);
  int ends[2];
  require(::pipe(ends) == 0, "pipe");
  const pid_t child = ::fork();
  require(child >= 0, "fork");
  if (child == 0) {
    try {
      const Measured measured = work();
      ::_exit(::write(ends[1], &measured, sizeof(measured)) == sizeof(measured) ? 0 : 1);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "bench: %s\n", error.what());
      ::_exit(1);
    }
  }
  ::close(ends[1]);
  Measured measured{};
  const bool whole = ::read(ends[0], &measured, sizeof(measured)) == sizeof(measured);
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  require(whole, "the child process");
  return measured;
}

}  // namespace bench
