#pragma once
// Checks of fields and arrays before they are read.

#include <cstdint>

#include "stele/visitor.hpp"

namespace stele {

/// The rules for fields in LoadOptions and similar options.
FieldRules rules_of(const auto& options) {
  return {options.strict || options.known, options.strict || options.complete};
}

/// Compares the fields of structured arrays, including records in records. Fails where they differ and neither the
/// rules of `in` nor the wanted type allow it. Throws through `in`: Error(unknown_field), Error(missing_field).
void check_fields(const DType& stored, const DType& wanted, InVisitor& in);
/// Throws, through `in`: Error(type_mismatch), or what the field rules say, if `target` cannot take the stored array.
void check_array(const ArrayHeader& stored, ArrayTarget& target, InVisitor& in);

/// The alignment in bytes that a mapped array's address needs.
std::uint64_t alignment_to_map(const DType& dtype) noexcept;

}  // namespace stele
