#pragma once
// The plain bytes of a file, read again for arrays that were left there (archive/value/later.hpp).

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "stele/io.hpp"
#include "stele/value.hpp"
#include "stele/visitor.hpp"

namespace stele {

/// Opens the file as few times as it can: once, while the places ascend. Thread-safe, but for the Sources it gives.
class Rereader : public std::enable_shared_from_this<Rereader> {
 public:
  explicit Rereader(std::function<std::unique_ptr<Source>()> open) : open_(std::move(open)) {}
  /// The whole file.
  std::unique_ptr<Source> whole() const { return open_(); }
  /// `bytes` at `offset`. Where they are the file's last, the last read() fails if more follows, and makes the checks
  /// of a compressed file. The Source keeps this alive.
  std::unique_ptr<Source> part(std::uint64_t offset, std::uint64_t bytes, bool is_last);
  /// The array whose elements lie densely there.
  Value array(std::uint64_t offset, const ArrayHeader& header, bool is_last);

 private:
  class Part;
  const std::function<std::unique_ptr<Source>()> open_;
  std::mutex mutex_;
  std::unique_ptr<Source> source_;  // that nobody reads
  std::uint64_t position_ = 0;      // of source_
};

/// Passes over bytes by reading them. Throws: Error(truncated), Error(io).
void pass_over(Source& source, std::uint64_t count);

}  // namespace stele
