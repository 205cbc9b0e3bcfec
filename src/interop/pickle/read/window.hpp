#pragma once
// A window over a Source: small reads without a virtual call, large ones without a copy.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stele/array.hpp"
#include "stele/error.hpp"
#include "stele/io.hpp"

namespace stele::pickle {

class Window {
 public:
  /// `source` must outlive the window, which reads ahead. Offsets count from its position. `most` limits the bytes of
  /// one string.
  Window(Source& source, std::uint64_t most);

  std::uint64_t position() const noexcept { return end_offset_ - left(); }
  bool at_end() { return left() == 0 && !refill(1); }
  /// Up to `count` bytes, fewer at the end, which stay unread. Valid until the next call.
  Bytes peek(std::size_t count) {
    static_cast<void>(left() < count && refill(count));
    return {at_, left() < count ? left() : count};
  }

  // All below throw Error(truncated) where the source ends before.
  std::byte byte() {
    require(1);
    return *at_++;
  }
  /// The next bytes; valid until the next call. `count` is at most `largest_piece`.
  const std::byte* take(std::size_t count) {
    require(count);
    const std::byte* const bytes = at_;
    at_ += count;
    return bytes;
  }
  static constexpr std::size_t largest_piece = std::size_t{16} << 10;
  /// The line up to a line feed, which is consumed; without it. Valid until the next call.
  std::string_view line();
  /// Appends bytes; memory is taken as they come.
  void append_to(std::string& text, std::uint64_t count);
  /// Bytes in a Buffer; memory is taken as they come.
  std::shared_ptr<Buffer> buffer(std::uint64_t count);
  void skip(std::uint64_t count);
  /// As Source::read().
  std::size_t read(MutableBytes into);
  /// The bytes from here to the end of the source, if it knows its size.
  std::optional<std::uint64_t> rest() const;
  /// Fails unless there may be `count` bytes more.
  void expect(std::uint64_t count) const {
    if (count > most_ || count > left()) {
      expect_beyond(count);
    }
  }

 private:
  std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
  void require(std::size_t count) {
    if (left() < count && !refill(count)) [[unlikely]] {
      fail_truncated();
    }
  }
  [[noreturn]] static void fail_truncated();
  void expect_beyond(std::uint64_t count) const;
  /// Reads until `count` bytes lie in the window; whether there are as many.
  bool refill(std::size_t count);

  Source& source_;
  const std::uint64_t most_;
  const std::optional<std::uint64_t> size_;
  std::vector<std::byte> bytes_;
  std::string line_;
  const std::byte* at_ = nullptr;
  const std::byte* end_ = nullptr;
  std::uint64_t end_offset_ = 0;  // of end_, from where the source was at first
};

/// What follows in a window, as a Source.
class WindowSource final : public Source {
 public:
  /// `window` must outlive it.
  explicit WindowSource(Window& window) : window_(window) {}
  std::size_t read(MutableBytes into) override { return window_.read(into); }

 private:
  Window& window_;
};

}  // namespace stele::pickle
