#pragma once
// A file that is mapped and can be read as well.

#include <cstdint>
#include <memory>
#include <optional>

#include "io/descriptor.hpp"
#include "stele/io.hpp"

namespace stele {

/// Both of one open file, so that they are of the same even where its name is given to another.
class MappedFile {
 public:
  /// As Mapping::open.
  MappedFile(const Path& path, MapMode mode, std::uint64_t offset = 0,
             std::optional<std::uint64_t> length = std::nullopt);

  /// A read-only mapping of `length` bytes of an open file from `offset` on, however many it has by now: those that it
  /// gets later appear there. Touching what lies behind its end ends the program. Null where there is not so much
  /// address space, and where the file system does not map files. Throws: Error(io).
  static std::shared_ptr<Mapping> try_to_map(int file, const std::string& name, std::uint64_t offset,
                                             std::uint64_t length);
  /// The same bytes as they are now, in memory. Throws: Error(io), Error(truncated).
  static std::shared_ptr<Mapping> read(int file, const std::string& name, std::uint64_t offset, std::uint64_t length);

  const std::shared_ptr<Mapping>& mapping() const noexcept { return mapping_; }
  /// What is mapped: memory() is the mapping, read_at() reads the file. A few bytes here and there are read at a
  /// fraction of what touching a mapped page for the first time costs. Takes the file; called once.
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
