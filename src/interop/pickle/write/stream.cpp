#include "interop/pickle/write/stream.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bytes.hpp"
#include "base/float_mode.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr char proto = '\x80', binint = 'J', binint1 = 'K', binint2 = 'M', long1 = '\x8a', long4 = '\x8b';
constexpr char binfloat = 'G', binunicode = 'X', short_binunicode = '\x8c', binunicode8 = '\x8d';
constexpr char binbytes = 'B', short_binbytes = 'C', binbytes8 = '\x8e';
constexpr char memoize_next = '\x94', binput = 'q', long_binput = 'r', binget = 'h', long_binget = 'j';
constexpr char global_lines = 'c', stack_global = '\x93', ext1 = '\x82', ext2 = '\x83', ext4 = '\x84';

constexpr std::size_t longest_head = 16;  // an opcode and its argument
constexpr std::size_t longest_name = 255;

std::string_view text_of(Bytes bytes) noexcept { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

[[noreturn]] void fail_size(const char* what, std::uint64_t bytes, unsigned protocol) {
  fail(Errc::unsupported, std::string(what) + " of " + std::to_string(bytes) + " bytes does not fit protocol " +
                              std::to_string(protocol) + " of pickles; protocol 4 holds it");
}

std::uint64_t high_bytes(Bytes bytes) noexcept {
  return static_cast<std::uint64_t>(
      std::count_if(bytes.begin(), bytes.end(), [](std::byte b) { return b >= std::byte{0x80}; }));
}

}  // namespace

std::uint64_t float64_bits(const Number& number) noexcept {
  if (number.type == Number::Type::float16) {
    const StandardFloats standard;
    float16 half;
    half.bits = static_cast<std::uint16_t>(number.bits);
    return widened_bits(std::bit_cast<std::uint32_t>(static_cast<float>(half)));
  }
  return number.type == Number::Type::float32 ? widened_bits(static_cast<std::uint32_t>(number.bits)) : number.bits;
}

PickleStream::PickleStream(Sink* to, unsigned protocol, std::uint64_t position)
    : to_(to), protocol_(protocol), passed_(position), buffer_(new char[capacity]), names_(name_slots) {
  op(proto);
  op(static_cast<char>(protocol));
}

void PickleStream::flush() {
  if (to_ != nullptr && used_ > 0) {
    to_->write(std::as_bytes(std::span(buffer_.get(), used_)));
  }
  passed_ += used_;
  used_ = 0;
}

template <class T>
void PickleStream::little_endian(T value) {
  store_le(reinterpret_cast<std::byte*>(buffer_.get() + used_), value);
  used_ += sizeof value;
}

void PickleStream::put(Bytes bytes) {
  if (bytes.size() > capacity / 4) {
    return raw(bytes);
  }
  make_room(bytes.size());
  if (!bytes.empty()) {
    std::memcpy(buffer_.get() + used_, bytes.data(), bytes.size());
  }
  used_ += bytes.size();
}

void PickleStream::raw(Bytes bytes) {
  if (bytes.size() <= capacity / 4) {
    return put(bytes);
  }
  flush();
  if (to_ != nullptr) {
    to_->write(bytes);
  }
  passed_ += bytes.size();
}

void PickleStream::integer(const Number& number) {
  make_room(longest_head);
  const std::uint64_t bits = number.bits;
  const bool negative = number.type == Number::Type::negative;
  if (!negative && bits <= 0xff) {
    op(binint1);
    little_endian(static_cast<std::uint8_t>(bits));
  } else if (!negative && bits <= 0xffff) {
    op(binint2);
    little_endian(static_cast<std::uint16_t>(bits));
  } else if (bits <= static_cast<std::uint64_t>(INT32_MAX)) {
    op(binint);
    little_endian(static_cast<std::uint32_t>(negative ? ~bits : bits));
  } else {  // the fewest bytes that have room for the sign
    const std::size_t width = static_cast<std::size_t>(std::bit_width(bits)) / 8 + 1;
    op(long1);
    little_endian(static_cast<std::uint8_t>(width));
    little_endian(negative ? ~bits : bits);
    little_endian(static_cast<std::uint8_t>(negative ? 0xff : 0));
    used_ -= 9 - width;
  }
}

bool PickleStream::integer(std::string_view hexadecimal) {
  const bool negative = hexadecimal.starts_with('-');
  hexadecimal.remove_prefix(negative ? 1 : 0);
  if (!hexadecimal.starts_with("0x") || hexadecimal.size() < 3) {
    return false;
  }
  hexadecimal.remove_prefix(2);
  std::string value(hexadecimal.size() / 2 + 1, '\0');  // little-endian, with room for the sign
  for (std::size_t i = 0; i < hexadecimal.size(); ++i) {
    const char c = hexadecimal[hexadecimal.size() - 1 - i];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) {
      return false;
    }
    value[i / 2] = static_cast<char>(static_cast<unsigned char>(value[i / 2]) | digit << (i % 2 == 0 ? 0 : 4));
  }
  bool carry = negative;
  for (char& byte : value) {
    byte = static_cast<char>(negative ? ~byte : byte);
    byte = static_cast<char>(byte + (carry ? 1 : 0));
    carry = carry && byte == 0;
  }
  const auto is_sign = [&](char byte, char below) {
    return byte == 0 ? static_cast<signed char>(below) >= 0 : byte == '\xff' && static_cast<signed char>(below) < 0;
  };
  while (value.size() > 1 && is_sign(value.back(), value[value.size() - 2])) {
    value.pop_back();
  }
  make_room(longest_head);
  if (value.size() <= 0xff) {
    op(long1);
    little_endian(static_cast<std::uint8_t>(value.size()));
  } else {
    if (value.size() > static_cast<std::size_t>(INT32_MAX)) {
      fail(Errc::unsupported, "an integer of " + std::to_string(value.size()) + " bytes fits no pickle");
    }
    op(long4);
    little_endian(static_cast<std::uint32_t>(value.size()));
  }
  put(value);
  return true;
}

void PickleStream::real(const Number& number) {
  make_room(longest_head);
  op(binfloat);
  little_endian(byteswap(float64_bits(number)));
}

void PickleStream::text_head(std::uint64_t bytes) {
  make_room(longest_head);
  if (bytes <= 0xff && protocol_ >= 4) {
    op(short_binunicode);
    little_endian(static_cast<std::uint8_t>(bytes));
  } else if (bytes <= UINT32_MAX) {
    op(binunicode);
    little_endian(static_cast<std::uint32_t>(bytes));
  } else {
    if (protocol_ < 4) {
      fail_size("a text", bytes, protocol_);
    }
    op(binunicode8);
    little_endian(bytes);
  }
}

void PickleStream::text(std::string_view text) {
  text_head(text.size());
  put(text);
}

void PickleStream::name(std::string_view text) {
  if (text.size() > longest_name) {
    return this->text(text);
  }
  Name& known = names_[std::hash<std::string_view>()(text) % name_slots];
  if (known.text.data() != nullptr && known.text == text) {
    return get(known.memo);
  }
  this->text(text);
  known = {text, memoize()};
}

void PickleStream::bytes(Bytes bytes) {
  this->bytes(bytes.size(), [&](const std::function<void(Bytes)>& take) { take(bytes); });
}

void PickleStream::bytes(std::uint64_t count, const Pieces& pieces) {
  if (protocol_ < 3) {
    // As Python does it: the bytes as a text of such characters, which is encoded when it is read.
    if (count == 0) {
      builtin("bytes");
      op(opcode::empty_tuple);
      return op(opcode::reduce);
    }
    global("_codecs", "encode");
    std::uint64_t size = count;
    if (!counts_only() || count > UINT32_MAX / 2) {
      pieces([&](Bytes piece) { size += high_bytes(piece); });
    }
    if (size > UINT32_MAX) {
      fail_size("an object", count, protocol_);
    }
    text_head(size);
    if (counts_only()) {
      skip(size);
    } else {
      pieces([&](Bytes piece) {
        for (const char c : text_of(piece)) {
          const auto byte = static_cast<unsigned char>(c);
          make_room(2);
          if (byte >= 0x80) {
            buffer_[used_++] = static_cast<char>(0xc0 | byte >> 6);
          }
          buffer_[used_++] = static_cast<char>(byte >= 0x80 ? 0x80 | (byte & 0x3f) : byte);
        }
      });
    }
    name("latin1");
    op(opcode::tuple2);
    return op(opcode::reduce);
  }
  make_room(longest_head);
  if (count <= 0xff) {
    op(short_binbytes);
    little_endian(static_cast<std::uint8_t>(count));
  } else if (count <= UINT32_MAX) {
    op(binbytes);
    little_endian(static_cast<std::uint32_t>(count));
  } else {
    if (protocol_ < 4) {
      fail_size("an object", count, protocol_);
    }
    op(binbytes8);
    little_endian(count);
  }
  if (counts_only()) {
    return skip(count);
  }
  pieces([&](Bytes piece) { put(piece); });
}

std::uint32_t PickleStream::memoize() {
  const std::uint32_t index = memoized_;
  if (index == UINT32_MAX) {
    fail(Errc::unsupported, "more shared objects and names than a pickle can refer to");
  }
  ++memoized_;
  make_room(longest_head);
  if (protocol_ >= 4) {
    op(memoize_next);
  } else if (index <= 0xff) {
    op(binput);
    little_endian(static_cast<std::uint8_t>(index));
  } else {
    op(long_binput);
    little_endian(index);
  }
  return index;
}

void PickleStream::get(std::uint32_t index) {
  make_room(longest_head);
  if (index <= 0xff) {
    op(binget);
    little_endian(static_cast<std::uint8_t>(index));
  } else {
    op(long_binget);
    little_endian(index);
  }
}

void PickleStream::builtin(std::string_view name) { global(protocol_ < 3 ? "__builtin__" : "builtins", name); }

void PickleStream::global(std::string_view module, std::string_view name) {
  std::string key(module);
  key.append("\n").append(name);
  if (const auto known = globals_.find(key); known != globals_.end()) {
    return get(known->second);
  }
  if (protocol_ >= 4) {
    this->name(module);
    text(name);
    op(stack_global);
  } else {
    if (module.find('\n') != std::string_view::npos || name.find('\n') != std::string_view::npos) {
      fail(Errc::unsupported, "a name of several lines does not fit protocol " + std::to_string(protocol_) +
                                  " of pickles; protocol 4 holds it");
    }
    const auto inner = static_cast<std::size_t>(std::count(name.begin(), name.end(), '.'));
    for (std::size_t i = 0; i < inner; ++i) {
      builtin("getattr");
    }
    std::size_t end = std::min(name.find('.'), name.size());
    op(global_lines);
    put(module);
    op('\n');
    put(name.substr(0, end));
    op('\n');
    while (end < name.size()) {
      name.remove_prefix(end + 1);
      end = std::min(name.find('.'), name.size());
      text(name.substr(0, end));
      op(opcode::tuple2);
      op(opcode::reduce);
    }
  }
  globals_.emplace(std::move(key), memoize());
}

void PickleStream::extension(std::uint64_t code) {
  if (code == 0 || code > static_cast<std::uint64_t>(INT32_MAX)) {
    fail(Errc::invalid_argument, "an extension code lies between 1 and 2147483647");
  }
  make_room(longest_head);
  if (code <= 0xff) {
    op(ext1);
    little_endian(static_cast<std::uint8_t>(code));
  } else if (code <= 0xffff) {
    op(ext2);
    little_endian(static_cast<std::uint16_t>(code));
  } else {
    op(ext4);
    little_endian(static_cast<std::uint32_t>(code));
  }
}

}  // namespace stele
