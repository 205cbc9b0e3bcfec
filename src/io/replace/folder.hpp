#pragma once
// An open folder. Operations use the descriptor, so they reach the same folder after chdir() and after the folder was
// renamed.

#include <sys/stat.h>

#include <string>
#include <vector>

#include "io/descriptor.hpp"

namespace stele {

/// Calls report errors like system calls: -1 or a result that is not open, and errno. Thread-safe once open.
class Folder {
 public:
  /// Not open.
  Folder() = default;
  /// Opens the folder at `path`; empty: the current folder. Not open on failure.
  static Folder open(const std::string& path);
  Folder open_folder(const std::string& path) const;

  bool is_open() const noexcept { return folder_.is_open(); }
  int fd() const noexcept { return folder_.get(); }
  /// The path for messages: as it was given, with a slash at the end, or empty.
  const std::string& path() const noexcept { return path_; }

  OwnedDescriptor open_file(const std::string& name, int flags, mode_t mode = 0) const;
  /// Does not follow a symbolic link.
  int status(const std::string& name, struct stat& out) const noexcept;
  int rename(const std::string& from, const std::string& to) const noexcept;
  int unlink(const std::string& name) const noexcept;
  /// The names in the folder, without "." and "..", in any order. Throws: Error(io).
  std::vector<std::string> names() const;
  /// fsync(2). Needs read permission, unlike the other functions. Throws: Error(io).
  void synchronize() const;

 private:
  OwnedDescriptor folder_;
  std::string path_;
};

/// As file_sink(), for a name in a folder. A symbolic link of that name is not followed but replaced. Throws:
/// Error(io).
std::unique_ptr<Sink> file_sink_in(const Folder& folder, const std::string& name, Sync sync);

/// fsync(2); ignores files that cannot be synchronised, such as a FIFO or a folder on some network file systems.
/// Throws: Error(io).
void synchronize(int fd, const std::string& name);

/// Whether other machines may write to the file system of an open file: some of these do not share locks, or what is
/// mapped, between machines.
bool is_shared_between_machines(int fd) noexcept;

}  // namespace stele
