// Python objects from events.

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "archive/value/any_array.hpp"
#include "numpy.hpp"
#include "objects/graph.hpp"
#include "objects/modules.hpp"
#include "objects/plain.hpp"
#include "stele/error.hpp"
#include "stele/visitor.hpp"
#include "stele/walk.hpp"

namespace stele::python {
namespace {

/// The registered objects of a graph, by their index: a strong reference each.
class Known {
 public:
  /// Null where none was registered.
  PyObject* find(std::uint64_t index) const {
    const auto found = objects_.find(index);
    return found == objects_.end() ? nullptr : found->second.ptr();
  }
  bool begin(std::uint64_t index) { return objects_.try_emplace(index).second; }
  void define(std::uint64_t index, nb::handle object) { objects_[index] = nb::borrow(object); }

 private:
  std::unordered_map<std::uint64_t, nb::object> objects_;
};

class Reading {
 public:
  Reading(InVisitor& in, const Trust& trust) : in_(in), trust_(trust) {}

  nb::object read() {
    const InVisitor::AtOnce at_once(in_);
    nb::object made = checked();
    if (!untrusted_.empty()) {
      nb::list names;
      for (const auto& name : untrusted_) {
        names.append(text(name));
      }
      nb::object error = nb::module_::import_("stele._errors").attr("untrusted")(names);
      PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
      throw nb::python_error();
    }
    return made;
  }

 private:
  /// Where only data is trusted, an exception means that the file does not hold what it says, maybe as it is damaged.
  nb::object checked() {
    try {
      return value();
    } catch (nb::python_error& error) {
      for (PyObject* const own_fault : {PyExc_ImportError, PyExc_MemoryError, PyExc_RecursionError}) {
        if (error.matches(own_fault)) {
          throw;
        }
      }
      if (!error.matches(PyExc_Exception)) {  // KeyboardInterrupt
        throw;
      }
      const auto kind = nb::cast<std::string>(nb::str(nb::getattr(error.type(), "__name__")));
      const auto said = nb::cast<std::string>(nb::str(error.value()));
      try {
        try {
          fail(Errc::malformed, "Python cannot make the object: " + kind + ": " + said);
        } catch (const Error& made) {
          in_.rethrow(made);
        }
      } catch (const Error& found) {
        if (found.code() == Errc::malformed && !trust_.resolve.is_none() &&
            nb::cast<bool>(trust_.resolve.attr("trusts"))) {
          throw error;  // of a class of the caller's
        }
        throw;
      }
    }
  }

  static constexpr unsigned longest_pause = 63;
  static constexpr std::uint64_t few_keys = 64;
  static constexpr std::uint64_t most_room = std::uint64_t{1} << 21;  // a count in a file costs less than its items

  /// The place where an object is registered as soon as it exists, if others refer to it.
  using Slot = std::optional<std::uint64_t>;

  nb::object value() {
    if (in_.at_deferred()) {
      throw StoredInParts{};
    }
    if (const auto index = in_.next_reference()) {
      if (PyObject* const known = known_.find(*index)) {
        in_.begin_shared();
        return nb::borrow(known);
      }
    }
    const Kind kind = in_.kind();
    if (kind == Kind::array) {
      return array();
    }
    if (kind == Kind::real || kind == Kind::integer || kind == Kind::null || kind == Kind::boolean) {
      return content(kind, {});  // nobody shares these; where they are shared, that is seen through
    }
    return shared_value(kind, in_.begin_shared());
  }

  nb::object shared_value(Kind kind, const SharedIn& shared) {
    if (shared.state == SharedIn::State::inline_value) {
      return content(kind, {});
    }
    if (shared.state == SharedIn::State::deferred) {
      throw StoredInParts{};
    }
    if (shared.state == SharedIn::State::reference) {
      if (PyObject* const known = known_.find(shared.index)) {
        return nb::borrow(known);
      }
      if (!known_.begin(shared.index)) {
        in_.error(Errc::malformed, "an object takes part in its own construction");
      }
      in_.enter_shared(shared.index);
      nb::object made = content(in_.kind(), shared.index);
      in_.leave_shared();
      return made;
    }
    known_.begin(shared.index);
    if (in_.shared(shared.index).pointer == nullptr) {
      in_.define_shared(shared.index, {});
    }
    return content(kind, shared.index);
  }

  nb::object define(const Slot& slot, nb::object object) {
    if (slot) {
      known_.define(*slot, object);
    }
    return object;
  }

  /// A value after its marks of sharing.
  nb::object content(Kind kind, const Slot& slot) {
    switch (kind) {
      case Kind::null:
        in_.null();
        return nb::none();
      case Kind::boolean:
        return nb::bool_(in_.boolean());
      case Kind::integer:
      case Kind::real:
        return number(in_.number());
      case Kind::text:
        in_.text(scratch_);
        return define(slot, string(scratch_));
      case Kind::bytes:
        in_.text(scratch_);
        return define(slot, own(PyBytes_FromStringAndSize(scratch_.data(), static_cast<Py_ssize_t>(scratch_.size()))));
      case Kind::array:
        return define(slot, array());
      case Kind::sequence:
        if (std::optional<std::string> name = in_.begin_typed()) {
          nb::object made = typed(*name, slot);
          in_.end_typed();
          return made;
        }
        return list(slot);
      case Kind::map:
        return map(slot);
      case Kind::record:
        return record(slot);
    }
    return nb::none();
  }

  // --- Plain values ---

  nb::object string(std::string_view utf8_text) {
    PyObject* const made = new_text(utf8_text);
    if (made == nullptr && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) != 0) {
      PyErr_Clear();
      in_.error(Errc::malformed, "text that is not valid UTF-8");
    }
    return own(made);
  }

  static nb::object number(const Number& number) { return own(new_number(number.type, number.bits)); }

  nb::object key_text(std::string_view key) {
    PyObject* const made = maker_.key_text(key);
    return made != nullptr ? nb::steal<nb::object>(made) : (maker_.failed(), string(key));
  }

  // --- Containers ---

  /// Fails where a key or an item of a set could not be put: it cannot be hashed.
  void put(int result) {
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
  void plain_run(unsigned& pause, unsigned& wait, F&& put) {
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
  void items(F&& put) {
    unsigned pause = 0;
    for (unsigned wait = 0;;) {
      plain_run(pause, wait, [&](const PlainPart*& at) {
        nb::object item = nb::steal<nb::object>(maker_.value(at));
        return item.is_valid() ? (put(std::move(item)), true) : maker_.failed();
      });
      if (!in_.next()) {
        return;
      }
      put(value());
    }
  }

  nb::object list(const Slot& slot) {
    const std::optional<std::uint64_t> count = in_.begin_sequence();
    if (slot || !count || *count > in_.expected_items(*count)) {
      const std::uint64_t room = in_.expected_items(count.value_or(0));
      nb::object made = define(slot, own(new_growing_list(static_cast<Py_ssize_t>(std::min(room, most_room)))));
      items([&](nb::object item) { check(append(made.ptr(), item.release().ptr())); });
      return made;
    }
    // Nobody else has the list, so it may have gaps meanwhile.
    const auto size = static_cast<Py_ssize_t>(*count);
    nb::object made = own(PyList_New(size));
    fill(size, [&](Py_ssize_t at, nb::object item) { set_list_item(made.ptr(), at, item.release().ptr()); });
    return made;
  }

  /// Reads exactly `size` items, calling `set` with the place of each.
  template <class F>
  void fill(Py_ssize_t size, F&& set) {
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

  nb::object tuple(const Slot& slot) {
    const std::optional<std::uint64_t> count = in_.begin_sequence();
    if (!count || *count > in_.expected_items(*count)) {
      nb::object made = own(PyList_New(0));
      items([&](nb::object item) { check(PyList_Append(made.ptr(), item.ptr())); });
      return define(slot, own(PyList_AsTuple(made.ptr())));
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
    define(slot, made);
    items([&](nb::object item) {
      if (at == size) {
        in_.error(Errc::malformed, "a tuple of more items than it says");
      }
#ifdef Py_LIMITED_API
      // Refused where somebody has the tuple.
      known_.define(*slot, nb::object());
      const int set = PyTuple_SetItem(made.ptr(), at, item.release().ptr());
      known_.define(*slot, made);
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

  /// A key that a dict can have: what C++ has as an array or a sequence becomes a tuple.
  nb::object hashable(nb::object key) {
    if (PyArray_Check(key.ptr())) {
      key = key.attr("tolist")();
    }
    return PyList_CheckExact(key.ptr()) ? nb::object(own(PyList_AsTuple(key.ptr()))) : key;
  }

  /// Reads the entries of a map, calling `put` with each key and value. `few`: keys may come again in other maps.
  template <class F>
  void entries(bool few, F&& put) {
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
          key = shared_value(Kind::text, shared);
        }
      } else {
        key = hashable(value());
      }
      nb::object item = value();
      put(std::move(key), std::move(item));
    }
  }

  nb::object map(const Slot& slot) {
    const std::optional<std::uint64_t> count = in_.begin_map();
    const std::uint64_t room = std::min(in_.expected_items(count.value_or(0)), most_room);
    nb::object made = define(slot, own(new_dict(static_cast<Py_ssize_t>(room))));
    entries(room <= few_keys,
            [&](nb::object key, nb::object item) { put(PyDict_SetItem(made.ptr(), key.ptr(), item.ptr())); });
    return made;
  }

  nb::object record(const Slot& slot) {
    nb::object made = define(slot, own(PyDict_New()));
    in_.begin_record();
    for (std::string_view name; in_.next_field(name);) {
      const nb::object key = key_text(name);
      const nb::object item = value();
      check(PyDict_SetItem(made.ptr(), key.ptr(), item.ptr()));
    }
    return made;
  }

  // --- Arrays ---

  /// Records of one type are often met, and take NumPy long to make. Each array has a dtype of its own, as it can
  /// change.
  nb::object array_dtype(const DType& dtype) {
    if (!dtype.is_record()) {
      return numpy_dtype(dtype);
    }
    if (!record_dtype_.is_valid() || record_ != dtype) {
      record_dtype_ = numpy_dtype(dtype);
      record_ = dtype;
    }
    return own(reinterpret_cast<PyObject*>(PyArray_DescrNew(reinterpret_cast<PyArray_Descr*>(record_dtype_.ptr()))));
  }

  nb::object array() {
    AnyTarget target;
    {
      const nb::gil_scoped_release released;
      in_.array(target);
    }
    if (target.view().shape.rank() == 0 && target.view().dtype.kind() == DType::Kind::complex128) {
      double parts[2];
      std::memcpy(parts, target.view().data, sizeof parts);
      return own(PyComplex_FromDoubles(parts[0], parts[1]));
    }
    // A view may repeat its elements: it is then longer than what the file has for it.
    const std::uint64_t bytes = target.view().byte_count();
    has_huge_ = has_huge_ || (bytes > (std::uint64_t{1} << 30) && bytes > target.buffer()->size());
    // Two names of one array lead to one object again.
    if (target.buffer().use_count() > 1) {
      for (const Seen& seen : arrays_[target.view().data]) {
        const ArrayView& a = seen.view;
        const ArrayView& b = target.view();
        if (seen.buffer == target.buffer().get() && a.dtype == b.dtype && a.shape == b.shape &&
            std::equal(a.strides, a.strides + a.shape.rank(), b.strides)) {
          return seen.array;
        }
      }
    }
    nb::object made = array_over(target.view(), target.buffer(), array_dtype(target.view().dtype));
    if (target.buffer().use_count() > 2) {  // ours and the array's
      arrays_[target.view().data].push_back({target.buffer().get(), target.view(), made});
    }
    return made;
  }

  /// A number of NumPy's, which is stored as an array without axes.
  nb::object scalar() {
    AnyTarget target;
    in_.array(target);
    if (target.view().shape.rank() != 0) {
      in_.error(Errc::malformed, "a scalar of NumPy's with axes");
    }
    const nb::object dtype = numpy_dtype(target.view().dtype);
    return own(PyArray_Scalar(const_cast<std::byte*>(target.view().data), reinterpret_cast<PyArray_Descr*>(dtype.ptr()),
                              nullptr));
  }

  // --- Typed values ---

  nb::object typed(const std::string& full, const Slot& slot) {
    if (!full.starts_with("py:")) {
      const nb::object content = value();
      return define(slot, nb::module_::import_("stele._inert").attr("Typed")(string(full), content));
    }
    const std::string_view name = std::string_view(full).substr(3);
    if (name.find('.') != std::string_view::npos && !name.starts_with("numpy.")) {
      return object(name, slot);
    }
    if (name == "tuple") {
      return in_.kind() == Kind::sequence ? tuple(slot) : define(slot, as_tuple(value()));
    }
    if (name == "set") {
      nb::object made = define(slot, own(PySet_New(nullptr)));
      if (in_.kind() == Kind::sequence) {
        in_.begin_sequence();
        items([&](nb::object item) { put(PySet_Add(made.ptr(), item.ptr())); });
      } else {
        made.attr("update")(value());
      }
      return made;
    }
    if (name == "frozenset") {
      const nb::object content = value();
      return define(slot, own(PyFrozenSet_New(content.ptr())));
    }
    if (name == "bytearray") {
      const nb::object content = value();
      return define(slot, own(PyByteArray_FromObject(content.ptr())));
    }
    if (name == "int") {
      const nb::object digits = value();
      return own(integer_of(digits));
    }
    if (name == "str") {
      const nb::object content = value();
      char* data = nullptr;
      Py_ssize_t size = 0;
      check(PyBytes_AsStringAndSize(content.ptr(), &data, &size));
      return define(slot, own(PyUnicode_DecodeUTF8(data, size, "surrogatepass")));
    }
    if (name == "numpy.generic") {
      if (in_.kind() != Kind::array) {
        in_.error(Errc::malformed, "a scalar of NumPy's that is no array");
      }
      return define(slot, scalar());
    }
    if (name == "numpy.dtype") {
      return define(slot, dtype_from_description(value()));
    }
    if (name == "numpy.object_array") {
      return object_array(slot);
    }
    if (name == "global") {
      const nb::object content = value();
      std::string_view spelled;
      if (!PyUnicode_Check(content.ptr()) || !utf8(content.ptr(), spelled)) {
        in_.error(Errc::malformed, "a class or function without a name");
      }
      nb::object found = resolve(spelled);
      return define(slot, found.is_none() ? inert(spelled) : found);
    }
    if (name == "persistent" || name == "extension") {
      nb::object made = define(slot, inert(name));
      made.attr("stele_args") = nb::make_tuple(value());
      untrusted(name);
      return made;
    }
    return object(name, slot);
  }

  static PyObject* integer_of(const nb::object& digits) {
    return PyObject_CallFunction(reinterpret_cast<PyObject*>(&PyLong_Type), "Oi", digits.ptr(), 16);
  }
  static nb::object as_tuple(const nb::object& items) { return own(PySequence_Tuple(items.ptr())); }

  nb::object object_array(const Slot& slot) {
    in_.begin_record();
    nb::object shape;
    nb::object order = nb::str("C");
    nb::object made;
    for (std::string_view name; in_.next_field(name);) {
      if (name == "shape") {
        shape = value();
      } else if (name == "order") {
        order = value();
      } else if (name == "items" && shape.is_valid()) {
        // A shape costs a file nothing: where it is large, the items come first.
        nb::object items = nb::cast<bool>(forms_.attr("is_large")(shape)) ? value() : nb::none();
        made = define(slot, forms_.attr("new_object_array")(shape, order, items));
        if (items.is_none()) {
          items = value();
        }
        forms_.attr("fill_object_array")(made, items, order);
      } else {
        in_.error(Errc::malformed, "an array of objects with another field than shape, order and items");
      }
    }
    if (!made.is_valid()) {
      in_.error(Errc::malformed, "an array of objects without items");
    }
    return made;
  }

  // --- Objects that something must be called for ---

  void untrusted(std::string_view name) {
    if (!trust_.inert && std::find(untrusted_.begin(), untrusted_.end(), name) == untrusted_.end()) {
      untrusted_.emplace_back(name);
    }
  }
  /// What a name stands for.
  struct Named {
    nb::object found;  // None where it is not trusted
    nb::object maker;  // what calls a name that only the list of data allows; null where it may be called at once
    bool has_maker = false;
  };
  Named& named(std::string_view name) {
    if (last_name_ == nullptr || last_name_->first != name) {
      const auto [place, is_new] = names_.try_emplace(std::string(name));
      if (is_new) {
        place->second.found = trust_.resolve(string(name));
      }
      last_name_ = &*place;
    }
    if (last_name_->second.found.is_none()) {
      untrusted(name);
    }
    return last_name_->second;
  }
  nb::object resolve(std::string_view name) { return named(name).found; }
  nb::object maker_of(std::string_view name) {
    Named& known = named(name);
    if (!std::exchange(known.has_maker, true) && !known.found.is_none() && !trust_.resolve.is_none()) {
      nb::object maker = trust_.resolve.attr("maker")(string(name));
      known.maker = maker.is_none() ? nb::object() : maker;
    }
    return known.maker;
  }
  nb::object inert(std::string_view name) { return inert_(string(name)); }
  /// Whether reading goes on only to find more names.
  bool has_refused() const { return !untrusted_.empty(); }
  bool has_inert(const nb::object& args) const {
    for (const nb::handle item : args) {
      if (item.type().is(inert_)) {
        return true;
      }
    }
    return false;
  }

  /// An object while its record is read.
  struct Made {
    nb::object callable;  // None: not trusted
    nb::object called;    // what the file has in place of a name
    nb::object maker;     // what calls it, where only the list of data allows that; else null
    bool is_new = false;
    bool exists = false;
    nb::object args;
    nb::object kwargs;
    nb::object object;
  };
  nb::object call(const Made& made) {
    PyObject* const kwargs = made.kwargs.is_valid() && !made.kwargs.is_none() ? made.kwargs.ptr() : nullptr;
    if (made.maker.is_valid()) {
      nb::object object =
          made.maker(made.callable, made.is_new, made.args, kwargs == nullptr ? nb::none() : made.kwargs, has_huge_);
      has_huge_ = has_huge_ || PyRange_Check(object.ptr());
      return object;
    }
    if (!made.is_new) {
      if (PyTuple_Size(made.args.ptr()) > 1 && PyArray_Check(PyTuple_GetItem(made.args.ptr(), 0))) {
        return forms_.attr("call")(made.callable, made.args, kwargs == nullptr ? nb::none() : made.kwargs);
      }
      return own(PyObject_Call(made.callable.ptr(), made.args.ptr(), kwargs));
    }
    if (!PyType_Check(made.callable.ptr())) {
      in_.error(Errc::malformed, "an instance of what is no class");
    }
    const nb::object with_class = own(PyTuple_New(PyTuple_Size(made.args.ptr()) + 1));
    check(PyTuple_SetItem(with_class.ptr(), 0, nb::object(made.callable).release().ptr()));
    for (Py_ssize_t i = 0; i < PyTuple_Size(made.args.ptr()); ++i) {
      check(PyTuple_SetItem(with_class.ptr(), i + 1, nb::borrow(PyTuple_GetItem(made.args.ptr(), i)).release().ptr()));
    }
    const nb::object maker = made.callable.attr("__new__");
    return own(PyObject_Call(maker.ptr(), with_class.ptr(), kwargs));
  }

  /// How objects of a type take their state.
  enum class WayOfState : std::uint8_t { attributes, method, form };
  WayOfState way_of_state(PyTypeObject* type) {
    const auto [place, is_new] = ways_of_state_.try_emplace(type, WayOfState::form);
    if (is_new) {
      const nb::object way = forms_.attr("way_of_state")(nb::handle(reinterpret_cast<PyObject*>(type)));
      const auto name = nb::cast<std::string>(way);
      place->second = name == "attributes" ? WayOfState::attributes
                      : name == "method"   ? WayOfState::method
                                           : WayOfState::form;
    }
    return place->second;
  }
  /// Whether the entries of objects of a type are for those who look for parts by name.
  bool repeats_state(PyTypeObject* type) {
    const auto [place, is_new] = repeats_state_.try_emplace(type);
    if (is_new) {
      place->second = nb::cast<bool>(forms_.attr("repeats_state")(nb::handle(reinterpret_cast<PyObject*>(type))));
    }
    return place->second;
  }
  /// Gives an object its state. Returns another object where that takes its place, else None.
  nb::object set_state(const nb::object& object, const nb::object& state) {
    const WayOfState way = way_of_state(Py_TYPE(object.ptr()));
    if (way == WayOfState::method) {
      own(PyObject_CallMethodObjArgs(object.ptr(), set_state_.ptr(), state.ptr(), nullptr));
      return nb::none();
    }
    if (!PyDict_CheckExact(state.ptr()) || way != WayOfState::attributes) {
      return forms_.attr("set_state")(object, state);
    }
    const nb::object attributes = object.attr("__dict__");
    Py_ssize_t at = 0;
    PyObject* key = nullptr;
    PyObject* item = nullptr;
    while (PyDict_Next(state.ptr(), &at, &key, &item) != 0) {
      Py_INCREF(key);
      if (PyUnicode_CheckExact(key)) {
        PyUnicode_InternInPlace(&key);
      }
      const nb::object held = nb::steal<nb::object>(key);
      check(PyDict_SetItem(attributes.ptr(), key, item));
    }
    return nb::none();
  }

  void make(Made& made, std::string_view name, const Slot& slot) {
    if (std::exchange(made.exists, true)) {
      return;
    }
    if (!made.args.is_valid()) {
      made.args = nb::tuple();
    }
    if (!made.callable.is_none() && (has_refused() || has_inert(made.args))) {
      made.callable = nb::none();  // what cannot be complete is not called
    }
    if (!made.callable.is_none()) {
      try {
        made.object = call(made);
      } catch (nb::python_error& error) {
        if (!trust_.inert || !error.matches(PyExc_Exception)) {
          throw;
        }
        made.callable = nb::none();  // there may be something inert deeper in its arguments
      }
    }
    if (made.callable.is_none()) {
      made.object = inert(name);
      made.object.attr("stele_args") = made.args;
      made.object.attr("stele_new") = made.is_new;
      if (made.kwargs.is_valid()) {
        made.object.attr("stele_kwargs") = made.kwargs;
      }
      if (made.called.is_valid()) {
        made.object.attr("stele_callable") = made.called;
      }
    }
    define(slot, made.object);
  }

  /// Completes an object by `part`. Where that may hold what is not trusted, nothing is called for an error's sake, and
  /// what cannot take inert parts becomes inert itself.
  template <class F>
  void give(Made& made, std::string_view name, const Slot& slot, F&& apply, const char* field, const nb::object& part) {
    if (has_refused()) {
      return;
    }
    try {
      apply();
    } catch (nb::python_error& error) {
      if (!trust_.inert || !error.matches(PyExc_Exception)) {
        throw;
      }
      made.callable = nb::none();
      made.exists = false;
      make(made, name, slot);
      made.object.attr(field) = part;
    }
  }

  nb::object object(std::string_view name, const Slot& slot) {
    if (in_.kind() != Kind::record && in_.kind() != Kind::map) {
      in_.error(Errc::malformed, "an object of Python's that is no record");
    }
    Made made;
    // pickle has class methods as the attribute of a class, which is trusted as any name is.
    const bool is_attribute = name == "builtins.getattr";
    if (is_attribute) {
      made.callable = nb::none();
    } else if (name != "call") {
      made.callable = resolve(name);
      made.maker = maker_of(name);
    }
    const std::string kept(name);  // `name` may point to scratch
    in_.begin_record();
    for (std::string_view field; in_.next_field(field);) {
      if (field == "callable") {
        made.called = value();
        const bool may_call = PyCallable_Check(made.called.ptr()) != 0 && !made.called.type().is(inert_);
        made.callable = !may_call                    ? nb::none()
                        : made.called.is(attribute_) ? made.called
                                                     : trust_.resolve.attr("callable")(made.called);
        if (made.callable.is_none()) {
          untrusted("call");
        }
        continue;
      }
      if (field == "new") {
        made.is_new = in_.boolean();
        continue;
      }
      if (field == "args") {
        made.args = as_tuple(value());
        continue;
      }
      if (field == "kwargs") {
        made.kwargs = value();
        continue;
      }
      if (!made.callable.is_valid()) {
        in_.error(Errc::malformed, "an object of Python's without what makes it");
      }
      make(made, kept, slot);
      const bool is_inert = made.callable.is_none();
      if (field == "state" || field == "states") {
        const bool several = field == "states";
        const nb::object state = value();
        if (is_inert) {
          made.object.attr(several ? "stele_states" : "stele_state") = state;
        } else {
          give(
              made, kept, slot,
              [&] {
                for (const nb::handle one : several ? state : nb::object(nb::make_tuple(state))) {
                  nb::object other = set_state(made.object, nb::borrow(one));
                  if (!other.is_none()) {  // arrays that take their elements from the state
                    made.object = define(slot, std::move(other));
                  }
                }
              },
              several ? "stele_states" : "stele_state", state);
        }
      } else if (field == "items") {
        const nb::object items = value();
        if (!PyList_CheckExact(items.ptr())) {
          in_.error(Errc::malformed, "the items of an object that are no sequence");
        }
        if (is_inert) {
          made.object.attr("stele_items") = items;
        } else {
          give(made, kept, slot, [&] { forms_.attr("add_items")(made.object, items); }, "stele_items", items);
        }
      } else if (field == "entries" && !is_inert && repeats_state(Py_TYPE(made.object.ptr()))) {
        in_.skip();
      } else if (field == "entries") {
        const nb::object entries = value();
        if (!PyDict_CheckExact(entries.ptr())) {
          in_.error(Errc::malformed, "the entries of an object that are no map");
        }
        if (is_inert) {
          made.object.attr("stele_entries") = entries;
        } else {
          give(made, kept, slot, [&] { forms_.attr("add_entries")(made.object, entries); }, "stele_entries", entries);
        }
      } else {
        in_.error(Errc::malformed, "an object of Python's with the field \"" + std::string(field) + '"');
      }
    }
    if (!made.callable.is_valid()) {
      in_.error(Errc::malformed, "an object of Python's without what makes it");
    }
    if (is_attribute) {
      if (made.args.is_valid() && !made.exists) {
        nb::object found = trust_.resolve.attr("attribute")(made.args);
        if (!found.is_none()) {
          attribute_ = found;
          return define(slot, std::move(found));
        }
      }
      untrusted(kept);
    }
    make(made, kept, slot);
    return made.object;
  }

  struct Seen {
    const Buffer* buffer;
    ArrayView view;
    nb::object array;
  };

  InVisitor& in_;
  const Trust& trust_;
  const nb::object& forms_ = modules().forms;
  const nb::object& inert_ = modules().inert;
  std::string scratch_;
  PlainMaker maker_;
  std::array<PlainPart, 512> parts_;  // of the innermost container, until its next item is read
  Known known_;
  std::unordered_map<const std::byte*, std::vector<Seen>> arrays_;  // over buffers that others have, by their address
  std::unordered_map<std::string, Named> names_;
  std::pair<const std::string, Named>* last_name_ = nullptr;  // the one looked up last
  DType record_;                                              // met last
  nb::object record_dtype_;                                   // for it
  bool has_huge_ = false;                                     // something that is longer than its bytes in the file
  std::unordered_map<PyTypeObject*, WayOfState> ways_of_state_;
  const nb::object set_state_ = nb::str("__setstate__");
  std::unordered_map<PyTypeObject*, bool> repeats_state_;
  std::vector<std::string> untrusted_;
  nb::object attribute_;  // the last attribute of a class that is trusted
};

}  // namespace
}  // namespace stele::python

namespace stele {

void Visit<python::GraphIn>::read(InVisitor& in, python::GraphIn& graph) {
  graph.result = python::Reading(in, graph.trust_).read();
}

}  // namespace stele
