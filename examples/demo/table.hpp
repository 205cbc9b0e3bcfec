#pragma once
// The table of what files cost: size, speed and memory, each measured in a process of its own.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace demo {

struct File {
  std::string name;            // of the file in the folder, with the codec's extension
  std::uint64_t object_bytes;  // of the object's elements in memory
  std::function<void(const std::string& path)> save;
  std::function<void(const std::string& path)> load;  // drops what it loaded
  std::function<void(const std::string& path)> map;   // empty where the file cannot be mapped
};

/// Writes every file to `folder` and prints a row for each: size, ratio to the object, MB/s, peak memory above the
/// object, time to map.
void print_table(const std::string& folder, const std::vector<File>& files);

}  // namespace demo
