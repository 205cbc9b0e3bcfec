#pragma once
// Options for saving and loading. Plain structs for designated initialisers, every field with its default.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "stele/io.hpp"
#include "stele/metadata.hpp"

namespace stele {

class Codecs;
class Formats;
class TypeRegistry;

/// Bounds for what a hostile file may cost. Beyond them: Error(limit_exceeded).
struct Limits {
  /// Nested values, when saving too. Objects of shared pointers do not count beyond 100 levels: they are then stored in
  /// sequence. Each level takes about 1 kB of stack; where the stack ends, the limit is reached as well.
  std::size_t depth = 1000;
  /// Bytes of one array or string.
  std::uint64_t allocation = std::uint64_t{1} << 46;
  /// Plain bytes per compressed byte, counted over the whole archive, once it has yielded 1 GiB.
  std::uint64_t expansion = 50'000;
  /// Bytes that a compressed file may make its decoder keep (window).
  std::uint64_t window = std::uint64_t{128} << 20;
};

struct SaveOptions {
  /// The codec by name ("plain", "gzip", "zstd", …). Empty: chosen by the path's last extension; plain if that belongs
  /// to no codec, and plain for streams and memory.
  std::string codec = {};
  /// The codec's level; nothing: its standard level.
  std::optional<int> level = std::nullopt;
  /// How arrays are encoded before they are compressed: "auto" tries on a sample of each array, "none" stores the
  /// elements unchanged, others are names of encodings (docs/format.md), joined by "+". A plain archive stores elements
  /// unchanged.
  std::string filter = "auto";
  /// Threads for checksums and compression; 0: as many as the machine has, at most 16.
  unsigned threads = 0;
  /// How durable a file is when save() returns. Sync::file takes as long as the device needs for all bytes.
  Sync sync = Sync::none;
  /// Write into an existing file instead of replacing it: for a file that cannot be renamed over, such as one mounted
  /// into a container, or that must stay the same file, as with hard links. Not atomic: the new bytes are copied over
  /// the old ones at the end, and a crash meanwhile leaves a damaged file.
  bool in_place = false;
  /// Write unordered containers in the order of their keys' bytes, so that equal objects give equal files. Costs a
  /// sort.
  bool canonical = false;
  /// Texts, numbers and booleans by name, {{"epoch", 3}, {"loss", 0.25}, {"name", "x"}}. Stored in the directory, shown
  /// by `stele info`.
  Metadata metadata = {};
  /// Names of polymorphic types; must outlive the call.
  const TypeRegistry* types = nullptr;
  /// Only `depth` applies.
  Limits limits = {};
  /// The codecs to choose from; null: those of this build. Must outlive the call.
  const Codecs* codecs = nullptr;
  /// Other programs' formats, chosen by the path's extension: &stele::neighbours() of stele/interop.hpp. Null: archives
  /// alone. Must outlive the call.
  const Formats* formats = nullptr;
};

/// How much of an archive is checked against its checksums.
enum class Verify : std::uint8_t {
  automatic,  // full when reading, directory when mapping
  none,       // only lengths and forms
  directory,  // and everything that is not a listed array: the trailer, the directory, small values
  full,       // and every array that is read or mapped; mapping then reads all its bytes
};

struct LoadOptions {
  /// Map the file instead of reading it: every stele::Array of 4 KiB or more then points into it.
  MapMode map = MapMode::none;
  /// A copy of an array of 4 KiB or more is an Error(not_mappable) that says why: the array is read into another type
  /// than stele::Array, is stored encoded, in pieces or as other numbers, or is not mapped.
  bool map_all = false;
  Verify verify = Verify::automatic;
  /// Every stored field must be a field of the type; otherwise unknown fields are skipped. Also refuses a stored
  /// version that is newer than the type's.
  bool known = false;
  /// Every field of the type must be stored; otherwise missing fields keep their values, except those the type
  /// requires.
  bool complete = false;
  /// Both `known` and `complete`.
  bool strict = false;
  /// Threads for reading; 0: as many as the machine has, at most 16.
  unsigned threads = 0;
  Limits limits = {};
  /// Where the archive begins in the file.
  std::uint64_t offset = 0;
  /// Names of polymorphic types; must outlive the call, or the File or Reader that it is given to.
  const TypeRegistry* types = nullptr;
  /// The codecs to recognise; null: those of this build. Must outlive the call, or the File or Reader.
  const Codecs* codecs = nullptr;
  /// Other programs' formats to recognise: &stele::neighbours() of stele/interop.hpp. Null: archives alone. Must
  /// outlive the call, or the File or Reader.
  const Formats* formats = nullptr;
};

}  // namespace stele
