#include "services/text/integers.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "base/bytes.hpp"
#include "format/array/typed.hpp"
#include "format/cursor.hpp"

namespace stele::state_text {
namespace {

using Kind = DType::Kind;

constexpr Kind signed_kinds[] = {Kind::int8, Kind::int16, Kind::int32, Kind::int64};
constexpr Kind unsigned_kinds[] = {Kind::uint8, Kind::uint16, Kind::uint32, Kind::uint64};

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

/// A bound that no value of the type reaches says nothing.
template <class E>
Range<E> range_of(const Bounds& bounds) {
  Range<E> range;
  const auto bad_bound = [](const char* name, std::int64_t bound) {
    fail(Errc::invalid_argument, std::string("TextSaveOptions::") + name + " of " + std::to_string(bound) +
                                     " is beyond all values of the integers' type");
  };
  if (bounds.lowest && std::cmp_greater(*bounds.lowest, range.lowest)) {
    if (std::cmp_greater(*bounds.lowest, range.highest)) {
      bad_bound("min", *bounds.lowest);
    }
    range.lowest = static_cast<E>(*bounds.lowest);
  }
  if (bounds.highest && std::cmp_less(*bounds.highest, range.highest)) {
    if (std::cmp_less(*bounds.highest, std::numeric_limits<E>::min())) {
      bad_bound("max", *bounds.highest);
    }
    range.highest = static_cast<E>(*bounds.highest);
  }
  return range;
}

/// The elements of an array without gaps, gathered where they have some, and how they are clamped.
template <class E>
class Elements {
 public:
  Elements(const ArrayView& view, Order order, const Bounds& bounds)
      : range(range_of<E>(bounds)), count(static_cast<std::size_t>(view.shape.count())) {
    if (view.is_dense(order) && reinterpret_cast<std::uintptr_t>(view.data) % alignof(E) == 0) {
      at = reinterpret_cast<const E*>(view.data);
    } else {
      gathered_.resize(count);
      gather(view, order, 0, count, reinterpret_cast<std::byte*>(gathered_.data()));
      at = gathered_.data();
    }
  }
  E operator[](std::size_t i) const { return range(at[i]); }
  /// The least and the largest, clamped; zeros where there are none.
  std::pair<E, E> extremes() const {
    if (count == 0) {
      return {};
    }
    E least = at[0];
    E most = at[0];
    for (std::size_t i = 1; i < count; ++i) {
      least = std::min(least, at[i]);
      most = std::max(most, at[i]);
    }
    return {range(least), range(most)};
  }

  Range<E> range;
  std::size_t count;
  const E* at;

 private:
  std::vector<E> gathered_;
};

unsigned bytes_of(std::uint64_t value) { return std::max(1U, (static_cast<unsigned>(std::bit_width(value)) + 7) / 8); }

/// Appends the planes of offsets that `offset(i)` tells.
template <class Offset>
void put_planes(std::size_t count, unsigned width, Offset&& offset, std::vector<std::byte>& out) {
  const std::size_t before = out.size();
  out.resize(before + count * width);
  std::byte* to = out.data() + before;
  for (unsigned plane = 0; plane < width; ++plane) {
    for (std::size_t i = 0; i < count; ++i) {
      *to++ = static_cast<std::byte>(offset(i) >> (8 * plane) & 0xff);
    }
  }
}

/// An element of any type of integers, and what is beyond all of them.
struct Number {
  std::uint64_t bits;
  bool negative;
  bool too_large;
  template <class E>
  bool fits() const {
    return negative ? std::cmp_greater_equal(static_cast<std::int64_t>(bits), std::numeric_limits<E>::min())
                    : !too_large && std::cmp_less_equal(bits, std::numeric_limits<E>::max());
  }
};

/// Calls `use(i, Number)` for all elements.
template <class F>
void for_each_number(const IntegerForm& form, Bytes planes, F&& use) {
  const auto count = static_cast<std::size_t>(form.count);
  const auto base = static_cast<std::uint64_t>(form.base);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t offset = 0;
    for (unsigned plane = 0; plane < form.width; ++plane) {
      offset |= std::to_integer<std::uint64_t>(planes[plane * count + i]) << (8 * plane);
    }
    const std::uint64_t bits = base + offset;
    use(i, Number{bits, form.base < 0 && bits >= base, form.base >= 0 && bits < base});
  }
}

}  // namespace

bool is_integer(const DType& dtype) noexcept { return dtype.kind() >= Kind::int8 && dtype.kind() <= Kind::uint64; }

IntegerForm split_integers(const ArrayView& values, const Bounds& bounds, std::vector<std::byte>& out) {
  return with_integer(values.dtype, [&]<class E>(E) {
    const Elements<E> elements(values, Order::row_major, bounds);
    const auto [least, most] = elements.extremes();
    IntegerForm form;
    form.count = elements.count;
    form.width = bytes_of(static_cast<std::uint64_t>(most) - static_cast<std::uint64_t>(least));
    if (least < E{} || form.width < bytes_of(static_cast<std::uint64_t>(most))) {
      form.base = std::cmp_less(least, std::numeric_limits<std::int64_t>::max())
                      ? static_cast<std::int64_t>(least)
                      : std::numeric_limits<std::int64_t>::max();
      form.width = bytes_of(static_cast<std::uint64_t>(most) - static_cast<std::uint64_t>(form.base));
    }
    if (form.width == 1) {
      out.resize(out.size() + elements.count);
      std::byte* const to = out.data() + out.size() - elements.count;
      const E* const from = elements.at;  // copies, as bytes that are written might be anything
      const Range<E> range = elements.range;
      const auto base = static_cast<E>(form.base);
      for (std::size_t i = 0; i < elements.count; ++i) {
        to[i] = static_cast<std::byte>(range(from[i]) - base);
      }
    } else {
      const auto base = static_cast<std::uint64_t>(form.base);
      put_planes(
          elements.count, form.width, [&](std::size_t i) { return static_cast<std::uint64_t>(elements[i]) - base; },
          out);
    }
    return form;
  });
}

void join_integers(const IntegerForm& form, Bytes planes, ArrayTarget& target) {
  with_integer(target.dtype(), [&]<class E>(E) {
    const ArrayHeader header{target.dtype(), {form.count}, Order::row_major};
    const std::uint64_t bytes = form.count * sizeof(E);
    target.memory(header, 0, bytes, true);
    E* to = reinterpret_cast<E*>(target.memory(header, bytes, bytes, true));
    constexpr std::uint64_t most = std::numeric_limits<E>::max();
    const bool all_fit = std::in_range<E>(form.base) &&
                         (form.base < 0 ? sizeof(E) > 1 : most - static_cast<std::uint64_t>(form.base) >= 255);
    if (form.width == 1 && all_fit) {
      const E base = static_cast<E>(form.base);
      for (std::size_t i = 0; i < planes.size(); ++i) {
        to[i] = static_cast<E>(base + static_cast<E>(std::to_integer<std::uint8_t>(planes[i])));
      }
      return;
    }
    for_each_number(form, planes, [&](std::size_t i, const Number& number) {
      if (!number.fits<E>()) {
        fail(Errc::out_of_range, message({"the integer at index ", i, " is no ", target.dtype().name()}));
      }
      to[i] = static_cast<E>(number.bits);
    });
  });
}

void join_typed_array(const IntegerForm& form, Bytes planes, std::uint64_t most_bytes, std::vector<std::byte>& item) {
  std::int64_t least = 0;
  std::uint64_t most = 0;
  bool too_large = false;
  for_each_number(form, planes, [&](std::size_t, const Number& number) {
    too_large |= number.too_large;
    if (number.negative) {
      least = std::min(least, static_cast<std::int64_t>(number.bits));
    } else {
      most = std::max(most, number.bits);
    }
  });
  const auto narrowest_of = [&](const Kind(&kinds)[4]) {
    return std::find_if(std::begin(kinds), std::end(kinds), [&](Kind kind) {
      return with_integer(kind, [&]<class E>(E) { return std::in_range<E>(least) && std::in_range<E>(most); });
    });
  };
  const Kind* const kind = narrowest_of(least < 0 ? signed_kinds : unsigned_kinds);
  if (too_large || (least < 0 && kind == std::end(signed_kinds))) {
    fail(Errc::out_of_range, "no type of integers has all elements of the array");
  }
  const std::size_t width = DType(*kind).item_size();
  if (form.count > most_bytes / width) {
    fail(Errc::limit_exceeded, message({form.count, " integers of ", width, " bytes are more than the ", most_bytes,
                                        " bytes of TextLoadOptions::max_bytes"}));
  }
  cbor::Builder out(item);
  out.tag(*typed_array_tag(*kind));
  out.head(cbor::Major::bytes, form.count * width);
  const std::size_t before = item.size();
  item.resize(before + static_cast<std::size_t>(form.count) * width);
  for_each_number(form, planes, [&](std::size_t i, const Number& number) {
    store_le(item.data() + before + i * width, number.bits, width);
  });
}

void put_integers(const ArrayView& values, Order order, const Bounds& bounds, const DType& stored,
                  std::vector<std::byte>& out) {
  with_integer(values.dtype, [&]<class E>(E) {
    const Elements<E> elements(values, order, bounds);
    const std::size_t before = out.size();
    out.resize(before + elements.count * stored.item_size());
    with_integer(stored, [&]<class To>(To) {
      for (std::size_t i = 0; i < elements.count; ++i) {
        const E value = elements[i];
        if (!std::in_range<To>(value)) {
          fail(Errc::out_of_range, std::to_string(value) + " at index " + std::to_string(i) + " is no " +
                                       stored.name() + "; set TextSaveOptions::min and max to clamp, or another item");
        }
        store_le<To>(out.data() + before + i * sizeof(To), static_cast<To>(value));
      }
    });
  });
}

DType narrowest(const ArrayView& values, Order order, const Bounds& bounds) {
  return with_integer(values.dtype, [&]<class E>(E) -> DType {
    const auto [least, most] = Elements<E>(values, order, bounds).extremes();
    for (const Kind kind : std::is_signed_v<E> ? signed_kinds : unsigned_kinds) {
      if (with_integer(kind, [&]<class To>(To) { return std::in_range<To>(least) && std::in_range<To>(most); })) {
        return kind;
      }
    }
    return values.dtype;
  });
}

IntegerForm form_of(Bytes elements, const DType& stored, std::vector<std::byte>& planes) {
  const std::size_t width = stored.item_size();
  IntegerForm form;
  form.count = elements.size() / width;
  form.width = static_cast<unsigned>(width);
  // Offsets of signed elements are from the least one.
  std::uint64_t half = 0;
  if (stored.kind() <= Kind::int64) {
    half = std::uint64_t{1} << (8 * width - 1);
    form.base = static_cast<std::int64_t>(~half + 1);
  }
  planes.clear();
  put_planes(
      static_cast<std::size_t>(form.count), form.width,
      [&](std::size_t i) { return load_le(elements.data() + i * width, width) ^ half; }, planes);
  return form;
}

}  // namespace stele::state_text
