#include "stele/store/value.hpp"

#include <algorithm>

#include "archive/read/item.hpp"
#include "base/checksum.hpp"
#include "base/naming.hpp"
#include "format/cursor.hpp"
#include "services/store/shard/store_record.hpp"
#include "stele/error.hpp"

namespace stele {

bool StoreValue::is_text() const noexcept { return form_ == Form::text; }
bool StoreValue::is_bytes() const noexcept { return form_ == Form::bytes; }

Bytes StoreValue::bytes() const& {
  if (form_ == Form::item || form_ == Form::archive) {
    fail(Errc::type_mismatch, "the value is an object, not text or bytes");
  }
  return payload_;
}

std::string_view StoreValue::text() const& {
  const Bytes all = bytes();
  return {reinterpret_cast<const char*>(all.data()), all.size()};
}

const std::string& StoreValue::file() const noexcept {
  static const std::string none;
  return mapping_ != nullptr ? mapping_->name() : memory_ != nullptr ? memory_->file : none;
}

void StoreValue::check() const {
  if (unchecked_ && xxh3_64(payload_) != *unchecked_) {
    fail(Errc::damaged, "the value does not match its checksum", {.file = file()});
  }
}

std::unique_ptr<StoreValue::Part> StoreValue::open(const LoadOptions& options) const {
  class Opened final : public Part {
   public:
    explicit Opened(std::unique_ptr<ItemReader> reader) : reader_(std::move(reader)) {}
    InVisitor& visitor() override { return reader_->visitor(); }
    void finish() override { reader_->finish(); }

   private:
    std::unique_ptr<ItemReader> reader_;
  };
  switch (form_) {
    case Form::text:
    case Form::bytes:
      check();
      return std::make_unique<Opened>(read_item(item_, options, file()));
    case Form::item:
      return std::make_unique<Opened>(read_item(payload_, options, file()));
    case Form::archive:
      break;
  }
  const bool is_plain = !payload_.empty() && payload_[0] == std::byte{0xd9};
  if (mapping_ != nullptr && is_plain && options.map == MapMode::none) {
    const auto offset = static_cast<std::uint64_t>(payload_.data() - mapping_->bytes().data());
    return std::make_unique<Opened>(read_mapped_archive(mapping_, offset, payload_.size(), options));
  }
  return std::make_unique<Opened>(read_archive(payload_, options, file()));
}

StoreValue StoreRecord::value(Shard::Found found, const ValueCodec& codec, const Limits& limits) {
  const Record& record = found.record;
  StoreValue value;
  value.stored_bytes_ = record.value.size();
  if (record.dictionary) {
    const std::string file = found.mapping != nullptr ? found.mapping->name() : std::string();
    value.memory_ = std::make_shared<const StoreValue::Memory>(naming(file, [&] {
      return StoreValue::Memory{codec.decompress(record.payload(), record.plain_size, *record.dictionary, limits),
                                file};
    }));
    take_item(value, value.memory_->bytes);
    return value;
  }
  take_item(value, record.value);
  value.mapping_ = std::move(found.mapping);
  if (record.value_check) {
    value.unchecked_ = record.value_check;
  }
  return value;
}

StoreValue StoreRecord::copy(const StoreValue& value) {
  if (value.mapping_ == nullptr) {
    return value;
  }
  const std::size_t head =
      value.payload_.empty() ? 0 : static_cast<std::size_t>(value.payload_.data() - value.item_.data());
  std::vector<std::byte> bytes(value.item_.size() + store_frozen::alignment);
  const auto payload = reinterpret_cast<std::uintptr_t>(bytes.data()) + head;
  const std::size_t gap = (store_frozen::alignment - payload % store_frozen::alignment) % store_frozen::alignment;
  std::copy(value.item_.begin(), value.item_.end(), bytes.begin() + static_cast<std::ptrdiff_t>(gap));
  StoreValue copied;
  copied.stored_bytes_ = value.stored_bytes_;
  copied.unchecked_ = value.unchecked_;
  copied.memory_ = std::make_shared<const StoreValue::Memory>(StoreValue::Memory{std::move(bytes), value.file()});
  take_item(copied, Bytes(copied.memory_->bytes).subspan(gap, value.item_.size()));
  return copied;
}

void StoreRecord::take_item(StoreValue& value, Bytes item) {
  cbor::Cursor cursor(item);
  cbor::Head head = cursor.head();
  value.item_ = item;
  value.form_ = StoreValue::Form::item;
  if (head.major == cbor::Major::tag) {
    value.form_ = head.value == store_frozen::tag_archive ? StoreValue::Form::archive : StoreValue::Form::item;
    head = cursor.head();
    value.payload_ = cursor.take(head.value);
  } else if (head.major == cbor::Major::bytes || head.major == cbor::Major::text) {
    value.form_ = head.major == cbor::Major::text ? StoreValue::Form::text : StoreValue::Form::bytes;
    value.payload_ = cursor.take(head.value);
  } else {
    value.payload_ = item;
  }
}

}  // namespace stele
