#include "interop/ordered_dict.hpp"

namespace stele {

const Value& plain_dict(const Value& value) noexcept {
  const Value* inside = &value;
  while (inside->is(ValueKind::shared)) {
    inside = &inside->content();
  }
  if (!inside->is(ValueKind::typed) || inside->type_name() != "py:collections.OrderedDict") {
    return *inside;
  }
  const Value& object = inside->content();
  const bool is_object = object.is_record() || object.is_map();
  const Value* const entries = is_object && !object.contains("args") ? object.find("entries") : nullptr;
  return entries != nullptr && entries->is_map() ? *entries : *inside;
}

}  // namespace stele
