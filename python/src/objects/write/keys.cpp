#include "objects/write/keys.hpp"

namespace stele::python {
namespace {

bool has_keys(PyObject* dict, Py_ssize_t count, const RepeatedKeys::Keys& known) {
  if (known.keys.size() != static_cast<std::size_t>(count)) {
    return false;
  }
  Py_ssize_t at = 0;
  PyObject* key = nullptr;
  const nb::object* expected = known.keys.data();
  while (PyDict_Next(dict, &at, &key, nullptr) != 0) {
    if (key != (expected++)->ptr()) {
      return false;
    }
  }
  return true;
}

}  // namespace

const RepeatedKeys::Keys* RepeatedKeys::of(PyObject* dict, Py_ssize_t count) {
  constexpr Py_ssize_t most_keys = 64;
  if (count < 2 || count > most_keys) {
    return nullptr;
  }
  if (last_ != nullptr && has_keys(dict, count, *last_)) {
    return last_;
  }
  Py_ssize_t at = 0;
  PyObject* key = nullptr;
  std::uint64_t hash = static_cast<std::uint64_t>(count);
  while (PyDict_Next(dict, &at, &key, nullptr) != 0) {
    if (Py_TYPE(key) != &PyUnicode_Type) {
      return nullptr;
    }
    hash = (hash ^ reinterpret_cast<std::uintptr_t>(key)) * 0x9E3779B97F4A7C15U;
    hash ^= hash >> 29;
  }
  constexpr std::size_t most_known = 128;  // a file has names for 256, of objects too
  if (known_.size() >= most_known && !known_.contains(hash)) {
    return nullptr;
  }
  const auto [place, is_new] = known_.try_emplace(hash);
  Keys& known = place->second;
  if (!is_new) {
    return has_keys(dict, count, known) ? last_ = &known : nullptr;
  }
  at = 0;
  while (PyDict_Next(dict, &at, &key, nullptr) != 0) {
    std::string_view name;
    if (!utf8(key, name) || static_cast<Py_ssize_t>(name.size()) >= shared_text_bytes || name.starts_with('@')) {
      known.keys.clear();  // stays, so that it is not tried again
      return nullptr;
    }
    known.keys.push_back(nb::borrow(key));
    known.names.push_back(name);
  }
  return nullptr;
}

}  // namespace stele::python
