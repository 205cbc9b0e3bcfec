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
  Reading(InVisitor& in, const Trust& trust) : in_(in), trust_(trust), forms_(nb::module_::import_("stele._forms")) {
    inert_ = nb::module_::import_("stele._inert").attr("Inert");
  }

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
        if (found.code() == Errc::malformed && !trust_.resolve.is_none() && nb::cast<bool>(trust_.resolve.attr("trusts"))) {
          throw error;  // of a class of the caller's
        }
        throw;
      }
    }
  }

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
    PyObject* const made =
        PyUnicode_FromStringAndSize(utf8_text.data(), static_cast<Py_ssize_t>(utf8_text.size()));
    if (made == nullptr && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) != 0) {
      PyErr_Clear();
      in_.error(Errc::malformed, "text that is not valid UTF-8");
    }
    return own(made);
  }

  static nb::object number(const Number& number) {
    switch (number.type) {
      case Number::Type::natural:
        return own(PyLong_FromUnsignedLongLong(number.bits));
      case Number::Type::negative:
        if (number.bits > static_cast<std::uint64_t>(INT64_MAX)) {  // -1 - bits
          const nb::object bits = own(PyLong_FromUnsignedLongLong(number.bits));
          return own(PyNumber_Invert(bits.ptr()));
        }
        return own(PyLong_FromLongLong(static_cast<std::int64_t>(~number.bits)));
      case Number::Type::float16:
        return own(PyFloat_FromDouble(
            static_cast<double>(static_cast<float>(__builtin_bit_cast(float16, static_cast<std::uint16_t>(number.bits))))));
      case Number::Type::float32:
        return own(PyFloat_FromDouble(
            static_cast<double>(__builtin_bit_cast(float, static_cast<std::uint32_t>(number.bits)))));
      default:
        return own(PyFloat_FromDouble(__builtin_bit_cast(double, number.bits)));
    }
  }
  nb::object plain(const PlainItem& item) {
    if (item.text != nullptr) {
      return string(item.view());
    }
    return number({item.type, item.bits});
  }
  /// A text that is met often, as the keys of dicts are.
  nb::object key_text(std::string_view key) {
    constexpr std::size_t longest = 32;
    if (key.size() > longest) {
      return string(key);
    }
    if (keys_.empty()) {
      keys_.resize(1024);
    }
    nb::object& kept = keys_[std::hash<std::string_view>{}(key) % keys_.size()];
    std::string_view known;
    if (!kept.is_valid() || !utf8(kept.ptr(), known) || known != key) {
      kept = string(key);
    }
    return kept;
  }
  static bool is_plain(PyObject* object) noexcept {
    PyTypeObject* const type = Py_TYPE(object);
    return type == &PyUnicode_Type || type == &PyFloat_Type || type == &PyLong_Type;
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

  /// Reads the items of a sequence, calling `put` for each.
  template <class F>
  void items(F&& put) {
    constexpr PlainItem::Kind any[] = {PlainItem::Kind::any};
    for (bool runs = true;;) {
      if (runs) {
        const std::size_t count = in_.peek_plain_items(any, run_);
        for (std::size_t i = 0; i < count; ++i) {
          put(plain(run_[i]));
        }
        in_.take_plain_items(count);
        if (count == run_.size()) {
          continue;
        }
      }
      if (!in_.next()) {
        return;
      }
      nb::object item = value();
      runs = is_plain(item.ptr());
      put(std::move(item));
    }
  }

  nb::object list(const Slot& slot) {
    const std::optional<std::uint64_t> count = in_.begin_sequence();
    if (slot || !count || *count > in_.expected_items(*count)) {
      nb::object made = define(slot, own(PyList_New(0)));
      items([&](nb::object item) { check(PyList_Append(made.ptr(), item.ptr())); });
      return made;
    }
    // Nobody else has the list, so it may have gaps meanwhile.
    const auto size = static_cast<Py_ssize_t>(*count);
    nb::object made = own(PyList_New(size));
    Py_ssize_t at = 0;
    items([&](nb::object item) {
      if (at == size) {
        in_.error(Errc::malformed, "a sequence of more items than it says");
      }
#ifdef Py_LIMITED_API
      check(PyList_SetItem(made.ptr(), at++, item.release().ptr()));
#else
      PyList_SET_ITEM(made.ptr(), at++, item.release().ptr());
#endif
    });
    if (at != size) {
      in_.error(Errc::malformed, "a sequence of fewer items than it says");
    }
    return made;
  }

  nb::object tuple(const Slot& slot) {
    const std::optional<std::uint64_t> count = in_.begin_sequence();
    if (!slot || !count || *count > in_.expected_items(*count)) {
      nb::object made = own(PyList_New(0));
      items([&](nb::object item) { check(PyList_Append(made.ptr(), item.ptr())); });
      return define(slot, own(PyList_AsTuple(made.ptr())));
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

  /// Reads the entries of a map, calling `put` with each key and value.
  template <class F>
  void entries(F&& put) {
    constexpr PlainItem::Kind any[] = {PlainItem::Kind::any, PlainItem::Kind::any};
    for (bool runs = true;;) {
      if (runs) {
        const std::size_t count = in_.peek_plain_items(any, run_);
        for (std::size_t i = 0; i < 2 * count; i += 2) {
          put(run_[i].text != nullptr ? key_text(run_[i].view()) : plain(run_[i]), plain(run_[i + 1]));
        }
        in_.take_plain_items(count);
        if (2 * count == run_.size()) {
          continue;
        }
      }
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
      runs = is_plain(key.ptr()) && is_plain(item.ptr());
      put(std::move(key), std::move(item));
    }
  }

  nb::object map(const Slot& slot) {
    const std::optional<std::uint64_t> count = in_.begin_map();
#if !defined(Py_LIMITED_API) && PY_VERSION_HEX < 0x030d0000
    constexpr std::uint64_t most_room = std::uint64_t{1} << 21;  // a count in a file costs less than its entries
    const std::uint64_t room = std::min(in_.expected_items(count.value_or(0)), most_room);
    nb::object made = define(slot, own(_PyDict_NewPresized(static_cast<Py_ssize_t>(room))));
#else
    nb::object made = define(slot, own(PyDict_New()));
#endif
    entries([&](nb::object key, nb::object item) { put(PyDict_SetItem(made.ptr(), key.ptr(), item.ptr())); });
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

  /// `is_scalar`: a number of NumPy's, not one of Python's.
  nb::object array(bool is_scalar = false) {
    AnyTarget target;
    {
      const nb::gil_scoped_release released;
      in_.array(target);
    }
    if (!is_scalar && target.view().shape.rank() == 0 && target.view().dtype.kind() == DType::Kind::complex128) {
      double parts[2];
      std::memcpy(parts, target.view().data, sizeof parts);
      return own(PyComplex_FromDoubles(parts[0], parts[1]));
    }
    // A view may repeat its elements: it is then longer than what the file has for it.
    const std::uint64_t bytes = target.view().byte_count();
    has_huge_ = has_huge_ || (bytes > (std::uint64_t{1} << 30) && bytes > target.buffer()->size());
    // Two names of one array lead to one object again.
    if (target.buffer().use_count() > 1) {
      for (const Seen& seen : arrays_[target.buffer().get()]) {
        const ArrayView& a = seen.view;
        const ArrayView& b = target.view();
        if (a.data == b.data && a.dtype == b.dtype && a.shape == b.shape &&
            std::equal(a.strides, a.strides + a.shape.rank(), b.strides)) {
          return seen.array;
        }
      }
    }
    nb::object made = array_over(target.view(), target.buffer());
    if (target.buffer().use_count() > 2) {  // ours and the array's
      arrays_[target.buffer().get()].push_back({target.view(), made});
    }
    return made;
  }

  // --- Typed values ---

  nb::object typed(const std::string& full, const Slot& slot) {
    if (!full.starts_with("py:")) {
      const nb::object content = value();
      return define(slot, nb::module_::import_("stele._inert").attr("Typed")(string(full), content));
    }
    const std::string_view name = std::string_view(full).substr(3);
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
      return define(slot, array(true)[nb::tuple()]);
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
  /// What a name stands for, None where it is not trusted.
  nb::object resolve(std::string_view name) {
    const auto [place, is_new] = resolved_.try_emplace(std::string(name));
    if (is_new) {
      place->second = trust_.resolve(string(name));
    }
    if (place->second.is_none()) {
      untrusted(name);
    }
    return place->second;
  }
  /// What calls a name that only the list of data allows; null where it may be called at once.
  nb::object maker_of(std::string_view name, const nb::object& callable) {
    if (callable.is_none() || trust_.resolve.is_none()) {
      return {};
    }
    const auto [place, is_new] = makers_.try_emplace(std::string(name));
    if (is_new) {
      place->second = trust_.resolve.attr("maker")(string(name));
    }
    return place->second.is_none() ? nb::object() : place->second;
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
      nb::object object = made.maker(made.callable, made.is_new, made.args, kwargs == nullptr ? nb::none() : made.kwargs,
                                     has_huge_);
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

  /// Whether objects of a type take their state as attributes.
  bool takes_attributes(PyTypeObject* type) {
    const auto [place, is_new] = takes_attributes_.try_emplace(type);
    if (is_new) {
      place->second = nb::cast<bool>(forms_.attr("takes_attributes")(nb::handle(reinterpret_cast<PyObject*>(type))));
    }
    return place->second;
  }
  /// Gives an object its state. Returns another object where that takes its place, else None.
  nb::object set_state(const nb::object& object, const nb::object& state) {
    if (!PyDict_CheckExact(state.ptr()) || !takes_attributes(Py_TYPE(object.ptr()))) {
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

  /// Completes an object by `part`. Where that may hold what is not trusted, nothing is called for an error's sake, and what
  /// cannot take inert parts becomes inert itself.
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
      made.maker = maker_of(name, made.callable);
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
          give(made, kept, slot, [&] {
            for (const nb::handle one : several ? state : nb::object(nb::make_tuple(state))) {
              nb::object other = set_state(made.object, nb::borrow(one));
              if (!other.is_none()) {  // arrays that take their elements from the state
                made.object = define(slot, std::move(other));
              }
            }
          }, several ? "stele_states" : "stele_state", state);
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
    ArrayView view;
    nb::object array;
  };

  InVisitor& in_;
  const Trust& trust_;
  nb::module_ forms_;
  nb::object inert_;
  std::string scratch_;
  std::array<PlainItem, 256> run_;  // of the innermost container, until its next item is read
  Known known_;
  std::vector<nb::object> keys_;  // texts met lately, by hash; empty until the first
  std::unordered_map<const Buffer*, std::vector<Seen>> arrays_;
  std::unordered_map<std::string, nb::object> resolved_;
  std::unordered_map<std::string, nb::object> makers_;
  bool has_huge_ = false;  // something that is longer than its bytes in the file
  std::unordered_map<PyTypeObject*, bool> takes_attributes_;
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
