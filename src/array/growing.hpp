#pragma once
// A Buffer whose size is not known before.

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>

#include "stele/array.hpp"
#include "stele/io.hpp"

namespace stele {

/// Memory that grows by realloc(), which moves the pages of large memory and does not copy them.
class GrowingBuffer {
 public:
  GrowingBuffer() = default;
  GrowingBuffer(const GrowingBuffer&) = delete;
  GrowingBuffer& operator=(const GrowingBuffer&) = delete;
  ~GrowingBuffer() { std::free(data_); }

  std::size_t size() const noexcept { return size_; }
  /// Makes room for `bytes` in all.
  /// Throws: Error(limit_exceeded) if there is no memory.
  void reserve(std::size_t bytes) { resize(std::max(bytes, room_)); }
  /// Appends uninitialised bytes; they are valid until the next call.
  /// Throws: Error(limit_exceeded) if there is no memory.
  MutableBytes add(std::size_t bytes) {
    if (bytes > room_ - size_) {
      resize(std::max(size_ + bytes, room_ + room_ / 2));
    }
    size_ += bytes;
    return {data_ + size_ - bytes, bytes};
  }
  std::shared_ptr<Buffer> take() {
    resize(size_);
    std::shared_ptr<void> owner(std::exchange(data_, nullptr), std::free);
    return Buffer::wrap(static_cast<std::byte*>(owner.get()), std::exchange(size_, 0), true, owner);
  }

 private:
  void resize(std::size_t room) {
    if (room == room_) {
      return;
    }
    void* const moved = std::realloc(data_, room);
    if (moved == nullptr) {
      fail(Errc::limit_exceeded, message({"cannot allocate ", room, " bytes"}));
    }
    data_ = static_cast<std::byte*>(moved);
    room_ = room;
  }

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t room_ = 0;
};

}  // namespace stele
