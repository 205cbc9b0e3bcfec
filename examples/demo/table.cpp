#include "table.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace demo {
namespace {

/// A field of /proc/self/status in bytes.
double resident(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) {
      return 1024 * std::stod(line.substr(field.size() + 1));
    }
  }
  throw std::runtime_error("no " + field + " in /proc/self/status");
}

struct Cost {
  double seconds = 0;     // the median of several runs
  double peak_bytes = 0;  // resident in the first run, above the memory before it
};

/// Runs `work` in a child process.
Cost measure(const std::function<void()>& work) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) {
    throw std::runtime_error("pipe failed");
  }
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    Cost cost;
    int code = 1;
    try {
      std::ofstream("/proc/self/clear_refs") << "5";  // the high-water mark starts anew
      const double before = resident("VmRSS");
      std::array<double, 3> seconds{};
      for (double& run : seconds) {
        const auto begin = std::chrono::steady_clock::now();
        work();
        run = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        if (&run == seconds.data()) {
          cost.peak_bytes = std::max(0.0, resident("VmHWM") - before);
        }
      }
      std::sort(seconds.begin(), seconds.end());
      cost.seconds = seconds[1];
      code = ::write(ends[1], &cost, sizeof(cost)) == sizeof(cost) ? 0 : 1;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "demo: %s\n", error.what());
    }
    ::_exit(code);
  }
  ::close(ends[1]);
  Cost cost;
  const bool whole = ::read(ends[0], &cost, sizeof(cost)) == sizeof(cost);
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  if (!whole) {
    throw std::runtime_error("a measurement failed");
  }
  return cost;
}

}  // namespace

void print_table(const std::string& folder, const std::vector<File>& files) {
  constexpr double mb = 1e6;
  constexpr double mib = 1 << 20;
  std::printf("  %-16s %10s %6s   %9s %9s   %21s   %9s\n", "", "", "", "save", "load", "peak above object MiB", "");
  std::printf("  %-16s %10s %6s   %9s %9s   %10s %10s   %9s\n", "file", "bytes", "ratio", "MB/s", "MB/s", "saving",
              "loading", "mapped in");
  for (const File& file : files) {
    const std::string path = folder + "/" + file.name;
    const auto object = static_cast<double>(file.object_bytes);
    const Cost save = measure([&] { file.save(path); });
    const Cost load = measure([&] { file.load(path); });
    const auto size = static_cast<unsigned long long>(std::filesystem::file_size(path));
    std::string mapped = "-";
    if (file.map) {
      char text[32];
      std::snprintf(text, sizeof(text), "%.0f us", 1e6 * measure([&] { file.map(path); }).seconds);
      mapped = text;
    }
    std::printf("  %-16s %10llu %6.3f   %9.0f %9.0f   %10.1f %10.1f   %9s\n", file.name.c_str(), size,
                static_cast<double>(size) / object, object / mb / save.seconds, object / mb / load.seconds,
                save.peak_bytes / mib, std::max(0.0, load.peak_bytes - object) / mib, mapped.c_str());
  }
}

}  // namespace demo
