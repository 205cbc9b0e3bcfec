#pragma once
// Archives inside of other files: the root value alone, where an archive's directory and trailer would weigh more than
// it, and archives that lie in a mapping among others.

#include <memory>
#include <optional>
#include <string>

#include "stele/options.hpp"
#include "stele/visitor.hpp"

namespace stele {

/// The root value of a plain archive in memory, without the rest, if none of its arrays is listed and it is at most
/// `most` bytes. Valid as long as the archive.
std::optional<Bytes> root_item(Bytes archive, std::size_t most);

/// A Sink that takes the root value of a plain archive alone where root_item() would find one: then nothing else of the
/// archive is made.
class ItemSink : public Sink {
 public:
  /// The most bytes of a root value that is to come alone; 0: none.
  virtual std::size_t most_item() const noexcept = 0;
  /// Valid until the next archive is begun.
  virtual void item(Bytes item) = 0;
};

/// Reads one value from memory or a mapping.
class ItemReader {
 public:
  virtual ~ItemReader() = default;
  virtual InVisitor& visitor() = 0;
  /// Checks that nothing is left.
  virtual void finish() = 0;
};

/// A root value as root_item() gives it. `item` and what `options` point to must outlive the reader; nothing of it is
/// checked against checksums. `file`: as Error::file().
std::unique_ptr<ItemReader> read_item(Bytes item, const LoadOptions& options, std::string file = {});
/// A plain archive that lies `offset` bytes behind the beginning of a mapping, `size` bytes long. Arrays are mapped.
std::unique_ptr<ItemReader> read_mapped_archive(std::shared_ptr<Mapping> mapping, std::uint64_t offset,
                                                std::uint64_t size, const LoadOptions& options);
/// An archive in memory, compressed or not, that must outlive the reader. Arrays are copied.
std::unique_ptr<ItemReader> read_archive(Bytes archive, const LoadOptions& options, std::string file = {});

}  // namespace stele
