#pragma once
// Writes one rank's part of a sharded archive, and finds it again from the manifest.

#include <memory>
#include <string>
#include <string_view>

#include "archive/sharded/table.hpp"
#include "stele/archive.hpp"
#include "stele/storage.hpp"

namespace stele::shards {

/// Whether a box can be added to what was put. Throws: Error(invalid_argument) for one that is not inside, and one that
/// has another type or other extents than those before.
void check_box(std::string_view name, const ArrayView& box, const Shape& whole, const Shape& first,
               const PartTable& table);
/// Throws: Error(invalid_argument) for the name of a value that was put already.
void check_new(std::string_view name, const PartTable& table);

/// Writes a part to a Sink, which stays the caller's to close.
class PartWriter {
 public:
  PartWriter(Sink& to, const SaveOptions& options) : writer_(to, options) {}

  /// Throws: what check_box() and MapWriter::write() throw.
  void put(std::string_view name, const ArrayView& box, const Shape& whole, const Shape& first);
  /// Throws: what check_new() and MapWriter::write() throw.
  void put_value(std::string_view name, void (*walk)(OutVisitor& out, const void* value), const void* value);
  /// Writes the table and ends the archive.
  void close();
  const PartTable& table() const noexcept { return table_; }

 private:
  MapWriter writer_;
  PartTable table_;
};

/// What tells a part from others of its name: its length, and XXH3-64 of its end as LinkTable::File::id. Throws:
/// Error(truncated), Error(io).
PartFile identify(std::string name, const Source& source);

/// Opens the part that a manifest names, in the folder of parts or in that of parts which are only kept for others.
/// Throws: Error(not_found) where it is missing or another one, and what open() throws.
File open_part(const Storage& place, const PartFile& part, const LoadOptions& options);

}  // namespace stele::shards
