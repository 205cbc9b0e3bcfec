#pragma once
// Gives the elements of an array of bool to a BooleanTarget, from wherever array() brings them.

#include "stele/visitor.hpp"

namespace stele {

/// Bytes of elements that are handed on at once.
inline constexpr std::uint64_t boolean_piece = std::uint64_t{256} << 10;

class BooleanArray final : public ArrayTarget {
 public:
  explicit BooleanArray(BooleanTarget& target) : ArrayTarget(DType::Kind::boolean), target_(target) {}
  bool accepts(const ArrayHeader& stored) override { return stored.shape.rank() == 1; }
  std::string expected() const override { return "[?]"; }
  Order order(const ArrayHeader&) override { return Order::row_major; }
  std::byte* memory(const ArrayHeader& stored, std::uint64_t bytes, std::uint64_t total, bool trusted) override;
  bool can_share() const noexcept override { return true; }
  bool share(const ArrayView& view, const std::shared_ptr<Buffer>& buffer) override;
  /// Once the array is read.
  void finish();

 private:
  BooleanTarget& target_;
  std::shared_ptr<Buffer> buffer_;  // of elements that could not be shared
  std::uint64_t count_ = 0;
};

}  // namespace stele
