#pragma once
// The opcodes of pickles (Python's Lib/pickletools.py describes them), for the protocols 2 to 5.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "stele/io.hpp"
#include "stele/visitor.hpp"

namespace stele {

/// The opcodes that are written.
namespace opcode {
inline constexpr char mark = '(', stop = '.', pop = '0', pop_mark = '1', build = 'b', reduce = 'R', none = 'N';
inline constexpr char append = 'a', appends = 'e', setitem = 's', setitems = 'u', persistent_id = 'Q';
inline constexpr char empty_list = ']', empty_dict = '}', empty_tuple = ')', tuple = 't';
inline constexpr char tuple1 = '\x85', tuple2 = '\x86', tuple3 = '\x87';
inline constexpr char newobj = '\x81', newtrue = '\x88', newfalse = '\x89';
inline constexpr char empty_set = '\x8f', additems = '\x90', frozenset = '\x91', newobj_ex = '\x92';
}  // namespace opcode

/// The bits of a floating-point number as float64, which is exact.
std::uint64_t float64_bits(const Number& number) noexcept;

/// Writes opcodes with their arguments. Never writes frames: joblib's arrays must not lie in one.
class PickleStream {
 public:
  /// Passes all bytes of an object to a function, in pieces.
  using Pieces = std::function<void(const std::function<void(Bytes)>&)>;

  /// Without a Sink, bytes are only counted.
  PickleStream(Sink* to, unsigned protocol, std::uint64_t position);

  unsigned protocol() const noexcept { return protocol_; }
  bool counts_only() const noexcept { return to_ == nullptr; }
  /// In the file.
  std::uint64_t position() const noexcept { return passed_ + used_; }

  void op(char code) {
    make_room(1);
    buffer_[used_++] = code;
  }
  void boolean(bool value) { op(value ? opcode::newtrue : opcode::newfalse); }
  void natural(std::uint64_t value) { integer({Number::Type::natural, value}); }
  void integer(const Number& number);
  /// An integer of any size in hexadecimal digits, "-0x1f". False for other text, which is not written.
  bool integer(std::string_view hexadecimal);
  void real(const Number& number);
  /// A str. The bytes are UTF-8, which may have surrogates.
  void text(std::string_view text);
  /// A str that is likely to come again, such as an attribute's name. The text must outlive the stream.
  void name(std::string_view text);
  /// A bytes object.
  void bytes(Bytes bytes);
  /// The same, of `count` bytes; `pieces` may be called twice.
  void bytes(std::uint64_t count, const Pieces& pieces);
  /// Bytes that do not belong to the pickle.
  void raw(Bytes bytes);
  /// Where the elements of an array are passed over instead of written, as only their count matters.
  void skip(std::uint64_t count) { passed_ += count; }
  /// A class or function, by its name inside the module: "Outer.Inner". The module's name must outlive the stream.
  void global(std::string_view module, std::string_view name);
  /// One of Python's built-in classes and functions.
  void builtin(std::string_view name);
  /// Stores the top of the stack in the memo; get() pushes it again.
  std::uint32_t memoize();
  void get(std::uint32_t index);
  void extension(std::uint64_t code);

  /// Passes on what is left.
  void flush();

 private:
  static constexpr std::size_t capacity = std::size_t{256} << 10;
  static constexpr std::size_t name_slots = 4096;
  struct Name {
    std::string_view text;
    std::uint32_t memo = 0;
  };

  void make_room(std::size_t bytes) {
    if (capacity - used_ < bytes) {
      flush();
    }
  }
  template <class T>
  void little_endian(T value);
  void put(Bytes bytes);
  void put(std::string_view text) { put(std::as_bytes(std::span(text))); }
  void text_head(std::uint64_t bytes);

  Sink* const to_;
  const unsigned protocol_;
  std::uint64_t passed_;
  std::size_t used_ = 0;
  std::uint32_t memoized_ = 0;
  const std::unique_ptr<char[]> buffer_;
  std::vector<Name> names_;  // by hash; the newest stays, so that memory is bounded
  std::unordered_map<std::string, std::uint32_t> globals_;
};

}  // namespace stele
