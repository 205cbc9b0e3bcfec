// The compiled parts of the seam: conversions of numbers, the registry of types, records, sets in canonical order.

#include "stele/visitor.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

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
      // no memory for what is claimed; it may never come
    }
  }
  if (larger == nullptr) {
    larger = Buffer::allocate(static_cast<std::size_t>(std::min(total, std::max(bytes, 2 * have))));
  }
  if (have > 0) {
    std::memcpy(larger->data(), buffer->data(), static_cast<std::size_t>(have));
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

std::size_t InVisitor::peek_plain_items(std::span<const PlainItem::Kind>, std::span<PlainItem>) { return 0; }
void InVisitor::take_plain_items(std::size_t) {}
void InVisitor::defer(std::uint64_t, SharedLater) {
  error(Errc::unsupported, "this reader cannot read an object later");
}

namespace {

using Type = Number::Type;

double float_value(const Number& number) noexcept {
  switch (number.type) {
    case Type::float16:
      return static_cast<double>(static_cast<float>(std::bit_cast<float16>(static_cast<std::uint16_t>(number.bits))));
    case Type::float32:
      return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(number.bits)));
    default:
      return std::bit_cast<double>(number.bits);
  }
}

std::string text_of(const Number& number) {
  switch (number.type) {
    case Type::natural:
      return std::to_string(number.bits);
    case Type::negative:
      return number.bits == ~std::uint64_t{0} ? "-18446744073709551616" : "-" + std::to_string(number.bits + 1);
    default:
      return std::to_string(float_value(number));
  }
}

[[noreturn]] void no_integer(const Number& number, InVisitor& in) {
  in.error(Errc::type_mismatch, "expected an integer, found the number " + text_of(number));
}

[[noreturn]] void out_of_range(const Number& number, const std::string& what, InVisitor& in) {
  in.error(Errc::out_of_range, "the stored number " + text_of(number) + " does not fit " + what);
}

bool is_float(const Number& number) noexcept {
  return number.type != Type::natural && number.type != Type::negative;
}

/// An integer as a double, if it is one exactly.
std::optional<double> exact_double(const Number& number) noexcept {
  if (number.type == Type::negative && number.bits == ~std::uint64_t{0}) {
    return -18446744073709551616.0;
  }
  const std::uint64_t magnitude = number.type == Type::negative ? number.bits + 1 : number.bits;
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
  const double value = to_double(number, in);
  const auto narrow = static_cast<float>(value);
  if (static_cast<double>(narrow) != value && !std::isnan(value)) {
    out_of_range(number, "a float32 exactly", in);
  }
  return narrow;
}

// --- TypeRegistry ----------------------------------------------------------------------------------------------------

const TypeRegistry::Type* TypeRegistry::find(std::string_view name) const noexcept {
  const auto found = std::find_if(types_.begin(), types_.end(), [&](const auto& type) { return type->name == name; });
  return found == types_.end() ? nullptr : found->get();
}

const TypeRegistry::Type* TypeRegistry::find(const std::type_info& type) const noexcept {
  const auto found = std::find_if(types_.begin(), types_.end(), [&](const auto& known) { return *known->type == type; });
  return found == types_.end() ? nullptr : found->get();
}

void TypeRegistry::insert(Type type) {
  if (type.name.empty() || find(type.name) != nullptr || find(*type.type) != nullptr) {
    fail(Errc::invalid_argument, "the type name " + type.name + " or its type is registered already");
  }
  types_.push_back(std::make_shared<const Type>(std::move(type)));
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

const TypeRegistry::Type& registered(const TypeRegistry* types, const std::type_info& type) {
  const TypeRegistry::Type* known = types == nullptr ? nullptr : types->find(type);
  if (known == nullptr) {
    fail(Errc::unknown_type, std::string("a polymorphic object whose type is not in the registry: ") + type.name());
  }
  return *known;
}

const TypeRegistry::Type& registered(InVisitor& in, std::string_view name, const std::type_info& base) {
  const TypeRegistry::Type* known = in.types() == nullptr ? nullptr : in.types()->find(name);
  if (known == nullptr) {
    in.error(Errc::unknown_type, "the stored type " + std::string(name) + " is not in the registry");
  }
  for (const TypeRegistry::Type::Base& candidate : known->bases) {
    if (*candidate.type == base) {
      return *known;
    }
  }
  in.error(Errc::type_mismatch, "the stored type " + std::string(name) + " is not registered with the base wanted here");
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
  if (version > known && in.strict()) {
    in.error(Errc::unsupported, "the stored version " + std::to_string(version) +
                                    " is newer than this program's, " + std::to_string(known));
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
