#pragma once
// Files of other programs, once they were read to a tree.

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "archive/formats.hpp"
#include "archive/read/opened.hpp"
#include "stele/archive.hpp"

namespace stele {

/// The content of an opened file if it is in one of the foreign formats of its options. `path` is empty if the source
/// is not a file. The source must be at its start. `mapping` may be null.
/// Throws: what Formats::read() throws.
std::optional<Foreign> read_foreign(const Opened& opened, std::string_view path, std::shared_ptr<Mapping> mapping,
                                    std::shared_ptr<Rereader> again = nullptr);

/// A file whose large arrays are still there; it must stay as it is while its value lives.
struct ForeignFile {
  Foreign content;
  std::string codec;
  std::uint64_t stored_bytes = 0;
  std::uint64_t plain_bytes = 0;  // of the arrays, where the file does not say how large it is
};
/// The content of a file in a foreign format, or of a sharded archive.
/// Throws: Error(not_an_archive) for any other file, and what opening it throws.
ForeignFile open_foreign(const Path& path, const LoadOptions& options);

/// The array or other value at a path; null if there is none.
const Value* find_in(const Value& root, std::string_view path);
/// As File::list(). `mapped` is the file where its arrays may be there.
std::vector<Entry> list_value(const Value& root, const ListOptions& options, Bytes mapped = {});
/// The number and the bytes of the arrays in a value.
struct ArrayTotals {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
};
ArrayTotals arrays_of(const Value& root);

}  // namespace stele
