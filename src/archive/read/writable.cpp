#include "archive/read/writable.hpp"

#include <algorithm>
#include <utility>

#include "base/checksum.hpp"

namespace stele {

WritableMapping::WritableMapping(std::shared_ptr<Mapping> mapping, Tail tail)
    : mapping_(std::move(mapping)), tail_(std::move(tail)), handed_out_(tail_.directory.arrays.size()) {}

WritableMapping::~WritableMapping() {
  if (process_.in_child()) {  // the parent does this
    return;
  }
  try {
    update();
  } catch (...) {  // only flush() reports errors
  }
}

std::size_t WritableMapping::index_of(std::uint64_t offset) const {
  const auto& all = tail_.directory.arrays;
  const auto entry = std::lower_bound(all.begin(), all.end(), offset,
                                      [](const ArrayEntry& e, std::uint64_t at) { return e.offset < at; });
  if (entry == all.end() || entry->offset != offset) {
    fail(Errc::damaged, "the directory does not list the array", {.offset = offset});
  }
  return static_cast<std::size_t>(entry - all.begin());
}

void WritableMapping::hand_out(std::uint64_t offset) {
  const std::lock_guard lock(mutex_);
  handed_out_[index_of(offset)] = true;
}

void WritableMapping::update() {
  process_.require_same_process("a file mapped to be written");
  const std::lock_guard lock(mutex_);
  bool changed = false;
  for (std::size_t i = 0; i < handed_out_.size(); ++i) {
    changed = (handed_out_[i] && update_array(i, 0, tail_.directory.arrays[i].length)) || changed;
  }
  finish(changed);
}

void WritableMapping::update(std::uint64_t offset, std::uint64_t first, std::uint64_t last) {
  process_.require_same_process("a file mapped to be written");
  const std::lock_guard lock(mutex_);
  finish(update_array(index_of(offset), first, last));
}

/// Returns whether a checksum changed.
bool WritableMapping::update_array(std::size_t index, std::uint64_t first, std::uint64_t last) {
  ArrayEntry& entry = tail_.directory.arrays[index];
  const Bytes elements = part(entry.offset, entry.length);
  ArrayChecksum checksum{entry.checksum, entry.piece_checksums};
  if (checksum.pieces.empty()) {
    checksum.whole = xxh3_64(elements);
  } else if (first < last) {
    constexpr std::uint64_t piece = frozen::checked_piece_bytes;
    for (std::uint64_t i = first / piece; i * piece < last; ++i) {
      const std::uint64_t size = std::min(piece, entry.length - i * piece);
      checksum.pieces[static_cast<std::size_t>(i)] =
          xxh3_64(elements.subspan(static_cast<std::size_t>(i * piece), static_cast<std::size_t>(size)));
    }
    checksum.whole = checksum_of(checksum.pieces);
  }
  if (checksum.whole == entry.checksum) {
    return false;
  }
  entry.set_checksum(std::move(checksum));
  patch_checksum(part(tail_.trailer.directory_offset, tail_.trailer.directory_length), index, entry);
  return true;
}

void WritableMapping::finish(bool changed) {
  if (changed) {
    Trailer& trailer = tail_.trailer;
    trailer.directory_checksum = xxh3_64(part(trailer.directory_offset, trailer.directory_length));
    trailer.structure_checksum = structure_checksum();
    const auto item = encode_trailer(trailer);
    std::copy(item.begin(), item.end(), part(trailer.total_length - item.size(), item.size()).begin());
  }
  mapping_->sync();
}

MutableBytes WritableMapping::part(std::uint64_t offset, std::uint64_t size) const {
  return mapping_->writable_bytes().subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
}

std::uint64_t WritableMapping::structure_checksum() const {
  Xxh3 hash;
  std::uint64_t at = 0;
  for (const ArrayEntry& entry : tail_.directory.arrays) {
    hash.update(part(at, entry.offset - at));
    at = entry.offset + entry.length;
  }
  hash.update(part(at, tail_.trailer.total_length - frozen::trailer_bytes - at));
  return hash.digest64();
}

std::shared_ptr<WritableMapping> make_writable(Opened& opened, const Tail& tail) {
  auto writable = std::make_shared<WritableMapping>(std::move(opened.mapping), tail);
  opened.mapping = std::shared_ptr<Mapping>(writable, &writable->mapping());
  opened.handed_out = [mapping = writable.get()](std::uint64_t offset) { mapping->hand_out(offset); };
  return writable;
}

}  // namespace stele
