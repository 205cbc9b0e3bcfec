#include "interop/torch/storage.hpp"

#include <algorithm>
#include <array>

#include "stele/error.hpp"

namespace stele {
namespace {

struct StorageType {
  std::string_view name;
  DType::Kind kind;
};
using Kind = DType::Kind;
// Quantised numbers are their integers; their scale is in the pickle.
constexpr std::array<StorageType, 17> types{{
    {"BFloat16Storage", Kind::bfloat16},
    {"BoolStorage", Kind::boolean},
    {"ByteStorage", Kind::uint8},
    {"CharStorage", Kind::int8},
    {"ComplexDoubleStorage", Kind::complex128},
    {"ComplexFloatStorage", Kind::complex64},
    {"DoubleStorage", Kind::float64},
    {"FloatStorage", Kind::float32},
    {"HalfStorage", Kind::float16},
    {"IntStorage", Kind::int32},
    {"LongStorage", Kind::int64},
    {"QInt32Storage", Kind::int32},
    {"QInt8Storage", Kind::int8},
    {"QUInt2x4Storage", Kind::uint8},
    {"QUInt4x2Storage", Kind::uint8},
    {"QUInt8Storage", Kind::uint8},
    {"ShortStorage", Kind::int16},
}};

[[noreturn]] void malformed() { fail(Errc::malformed, "a storage of tensors whose id is of no known form"); }

/// Text, or bytes, as Python 2 wrote it.
std::string_view text_of(const Value& value) {
  if (value.is_text()) {
    return value.text();
  }
  if (!value.is(ValueKind::bytes)) {
    malformed();
  }
  return {reinterpret_cast<const char*>(value.bytes().data()), value.bytes().size()};
}

std::uint64_t natural(const Value& value) {
  if (!value.is(ValueKind::integer) || value.number().type != Number::Type::natural) {
    malformed();
  }
  return value.number().bits;
}

const Value* tuple_of(const Value& value) {
  const bool is_tuple = value.is(ValueKind::typed) && value.type_name() == "py:tuple" && value.content().is_sequence();
  return is_tuple ? &value.content() : nullptr;
}

void set_type(StorageId& id, const Value& type) {
  if (!type.is(ValueKind::typed) || type.type_name() != "py:global" || !type.content().is_text()) {
    malformed();
  }
  const std::string& full = type.content().text();  // "torch.FloatStorage", "torch.cuda.FloatStorage"
  const std::string_view name = std::string_view(full).substr(full.rfind('.') + 1);
  id.is_typed = name != "UntypedStorage" && name != "_UntypedStorage";
  const auto* const known = std::ranges::find(types, name, &StorageType::name);
  if (!full.starts_with("torch.") || (id.is_typed && known == types.end())) {
    fail(Errc::unsupported, "a storage of tensors of the type " + full.substr(0, 100));
  }
  id.dtype = id.is_typed ? known->kind : Kind::uint8;
}

}  // namespace

std::optional<StorageId> storage_id(const Value& id) {
  const Value* const tuple = tuple_of(id);
  if (tuple == nullptr || tuple->empty() || text_of(tuple->items()[0]) != "storage") {
    return std::nullopt;
  }
  const auto parts = tuple->items();
  if (parts.size() < 5 || parts.size() > 6) {
    malformed();
  }
  StorageId found;
  set_type(found, parts[1]);
  found.key = text_of(parts[2]);
  found.count = natural(parts[4]);
  if (parts.size() == 6 && !parts[5].is_null()) {
    const Value* const part = tuple_of(parts[5]);
    if (part == nullptr || part->size() != 3) {
      malformed();
    }
    found.part = {natural(part->items()[1]), natural(part->items()[2])};
  }
  return found;
}

Value Storages::at(const Value& id) {
  const std::optional<StorageId> storage = storage_id(id);
  if (!storage) {
    // ("module", class, its file, its source), of old files that hold modules.
    const Value* const tuple = tuple_of(id);
    const bool is_module = tuple != nullptr && tuple->size() >= 2 && text_of(tuple->items()[0]) == "module";
    return is_module ? tuple->items()[1] : Value::make_typed("py:persistent", id);
  }
  AnyArray& array = known_[{storage->key, storage->dtype.kind()}];
  if (array.buffer() == nullptr) {
    array = read_(*storage);
  } else if (array.shape()[0] != storage->count) {
    fail(Errc::malformed, "the storage " + storage->key + " with " + std::to_string(storage->count) +
                              " elements, which had " + std::to_string(array.shape()[0]));
  }
  if (!storage->part) {
    return array;
  }
  const auto [first, count] = *storage->part;
  if (first > storage->count || count > storage->count - first) {
    fail(Errc::malformed, "a part of the storage " + storage->key + " that lies outside");
  }
  ArrayView view(storage->dtype, array.view().data + first * storage->dtype.item_size(), count);
  return AnyArray(view, array.buffer());
}

}  // namespace stele
