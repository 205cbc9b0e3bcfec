#pragma once
// The storages of torch.save(): the bytes that tensors are views of, by the ids that stand for them in the pickle.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "interop/pickle/pickle.hpp"
#include "stele/dtype.hpp"
#include "stele/value.hpp"

namespace stele {

/// What ("storage", torch.FloatStorage, "0", "cpu", 12) says. Files of before 2019 may add a part of that storage.
struct StorageId {
  DType dtype;  // of its elements; uint8 for a storage without a type
  bool is_typed = true;
  std::string key;
  std::uint64_t count = 0;  // of elements
  struct Part {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
  };
  std::optional<Part> part = {};
};

/// Reads the id of a storage; nothing for another kind of id. `id` is as PickleOptions::persistent gets it.
/// Throws: Error(malformed), Error(unsupported) for an element type that is not known.
std::optional<StorageId> storage_id(const Value& id);

/// The storages of a file, each of which is read once: arrays with one axis, which tensors share.
class Storages {
 public:
  /// `read` is called for each storage that the pickle refers to.
  explicit Storages(std::function<AnyArray(const StorageId& id)> read) : read_(std::move(read)) {}

  /// For PickleOptions::persistent.
  Value at(const Value& id);

 private:
  const std::function<AnyArray(const StorageId& id)> read_;
  std::map<std::pair<std::string, DType::Kind>, AnyArray> known_;
};

}  // namespace stele
