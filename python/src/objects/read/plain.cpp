#include "objects/read/plain.hpp"

#include <cstring>

#include "stele/error.hpp"

namespace stele::python {
namespace {

constexpr std::size_t known_texts = 256;
constexpr unsigned unknown_texts = 16;   // that are made before it pays to know some
constexpr std::uint64_t kept_keys = 64;  // of a dict, beyond which they hardly come again

/// Whether there is nothing but ASCII.
bool is_ascii(std::string_view text) noexcept {
  constexpr std::uint64_t high_bits = 0x8080808080808080U;
  std::uint64_t found = 0;
  const char* at = text.data();
  std::size_t left = text.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    found |= word;
  }
  for (; left > 0; --left, ++at) {
    found |= static_cast<unsigned char>(*at);
  }
  return (found & high_bits) == 0;
}

template <class T>
std::uint64_t word(const char* at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// A place among known_texts that depends on the first and last bytes.
std::size_t place_of(std::string_view text) noexcept {
  const char* const first = text.data();
  const char* const end = first + text.size();
  std::uint64_t begins = 0;
  std::uint64_t ends = 0;
  if (text.size() >= 8) {
    begins = word<std::uint64_t>(first);
    ends = word<std::uint64_t>(end - 8);
  } else if (text.size() >= 4) {
    begins = word<std::uint32_t>(first);
    ends = word<std::uint32_t>(end - 4);
  } else if (!text.empty()) {
    begins = word<std::uint8_t>(first) | word<std::uint8_t>(first + text.size() / 2) << 8;
    ends = word<std::uint8_t>(end - 1);
  }
  const std::uint64_t mixed = (begins ^ (ends * 0x9E3779B97F4A7C15U) ^ text.size()) * 0xD6E8FEB86659FD93U;
  return static_cast<std::size_t>(mixed >> 32) % known_texts;
}

}  // namespace

PyObject* new_text(std::string_view utf8_text) noexcept {
#ifndef Py_LIMITED_API
  // Python has its own objects for texts of no or one character.
  if (utf8_text.size() > 1 && is_ascii(utf8_text)) {
    PyObject* const made = PyUnicode_New(static_cast<Py_ssize_t>(utf8_text.size()), 0x7f);
    if (made != nullptr) {
      std::memcpy(PyUnicode_1BYTE_DATA(made), utf8_text.data(), utf8_text.size());
    }
    return made;
  }
#endif
  return PyUnicode_FromStringAndSize(utf8_text.data(), static_cast<Py_ssize_t>(utf8_text.size()));
}

nb::object valid_text(InVisitor& in, std::string_view utf8_text) {
  PyObject* const made = new_text(utf8_text);
  if (made == nullptr && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) != 0) {
    PyErr_Clear();
    in.error(Errc::malformed, "text that is not valid UTF-8");
  }
  return own(made);
}

PyObject* new_number(Number::Type type, std::uint64_t bits) noexcept {
  switch (type) {
    case Number::Type::natural:  // the signed function is faster
      return bits <= static_cast<std::uint64_t>(INT64_MAX) ? PyLong_FromLongLong(static_cast<std::int64_t>(bits))
                                                           : PyLong_FromUnsignedLongLong(bits);
    case Number::Type::negative: {
      if (bits <= static_cast<std::uint64_t>(INT64_MAX)) {
        return PyLong_FromLongLong(static_cast<std::int64_t>(~bits));
      }
      PyObject* const inverse = PyLong_FromUnsignedLongLong(bits);  // -1 - bits
      PyObject* const made = inverse != nullptr ? PyNumber_Invert(inverse) : nullptr;
      Py_XDECREF(inverse);
      return made;
    }
    case Number::Type::float16:
      return PyFloat_FromDouble(
          static_cast<double>(static_cast<float>(__builtin_bit_cast(float16, static_cast<std::uint16_t>(bits)))));
    case Number::Type::float32:
      return PyFloat_FromDouble(static_cast<double>(__builtin_bit_cast(float, static_cast<std::uint32_t>(bits))));
    default:
      return PyFloat_FromDouble(__builtin_bit_cast(double, bits));
  }
}

PyObject* new_dict([[maybe_unused]] Py_ssize_t entries) noexcept {
#if !defined(Py_LIMITED_API) && PY_VERSION_HEX < 0x030d0000
  return _PyDict_NewPresized(entries);
#else
  return PyDict_New();
#endif
}

PyObject* PlainMaker::value(const PlainPart*& at) noexcept {
  const PlainPart& part = *at++;
  switch (part.kind) {
    case PlainPart::Kind::null:
      return nb::none().release().ptr();
    case PlainPart::Kind::boolean:
      return PyBool_FromLong(static_cast<long>(part.bits));
    case PlainPart::Kind::number:
      return new_number(part.type, part.bits);
    case PlainPart::Kind::text:
      return new_text(part.view());
    case PlainPart::Kind::bytes:
      return PyBytes_FromStringAndSize(part.text, static_cast<Py_ssize_t>(part.bits));
    case PlainPart::Kind::sequence:
      return part.name < 2 ? sequence(part, at) : set(part, at, part.name == 3);
    case PlainPart::Kind::map:
      return dict(part, at);
  }
  return nullptr;
}

PyObject* PlainMaker::sequence(const PlainPart& part, const PlainPart*& at) noexcept {
  const auto size = static_cast<Py_ssize_t>(part.bits);
  const bool is_tuple = part.name == 1;
  bool tracked = false;
  PyObject* const made = is_tuple ? PyTuple_New(size) : PyList_New(size);
  for (Py_ssize_t i = 0; made != nullptr && i < size; ++i) {
    PyObject* const item = value(at);
    if (item == nullptr) {
      Py_DECREF(made);
      return nullptr;
    }
    tracked = tracked || PyObject_GC_IsTracked(item) != 0;
    is_tuple ? set_tuple_item(made, i, item) : set_list_item(made, i, item);
  }
  if (is_tuple && made != nullptr && size > 0 && !tracked) {
    PyObject_GC_UnTrack(made);  // as the collector would, once it has looked at it
  }
  return made;
}

PyObject* PlainMaker::set(const PlainPart& part, const PlainPart*& at, bool frozen) noexcept {
  PyObject* const made = frozen ? PyFrozenSet_New(nullptr) : PySet_New(nullptr);
  for (std::uint64_t i = 0; made != nullptr && i < part.bits; ++i) {
    PyObject* const item = value(at);
    const bool added = item != nullptr && PySet_Add(made, item) == 0;  // nobody else has a frozen one yet
    Py_XDECREF(item);
    if (!added) {
      Py_DECREF(made);
      return nullptr;
    }
  }
  return made;
}

PyObject* PlainMaker::dict(const PlainPart& part, const PlainPart*& at) noexcept {
  PyObject* const made = new_dict(static_cast<Py_ssize_t>(part.bits));
  for (std::uint64_t i = 0; made != nullptr && i < part.bits; ++i) {
    PyObject* const name = key(at, part.bits <= kept_keys);
    PyObject* const item = name != nullptr ? value(at) : nullptr;
    const bool added = item != nullptr && PyDict_SetItem(made, name, item) == 0;
    Py_XDECREF(name);
    Py_XDECREF(item);
    if (!added) {
      Py_DECREF(made);
      return nullptr;
    }
  }
  return made;
}

PyObject* PlainMaker::key(const PlainPart*& at, bool again) noexcept {
  return at->kind == PlainPart::Kind::text && again ? key_text((at++)->view()) : value(at);
}

PyObject* PlainMaker::key_text(std::string_view key) noexcept {
  if (key.size() > Known::longest) {
    return new_text(key);
  }
  if (known_.empty()) {
    if (met_ < unknown_texts) {
      ++met_;
      return new_text(key);
    }
    try {
      known_.resize(known_texts);
    } catch (const std::bad_alloc&) {
      return PyErr_NoMemory();
    }
  }
  Known& known = known_[place_of(key)];
  if (!known.text.is_valid() || known.size != key.size() || std::memcmp(known.bytes, key.data(), key.size()) != 0) {
    PyObject* const made = new_text(key);
    if (made == nullptr) {
      return nullptr;
    }
    known.text = nb::steal<nb::object>(made);
    known.size = static_cast<unsigned char>(key.size());
    std::memcpy(known.bytes, key.data(), key.size());
  }
  return nb::object(known.text).release().ptr();
}

}  // namespace stele::python
