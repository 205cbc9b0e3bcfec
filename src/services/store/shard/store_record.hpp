#pragma once
// From a record of a shard to the value that users see.

#include "services/store/shard/shard.hpp"
#include "services/store/shard/value_codec.hpp"
#include "stele/store/value.hpp"

namespace stele {

class StoreRecord {
 public:
  /// Throws: Error(damaged), and what decompressing does.
  static StoreValue value(Shard::Found found, const ValueCodec& codec, const Limits& limits);

  /// The same in memory of its own, where the bytes it lies in may go.
  static StoreValue copy(const StoreValue& value);

  /// The CBOR item that a value is.
  static Bytes item(const StoreValue& value) noexcept { return value.item_; }

  /// Checks what was not when the value was handed out. Throws: Error(damaged).
  static void check(const StoreValue& value) { value.check(); }

 private:
  static void take_item(StoreValue& value, Bytes item);
};

}  // namespace stele
