// Arrays that stay in the file: found and passed over.

#include <algorithm>

#include "archive/convert.hpp"
#include "archive/read/decoder/decoder.hpp"
#include "archive/read/decoder/state.hpp"

namespace stele {
namespace {

constexpr std::uint64_t least_left = std::uint64_t{1} << 20;  // smaller arrays are read
constexpr std::uint64_t longest_header = std::uint64_t{64} << 10;

/// The order in which the elements of an array lie in one run; nothing where they do not.
std::optional<Order> order_of_run(const Decoder::ArrayPlace& place) {
  ArrayView view(place.item.header.dtype, nullptr, place.shape, Order::row_major);
  const auto size = static_cast<std::int64_t>(view.dtype.item_size());
  for (std::size_t axis = 0; axis < view.shape.rank(); ++axis) {
    view.strides[axis] = place.strides[axis] * size;
  }
  for (const Order order : {Order::row_major, Order::column_major}) {
    if (view.is_dense(order)) {
      return order;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<Value> Decoder::leave() {
  if (context_.leaving == nullptr || items_ != nullptr || listed_) {
    return std::nullopt;
  }
  prepare();
  if (next_is_reference()) {
    std::size_t size = 0;
    peek_head(size);
    const auto known = next_is_tag(frozen::tag_deferred) ? left_.end() : left_.find(peek_index(size));
    if (known == left_.end()) {
      return std::nullopt;
    }
    read_index();
    return known->second;
  }
  const std::optional<ArrayPlace> place = look_ahead();
  const std::optional<Order> order = place ? order_of_run(*place) : std::nullopt;
  if (!order) {
    return std::nullopt;
  }
  const ArrayHeader header{place->item.header.dtype, place->shape, *order};
  Value& value = left_at_[{place->item.data_offset, place->first, *order, header.shape.text()}];
  if (value.is_null()) {
    value = later_value(context_.leaving->leave(*place, header, place->view || !pending_shared_.empty(), path()));
  }
  for (const std::uint64_t index : std::exchange(pending_shared_, {})) {
    left_[index] = value;
    if (!place->view && place->item.definite) {
      bases_[index] = *place;
    }
  }
  for (const std::uint64_t index : place->item.shared) {
    bases_[index] = *place;
  }
  skip_value();
  return value;
}

class Decoder::StreamedArray final : public LaterArray {
 public:
  StreamedArray(Decoder& decoder, ArrayItem item)
      : LaterArray(item.header), decoder_(decoder), item_(std::move(item)) {}
  std::unique_ptr<Source> open() override {
    decoder_.begin_data(item_);
    return std::make_unique<Elements>(decoder_, item_);
  }
  bool in_any_order() const override { return false; }

 private:
  class Elements final : public ElementSource {
   public:
    Elements(Decoder& decoder, const ArrayItem& item)
        : ElementSource(item.header.shape.count(), item.header.dtype.item_size()), decoder_(decoder), item_(item) {}

   private:
    void next(std::uint64_t count, std::byte* to) override {
      const DType& dtype = item_.header.dtype;
      decoder_.read_data(item_, {to, static_cast<std::size_t>(count * dtype.item_size())});
      if (item_.big_endian) {
        swap_elements(dtype, to, count);
      }
      decoder_.check_booleans(dtype, to, count);
      if (count == left()) {
        decoder_.end_data(item_);
      }
    }
    Decoder& decoder_;
    const ArrayItem& item_;
  };

  Decoder& decoder_;
  const ArrayItem item_;
};

std::shared_ptr<LaterArray> Decoder::stream() {
  if (items_ != nullptr || listed_ || next_is_reference() || next_is_tag(frozen::tag_array_view)) {
    return nullptr;
  }
  ArrayItem item = read_array_header();
  if (!item.definite || !item.shared.empty() || item.bytes < least_left) {
    listed_ = std::move(item);
    return nullptr;
  }
  return std::make_shared<StreamedArray>(*this, std::move(item));
}

/// Whether the directory lists a large array whose header may begin here.
bool Decoder::large_array_follows() {
  if (context_.directory == nullptr) {
    return false;
  }
  const std::uint64_t at = in_->position();
  const auto& pieces = context_.directory->pieces;
  const auto piece = std::lower_bound(pieces.begin(), pieces.end(), at,
                                      [](const PiecesEntry& e, std::uint64_t offset) { return e.header < offset; });
  if (piece != pieces.end() && piece->header == at) {
    return true;
  }
  const auto& arrays = context_.directory->arrays;
  const auto array = std::lower_bound(arrays.begin(), arrays.end(), at,
                                      [](const ArrayEntry& e, std::uint64_t offset) { return e.offset < offset; });
  return array != arrays.end() && array->offset - at <= longest_header && array->element_bytes() >= least_left;
}

/// Where the elements of the next array lie, if it is large and they can be read there. Nothing is consumed. A view of
/// an array that was left needs no search for that, as there may be many.
std::optional<Decoder::ArrayPlace> Decoder::look_ahead() {
  const bool is_large = large_array_follows();
  const bool is_view = next_is_tag(frozen::tag_array_view);
  if (!is_large && (!is_view || bases_.empty())) {
    return std::nullopt;
  }
  Input::Options options = main_.options();
  options.hash = false;
  options.random = true;
  options.window = std::size_t{4} << 10;
  DecoderContext context;
  context.directory = context_.directory;
  context.verify = context_.verify;
  try {
    Decoding ahead(main_.source(), options, std::move(context));
    ahead.input.seek(in_->position());
    Decoder& there = ahead.decoder;
    there.begin_inside();
    there.shared_count_ = shared_count_;
    there.shared_count_known_ = shared_count_known_;
    ArrayPlace place;
    if (!is_view) {
      place = there.place_array();
    } else {
      there.begin_view();
      if (there.next_is_reference()) {
        const auto base = there.next_is_tag(frozen::tag_deferred) ? bases_.end() : bases_.find(there.read_index());
        if (base == bases_.end()) {
          return std::nullopt;
        }
        place = base->second;
      } else {
        there.place_item(there.read_array_header(), place);
        if (!is_large || place.whole || !place.item.definite) {
          return std::nullopt;
        }
        there.skip_data(place.item);
      }
      place.view = true;
      place.first = there.read_view(place.item.header.shape.count(), true, place.shape, place.strides);
    }
    const std::uint64_t least = std::max<std::uint64_t>(1, least_left / place.item.header.dtype.item_size());
    return !place.whole && place.shape.count() >= least ? std::optional(std::move(place)) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;  // the usual way finds it too, and names the place
  }
}

}  // namespace stele
