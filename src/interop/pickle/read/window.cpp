#include "interop/pickle/read/window.hpp"

#include <algorithm>
#include <cstring>

#include "array/growing.hpp"

namespace stele::pickle {
namespace {

constexpr std::size_t window_bytes = std::size_t{128} << 10;
constexpr std::uint64_t growth = std::uint64_t{16} << 20;  // of strings whose length may be a lie

}  // namespace

Window::Window(Source& source, std::uint64_t most)
    : source_(source), most_(most), size_(source.size()), bytes_(window_bytes) {}

void Window::fail_truncated() { fail(Errc::truncated, "the pickle ends early"); }

bool Window::refill(std::size_t count) {
  const std::size_t have = left();
  if (have > 0) {
    std::memmove(bytes_.data(), at_, have);
  }
  at_ = bytes_.data();
  end_ = at_ + have;
  while (left() < count) {
    const std::size_t got = source_.read(std::span(bytes_).subspan(left()));
    if (got == 0) {
      return false;
    }
    end_ += got;
    end_offset_ += got;
  }
  return true;
}

std::string_view Window::line() {
  line_.clear();
  for (;;) {
    require(1);
    const auto* const end = static_cast<const std::byte*>(std::memchr(at_, '\n', left()));
    const std::byte* const stop = end == nullptr ? end_ : end;
    line_.append(reinterpret_cast<const char*>(at_), static_cast<std::size_t>(stop - at_));
    if (line_.size() > most_) {
      fail(Errc::limit_exceeded, "a line of " + std::to_string(line_.size()) + " bytes");
    }
    at_ = end == nullptr ? stop : stop + 1;
    if (end != nullptr) {
      return line_;
    }
  }
}

std::optional<std::uint64_t> Window::rest() const {
  const std::uint64_t here = position();
  return size_ ? std::optional(*size_ - std::min(*size_, here)) : std::nullopt;
}

void Window::expect_beyond(std::uint64_t count) const {
  if (count > most_) {
    fail(Errc::limit_exceeded, "a string or an array of " + std::to_string(count) + " bytes");
  }
  if (count > left() && size_ && count > *rest()) {
    fail_truncated();
  }
}

std::size_t Window::read(MutableBytes into) {
  if (left() > 0 || into.size() < window_bytes / 2) {
    if (into.empty() || at_end()) {
      return 0;
    }
    const std::size_t count = std::min(into.size(), left());
    std::memcpy(into.data(), at_, count);
    at_ += count;
    return count;
  }
  const std::size_t count = source_.read(into);
  end_offset_ += count;
  return count;
}

void Window::append_to(std::string& text, std::uint64_t count) {
  expect(count);
  while (count > 0) {
    const auto piece = static_cast<std::size_t>(std::min(count, growth));
    const std::size_t old = text.size();
    text.resize(old + piece);
    const MutableBytes into = std::as_writable_bytes(std::span(text)).subspan(old);
    for (std::size_t have = 0; have < piece;) {
      const std::size_t got = read(into.subspan(have));
      if (got == 0) {
        fail_truncated();
      }
      have += got;
    }
    count -= piece;
  }
}

std::shared_ptr<Buffer> Window::buffer(std::uint64_t count) {
  expect(count);
  const auto fill = [&](MutableBytes into) {
    for (std::size_t have = 0; have < into.size();) {
      const std::size_t got = read(into.subspan(have));
      if (got == 0) {
        fail_truncated();
      }
      have += got;
    }
  };
  if (size_ || count <= growth) {  // the length is known to be no lie, or does no harm
    std::shared_ptr<Buffer> whole = Buffer::allocate(static_cast<std::size_t>(count));
    fill({whole->mutable_data(), whole->size()});
    return whole;
  }
  GrowingBuffer growing;
  while (count > 0) {
    const auto piece = static_cast<std::size_t>(std::min(count, growth));
    fill(growing.add(piece));
    count -= piece;
  }
  return growing.take();
}

void Window::skip(std::uint64_t count) {
  if (size_ && count > *rest()) {
    fail_truncated();
  }
  const auto near = static_cast<std::size_t>(std::min<std::uint64_t>(count, left()));
  at_ += near;
  count -= near;
  if (count > 0 && source_.random_access()) {
    end_offset_ += count;
    source_.seek(end_offset_);
    return;
  }
  while (count > 0) {
    require(1);
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(count, left()));
    at_ += part;
    count -= part;
  }
}

}  // namespace stele::pickle
