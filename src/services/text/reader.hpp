#pragma once
// The reverse of payload.hpp: bytes that were decompressed give the events of a value.

#include <optional>
#include <vector>

#include "archive/read/item.hpp"
#include "services/text/integers.hpp"
#include "stele/state_text.hpp"

namespace stele::state_text {

class PayloadReader final : public InVisitor {
 public:
  /// Of `options`, strict, types and max_bytes count, the last for one array or text.
  explicit PayloadReader(const TextLoadOptions& options);

  /// Reads an array of integers; `planes` must stay until finish().
  InVisitor& begin_integers(const IntegerForm& form, Bytes planes);
  /// Reads a CBOR item, which must stay until finish().
  InVisitor& begin_value(Bytes item);
  /// Throws: Error(damaged) where bytes are left.
  void finish();

  Kind kind() override { return item_ == nullptr ? Kind::array : decoder().kind(); }
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
    return item_ == nullptr ? count : item_->visitor().expected_items(count);
  }
  void begin_record() override { decoder().begin_record(); }
  bool next_field(std::string_view& name) override { return decoder().next_field(name); }
  void skip() override { decoder().skip(); }
  SharedIn begin_shared() override { return decoder().begin_shared(); }
  std::optional<std::uint64_t> next_reference() override { return decoder().next_reference(); }
  void define_shared(std::uint64_t index, SharedObject object) override {
    decoder().define_shared(index, std::move(object));
  }
  SharedObject shared(std::uint64_t index) override { return decoder().shared(index); }
  void enter_shared(std::uint64_t index) override { decoder().enter_shared(index); }
  void leave_shared() override { decoder().leave_shared(); }
  bool at_deferred() override { return decoder().at_deferred(); }
  void defer(std::uint64_t index, SharedLater later) override { decoder().defer(index, std::move(later)); }
  void finish_shared() override {
    if (item_ != nullptr) {
      decoder().finish_shared();
    }
  }
  std::optional<std::string> begin_typed() override { return decoder().begin_typed(); }
  void end_typed() override { decoder().end_typed(); }
  void abandon() noexcept override {
    if (item_ != nullptr) {
      item_->visitor().abandon();
    }
  }

 protected:
  void raise(Errc code, std::string message) override;

 private:
  /// The reader of CBOR. An array of integers that is wanted as something else is first made an item.
  InVisitor& decoder() {
    if (item_ == nullptr) {
      make_item();
    }
    return item_->visitor();
  }
  void make_item();

  LoadOptions options_;
  IntegerForm form_;
  Bytes planes_;
  std::vector<std::byte> made_;  // the item of an array of integers
  std::unique_ptr<ItemReader> item_;
};

}  // namespace stele::state_text
