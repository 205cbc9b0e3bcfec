#pragma once
// Reading arrays into memory that Eigen allocates: which extents a type takes, and a target that asks for the memory
// only when the data is known to be there.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "stele/walk.hpp"

namespace stele::eigen {

/// One extent of a type: exactly `most`, or anything up to it.
struct Extent {
  static constexpr std::uint64_t unbounded = std::numeric_limits<std::int64_t>::max();
  std::uint64_t most = unbounded;
  bool fixed = false;

  bool fits(std::uint64_t n) const noexcept { return fixed ? n == most : n <= most; }
  /// "3", "?", "<=4".
  std::string text() const {
    constexpr std::uint64_t hardly_a_bound = std::numeric_limits<std::int32_t>::max();
    return fixed ? message({most}) : most >= hardly_a_bound ? "?" : message({"<=", most});
  }
};

/// Receives an array into the memory that place() gives. What comes from an input that may hold less than it claims is
/// staged until all of it is there.
class PlacedTarget : public ArrayTarget {
 public:
  /// `allocated`: the memory exists, whatever is stored. `in` must outlive the target.
  PlacedTarget(InVisitor& in, DType dtype, Order order, bool allocated)
      : ArrayTarget(std::move(dtype)), in_(in), order_(order), allocated_(allocated) {}

  Order order(const ArrayHeader& stored) override {
    const auto is_long = [](std::uint64_t extent) { return extent > 1; };
    return std::count_if(stored.shape.begin(), stored.shape.end(), is_long) > 1 ? order_ : stored.order;
  }
  std::byte* memory(const ArrayHeader& stored, std::uint64_t bytes, std::uint64_t total, bool trusted) override {
    return allocate(total, [&]() -> std::byte* {
      if (placed_) {
        return data_;
      }
      if (!trusted && !allocated_ && bytes < total) {
        stage(bytes);
        return staged_.get();
      }
      data_ = place(stored);
      placed_ = true;
      if (!allocated_ && staged_size_ == 0) {
        walk::prepare_memory(data_, static_cast<std::size_t>(total));
      }
      if (staged_size_ > 0) {
        std::memcpy(data_, staged_.get(), staged_size_);
        staged_.reset();
      }
      return data_;
    });
  }
  bool share(const ArrayView&, const std::shared_ptr<Buffer>&) override { return false; }

 protected:
  /// The memory for the whole array, which is dense and in the order of order().
  virtual std::byte* place(const ArrayHeader& stored) = 0;
  /// Runs `f`; where it finds no memory, fails with the path and the offset.
  template <class F>
  std::byte* allocate(std::uint64_t total, F&& f) {
    try {
      return f();
    } catch (const std::bad_alloc&) {
      in_.error(Errc::limit_exceeded, message({"no memory for an array of ", total, " bytes"}));
    }
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };
  void stage(std::uint64_t bytes) {
    const auto size = static_cast<std::size_t>(bytes);
    if (size <= staged_size_) {
      return;
    }
    void* larger = std::realloc(staged_.get(), size);
    if (larger == nullptr) {
      throw std::bad_alloc();
    }
    static_cast<void>(staged_.release());
    staged_.reset(static_cast<std::byte*>(larger));
    staged_size_ = size;
  }

  InVisitor& in_;
  std::unique_ptr<std::byte, Free> staged_;
  std::size_t staged_size_ = 0;
  std::byte* data_ = nullptr;
  Order order_;
  bool allocated_;
  bool placed_ = false;
};

}  // namespace stele::eigen
