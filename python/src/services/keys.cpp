#include "services/keys.hpp"

#include <algorithm>

namespace stele::python {

KeyItem key_item(nb::handle key) {
  KeyItem item;
  PyObject* const object = key.ptr();
  if (PyUnicode_Check(object)) {
    Py_ssize_t size = 0;
    const char* data = PyUnicode_AsUTF8AndSize(object, &size);
    if (data == nullptr) {
      throw nb::python_error();
    }
    item.is_text = true;
    item.text = {data, static_cast<std::size_t>(size)};
    return item;
  }
  if (PyBytes_Check(object)) {
    item.is_text = true;
    item.text = {PyBytes_AsString(object), static_cast<std::size_t>(PyBytes_Size(object))};
    return item;
  }
  nb::object index;
  PyObject* number = object;
  if (!PyLong_Check(object)) {
    if (PyIndex_Check(object) == 0) {
      raise(PyExc_TypeError, "a key is an int, str or bytes, not " + class_of(key));
    }
    index = own(PyNumber_Index(object));
    number = index.ptr();
  }
  int overflow = 0;
  item.number = PyLong_AsLongLongAndOverflow(number, &overflow);
  if (overflow < 0) {
    raise(PyExc_OverflowError, "an integer key is at least -2**63");
  }
  if (overflow > 0) {
    const unsigned long long natural = PyLong_AsUnsignedLongLong(number);
    if (natural == ~0ULL && PyErr_Occurred() != nullptr) {
      PyErr_Clear();
      raise(PyExc_OverflowError, "an integer key is below 2**64");
    }
    item.number = static_cast<std::int64_t>(natural);
  }
  return item;
}

KeyHash key_hash(nb::handle key) {
  const KeyItem item = key_item(key);
  return item.is_text ? KeyHash(item.text) : KeyHash(item.number);
}

std::string_view token_of(nb::handle token) {
  const KeyItem item = key_item(token);
  if (!item.is_text) {
    raise(PyExc_TypeError, "a token is a str or bytes, not an int");
  }
  return item.text;
}

KeyItems::KeyItems(nb::handle keys) {
  if (PyUnicode_Check(keys.ptr()) || PyBytes_Check(keys.ptr())) {
    raise(PyExc_TypeError, "expected many keys, an array or an iterable, found one");
  }
  if (PyArray_Check(keys.ptr()) || nb::hasattr(keys, "__array__")) {  // a column of pandas, a tensor
    take_array(own(PyArray_FROM_O(keys.ptr())));
  } else {
    take_items(keys);
    shape_ = Shape({count_});
  }
}

/// As a tuple, which keeps its elements.
void KeyItems::take_items(nb::handle sequence) {
  keep_ = own(PySequence_Tuple(sequence.ptr()));
  count_ = static_cast<std::size_t>(PyTuple_Size(keep_.ptr()));
  items_.reserve(count_);
  for (const nb::handle key : nb::borrow<nb::tuple>(keep_)) {
    items_.push_back(key_item(key));
  }
}

void KeyItems::take_array(nb::handle array) {
  for (int axis = 0; axis < PyArray_NDIM(as_array(array)); ++axis) {
    shape_.push_back(static_cast<std::uint64_t>(PyArray_DIM(as_array(array), axis)));
  }
  const int type = PyArray_TYPE(as_array(array));
  if (PyTypeNum_ISINTEGER(type) || type == NPY_BOOL) {
    keep_ = own(PyArray_FROM_OTF(array.ptr(), NPY_INT64, NPY_ARRAY_IN_ARRAY | NPY_ARRAY_FORCECAST));
    numbers_ = elements<std::int64_t>(keep_);
    count_ = numbers_.size();
  } else if (PyTypeNum_ISFLEXIBLE(type) || type == NPY_OBJECT || type >= NPY_NTYPES_LEGACY) {
    // Also arrays of StringDType. Their elements may go away with the array, a tuple's do not.
    take_items(array.attr("ravel")().attr("tolist")());
  } else {
    raise(PyExc_TypeError,
          "keys are integers, str or bytes, not " + nb::cast<std::string>(nb::str(array.attr("dtype"))));
  }
}

template <class F>
void KeyItems::each(F&& use) const {
  for (const std::int64_t number : numbers_) {
    use(KeyItem{false, number, {}});
  }
  for (const KeyItem& item : items_) {
    use(item);
  }
}

std::vector<KeyHash> KeyItems::hashes() const {
  std::vector<KeyHash> made;
  made.reserve(count_);
  each([&](const KeyItem& item) { made.push_back(item.is_text ? KeyHash(item.text) : KeyHash(item.number)); });
  return made;
}

std::vector<Feature> KeyItems::features() const {
  std::vector<Feature> made;
  made.reserve(count_);
  each([&](const KeyItem& item) { made.push_back(item.is_text ? Feature(item.text) : Feature(item.number)); });
  return made;
}

std::vector<std::string_view> KeyItems::tokens() const {
  std::vector<std::string_view> made;
  made.reserve(count_);
  each([&](const KeyItem& item) {
    if (!item.is_text) {
      raise(PyExc_TypeError, "a token is a str or bytes, not an int");
    }
    made.push_back(item.text);
  });
  return made;
}

std::vector<std::uint64_t> counts_of(nb::handle counts, std::size_t keys) {
  if (counts.is_none()) {
    return {};
  }
  const nb::object array = own(PyArray_FROM_OF(counts.ptr(), NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED));
  PyArrayObject* const given = as_array(array);
  if (!PyTypeNum_ISINTEGER(PyArray_TYPE(given))) {
    if (PyArray_SIZE(given) == 0 && keys == 0) {
      return {};
    }
    raise(PyExc_TypeError, "counts are integers");
  }
  const auto size = static_cast<std::size_t>(PyArray_SIZE(given));
  if (PyArray_NDIM(given) != 0 && size != keys) {
    raise(PyExc_ValueError, std::to_string(size) + " counts for " + std::to_string(keys) + " keys");
  }
  const bool is_signed = PyTypeNum_ISSIGNED(PyArray_TYPE(given));
  const nb::object wide = own(PyArray_Cast(given, is_signed ? NPY_INT64 : NPY_UINT64));
  const std::span<const std::uint64_t> each = elements<std::uint64_t>(wide);
  if (is_signed && std::any_of(each.begin(), each.end(), [](std::uint64_t one) { return one >> 63 != 0; })) {
    raise(PyExc_ValueError, "a count is not negative");
  }
  return PyArray_NDIM(given) == 0 ? std::vector(keys, each[0]) : std::vector(each.begin(), each.end());
}

}  // namespace stele::python
