#pragma once
// Converts a record of a shard to the value that users see.

#include "services/store/shard/shard.hpp"
#include "services/store/shard/value_codec.hpp"
#include "stele/store/value.hpp"

namespace stele {

class StoreRecord {
 public:
  /// Throws: Error(damaged), and the errors of decompression.
  static StoreValue value(Shard::Found found, const ValueCodec& codec, const Limits& limits);

  /// A copy in separate memory, for values whose bytes may be removed.
  static StoreValue copy(const StoreValue& value);

  /// The CBOR item of a value.
  static Bytes item(const StoreValue& value) noexcept { return value.item_; }

  /// Checks what was not checked when the value was returned. Throws: Error(damaged).
  static void check(const StoreValue& value) { value.check(); }

 private:
  static void take_item(StoreValue& value, Bytes item);
};

}  // namespace stele
