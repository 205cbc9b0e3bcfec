#pragma once
// A file mapped to be written, whose checksums follow its elements.

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "archive/read/opened.hpp"
#include "base/process.hpp"
#include "stele/io.hpp"

namespace stele {

/// Updates the file's checksums when it is told so, and when the last user releases it. Thread-safe.
class WritableMapping {
 public:
  WritableMapping(std::shared_ptr<Mapping> mapping, Tail tail);
  ~WritableMapping();
  WritableMapping(const WritableMapping&) = delete;
  WritableMapping& operator=(const WritableMapping&) = delete;

  Mapping& mapping() noexcept { return *mapping_; }
  /// With the checksums that the file has now. Not while update() may run.
  const Tail& tail() const noexcept { return tail_; }
  /// The elements of the listed array at `offset` may change from now on.
  void hand_out(std::uint64_t offset);
  /// Updates the checksums of all arrays that were handed out, and writes everything to the device.
  /// Throws: Error(io).
  void update();
  /// The same for bytes `first` to `last` of the elements of the listed array at `offset`.
  void update(std::uint64_t offset, std::uint64_t first, std::uint64_t last);

 private:
  std::size_t index_of(std::uint64_t offset) const;
  bool update_array(std::size_t index, std::uint64_t first, std::uint64_t last);
  void finish(bool changed);
  MutableBytes part(std::uint64_t offset, std::uint64_t size) const;
  std::uint64_t structure_checksum() const;

  std::shared_ptr<Mapping> mapping_;
  Tail tail_;
  std::mutex mutex_;  // guards the rest
  std::vector<bool> handed_out_;
  ProcessMark process_;
};

/// Maps what `opened` has mapped in a WritableMapping, and notes there the arrays that decoders hand out.
std::shared_ptr<WritableMapping> make_writable(Opened& opened, const Tail& tail);

}  // namespace stele
