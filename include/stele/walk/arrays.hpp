#pragma once
// stele::Array: shares the buffer that an array was read or mapped into, or gets one of its own.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "stele/walk/cells.hpp"
#include "stele/walk/family.hpp"

namespace stele::walk {

template <class T, std::size_t Rank>
class BufferTarget final : public ArrayTarget {
 public:
  using Element = std::remove_const_t<T>;
  explicit BufferTarget(Array<T, Rank>& array) : ArrayTarget(dtype_of<Element>()), array_(array) {}
  bool accepts(const ArrayHeader& stored) override { return stored.shape.rank() == Rank; }
  std::string expected() const override {
    std::string text = "[";
    for (std::size_t i = 0; i < Rank; ++i) {
      text += i == 0 ? "?" : ", ?";
    }
    return text + "]";
  }
  Order order(const ArrayHeader& stored) override { return stored.order; }
  std::byte* memory(const ArrayHeader& stored, std::uint64_t bytes, std::uint64_t total, bool trusted) override {
    const std::uint64_t count = (bytes + sizeof(Element) - 1) / sizeof(Element);  // whole ones
    buffer_ = grown(std::move(buffer_), count * sizeof(Element), total, trusted);
    if constexpr (!requires { DTypeOf<Element>::kind; } && !std::is_trivially_default_constructible_v<Element>) {
      // Where the stored records lack a field, the default stands.
      if (filled_ < count) {
        std::uninitialized_fill_n(reinterpret_cast<Element*>(buffer_->mutable_data()) + filled_, count - filled_,
                                  Element{});
        filled_ = count;
      }
    }
    if (bytes == total) {
      std::array<std::uint64_t, Rank> shape{};
      for (std::size_t i = 0; i < Rank; ++i) {
        shape[i] = stored.shape[i];
      }
      array_ = Array<T, Rank>(buffer_, reinterpret_cast<const T*>(buffer_->data()), shape,
                              Array<T, Rank>::dense_strides(shape, stored.order));
    }
    return buffer_->mutable_data();
  }
  bool can_share() const noexcept override { return true; }
  bool share(const ArrayView& view, const std::shared_ptr<Buffer>& buffer) override {
    std::array<std::uint64_t, Rank> shape{};
    std::array<std::int64_t, Rank> strides{};
    for (std::size_t i = 0; i < Rank; ++i) {
      shape[i] = view.shape[i];
      if (view.strides[i] % static_cast<std::int64_t>(sizeof(T)) != 0) {
        return false;
      }
      strides[i] = view.strides[i] / static_cast<std::int64_t>(sizeof(T));
    }
    if (reinterpret_cast<std::uintptr_t>(view.data) % alignof(T) != 0) {
      return false;
    }
    array_ = Array<T, Rank>(buffer, reinterpret_cast<const T*>(view.data), shape, strides);
    return true;
  }

 private:
  Array<T, Rank>& array_;
  std::shared_ptr<Buffer> buffer_;
  std::uint64_t filled_ = 0;  // elements that have their defaults
};

template <class T, std::size_t Rank>
struct As<Array<T, Rank>, Family::array> {
  static_assert(!has_own_way<std::remove_const_t<T>>,
                "stele: an element of an Array has no visit and no stele::Visit; use a std::vector");
  static_assert(is_cell<std::remove_const_t<T>> || has_own_way<std::remove_const_t<T>>,
                "stele: the elements of an Array are numbers or records of numbers without padding");
  static_assert(std::is_same_v<typename Cell<std::remove_const_t<T>>::ElementType, std::remove_const_t<T>>,
                "stele: give the Array another dimension instead of elements that are arrays");
  static void write(OutVisitor& out, const Array<T, Rank>& value) {
    if (Rank == 0 && value.data() == nullptr) {
      out.null();  // no element yet
      return;
    }
    out.array(value.view_as(dtype_of<std::remove_const_t<T>>()));
  }
  static void read(InVisitor& in, Array<T, Rank>& value) {
    if constexpr (Rank == 0) {
      if (in.kind() == Kind::null) {
        in.null();
        value = {};
        return;
      }
    }
    if constexpr (Rank == 1) {
      if (in.kind() == Kind::sequence) {
        std::vector<std::remove_const_t<T>> items;
        stele::read(in, items);
        auto copy = Array<std::remove_const_t<T>, Rank>::uninitialized({items.size()});
        std::copy(items.begin(), items.end(), copy.mutable_data());
        value = Array<T, Rank>(copy.buffer(), copy.data(), copy.shape(), copy.strides());
        return;
      }
    }
    BufferTarget<T, Rank> target(value);
    in.array(target);
  }
};

}  // namespace stele::walk
