#pragma once
// The reverse of payload.hpp: bytes that were decompressed give the events of a value.

#include <optional>
#include <vector>

#include "archive/read/decoder/decoder.hpp"
#include "services/text/integers.hpp"
#include "stele/state_text.hpp"

namespace stele::state_text {

class PayloadReader final : public InVisitor {
 public:
  /// Of `options`, strict, types and max_bytes count, the last for one array or text.
  explicit PayloadReader(const TextLoadOptions& options);
  ~PayloadReader() override;

  /// Reads an array of integers; `planes` must stay until finish().
  InVisitor& begin_integers(const IntegerForm& form, Bytes planes);
  /// Reads a CBOR item after room for a label, which is put there. `labelled` must stay until finish().
  InVisitor& begin_value(MutableBytes labelled);
  /// Throws: Error(damaged) where bytes are left.
  void finish();

  Kind kind() override { return decoder_ == nullptr ? Kind::array : decoder_->kind(); }
  void null() override { decoder().null(); }
  bool boolean() override { return decoder().boolean(); }
  Number number() override { return decoder().number(); }
  void text(std::string& out) override { decoder().text(out); }
  void array(ArrayTarget& target) override;
  std::optional<std::uint64_t> begin_sequence() override { return decoder().begin_sequence(); }
  std::optional<std::uint64_t> begin_map() override { return decoder().begin_map(); }
  bool next() override { return decoder().next(); }
  std::size_t peek_plain_items(std::span<const PlainItem::Kind> kinds, std::span<PlainItem> out) override {
    return decoder().peek_plain_items(kinds, out);
  }
  void take_plain_items(std::size_t count) override { decoder().take_plain_items(count); }
  std::uint64_t expected_items(std::uint64_t count) const override {
    return decoder_ == nullptr ? count : decoder_->expected_items(count);
  }
  void begin_record() override { decoder().begin_record(); }
  bool next_field(std::string_view& name) override { return decoder().next_field(name); }
  void skip() override { decoder().skip(); }
  SharedIn begin_shared() override { return decoder().begin_shared(); }
  void define_shared(std::uint64_t index, SharedObject object) override {
    decoder().define_shared(index, std::move(object));
  }
  SharedObject shared(std::uint64_t index) override { return decoder().shared(index); }
  void enter_shared(std::uint64_t index) override { decoder().enter_shared(index); }
  void leave_shared() override { decoder().leave_shared(); }
  bool at_deferred() override { return decoder().at_deferred(); }
  void defer(std::uint64_t index, SharedLater later) override { decoder().defer(index, std::move(later)); }
  void finish_shared() override {
    if (decoder_ != nullptr) {
      decoder_->finish_shared();
    }
  }
  std::optional<std::string> begin_typed() override { return decoder().begin_typed(); }
  void end_typed() override { decoder().end_typed(); }
  void abandon() noexcept override {
    if (decoder_ != nullptr) {
      decoder_->abandon();
    }
  }

 protected:
  void raise(Errc code, std::string message) override;

 private:
  /// The reader of CBOR. An array of integers that is wanted as something else is first made an item.
  Decoder& decoder() {
    if (decoder_ == nullptr) {
      begin_decoder();
    }
    return *decoder_;
  }
  void begin_decoder();
  void close() noexcept;

  std::uint64_t max_bytes_;
  std::vector<std::byte> item_;  // made of an array of integers that is wanted as something else
  MutableBytes labelled_;        // the item that is read, after a label
  std::optional<IntegerForm> form_;
  Bytes planes_;
  std::unique_ptr<Source> source_;
  std::unique_ptr<Input> input_;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace stele::state_text
