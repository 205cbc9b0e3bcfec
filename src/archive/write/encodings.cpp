// Encodes arrays before compression.

#include <algorithm>

#include "archive/write/encoder.hpp"
#include "base/threads/pool.hpp"
#include "format/array/encoded.hpp"
#include "format/frozen.hpp"

namespace stele {
namespace {

constexpr std::uint64_t least_encoded_bytes = std::uint64_t{16} << 10;  // smaller arrays gain too little

/// The elements as the encoding takes them: components in stored order.
Elements elements_of(const ArrayView& value, Order order, const Components& components) {
  Elements elements;
  elements.count = value.shape.count() * components.per_item;
  elements.item_size = components.size;
  elements.element_class = components.element_class;
  if (value.is_dense(order)) {
    elements.dense = Bytes(value.data, static_cast<std::size_t>(value.byte_count()));
  } else {
    elements.gather = [&value, order, per_item = components.per_item](std::uint64_t first, std::uint64_t count,
                                                                      std::byte* to) {
      const std::uint64_t begin = first / per_item;
      const std::uint64_t end = (first + count + per_item - 1) / per_item;
      const std::uint64_t item = value.dtype.item_size();
      if (first % per_item == 0 && count % per_item == 0) {
        stele::gather(value, order, begin, end - begin, to);
        return;
      }
      std::vector<std::byte> items(static_cast<std::size_t>((end - begin) * item));
      stele::gather(value, order, begin, end - begin, items.data());
      const std::uint64_t size = item / per_item;
      std::copy_n(items.begin() + static_cast<std::ptrdiff_t>((first - begin * per_item) * size), count * size, to);
    };
  }
  return elements;
}

/// Produces the stored bytes of an array, block by block, on any thread.
class ArrayEncoder {
 public:
  ArrayEncoder(const Encoding& encoding, const Elements& elements) : encoding_(encoding), elements_(elements) {}

  void operator()(std::uint64_t offset, MutableBytes into) {
    const auto scratch = scratch_.take();
    std::uint64_t first = offset / encoding_.stored_item_size;
    while (!into.empty()) {
      const std::uint64_t count =
          std::min<std::uint64_t>(into.size() / encoding_.stored_item_size, encoding_.block_items);
      const std::byte* from = nullptr;
      if (!elements_.dense.empty()) {
        from = elements_.dense.data() + first * encoding_.item_size;
      } else {
        scratch->gathered.resize(static_cast<std::size_t>(count * encoding_.item_size));
        elements_.gather(first, count, scratch->gathered.data());
        from = scratch->gathered.data();
      }
      encode_block(encoding_, from, count, into.data(), scratch->encoding);
      into = into.subspan(static_cast<std::size_t>(count * encoding_.stored_item_size));
      first += count;
    }
  }

 private:
  struct Scratch {
    std::vector<std::byte> gathered;
    EncodingScratch encoding;
  };
  const Encoding& encoding_;
  const Elements& elements_;
  Pool<Scratch> scratch_;
};

}  // namespace

std::optional<Encoding> Encoder::choose_encoding_of(const ArrayView& value, Order order) {
  if (compressor_ == nullptr || options_.filter == "none" || value.byte_count() < least_encoded_bytes ||
      value.dtype.item_size() > most_encoded_item_size) {
    return std::nullopt;
  }
  const Components components = components_of(value.dtype);
  const Elements elements = elements_of(value, order, components);
  Encoding encoding;
  if (options_.filter == "auto") {
    encoding = choose_encoding(elements, [&](Bytes sample) { return compressor_->trial(sample); });
  } else {
    encoding = plan_encoding(elements, options_.filter);
  }
  if (encoding.is_raw() || encoding.stored_size(elements.count) < frozen::listed_array_bytes) {
    return std::nullopt;
  }
  return encoding;
}

Encoder::Choice Encoder::choose_encoding_by(const ArrayView& sample, Order order) {
  const bool may_take_all = options_.filter.find("narrow") != std::string::npos ||  // it reads all elements
                            options_.filter.find("palette") != std::string::npos;
  if (compressor_ != nullptr && may_take_all) {
    return {std::nullopt, true};
  }
  std::optional<Encoding> encoding = choose_encoding_of(sample, order);
  if (encoding && encoding->first != Encoding::First::none) {
    return {std::nullopt, true};
  }
  return {std::move(encoding), false};
}

void Encoder::encoded_piece(const Encoding& encoding, const ArrayView& piece, Order order) {
  const Elements elements = elements_of(piece, order, components_of(piece.dtype));
  ArrayEncoder encoder(encoding, elements);
  out_.made_payload(
      encoding.stored_size(elements.count), static_cast<std::size_t>(encoding.block_stored_size()),
      [&](std::uint64_t offset, MutableBytes into) { encoder(offset, into); }, [] { return ArrayChecksum(); });
}

ArrayChecksum Encoder::encoded_payload(const Encoding& encoding, const ArrayView& value, Order order) {
  const Elements elements = elements_of(value, order, components_of(value.dtype));
  ArrayEncoder encoder(encoding, elements);
  return out_.made_payload(
      encoding.stored_size(elements.count), static_cast<std::size_t>(encoding.block_stored_size()),
      [&](std::uint64_t offset, MutableBytes into) { encoder(offset, into); },
      [&] {
        if (!elements.dense.empty()) {
          return array_checksum(elements.dense);
        }
        ArrayHash hash;
        hash.reset();
        std::vector<std::byte> piece;
        for (std::uint64_t first = 0; first < elements.count; first += encoding.block_items) {
          const std::uint64_t count = std::min(elements.count - first, encoding.block_items);
          piece.resize(static_cast<std::size_t>(count * elements.item_size));
          elements.gather(first, count, piece.data());
          hash.update(piece);
        }
        return hash.digest();
      });
}

}  // namespace stele
