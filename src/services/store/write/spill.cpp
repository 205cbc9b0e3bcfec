#include "services/store/write/spill.hpp"

#include <algorithm>

namespace stele {
namespace {

constexpr std::size_t hashed_piece = std::size_t{256} << 10;  // hashed while it is in the cache before writing

}  // namespace

void Spill::begin(ShardAppender& appender, Bytes head, std::uint64_t most_length) {
  appender_ = &appender;
  most_length_ = most_length;
  passed_ = 0;
  hash_.reset();
  record_at_ = appender.begin(head);
}

void Spill::write(Bytes bytes) {
  if (appender_->position() + bytes.size() > most_length_) {
    throw Restart{};
  }
  for (std::size_t at = 0; at < bytes.size(); at += hashed_piece) {
    const Bytes piece = bytes.subspan(at, std::min(hashed_piece, bytes.size() - at));
    hash_.update(piece);
    appender_->piece(piece);
  }
  passed_ += bytes.size();
}

}  // namespace stele
