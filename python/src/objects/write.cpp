// Python objects as events.

#include <array>
#include <deque>
#include <limits>
#include <unordered_map>
#include <vector>

#include "numpy.hpp"
#include "objects/graph.hpp"
#include "objects/modules.hpp"
#include "objects/no_collection.hpp"
#include "stele/error.hpp"
#include "stele/visitor.hpp"
#include "stele/walk/keyed.hpp"

namespace stele::python {
namespace {

/// Text and bytes below this size are stored at each place that has them.
constexpr Py_ssize_t shared_text_bytes = 1024;
/// Arrays of this size are written without the GIL.
constexpr std::uint64_t released_bytes = std::uint64_t{64} << 10;

PyArrayObject* as_array(PyObject* object) noexcept { return reinterpret_cast<PyArrayObject*>(object); }

/// What stands in a reduce tuple, as pickle.Pickler takes it.
struct Reduced {
  nb::object keep;       // owns the parts
  nb::object name;       // of what is called; null: `callable`
  nb::object callable;   // what is called, where it has no name
  bool is_new = false;   // made by __new__
  nb::object args;       // a tuple
  nb::object kwargs;     // a dict, or null
  nb::object state;      // or null
  nb::object items;      // a list, or null
  nb::object entries;    // a list of pairs, or null
  bool repeats = false;  // the entries are parts of the state
};

class Shared final : public SharedOut {
 public:
  Shared(PyObject* object, const std::shared_ptr<void>& owner) : SharedOut(object, typeid(PyObject)), owner_(owner) {}
  std::size_t bytes() const override { return 1; }
  std::weak_ptr<const void> owner() const override { return owner_; }
  std::string type_name() const override { return {}; }
  Later later() const override { fail(Errc::unsupported, "a Python object is not written later"); }

 private:
  const std::shared_ptr<void>& owner_;
};

}  // namespace

class Writing {
 public:
  Writing(nb::handle root, bool all_shared) : root_(nb::borrow(root)), all_shared_(all_shared) {}

  void write(OutVisitor& out);

 private:
  class Pass;

  /// The buffer of the memory that an array lies in; null where nobody else can have it.
  std::shared_ptr<Buffer> buffer_of(PyArrayObject* array, PyObject* holder, int references) {
    PyArrayObject* owner = array;
    while (PyArray_BASE(owner) != nullptr && PyArray_Check(PyArray_BASE(owner))) {
      owner = as_array(PyArray_BASE(owner));
    }
    auto* key = reinterpret_cast<PyObject*>(owner);
    if (owner == array && Py_REFCNT(holder) <= references) {
      return nullptr;
    }
    const auto found = buffers_.find(key);
    if (found != buffers_.end()) {
      return found->second;
    }
    // The bytes between the lowest and the highest address of its elements.
    npy_intp low = 0;
    npy_intp high = PyArray_ITEMSIZE(owner);
    for (int axis = 0; axis < PyArray_NDIM(owner); ++axis) {
      const npy_intp extent = PyArray_DIM(owner, axis);
      if (extent == 0) {
        return nullptr;
      }
      const npy_intp reach = (extent - 1) * PyArray_STRIDE(owner, axis);
      (reach < 0 ? low : high) += reach;
    }
    keep_.push_back(nb::borrow(key));
    auto* first = reinterpret_cast<std::byte*>(PyArray_BYTES(owner)) + low;
    std::shared_ptr<Buffer> buffer = Buffer::wrap(first, static_cast<std::size_t>(high - low), false, nullptr);
    buffers_.emplace(key, buffer);
    return buffer;
  }

  /// What is known of a type whose objects have no event of their own.
  struct OfType {
    bool has_form = false;  // stele/_forms.py or copyreg say how they are taken apart
    bool ordinary = false;  // they are no classes, functions, dtypes, mapped arrays …
  };
  const OfType& of_type(PyTypeObject* type) {
    if (last_of_type_ != nullptr && last_of_type_->first == type) {
      return last_of_type_->second;
    }
    const auto [place, is_new] = of_types_.try_emplace(type);
    if (is_new) {
      const nb::handle object(reinterpret_cast<PyObject*>(type));
      keep_.push_back(nb::borrow(object));
      place->second.has_form = nb::cast<bool>(forms_.attr("has_form")(object));
      place->second.ordinary = !object.is(memmap_) && !object.is(function_) && !object.is(typed_) &&
                               PyType_IsSubtype(type, &PyType_Type) == 0 &&
                               PyType_IsSubtype(type, &PyCFunction_Type) == 0 &&
                               PyType_IsSubtype(type, &PyArrayDescr_Type) == 0;
    }
    last_of_type_ = &*place;
    return place->second;
  }

  /// The keys of several dicts, which are stored once.
  struct Keys {
    std::vector<nb::object> keys;
    std::vector<std::string_view> names;  // of the keys
  };
  /// The keys of a dict, where another one had the very same; null the first time, and for keys that no record can
  /// have.
  const Keys* keys_of(PyObject* dict, Py_ssize_t count) {
    constexpr Py_ssize_t most_keys = 64;
    if (count < 2 || count > most_keys) {
      return nullptr;
    }
    if (last_keys_ != nullptr && has_keys(dict, count, *last_keys_)) {
      return last_keys_;
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
    if (keys_.size() >= most_known && !keys_.contains(hash)) {
      return nullptr;
    }
    const auto [place, is_new] = keys_.try_emplace(hash);
    Keys& known = place->second;
    if (!is_new) {
      return has_keys(dict, count, known) ? last_keys_ = &known : nullptr;
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
  static bool has_keys(PyObject* dict, Py_ssize_t count, const Keys& known) {
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

  /// The names of those fields of an object that it has. They outlive the walk, as errors name them.
  std::span<const std::string_view> layout(const std::array<bool, 7>& has) {
    static constexpr std::array<std::string_view, 7> all = {"callable", "new",   "args",   "kwargs",
                                                            "state",    "items", "entries"};
    std::size_t which = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      which |= std::size_t{has[i]} << i;
    }
    std::vector<std::string_view>& names = layouts_[which];
    if (names.empty()) {
      for (std::size_t i = 0; i < all.size(); ++i) {
        if (has[i]) {
          names.push_back(all[i]);
        }
      }
    }
    return names;
  }

  nb::object root_;
  const bool all_shared_;
  const nb::object& forms_ = modules().forms;
  const nb::object& reduce_ = modules().reduce;
  const nb::object& typed_ = modules().typed;
  const nb::object& function_ = modules().function;
  const nb::object& memmap_ = modules().memmap;
  const nb::object& new_object_ = modules().new_object;
  nb::object reduce_ex_ = nb::str("__reduce_ex__");
  nb::object protocol_ = nb::int_(5);
  PyTypeObject* const generic_ = reinterpret_cast<PyTypeObject*>(&PyGenericArrType_Type);
  const std::shared_ptr<void> life_ = std::make_shared<int>();  // of the objects met: as long as this
  std::vector<nb::object> keep_;                                // owns what was met and would die before the end
  std::unordered_map<PyObject*, std::shared_ptr<Buffer>> buffers_;
  std::unordered_map<PyObject*, Reduced> reduced_;
  std::unordered_map<std::uint64_t, Keys> keys_;  // by a hash of the keys' addresses
  const Keys* last_keys_ = nullptr;
  std::unordered_map<PyTypeObject*, OfType> of_types_;
  const std::pair<PyTypeObject* const, OfType>* last_of_type_ = nullptr;  // the one looked up last
  std::unordered_map<PyObject*, nb::object> names_;                       // of classes
  std::unordered_map<PyArray_Descr*, std::optional<DType>> types_;
  const std::pair<PyArray_Descr* const, std::optional<DType>>* last_type_ = nullptr;  // the one looked up last
  std::array<PlainItem, 256> run_;
  std::array<std::vector<std::string_view>, 128> layouts_;
};

/// One walk through the objects.
class Writing::Pass {
 public:
  Pass(Writing& all, OutVisitor& out) : all_(all), out_(out) {}

  /// For objects that are written anew wherever they are, whatever refers to them.
  static constexpr int unshared = std::numeric_limits<int>::max();

  /// `references`: those to the object that are no part of the graph.
  void value(PyObject* object, int references) {
    PyTypeObject* const type = Py_TYPE(object);
    if (type == &PyUnicode_Type) {
      return text_value(object, references);
    }
    if (type == &PyFloat_Type) {
      return out_.real(PyFloat_AsDouble(object));
    }
    if (type == &PyLong_Type) {
      return integer(object);
    }
    if (object == Py_None) {
      return out_.null();
    }
    if (type == &PyBool_Type) {
      return out_.boolean(object == Py_True);
    }
    if (type == &PyBytes_Type) {
      return bytes_value(object, references);
    }
    if (type == &PyList_Type) {
      if (begin_shared(object, references)) {
        list(object);
      }
      return;
    }
    if (type == &PyDict_Type) {
      if (begin_shared(object, references)) {
        dict(object);
      }
      return;
    }
    if (type == &PyTuple_Type) {
      if (begin_shared(object, references)) {
        out_.begin_typed("py:tuple");
        tuple(object);
      }
      return;
    }
    if (PyArray_CheckExact(object)) {
      return array(object, references);
    }
    if (PyType_IsSubtype(type, all_.generic_)) {
      return scalar(object);
    }
    if (type == &PySet_Type || type == &PyFrozenSet_Type) {
      if (begin_shared(object, references)) {
        out_.begin_typed(type == &PySet_Type ? "py:set" : "py:frozenset");
        set(object);
      }
      return;
    }
    if (type == &PyByteArray_Type) {
      if (begin_shared(object, references)) {
        out_.begin_typed("py:bytearray");
        out_.bytes({reinterpret_cast<const std::byte*>(PyByteArray_AsString(object)),
                    static_cast<std::size_t>(PyByteArray_Size(object))});
      }
      return;
    }
    if (type == &PyComplex_Type) {
      const double parts[2] = {PyComplex_RealAsDouble(object), PyComplex_ImagAsDouble(object)};
      return out_.array(ArrayView(DType::Kind::complex128, parts, Shape(), Order::row_major));
    }
    if (object == Py_Ellipsis || object == Py_NotImplemented) {
      out_.begin_typed("py:global");
      return out_.text(object == Py_Ellipsis ? "builtins.Ellipsis" : "builtins.NotImplemented");
    }
    other(object, references);
  }

 private:
  // --- Plain values ---

  void integer(PyObject* object) {
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow == 0) {
      return value < 0 ? out_.integer(value) : out_.natural(static_cast<std::uint64_t>(value));
    }
    if (overflow > 0) {
      const unsigned long long natural = PyLong_AsUnsignedLongLong(object);
      if (natural != ~0ULL || PyErr_Occurred() == nullptr) {
        return out_.natural(natural);
      }
      PyErr_Clear();
    }
    const nb::object digits = own(PyNumber_ToBase(object, 16));
    std::string_view spelled;
    utf8(digits.ptr(), spelled);
    out_.begin_typed("py:int");
    out_.text(spelled);
  }

  void text_value(PyObject* object, int references) {
    std::string_view view;
    if (!utf8(object, view)) {  // surrogates
      const nb::object encoded = own(PyUnicode_AsEncodedString(object, "utf-8", "surrogatepass"));
      out_.begin_typed("py:str");
      return out_.bytes({reinterpret_cast<const std::byte*>(PyBytes_AsString(encoded.ptr())),
                         static_cast<std::size_t>(PyBytes_Size(encoded.ptr()))});
    }
    if (static_cast<Py_ssize_t>(view.size()) < shared_text_bytes || begin_shared(object, references)) {
      out_.text(view);
    }
  }

  void bytes_value(PyObject* object, int references) {
    const Py_ssize_t size = PyBytes_Size(object);
    if (size < shared_text_bytes || begin_shared(object, references)) {
      out_.bytes({reinterpret_cast<const std::byte*>(PyBytes_AsString(object)), static_cast<std::size_t>(size)});
    }
  }

  /// The text or number of an object that is one, for a run.
  static bool plain(PyObject* object, PlainItem& item) {
    PyTypeObject* const type = Py_TYPE(object);
    if (type == &PyUnicode_Type) {
      std::string_view view;
      if (!utf8(object, view) || static_cast<Py_ssize_t>(view.size()) >= shared_text_bytes) {
        return false;
      }
      item = {view.data(), view.size(), {}};
      return true;
    }
    if (type == &PyFloat_Type) {
      item = {nullptr, __builtin_bit_cast(std::uint64_t, PyFloat_AsDouble(object)), Number::Type::float64};
      return true;
    }
    if (type == &PyLong_Type) {
      int overflow = 0;
      const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
      if (overflow != 0) {
        return false;
      }
      item = value < 0 ? PlainItem{nullptr, ~static_cast<std::uint64_t>(value), Number::Type::negative}
                       : PlainItem{nullptr, static_cast<std::uint64_t>(value), Number::Type::natural};
      return true;
    }
    return false;
  }

  // --- Containers ---

  /// True: the value follows.
  bool begin_shared(PyObject* object, int references) {
    // Immortal objects have a count beyond int.
    if (!all_.all_shared_ && (references == unshared || Py_REFCNT(object) <= references)) {
      return true;
    }
    return out_.begin_shared(Shared(object, all_.life_));
  }

  /// Collects a run of plain items and passes it on. Empty whenever another container is written.
  class Run {
   public:
    explicit Run(Pass& pass) : out_(pass.out_), items_(pass.all_.run_) {}
    bool add(PyObject* object) {
      if (count_ == items_.size()) {
        flush();
      }
      if (!plain(object, items_[count_])) {
        return false;
      }
      ++count_;
      return true;
    }
    void flush() {
      if (count_ > 0) {
        out_.plain_items({items_.data(), std::exchange(count_, 0)});
      }
    }

   private:
    OutVisitor& out_;
    std::array<PlainItem, 256>& items_;
    std::size_t count_ = 0;
  };

  [[noreturn]] static void changed(const char* what) {
    raise(PyExc_RuntimeError, std::string(what) + " changed size while it was written");
  }

  void list(PyObject* object) {
#ifdef Py_GIL_DISABLED
    return tuple(own(PyList_AsTuple(object)).ptr());
#else
    const Py_ssize_t count = PyList_Size(object);
    out_.begin_sequence(static_cast<std::uint64_t>(count));
    Run run(*this);
    for (Py_ssize_t i = 0; i < count; ++i) {
      PyObject* const item = i < PyList_Size(object) ? PyList_GetItem(object, i) : nullptr;
      if (item == nullptr) {
        changed("a list");
      }
      if (!run.add(item)) {
        run.flush();
        const nb::object held = nb::borrow(item);
        value(item, 2);
      }
    }
    run.flush();
    if (PyList_Size(object) != count) {
      changed("a list");
    }
    out_.end();
#endif
  }

  void tuple(PyObject* object) {
    const Py_ssize_t count = PyTuple_Size(object);
    out_.begin_sequence(static_cast<std::uint64_t>(count));
    Run run(*this);
    for (Py_ssize_t i = 0; i < count; ++i) {
      PyObject* const item = PyTuple_GetItem(object, i);
      if (!run.add(item)) {
        run.flush();
        value(item, 1);
      }
    }
    run.flush();
    out_.end();
  }

  void dict(PyObject* object) {
    const Py_ssize_t count = PyDict_Size(object);
#ifndef Py_GIL_DISABLED
    if (!out_.canonical() && !all_.all_shared_) {
      if (const Keys* const keys = all_.keys_of(object, count)) {
        return record(object, *keys);
      }
    }
#endif
    out_.begin_map(static_cast<std::uint64_t>(count), Ordering::unordered);
    if (out_.canonical()) {
      const nb::object items = own(PyDict_Items(object));
      walk::CanonicalOrder order;
      for (Py_ssize_t i = 0; i < count; ++i) {
        PyObject* const entry = PyList_GetItem(items.ptr(), i);
        Pass(all_, order.key()).value(PyTuple_GetItem(entry, 0), 2);
        order.add(entry);
      }
      for (const void* entry : order.sorted()) {
        auto* const pair = const_cast<PyObject*>(static_cast<const PyObject*>(entry));
        value(PyTuple_GetItem(pair, 0), 2);
        value(PyTuple_GetItem(pair, 1), 2);
      }
      return out_.end();
    }
#ifdef Py_GIL_DISABLED
    const nb::object copy = own(PyDict_Copy(object));
    object = copy.ptr();
    constexpr int held = 3;
#else
    constexpr int held = 2;
#endif
    Run run(*this);
    Py_ssize_t at = 0;
    PyObject* key = nullptr;
    PyObject* item = nullptr;
    Py_ssize_t seen = 0;
    while (PyDict_Next(object, &at, &key, &item) != 0) {
      ++seen;
      if (run.add(key)) {
        if (run.add(item)) {
          continue;
        }
        run.flush();
        const nb::object held_item = nb::borrow(item);
        value(item, held);
      } else {
        run.flush();
        const nb::object held_key = nb::borrow(key);
        const nb::object held_item = nb::borrow(item);
        value(key, held);
        value(item, held);
      }
      if (PyDict_Size(object) != count) {
        changed("a dict");
      }
    }
    run.flush();
    if (seen != count) {
      changed("a dict");
    }
    out_.end();
  }

  /// A dict whose keys another one had too: a record, whose names are stored once where there are several.
  void record(PyObject* object, const Keys& keys) {
    out_.begin_record({keys.names, 0, &keys});
    const auto count = static_cast<Py_ssize_t>(keys.keys.size());
    Py_ssize_t at = 0;
    PyObject* key = nullptr;
    PyObject* item = nullptr;
    Py_ssize_t seen = 0;
    while (PyDict_Next(object, &at, &key, &item) != 0) {
      if (seen == count || key != keys.keys[static_cast<std::size_t>(seen++)].ptr()) {
        changed("a dict");
      }
      const nb::object held = nb::borrow(item);
      value(item, 2);
      if (PyDict_Size(object) != count) {
        changed("a dict");
      }
    }
    if (seen != count) {
      changed("a dict");
    }
    out_.end();
  }

  void set(PyObject* object) {
    const nb::object items = own(PySequence_List(object));
    const Py_ssize_t count = PyList_Size(items.ptr());
    out_.begin_sequence(static_cast<std::uint64_t>(count), Ordering::unordered);
    if (out_.canonical()) {
      walk::CanonicalOrder order;
      for (Py_ssize_t i = 0; i < count; ++i) {
        PyObject* const item = PyList_GetItem(items.ptr(), i);
        Pass(all_, order.key()).value(item, 2);
        order.add(item);
      }
      for (const void* item : order.sorted()) {
        value(const_cast<PyObject*>(static_cast<const PyObject*>(item)), 2);
      }
    } else {
      Run run(*this);
      for (Py_ssize_t i = 0; i < count; ++i) {
        PyObject* const item = PyList_GetItem(items.ptr(), i);
        if (!run.add(item)) {
          run.flush();
          value(item, 2);
        }
      }
      run.flush();
    }
    out_.end();
  }

  // --- Arrays ---

  const std::optional<DType>& type_of(PyArrayObject* array) {
    PyArray_Descr* const dtype = PyArray_DESCR(array);
    if (all_.last_type_ == nullptr || all_.last_type_->first != dtype) {
      const auto [place, is_new] = all_.types_.try_emplace(dtype);
      if (is_new) {
        place->second = dtype_of(dtype);
        all_.keep_.push_back(nb::borrow(reinterpret_cast<PyObject*>(dtype)));
      }
      all_.last_type_ = &*place;
    }
    return all_.last_type_->second;
  }

  void array(PyObject* object, int references) {
    PyArrayObject* const given = as_array(object);
    const std::optional<DType>& dtype = type_of(given);
    // Without axes, an array of complex128 is a number.
    if (!dtype || (PyArray_NDIM(given) == 0 && dtype->kind() == DType::Kind::complex128)) {
      return other(object, references);
    }
    ArrayView view = view_of(given, *dtype);
    std::shared_ptr<Buffer> buffer;
    if (!all_.all_shared_) {
      buffer = all_.buffer_of(given, object, references);
      view.buffer = buffer.get();
    }
    if (view.byte_count() < released_bytes) {
      return out_.array(view);
    }
    const nb::gil_scoped_release released;
    out_.array(view);
  }

  void scalar(PyObject* object) {
    const nb::object array = own(PyArray_FromScalar(object, nullptr));
    const std::optional<DType>& dtype = type_of(as_array(array.ptr()));
    if (!dtype) {
      return other(object, 1);
    }
    out_.begin_typed("py:numpy.generic");
    out_.array(view_of(as_array(array.ptr()), *dtype));
  }

  // --- Everything else ---

  /// "module.qualname" of a class or function that can be found under it; throws a Python error otherwise.
  nb::object name_of(nb::handle global) { return all_.forms_.attr("name_of")(global); }

  void other(PyObject* object, int references) {
    if (all_.of_type(Py_TYPE(object)).ordinary) {
      return taken(object, references);
    }
    if (nb::handle(object).type().is(all_.memmap_) && type_of(as_array(object))) {
      return array(object, references);
    }
    if (PyType_Check(object) || nb::handle(object).type().is(all_.function_) || PyCFunction_Check(object)) {
      const nb::object method_of =
          PyCFunction_Check(object) ? nb::getattr(nb::handle(object), "__self__", nb::none()) : nb::none();
      if (method_of.is_none() || PyModule_Check(method_of.ptr())) {
        const nb::object name = name_of(object);
        std::string_view spelled;
        utf8(name.ptr(), spelled);
        out_.begin_typed("py:global");
        return out_.text(spelled);
      }
    }
    if (nb::handle(object).type().is(all_.typed_)) {
      const nb::object name = nb::getattr(nb::handle(object), "name");
      const nb::object content = nb::getattr(nb::handle(object), "value");
      all_.keep_.push_back(content);
      std::string_view spelled;
      utf8(name.ptr(), spelled);
      out_.begin_typed(spelled);
      return value(content.ptr(), unshared);
    }
    if (PyArray_DescrCheck(object)) {
      const nb::object description = describe_dtype(object);
      if (!description.is_none()) {
        if (begin_shared(object, unshared)) {
          all_.keep_.push_back(description);
          out_.begin_typed("py:numpy.dtype");
          value(description.ptr(), unshared);
        }
        return;
      }
    }
    taken(object, references);
  }

  /// Writes an object by its parts.
  void taken(PyObject* object, int references) {
    if (!begin_shared(object, references)) {
      return;
    }
    const auto found = all_.reduced_.find(object);
    const Reduced& reduced = found != all_.reduced_.end() ? found->second : reduce(object);
    generic(reduced);
  }

  /// Asks the object what it is made of. Its parts live as long as the walk.
  const Reduced& reduce(PyObject* object) {
    all_.keep_.push_back(nb::borrow(object));
    Reduced made;
    if (!all_.of_type(Py_TYPE(object)).has_form) {
      nb::object given = own(PyObject_CallMethodObjArgs(object, all_.reduce_ex_.ptr(), all_.protocol_.ptr(), nullptr));
      made = is_plain(given) ? taken_apart(std::move(given))
                             : from_parts(all_.forms_.attr("parts_of")(nb::handle(object), given));
    } else {
      made = from_parts(all_.reduce_(nb::handle(object)));
    }
    return all_.reduced_.emplace(object, std::move(made)).first->second;
  }

  static nb::object part(const nb::object& parts, Py_ssize_t index) {
    PyObject* const found = index < PyTuple_Size(parts.ptr()) ? PyTuple_GetItem(parts.ptr(), index) : Py_None;
    return found == Py_None ? nb::object() : nb::borrow<nb::object>(found);
  }

  /// What stele/_forms.py made of an object.
  static Reduced from_parts(nb::object parts) {
    Reduced made;
    made.name = part(parts, 0);
    made.callable = part(parts, 1);
    made.is_new = PyTuple_GetItem(parts.ptr(), 2) == Py_True;
    made.args = part(parts, 3);
    made.kwargs = part(parts, 4);
    made.state = part(parts, 5);
    made.items = part(parts, 6);
    made.entries = part(parts, 7);
    made.repeats = part(parts, 8).is_valid();
    made.keep = std::move(parts);
    return made;
  }

  /// Whether __reduce_ex__ returned what taken_apart() handles: the rest is rare, or an error.
  bool is_plain(const nb::object& given) const {
    if (!PyTuple_CheckExact(given.ptr())) {
      return false;
    }
    const Py_ssize_t size = PyTuple_Size(given.ptr());
    if (size < 2 || size > 5) {
      return false;
    }
    PyObject* const function = PyTuple_GetItem(given.ptr(), 0);
    PyObject* const args = PyTuple_GetItem(given.ptr(), 1);
    if (!PyTuple_CheckExact(args)) {
      return false;
    }
    return function == all_.new_object_.ptr() ? PyTuple_Size(args) > 0 && PyType_Check(PyTuple_GetItem(args, 0)) != 0
                                              : PyType_Check(function) != 0;
  }

  Reduced taken_apart(nb::object given) {
    Reduced made;
    nb::object called = part(given, 0);
    made.args = part(given, 1);
    if (called.is(all_.new_object_)) {
      made.is_new = true;
      called = part(made.args, 0);
      made.args = own(PyTuple_GetSlice(made.args.ptr(), 1, PyTuple_Size(made.args.ptr())));
    }
    nb::object& name = all_.names_[called.ptr()];
    if (!name.is_valid()) {
      all_.keep_.push_back(called);
      name = all_.forms_.attr("name_of")(called);
    }
    made.name = name;
    made.state = part(given, 2);
    for (const int index : {3, 4}) {
      if (const nb::object iterator = part(given, index); iterator.is_valid()) {
        nb::object list = own(PySequence_List(iterator.ptr()));
        if (PyList_Size(list.ptr()) > 0) {
          (index == 3 ? made.items : made.entries) = std::move(list);
        }
      }
    }
    made.keep = std::move(given);
    return made;
  }

  /// The record that docs/format.md describes.
  void generic(const Reduced& made) {
    std::string_view name;
    if (made.name.is_valid()) {
      utf8(made.name.ptr(), name);
    } else {
      name = "call";
    }
    if (name == "global") {
      out_.begin_typed("py:global");
      return value(PyTuple_GetItem(made.args.ptr(), 0), unshared);
    }
    if (name == "numpy.object_array") {  // its fields are its own
      out_.begin_typed("py:numpy.object_array");
      static constexpr std::string_view names[] = {"shape", "order", "items"};
      out_.begin_record({names});
      for (int i = 0; i < 3; ++i) {
        PyObject* const item = PyTuple_GetItem(made.args.ptr(), i);
        if (i == 2) {
          list(item);
        } else {
          value(item, unshared);
        }
      }
      return out_.end();
    }
    spelled_ = "py:";
    spelled_ += name;
    out_.begin_typed(spelled_);
    const bool has_entries = made.entries.is_valid() && !(made.repeats && all_.all_shared_);
    const bool has_args = made.args.is_valid() && PyTuple_Size(made.args.ptr()) > 0;
    out_.begin_record({all_.layout({!made.name.is_valid(), made.is_new, has_args, made.kwargs.is_valid(),
                                    made.state.is_valid(), made.items.is_valid(), has_entries})});
    if (!made.name.is_valid()) {
      value(made.callable.ptr(), unshared);
    }
    if (made.is_new) {
      out_.boolean(true);
    }
    if (has_args) {
      tuple(made.args.ptr());
    }
    if (made.kwargs.is_valid()) {
      dict(made.kwargs.ptr());
    }
    if (made.state.is_valid()) {
      value(made.state.ptr(), 3);  // the object's, the tuple's and ours
    }
    if (made.items.is_valid()) {
      list(made.items.ptr());
    }
    if (has_entries) {
      pairs(made.entries.ptr());
    }
    out_.end();
  }

  void pairs(PyObject* entries) {
    const Py_ssize_t count = PyList_Size(entries);
    check(static_cast<int>(std::min<Py_ssize_t>(count, 0)));
    out_.begin_map(static_cast<std::uint64_t>(count));
    for (Py_ssize_t i = 0; i < count; ++i) {
      PyObject* const pair = PyList_GetItem(entries, i);
      if (PyTuple_Check(pair) == 0 || PyTuple_Size(pair) != 2) {
        raise(PyExc_TypeError, "the entries of an object that __reduce_ex__ returns are no pairs");
      }
      value(PyTuple_GetItem(pair, 0), 1);
      value(PyTuple_GetItem(pair, 1), 1);
    }
    out_.end();
  }

  Writing& all_;
  OutVisitor& out_;
  std::string spelled_;
};

void Writing::write(OutVisitor& out) {
  const nb::gil_scoped_acquire gil;  // the library may walk again while an array is written without it
  const NoCollection guard;
  const OutVisitor::AtOnce at_once(out);
  Pass(*this, out).value(root_.ptr(), 2);
}

GraphOut::GraphOut(nb::handle root, bool all_shared) : writing_(std::make_unique<Writing>(root, all_shared)) {}
GraphOut::~GraphOut() = default;

}  // namespace stele::python

namespace stele {

void Visit<python::GraphOut>::write(OutVisitor& out, const python::GraphOut& graph) { graph.writing_->write(out); }

}  // namespace stele
