#pragma once
// A key-value store as the benchmarks see it. engines/ has a class for each.

#include <functional>
#include <memory>
#include <string>

#include "data.hpp"

namespace bench {

struct EngineSetting {
  bool integers = false;  // keys
  bool durable = false;   // each commit waits for the device
  bool scarce = false;    // the data are larger than the memory
  std::size_t value_size = 0;
};

/// Reads a store; one thread at a time.
class EngineReader {
 public:
  virtual ~EngineReader() = default;
  /// The value in the store's memory, valid until the next call. Throws if there is none.
  virtual Bytes find(const StoreKey& key) = 0;
  /// Calls `found` for each, in any order.
  virtual void find_many(std::span<const StoreKey> keys, const std::function<void(Bytes)>& found) {
    for (const StoreKey& key : keys) {
      found(find(key));
    }
  }
  /// All values, in the order of their keys, or in the order that is fastest.
  virtual void scan(bool by_key, const std::function<void(Bytes)>& each) = 0;
  /// Moves to the latest commit.
  virtual void renew() {}
};

/// An open store. The destructor closes it.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual void put(const StoreKey& key, Bytes value) = 0;
  virtual void commit() = 0;
  virtual std::unique_ptr<EngineReader> reader() = 0;
};

enum class EngineMode : std::uint8_t { make, write, read };

/// Opens a store in a folder that exists.
using OpenEngine = std::unique_ptr<Engine> (*)(const std::string& folder, EngineMode mode,
                                               const EngineSetting& setting);

template <class T>
std::unique_ptr<Engine> open_engine(const std::string& folder, EngineMode mode, const EngineSetting& setting) {
  return std::make_unique<T>(folder, mode, setting);
}

}  // namespace bench
