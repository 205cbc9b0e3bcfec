#pragma once
// The calls by which PyTorch makes tensors of their storages.

#include <optional>
#include <span>

#include "interop/pickle/read/tree.hpp"

namespace stele::pickle {

/// torch._utils._rebuild_tensor, _v2 and _v3 of a storage, which must be an array with one axis; nothing for other
/// forms. Throws: Error(malformed) for a tensor that lies outside its storage, Error(limit_exceeded).
std::optional<Value> tensor(Known form, std::span<const Value> args, Budget& budget);
/// torch._utils._rebuild_parameter: the tensor itself.
std::optional<Value> parameter(std::span<const Value> args);
/// torch.Size of a tuple.
std::optional<Value> tensor_size(std::span<const Value> args, Marks& marks);

}  // namespace stele::pickle
