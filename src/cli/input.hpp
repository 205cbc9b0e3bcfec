#pragma once
// What a command reads: a file by name, or standard input where the name is "-".

#include <memory>
#include <string>
#include <vector>

#include "stele/archive.hpp"

namespace stele::cli {

/// The bytes from `offset` on: in order, with random access where the input has it.
/// Throws: Error(not_found), Error(io), Error(truncated) where there are not so many.
std::unique_ptr<Source> open_input(const std::string& name, std::uint64_t offset = 0);

/// An archive to read in parts. What has no random access, such as a pipe, is read into memory once it has begun as an
/// archive does. With options.map a compressed file is read instead.
File open_archive(const std::string& name, LoadOptions options);

/// All that is left of a Source. Throws: Error(limit_exceeded) for an input without end.
std::vector<std::byte> read_all(Source& source);

}  // namespace stele::cli
