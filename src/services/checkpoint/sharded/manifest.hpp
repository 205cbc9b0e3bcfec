#pragma once
// What a part of a sharded checkpoint says of itself, and what the manifest says of all parts. Both are values in
// ordinary archives.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/links.hpp"
#include "stele/array.hpp"

namespace stele::shards {

/// The folder of parts, in the folder of checkpoints.
inline constexpr std::string_view folder_name = "shards";
/// The entry of a part that holds its PartTable; those of arrays begin with '=', of other values with '+'.
inline constexpr std::string_view table_key = "boxes";

struct Box {
  std::uint32_t file = 0;  // index in Manifest::files; of a part: 0
  std::string key;         // of the entry
  std::vector<std::uint64_t> first;
  std::vector<std::uint64_t> extents;
};
struct ArrayOf {
  std::string dtype;  // as the directory of an archive has it, one CBOR item
  std::vector<std::uint64_t> shape;
  std::vector<Box> boxes;
};
struct ValueOf {
  std::uint32_t file = 0;
  std::string key;
};
struct PartTable {
  std::map<std::string, ArrayOf> arrays;
  std::map<std::string, ValueOf> values;
};
struct PartFile {
  std::string name;
  std::uint64_t id = 0;  // as LinkTable::File::id
  std::uint64_t bytes = 0;
};
struct Manifest {
  std::uint32_t ranks = 0;
  std::string attempt;
  std::vector<PartFile> files;  // by rank
  PartTable all;
};

/// The name of a part's file.
std::string part_name(std::uint64_t step, std::string_view attempt, unsigned rank, unsigned ranks);
/// Its step; nothing for other names.
std::optional<std::uint64_t> step_of_part(std::string_view name);

std::string dtype_text(const DType& dtype);
/// Throws: Error(malformed).
DType dtype_of_text(const std::string& text);

/// Adds a part to the manifest. Throws: Error(invalid_argument) where two parts contradict each other.
void add_part(Manifest& manifest, PartTable part, PartFile file);
/// Checks that the boxes of each array make it up, and drops copies.
/// Throws: Error(invalid_argument).
void check_boxes(Manifest& manifest);
/// Checks what was read from a file, in a time that its length bounds. Throws: Error(damaged).
void check_read(const Manifest& manifest);

}  // namespace stele::shards
