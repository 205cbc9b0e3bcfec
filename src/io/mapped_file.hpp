#pragma once
// A file that is mapped and can also be read.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "io/descriptor.hpp"
#include "stele/io.hpp"

namespace stele {

/// Mapping and reads use one open file, so they agree even if another file takes its name.
class MappedFile {
 public:
  /// As Mapping::open.
  MappedFile(const Path& path, MapMode mode, std::uint64_t offset = 0,
             std::optional<std::uint64_t> length = std::nullopt);

  /// A read-only mapping of `length` bytes of an open file from `offset` on. The file may be shorter: bytes appended
  /// later appear in the mapping, but an access after the end of the file kills the process. Null if there is not
  /// enough address space, or the file system does not support mapping.
  /// Throws: Error(io).
  static std::shared_ptr<Mapping> try_to_map(int file, const std::string& name, std::uint64_t offset,
                                             std::uint64_t length);
  /// A copy of the same bytes in memory. Throws: Error(io), Error(truncated).
  static std::shared_ptr<Mapping> read(int file, const std::string& name, std::uint64_t offset, std::uint64_t length);

  /// A read-only Mapping of memory that `owner` keeps.
  static std::shared_ptr<Mapping> of_memory(std::shared_ptr<std::byte[]> owner, MutableBytes bytes,
                                            const std::string& name);

  /// Bytes of an open file.
  struct Part {
    int file = -1;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
  };
  /// One mapping, read_only or copy_on_write, of `first` and the parts after it. What does not lie in a page of its
  /// file as it lies in a page of the mapping is a copy in memory. The files may be closed afterwards.
  /// Throws: Error(io), Error(not_mappable), Error(truncated).
  static std::shared_ptr<Mapping> join(Bytes first, std::span<const Part> parts, MapMode mode, const std::string& name);

  const std::shared_ptr<Mapping>& mapping() const noexcept { return mapping_; }
  /// memory() of the result is the mapping; read_at() reads the file, which for a few bytes costs a fraction of the
  /// first access to a mapped page. Takes ownership of the file; called once.
  std::unique_ptr<Source> source() &&;

 private:
  static bool map(Mapping& mapping, int file, std::uint64_t offset);
  [[noreturn]] static void fail_map(const std::string& name, int error);
  std::string name_;
  std::uint64_t offset_;
  OwnedDescriptor file_;
  std::shared_ptr<Mapping> mapping_;
};

}  // namespace stele
