#pragma once
// An array of any type and rank in its own buffer, and the target that reads one.

#include <memory>

#include "stele/visitor.hpp"

namespace stele {

/// Accepts any stored array, without conversion.
class AnyTarget final : public ArrayTarget {
 public:
  AnyTarget() : ArrayTarget(DType()) {}
  bool accepts(const ArrayHeader&) override { return true; }
  std::string expected() const override { return "an array"; }
  Order order(const ArrayHeader& stored) override { return stored.order; }
  std::byte* memory(const ArrayHeader& stored, std::uint64_t bytes, std::uint64_t total, bool trusted) override;
  bool can_share() const noexcept override { return true; }
  bool share(const ArrayView& view, const std::shared_ptr<Buffer>& buffer) override;

  const ArrayView& view() const noexcept { return view_; }
  const std::shared_ptr<Buffer>& buffer() const noexcept { return buffer_; }

 private:
  ArrayView view_;
  std::shared_ptr<Buffer> buffer_;
};

/// Whether reading one element gives a sequence: the two parts of a complex number, or a time's count and the numerator
/// and denominator of its unit.
bool has_parts(const DType& dtype) noexcept;

/// Reads a dense array item by item: numbers, records, or arrays with one dimension less.
std::unique_ptr<InVisitor> array_items(ArrayView view, std::shared_ptr<Buffer> buffer, InVisitor& errors);

}  // namespace stele
