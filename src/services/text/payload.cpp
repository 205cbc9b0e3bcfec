#include "services/text/payload.hpp"

#include "base/bytes.hpp"
#include "format/directory.hpp"
#include "format/frozen.hpp"
#include "format/typed_array.hpp"
#include "services/text/frozen.hpp"

namespace stele::state_text {

static_assert(text_frozen::label_bytes == frozen::label.size());

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

PayloadWriter::PayloadWriter(const TextSaveOptions& options) : bounds_{options.min, options.max}, options_(options) {
  if (options.level < 1 || options.level > 9) {
    fail(Errc::invalid_argument, "TextSaveOptions::level is from 1 to 9, not " + std::to_string(options.level));
  }
  if (options.min && options.max && *options.min > *options.max) {
    fail(Errc::invalid_argument, "TextSaveOptions::min is more than max");
  }
  check_bare(options);
  canonical_ = save_options_.canonical = options.canonical;
  types_ = save_options_.types = options.types;
  save_options_.threads = 1;
}

PayloadWriter::~PayloadWriter() = default;

void PayloadWriter::begin(const Root& root, const Again& again) {
  if (in_archive_) {
    encoder_.reset();  // it stands somewhere inside of another value
    in_archive_ = false;
  }
  root_ = root;
  again_ = again;
  counters_ = false;
  taken_ = false;
  buffers_.reset();
}

void PayloadWriter::begin_archive() {
  if (taken_) {
    fail(Errc::invalid_argument, "a text holds exactly one value");
  }
  archive_bytes_.clear();
  if (encoder_ == nullptr) {
    sink_ = memory_sink(archive_bytes_);
    encoder_ = std::make_unique<Encoder>(*sink_, nullptr, save_options_, false);
  }
  encoder_->begin({again_.walk, again_.value});
  in_archive_ = true;
}

void PayloadWriter::finish() {
  if (taken_) {
    bytes_ = integer_bytes_;
    return;
  }
  archive().finish();
  in_archive_ = false;
  // The value alone: without the directory and trailer after it, and a head instead of the label before it.
  const MutableBytes whole = archive_bytes_;
  const std::size_t trailer_at = whole.size() - frozen::trailer_bytes;
  const Trailer trailer = decode_trailer(Bytes(whole).last<frozen::trailer_bytes>(), trailer_at);
  const std::size_t head = options_.bare ? 0 : text_frozen::head_bytes;
  const MutableBytes kept =
      whole.first(static_cast<std::size_t>(trailer.directory_offset)).subspan(text_frozen::label_bytes - head);
  if (!options_.bare) {
    kept[0] = first_byte;
    kept[1] = std::byte{0};
  }
  bytes_ = kept;
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
    archive().array(value);
    return;
  }
  if (!in_archive_ && !taken_ && value.shape.rank() == 1 && (root_.integers || !options_.bare)) {
    put_root(value);
    taken_ = true;
    return;
  }
  Encoder& out = archive();
  if (value.buffer != nullptr && !bounds_.any() && shares_buffer(value.buffer)) {
    out.array(value);
    return;
  }
  const Order order = stored_order(value);
  const DType dtype = narrowest(value, order, bounds_);
  narrowed_.clear();
  put_integers(value, order, bounds_, dtype, narrowed_);
  out.array(ArrayView(dtype, narrowed_.data(), value.shape, order));
}

}  // namespace stele::state_text
