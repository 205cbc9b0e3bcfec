#include "format/array/checksum.hpp"

#include <algorithm>
#include <bit>
#include <span>
#include <utility>

namespace stele {

static_assert(std::endian::native == std::endian::little);

std::uint64_t checksum_of(const std::vector<std::uint64_t>& pieces) noexcept {
  return xxh3_64(std::as_bytes(std::span(pieces)));
}

ArrayChecksum array_checksum(Bytes elements) {
  if (elements.size() <= frozen::checked_piece_bytes) {
    return {xxh3_64(elements)};
  }
  ArrayChecksum checksum;
  for (; !elements.empty(); elements = elements.subspan(std::min(elements.size(), frozen::checked_piece_bytes))) {
    checksum.pieces.push_back(xxh3_64(elements.first(std::min(elements.size(), frozen::checked_piece_bytes))));
  }
  checksum.whole = checksum_of(checksum.pieces);
  return checksum;
}

void ArrayHash::reset(bool in_one) {
  piece_.reset();
  in_one_ = in_one;
  used_ = 0;
  pieces_.clear();
}

void ArrayHash::update(Bytes bytes) {
  while (!bytes.empty()) {
    if (used_ == frozen::checked_piece_bytes) {
      end_piece();
    }
    const Bytes part = bytes.first(std::min<std::size_t>(bytes.size(), frozen::checked_piece_bytes - used_));
    piece_.update(part);
    if (in_one_ && !pieces_.empty()) {
      all_.update(part);
    }
    used_ += part.size();
    bytes = bytes.subspan(part.size());
  }
}

/// Called when bytes follow, so that the last piece is never empty.
void ArrayHash::end_piece() {
  if (in_one_ && pieces_.empty()) {
    all_.copy(piece_);
  }
  pieces_.push_back(piece_.digest64());
  piece_.reset();
  used_ = 0;
}

ArrayChecksum ArrayHash::digest() {
  ArrayChecksum checksum{piece_.digest64(), std::exchange(pieces_, {})};
  in_one_digest_ = checksum.whole;
  if (!checksum.pieces.empty()) {
    checksum.pieces.push_back(checksum.whole);
    checksum.whole = checksum_of(checksum.pieces);
    in_one_digest_ = in_one_ ? all_.digest64() : 0;
  }
  return checksum;
}

}  // namespace stele
