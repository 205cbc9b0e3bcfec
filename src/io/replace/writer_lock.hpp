#pragma once
// The lock that the one writer of a folder holds: a store's, or one of checkpoints.

#include <string_view>

#include "base/process.hpp"
#include "io/replace/folder.hpp"

namespace stele {

/// A lock on the open file description (F_OFD_SETLK). It is released when the process ends, however it ends.
class WriterLock {
 public:
  /// Creates `writer.lock` in the folder if needed. `what` the folder is, for messages: "the store".
  /// Throws: Error(busy) if another writer holds it for longer than `wait_ms`, Error(io).
  WriterLock(const Folder& folder, unsigned wait_ms, std::string_view what);
  ~WriterLock() { release(); }
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;
  WriterLock(WriterLock&&) noexcept = default;
  WriterLock& operator=(WriterLock&&) = delete;
  /// Whether a writer holds it; false if that cannot be determined.
  static bool is_held(const Folder& folder) noexcept;
  /// Releases the lock, even while child processes have the file open. Does nothing in a child.
  void release() noexcept;

 private:
  OwnedDescriptor file_;
  ProcessMark process_;
};

}  // namespace stele
