#pragma once
// The events of one value become the bytes that are compressed: a head, and the planes of an array of integers or a
// CBOR item as archives have it, with its arrays of integers narrowed.

#include <optional>
#include <vector>

#include "archive/write/item.hpp"
#include "archive/write/shared_buffers.hpp"
#include "services/text/integers.hpp"
#include "stele/state_text.hpp"

namespace stele::state_text {

/// Writes everything but integer arrays as archives do.
class PayloadWriter final : public ItemWriter {
 public:
  /// `options` must outlive it. Throws: Error(invalid_argument) for those that make no sense.
  explicit PayloadWriter(const TextSaveOptions& options);

  /// One value: begin(), its events, finish(). What is left of a value that was broken off does not count.
  void begin(const Root& root, const Again& again);
  void finish();

  /// Whether the bytes are those of an array of integers that take one each.
  bool counters() const noexcept { return counters_; }
  /// Valid until the next begin().
  Bytes plain() const noexcept { return bytes_; }

  void array(const ArrayView& value) override;

 private:
  class BufferCounter;
  void put_root(const ArrayView& value);
  bool shares_buffer(const Buffer* buffer);

  Bounds bounds_;
  const TextSaveOptions& options_;
  Root root_;
  Again again_{};
  bool counters_ = false;
  bool taken_ = false;  // the value was an array of integers
  std::vector<std::byte> integer_bytes_;
  std::vector<std::byte> narrowed_;
  Bytes bytes_;
  std::optional<BufferMap<std::size_t>> buffers_;  // how many arrays lie in each
};

}  // namespace stele::state_text
