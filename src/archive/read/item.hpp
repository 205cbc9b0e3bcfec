#pragma once
// Archives inside other files: a root value alone, where an archive's directory and trailer would be larger than the
// value, and archives in a mapping that holds others too.

#include <memory>
#include <optional>
#include <string>

#include "stele/options.hpp"
#include "stele/visitor.hpp"

namespace stele {

/// The root value of a plain archive in memory, without the rest, if it has at most `most` bytes and none of its arrays
/// is listed. Valid as long as the archive.
std::optional<Bytes> root_item(Bytes archive, std::size_t most);

/// A Sink that takes only the root value of a plain archive if root_item() would return one. The rest of the archive is
/// then not written.
class ItemSink : public Sink {
 public:
  /// The maximum size in bytes of a root value to pass to item(); 0: none.
  virtual std::size_t most_item() const noexcept = 0;
  /// Valid until the next archive begins.
  virtual void item(Bytes item) = 0;
};

/// Reads one value from memory or from a mapping.
class ItemReader {
 public:
  virtual ~ItemReader() = default;
  virtual InVisitor& visitor() = 0;
  /// Checks that all input was consumed.
  virtual void finish() = 0;
};

/// Reads a root value as returned by root_item(). `item` and what `options` points to must outlive the reader. Verifies
/// no checksums. `file`: as Error::file().
std::unique_ptr<ItemReader> read_item(Bytes item, const LoadOptions& options, std::string file = {});
/// Reads a plain archive of `size` bytes at `offset` in a mapping. Arrays are mapped.
std::unique_ptr<ItemReader> read_mapped_archive(std::shared_ptr<Mapping> mapping, std::uint64_t offset,
                                                std::uint64_t size, const LoadOptions& options);
/// Reads an archive in memory, compressed or not. It must outlive the reader. Arrays are copied.
std::unique_ptr<ItemReader> read_archive(Bytes archive, const LoadOptions& options, std::string file = {});

}  // namespace stele
