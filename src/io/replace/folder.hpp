#pragma once
// A folder that is held open. What it is asked for is found in it wherever the process has gone since (chdir), and
// under whatever name the folder has by then.

#include <sys/stat.h>

#include <string>
#include <vector>

#include "io/descriptor.hpp"

namespace stele {

/// Calls report as those of the system do: -1 or what is not open, and errno. Thread-safe once open.
class Folder {
 public:
  /// Of no folder.
  Folder() = default;
  /// The folder at `path`, from `from` on; empty: `from` itself. Not open on failure.
  static Folder open(const std::string& path);
  Folder open_folder(const std::string& path) const;

  bool is_open() const noexcept { return folder_.is_open(); }
  int fd() const noexcept { return folder_.get(); }
  /// What messages call it: its path as it was given, with a slash at the end, or nothing.
  const std::string& path() const noexcept { return path_; }

  OwnedDescriptor open_file(const std::string& name, int flags, mode_t mode = 0) const noexcept;
  /// Without following a symbolic link.
  int status(const std::string& name, struct stat& out) const noexcept;
  int rename(const std::string& from, const std::string& to) const noexcept;
  int unlink(const std::string& name) const noexcept;
  /// The names in it, without "." and "..", in any order. Throws: Error(io).
  std::vector<std::string> names() const;
  /// fsync(2), which needs a permission to read it that holding it does not. Throws: Error(io).
  void synchronize() const;

 private:
  OwnedDescriptor folder_;
  std::string path_;
};

/// As file_sink(), for a name in a folder, where a symbolic link of that name is not followed but replaced.
/// Throws: Error(io).
std::unique_ptr<Sink> file_sink_in(const Folder& folder, const std::string& name, Sync sync);

/// fsync(2), but for what cannot be synchronised, such as a FIFO or a folder on some network file systems.
/// Throws: Error(io).
void synchronize(int fd, const std::string& name);

}  // namespace stele
