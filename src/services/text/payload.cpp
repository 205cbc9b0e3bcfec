#include "services/text/payload.hpp"

#include "format/directory.hpp"
#include "format/frozen.hpp"
#include "format/typed_array.hpp"

namespace stele::state_text {

static_assert(text_frozen::label_bytes == frozen::label.size());

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

PayloadWriter::PayloadWriter(const TextOptions& options) : bounds_(bounds_of(options)), options_(options) {
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
  form_.reset();
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
    bytes_ = plane_bytes_;
    return;
  }
  archive().finish();
  in_archive_ = false;
  // The value alone: without the label in front, and the directory and trailer behind.
  const Bytes whole = archive_bytes_;
  const std::size_t trailer_at = whole.size() - frozen::trailer_bytes;
  const Trailer trailer = decode_trailer(whole.last<frozen::trailer_bytes>(), trailer_at);
  bytes_ = whole.first(static_cast<std::size_t>(trailer.directory_offset)).subspan(text_frozen::label_bytes);
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
    if (options_.bare) {
      const RawForm raw = raw_form(options_, root_);
      raw_integers(value, bounds_, raw.width, raw.is_signed, plane_bytes_);
    } else {
      form_ = split_integers(value, bounds_, plane_bytes_);
    }
    taken_ = true;
    return;
  }
  Encoder& out = archive();
  if (value.buffer != nullptr && !bounds_.any() && shares_buffer(value.buffer)) {
    out.array(value);
    return;
  }
  const Order order = stored_order(value);
  const DType dtype = narrow_integers(value, order, bounds_, narrowed_);
  out.array(ArrayView(dtype, narrowed_.data(), value.shape, order));
}

}  // namespace stele::state_text
