#pragma once
// What saving and loading can be told. Plain structs for designated initialisers, every field with its default.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "stele/io.hpp"
#include "stele/metadata.hpp"

namespace stele {

class Codecs;
class TypeRegistry;

/// Bounds for what a hostile file may cost. Beyond one: Error(limit_exceeded).
struct Limits {
  /// Values nested in one another, when saving too. Objects that shared pointers lead to do not count as nested where
  /// there are many: beyond 100 levels they are stored one behind the other. Each level takes about 1 kB of stack;
  /// where that ends, so does what may be nested.
  std::size_t depth = 1000;
  /// Bytes of one array or string.
  std::uint64_t allocation = std::uint64_t{1} << 46;
  /// Plain bytes per compressed byte, counted over the whole archive, once it has yielded 1 GiB.
  std::uint64_t expansion = 50'000;
  /// Bytes that a compressed file may make its decoder keep to look back on.
  std::uint64_t window = std::uint64_t{128} << 20;
};

struct SaveOptions {
  /// The compression by name ("plain", "gzip", "zstd", …); empty: by the path's last extension, plain where it is none
  /// of a codec's, and plain for streams and memory.
  std::string codec = {};
  /// The codec's level; nothing: its standard one.
  std::optional<int> level = std::nullopt;
  /// How arrays are encoded before they are compressed: "auto" tries on a sample of each, "none" stores the elements as
  /// they are, others are names of encodings (docs/format.md), joined by "+". A plain archive stores them as they are.
  std::string filter = "auto";
  /// Threads for checksums and compression; 0: as many as the machine has, at most 16.
  unsigned threads = 0;
  /// How durable a file is when save() returns. Sync::file costs what the device needs to take all bytes.
  Sync sync = Sync::none;
  /// Write into a file that stands instead of replacing it: where its name cannot be given to another file, as for one
  /// that is mounted into a container, or must stay the same file, as for hard links. Not atomic: the new bytes are
  /// copied over the old ones at the end, and a crash meanwhile leaves a damaged file.
  bool in_place = false;
  /// Write unordered containers in the order of their keys' bytes, so that equal objects give equal files. Costs a
  /// sort.
  bool canonical = false;
  /// Texts, numbers and booleans by name, {{"epoch", 3}, {"loss", 0.25}, {"name", "x"}}. Kept in the directory, shown
  /// by `stele info`.
  Metadata metadata = {};
  /// Names of polymorphic types; must outlive the call.
  const TypeRegistry* types = nullptr;
  /// Of these `depth` counts.
  Limits limits = {};
  /// The codecs to choose from; null: the ones of this build. Must outlive the call.
  const Codecs* codecs = nullptr;
};

/// How much of an archive is checked against its checksums.
enum class Verify : std::uint8_t {
  automatic,  // full when reading, directory when mapping
  none,       // only lengths and forms
  directory,  // and all that is not a listed array: the trailer, the directory, small values
  full,       // and every array that is read or mapped; mapping then reads all its bytes
};

struct LoadOptions {
  /// Map the file instead of reading it: every stele::Array of 4 KiB or more then points into it.
  MapMode map = MapMode::none;
  /// An array of 4 KiB or more that would be copied instead of mapped is an Error(not_mappable) that says why: one that
  /// is read into another type than stele::Array, is stored encoded, in pieces or as other numbers, or is not mapped.
  bool map_all = false;
  Verify verify = Verify::automatic;
  /// Every stored field must be one of the type; without, others are skipped. Also refuses a stored version that is
  /// newer than the type's.
  bool known = false;
  /// Every field of the type must be stored; without, others are left alone, but for those that the type requires.
  bool complete = false;
  /// Both.
  bool strict = false;
  /// Threads for reading; 0: as many as the machine has, at most 16.
  unsigned threads = 0;
  Limits limits = {};
  /// Where the archive begins in the file.
  std::uint64_t offset = 0;
  /// Names of polymorphic types; must outlive the call, or the File or Reader that is given it.
  const TypeRegistry* types = nullptr;
  /// The codecs to recognise; null: the ones of this build. Must outlive the call, or the File or Reader.
  const Codecs* codecs = nullptr;
};

}  // namespace stele
