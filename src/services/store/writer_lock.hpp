#pragma once
// The lock that one writer of a store holds.

#include <string>

#include "src/io/descriptor.hpp"

namespace stele {

/// A lock of the open file description (F_OFD_SETLK): it goes with the process, however that ends.
class WriterLock {
 public:
  /// Throws: Error(busy) where another has it for longer than `wait_ms`, Error(io).
  WriterLock(const std::string& folder, unsigned wait_ms);

 private:
  OwnedDescriptor file_;
};

}  // namespace stele
