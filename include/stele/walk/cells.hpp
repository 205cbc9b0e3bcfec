#pragma once
// What can be an element of an array: numbers, and records of numbers without padding. What lies in memory as such
// crosses the seam as one array event.

#include <algorithm>
#include <array>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "stele/walk/family.hpp"

namespace stele::walk {

/// An aggregate of numbers whose memory has no padding, so that a vector of it is one structured array.
template <class T>
consteval bool is_plain_record();

/// What T is as the item of a dense array: an element type and, for nested fixed arrays, further extents.
template <class T>
struct Cell {
  static constexpr bool is_cell = [] {
    if constexpr (has_own_way<T>) {
      return false;
    } else {
      return Element<T> || is_plain_record<T>();
    }
  }();
  using ElementType = T;
  static void extents(Shape&) {}
};
template <class T, std::size_t N>
struct Cell<T[N]> : Cell<T> {
  static constexpr bool is_cell = Cell<T>::is_cell && N > 0 && !is_custom_written<T[N]>;
  static void extents(Shape& shape) {
    shape.push_back(N);
    Cell<T>::extents(shape);
  }
};
template <class T, std::size_t N>
struct Cell<std::array<T, N>> : Cell<T[N]> {
  static constexpr bool is_cell = Cell<T[N]>::is_cell && !is_custom_written<std::array<T, N>>;
};
template <class T>
struct Cell<std::array<T, 0>> {
  static constexpr bool is_cell = false;
};
template <class T>
inline constexpr bool is_cell = Cell<T>::is_cell;

/// Which fields of an aggregate must be stored, by its stele_required.
template <class T>
inline constexpr auto required_fields = [] {
  std::array<bool, field_count<T> + 1> required{};
  if constexpr (requires { requires std::is_same_v<decltype(T::stele_required), const bool>; }) {
    required.fill(T::stele_required);
  } else if constexpr (requires { std::begin(T::stele_required); }) {
    constexpr bool all_found = [] {
      for (const std::string_view name : T::stele_required) {
        if (std::find(field_names<T>.begin(), field_names<T>.end(), name) == field_names<T>.end()) {
          return false;
        }
      }
      return true;
    }();
    static_assert(all_found, "stele: stele_required names a field that the type does not have");
    for (const std::string_view name : T::stele_required) {
      for (std::size_t i = 0; i < field_count<T>; ++i) {
        required[i] = required[i] || field_names<T>[i] == name;
      }
    }
  } else {
    static_assert(
        !requires { T::stele_required; },
        "stele: stele_required is a `static constexpr` array of std::string_view, or true");
  }
  return required;
}();

template <class... Ts>
consteval std::size_t cell_bytes(TypeList<Ts...>) {
  return (std::size_t{0} + ... + (is_cell<Ts> ? sizeof(Ts) : std::size_t{1} << 40));
}
template <class T>
consteval bool is_plain_record() {
  if constexpr (!std::is_class_v<T> || !std::is_aggregate_v<T> || !std::is_trivially_copyable_v<T> ||
                std::is_empty_v<T> || Element<T>) {
    return false;
  } else if constexpr (family<T>() != Family::aggregate || requires { T::stele_version; }) {
    return false;
  } else {
    return field_count<T> > 0 && cell_bytes(field_types<T>{}) == sizeof(T);
  }
}

/// The DType of an element or plain record.
template <class T>
DType dtype_of() {
  static_assert(is_cell<T>,
                "stele: the elements of an array are numbers or records of numbers, without a visit or a stele::Visit");
  if constexpr (Element<T>) {
    return element_dtype<T>();
  } else {
    static const DType type = [] {
      std::vector<DType::Field> fields;
      std::uint32_t offset = 0;
      const auto add = [&]<class F>(std::string_view name) {
        Shape extents;
        Cell<F>::extents(extents);
        fields.push_back({std::string(name), dtype_of<typename Cell<F>::ElementType>(), offset,
                          static_cast<std::uint32_t>(extents.count()), required_fields<T>[fields.size()]});
        offset += static_cast<std::uint32_t>(sizeof(F));
      };
      [&]<class... Ts>(TypeList<Ts...>) {
        std::size_t i = 0;
        (add.template operator()<Ts>(field_names<T>[i++]), ...);
      }(field_types<T>{});
      return DType::record(std::move(fields), sizeof(T));
    }();
    return type;
  }
}

/// The dense array of `count` items of type T at `data`.
template <class T>
ArrayView cells_view(const T* data, std::size_t count) {
  using E = typename Cell<T>::ElementType;
  Shape shape{count};
  Cell<T>::extents(shape);
  return ArrayView(dtype_of<E>(), data, shape, Order::row_major);
}

/// The extents after the first must be `inner`; the first may be anything, or must be `fixed_count`.
bool accepts_cells(const Shape& stored, const Shape& inner, std::optional<std::uint64_t> fixed_count) noexcept;
std::string expected_cells(const Shape& inner, std::optional<std::uint64_t> fixed_count);
/// Tells the kernel that fresh memory will be filled from end to end.
void prepare_memory(void* data, std::size_t bytes) noexcept;

/// Receives an array into a container that grows by resize() or, with a fixed count, into memory that is there.
template <class C, class T>
class CellTarget final : public ArrayTarget {
 public:
  CellTarget(C& container, std::optional<std::uint64_t> fixed_count)
      : ArrayTarget(dtype_of<typename Cell<T>::ElementType>()), container_(container), fixed_count_(fixed_count) {
    Cell<T>::extents(inner_);
  }
  bool accepts(const ArrayHeader& stored) override { return accepts_cells(stored.shape, inner_, fixed_count_); }
  std::string expected() const override { return expected_cells(inner_, fixed_count_); }
  Order order(const ArrayHeader&) override { return Order::row_major; }
  std::byte* memory(const ArrayHeader& stored, std::uint64_t bytes, std::uint64_t total, bool trusted) override {
    if constexpr (requires { container_.resize(std::size_t{}); }) {
      if (bytes == 0 || bytes == total) {
        const auto count = static_cast<std::size_t>(stored.shape[0]);
        if (bytes == 0) {
          container_.clear();
          if (trusted) {
            container_.reserve(count);
            prepare_memory(container_.data(), count * sizeof(T));
          }
        } else {
          container_.resize(count);
        }
      } else {
        if (bytes > claimed_bytes && !reserved_) {
          reserved_ = true;
          reserve_claimed(static_cast<std::size_t>(stored.shape[0]));
        }
        container_.resize(
            std::max<std::size_t>(container_.size(), static_cast<std::size_t>((bytes + sizeof(T) - 1) / sizeof(T))));
      }
    } else {
      (void)stored, (void)bytes, (void)total, (void)trusted;
    }
    return reinterpret_cast<std::byte*>(std::data(container_));
  }
  bool share(const ArrayView&, const std::shared_ptr<Buffer>&) override { return false; }

 private:
  void reserve_claimed(std::size_t count) {
    try {
      container_.reserve(count);
      prepare_memory(container_.data(), container_.capacity() * sizeof(T));
    } catch (const std::bad_alloc&) {  // it may never come
    } catch (const std::length_error&) {
    }
  }

  C& container_;
  std::optional<std::uint64_t> fixed_count_;
  Shape inner_;
  bool reserved_ = false;
};

}  // namespace stele::walk
