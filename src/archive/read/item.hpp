#pragma once
// Archives inside other files: a root value alone, where an archive's directory and trailer would be larger than the
// value, and archives in a mapping that holds others too.

#include <memory>
#include <optional>
#include <string>

#include "stele/options.hpp"
#include "stele/visitor.hpp"

namespace stele {

/// Reads one value from memory or from a mapping.
class ItemReader {
 public:
  virtual ~ItemReader() = default;
  virtual InVisitor& visitor() = 0;
  /// Checks that all input was consumed.
  virtual void finish() = 0;
};

/// Reads a root value as ItemWriter::item() makes it. `item` and what `options` points to must outlive the reader.
/// Verifies no checksums. `file`: as Error::file().
std::unique_ptr<ItemReader> read_item(Bytes item, const LoadOptions& options, std::string file = {});
/// Reads a plain archive of `size` bytes at `offset` in a mapping. Arrays are mapped.
std::unique_ptr<ItemReader> read_mapped_archive(std::shared_ptr<Mapping> mapping, std::uint64_t offset,
                                                std::uint64_t size, const LoadOptions& options);
/// Reads an archive in memory, compressed or not. It must outlive the reader. Arrays are copied.
std::unique_ptr<ItemReader> read_archive(Bytes archive, const LoadOptions& options, std::string file = {});

}  // namespace stele
