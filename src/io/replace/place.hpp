#pragma once
// What a path names: a file in a folder, or one of this process's own open descriptors.

#include <cstdint>
#include <optional>
#include <string>

#include "io/replace/folder.hpp"
#include "stele/io.hpp"

namespace stele {

/// A path with symbolic links followed; what it leads to need not exist.
struct Place {
  Folder folder;
  std::string name;               // in the folder; empty where the path ends with a slash
  std::optional<int> descriptor;  // what /dev/stdout, /dev/fd/1 and /proc/self/fd/1 stand for, in place of a file
  bool foreign = false;           // the name stands for a descriptor of another process
};

/// Throws: Error(io). Links that another user has put into a folder such as /tmp are not followed, as by Linux
/// (fs.protected_symlinks).
Place find_place(const std::string& path);

/// A file opened by name to be read or mapped, or one's own descriptor that the name stands for.
struct OpenedPath {
  OwnedDescriptor file;
  std::uint64_t start = 0;  // where its bytes begin: the position of a descriptor that has one
};

/// `flags` as for open(2), to read. Not open on failure, errno tells why. Throws: Error(io) for a descriptor that does
/// not allow it.
OpenedPath open_path_or_descriptor(const std::string& path, int flags);

/// A descriptor of its own for `fd`, which is open for the access that `flags` ask for. `path` is what it was called.
/// Throws: Error(io).
OwnedDescriptor duplicate(int fd, int flags, const std::string& path);

}  // namespace stele
