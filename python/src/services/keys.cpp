#include "services/keys.hpp"

#include <cstring>

namespace stele::python {
namespace {

template <class T>
T at(const std::byte* place) noexcept {
  T value;
  std::memcpy(&value, place, sizeof(T));
  return value;
}

/// Appends a code point. Surrogates, which NumPy's arrays of characters may have, are not text.
void append_utf8(std::string& out, std::uint32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xc0 | point >> 6);
    out += static_cast<char>(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    if (point >= 0xd800 && point < 0xe000) {
      raise(PyExc_ValueError, "a key has a surrogate, which is not in UTF-8");
    }
    out += static_cast<char>(0xe0 | point >> 12);
    out += static_cast<char>(0x80 | (point >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (point & 0x3f));
  } else if (point < 0x110000) {
    out += static_cast<char>(0xf0 | point >> 18);
    out += static_cast<char>(0x80 | (point >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (point >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (point & 0x3f));
  } else {
    raise(PyExc_ValueError, "a key has a character beyond Unicode");
  }
}

}  // namespace

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
      raise(PyExc_TypeError,
            "a key is an int, str or bytes, not " + nb::cast<std::string>(nb::str(key.type().attr("__name__"))));
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
  if (PyArray_Check(keys.ptr())) {
    keep_ = nb::borrow(keys);
    take_array(as_array(keep_.ptr()));
    return;
  }
  if (nb::hasattr(keys, "__array__")) {  // a column of pandas, a tensor
    keep_ = own(PyArray_FROM_O(keys.ptr()));
    take_array(as_array(keep_.ptr()));
    return;
  }
  keep_ = own(PySequence_Tuple(keys.ptr()));
  count_ = static_cast<std::size_t>(PyTuple_Size(keep_.ptr()));
  shape_ = Shape({count_});
  items_.reserve(count_);
  for (std::size_t i = 0; i < count_; ++i) {
    items_.push_back(key_item(PyTuple_GetItem(keep_.ptr(), static_cast<Py_ssize_t>(i))));
  }
}

void KeyItems::take_array(PyArrayObject* array) {
  for (int axis = 0; axis < PyArray_NDIM(array); ++axis) {
    shape_.push_back(static_cast<std::uint64_t>(PyArray_DIM(array, axis)));
  }
  count_ = static_cast<std::size_t>(PyArray_SIZE(array));
  const int type = PyArray_TYPE(array);
  if (type == NPY_OBJECT || type >= NPY_NTYPES_LEGACY) {
    // Also arrays of StringDType. Their elements may go away with the array, a tuple's do not.
    const nb::object flat = nb::handle(reinterpret_cast<PyObject*>(array)).attr("ravel")().attr("tolist")();
    keep_ = own(PySequence_Tuple(flat.ptr()));
    items_.reserve(count_);
    for (std::size_t i = 0; i < count_; ++i) {
      items_.push_back(key_item(PyTuple_GetItem(keep_.ptr(), static_cast<Py_ssize_t>(i))));
    }
    return;
  }
  if (!PyTypeNum_ISINTEGER(type) && type != NPY_BOOL && type != NPY_STRING && type != NPY_UNICODE) {
    raise(PyExc_TypeError,
          "keys are integers, str or bytes, not " +
              nb::cast<std::string>(nb::str(nb::handle(reinterpret_cast<PyObject*>(PyArray_DESCR(array))))));
  }
  keep_ = own(PyArray_FROM_OF(reinterpret_cast<PyObject*>(array),
                              NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED | NPY_ARRAY_NOTSWAPPED));
  array = as_array(keep_.ptr());
  numbers_ = reinterpret_cast<const std::byte*>(PyArray_BYTES(array));
  item_size_ = static_cast<std::size_t>(PyArray_ITEMSIZE(array));
  is_signed_ = PyTypeNum_ISSIGNED(type);
  if (type != NPY_STRING && type != NPY_UNICODE) {
    return;
  }
  items_.resize(count_);
  if (type == NPY_STRING) {
    for (std::size_t i = 0; i < count_; ++i) {
      const char* const text = reinterpret_cast<const char*>(numbers_ + i * item_size_);
      std::size_t size = item_size_;
      while (size > 0 && text[size - 1] == '\0') {
        --size;
      }
      items_[i].is_text = true;
      items_[i].text = {text, size};
    }
    return;
  }
  const std::size_t longest = item_size_ / 4;
  texts_ = std::make_unique<std::string>();
  std::vector<std::size_t> ends;
  ends.reserve(count_);
  for (std::size_t i = 0; i < count_; ++i) {
    const std::byte* const text = numbers_ + i * item_size_;
    std::size_t size = longest;
    while (size > 0 && at<std::uint32_t>(text + 4 * (size - 1)) == 0) {
      --size;
    }
    for (std::size_t k = 0; k < size; ++k) {
      append_utf8(*texts_, at<std::uint32_t>(text + 4 * k));
    }
    ends.push_back(texts_->size());
  }
  std::size_t begin = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    items_[i].is_text = true;
    items_[i].text = std::string_view(*texts_).substr(begin, ends[i] - begin);
    begin = ends[i];
  }
}

template <class F>
void KeyItems::each(F&& use) const {
  const auto run = [&]<class T>(T) {
    for (std::size_t i = 0; i < count_; ++i) {
      use(KeyItem{false, static_cast<std::int64_t>(at<T>(numbers_ + i * sizeof(T))), {}});
    }
  };
  if (!items_.empty() || count_ == 0) {
    for (const KeyItem& item : items_) {
      use(item);
    }
    return;
  }
  switch (item_size_) {
    case 1:
      return is_signed_ ? run(std::int8_t{}) : run(std::uint8_t{});
    case 2:
      return is_signed_ ? run(std::int16_t{}) : run(std::uint16_t{});
    case 4:
      return is_signed_ ? run(std::int32_t{}) : run(std::uint32_t{});
    default:
      return run(std::int64_t{});
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
  PyArrayObject* const given = as_array(array.ptr());
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
  const auto* const first = reinterpret_cast<const std::byte*>(PyArray_BYTES(as_array(wide.ptr())));
  std::vector<std::uint64_t> made(keys);
  for (std::size_t i = 0; i < keys; ++i) {
    made[i] = at<std::uint64_t>(first + (PyArray_NDIM(given) == 0 ? 0 : 8 * i));
    if (is_signed && static_cast<std::int64_t>(made[i]) < 0) {
      raise(PyExc_ValueError, "a count is not negative");
    }
  }
  return made;
}

}  // namespace stele::python
