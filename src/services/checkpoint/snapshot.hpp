#pragma once
// A copy of an object's state that a background save can take its time with.

#include <memory>
#include <mutex>
#include <vector>

#include "stele/value.hpp"

namespace stele {

/// Memory for the arrays of snapshots. What a snapshot needed serves the next one, so that the system need not clear
/// pages again. Thread-safe.
class SnapshotMemory {
 public:
  SnapshotMemory();
  /// A Buffer of at least so many bytes. Its memory comes back when nobody uses it any more.
  std::shared_ptr<Buffer> take(std::size_t bytes);
  /// Lets go of what is not in use.
  void release();

 private:
  struct Pool;
  std::shared_ptr<Pool> pool_;
};

/// The value of an object, with copies of all arrays. Arrays that share memory share it again.
/// Throws: what the walk throws, Error(limit_exceeded) without memory.
Value snapshot(void (*walk)(OutVisitor& out, const void* object), const void* object, const TypeRegistry* types,
               unsigned threads, SnapshotMemory& memory);

}  // namespace stele
