#include "codec/stored.hpp"

#include <algorithm>
#include <cassert>

namespace stele {

Intake::Intake(Source& stored, std::size_t most, bool whole)
    : stored_(stored), most_(most), random_access_(stored.random_access()), ahead_(random_access_ || whole) {
  if (random_access_) {
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

bool Intake::extend() {
  assert(ahead_);
  const std::size_t there = end_ - begin_;
  buffer_.resize(std::max(buffer_.size(), there + most_));
  std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_), buffer_.begin() + static_cast<std::ptrdiff_t>(end_),
            buffer_.begin());
  begin_ = 0;
  const std::size_t count = stored_.read(MutableBytes(buffer_).subspan(there, most_));
  end_ = there + count;
  taken_ += count;
  return count > 0;
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
  if (!random_access_) {
    assert(position == this->position() && (ahead_ || begin_ == end_));
    return;
  }
  if (taken_ != position) {
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
    const std::uint64_t end = offset + count;
    const bool falling = offset < window_offset_;
    window_offset_ = falling ? end - std::min<std::uint64_t>(end, window_size) : offset;
    window_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(window_size, size_ - window_offset_)));
    stored_.read_at(window_offset_, window_);
  }
  return window_.data() + (offset - window_offset_);
}

}  // namespace stele
