#pragma once
// The temporary file of a save, which later replaces the target. Its writer keeps it locked (F_OFD_SETLK), so that
// leftovers of killed programs can be told from files in use.
//
// It is in the target's folder and is named ".NAME.stele-K.tmp", with the least free K. So a save finds leftovers of
// earlier saves to the same path by checking a few names, without listing a folder that may be large.

#include <string>
#include <string_view>

#include "io/replace/folder.hpp"

namespace stele {

class Temporary {
 public:
  Temporary() = default;
  /// Creates a temporary file for `target` in `folder`, which must outlive it, and removes leftovers for the same
  /// target. `path` is the target's name in messages. If no file can be created, exists() is false and errno is set.
  /// Throws: Error(io) for anything else.
  Temporary(const Folder& folder, const std::string& target, mode_t mode, const std::string& path);

  bool exists() const noexcept { return !name_.empty(); }
  int fd() const noexcept { return file_.get(); }
  const std::string& name() const noexcept { return name_; }
  /// Releases the lock and forgets the file: it was renamed, or belongs to another process now.
  void let_go() noexcept;
  /// Removes the file.
  void remove() noexcept;

 private:
  OwnedDescriptor file_;
  const Folder* folder_ = nullptr;
  std::string name_;
};

/// Whether a name is that of a temporary file.
bool is_temporary(std::string_view name) noexcept;

/// Removes all leftover temporary files in a folder; returns their number. For services that own a folder, when they
/// open it for writing.
std::size_t remove_leftovers(const Folder& folder) noexcept;

}  // namespace stele
