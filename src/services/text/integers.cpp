#include "services/text/integers.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "base/bytes.hpp"
#include "format/cursor.hpp"
#include "format/typed_array.hpp"
#include "services/text/bits.hpp"

namespace stele::state_text {
namespace {

using Kind = DType::Kind;

/// Calls `use(E{})` with the C++ type of an integer dtype.
template <class F>
auto with_integer(const DType& dtype, F&& use) {
  switch (dtype.kind()) {
    case Kind::int8:
      return use(std::int8_t{});
    case Kind::int16:
      return use(std::int16_t{});
    case Kind::int32:
      return use(std::int32_t{});
    case Kind::int64:
      return use(std::int64_t{});
    case Kind::uint8:
      return use(std::uint8_t{});
    case Kind::uint16:
      return use(std::uint16_t{});
    case Kind::uint32:
      return use(std::uint32_t{});
    default:
      return use(std::uint64_t{});
  }
}

template <class E>
struct Range {
  E lowest = std::numeric_limits<E>::min();
  E highest = std::numeric_limits<E>::max();
  E operator()(E value) const { return std::min(std::max(value, lowest), highest); }
};

[[noreturn]] void bad_bound(const char* name, std::int64_t bound) {
  fail(Errc::invalid_argument, std::string("TextOptions::") + name + " of " + std::to_string(bound) +
                                   " is beyond all values of the integers' type");
}

/// A bound that no value of the type reaches says nothing.
template <class E>
Range<E> range_of(const Bounds& bounds) {
  constexpr auto least = static_cast<std::int64_t>(std::numeric_limits<E>::min());
  const auto above = [](std::int64_t bound) {
    return bound > 0 && static_cast<std::uint64_t>(bound) > std::uint64_t{std::numeric_limits<E>::max()};
  };
  Range<E> range;
  if (bounds.lowest && *bounds.lowest >= least) {
    if (above(*bounds.lowest)) {
      bad_bound("min", *bounds.lowest);
    }
    range.lowest = static_cast<E>(*bounds.lowest);
  }
  if (bounds.highest && !above(*bounds.highest)) {
    if (*bounds.highest < least) {
      bad_bound("max", *bounds.highest);
    }
    range.highest = static_cast<E>(*bounds.highest);
  }
  return range;
}

/// The elements without gaps, gathered into `scratch` where they have some.
template <class E>
const E* dense_elements(const ArrayView& values, Order order, std::vector<std::byte>& scratch) {
  const auto is_aligned = [](const std::byte* at) { return reinterpret_cast<std::uintptr_t>(at) % alignof(E) == 0; };
  if (values.is_dense(order) && is_aligned(values.data)) {
    return reinterpret_cast<const E*>(values.data);
  }
  scratch.resize(static_cast<std::size_t>(values.byte_size()));
  gather(values, order, 0, values.shape.count(), scratch.data());
  return reinterpret_cast<const E*>(scratch.data());
}

template <class E>
std::uint64_t as_bits(E value) {
  if constexpr (std::is_signed_v<E>) {
    return static_cast<std::uint64_t>(std::int64_t{value});
  } else {
    return value;
  }
}

template <class E>
struct Extremes {
  E least;
  E most;
};
/// Of at least one value.
template <class E>
Extremes<E> extremes_of(const E* values, std::size_t count, const Range<E>& range) {
  // Several at a time, so that one comparison does not wait for another.
  constexpr std::size_t lanes = 8;
  std::array<E, lanes> least;
  std::array<E, lanes> most;
  least.fill(values[0]);
  most.fill(values[0]);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (std::size_t k = 0; k < lanes; ++k) {
      least[k] = std::min(least[k], values[i + k]);
      most[k] = std::max(most[k], values[i + k]);
    }
  }
  for (; i < count; ++i) {
    least[0] = std::min(least[0], values[i]);
    most[0] = std::max(most[0], values[i]);
  }
  return {range(*std::min_element(least.begin(), least.end())), range(*std::max_element(most.begin(), most.end()))};
}

/// Writes the planes of offsets that `at(i)` tells.
template <class At>
void put_planes(std::size_t count, unsigned planes, At&& at, std::vector<std::byte>& out) {
  out.resize(count * planes);
  std::byte* to = out.data();
  for (unsigned plane = 0; plane < planes; ++plane) {
    for (std::size_t i = 0; i < count; ++i) {
      *to++ = static_cast<std::byte>(at(i) >> (8 * plane) & 0xff);
    }
  }
}

/// Offset i from its planes.
class Offsets {
 public:
  Offsets(Bytes planes, std::uint64_t count, unsigned number)
      : planes_(planes.data()), count_(static_cast<std::size_t>(count)), number_(number) {}
  std::uint64_t operator()(std::size_t i) const {
    std::uint64_t value = 0;
    for (unsigned plane = 0; plane < number_; ++plane) {
      value |= std::to_integer<std::uint64_t>(planes_[plane * count_ + i]) << (8 * plane);
    }
    return value;
  }

 private:
  const std::byte* planes_;
  std::size_t count_;
  unsigned number_;
};

/// The usual case in less time: elements from 0 to 255. False for others.
template <class E>
bool split_counters(const E* values, std::size_t count, const Range<E>& range, IntegerForm& form,
                    std::vector<std::byte>& planes) {
  using Bits = std::make_unsigned_t<E>;
  Bits any = 0;                            // the bits that some element has
  Bits all = static_cast<Bits>(~Bits{0});  // that all have
  for (std::size_t i = 0; i < count; ++i) {
    any = static_cast<Bits>(any | static_cast<Bits>(values[i]));
    all = static_cast<Bits>(all & static_cast<Bits>(values[i]));
  }
  if (any > 255 || any == all || E{} < range.lowest || range.highest < E{} ||
      (std::is_signed_v<E> && static_cast<E>(any) < E{})) {
    return false;
  }
  const auto highest = static_cast<unsigned>(std::min<std::uint64_t>(255, as_bits(range.highest)));
  form.bits = static_cast<unsigned>(std::bit_width(std::min(static_cast<unsigned>(any), highest)));
  planes.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    planes[i] = static_cast<std::byte>(std::min(static_cast<unsigned>(values[i]), highest));
  }
  return form.bits > 0;
}

template <class E>
IntegerForm split(const ArrayView& view, const Bounds& bounds, std::vector<std::byte>& planes) {
  IntegerForm form;
  form.count = view.shape.count();
  const auto count = static_cast<std::size_t>(form.count);
  planes.clear();
  if (count == 0) {
    return form;
  }
  std::vector<std::byte> scratch;
  const E* values = dense_elements<E>(view, Order::row_major, scratch);
  const Range<E> range = range_of<E>(bounds);
  if (split_counters(values, count, range, form, planes)) {
    return form;
  }
  const auto [least, most] = extremes_of(values, count, range);
  form.natural = std::is_unsigned_v<E> && as_bits(most) >> 63 != 0;
  const std::uint64_t base = as_bits(least);
  form.bits = static_cast<unsigned>(std::bit_width(as_bits(most) - base));
  // Counters that begin at a little above 0 keep their values: a dictionary knows them by these.
  const bool from_zero =
      !(least < E{}) && static_cast<unsigned>(std::bit_width(as_bits(most))) <= std::max(8U, form.bits);
  form.base = from_zero && form.bits > 0 ? 0 : base;
  if (from_zero && form.bits > 0) {
    form.bits = static_cast<unsigned>(std::bit_width(as_bits(most)));
  }
  if (form.bits > 8) {
    // What neighbours differ by may be much less.
    std::int64_t smallest = std::numeric_limits<std::int64_t>::max();
    std::int64_t largest = std::numeric_limits<std::int64_t>::min();
    for (std::size_t i = 1; i < count; ++i) {
      const auto step = static_cast<std::int64_t>(as_bits(range(values[i])) - as_bits(range(values[i - 1])));
      smallest = std::min(smallest, step);
      largest = std::max(largest, step);
    }
    const std::uint64_t step_range = static_cast<std::uint64_t>(largest) - static_cast<std::uint64_t>(smallest);
    if (static_cast<unsigned>(std::bit_width(step_range)) + 1 < form.bits) {
      form.differences = true;
      form.first = as_bits(range(values[0]));
      form.base = static_cast<std::uint64_t>(smallest);
      form.bits = static_cast<unsigned>(std::bit_width(step_range));
      put_planes(
          count - 1, form.planes(),
          [&](std::size_t i) { return as_bits(range(values[i + 1])) - as_bits(range(values[i])) - form.base; }, planes);
      return form;
    }
  }
  if (form.planes() == 1) {
    planes.resize(count);
    const E first = static_cast<E>(form.base);
    for (std::size_t i = 0; i < count; ++i) {
      planes[i] = static_cast<std::byte>(range(values[i]) - first);
    }
    return form;
  }
  put_planes(count, form.planes(), [&](std::size_t i) { return as_bits(range(values[i])) - form.base; }, planes);
  return form;
}

/// Calls `use(i, element bits)` for all elements until it says false; the index of that, or the count.
template <class F>
std::uint64_t for_each_element(const IntegerForm& form, Bytes planes, F&& use) {
  const Offsets offset(planes, form.offsets(), form.planes());
  std::uint64_t value = form.first;
  for (std::size_t i = 0; i < form.count; ++i) {
    if (!form.differences) {
      value = form.base + offset(i);
    } else if (i > 0) {
      value += form.base + offset(i - 1);
    }
    if (!use(i, value)) {
      return i;
    }
  }
  return form.count;
}

template <class E>
bool fits(std::uint64_t bits, bool natural) {
  constexpr std::uint64_t most = std::numeric_limits<E>::max();
  if (natural || bits >> 63 == 0) {
    return bits <= most;
  }
  if constexpr (std::is_signed_v<E>) {
    return static_cast<std::int64_t>(bits) >= std::int64_t{std::numeric_limits<E>::min()};
  } else {
    return false;
  }
}

template <class E>
bool join(const IntegerForm& form, Bytes planes, ArrayTarget& target, std::uint64_t& misfit) {
  const auto count = static_cast<std::size_t>(form.count);
  const ArrayHeader header{target.dtype(), {form.count}, Order::row_major};
  const std::uint64_t bytes = form.count * sizeof(E);
  target.memory(header, 0, bytes, true);
  E* to = reinterpret_cast<E*>(target.memory(header, bytes, bytes, true));
  if (!form.differences && form.planes() <= 1) {
    std::uint8_t most = 0;
    for (const std::byte offset : planes) {
      most = std::max(most, std::to_integer<std::uint8_t>(offset));
    }
    // Neither end may be beyond the type, nor the sum beyond 64 bits.
    const std::uint64_t last = form.base + most;
    const bool whole =
        form.natural ? last >= form.base : static_cast<std::int64_t>(last) >= static_cast<std::int64_t>(form.base);
    if (whole && fits<E>(form.base, form.natural) && fits<E>(last, form.natural)) {
      const E first = static_cast<E>(form.base);
      if (planes.empty()) {
        std::fill_n(to, count, first);
      }
      for (std::size_t i = 0; i < planes.size(); ++i) {
        to[i] = static_cast<E>(first + static_cast<E>(std::to_integer<std::uint8_t>(planes[i])));
      }
      return true;
    }
  }
  misfit = for_each_element(form, planes, [&](std::size_t i, std::uint64_t bits) {
    if (!fits<E>(bits, form.natural)) {
      return false;
    }
    to[i] = static_cast<E>(bits);
    return true;
  });
  return misfit == form.count;
}

template <class E, class To>
void put_narrow(const E* values, std::size_t count, const Range<E>& range, std::vector<std::byte>& bytes) {
  bytes.resize(count * sizeof(To));
  To* to = reinterpret_cast<To*>(bytes.data());
  for (std::size_t i = 0; i < count; ++i) {
    to[i] = static_cast<To>(range(values[i]));
  }
}

template <class E, class To>
bool covers(const Extremes<E>& extremes) {
  return sizeof(To) < sizeof(E) && extremes.least >= static_cast<E>(std::numeric_limits<To>::min()) &&
         extremes.most <= static_cast<E>(std::numeric_limits<To>::max());
}

template <class E>
DType narrow(const ArrayView& view, Order order, const Bounds& bounds, std::vector<std::byte>& bytes) {
  constexpr bool with_sign = std::is_signed_v<E>;
  using One = std::conditional_t<with_sign, std::int8_t, std::uint8_t>;
  using Two = std::conditional_t<with_sign, std::int16_t, std::uint16_t>;
  using Four = std::conditional_t<with_sign, std::int32_t, std::uint32_t>;
  std::vector<std::byte> scratch;
  const E* values = dense_elements<E>(view, order, scratch);
  const auto count = static_cast<std::size_t>(view.shape.count());
  const Range<E> range = range_of<E>(bounds);
  const Extremes<E> extremes = count == 0 ? Extremes<E>{0, 0} : extremes_of(values, count, range);
  if (covers<E, One>(extremes)) {
    put_narrow<E, One>(values, count, range, bytes);
    return with_sign ? Kind::int8 : Kind::uint8;
  }
  if (covers<E, Two>(extremes)) {
    put_narrow<E, Two>(values, count, range, bytes);
    return with_sign ? Kind::int16 : Kind::uint16;
  }
  if (covers<E, Four>(extremes)) {
    put_narrow<E, Four>(values, count, range, bytes);
    return with_sign ? Kind::int32 : Kind::uint32;
  }
  put_narrow<E, E>(values, count, range, bytes);
  return view.dtype;
}

}  // namespace

bool is_integer(const DType& dtype) noexcept { return dtype.kind() >= Kind::int8 && dtype.kind() <= Kind::uint64; }
bool is_signed(const DType& dtype) noexcept { return dtype.kind() >= Kind::int8 && dtype.kind() <= Kind::int64; }

IntegerForm split_integers(const ArrayView& values, const Bounds& bounds, std::vector<std::byte>& planes) {
  return with_integer(values.dtype, [&]<class E>(E) { return split<E>(values, bounds, planes); });
}

std::uint64_t packed_size(const IntegerForm& form) noexcept {
  const std::uint64_t offsets = form.offsets();
  return offsets / 8 * form.bits + (offsets % 8 * form.bits + 7) / 8;  // offsets * bits may be beyond 64 bits
}

void pack_offsets(const IntegerForm& form, Bytes planes, std::vector<std::byte>& packed) {
  packed.clear();
  packed.reserve(static_cast<std::size_t>(packed_size(form)));
  const Offsets offset(planes, form.offsets(), form.planes());
  BitWriter out(packed);
  const unsigned low = std::min(form.bits, 32U);
  for (std::size_t i = 0; i < form.offsets(); ++i) {
    const std::uint64_t value = offset(i);
    out.put(value & 0xffffffff, low);
    if (form.bits > 32) {
      out.put(value >> 32, form.bits - 32);
    }
  }
  out.finish();
}

void unpack_offsets(const IntegerForm& form, Bytes packed, std::vector<std::byte>& planes) {
  const auto count = static_cast<std::size_t>(form.offsets());
  planes.resize(count * form.planes());
  BitReader in(packed);
  const unsigned low = std::min(form.bits, 32U);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t value = in.get(low);
    if (form.bits > 32) {
      value |= std::uint64_t{in.get(form.bits - 32)} << 32;
    }
    for (unsigned plane = 0; plane < form.planes(); ++plane) {
      planes[plane * count + i] = static_cast<std::byte>(value >> (8 * plane) & 0xff);
    }
  }
}

bool join_integers(const IntegerForm& form, Bytes planes, ArrayTarget& target, std::uint64_t& misfit) {
  return with_integer(target.dtype(), [&]<class E>(E) { return join<E>(form, planes, target, misfit); });
}

void join_typed_array(const IntegerForm& form, Bytes planes, std::uint64_t most_bytes, std::vector<std::byte>& item) {
  std::int64_t least = 0;
  std::uint64_t most = 0;
  for_each_element(form, planes, [&](std::size_t, std::uint64_t bits) {
    if (form.natural || bits >> 63 == 0) {
      most = std::max(most, bits);
    } else {
      least = std::min(least, static_cast<std::int64_t>(bits));
    }
    return true;
  });
  const bool negative = least < 0;
  const auto of_most = static_cast<unsigned>(std::bit_width(most));
  const auto of_least = static_cast<unsigned>(std::bit_width(~static_cast<std::uint64_t>(least)));
  const unsigned needed = negative ? 1 + std::max(of_most, of_least) : of_most;
  const std::size_t width = needed <= 8 ? 1 : needed <= 16 ? 2 : needed <= 32 ? 4 : 8;
  if (form.count > most_bytes / width) {
    fail(Errc::limit_exceeded, std::to_string(form.count) + " integers of " + std::to_string(width) +
                                   " bytes are more than the " + std::to_string(most_bytes) +
                                   " bytes of TextOptions::max_bytes");
  }
  constexpr Kind signed_kinds[] = {Kind::int8, Kind::int16, Kind::int32, Kind::int64};
  constexpr Kind unsigned_kinds[] = {Kind::uint8, Kind::uint16, Kind::uint32, Kind::uint64};
  const auto index = static_cast<std::size_t>(std::countr_zero(width));
  cbor::Builder out(item);
  out.tag(*typed_array_tag(negative ? signed_kinds[index] : unsigned_kinds[index]));
  out.head(cbor::Major::bytes, form.count * width);
  const std::size_t at = item.size();
  item.resize(at + static_cast<std::size_t>(form.count) * width);
  for_each_element(form, planes, [&](std::size_t i, std::uint64_t value) {
    store_le(item.data() + at + i * width, value, width);
    return true;
  });
}

void raw_integers(const ArrayView& values, const Bounds& bounds, std::size_t width, bool with_sign,
                  std::vector<std::byte>& raw) {
  const DType stored = with_sign ? (width == 1   ? Kind::int8
                                    : width == 2 ? Kind::int16
                                    : width == 4 ? Kind::int32
                                                 : Kind::int64)
                                 : (width == 1   ? Kind::uint8
                                    : width == 2 ? Kind::uint16
                                    : width == 4 ? Kind::uint32
                                                 : Kind::uint64);
  with_integer(values.dtype, [&]<class E>(E) {
    std::vector<std::byte> scratch;
    const E* elements = dense_elements<E>(values, Order::row_major, scratch);
    const auto count = static_cast<std::size_t>(values.shape.count());
    const Range<E> range = range_of<E>(bounds);
    raw.resize(count * width);
    with_integer(stored, [&]<class To>(To) {
      for (std::size_t i = 0; i < count; ++i) {
        const E value = range(elements[i]);
        if (!std::in_range<To>(value)) {
          fail(Errc::out_of_range, std::to_string(value) + " at index " + std::to_string(i) + " is no " +
                                       stored.name() + "; set TextOptions::min and max to clamp, or item_bytes");
        }
        store_le<To>(raw.data() + i * sizeof(To), static_cast<To>(value));
      }
    });
  });
}

IntegerForm form_of_raw(Bytes raw, std::size_t width, bool with_sign, std::vector<std::byte>& planes) {
  IntegerForm form;
  form.count = raw.size() / width;
  form.natural = !with_sign && width == 8;
  if (width == 1 && !with_sign) {
    form.bits = 8;
    planes.assign(raw.begin(), raw.end());
    return form;
  }
  // Signed elements are stored from the least one on.
  const std::uint64_t half = std::uint64_t{1} << (8 * width - 1);
  form.bits = static_cast<unsigned>(8 * width);
  form.base = with_sign ? ~half + 1 : 0;
  put_planes(
      static_cast<std::size_t>(form.count), static_cast<unsigned>(width),
      [&](std::size_t i) { return load_le(raw.data() + i * width, width) ^ (with_sign ? half : 0); }, planes);
  return form;
}

DType narrow_integers(const ArrayView& values, Order order, const Bounds& bounds, std::vector<std::byte>& bytes) {
  return with_integer(values.dtype, [&]<class E>(E) { return narrow<E>(values, order, bounds, bytes); });
}

}  // namespace stele::state_text
