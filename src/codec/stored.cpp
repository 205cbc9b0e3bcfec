#include "codec/stored.hpp"

#include <algorithm>
#include <cassert>

namespace stele {

Intake::Intake(Source& stored, std::size_t most) : stored_(stored), most_(most), ahead_(stored.random_access()) {
  if (ahead_) {
    stored_.seek(0);
  }
}

bool Intake::fill(std::uint64_t limit) {
  assert(begin_ == end_ && limit > 0);
  const std::size_t want = ahead_ ? most_ : static_cast<std::size_t>(std::min<std::uint64_t>(limit, most_));
  if (buffer_.size() < want) {
    buffer_.resize(want);
  }
  begin_ = end_ = 0;
  end_ = stored_.read(MutableBytes(buffer_).first(want));
  taken_ += end_;
  return end_ > 0;
}

std::size_t Intake::take(MutableBytes into) {
  std::size_t done = 0;
  while (done < into.size()) {
    if (begin_ == end_ && !fill(into.size() - done)) {
      break;
    }
    const std::size_t count = std::min(into.size() - done, end_ - begin_);
    std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_), count,
                into.begin() + static_cast<std::ptrdiff_t>(done));
    begin_ += count;
    done += count;
  }
  return done;
}

bool Intake::skip(std::uint64_t count) {
  while (count > 0) {
    if (begin_ == end_ && !fill(count)) {
      return false;
    }
    const auto step = static_cast<std::size_t>(std::min<std::uint64_t>(count, end_ - begin_));
    begin_ += step;
    count -= step;
  }
  return true;
}

void Intake::settle(std::uint64_t position) {
  if (taken_ != position) {
    assert(ahead_);
    stored_.seek(position);
    taken_ = position;
  }
  begin_ = end_ = 0;
}

Peek::Peek(const Source& stored) : stored_(stored), size_(stored.size().value_or(0)), memory_(stored.memory()) {}

const std::byte* Peek::at(std::uint64_t offset, std::size_t count) {
  assert(count <= window_size && offset <= size_ && count <= size_ - offset);
  if (!memory_.empty()) {
    return memory_.data() + offset;
  }
  if (offset < window_offset_ || count > window_.size() || offset - window_offset_ > window_.size() - count) {
    window_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(window_size, size_ - offset)));
    window_offset_ = offset;
    stored_.read_at(offset, window_);
  }
  return window_.data() + (offset - window_offset_);
}

}  // namespace stele
