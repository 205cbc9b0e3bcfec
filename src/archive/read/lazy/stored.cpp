#include "archive/read/lazy/stored.hpp"

#include <algorithm>
#include <cstring>

#include "archive/convert.hpp"
#include "base/checksum.hpp"
#include "format/encoded_array.hpp"

namespace stele {
namespace {

constexpr std::uint64_t piece_bytes = std::uint64_t{1} << 20;
constexpr std::uint64_t most_piece_bytes = std::uint64_t{4} << 20;  // of compressed blocks, which may be larger

/// Elements that are stored as they are in memory, but for their byte order.
class PlainElements final : public StoredElements {
 public:
  PlainElements(StoredBytes bytes, const Decoder::ArrayItem& item)
      : StoredElements(item.header.dtype), bytes_(std::move(bytes)), big_endian_(item.big_endian) {}

  void read(std::uint64_t first, std::uint64_t count, std::byte* to) const override {
    const std::uint64_t size = dtype().item_size();
    bytes_.read(first * size, {to, static_cast<std::size_t>(count * size)});
    if (big_endian_) {
      swap_elements(dtype(), to, count);
    }
    if (has_booleans(dtype()) && !booleans_are_valid(dtype(), to, count)) {
      fail(Errc::malformed, "an array of bool holds a byte other than 0 and 1");
    }
  }
  std::uint64_t next_cut(std::uint64_t first) const override {
    return std::max(first + 1, bytes_.next_cut(first * dtype().item_size()) / dtype().item_size());
  }
  std::uint64_t worth_reading() const noexcept override {
    constexpr std::uint64_t pages = 8192;
    constexpr std::uint64_t of_a_block = 65536;  // which is decoded as a whole
    return (bytes_.compressed() ? of_a_block : pages) / dtype().item_size();
  }
  std::uint64_t checksum(std::uint64_t count) const override {
    Xxh3 hash;
    const std::uint64_t size = count * dtype().item_size();
    std::vector<std::byte> piece(static_cast<std::size_t>(std::min(size, piece_bytes)));
    for (std::uint64_t at = 0; at < size; at += piece.size()) {
      piece.resize(static_cast<std::size_t>(std::min(size - at, piece_bytes)));
      bytes_.read(at, piece);
      hash.update(piece);
    }
    return hash.digest64();
  }
  const std::byte* memory() const noexcept override {
    return big_endian_ || has_booleans(dtype()) ? nullptr : bytes_.memory();
  }

 private:
  const StoredBytes bytes_;
  const bool big_endian_;
};

/// Elements that are stored in encoded blocks.
class EncodedElements final : public StoredElements {
 public:
  EncodedElements(StoredBytes bytes, const Decoder::ArrayItem& item)
      : StoredElements(item.header.dtype),
        bytes_(std::move(bytes)),
        encoding_(item.encoding),
        per_element_(components_of(item.header.dtype).per_item),
        count_(item.header.shape.count() * per_element_) {}

  void read(std::uint64_t first, std::uint64_t count, std::byte* to) const override {
    const std::uint64_t block_items = encoding_->block_items;
    const auto work = works_.take();
    for (std::uint64_t at = first * per_element_, end = at + count * per_element_; at < end;) {
      const std::uint64_t block = at / block_items;
      const std::uint64_t skip = at % block_items;
      const std::uint64_t in_block = std::min(block_items, count_ - block * block_items);
      const std::uint64_t taken =
          skip == 0 && in_block <= end - at
              ? read_blocks(block, end - at, to, *work)
              : read_part(block, in_block, skip, std::min(in_block - skip, end - at), to, *work);
      to += taken * encoding_->item_size;
      at += taken;
    }
    if (has_booleans(dtype()) && !booleans_are_valid(dtype(), to - count * dtype().item_size(), count)) {
      fail(Errc::malformed, "an array of bool holds a byte other than 0 and 1");
    }
  }
  std::uint64_t next_cut(std::uint64_t first) const override {
    const std::uint64_t block = first * per_element_ / encoding_->block_items;
    const std::uint64_t stored = encoding_->block_stored_size();
    const std::uint64_t end = std::max(block + 1, (bytes_.next_cut(block * stored) + stored - 1) / stored);
    return std::max(first + 1, end * encoding_->block_items / per_element_);
  }
  std::uint64_t worth_reading() const noexcept override {
    constexpr std::uint64_t part = 65536;  // of a block that is decoded in parts
    const std::uint64_t items = encoding_->block_items;
    const bool parts = bytes_.compressed() && !encoding_->delta;
    return (parts ? std::min(items, part / encoding_->item_size) : items) / per_element_;
  }

 private:
  struct Work {
    std::vector<std::byte> stored;
    std::vector<std::byte> plain;
    EncodingScratch scratch;
  };

  /// Decodes whole blocks from `block` on, which lie in the next `count` components, and returns how many these are.
  /// They are read at once, so that compressed blocks are decompressed as a whole.
  std::uint64_t read_blocks(std::uint64_t block, std::uint64_t count, std::byte* to, Work& work) const {
    const std::uint64_t items = encoding_->block_items;
    const std::uint64_t stored_size = encoding_->block_stored_size();
    const std::uint64_t left = count_ - block * items;
    std::uint64_t taken = left <= count ? left : count - count % items;
    taken = std::min(taken, std::max<std::uint64_t>(most_piece_bytes / stored_size, 1) * items);
    work.stored.resize(static_cast<std::size_t>(encoding_->stored_size(taken)));
    bytes_.read(block * stored_size, work.stored);
    for (std::uint64_t done = 0; done < taken; done += items) {
      decode_block(*encoding_, work.stored.data() + done / items * stored_size, std::min(items, taken - done),
                   to + done * encoding_->item_size, work.scratch);
    }
    return taken;
  }

  /// Decodes `count` components of a block of `in_block` from its component `skip` on. Returns `count`.
  std::uint64_t read_part(std::uint64_t block, std::uint64_t in_block, std::uint64_t skip, std::uint64_t count,
                          std::byte* to, Work& work) const {
    const std::uint64_t size = encoding_->item_size;
    // Compressed blocks are kept for many short reads; elsewhere each may be a request to a server.
    const std::uint64_t most_stretches = bytes_.compressed() ? 64 : 1;
    StoredPart part = stored_part(*encoding_, in_block, skip, count);
    if (part.stretches > most_stretches) {
      part = stored_part(*encoding_, in_block, 0, in_block);
    }
    work.stored.resize(static_cast<std::size_t>(part.stretches * part.size));
    for (std::uint64_t i = 0; i < part.stretches; ++i) {
      bytes_.read(block * encoding_->block_stored_size() + part.offset + i * part.distance,
                  MutableBytes(work.stored).subspan(i * part.size, part.size));
    }
    if (part.count == count) {
      decode_block(*encoding_, work.stored.data(), count, to, work.scratch);
      return count;
    }
    work.plain.resize(static_cast<std::size_t>(part.count * size));
    decode_block(*encoding_, work.stored.data(), part.count, work.plain.data(), work.scratch);
    std::memcpy(to, work.plain.data() + (skip - part.first) * size, static_cast<std::size_t>(count * size));
    return count;
  }

  const StoredBytes bytes_;
  const std::shared_ptr<const Encoding> encoding_;
  const std::uint64_t per_element_;  // components
  const std::uint64_t count_;        // of components
  mutable Pool<Work> works_;
};

class ElementsInMemory final : public StoredElements {
 public:
  ElementsInMemory(DType dtype, std::shared_ptr<Buffer> buffer)
      : StoredElements(std::move(dtype)), buffer_(std::move(buffer)) {}
  void read(std::uint64_t first, std::uint64_t count, std::byte* to) const override {
    const std::uint64_t size = dtype().item_size();
    std::memcpy(to, buffer_->data() + first * size, static_cast<std::size_t>(count * size));
  }
  std::uint64_t next_cut(std::uint64_t first) const override {
    return first + std::max<std::uint64_t>(1, piece_bytes / dtype().item_size());
  }
  std::uint64_t worth_reading() const noexcept override { return buffer_->size(); }
  const std::byte* memory() const noexcept override { return buffer_->data(); }

 private:
  const std::shared_ptr<Buffer> buffer_;
};

}  // namespace

// --- StoredBytes -----------------------------------------------------------------------------------------------------

StoredBytes::StoredBytes(const Source& source, const Input::Options& options, const Decoder::ArrayPlace& place)
    : source_(source),
      options_(options),
      structure_(!place.listed),
      heads_unread_(place.heads_unread),
      chunks_(place.chunks) {
  const Bytes all = source.memory();
  if (chunks_.size() == 1 && !all.empty() && (!structure_ || options.segments == nullptr) && !heads_unread_) {
    memory_ = all.data() + options.start + chunks_.front().offset;
  }
}

const Decoder::Chunk& StoredBytes::chunk_at(std::uint64_t at) const {
  return *std::prev(std::upper_bound(chunks_.begin(), chunks_.end(), at,
                                     [](std::uint64_t place, const auto& chunk) { return place < chunk.first; }));
}

void StoredBytes::read(std::uint64_t at, MutableBytes into) const {
  if (into.empty()) {
    return;
  }
  for (const Decoder::Chunk* chunk = &chunk_at(at); !into.empty(); ++chunk) {
    const std::uint64_t skip = at - chunk->first;
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), chunk->size - skip));
    if (heads_unread_) {
      check_head(*chunk);
    }
    read_at(chunk->offset + skip, into.first(count));
    into = into.subspan(count);
    at += count;
  }
}

/// The directory may name other chunks than there are.
void StoredBytes::check_head(const Decoder::Chunk& chunk) const {
  std::byte expected[cbor::max_head];
  std::byte found[cbor::max_head];
  const std::byte* const end = cbor::put_head(expected, cbor::Major::bytes, chunk.size);
  const auto size = static_cast<std::size_t>(end - expected);
  read_at(chunk.offset - size, {found, size});
  if (!std::equal(expected, expected + size, found)) {
    fail(Errc::damaged, "the directory contradicts the pieces of the array", {.offset = chunk.offset - size});
  }
}

void StoredBytes::read_at(std::uint64_t offset, MutableBytes into) const {
  if (options_.stored_size && expands_too_much(offset, *options_.stored_size, options_.limits)) {
    fail(Errc::limit_exceeded,
         "the compressed data expands more than " + std::to_string(options_.limits.expansion) + " times");
  }
  if (structure_ && options_.segments != nullptr) {
    options_.segments->ensure(offset, offset + into.size());
  }
  source_.read_at(options_.start + offset, into);
}

std::uint64_t StoredBytes::next_cut(std::uint64_t at) const {
  if (!options_.stored_size || chunks_.empty()) {
    return at + piece_bytes;
  }
  const Decoder::Chunk& chunk = chunk_at(at);
  const std::uint64_t from = options_.start + chunk.offset + (at - chunk.first);
  return at + std::min(source_.next_cut(from) - from, most_piece_bytes);
}

// --- StoredElements --------------------------------------------------------------------------------------------------

std::uint64_t StoredElements::checksum(std::uint64_t count) const {
  Xxh3 hash;
  std::vector<std::byte> piece;
  for (std::uint64_t first = 0; first < count;) {
    const std::uint64_t end = std::min(next_cut(first), count);
    piece.resize(static_cast<std::size_t>((end - first) * dtype_.item_size()));
    read(first, end - first, piece.data());
    hash.update(piece);
    first = end;
  }
  return hash.digest64();
}

std::unique_ptr<StoredElements> stored_elements(const Source& source, const Input::Options& options,
                                                const Decoder::ArrayPlace& place) {
  StoredBytes bytes(source, options, place);
  if (place.item.encoding != nullptr) {
    return std::make_unique<EncodedElements>(std::move(bytes), place.item);
  }
  return std::make_unique<PlainElements>(std::move(bytes), place.item);
}

std::unique_ptr<StoredElements> elements_in_memory(DType dtype, std::shared_ptr<Buffer> buffer) {
  return std::make_unique<ElementsInMemory>(std::move(dtype), std::move(buffer));
}

}  // namespace stele
