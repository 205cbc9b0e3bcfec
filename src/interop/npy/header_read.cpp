#include <algorithm>
#include <charconv>
#include <limits>

#include "format/text/utf8.hpp"
#include "interop/npy/npy.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr int deepest_record = 32;

[[noreturn]] void fail_header(const std::string& what) { fail(Errc::malformed, "a .npy header " + what); }

/// Scans the dict of a header: three keys in any order, spaced in any way, in either quotes, with or without a comma at
/// the end of whatever has items.
class HeaderScanner {
 public:
  HeaderScanner(std::string_view text, bool latin1) : text_(text), latin1_(latin1) {}

  NpyHeader header() {
    std::optional<Element> descr;
    std::optional<bool> fortran;
    std::optional<Shape> shape;
    expect('{');
    items('}', [&] {
      const std::string key = text();
      expect(':');
      if (key == "descr" && !descr) {
        descr = element(0);
      } else if (key == "fortran_order" && !fortran) {
        fortran = boolean();
      } else if (key == "shape" && !shape) {
        shape = tuple();
      } else {
        fail_header("with the key \"" + key.substr(0, 64) + "\", which is unknown or comes twice");
      }
    });
    if (!is_at_end()) {
      bad();
    }
    if (!descr || !fortran || !shape) {
      fail_header(std::string("without ") + (!descr ? "descr" : !shape ? "shape" : "fortran_order"));
    }
    const bool columns = *fortran && shape->rank() > 1;
    return {{descr->dtype, *shape, columns ? Order::column_major : Order::row_major},
            0,
            std::move(descr->swaps),
            has_objects_};
  }

 private:
  struct Element {
    DType dtype;
    std::vector<NpySwap> swaps;
  };

  [[noreturn]] void bad() const {
    fail_header("that is no literal of a dict of descr, fortran_order and shape, at its byte " + std::to_string(at_));
  }

  bool is_at_end() {
    at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
    return at_ == text_.size();
  }
  bool is_next(char c) { return !is_at_end() && text_[at_] == c; }
  bool take(char c) {
    const bool is_there = is_next(c);
    at_ += is_there ? 1 : 0;
    return is_there;
  }
  void expect(char c) {
    if (!take(c)) {
      bad();
    }
  }
  /// Whatever has items, after its bracket.
  template <class Item>
  void items(char close, Item item) {
    while (!take(close)) {
      item();
      if (!take(',')) {
        expect(close);
        return;
      }
    }
  }

  bool boolean() {
    is_at_end();
    for (const std::string_view word : {"True", "False"}) {
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return word == "True";
      }
    }
    bad();
  }

  std::uint64_t natural() {
    is_at_end();
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), number);
    if (error != std::errc()) {
      bad();
    }
    at_ = static_cast<std::size_t>(end - text_.data());
    take('L');  // as Python 2 wrote them
    return number;
  }

  Shape tuple() {
    Shape shape;
    expect('(');
    items(')', [&] { shape.push_back(natural()); });
    return shape;
  }

  std::string text() {
    const char quote = is_next('"') ? '"' : '\'';
    expect(quote);
    std::string out;
    for (char c = next(); c != quote; c = next()) {
      if (c == '\\') {
        append_utf8(out, escape());
      } else if (latin1_) {
        append_utf8(out, static_cast<unsigned char>(c));
      } else {
        out += c;
      }
    }
    return out;
  }
  char next() {
    if (at_ == text_.size()) {
      bad();
    }
    return text_[at_++];
  }
  std::uint32_t escape() {
    switch (const char c = next()) {
      case '\\':
      case '\'':
      case '"':
        return static_cast<unsigned char>(c);
      case 'n':
        return '\n';
      case 't':
        return '\t';
      case 'r':
        return '\r';
      case 'x':
        return hexadecimal(2);
      case 'u':
        return hexadecimal(4);
      case 'U':
        return hexadecimal(8);
      default:
        bad();
    }
  }
  std::uint32_t hexadecimal(std::size_t digits) {
    const std::string_view all = text_.substr(at_, digits);
    std::uint32_t point = 0;
    const auto [end, error] = std::from_chars(all.data(), all.data() + all.size(), point, 16);
    if (all.size() != digits || error != std::errc() || end != all.data() + digits || point > 0x10ffff ||
        (point >= 0xd800 && point < 0xe000)) {
      bad();
    }
    at_ += digits;
    return point;
  }

  /// A dtype: a text, or a list of fields.
  Element element(int depth) {
    if (take('[')) {
      return record(depth);
    }
    bool big_endian = false;
    const std::string code = text();
    if (code == "|O" || code == "O" || code == "|O8" || code == "|O4") {  // the last two of NumPy before 1.7
      has_objects_ = true;
      return {DType::Kind::uint64, {}};
    }
    Element one{DType::from_numpy(code, big_endian), {}};
    if (big_endian && one.dtype.item_size() > 1 && one.dtype.kind() != DType::Kind::bytes) {
      one.swaps.push_back({one.dtype, 0, 1});
    }
    return one;
  }

  /// Fields that lie one after the other: (name, dtype) or (name, dtype, count or shape). Those without a name are
  /// gaps.
  Element record(int depth) {
    constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
    if (depth == deepest_record) {
      bad();
    }
    std::vector<DType::Field> fields;
    std::vector<NpySwap> swaps;
    std::uint64_t offset = 0;
    items(']', [&] {
      expect('(');
      const std::string name = field_name();
      expect(',');
      if (name.empty()) {
        offset += std::min(gap(), most + 1);
      } else {
        const Element type = element(depth + 1);
        const std::uint64_t count = take(',') && !is_next(')') ? field_count() : 1;
        if (count == 0) {
          fail(Errc::unsupported, "a field that is an array of no elements");
        }
        if (count > most) {
          fail(Errc::limit_exceeded, "a field of " + std::to_string(count) + " elements");
        }
        if (type.dtype.is_record() && !type.swaps.empty() && count != 1) {
          fail(Errc::unsupported, "an array of records with big-endian numbers in a record");
        }
        for (const NpySwap& swap : type.swaps) {
          swaps.push_back({swap.dtype, offset + swap.offset, swap.count * count});
        }
        fields.push_back({name, type.dtype, static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(count)});
        offset += type.dtype.item_size() * count;
      }
      take(',');
      expect(')');
      if (offset > most) {
        fail(Errc::limit_exceeded, "an element of more than " + std::to_string(most) + " bytes");
      }
    });
    return {DType::record(std::move(fields), static_cast<std::uint32_t>(offset)), std::move(swaps)};
  }
  /// A name. A title beside it has no place in a DType.
  std::string field_name() {
    if (is_next('(')) {
      fail(Errc::unsupported, "a field with a title");
    }
    return text();
  }
  std::uint64_t field_count() {
    if (!is_next('(')) {
      return natural();
    }
    const Shape shape = tuple();
    if (shape.rank() > 1) {
      fail(Errc::unsupported, "a field that is an array of several dimensions");
    }
    return shape.count();
  }
  /// The bytes of '|V4'.
  std::uint64_t gap() {
    const std::string type = text();
    const char* const end = type.data() + type.size();
    std::uint64_t bytes = 0;
    if (!type.starts_with("|V")) {
      bad();
    }
    if (const auto [stop, error] = std::from_chars(type.data() + 2, end, bytes); error != std::errc() || stop != end) {
      bad();
    }
    return bytes;
  }

  const std::string_view text_;
  const bool latin1_;
  bool has_objects_ = false;
  std::size_t at_ = 0;
};

}  // namespace

NpyHeader parse_npy_header(std::string_view text, unsigned version) {
  if (version == 3 && !is_utf8(text)) {
    fail_header("that is no UTF-8");
  }
  return HeaderScanner(text, version < 3).header();
}

}  // namespace stele
