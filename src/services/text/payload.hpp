#pragma once
// The events of one value become the bytes that are compressed: a head, and the planes of an array of integers or a
// CBOR item as archives have it, with its arrays of integers narrowed.

#include <optional>
#include <vector>

#include "archive/write/encoder.hpp"
#include "archive/write/shared_buffers.hpp"
#include "services/text/integers.hpp"
#include "stele/state_text.hpp"

namespace stele::state_text {

class PayloadWriter final : public OutVisitor {
 public:
  /// `options` must outlive it. Throws: Error(invalid_argument) for those that make no sense.
  explicit PayloadWriter(const TextSaveOptions& options);
  ~PayloadWriter() override;

  /// One value: begin(), its events, finish(). What is left of a value that was broken off does not count.
  void begin(const Root& root, const Again& again);
  void finish();

  /// Whether the bytes are those of an array of integers that take one each.
  bool counters() const noexcept { return counters_; }
  /// Valid until the next begin().
  Bytes bytes() const noexcept { return bytes_; }

  void null() override { archive().null(); }
  void boolean(bool value) override { archive().boolean(value); }
  void integer(std::int64_t value) override { archive().integer(value); }
  void natural(std::uint64_t value) override { archive().natural(value); }
  void real(float16 value) override { archive().real(value); }
  void real(float value) override { archive().real(value); }
  void real(double value) override { archive().real(value); }
  void text(std::string_view value) override { archive().text(value); }
  void bytes(Bytes value) override { archive().bytes(value); }
  void plain_items(std::span<const PlainItem> items) override { archive().plain_items(items); }
  void array(const ArrayView& value) override;
  void begin_sequence(std::uint64_t count, Ordering ordering) override { archive().begin_sequence(count, ordering); }
  void begin_map(std::uint64_t count, Ordering ordering) override { archive().begin_map(count, ordering); }
  void begin_record(const RecordInfo& info) override { archive().begin_record(info); }
  void end() override { archive().end(); }
  bool begin_shared(const SharedOut& object) override {
    if (at_once_ == 0) {
      return archive().begin_shared(object);
    }
    const AtOnce at_once(archive());
    return archive().begin_shared(object);
  }
  void begin_typed(std::string_view name) override { archive().begin_typed(name); }

 private:
  class BufferCounter;
  /// The encoder of the value, which begins with the first event that is not an array of integers.
  Encoder& archive() {
    if (!in_archive_) {
      begin_archive();
    }
    return *encoder_;
  }
  void begin_archive();
  void put_root(const ArrayView& value);
  bool shares_buffer(const Buffer* buffer);

  SaveOptions save_options_;
  Bounds bounds_;
  const TextSaveOptions& options_;
  Root root_;
  Again again_{};
  bool counters_ = false;
  bool taken_ = false;       // the value was an array of integers
  bool in_archive_ = false;  // the encoder has begun and not finished
  std::vector<std::byte> archive_bytes_;
  std::vector<std::byte> integer_bytes_;
  std::vector<std::byte> narrowed_;
  Bytes bytes_;
  std::unique_ptr<Sink> sink_;
  std::unique_ptr<Encoder> encoder_;
  std::optional<BufferMap<std::size_t>> buffers_;  // how many arrays lie in each
};

}  // namespace stele::state_text
