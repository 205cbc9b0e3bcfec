#include "interop/lines.hpp"

#include <algorithm>
#include <cstring>

#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t piece = std::size_t{64} << 10;

}  // namespace

std::optional<std::string_view> LineReader::next() {
  ++number_;
  std::size_t searched = 0;
  for (;;) {
    const char* const first = reinterpret_cast<const char*>(buffer_.data()) + at_;
    const std::size_t size = used_ - at_;
    const void* const feed = size > searched ? std::memchr(first + searched, '\n', size - searched) : nullptr;
    const std::size_t length =
        feed != nullptr ? static_cast<std::size_t>(static_cast<const char*>(feed) - first) : size;
    if (length > longest_) {
      fail(Errc::limit_exceeded, name() + ": more than " + std::to_string(longest_) + " bytes");
    }
    if (feed != nullptr || (ended_ && size > 0)) {
      const std::size_t taken = length + (feed != nullptr ? 1 : 0);
      at_ += taken;
      consumed_ += taken;
      return std::string_view(first, length);
    }
    if (ended_) {
      return std::nullopt;
    }
    searched = size;
    fill();
  }
}

void LineReader::fill() {
  if (at_ > 0) {
    used_ -= at_;
    std::memmove(buffer_.data(), buffer_.data() + at_, used_);
    at_ = 0;
  }
  if (buffer_.size() - used_ < piece) {
    buffer_.resize(std::max(2 * buffer_.size(), used_ + piece));
  }
  const std::size_t got = source_.read(MutableBytes(buffer_).subspan(used_));
  used_ += got;
  ended_ = got == 0;
}

}  // namespace stele
