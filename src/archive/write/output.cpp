#include "archive/write/output.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <system_error>
#include <utility>

#include "archive/linked/sink.hpp"
#include "base/threads/interruption.hpp"

namespace stele {
namespace {

constexpr std::size_t piece_bytes = std::size_t{frozen::checked_piece_bytes};
constexpr std::size_t parallel_bytes = std::size_t{4} << 20;  // for less, a thread costs more than it saves
constexpr std::size_t beside_bytes = std::size_t{256} << 10;  // the same for a thread that already runs
constexpr std::uint64_t behind_bytes = std::uint64_t{1} << 20;
constexpr std::size_t most_chunks = 2;
constexpr std::size_t handed_bytes = std::size_t{512} << 10;

}  // namespace

Output::Output(Sink& sink, CompressingSink* compressor, unsigned threads, bool behind)
    : sink_(sink),
      compressor_(compressor),
      linking_(dynamic_cast<LinkingSink*>(&sink)),
      threads_(threads),
      may_be_behind_(behind && threads > 1),
      chunk_(new std::byte[capacity]),
      buffer_(chunk_.get()) {}

void Output::restart() noexcept {
  used_ = 0;
  run_bytes_ = 0;
  if (sent_ == archive_start_) {
    return;  // nothing was sent since the last archive began
  }
  flushed_ = 0;
  archive_start_ = sent_;
  segment_bytes_ = 0;
  segments_.clear();
  structure_.reset();
  segment_.reset();
}

void Output::send(Bytes bytes) {
  sink_.write(bytes);
  count(bytes.size());
}

void Output::count(std::uint64_t sent) noexcept {
  flushed_ += sent;
  sent_ += sent;
}

void Output::hash_structure(Bytes bytes) {
  structure_.update(bytes);
  segment_.update(bytes);
  segment_bytes_ += bytes.size();
}

/// A segment may end at the end of a piece of structure. To check one, no reader should have to look around many
/// arrays.
void Output::end_piece(std::uint64_t end) {
  constexpr std::uint64_t longest = std::uint64_t{1} << 20;
  const std::uint64_t begin = segments_.empty() ? 0 : segments_.back().end;
  if (segment_bytes_ >= frozen::step_bytes || (segment_bytes_ > 0 && end - begin >= longest)) {
    segments_.push_back({end, segment_.digest64()});
    segment_.reset();
    segment_bytes_ = 0;
  }
}

void Output::flush() {
  if (behind_ != nullptr) {
    give_chunk();
    behind_->wait();
  }
  write_through();
  buffer_ = chunk_.get();
  run_bytes_ = 0;
}

void Output::end_block() {
  if (compressor_ != nullptr) {
    flush();
    compressor_->end_block();
  }
}

/// The other thread; null if there is none.
Behind* Output::other_thread() {
  if (behind_ == nullptr && threads_ > 1) {
    try {
      behind_ = make_process_owned<Behind>(most_chunks);
    } catch (const std::system_error&) {
      threads_ = 1;
    }
  }
  return behind_.get();
}

/// Hashes and writes the buffered bytes.
void Output::write_through() {
  if (used_ == 0) {
    return;
  }
  const Bytes bytes(buffer_, std::exchange(used_, 0));
  send(bytes);  // first: if it fails, restart() need not forget a hash
  hash_structure(bytes);
  end_piece(flushed_);
}

/// Called when the buffer is full: hashes and writes it. Long structure goes to another thread.
void Output::pass_on() {
  interruption_point();
  run_bytes_ += used_;
  if (!may_be_behind_ || run_bytes_ < behind_bytes) {
    write_through();
    return;
  }
  if (!is_behind_) {
    write_through();
    is_behind_ = may_be_behind_ = other_thread() != nullptr;
    if (is_behind_) {
      chunk_.reset(new std::byte[handed_bytes]);
      buffer_ = chunk_.get();
    }
    return;
  }
  pieces_.push_back(used_);
  count(used_);
  buffer_ += std::exchange(used_, 0);
  if (static_cast<std::size_t>(chunk_.get() + handed_bytes - buffer_) >= capacity) {
    return;
  }
  give_chunk();
  given_.push_back(std::move(chunk_));
  if (given_.size() > most_chunks) {
    chunk_ = std::move(given_.front());
    given_.erase(given_.begin());
  } else {
    chunk_.reset(new std::byte[handed_bytes]);
  }
  buffer_ = chunk_.get();
}

/// Passes the chunk to the other thread. Waking it for each piece would cost more than the work itself.
void Output::give_chunk() {
  if (pieces_.empty()) {
    return;
  }
  const Bytes bytes(chunk_.get(), buffer_);
  behind_->run([this, bytes, pieces = std::exchange(pieces_, {}), begin = flushed_ - bytes.size()] {
    std::size_t at = 0;
    for (const std::size_t size : pieces) {
      hash_structure(bytes.subspan(at, size));
      at += size;
      end_piece(begin + at);
    }
    sink_.write(bytes);
  });
}

void Output::structure(Bytes bytes) {
  if (bytes.empty()) {
    return;
  }
  if (bytes.size() <= capacity - used_) {
    std::memcpy(buffer_ + used_, bytes.data(), bytes.size());
    used_ += bytes.size();
    return;
  }
  // long strings go through the buffer, so that segments stay short
  while (!bytes.empty()) {
    if (used_ == capacity) {
      pass_on();
    }
    const std::size_t size = std::min(bytes.size(), capacity - used_);
    std::memcpy(buffer_ + used_, bytes.data(), size);
    used_ += size;
    bytes = bytes.subspan(size);
  }
}

void Output::announce(std::string_view path, std::uint64_t bytes) {
  if (linking_ != nullptr) {
    linking_->begin_array(path, bytes);
  }
}

ArrayChecksum Output::payload(Bytes bytes) {
  if (linking_ != nullptr) {
    return linked_payload(bytes);
  }
  if (compressor_ != nullptr && bytes.size() >= beside_bytes) {
    flush();
    ArrayChecksum checksum;
    compressor_->write_beside(bytes, [&] { checksum = array_checksum(bytes); });
    count(bytes.size());
    return checksum;
  }
  if (bytes.size() < parallel_bytes || other_thread() == nullptr) {
    begin_payload();
    for (std::size_t at = 0; at < bytes.size(); at += piece_bytes) {
      interruption_point();
      payload_piece(bytes.subspan(at, std::min(piece_bytes, bytes.size() - at)));
    }
    return end_payload();
  }
  flush();
  ArrayChecksum checksum;
  behind_->beside([&] { checksum = array_checksum(bytes); }, [&] { send(bytes); });
  return checksum;
}

ArrayChecksum Output::made_payload(std::uint64_t size, std::size_t unit, const MakeBytes& make,
                                   const std::function<ArrayChecksum()>& checksum) {
  flush();
  ArrayChecksum result;
  compressor_->write_made(size, unit, make, [&] { result = checksum(); });
  count(size);
  return result;
}

void Output::begin_payload() {
  flush();
  payload_.reset();
  linked_.clear();
  gathered_.clear();
}

void Output::payload_piece(Bytes bytes) {
  if (linking_ == nullptr) {
    payload_.update(bytes);
    send(bytes);
    return;
  }
  while (!bytes.empty()) {
    const std::size_t size = std::min(bytes.size(), piece_bytes - gathered_.size());
    gathered_.insert(gathered_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    bytes = bytes.subspan(size);
    if (gathered_.size() == piece_bytes) {
      linked_piece(gathered_, xxh3_64(gathered_));
      gathered_.clear();
    }
  }
}

ArrayChecksum Output::end_payload() { return linking_ != nullptr ? end_linked() : payload_.digest(); }

/// Checksums come first: they tell what need not be written. The other thread makes half of them.
ArrayChecksum Output::linked_payload(Bytes bytes) {
  begin_payload();
  const auto piece = [&](std::size_t index) {
    return bytes.subspan(index * piece_bytes, std::min(piece_bytes, bytes.size() - index * piece_bytes));
  };
  std::vector<std::uint64_t> checksums((bytes.size() + piece_bytes - 1) / piece_bytes);
  const auto hash = [&](std::size_t from, std::size_t to) {
    for (; from < to; ++from) {
      checksums[from] = xxh3_64(piece(from));
    }
  };
  if (bytes.size() < parallel_bytes || other_thread() == nullptr) {
    hash(0, checksums.size());
  } else {
    const std::size_t half = checksums.size() / 2;
    behind_->beside([&] { hash(half, checksums.size()); }, [&] { hash(0, half); });
  }
  for (std::size_t i = 0; i < checksums.size(); ++i) {
    interruption_point();
    linked_piece(piece(i), checksums[i]);
  }
  return end_linked();
}

void Output::linked_piece(Bytes piece, std::uint64_t checksum) {
  if (linking_->refer(linked_.size(), piece.size(), checksum)) {
    count(piece.size());
  } else {
    send(piece);
  }
  linked_.push_back(checksum);
}

ArrayChecksum Output::end_linked() {
  if (!gathered_.empty()) {
    linked_piece(gathered_, xxh3_64(gathered_));
    gathered_.clear();
  }
  if (linked_.size() == 1) {
    return {linked_[0], {}};
  }
  return {checksum_of(linked_), std::exchange(linked_, {})};
}

std::uint64_t Output::reserve(std::size_t size) {
  flush();
  const std::uint64_t at = flushed_;
  const std::vector<std::byte> blank(size);
  send(blank);
  return at;
}

void Output::fill(std::uint64_t at, Bytes bytes) {
  hash_structure(bytes);
  sink_.patch(archive_start_ + at, bytes);
}

std::uint64_t Output::structure_checksum() {
  flush();
  return structure_.digest64();
}

std::vector<SegmentEntry> Output::segments() {
  flush();
  std::vector<SegmentEntry> segments = segments_;
  if (!segments.empty() && segment_bytes_ > 0) {
    segments.push_back({flushed_, segment_.digest64()});
  } else if (!segments.empty()) {
    segments.back().end = flushed_;  // an array is last
  }
  return segments;
}

}  // namespace stele
