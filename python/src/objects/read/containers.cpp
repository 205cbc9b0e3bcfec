#include "objects/read/containers.hpp"

#include <algorithm>

#include "objects/read/reading.hpp"
#include "stele/error.hpp"

namespace stele::python {
namespace {

constexpr unsigned longest_pause = 63;
constexpr std::uint64_t few_keys = 64;
constexpr std::uint64_t most_room = std::uint64_t{1} << 21;  // a count in a file costs less than its items

/// A key that a dict can have: what C++ has as an array or a sequence becomes a tuple.
nb::object hashable(nb::object key) {
  if (PyArray_Check(key.ptr())) {
    key = key.attr("tolist")();
  }
  return PyList_CheckExact(key.ptr()) ? nb::object(own(PyList_AsTuple(key.ptr()))) : key;
}

}  // namespace

nb::object Containers::key_text(std::string_view key) {
  PyObject* const made = maker_.key_text(key);
  return made != nullptr ? nb::steal<nb::object>(made) : (maker_.failed(), valid_text(in_, key));
}

/// Fails where a key or an item of a set could not be put: it cannot be hashed.
void Containers::put(int result) {
  if (result < 0) {
    nb::python_error error;
    if (!error.matches(PyExc_TypeError)) {
      throw error;
    }
    in_.error(Errc::malformed, "a key or an item of a set that Python cannot hash");
  }
}

/// Reads the values that follow, as far as they are plain, calling `put` with the parts of each: of an item, or of a
/// key and what stands before its value. Where there are none, it waits some values before it looks again.
template <class F>
void Containers::plain_run(unsigned& pause, unsigned& wait, F&& put) {
  if (wait > 0) {
    --wait;
    return;
  }
  const std::size_t count = in_.peek_plain_values(plain_names, parts_);
  const PlainPart* at = parts_.data();
  std::size_t done = 0;
  while (done < count && put(at)) {
    ++done;
  }
  in_.take_plain_values(done);
  pause = count > 0 ? 0 : std::min(2 * pause + 1, longest_pause);
  wait = pause;
}

/// Reads the items of a sequence, calling `put` for each.
template <class F>
void Containers::items(F&& put) {
  unsigned pause = 0;
  for (unsigned wait = 0;;) {
    plain_run(pause, wait, [&](const PlainPart*& at) {
      nb::object item = nb::steal<nb::object>(maker_.value(at));
      return item.is_valid() ? (put(std::move(item)), true) : maker_.failed();
    });
    if (!in_.next()) {
      return;
    }
    put(walk_.value());
  }
}

/// Reads exactly `size` items, calling `set` with the place of each.
template <class F>
void Containers::fill(Py_ssize_t size, F&& set) {
  Py_ssize_t at = 0;
  items([&](nb::object item) {
    if (at == size) {
      in_.error(Errc::malformed, "a sequence of more items than it says");
    }
    set(at++, std::move(item));
  });
  if (at != size) {
    in_.error(Errc::malformed, "a sequence of fewer items than it says");
  }
}

nb::object Containers::list(const Slot& slot) {
  const std::optional<std::uint64_t> count = in_.begin_sequence();
  if (slot || !count || *count > in_.expected_items(*count)) {
    const std::uint64_t room = in_.expected_items(count.value_or(0));
    nb::object made = walk_.define(slot, own(new_growing_list(static_cast<Py_ssize_t>(std::min(room, most_room)))));
    items([&](nb::object item) { check(append(made.ptr(), item.release().ptr())); });
    return made;
  }
  // Nobody else has the list, so it may have gaps meanwhile.
  const auto size = static_cast<Py_ssize_t>(*count);
  nb::object made = own(PyList_New(size));
  fill(size, [&](Py_ssize_t at, nb::object item) { set_list_item(made.ptr(), at, item.release().ptr()); });
  return made;
}

nb::object Containers::tuple(const Slot& slot) {
  const std::optional<std::uint64_t> count = in_.begin_sequence();
  if (!count || *count > in_.expected_items(*count)) {
    nb::object made = own(PyList_New(0));
    items([&](nb::object item) { check(PyList_Append(made.ptr(), item.ptr())); });
    return walk_.define(slot, own(PyList_AsTuple(made.ptr())));
  }
  if (!slot) {
    const auto size = static_cast<Py_ssize_t>(*count);
    nb::object made = own(PyTuple_New(size));
    fill(size, [&](Py_ssize_t at, nb::object item) { set_tuple_item(made.ptr(), at, item.release().ptr()); });
    return made;
  }
  // It may contain itself, and what looks at it meanwhile must find objects in it.
  const auto size = static_cast<Py_ssize_t>(*count);
  nb::object made = own(PyTuple_New(size));
  for (Py_ssize_t i = 0; i < size; ++i) {
    check(PyTuple_SetItem(made.ptr(), i, nb::none().release().ptr()));
  }
  Py_ssize_t at = 0;
  walk_.define(slot, made);
  items([&](nb::object item) {
    if (at == size) {
      in_.error(Errc::malformed, "a tuple of more items than it says");
    }
#ifdef Py_LIMITED_API
    // Refused where somebody has the tuple.
    walk_.define(slot, nb::object());
    const int set = PyTuple_SetItem(made.ptr(), at, item.release().ptr());
    walk_.define(slot, made);
    if (set < 0) {
      PyErr_Clear();
      in_.error(Errc::unsupported, "a tuple that contains itself");
    }
#else
    PyObject* const before = PyTuple_GET_ITEM(made.ptr(), at);
    PyTuple_SET_ITEM(made.ptr(), at, item.release().ptr());
    Py_DECREF(before);
#endif
    ++at;
  });
  return made;
}

nb::object Containers::set(const Slot& slot) {
  nb::object made = walk_.define(slot, own(PySet_New(nullptr)));
  if (in_.kind() == Kind::sequence) {
    in_.begin_sequence();
    items([&](nb::object item) { put(PySet_Add(made.ptr(), item.ptr())); });
  } else {
    made.attr("update")(walk_.value());
  }
  return made;
}

/// Reads the entries of a map, calling `put` with each key and value. `few`: keys may come again in other maps.
template <class F>
void Containers::entries(bool few, F&& put) {
  unsigned pause = 0;
  for (unsigned wait = 0;;) {
    plain_run(pause, wait, [&](const PlainPart*& at) {
      nb::object key = nb::steal<nb::object>(maker_.key(at, few));
      nb::object item = nb::steal<nb::object>(key.is_valid() ? maker_.value(at) : nullptr);
      return item.is_valid() ? (put(std::move(key), std::move(item)), true) : maker_.failed();
    });
    if (!in_.next()) {
      return;
    }
    nb::object key;
    if (!in_.at_deferred() && !in_.next_reference() && in_.kind() == Kind::text) {
      const SharedIn shared = in_.begin_shared();
      if (shared.state == SharedIn::State::inline_value) {
        in_.text(scratch_);
        key = key_text(scratch_);
      } else {
        key = walk_.shared_value(Kind::text, shared);
      }
    } else {
      key = hashable(walk_.value());
    }
    nb::object item = walk_.value();
    put(std::move(key), std::move(item));
  }
}

nb::object Containers::map(const Slot& slot) {
  const std::optional<std::uint64_t> count = in_.begin_map();
  const std::uint64_t room = std::min(in_.expected_items(count.value_or(0)), most_room);
  nb::object made = walk_.define(slot, own(new_dict(static_cast<Py_ssize_t>(room))));
  entries(room <= few_keys,
          [&](nb::object key, nb::object item) { put(PyDict_SetItem(made.ptr(), key.ptr(), item.ptr())); });
  return made;
}

nb::object Containers::record(const Slot& slot) {
  nb::object made = walk_.define(slot, own(PyDict_New()));
  in_.begin_record();
  for (std::string_view name; in_.next_field(name);) {
    const nb::object key = key_text(name);
    const nb::object item = walk_.value();
    check(PyDict_SetItem(made.ptr(), key.ptr(), item.ptr()));
  }
  return made;
}

}  // namespace stele::python
