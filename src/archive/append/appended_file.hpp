#pragma once
// The open file of an Appender: locked, and cut where a commit did not come to its end.

#include <string>

#include "archive/append/extent.hpp"
#include "base/process.hpp"
#include "io/descriptor.hpp"

namespace stele {

/// How the file is opened: to read, which takes no lock; to write; to write, and made if it is not there.
enum class AppendedAccess : std::uint8_t { read, write, create };

/// Opens a regular file. Throws: Error(not_found), Error(io), Error(invalid_argument) if it is not a regular file.
OwnedDescriptor open_appended(const std::string& path, AppendedAccess access);

/// An exclusive lock on the open file (F_OFD_SETLK), released when the process ends, however it ends.
class AppendedLock {
 public:
  /// Throws: Error(busy) if another has the lock, and what open_appended() throws.
  AppendedLock(const std::string& path, AppendedAccess access);
  ~AppendedLock() { release(); }
  AppendedLock(AppendedLock&&) noexcept = default;
  AppendedLock& operator=(AppendedLock&&) = delete;

  int fd() const noexcept { return file_.get(); }
  /// Closes the file too. In a child of fork() the lock stays with the parent.
  void release() noexcept;
  /// The same, and reports what closing reports. Throws: Error(io).
  void close(const std::string& name);

 private:
  void unlock() noexcept;
  OwnedDescriptor file_;
  ProcessMark process_;
};

/// Chooses the codec of a file by what it holds. Returns false if nothing is recognised, as in an empty file. Throws:
/// Error(io), Error(invalid_argument) for a codec that cannot be appended to.
bool recognise_file(GrowingSource& file, FileCodec& codec);

/// Throws what is wrong after the last whole entry.
[[noreturn]] void refuse_damage(const Extent& extent);

/// ftruncate(2). Throws: Error(io).
void cut_file(int fd, std::uint64_t size, const std::string& name);

}  // namespace stele
