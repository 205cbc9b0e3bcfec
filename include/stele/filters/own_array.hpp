#pragma once
// OwnArray: an Array as a member of a value type. An Array's copies share its buffer; a value's copies must not.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "stele/array.hpp"

namespace stele {

/// Copies have their own elements, unless these are mapped read-only and so cannot change; a moved-from array is empty.
/// Arrays that shared their elements when they were saved share them again once loaded: as mapped ones, they are copied
/// before the first change.
template <class T, std::size_t Rank = 1>
class OwnArray {
 public:
  OwnArray() noexcept = default;
  explicit OwnArray(Array<T, Rank> array) noexcept : array_(std::move(array)) {}
  OwnArray(const OwnArray& other)
      : array_(other.array_.writable() && !other.array_.empty() ? other.array_.clone() : other.array_) {}
  OwnArray(OwnArray&& other) noexcept
      : array_(std::exchange(other.array_, Array<T, Rank>())),
        room_(std::exchange(other.room_, 0)),
        loaded_(std::exchange(other.loaded_, false)) {}
  OwnArray& operator=(const OwnArray& other) {
    if (this != &other) {
      *this = OwnArray(other);
    }
    return *this;
  }
  OwnArray& operator=(OwnArray&& other) noexcept {
    if (this != &other) {
      array_ = std::exchange(other.array_, Array<T, Rank>());
      room_ = std::exchange(other.room_, 0);
      loaded_ = std::exchange(other.loaded_, false);
    }
    return *this;
  }
  ~OwnArray() = default;

  std::uint64_t size() const noexcept { return array_.size(); }
  bool empty() const noexcept { return array_.empty(); }
  bool writable() const noexcept { return array_.writable() && !shared(); }
  const T* data() const noexcept { return array_.data(); }
  const T& operator[](std::uint64_t i) const noexcept
    requires(Rank == 1)
  {
    return array_.data()[i];
  }
  const Array<T, Rank>& array() const noexcept { return array_; }
  /// The field of visit(), which loading reads into.
  const Array<T, Rank>& stored() const noexcept { return array_; }
  Array<T, Rank>& stored() noexcept {
    room_ = 0;
    loaded_ = true;
    return array_;
  }

  /// The elements, writable; copied first if they are mapped read-only, or shared.
  T* own() {
    if (!writable()) {
      *this = OwnArray(array_.clone());
    } else if (loaded_) {
      std::atomic_thread_fence(std::memory_order_acquire);  // what the last other owner read, it has read
      loaded_ = false;
    }
    return array_.mutable_data();
  }
  /// The elements, writable in place.
  /// Throws: Error(read_only).
  T* mutable_data() {
    if (shared()) {
      fail(Errc::read_only, "the array shares its elements with another that was loaded with it; own() copies them");
    }
    return array_.mutable_data();
  }

  /// Makes room for `more` elements at the end, in amortised constant time for each.
  void make_room(std::uint64_t more)
    requires(Rank == 1)
  {
    const std::uint64_t size = array_.size();
    if (room_ < size + more) {
      const std::uint64_t room = std::max(size + more, 2 * size);
      auto larger = Array<T>::uninitialized({room});
      std::copy_n(array_.data(), size, larger.mutable_data());
      array_ = larger.slice(0, size);
      room_ = room;
    }
  }
  /// Adds elements at the end; cannot fail if there is room for them.
  void append(std::span<const T> more)
    requires(Rank == 1)
  {
    make_room(more.size());
    const std::uint64_t size = array_.size();
    std::copy(more.begin(), more.end(), array_.mutable_data() + size);
    array_ = Array<T>(array_.buffer(), array_.data(), {size + more.size()}, {1});
  }
  friend bool operator==(const OwnArray& a, const OwnArray& b) { return a.array_ == b.array_; }

 private:
  bool shared() const noexcept { return loaded_ && array_.buffer().use_count() > 1; }

  Array<T, Rank> array_;
  std::uint64_t room_ = 0;  // elements that the buffer holds, where append() has made it
  bool loaded_ = false;     // others may hold the buffer
};

}  // namespace stele
