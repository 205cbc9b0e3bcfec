#pragma once
// Streams the archive of a large object to the shard.

#include "base/checksum.hpp"
#include "services/store/write/shard_appender.hpp"
#include "stele/io.hpp"

namespace stele {

/// Not thread-safe.
class Spill final : public Sink {
 public:
  /// Thrown through the walk of the object. The caller then starts the walk again in another shard.
  struct Restart {};

  /// Passes everything to `appender`, as the payload of a record that begins with `head`. Throws Restart if the shard
  /// would be longer than `most_length`.
  void begin(ShardAppender& appender, Bytes head, std::uint64_t most_length);
  void write(Bytes bytes) override;

  /// The offset of the record; the size of the payload and its XXH3-64.
  std::uint64_t record_at() const noexcept { return record_at_; }
  std::uint64_t passed() const noexcept { return passed_; }
  std::uint64_t checksum() const noexcept { return hash_.digest64(); }

 private:
  ShardAppender* appender_ = nullptr;
  std::uint64_t most_length_ = 0;
  std::uint64_t record_at_ = 0;
  std::uint64_t passed_ = 0;
  Xxh3 hash_;
};

}  // namespace stele
