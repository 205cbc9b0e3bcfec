#pragma once
// The input of a command: a file by name, or standard input for "-".

#include <memory>
#include <string>
#include <vector>

#include "stele/archive.hpp"

namespace stele::cli {

/// The bytes from `offset` on: in order, and with random access if the input has it.
/// Throws: Error(not_found), Error(io), Error(truncated) if the input is shorter.
std::unique_ptr<Source> open_input(const std::string& name, std::uint64_t offset = 0);

/// An archive to read in parts. Input without random access, such as a pipe, is read into memory after its first bytes
/// were recognised. With options.map, a compressed file is read instead.
File open_archive(const std::string& name, LoadOptions options);

/// Whether a file is in a format of another program, which the library reads like an archive.
bool is_foreign(const std::string& name);

/// Whether it is the folder of a sharded archive, a URL's prefix that is one, or the manifest of one.
/// Throws: Error(not_found) for a folder without one.
bool is_sharded(const std::string& name);

/// The rest of a Source. Throws: Error(limit_exceeded) for endless input.
std::vector<std::byte> read_all(Source& source);

}  // namespace stele::cli
