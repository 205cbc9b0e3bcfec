// The compiled parts of the visitor interface: number conversions, the type registry, records, sets in canonical order.

#include "stele/visitor.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/bits.hpp"
#include "base/float_mode.hpp"
#include "format/array/boolean.hpp"
#include "format/path/path.hpp"
#include "format/path/tracer.hpp"
#include "stele/walk.hpp"

namespace stele {

std::string_view to_string(Kind kind) noexcept {
  static constexpr std::array<std::string_view, 10> names = {"null",  "boolean", "integer",  "real", "text",
                                                             "bytes", "array",   "sequence", "map",  "record"};
  return names[static_cast<std::size_t>(kind)];
}

std::shared_ptr<Buffer> ArrayTarget::grown(std::shared_ptr<Buffer> buffer, std::uint64_t bytes, std::uint64_t total,
                                           bool trusted) {
  const std::uint64_t have = buffer == nullptr ? 0 : buffer->size();
  if (buffer != nullptr && have >= (trusted ? total : bytes)) {
    return buffer;
  }
  std::shared_ptr<Buffer> larger;
  if (trusted || bytes > claimed_bytes) {
    try {
      larger = Buffer::allocate(static_cast<std::size_t>(total));
    } catch (const Error&) {
      if (trusted || bytes == total) {
        throw;
      }
      // not enough memory for the claimed size; the data may never arrive
    }
  }
  if (larger == nullptr) {
    larger = Buffer::allocate(static_cast<std::size_t>(std::min(total, std::max(bytes, 2 * have))));
  }
  if (have > 0) {
    std::memcpy(larger->mutable_data(), buffer->data(), static_cast<std::size_t>(have));
  }
  return larger;
}

void OutVisitor::plain_items(std::span<const PlainItem> items) {
  for (const PlainItem& item : items) {
    if (item.text != nullptr) {
      text(item.view());
      continue;
    }
    switch (item.type) {
      case Number::Type::natural:
        natural(item.bits);
        break;
      case Number::Type::negative:
        integer(static_cast<std::int64_t>(~item.bits));
        break;
      case Number::Type::float16:
        real(std::bit_cast<float16>(static_cast<std::uint16_t>(item.bits)));
        break;
      case Number::Type::float32:
        real(std::bit_cast<float>(static_cast<std::uint32_t>(item.bits)));
        break;
      case Number::Type::float64:
        real(std::bit_cast<double>(item.bits));
    }
  }
}

void OutVisitor::bits(Bytes packed, std::uint64_t count) {
  std::vector<std::byte> elements(static_cast<std::size_t>(count));
  unpack_bits(packed.data(), count, elements.data());
  array(ArrayView(DType::Kind::boolean, elements.data(), count));
}

std::byte* BooleanArray::memory(const ArrayHeader&, std::uint64_t bytes, std::uint64_t total, bool trusted) {
  buffer_ = grown(std::move(buffer_), bytes, total, trusted);
  count_ = total;
  return buffer_->mutable_data();
}

void BooleanArray::finish() {
  if (buffer_ != nullptr) {
    share(ArrayView(DType::Kind::boolean, buffer_->data(), count_), buffer_);
  }
}

bool BooleanArray::share(const ArrayView& view, const std::shared_ptr<Buffer>&) {
  const std::uint64_t count = view.shape[0];
  target_.begin(count, true);
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min(count, boolean_piece)));
  for (std::uint64_t first = 0; first < count; first += piece.size()) {
    piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(count - first, piece.size())));
    gather(view, Order::row_major, first, piece.size(), piece.data());
    target_.append(piece);
  }
  return true;
}

void InVisitor::booleans(BooleanTarget& target) {
  BooleanArray elements(target);
  array(elements);
  elements.finish();
}

std::size_t InVisitor::peek_plain_items(std::span<const PlainItem::Kind>, std::span<PlainItem>) { return 0; }
void InVisitor::take_plain_items(std::size_t) {}
std::size_t InVisitor::peek_plain_values(std::span<const std::string_view>, std::span<PlainPart>) { return 0; }
void InVisitor::take_plain_values(std::size_t) {}
void InVisitor::defer(std::uint64_t, SharedLater) {
  error(Errc::unsupported, "this reader cannot read an object later");
}

namespace {

using Type = Number::Type;
__extension__ using Wide = unsigned __int128;

// Works on bits: the floating-point unit may flush subnormal numbers or round differently.

std::uint32_t half_bits(const Number& number) noexcept {
  return std::bit_cast<std::uint32_t>(
      static_cast<float>(std::bit_cast<float16>(static_cast<std::uint16_t>(number.bits))));
}

double float_value(const Number& number) noexcept {
  switch (number.type) {
    case Type::float16:
      return std::bit_cast<double>(widened_bits(half_bits(number)));
    case Type::float32:
      return std::bit_cast<double>(widened_bits(static_cast<std::uint32_t>(number.bits)));
    default:
      return std::bit_cast<double>(number.bits);
  }
}

[[noreturn]] void no_integer(const Number& number, InVisitor& in) {
  in.error(Errc::type_mismatch, "expected an integer, found the number " + number_text(number));
}

[[noreturn]] void out_of_range(const Number& number, const std::string& what, InVisitor& in) {
  in.error(Errc::out_of_range, "the stored number " + number_text(number) + " does not fit " + what);
}

bool is_float(const Number& number) noexcept { return number.type != Type::natural && number.type != Type::negative; }

/// An integer as a double, if it is exactly representable.
std::optional<double> exact_double(const Number& number) noexcept {
  if (number.type == Type::negative && number.bits == ~std::uint64_t{0}) {
    return -18446744073709551616.0;
  }
  const std::uint64_t magnitude = number.type == Type::negative ? number.bits + 1 : number.bits;
  if (magnitude == 0) {
    return 0.0;  // clang's conversion gives a negative zero in round-down mode
  }
  const auto value = static_cast<double>(magnitude);
  if (value >= 18446744073709551616.0 || static_cast<std::uint64_t>(value) != magnitude) {
    return std::nullopt;
  }
  return number.type == Type::negative ? -value : value;
}

}  // namespace

std::int64_t to_signed(const Number& number, std::int64_t lowest, std::int64_t highest, InVisitor& in) {
  if (is_float(number)) {
    no_integer(number, in);
  }
  const bool negative = number.type == Type::negative;
  if (number.bits > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    out_of_range(number, "this integer type", in);
  }
  const auto value = negative ? -1 - static_cast<std::int64_t>(number.bits) : static_cast<std::int64_t>(number.bits);
  if (value < lowest || value > highest) {
    out_of_range(number, "an integer from " + std::to_string(lowest) + " to " + std::to_string(highest), in);
  }
  return value;
}

std::uint64_t to_unsigned(const Number& number, std::uint64_t highest, InVisitor& in) {
  if (is_float(number)) {
    no_integer(number, in);
  }
  if (number.type == Type::negative || number.bits > highest) {
    out_of_range(number, "an integer from 0 to " + std::to_string(highest), in);
  }
  return number.bits;
}

double to_double(const Number& number, InVisitor& in) {
  if (is_float(number)) {
    return float_value(number);
  }
  const std::optional<double> value = exact_double(number);
  if (!value) {
    out_of_range(number, "a float64 exactly", in);
  }
  return *value;
}

float to_float(const Number& number, InVisitor& in) {
  if (number.type == Type::float32) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(number.bits));
  }
  if (number.type == Type::float16) {
    return std::bit_cast<float>(half_bits(number));
  }
  const std::optional<std::uint32_t> narrow = narrowed_bits(std::bit_cast<std::uint64_t>(to_double(number, in)));
  if (!narrow) {
    out_of_range(number, "a float32 exactly", in);
  }
  return std::bit_cast<float>(*narrow);
}

namespace {

/// Short: float16 or bfloat16.
template <class Short>
Short to_short(const Number& number, const char* what, InVisitor& in) {
  const float value = to_float(number, in);
  const Short narrow(value);
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const bool nan = (bits & 0x7fffffffU) > 0x7f800000U;
  if (!nan && std::bit_cast<std::uint32_t>(static_cast<float>(narrow)) != bits) {
    out_of_range(number, what, in);
  }
  return narrow;
}

}  // namespace

float16 to_float16(const Number& number, InVisitor& in) {
  if (number.type == Type::float16) {
    return std::bit_cast<float16>(static_cast<std::uint16_t>(number.bits));
  }
  return to_short<float16>(number, "a float16 exactly", in);
}

bfloat16 to_bfloat16(const Number& number, InVisitor& in) {
  return to_short<bfloat16>(number, "a bfloat16 exactly", in);
}

// --- Times -----------------------------------------------------------------------------------------------------------

Rescale::Rescale(TimeUnit::Length from, TimeUnit::Length to) noexcept : from_(from), to_(to) {
  const Wide up = Wide{from.numerator} * to.denominator;
  const Wide down = Wide{from.denominator} * to.numerator;
  Wide divisor = up;
  for (Wide b = down; b != 0;) {
    const Wide rest = divisor % b;
    divisor = b;
    b = rest;
  }
  const auto narrow = [&](Wide term) {
    term /= divisor;
    return term >> 64 == 0 ? static_cast<std::uint64_t>(term) : 0;
  };
  up_ = narrow(up);
  down_ = narrow(down);
}

bool Rescale::operator()(std::int64_t count, std::int64_t& result) const noexcept {
  constexpr std::int64_t no_time = std::numeric_limits<std::int64_t>::min();
  if (same() || count == 0) {
    result = count;
    return true;
  }
  if (up_ == 0 || down_ == 0 || count == no_time) {
    return false;
  }
  if (down_ == 1) {
    return up_ <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) &&
           !__builtin_mul_overflow(count, static_cast<std::int64_t>(up_), &result) && result != no_time;
  }
  __extension__ using Signed = __int128;
  const Signed product = Signed{count} * Signed{up_};
  result = static_cast<std::int64_t>(product / Signed{down_});
  return product % Signed{down_} == 0 && product / Signed{down_} == result && result != no_time;
}

double Rescale::operator()(double count) const noexcept {
  if (same()) {
    return count;
  }
  const volatile double stored = count;  // keeps the arithmetic inside the scope of the standard mode
  const StandardFloats standard;
  const long double up = static_cast<long double>(from_.numerator) * static_cast<long double>(to_.denominator);
  const long double down = static_cast<long double>(from_.denominator) * static_cast<long double>(to_.numerator);
  const volatile double result = static_cast<double>(static_cast<long double>(stored) * up / down);
  return result;
}

Number rescaled(const Number& number, TimeUnit::Length from, TimeUnit::Length to, InVisitor& in) {
  const Rescale rescale(from, to);
  if (rescale.same()) {
    return number;
  }
  std::int64_t result = 0;
  if (!rescale(
          to_signed(number, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(), in),
          result)) {
    in.error(Errc::out_of_range, "the stored duration is no whole number of this unit, or too large for it");
  }
  return result < 0 ? Number{Type::negative, ~static_cast<std::uint64_t>(result)}
                    : Number{Type::natural, static_cast<std::uint64_t>(result)};
}

LongReal split(long double value) noexcept {
  LongReal parts;
  if (value != value || value - value != 0) {
    return parts;  // not finite
  }
  parts.negative = std::signbit(value);
  const long double fraction = std::frexp(parts.negative ? -value : value, &parts.exponent);
  parts.mantissa = static_cast<std::uint64_t>(std::ldexp(fraction, 64));  // in [2^63, 2^64), or 0
  parts.exponent -= 64;
  return parts;
}

long double joined(const LongReal& parts) noexcept {
  const long double value = std::ldexp(static_cast<long double>(parts.mantissa), parts.exponent);
  return parts.negative ? -value : value;
}

// --- TypeRegistry ----------------------------------------------------------------------------------------------------

const TypeRegistry::Type* TypeRegistry::find(std::string_view name) const noexcept {
  const auto found = std::find_if(types_.begin(), types_.end(), [&](const auto& type) { return type->name == name; });
  return found == types_.end() ? nullptr : found->get();
}

const TypeRegistry::Type* TypeRegistry::find(const std::type_info& type) const noexcept {
  const auto found =
      std::find_if(types_.begin(), types_.end(), [&](const auto& known) { return *known->type == type; });
  return found == types_.end() ? nullptr : found->get();
}

void TypeRegistry::insert(Type type) {
  if (type.name.empty() || find(type.name) != nullptr || find(*type.type) != nullptr) {
    fail(Errc::invalid_argument, "the type name " + type.name + " or its type is registered already");
  }
  types_.push_back(std::make_shared<const Type>(std::move(type)));
}

bool TypeRegistry::Type::has_base(const std::type_info& base) const noexcept {
  return std::any_of(bases.begin(), bases.end(), [&](const Base& candidate) { return *candidate.type == base; });
}

void* cast_to_base(const TypeRegistry* types, void* object, const std::type_info& type,
                   const std::type_info& base) noexcept {
  if (type == base) {
    return object;
  }
  const TypeRegistry::Type* known = types == nullptr ? nullptr : types->find(type);
  if (known == nullptr) {
    return nullptr;
  }
  for (const TypeRegistry::Type::Base& candidate : known->bases) {
    if (*candidate.type == base) {
      return candidate.from_derived(object);
    }
  }
  return nullptr;
}

namespace {

/// The C++ name, for messages only; what is stored is the registered name.
std::string class_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status),
                                                    &std::free);
  return name != nullptr ? name.get() : type.name();
}

}  // namespace

const TypeRegistry::Type& registered(const TypeRegistry* types, const std::type_info& type) {
  const TypeRegistry::Type* known = types == nullptr ? nullptr : types->find(type);
  if (known == nullptr) {
    fail(Errc::unknown_type, "the class " + class_name(type) +
                                 " is not registered; add it to the TypeRegistry that the options' `types` names");
  }
  return *known;
}

const TypeRegistry::Type& registered(const TypeRegistry* types, const std::type_info& type,
                                     const std::type_info& base) {
  const TypeRegistry::Type& known = registered(types, type);
  if (!known.has_base(base)) {
    fail(Errc::unknown_type, "the class " + class_name(type) + " is not registered with its base " + class_name(base) +
                                 ", the type of a pointer to it; use add<" + class_name(type) + ", " +
                                 class_name(base) + ">(…)");
  }
  return known;
}

const TypeRegistry::Type& registered(InVisitor& in, std::string_view name, const std::type_info& base) {
  const TypeRegistry::Type* known = in.types() == nullptr ? nullptr : in.types()->find(name);
  if (known == nullptr) {
    in.error(Errc::unknown_type, "the stored type " + std::string(name) + " is not in the registry");
  }
  if (known->has_base(base)) {
    return *known;
  }
  in.error(Errc::type_mismatch,
           "the stored type " + std::string(name) + " is not registered with the base wanted here");
}

// --- Places ----------------------------------------------------------------------------------------------------------

void OutVisitor::rethrow(const Error& error, void (*walk)(OutVisitor&, const void*), const void* object) const {
  const std::optional<Whereabouts> kept = place();
  Whereabouts known = kept.value_or(Whereabouts{});
  if (error.code() == Errc::io) {
    known.path.clear();  // the file is at fault, not the object
  } else if (!kept && error.path().empty()) {
    PathTracer tracer(*this);
    try {
      walk(tracer, object);
    } catch (const Error& same) {
      if (same.message() == error.message()) {
        known.path = tracer.path();
      }
    } catch (...) {  // the object has changed
    }
  }
  rethrow_at(error, {known.path, known.offset, known.file});
}

void InVisitor::rethrow(const Error& error) const {
  const Whereabouts known = place();
  try {
    explain(error);
  } catch (const Error& cause) {
    rethrow_at(cause, {known.path, known.offset, known.file});
  }
  rethrow_at(error, {known.path, known.offset, known.file});
}

// --- Records ---------------------------------------------------------------------------------------------------------

namespace walk {

void unknown_field(InVisitor& in, std::string_view name) {
  in.error(Errc::unknown_field, "a stored field that the type does not have: " + std::string(name));
}
void missing_field(InVisitor& in, std::string_view name) {
  in.error(Errc::missing_field, "a field that is not stored: " + std::string(name));
}
void duplicate_field(InVisitor& in, std::string_view name) {
  in.error(Errc::duplicate_field, "a field that is stored twice: " + std::string(name));
}
void ambiguous_field(std::string_view name) {
  fail(Errc::invalid_argument, "a visit function gives two fields the name \"" + std::string(name) + "\"");
}
void ambiguous_version() {
  fail(Errc::invalid_argument, "the visit functions of a class and its base class give different versions");
}

std::uint32_t read_version(InVisitor& in, std::uint32_t known) {
  const auto version = static_cast<std::uint32_t>(to_unsigned(in.number(), ~std::uint32_t{0}, in));
  if (version > known && in.field_rules().known) {
    in.error(Errc::unsupported, "the stored version " + std::to_string(version) + " is newer than this program's, " +
                                    std::to_string(known));
  }
  return version;
}

std::size_t find_name(std::span<const std::string_view> names, std::string_view name, std::size_t hint) noexcept {
  if (hint < names.size() && names[hint] == name) {
    return hint;
  }
  return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

// --- Arrays of cells -------------------------------------------------------------------------------------------------

bool accepts_cells(const Shape& stored, const Shape& inner, std::optional<std::uint64_t> fixed_count) noexcept {
  return stored.rank() == inner.rank() + 1 && (!fixed_count || stored[0] == *fixed_count) &&
         std::equal(inner.begin(), inner.end(), stored.begin() + 1);
}

std::string expected_cells(const Shape& inner, std::optional<std::uint64_t> fixed_count) {
  std::string text = fixed_count ? "[" + std::to_string(*fixed_count) : "[?";
  for (const std::uint64_t extent : inner) {
    text += ", " + std::to_string(extent);
  }
  return text + "]";
}

}  // namespace walk
}  // namespace stele
