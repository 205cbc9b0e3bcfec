#include "archive/read/decoder/fields.hpp"

#include "archive/convert.hpp"

#include <algorithm>

#include "stele/walk.hpp"

namespace stele {
namespace {

const DType::Field* field_named(const DType& dtype, const std::string& name) noexcept {
  const auto found = std::find_if(dtype.fields().begin(), dtype.fields().end(),
                                  [&](const DType::Field& field) { return field.name == name; });
  return found == dtype.fields().end() ? nullptr : &*found;
}

}  // namespace

void check_fields(const DType& stored, const DType& wanted, InVisitor& in) {
  if (!stored.is_record() || !wanted.is_record() || stored == wanted) {
    return;
  }
  if (in.field_rules().known) {
    for (const DType::Field& field : stored.fields()) {
      if (field_named(wanted, field.name) == nullptr) {
        walk::unknown_field(in, field.name);
      }
    }
  }
  for (const DType::Field& field : wanted.fields()) {
    if (const DType::Field* const found = field_named(stored, field.name)) {
      check_fields(found->type, field.type, in);
    } else if (field.required || in.field_rules().complete) {
      walk::missing_field(in, field.name);
    }
  }
}

std::uint64_t alignment_to_map(const DType& dtype) noexcept {
  switch (dtype.kind()) {
    case DType::Kind::record:
      return 8;
    case DType::Kind::bytes:
      return 1;
    case DType::Kind::utf32:
      return 4;
    default:
      return std::min<std::uint64_t>(8, dtype.item_size());
  }
}

void check_array(const ArrayHeader& stored, ArrayTarget& target, InVisitor& in) {
  const bool any = target.dtype().kind() == DType::Kind::none;
  if ((any || widens(stored.dtype, target.dtype())) && target.accepts(stored)) {
    if (!any) {
      check_fields(stored.dtype, target.dtype(), in);
    }
    return;
  }
  in.error(Errc::type_mismatch, "expected " + (any ? std::string() : target.dtype().name()) + target.expected() +
                                    ", found " + stored.dtype.name() + stored.shape.text());
}

}  // namespace stele
