#pragma once
// Memory and disk that a store takes, and a limit for memory.

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "child.hpp"

namespace bench {

/// Follows the process's memory every few milliseconds, apart from files that it maps.
class AnonymousPeak {
 public:
  AnonymousPeak() : base_(now()), peak_(base_), thread_([this] { follow(); }) {}
  AnonymousPeak(const AnonymousPeak&) = delete;
  AnonymousPeak& operator=(const AnonymousPeak&) = delete;
  ~AnonymousPeak() {
    end_ = true;
    thread_.join();
  }
  /// MiB above the memory at the beginning.
  double above_mib() const {
    return static_cast<double>(std::max<std::uint64_t>(peak_, now()) - base_) / static_cast<double>(mib);
  }

 private:
  static std::uint64_t now() { return status("RssAnon"); }
  void follow() {
    while (!end_) {
      peak_ = std::max<std::uint64_t>(peak_, now());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  std::uint64_t base_;
  std::atomic<std::uint64_t> peak_;
  std::atomic<bool> end_{false};
  std::thread thread_;
};

/// The bytes that the files of a folder take on the disk.
inline double disk_bytes(const std::string& folder) {
  double bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    struct stat status{};
    if (entry.is_regular_file() && ::stat(entry.path().c_str(), &status) == 0) {
      bytes += 512.0 * static_cast<double>(status.st_blocks);
    }
  }
  return bytes;
}

/// Writes the files of a folder to the device and takes them out of the page cache.
inline void drop_cache(const std::string& folder) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) {
      const Descriptor file(entry.path().string(), O_RDONLY);
      ::fsync(file.get());
      ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
    }
  }
}

/// A control group with a limit for memory and page cache, of version 2 or 1 of their interface. Empty if none can be
/// made.
class MemoryLimit {
 public:
  explicit MemoryLimit(std::uint64_t bytes) {
    for (const auto& [parent, file] : places()) {
      const std::string path = parent + "/stele-bench-" + std::to_string(::getpid());
      std::error_code error;
      if (!std::filesystem::create_directory(path, error)) {
        continue;
      }
      std::ofstream limit(path + file);
      if (limit << bytes << std::flush) {
        path_ = path;
        return;
      }
      ::rmdir(path.c_str());
    }
  }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;
  ~MemoryLimit() {
    if (!path_.empty()) {
      ::rmdir(path_.c_str());
    }
  }
  bool is_there() const noexcept { return !path_.empty(); }
  /// Puts this process into the group.
  void join() const {
    std::ofstream file(path_ + "/cgroup.procs");
    require(static_cast<bool>(file << ::getpid() << std::flush), "joining the control group");
  }

 private:
  /// Folders that a group may be made in, and the file of the limit: the process's own group, its parent, the root.
  static std::vector<std::pair<std::string, std::string>> places() {
    std::vector<std::pair<std::string, std::string>> all;
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
      std::istringstream parts(line);
      std::string number;
      std::string controllers;
      std::string path;
      std::getline(parts, number, ':');
      std::getline(parts, controllers, ':');
      std::getline(parts, path);
      if (controllers == "memory" || controllers.empty()) {
        const std::string root = controllers.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
        const std::string file = controllers.empty() ? "/memory.max" : "/memory.limit_in_bytes";
        all.emplace_back(root + path, file);
        all.emplace_back(root + path.substr(0, path.rfind('/')), file);
        all.emplace_back(root, file);
      }
    }
    return all;
  }

  std::string path_;
};

}  // namespace bench
