#pragma once
// The file that takes the bytes of a save until it replaces the one that it is for. While its writer lives it is locked
// (F_OFD_SETLK), so that what a killed program has left can be told from what another is writing.
//
// It stands in the target's folder and is called ".NAME.stele-K.tmp", with the least K that is free: a save finds what
// earlier ones to the same path have left by asking for a few names, without reading a folder that may be large.

#include <string>
#include <string_view>

#include "io/replace/folder.hpp"

namespace stele {

class Temporary {
 public:
  Temporary() = default;
  /// Makes one for `target` in `folder`, which must outlive it, and removes those of the same target whose writers have
  /// died. `path` is what messages call the target. Where none can be made exists() is false and errno tells why.
  /// Throws: Error(io) for anything else.
  Temporary(const Folder& folder, const std::string& target, mode_t mode, const std::string& path);

  bool exists() const noexcept { return !name_.empty(); }
  int fd() const noexcept { return file_.get(); }
  const std::string& name() const noexcept { return name_; }
  /// Ends the lock, and the temporary as such: by now it has another name, or is another's.
  void let_go() noexcept;
  /// Removes the file.
  void remove() noexcept;

 private:
  OwnedDescriptor file_;
  const Folder* folder_ = nullptr;
  std::string name_;
};

/// Whether a file has the name of a temporary one.
bool is_temporary(std::string_view name) noexcept;

/// Removes the temporary files in a folder whose writers have died, whatever they were for; returns how many. For
/// services that own a folder, when they open it to write.
std::size_t remove_leftovers(const Folder& folder) noexcept;

}  // namespace stele
