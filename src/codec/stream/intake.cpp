#include "codec/stream/intake.hpp"

#include <algorithm>
#include <array>
#include <cassert>

#include "stele/error.hpp"

namespace stele {

Intake::Way Intake::way(Source& stored, bool whole) {
  if (stored.random_access() || whole) {
    return Way::ahead;
  }
  return stored.peek({}) ? Way::peeking : Way::exact;
}

Intake::Intake(Source& stored, std::size_t most, bool whole)
    : stored_(stored), most_(most), random_access_(stored.random_access()), way_(way(stored, whole)) {
  if (random_access_) {
    stored_.seek(0);
  }
}

void Intake::unread(std::size_t count) noexcept {
  assert(count <= begin_ && count <= most_unread);
  begin_ -= count;
}

bool Intake::fill(std::uint64_t limit) {
  assert(begin_ == end_);
  return extend(limit);
}

bool Intake::extend(std::uint64_t limit) {
  assert(limit > 0);
  const std::size_t passed = begin_ - std::min(begin_, most_unread);
  if (passed > 0) {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(passed),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
    begin_ -= passed;
    end_ -= passed;
  }
  const std::size_t want = exact() ? static_cast<std::size_t>(std::min<std::uint64_t>(limit, most_)) : most_;
  if (buffer_.size() < end_ + want) {
    buffer_.resize(end_ + want);
  }
  const std::size_t count = get(MutableBytes(buffer_).subspan(end_, want));
  end_ += count;
  taken_ += count;
  return count > 0;
}

bool Intake::have(std::size_t size) {
  assert(ahead());
  if (ready().size() < size) {
    buffer_.reserve(begin_ + size + most_);  // growing step by step allocates more
  }
  while (ready().size() < size) {
    if (!extend(1)) {
      return false;
    }
  }
  return true;
}

std::size_t Intake::get(MutableBytes into) {
  if (way_ != Way::peeking) {
    return stored_.read(into);
  }
  take_until(taken_);
  return stored_.peek(into).value_or(0);
}

/// When peeking: consumes the bytes that were peeked at, which are in the buffer already.
void Intake::take_until(std::uint64_t position) {
  std::array<std::byte, 4096> scratch;
  while (source_at_ < position) {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(scratch.size(), position - source_at_));
    const std::size_t count = stored_.read(MutableBytes(scratch).first(want));
    if (count == 0) {
      fail(Errc::io, "the input ends before bytes that peek() returned");
    }
    source_at_ += count;
  }
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
    assert(position == this->position() && (!exact() || begin_ == end_));
    if (way_ == Way::peeking) {
      take_until(position);
      taken_ = position;
      begin_ = end_;
    }
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
