#pragma once
// Reads CBOR items from memory: the directory, dtypes, small headers. Checks every length; throws Error(malformed) or
// Error(truncated).

#include <cstdint>
#include <string>
#include <string_view>

#include "format/cbor.hpp"
#include "format/text/utf8.hpp"
#include "stele/error.hpp"
#include "stele/io.hpp"

namespace stele::cbor {

class Cursor {
 public:
  /// `base` is the offset of the first byte in the archive, for messages.
  explicit Cursor(Bytes bytes, std::uint64_t base = 0) noexcept
      : first_(bytes.data()), at_(bytes.data()), end_(bytes.data() + bytes.size()), base_(base) {}

  bool done() const noexcept { return at_ == end_; }
  std::uint64_t position() const noexcept { return base_ + static_cast<std::uint64_t>(at_ - first_); }
  std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }

  Head head() {
    if (at_ == end_) {
      short_input();
    }
    const auto first = static_cast<std::uint8_t>(*at_);
    Head head;
    head.major = static_cast<Major>(first >> 5);
    head.info = first & 31;
    const std::size_t size = head_bytes(head.info);
    if (size == 0) {
      bad("reserved CBOR head");
    }
    if (size > left()) {
      short_input();
    }
    head.value = argument(at_, size, head.info);
    at_ += size;
    return head;
  }

  std::uint64_t natural() { return expect(Major::natural, "an unsigned integer"); }
  /// The number of items; each takes at least one byte, so it is never more than the bytes left.
  std::uint64_t array() { return counted(Major::array, 1); }
  std::uint64_t map() { return counted(Major::map, 2); }
  /// Text, or a byte string, which stands for text that is not UTF-8.
  std::string_view text() {
    const std::uint64_t size = expect(next_is(Major::bytes) ? Major::bytes : Major::text, "a text string");
    const Bytes bytes = take(size);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  Bytes take(std::uint64_t size) {
    if (size > left()) {
      short_input();
    }
    const Bytes bytes(at_, static_cast<std::size_t>(size));
    at_ += size;
    return bytes;
  }
  bool next_is(Major major) const noexcept {
    return at_ != end_ && static_cast<std::uint8_t>(*at_) >> 5 == static_cast<std::uint8_t>(major);
  }
  /// Skips one item of any kind, nested at most `depth` deep.
  void skip(unsigned depth = 64);

  [[noreturn]] void bad(std::string_view what) const { fail(Errc::malformed, std::string(what), {{}, position()}); }

 private:
  [[noreturn]] void short_input() const { fail(Errc::truncated, "the input ends inside a value", {{}, position()}); }
  /// The argument of the next head, which must have type `major`.
  std::uint64_t expect(Major major, const char* what) {
    if (at_ != end_) {
      const unsigned value = static_cast<unsigned>(*at_) - (static_cast<unsigned>(major) << 5);
      if (value < info_8) {
        ++at_;
        return value;
      }
    }
    const Head found = head();
    if (found.major != major || found.indefinite()) {
      unexpected(what);
    }
    return found.value;
  }
  [[noreturn]] void unexpected(const char* what) const { bad(std::string("expected ") + what); }
  std::uint64_t counted(Major major, std::uint64_t least) {
    const std::uint64_t count = expect(major, major == Major::array ? "an array" : "a map");
    if (count > left() / least) {
      short_input();
    }
    return count;
  }

  const std::byte* first_;
  const std::byte* at_;
  const std::byte* end_;
  std::uint64_t base_;
};

inline void Cursor::skip(unsigned depth) {
  if (depth == 0) {
    fail(Errc::limit_exceeded, "values are nested too deeply", {{}, position()});
  }
  const Head item = head();
  if (item.indefinite()) {
    bad("an indefinite length");
  }
  switch (item.major) {
    case Major::bytes:
    case Major::text:
      take(item.value);
      break;
    case Major::array:
    case Major::map: {
      const std::uint64_t per_item = item.major == Major::map ? 2 : 1;
      if (item.value > left() / per_item) {
        short_input();
      }
      for (std::uint64_t i = 0; i < item.value * per_item; ++i) {
        skip(depth - 1);
      }
      break;
    }
    case Major::tag:
      skip(depth - 1);
      break;
    default:
      break;
  }
}

/// Appends CBOR to a vector.
class Builder {
 public:
  explicit Builder(std::vector<std::byte>& out) noexcept : out_(out) {}
  void head(Major major, std::uint64_t value) {
    std::byte bytes[max_head];
    out_.insert(out_.end(), bytes, put_head(bytes, major, value));
  }
  void wide(Major major, std::uint64_t value) {
    std::byte bytes[max_head];
    out_.insert(out_.end(), bytes, put_wide_head(bytes, major, value));
  }
  void natural(std::uint64_t value) { head(Major::natural, value); }
  void array(std::uint64_t count) { head(Major::array, count); }
  void map(std::uint64_t count) { head(Major::map, count); }
  void tag(std::uint64_t number) { head(Major::tag, number); }
  void text(std::string_view text) {
    head(is_utf8(text) ? Major::text : Major::bytes, text.size());
    raw(std::as_bytes(std::span(text)));
  }
  void raw(Bytes bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }

 private:
  std::vector<std::byte>& out_;
};

}  // namespace stele::cbor
