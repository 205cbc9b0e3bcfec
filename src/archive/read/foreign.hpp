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

/// The content of what was opened, if it is in one of the formats of its options and no archive. `path` is empty for
/// what is no file. The source is at its start. `mapping` may be null.
/// Throws: what Formats::read() throws.
std::optional<Foreign> read_foreign(const Opened& opened, std::string_view path, std::shared_ptr<Mapping> mapping);

/// The array or other value at a path; null if there is none.
const Value* find_in(const Value& root, std::string_view path);
/// As File::list().
std::vector<Entry> list_value(const Value& root, const ListOptions& options);
/// The number and the bytes of the arrays in a value.
struct ArrayTotals {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
};
ArrayTotals arrays_of(const Value& root);

}  // namespace stele
