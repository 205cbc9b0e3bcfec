#pragma once
// Receives the archive of an object that is put. Keeps a small one in memory and streams a large one to the shard.

#include <optional>
#include <vector>

#include "archive/read/item.hpp"
#include "base/checksum.hpp"
#include "services/store/write/appender.hpp"
#include "stele/io.hpp"

namespace stele {

/// Not thread-safe.
class Spill final : public ItemSink {
 public:
  /// Thrown through the walk of the object. The caller then starts the walk again in another mode.
  struct Restart {};

  /// Keeps up to `most` bytes; throws Restart for more.
  void keep(std::size_t most);
  /// Passes everything to `appender`, as the payload of a record that begins with `head`. Throws Restart if the shard
  /// would be longer than `most_length`.
  void pass(Appender& appender, Bytes head, std::uint64_t most_length);

  void write(Bytes bytes) override;
  std::size_t most_item() const noexcept override { return appender_ == nullptr ? store_frozen::large_value : 0; }
  void item(Bytes item) override { item_ = item; }

  /// What was kept: a root value alone, or an archive.
  std::optional<Bytes> kept_item() const noexcept { return item_; }
  Bytes kept() const noexcept { return memory_; }
  // For a streamed value: the offset of its record, its size and XXH3-64.
  std::uint64_t record_at() const noexcept { return record_at_; }
  std::uint64_t passed() const noexcept { return passed_; }
  std::uint64_t checksum() const noexcept { return hash_.digest64(); }

 private:
  std::vector<std::byte> memory_;
  std::size_t most_ = 0;
  std::optional<Bytes> item_;
  Appender* appender_ = nullptr;
  std::uint64_t most_length_ = 0;
  std::uint64_t record_at_ = 0;
  std::uint64_t passed_ = 0;
  Xxh3 hash_;
};

}  // namespace stele
