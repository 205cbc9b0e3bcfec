#pragma once
// The target of a path: a file in a folder, or an open descriptor of this process.

#include <cstdint>
#include <optional>
#include <string>

#include "io/replace/folder.hpp"
#include "stele/io.hpp"

namespace stele {

/// A path after following symbolic links. The file need not exist.
struct Place {
  Folder folder;
  std::string name;               // in the folder; empty if the path ends with a slash
  std::optional<int> descriptor;  // set if the path is /dev/stdout, /dev/fd/1, /proc/self/fd/1 or similar
  bool foreign = false;           // the path is a descriptor of another process
};

/// Throws: Error(io). Does not follow links that another user has put into a folder such as /tmp, like Linux
/// (fs.protected_symlinks).
Place find_place(const std::string& path);

/// A file opened for reading or mapping, or a duplicate of the process's descriptor that the path names.
struct OpenedPath {
  OwnedDescriptor file;
  std::uint64_t start = 0;  // where the data begins: the position of a descriptor that has one
};

/// `flags` as for open(2), for reading. On failure the result is not open and errno is set.
/// Throws: Error(io) for a descriptor that does not allow it.
OpenedPath open_path_or_descriptor(const std::string& path, int flags);

/// Duplicates `fd`, which must be open for the access in `flags`. `path` is its name in messages. Throws: Error(io).
OwnedDescriptor duplicate(int fd, int flags, const std::string& path);

}  // namespace stele
