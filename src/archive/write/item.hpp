#pragma once
// Writes small values as bare CBOR items, without the directory and trailer of an archive. The counterpart of
// archive/read/item.hpp.

#include <vector>

#include "archive/write/encoder.hpp"
#include "stele/io.hpp"

namespace stele {

/// Where an ItemWriter keeps what has left its buffer.
class ItemMemory : public Sink {
 public:
  /// Thrown through the walk of a value that takes more memory than it may.
  struct Full {};
  void write(Bytes bytes) override;

 protected:
  explicit ItemMemory(std::size_t most) : most_(most), sink_(memory_sink(kept_)) {}
  std::vector<std::byte> kept_;

 private:
  std::size_t most_;
  std::unique_ptr<Sink> sink_;
};

/// Writes values to memory, one after another: each as a CBOR item, or as a plain archive. What is left of a value that
/// was broken off does not count.
class ItemWriter : private ItemMemory, public Encoder {
 public:
  /// Archives of more than `most` bytes are broken off with ItemMemory::Full.
  explicit ItemWriter(const SaveOptions& options, std::size_t most = ~std::size_t{0});

  /// One value: begin(), its events, item(), and archive() if that is wanted instead.
  void begin(const Walkable& value);
  /// The root value alone, after `room` bytes for the caller, at most those of an archive's label. Valid until the next
  /// begin(). Its offsets count from the label, and it is no substitute for an archive if that is to be mapped and
  /// lists_arrays().
  MutableBytes item(std::size_t room = 0);
  /// The value as a whole archive. Valid until the next begin(). Only after item() without room.
  Bytes archive();
};

}  // namespace stele
