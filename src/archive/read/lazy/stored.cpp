#include "archive/read/lazy/stored.hpp"

#include <algorithm>
#include <cstring>

#include "archive/convert.hpp"
#include "base/checksum.hpp"
#include "base/threads/interruption.hpp"
#include "format/array/encoded.hpp"

namespace stele {
namespace {

constexpr std::uint64_t piece_bytes = std::uint64_t{1} << 20;
constexpr std::uint64_t most_piece_bytes = std::uint64_t{4} << 20;  // of compressed blocks, which may be larger

/// Elements that are stored as they are in memory, but for their byte order.
class PlainElements final : public StoredElements {
 public:
  PlainElements(StoredBytes bytes, const Decoder::ArrayItem& item)
      : StoredElements(item.header.dtype, item.big_endian), bytes_(std::move(bytes)) {}

  std::uint64_t worth_reading() const noexcept override {
    constexpr std::uint64_t pages = 8192;
    constexpr std::uint64_t of_a_block = 65536;  // which is decoded as a whole
    return (bytes_.compressed() ? of_a_block : pages) / dtype().item_size();
  }

 private:
  void read_bytes(std::uint64_t at, MutableBytes to) const override { bytes_.read(at, to); }
  std::uint64_t next_byte_cut(std::uint64_t at) const override { return bytes_.next_cut(at); }
  void will_read_bytes(std::uint64_t at, std::uint64_t size) const override { bytes_.will_read(at, size); }
  const std::byte* elements_in_place() const noexcept override { return as_in_memory() ? bytes_.memory() : nullptr; }

  const StoredBytes bytes_;
};

/// Elements that are stored in encoded blocks.
class EncodedElements final : public StoredElements {
 public:
  EncodedElements(StoredBytes bytes, const Decoder::ArrayItem& item)
      : StoredElements(item.header.dtype), bytes_(std::move(bytes)), encoding_(item.encoding), total_(item.bytes) {}

  std::uint64_t worth_reading() const noexcept override {
    constexpr std::uint64_t part = 65536;  // of a block that is decoded in parts
    const bool parts = bytes_.compressed() && !encoding_->delta;
    return (parts ? std::min(encoding_->block_size(), part) : encoding_->block_size()) / dtype().item_size();
  }

 private:
  struct Work {
    std::vector<std::byte> stored;
    std::vector<std::byte> plain;
    EncodingScratch scratch;
  };

  void read_bytes(std::uint64_t at, MutableBytes to) const override {
    const std::uint64_t size = encoding_->block_size();
    const auto work = works_.take();
    while (!to.empty()) {
      const std::uint64_t block = at / size;
      const std::uint64_t skip = at % size;
      const std::uint64_t in_block = std::min(size, total_ - block * size);
      const std::size_t taken = skip == 0 && in_block <= to.size() ? read_blocks(block, to, *work)
                                                                   : read_part(block, in_block, skip, to, *work);
      to = to.subspan(taken);
      at += taken;
    }
  }

  /// Decodes the whole blocks from `block` on that fit into `to`, and returns their bytes. They are read at once, so
  /// that compressed blocks are decompressed as a whole.
  std::size_t read_blocks(std::uint64_t block, MutableBytes to, Work& work) const {
    const std::uint64_t size = encoding_->block_size();
    const std::uint64_t stored_size = encoding_->block_stored_size();
    const std::uint64_t left = total_ - block * size;
    std::uint64_t taken = left <= to.size() ? left : to.size() - to.size() % size;
    taken = std::min(taken, std::max<std::uint64_t>(most_piece_bytes / stored_size, 1) * size);
    work.stored.resize(static_cast<std::size_t>(encoding_->stored_size(taken / encoding_->item_size)));
    bytes_.read(block * stored_size, work.stored);
    for (std::uint64_t done = 0; done < taken; done += size) {
      decode_block(*encoding_, work.stored.data() + done / size * stored_size,
                   std::min(size, taken - done) / encoding_->item_size, to.data() + done, work.scratch);
    }
    return static_cast<std::size_t>(taken);
  }

  /// Decodes what `to` wants from byte `skip` on of a block of `in_block` bytes, and returns its bytes.
  std::size_t read_part(std::uint64_t block, std::uint64_t in_block, std::uint64_t skip, MutableBytes to,
                        Work& work) const {
    const std::uint64_t size = encoding_->item_size;
    const std::uint64_t items = in_block / size;
    const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(in_block - skip, to.size()));
    // Compressed blocks are kept for many short reads; elsewhere each may be a request to a server.
    const std::uint64_t most_stretches = bytes_.compressed() ? 64 : 1;
    StoredPart part = stored_part(*encoding_, items, skip / size, (skip + taken + size - 1) / size - skip / size);
    if (part.stretches > most_stretches) {
      part = stored_part(*encoding_, items, 0, items);
    }
    work.stored.resize(static_cast<std::size_t>(part.stretches * part.size));
    for (std::uint64_t i = 0; i < part.stretches; ++i) {
      bytes_.read(block * encoding_->block_stored_size() + part.offset + i * part.distance,
                  MutableBytes(work.stored).subspan(i * part.size, part.size));
    }
    if (part.first * size == skip && part.count * size == taken) {
      decode_block(*encoding_, work.stored.data(), part.count, to.data(), work.scratch);
      return taken;
    }
    work.plain.resize(static_cast<std::size_t>(part.count * size));
    decode_block(*encoding_, work.stored.data(), part.count, work.plain.data(), work.scratch);
    std::memcpy(to.data(), work.plain.data() + (skip - part.first * size), taken);
    return taken;
  }

  std::uint64_t next_byte_cut(std::uint64_t at) const override {
    const std::uint64_t block = at / encoding_->block_size();
    const std::uint64_t stored = encoding_->block_stored_size();
    return std::max(block + 1, (bytes_.next_cut(block * stored) + stored - 1) / stored) * encoding_->block_size();
  }

  void will_read_bytes(std::uint64_t at, std::uint64_t size) const override {
    const std::uint64_t block = encoding_->block_size();
    const std::uint64_t items = (std::min(total_, (at + size + block - 1) / block * block)) / encoding_->item_size;
    const std::uint64_t from = at / block * encoding_->block_stored_size();
    bytes_.will_read(from, encoding_->stored_size(items) - from);
  }

  const StoredBytes bytes_;
  const std::shared_ptr<const Encoding> encoding_;
  const std::uint64_t total_;  // bytes of all elements
  mutable Pool<Work> works_;
};

class ElementsInMemory final : public StoredElements {
 public:
  ElementsInMemory(DType dtype, std::shared_ptr<Buffer> buffer)
      : StoredElements(std::move(dtype)), buffer_(std::move(buffer)) {}

  std::uint64_t worth_reading() const noexcept override { return buffer_->size(); }

 private:
  void read_bytes(std::uint64_t at, MutableBytes to) const override {
    std::memcpy(to.data(), buffer_->data() + at, to.size());
  }
  std::uint64_t next_byte_cut(std::uint64_t at) const override { return at + piece_bytes; }
  const std::byte* elements_in_place() const noexcept override { return buffer_->data(); }

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
    return (at / piece_bytes + 1) * piece_bytes;
  }
  const Decoder::Chunk& chunk = chunk_at(at);
  const std::uint64_t from = options_.start + chunk.offset + (at - chunk.first);
  return at + std::min(source_.next_cut(from) - from, most_piece_bytes);
}

void StoredBytes::will_read(std::uint64_t at, std::uint64_t size) const {
  if (size == 0 || memory_ != nullptr) {
    return;
  }
  const Decoder::Chunk& first = chunk_at(at);
  const Decoder::Chunk& last = chunk_at(at + size - 1);
  const std::uint64_t begin = first.offset + (at - first.first);
  const std::uint64_t end = last.offset + (at + size - last.first);
  if (begin < end && end - begin <= 2 * size) {
    source_.will_read(options_.start + begin, end - begin);
  }
}

// --- PieceCheck ------------------------------------------------------------------------------------------------------

PieceCheck::PieceCheck(const ArrayEntry& entry, std::string file, bool extend)
    : entry_(entry),
      file_(std::move(file)),
      extend_(extend),
      total_(entry.element_bytes()),
      piece_bytes_(entry.piece_checksums.empty() ? std::max<std::uint64_t>(total_, 1) : frozen::checked_piece_bytes),
      checked_(new std::atomic<bool>[std::max<std::size_t>(entry.piece_checksums.size(), 1)] {}) {}

std::uint64_t PieceCheck::end_of(std::size_t piece) const noexcept {
  return std::min(total_, (piece + 1) * piece_bytes_);
}

std::uint64_t PieceCheck::end_of_piece(std::uint64_t at) const noexcept {
  return std::min(total_, (at + piece_bytes_ - 1) / piece_bytes_ * piece_bytes_);
}

void PieceCheck::compare(std::size_t piece, std::uint64_t checksum) const {
  const std::uint64_t expected = entry_.piece_checksums.empty() ? entry_.checksum : entry_.piece_checksums[piece];
  if (checksum != expected) {
    entry_.fail_damaged(piece * piece_bytes_, end_of(piece), file_);
  }
  checked_[piece].store(true, std::memory_order_relaxed);
}

/// Checks a piece of any length in little memory.
void PieceCheck::check_long(std::size_t piece, const Read& read) const {
  const std::unique_lock lock = Waiting::lock(long_);
  if (checked_[piece]) {
    return;
  }
  Xxh3 hash;
  const auto part = pieces_.take();
  const std::uint64_t end = end_of(piece);
  for (std::uint64_t at = piece * piece_bytes_; at < end; at += part->size()) {
    part->resize(static_cast<std::size_t>(std::min(end - at, stele::piece_bytes)));
    read(at, *part);
    hash.update(*part);
  }
  compare(piece, hash.digest64());
}

void PieceCheck::read(std::uint64_t at, MutableBytes into, const Read& read) const {
  while (!into.empty()) {
    const auto first = static_cast<std::size_t>(at / piece_bytes_);
    std::size_t last = first;  // of those that are checked already
    while (last * piece_bytes_ < at + into.size() && checked_[last].load(std::memory_order_relaxed)) {
      ++last;
    }
    const std::uint64_t begin = first * piece_bytes_;
    const std::uint64_t end = end_of(last > first ? last - 1 : first);
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(end - at, into.size()));
    if (last > first) {
      read(at, into.first(count));
    } else if (count == end - begin) {
      read(at, into.first(count));
      compare(first, xxh3_64(into.first(count)));
    } else if (!extend_) {
      read(at, into.first(count));
    } else if (end - begin <= stele::piece_bytes) {
      const auto piece = pieces_.take();
      piece->resize(static_cast<std::size_t>(end - begin));
      read(begin, *piece);
      compare(first, xxh3_64(*piece));
      std::memcpy(into.data(), piece->data() + (at - begin), count);
    } else {
      check_long(first, read);
      continue;
    }
    at += count;
    into = into.subspan(count);
  }
}

// --- StoredElements --------------------------------------------------------------------------------------------------

StoredElements::StoredElements(DType dtype, bool big_endian)
    : dtype_(std::move(dtype)), big_endian_(big_endian), booleans_(has_booleans(dtype_)) {}

void StoredElements::read(std::uint64_t first, std::uint64_t count, std::byte* to) const {
  const std::uint64_t size = dtype_.item_size();
  const MutableBytes into(to, static_cast<std::size_t>(count * size));
  if (check_ != nullptr) {
    check_->read(first * size, into, [this](std::uint64_t at, MutableBytes part) { read_bytes(at, part); });
  } else {
    read_bytes(first * size, into);
  }
  if (big_endian_) {
    swap_elements(dtype_, to, count);
  }
  if (booleans_ && !booleans_are_valid(dtype_, to, count)) {
    fail(Errc::malformed, "an array of bool holds a byte other than 0 and 1");
  }
}

void StoredElements::will_read(std::uint64_t first, std::uint64_t count) const {
  const std::uint64_t size = dtype_.item_size();
  std::uint64_t begin = first * size;
  std::uint64_t end = begin + count * size;
  if (check_ != nullptr) {  // which reads whole pieces
    begin = begin / frozen::checked_piece_bytes * frozen::checked_piece_bytes;
    end = check_->end_of_piece(end);
  }
  will_read_bytes(begin, end - begin);
}

std::uint64_t StoredElements::next_cut(std::uint64_t first) const {
  const std::uint64_t size = dtype_.item_size();
  std::uint64_t cut = next_byte_cut(first * size);
  if (check_ != nullptr && check_->end_of_piece(cut) != cut) {
    // Parts end where pieces do; longer ones have fewer compressed blocks in common.
    cut = check_->end_of_piece((first * size / most_piece_bytes + 1) * most_piece_bytes);
  }
  return std::max(first + 1, cut / size);
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
