#include "stele/dtype.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <optional>

#include "stele/error.hpp"

namespace stele {
namespace {

struct KindName {
  DType::Kind kind;
  std::string_view name;
  std::string_view numpy;  // for little-endian elements
};

using K = DType::Kind;

constexpr std::array<KindName, 17> kind_names = {{
    {K::boolean, "bool", "|b1"},
    {K::int8, "int8", "|i1"},
    {K::int16, "int16", "<i2"},
    {K::int32, "int32", "<i4"},
    {K::int64, "int64", "<i8"},
    {K::uint8, "uint8", "|u1"},
    {K::uint16, "uint16", "<u2"},
    {K::uint32, "uint32", "<u4"},
    {K::uint64, "uint64", "<u8"},
    {K::float16, "float16", "<f2"},
    {K::bfloat16, "bfloat16", "bfloat16"},
    {K::float32, "float32", "<f4"},
    {K::float64, "float64", "<f8"},
    {K::complex64, "complex64", "<c8"},
    {K::complex128, "complex128", "<c16"},
    {K::float8_e4m3fn, "float8_e4m3fn", "float8_e4m3fn"},
    {K::float8_e5m2, "float8_e5m2", "float8_e5m2"},
}};

const KindName* find_kind(K kind) noexcept {
  const auto* at = std::find_if(kind_names.begin(), kind_names.end(), [kind](auto& k) { return k.kind == kind; });
  return at == kind_names.end() ? nullptr : at;
}

constexpr std::array<std::string_view, 14> unit_names = {"",  "Y",  "M",  "W",  "D",  "h",  "m",
                                                         "s", "ms", "us", "ns", "ps", "fs", "as"};

constexpr std::size_t deepest_record = 32;

/// The nesting depth of records, 0 for other types.
std::size_t record_depth(const DType& type) noexcept {
  if (!type.is_record()) {
    return 0;
  }
  std::size_t inner = 0;
  for (const DType::Field& field : type.fields()) {
    inner = std::max(inner, record_depth(field.type));
  }
  return inner + 1;
}

/// Parses decimal digits, at most 2^31 - 1; nothing for other text.
std::optional<std::uint32_t> parse_length(std::string_view digits) noexcept {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value > INT32_MAX) {
    return std::nullopt;
  }
  return value;
}

/// Parses what follows the m8 or M8 of a type: nothing, or a unit in brackets.
std::optional<TimeUnit> parse_unit(std::string_view text) noexcept {
  if (text.empty()) {
    return TimeUnit();
  }
  if (!text.starts_with('[') || !text.ends_with(']')) {
    return std::nullopt;
  }
  text = text.substr(1, text.size() - 2);
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto multiple = digits == 0 ? std::optional<std::uint32_t>(1) : parse_length(text.substr(0, digits));
  const auto* const name = std::find(unit_names.begin() + 1, unit_names.end(), text.substr(digits));
  if (!multiple || *multiple == 0 || name == unit_names.end()) {
    return std::nullopt;
  }
  return TimeUnit{static_cast<TimeUnit::Base>(name - unit_names.begin()), *multiple};
}

}  // namespace

std::string TimeUnit::text() const {
  const std::string name(unit_names[static_cast<std::size_t>(base)]);
  return multiple == 1 ? name : std::to_string(multiple) + name;
}

float16::float16(float value) noexcept {
  const auto whole = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = whole >> 16 & 0x8000;
  const std::uint32_t magnitude = whole & 0x7fffffff;
  std::uint32_t result = 0;
  if (magnitude > 0x7f800000) {  // NaN: the upper bits of the payload, never all zero
    const std::uint32_t payload = magnitude >> 13 & 0x3ff;
    result = 0x7c00 | (payload != 0 ? payload : 0x200);
  } else if (magnitude >= 0x47800000) {  // 2^16 and more
    result = 0x7c00;
  } else if (magnitude >= 0x38800000) {  // 2^-14 and more: normal, a carry may reach infinity
    const std::uint32_t rebased = magnitude - (112u << 23);
    result = (rebased + 0xfff + (rebased >> 13 & 1)) >> 13;
  } else if (magnitude > 0x33000000) {  // more than 2^-25: a multiple of 2^-24
    const std::uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000;
    const std::uint32_t shift = 126 - (magnitude >> 23);
    const std::uint32_t rest = mantissa & ((1u << shift) - 1);
    const std::uint32_t half = 1u << (shift - 1);
    result = mantissa >> shift;
    result += rest > half || (rest == half && (result & 1) != 0) ? 1 : 0;
  }
  bits = static_cast<std::uint16_t>(sign | result);
}

float16::operator float() const noexcept {
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  const std::uint32_t exponent = bits >> 10 & 0x1fu;
  const std::uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  const std::uint32_t widened = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | widened << 23 | mantissa << 13);
}

bfloat16::bfloat16(float value) noexcept {
  const auto whole = std::bit_cast<std::uint32_t>(value);
  if ((whole & 0x7fffffff) > 0x7f800000) {  // NaN: a payload only in the lower half would be lost
    const std::uint32_t upper = whole >> 16;
    bits = static_cast<std::uint16_t>((upper & 0x7f) != 0 ? upper : upper | 0x40);
    return;
  }
  bits = static_cast<std::uint16_t>((whole + 0x7fff + (whole >> 16 & 1)) >> 16);
}

bfloat16::operator float() const noexcept { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

DType DType::record(std::vector<Field> fields, std::uint32_t size) {
  std::vector<std::string_view> names;
  std::size_t depth = 0;
  for (const Field& field : fields) {
    if (field.name.empty()) {
      fail(Errc::invalid_argument, "a record has a field without a name");
    }
    if (field.type.kind() == Kind::none || field.count == 0) {
      fail(Errc::invalid_argument, "the record's field \"" + field.name + "\" has no elements");
    }
    const std::uint64_t item = field.type.item_size();  // each factor has 32 bits
    if (field.offset > size || item * field.count > size - field.offset) {
      fail(Errc::invalid_argument,
           "the record's field \"" + field.name + "\" ends after its " + std::to_string(size) + " bytes");
    }
    names.push_back(field.name);
    depth = std::max(depth, record_depth(field.type));
  }
  if (depth + 1 > deepest_record) {
    fail(Errc::invalid_argument, "records are nested more than " + std::to_string(deepest_record) + " deep");
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) {
    fail(Errc::invalid_argument, "the record has two fields \"" + std::string(*twice) + "\"");
  }
  return DType(Kind::record, size, std::make_shared<const std::vector<Field>>(std::move(fields)));
}

const std::vector<DType::Field>& DType::fields() const noexcept {
  static const std::vector<Field> none;
  return fields_ ? *fields_ : none;
}

std::string DType::name() const {
  switch (kind_) {
    case Kind::none:
      return "none";
    case Kind::bytes:
      return "bytes[" + std::to_string(size_) + "]";
    case Kind::utf32:
      return "utf32[" + std::to_string(size_ / 4) + "]";
    case Kind::record: {
      std::string text = "{";
      for (const Field& field : fields()) {
        text += (text.size() > 1 ? ", " : "") + field.name + ": " + field.type.name();
        if (field.count != 1) {
          text += "[" + std::to_string(field.count) + "]";
        }
      }
      return text + "}";
    }
    case Kind::duration:
    case Kind::time_point: {
      const std::string name = kind_ == Kind::duration ? "timedelta64" : "datetime64";
      return unit() == TimeUnit() ? name : name + "[" + unit().text() + "]";
    }
    default:
      return std::string(find_kind(kind_)->name);
  }
}

std::string DType::numpy() const {
  switch (kind_) {
    case Kind::bytes:
      return "|S" + std::to_string(size_);
    case Kind::utf32:
      return "<U" + std::to_string(size_ / 4);
    case Kind::duration:
    case Kind::time_point: {
      const std::string name = kind_ == Kind::duration ? "<m8" : "<M8";
      return unit() == TimeUnit() ? name : name + "[" + unit().text() + "]";
    }
    case Kind::none:
    case Kind::record:
      return "";
    default:
      return std::string(find_kind(kind_)->numpy);
  }
}

DType DType::from_numpy(std::string_view text, bool& big_endian) {
  std::string_view code = text;
  big_endian = false;
  if (!code.empty() && std::string_view("<>|=").find(code.front()) != std::string_view::npos) {
    big_endian = code.front() == '>' || (code.front() == '=' && std::endian::native == std::endian::big);
    code.remove_prefix(1);
  }
  if (code == "?") {
    return DType(Kind::boolean);
  }
  for (const KindName& kind : kind_names) {
    const bool has_order = kind.numpy.front() == '<' || kind.numpy.front() == '|';
    const std::string_view wanted = has_order ? kind.numpy.substr(1) : kind.numpy;
    const std::string_view found = has_order ? code : text;
    if (!found.empty() && found.front() == wanted.front() && found == wanted) {
      return DType(kind.kind);
    }
  }
  if (code.starts_with('S') || code.starts_with('U')) {
    const auto length = parse_length(code.substr(1));
    if (length && code.front() == 'S') {
      return fixed_bytes(*length);
    }
    if (length && *length <= INT32_MAX / 4) {
      return fixed_utf32(*length);
    }
  }
  if (code.starts_with("m8") || code.starts_with("M8")) {
    if (const auto unit = parse_unit(code.substr(2))) {
      return code.front() == 'm' ? duration(*unit) : time_point(*unit);
    }
  }
  fail(Errc::unsupported, "element type \"" + std::string(text.substr(0, 64)) + "\"");
}

bool operator==(const DType::Field& a, const DType::Field& b) noexcept {
  return a.name == b.name && a.type == b.type && a.offset == b.offset && a.count == b.count;
}
bool operator==(const DType& a, const DType& b) noexcept {
  return a.kind_ == b.kind_ && a.size_ == b.size_ && a.unit() == b.unit() &&
         (a.fields_ == b.fields_ || a.fields() == b.fields());
}

}  // namespace stele
