#pragma once
// Keys as the names of files, and back.

#include <string>
#include <string_view>
#include <vector>

#include "stele/store/key.hpp"

namespace stele {

/// The path of a key's file, from the folder on: one name for each folder, and the file's. Different keys have
/// different paths, and none leads out of the folder. A text is its own path; where a part of it is not a file name, a
/// percent sign says so:
///   %2E %00 …  a byte: a percent sign, control characters, the dots of "." and ".."
///   %_         an empty part
///   %-         at the end of a name: the part goes on in the next, as names have at most 255 bytes
///   %i12 %x00ff  an integer, a byte string, as the whole path
/// An object's file ends in ".stele"; of other values the dot of such an ending is encoded.
std::vector<std::string> encode_name(const StoreKey& key, bool is_object);

/// The names with slashes between.
std::string joined(const std::vector<std::string>& names);

/// Stands at the end of a name whose place is taken, where a folder is needed, by a file, or the reverse.
inline constexpr std::string_view other_name = "%+";

struct DecodedName {
  StoreKey key;
  bool is_object = false;
};
/// The reverse, for a path with slashes. Throws: Error(malformed) for what encode_name() does not give.
DecodedName decode_name(std::string_view path);

}  // namespace stele
