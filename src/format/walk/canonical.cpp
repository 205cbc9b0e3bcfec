// Unordered containers, ordered by the bytes of their keys, and memory to be filled.

#include <algorithm>
#include <cstring>

#include "array/huge_pages.hpp"
#include "base/stack.hpp"
#include "format/cursor.hpp"
#include "stele/walk.hpp"

namespace stele::walk {

using cbor::Major;

void prepare_memory(void* data, std::size_t bytes) noexcept { advise_huge_pages(data, bytes); }

namespace {

/// Writes a key as plain CBOR. An array is written as its elements; a key has no shared objects.
class KeyWriter final : public OutVisitor {
 public:
  explicit KeyWriter(std::vector<std::byte>& out) : out_(out) { canonical_ = true; }
  void null() override { byte(cbor::null_byte); }
  void boolean(bool value) override { byte(value ? cbor::true_byte : cbor::false_byte); }
  void integer(std::int64_t value) override {
    value < 0 ? out_.head(Major::negative, ~static_cast<std::uint64_t>(value))
              : out_.head(Major::natural, static_cast<std::uint64_t>(value));
  }
  void natural(std::uint64_t value) override { out_.head(Major::natural, value); }
  void real(float16 value) override { number<std::uint16_t>(cbor::info_16, value.bits); }
  void real(float value) override { number<std::uint32_t>(cbor::info_32, std::bit_cast<std::uint32_t>(value)); }
  void real(double value) override { number<std::uint64_t>(cbor::info_64, std::bit_cast<std::uint64_t>(value)); }
  void text(std::string_view value) override { out_.text(value); }
  void bytes(Bytes value) override {
    out_.head(Major::bytes, value.size());
    out_.raw(value);
  }
  void array(const ArrayView& value) override {
    out_.array(value.shape.rank());
    for (const std::uint64_t extent : value.shape) {
      out_.natural(extent);
    }
    std::vector<std::byte> elements(static_cast<std::size_t>(value.byte_count()));
    gather(value, Order::row_major, 0, value.shape.count(), elements.data());
    bytes(elements);
  }
  void begin_sequence(std::uint64_t count, Ordering) override {
    require_stack();
    out_.array(count);
  }
  void begin_map(std::uint64_t count, Ordering) override {
    require_stack();
    out_.map(count);
  }
  void begin_record(const RecordInfo& info) override {
    require_stack();
    out_.array(info.names.size());
  }
  void end() override {}
  bool begin_shared(const SharedOut&) override {
    require_stack();  // it may be a cycle
    return true;
  }
  void begin_typed(std::string_view name) override { out_.text(name); }

 private:
  static void require_stack() {
    if (stack_is_low()) {
      fail(Errc::limit_exceeded,
           "the key of an unordered container is nested too deep to be ordered, or contains itself");
    }
  }
  void byte(std::byte b) { out_.raw({&b, 1}); }
  template <class T>
  void number(std::uint8_t info, T bits) {
    std::byte raw[1 + sizeof(T)];
    raw[0] = cbor::first_byte(Major::simple, info);
    store_be<T>(raw + 1, bits);
    out_.raw(raw);
  }
  cbor::Builder out_;
};

}  // namespace

struct CanonicalOrder::State {
  struct Item {
    std::size_t first;
    std::size_t size;
    const void* item;
  };
  std::vector<std::byte> keys;
  std::vector<Item> items;
  KeyWriter writer{keys};
  std::size_t begun = 0;
};

CanonicalOrder::CanonicalOrder() : state_(std::make_unique<State>()) {}
CanonicalOrder::~CanonicalOrder() = default;

OutVisitor& CanonicalOrder::key() {
  state_->begun = state_->keys.size();
  return state_->writer;
}

void CanonicalOrder::add(const void* item) {
  state_->items.push_back({state_->begun, state_->keys.size() - state_->begun, item});
}

std::vector<const void*> CanonicalOrder::sorted() {
  const auto& keys = state_->keys;
  std::sort(state_->items.begin(), state_->items.end(), [&](const State::Item& a, const State::Item& b) {
    return std::lexicographical_compare(keys.begin() + static_cast<std::ptrdiff_t>(a.first),
                                        keys.begin() + static_cast<std::ptrdiff_t>(a.first + a.size),
                                        keys.begin() + static_cast<std::ptrdiff_t>(b.first),
                                        keys.begin() + static_cast<std::ptrdiff_t>(b.first + b.size));
  });
  std::vector<const void*> items;
  items.reserve(state_->items.size());
  for (const State::Item& item : state_->items) {
    items.push_back(item.item);
  }
  return items;
}

}  // namespace stele::walk
