#pragma once
// Zip files, by libzip.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stele/io.hpp"

namespace stele {

struct ZipMember {
  std::string name;
  std::uint64_t stored_bytes = 0;
};

/// A zip file to be read. Not thread-safe.
class ZipReader {
 public:
  virtual ~ZipReader() = default;
  /// Of the file.
  virtual std::uint64_t bytes() const noexcept = 0;
  /// All that the file has, in its order. No two have the same name.
  virtual const std::vector<ZipMember>& members() const noexcept = 0;
  /// Reads the content of the member of that index, and at its end compares its checksum. Must not outlive the reader.
  /// Throws, as its read() does: Error(damaged), Error(unsupported), Error(io).
  virtual std::unique_ptr<Source> open(std::size_t index) const = 0;
};
/// Members do not share bytes, so that what comes of a file is bounded by what can come of its size.
/// Throws: Error(not_found), Error(io), Error(damaged) for what is no zip file, Error(duplicate_field) for a name that
/// comes twice, Error(unsupported) in a build without libzip.
std::unique_ptr<ZipReader> read_zip(const Path& file);

/// A zip file to be written, in the ZIP64 form where it must. It appears when it is complete. Not thread-safe.
class ZipWriter {
 public:
  virtual ~ZipWriter() = default;
  /// A member of so many bytes. `open` is called when they are written, so that one member at a time need be in memory;
  /// another number of bytes is then Error(busy).
  virtual void add(const std::string& name, std::uint64_t bytes, std::function<std::unique_ptr<Source>()> open) = 0;
  /// Writes the file; nothing can be added after it. `progress` is given the part that is done, 0 to 1; where it
  /// returns false no file appears, and neither does where close() is not called. Returns whether it was written.
  /// Throws: Error(io), and what `open`, its Source and `progress` throw.
  virtual bool close(const std::function<bool(double)>& progress) = 0;
};
/// `level`: of deflate, 1 to 9, or 0 for the usual one; nothing: members are stored as they are.
/// Throws: Error(io), Error(unsupported) in a build without libzip.
std::unique_ptr<ZipWriter> write_zip(const Path& file, std::optional<int> level);

}  // namespace stele
