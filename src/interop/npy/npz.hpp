#pragma once
// NumPy's .npz files: a zip file with a .npy file for each array.
//
// A file is a map from names to arrays, in the file's order: the member "a.npy" has the name "a", as in NumPy. A member
// that is no .npy file, "readme.txt", is a byte string under its whole name, as NumPy gives it. Names are flat: what is
// nested when it is written has the names "outer/inner", and stays flat when it is read.
//
// A member that stele cannot read, such as an array of |V3, does not keep the others from being read: it is a value of
// the type "npz:unread", a record of the reason and, if it can be read, the content of the member. Saving it writes
// that member again.
//
// Written are maps and records, nested or not, whose keys are text and whose values are arrays, byte strings, numbers
// and booleans. A number or a boolean becomes an array without dimensions, of int64, or uint64 where only that holds
// it, of the float's own width, or of bool; that is also what is read back. Everything else is refused with its path
// before anything is written: text, null, sequences, empty maps inside, references to shared values, named types, the
// version of a record, dtypes that NumPy lacks, names that occur twice, a byte string whose name ends as an array's.

#include <optional>
#include <string_view>

#include "interop/neighbour.hpp"
#include "interop/zip/contents.hpp"
#include "interop/zip/zip.hpp"
#include "stele/io.hpp"
#include "stele/value.hpp"

namespace stele {

/// Reads a file. With a mapping, stored members that are aligned are views of it, without a look at their checksums
/// unless the options ask for Verify::full; others are copies, or refused as check_copy() says. Without one members are
/// read on several threads and their checksums compared.
/// Throws, with the member as the path: Error(damaged), Error(truncated), Error(duplicate_field),
/// Error(limit_exceeded), Error(not_mappable), and what read_npy() throws where a member's checksum holds, but for
/// Error(unsupported).
Value read_npz(const Neighbour& file);
Value read_npz(const ZipContents& contents);

/// The type name of the placeholder for a member that cannot be read, and its fields.
inline constexpr std::string_view npz_unread = "npz:unread";
inline constexpr std::string_view npz_reason = "reason";
inline constexpr std::string_view npz_content = "content";

/// The name of the array that a member holds, without ".npy"; nothing for another member.
std::optional<std::string_view> npz_name(std::string_view member) noexcept;
/// Reads the array of a member. Throws: as read_npz(), and Error(unsupported).
Value read_npz_member(const ZipReader& zip, const ZipMember& member, const LoadOptions& options);

struct NpzOptions {
  /// Of deflate, 1 to 9, or 0 for the usual one. Nothing: members are stored as they are, and can be mapped.
  std::optional<int> level = std::nullopt;
  /// Threads that compress; 0: as many as the machine has, at most 16.
  unsigned threads = 0;
};
/// Writes a file; does not close the Sink. Equal values give equal files.
/// Throws: Error(unsupported) for what a .npz file cannot hold, Error(duplicate_field), Error(invalid_argument) for
/// another level and for what is not a map, Error(limit_exceeded) for maps in maps beyond 1000, Error(io).
void write_npz(Sink& to, const Value& map, const NpzOptions& options = {});

}  // namespace stele
