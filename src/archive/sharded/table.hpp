#pragma once
// What a part of a sharded archive or checkpoint says of itself, and what the manifest says of all parts. Both are
// values in ordinary archives.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "stele/array.hpp"
#include "stele/metadata.hpp"

namespace stele::shards {

/// The folder of parts, in the folder of the manifest.
inline constexpr std::string_view folder_name = "shards";
/// The file of a sharded archive's manifest.
inline constexpr std::string_view manifest_name = "manifest.stele";
/// The metadata by which a manifest is known: that of an archive, and that of a checkpoint's step.
inline constexpr std::string_view archive_key = "sharded.archive";
inline constexpr std::string_view step_key = "checkpoint.sharded";
/// Of archive_key.
inline constexpr std::uint64_t format = 1;
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

/// What the writers of one attempt agree on. Throws: Error(invalid_argument).
void check_attempt(std::string_view attempt, unsigned rank, unsigned ranks);
/// The end of the name of a part's file: ".ATTEMPT.00003-of-00016.stele".
std::string part_suffix(std::string_view attempt, unsigned rank, unsigned ranks);
/// Whether an archive with this metadata is a manifest. Throws: Error(unsupported) for one of a newer format.
bool is_manifest(const Metadata& metadata);

std::string dtype_text(const DType& dtype);
/// Throws: Error(malformed).
DType dtype_of_text(const std::string& text);

/// Adds a part to the manifest. Throws: Error(invalid_argument) where two parts contradict each other.
void add_part(Manifest& manifest, PartTable part, PartFile file);
/// Checks that the boxes of each array make it up, and drops copies.
/// Throws: Error(invalid_argument).
void check_boxes(Manifest& manifest);
/// Checks what was read from a file, in a time that its length bounds, and sorts the boxes of each array.
/// Throws: Error(damaged).
void check_read(Manifest& manifest);

}  // namespace stele::shards
