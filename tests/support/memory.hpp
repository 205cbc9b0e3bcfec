#pragma once
// What a piece of work takes of memory, as the system counts it.

#include <fstream>
#include <string>
#include <utility>

namespace stele::test {

/// A line of /proc/self/status, in MiB; 0 where there is none.
inline double status_mib(const std::string& name) {
  std::ifstream lines("/proc/self/status");
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + ":")) {
      return std::stod(line.substr(name.size() + 1)) / 1024;
    }
  }
  return 0;
}

/// The most resident memory that an action takes at once, in MiB, beyond what there was before.
template <class F>
double peak_mib(F&& action) {
  std::ofstream("/proc/self/clear_refs") << "5";
  const double before = status_mib("VmRSS");
  std::forward<F>(action)();
  return status_mib("VmHWM") - before;
}

}  // namespace stele::test
