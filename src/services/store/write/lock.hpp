#pragma once
// The lock that one writer of a store holds.

#include "base/process.hpp"
#include "io/replace/folder.hpp"

namespace stele {

/// A lock of the open file description (F_OFD_SETLK): it goes with the process, however that ends.
class WriterLock {
 public:
  /// Throws: Error(busy) where another has it for longer than `wait_ms`, Error(io).
  WriterLock(const Folder& folder, unsigned wait_ms);
  ~WriterLock() { release(); }
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;
  /// Whether someone has it, as far as can be told.
  static bool is_held(const Folder& folder) noexcept;
  /// Lets others have it, also while children of this process have the file open. In a child it does nothing.
  void release() noexcept;

 private:
  OwnedDescriptor file_;
  ProcessMark process_;
};

}  // namespace stele
