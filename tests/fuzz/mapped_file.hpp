#pragma once
// A file per process that is written and mapped repeatedly.

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "stele/archive.hpp"

namespace stele::fuzz {

/// Arrays of so many bytes are mapped, smaller ones copied.
inline constexpr std::size_t least_mapped = 4096;

class MappedFile {
 public:
  MappedFile() : path_(std::filesystem::temp_directory_path() / ("stele_fuzz_" + std::to_string(::getpid()))) {}
  ~MappedFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  /// Earlier mappings of the file must be gone.
  const std::filesystem::path& write(Bytes bytes) const {
    std::ofstream file(path_, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path_;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace stele::fuzz
