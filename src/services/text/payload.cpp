#include "services/text/payload.hpp"

#include "base/bytes.hpp"
#include "format/array/typed.hpp"
#include "services/text/frozen.hpp"

namespace stele::state_text {

namespace {
constexpr auto first_byte = static_cast<std::byte>(text_frozen::mark | text_frozen::version);
}  // namespace

/// Counts the arrays in each buffer.
class PayloadWriter::BufferCounter final : public ArrayScanner {
 public:
  BufferCounter(BufferMap<std::size_t>& counts, const TypeRegistry* types) : ArrayScanner(types), counts_(counts) {}
  void array(const ArrayView& value) override {
    if (value.buffer != nullptr) {
      ++counts_.at(value.buffer);
    }
  }

 private:
  BufferMap<std::size_t>& counts_;
};

PayloadWriter::PayloadWriter(const TextSaveOptions& options)
    : ItemWriter(SaveOptions{.threads = 1, .canonical = options.canonical, .types = options.types}),
      bounds_{options.min, options.max},
      options_(options) {
  if (options.level < 1 || options.level > 9) {
    fail(Errc::invalid_argument, "TextSaveOptions::level is from 1 to 9, not " + std::to_string(options.level));
  }
  if (options.min && options.max && *options.min > *options.max) {
    fail(Errc::invalid_argument, "TextSaveOptions::min is more than max");
  }
  check_bare(options);
}

void PayloadWriter::begin(const Root& root, const Again& again) {
  ItemWriter::begin({again.walk, again.value});
  root_ = root;
  again_ = again;
  counters_ = false;
  taken_ = false;
  buffers_.reset();
}

void PayloadWriter::finish() {
  if (taken_) {
    if (!at_start()) {
      fail(Errc::invalid_argument, "a text holds exactly one value");
    }
    bytes_ = integer_bytes_;
    return;
  }
  const std::size_t head = options_.bare ? 0 : text_frozen::head_bytes;
  const MutableBytes made = item(head);
  if (!options_.bare) {
    made[0] = first_byte;
    made[1] = std::byte{0};
  }
  bytes_ = made;
}

/// The array that the value is.
void PayloadWriter::put_root(const ArrayView& value) {
  integer_bytes_.clear();
  if (options_.bare) {
    const DType item = options_.item.value_or(value.dtype);
    put_integers(value, Order::row_major, bounds_, item, integer_bytes_);
    counters_ = item.item_size() == 1;
    return;
  }
  constexpr std::size_t most = text_frozen::head_bytes + text_frozen::base_bytes;
  integer_bytes_.resize(most);
  const IntegerForm form = split_integers(value, bounds_, integer_bytes_);
  // The base belongs there only where it is not 0.
  if (form.base == 0) {
    integer_bytes_.erase(integer_bytes_.begin(), integer_bytes_.begin() + text_frozen::base_bytes);
  } else {
    store_le<std::int64_t>(integer_bytes_.data() + text_frozen::head_bytes, form.base);
  }
  integer_bytes_[0] = first_byte;
  integer_bytes_[1] = static_cast<std::byte>(form.width | (form.base == 0 ? 0U : text_frozen::flag_base));
  counters_ = form.width == 1;
}

/// Whether other arrays lie in the same buffer, so that it is to be written once for all.
bool PayloadWriter::shares_buffer(const Buffer* buffer) {
  if (!buffers_) {
    buffers_.emplace();
    BufferCounter counter(*buffers_, types_);
    again_.walk(counter, again_.value);
    counter.finish();
  }
  return buffers_->at(buffer) > 1;
}

void PayloadWriter::array(const ArrayView& value) {
  if (!is_integer(value.dtype)) {
    Encoder::array(value);
    return;
  }
  if (at_start() && !taken_ && value.shape.rank() == 1 && (root_.integers || !options_.bare)) {
    put_root(value);
    taken_ = true;
    return;
  }
  if (value.buffer != nullptr && !bounds_.any() && shares_buffer(value.buffer)) {
    Encoder::array(value);
    return;
  }
  const Order order = stored_order(value);
  const DType dtype = narrowest(value, order, bounds_);
  narrowed_.clear();
  put_integers(value, order, bounds_, dtype, narrowed_);
  Encoder::array(ArrayView(dtype, narrowed_.data(), value.shape, order));
}

}  // namespace stele::state_text
