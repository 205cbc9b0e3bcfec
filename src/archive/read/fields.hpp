#pragma once
// What reading asks of fields and of arrays before it takes them.

#include <cstdint>

#include "stele/visitor.hpp"

namespace stele {

/// What LoadOptions and the like say of fields.
FieldRules rules_of(const auto& options) {
  return {options.strict || options.known, options.strict || options.complete};
}

/// Fails for fields of structured arrays that differ where the rules of `in`, or the wanted type, do not let them, also
/// in records within records. Throws through `in`: Error(unknown_field), Error(missing_field).
void check_fields(const DType& stored, const DType& wanted, InVisitor& in);

/// What the address of a mapped array must be a multiple of.
std::uint64_t alignment_to_map(const DType& dtype) noexcept;

}  // namespace stele
