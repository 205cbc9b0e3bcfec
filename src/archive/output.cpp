#include "archive/output.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>

namespace stele {
namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 20;
constexpr std::size_t parallel_bytes = std::size_t{4} << 20;  // below, a thread costs more than it saves
constexpr std::size_t beside_bytes = std::size_t{256} << 10;  // the same for a thread that is there

}  // namespace

Output::Output(Sink& sink, CompressingSink* compressor, unsigned threads)
    : sink_(sink), compressor_(compressor), threads_(threads), buffer_(new std::byte[capacity]) {}

void Output::restart() noexcept {
  used_ = 0;
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

void Output::flush() {
  if (used_ == 0) {
    return;
  }
  const Bytes bytes(buffer_.get(), used_);
  hash_structure(bytes);
  send(bytes);
  used_ = 0;
  if (segment_bytes_ >= frozen::step_bytes) {
    segments_.push_back({flushed_, segment_.digest64()});
    segment_.reset();
    segment_bytes_ = 0;
  }
}

void Output::structure(Bytes bytes) {
  if (bytes.empty()) {
    return;
  }
  if (bytes.size() <= capacity - used_) {
    std::memcpy(buffer_.get() + used_, bytes.data(), bytes.size());
    used_ += bytes.size();
    return;
  }
  // a long string: through the buffer, so that segments stay short
  while (!bytes.empty()) {
    if (used_ == capacity) {
      flush();
    }
    const std::size_t size = std::min(bytes.size(), capacity - used_);
    std::memcpy(buffer_.get() + used_, bytes.data(), size);
    used_ += size;
    bytes = bytes.subspan(size);
  }
}

std::uint64_t Output::payload(Bytes bytes) {
  if (compressor_ != nullptr && bytes.size() >= beside_bytes) {
    flush();
    std::uint64_t checksum = 0;
    compressor_->write_beside(bytes, [&] { checksum = xxh3_64(bytes); });
    count(bytes.size());
    return checksum;
  }
  if (threads_ < 2 || bytes.size() < parallel_bytes) {
    begin_payload();
    for (std::size_t at = 0; at < bytes.size(); at += piece_bytes) {
      payload_piece(bytes.subspan(at, std::min(piece_bytes, bytes.size() - at)));
    }
    return end_payload();
  }
  flush();
  std::uint64_t checksum = 0;
  {
    const std::jthread hasher([&] { checksum = xxh3_64(bytes); });
    send(bytes);
  }
  return checksum;
}

std::uint64_t Output::made_payload(std::uint64_t size, std::size_t unit, const MakeBytes& make,
                                   const std::function<std::uint64_t()>& checksum) {
  flush();
  std::uint64_t result = 0;
  compressor_->write_made(size, unit, make, [&] { result = checksum(); });
  count(size);
  return result;
}

void Output::begin_payload() {
  flush();
  payload_.reset();
}

void Output::payload_piece(Bytes bytes) {
  payload_.update(bytes);
  send(bytes);
}

std::uint64_t Output::end_payload() noexcept { return payload_.digest64(); }

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
  }
  return segments;
}

}  // namespace stele
