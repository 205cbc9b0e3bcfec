#pragma once
// Passes the elements of a bool array to a BooleanTarget, wherever array() delivers them.

#include "stele/visitor.hpp"

namespace stele {

/// bytes of elements per call
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
  /// Call after the array was read.
  void finish();

 private:
  BooleanTarget& target_;
  std::shared_ptr<Buffer> buffer_;  // holds elements that could not be shared
  std::uint64_t count_ = 0;
};

}  // namespace stele
