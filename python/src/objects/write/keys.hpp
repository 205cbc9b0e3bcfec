#pragma once
// Keys that several dicts have, which are stored once.

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "python.hpp"

namespace stele::python {

/// Text and bytes below this size are stored at each place that has them.
inline constexpr Py_ssize_t shared_text_bytes = 1024;

class RepeatedKeys {
 public:
  struct Keys {
    std::vector<nb::object> keys;
    std::vector<std::string_view> names;  // of the keys
  };
  /// The keys of a dict, where another one had the very same; null the first time, and for keys that no record can
  /// have. Valid as long as this.
  const Keys* of(PyObject* dict, Py_ssize_t count);

 private:
  std::unordered_map<std::uint64_t, Keys> known_;  // by a hash of the keys' addresses
  const Keys* last_ = nullptr;
};

}  // namespace stele::python
