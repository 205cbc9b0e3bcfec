#pragma once
// A result as an object of another Storage: docs/cache.md, "Objects of a remote".

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/checksum.hpp"
#include "services/cache/segments.hpp"
#include "stele/io.hpp"

namespace stele {

/// "results/1/7a/7a….result": keys are spread over 256 prefixes, and another layout would have another number.
std::string parcel_name(const Digest& key);

/// Writes a parcel to a Sink, which is not closed: the record with its payload, and the content of its file.
/// Throws: what the Source and the Sink throw; Error(changed) for a file that has not record.file_bytes.
void write_parcel(const CacheRecord& record, Bytes payload, Source* file, Sink& to);
/// Of what write_parcel() writes.
std::uint64_t parcel_bytes(const CacheRecord& record, Bytes payload);

/// Reads a parcel in order, and trusts none of its lengths.
class ParcelReader {
 public:
  /// Reads up to `file`. Throws: Error(damaged), Error(truncated), what the Source throws.
  ParcelReader(Source& from, const Digest& key);
  const CacheRecord& record() const noexcept { return record_; }
  const std::vector<std::byte>& payload() const noexcept { return payload_; }
  /// Reads the content of its file to `to`, and checks the whole. To be called also where it has none.
  /// Throws: as above.
  void finish(const std::function<void(Bytes)>& to);

 private:
  void read(MutableBytes into);

  Source& from_;
  Xxh3 checksum_;
  CacheRecord record_;
  std::vector<std::byte> payload_;
};

}  // namespace stele
