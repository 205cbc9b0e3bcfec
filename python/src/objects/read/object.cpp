// Objects that something must be called for.

#include <utility>

#include "objects/read/reading.hpp"
#include "stele/error.hpp"

namespace stele::python {
namespace {

/// An object while its record is read.
class Object {
 public:
  /// The name is copied, as it may point to what reading uses.
  Object(Reading& walk, std::string_view name, const Slot& slot) : walk_(walk), name_(name), slot_(slot) {}

  nb::object read() {
    if (in_.kind() != Kind::record && in_.kind() != Kind::map) {
      in_.error(Errc::malformed, "an object of Python's that is no record");
    }
    // pickle has class methods as the attribute of a class, which is trusted as any name is.
    const bool is_attribute = name_ == "builtins.getattr";
    if (is_attribute) {
      callable_ = nb::none();
    } else if (name_ != "call") {
      callable_ = walk_.names.resolve(name_);
      maker_ = walk_.names.maker_of(name_);
    }
    in_.begin_record();
    for (std::string_view field; in_.next_field(field);) {
      if (field == "callable") {
        called_ = walk_.value();
        callable_ = walk_.names.callable(called_);
      } else if (field == "new") {
        is_new_ = in_.boolean();
      } else if (field == "args") {
        args_ = own(PySequence_Tuple(walk_.value().ptr()));
      } else if (field == "kwargs") {
        kwargs_ = walk_.value();
      } else {
        require_callable();
        make();
        complete(field);
      }
    }
    require_callable();
    if (is_attribute) {
      if (args_.is_valid() && !exists_) {
        nb::object found = walk_.names.attribute(args_);
        if (!found.is_none()) {
          return walk_.define(slot_, std::move(found));
        }
      }
      walk_.names.untrusted(name_);
    }
    make();
    return object_;
  }

 private:
  void require_callable() {
    if (!callable_.is_valid()) {
      in_.error(Errc::malformed, "an object of Python's without what makes it");
    }
  }

  /// Makes it, unless it exists.
  void make() {
    if (std::exchange(exists_, true)) {
      return;
    }
    if (!args_.is_valid()) {
      args_ = nb::tuple();
    }
    if (!callable_.is_none() && (walk_.names.has_refused() || walk_.names.has_inert(args_))) {
      callable_ = nb::none();  // what cannot be complete is not called
    }
    if (!callable_.is_none()) {
      try {
        object_ = call();
      } catch (nb::python_error& error) {
        if (!walk_.names.keeps_inert() || !error.matches(PyExc_Exception)) {
          throw;
        }
        callable_ = nb::none();  // there may be something inert deeper in its arguments
      }
    }
    if (callable_.is_none()) {
      object_ = walk_.names.inert(name_);
      object_.attr("stele_args") = args_;
      object_.attr("stele_new") = is_new_;
      if (kwargs_.is_valid()) {
        object_.attr("stele_kwargs") = kwargs_;
      }
      if (called_.is_valid()) {
        object_.attr("stele_callable") = called_;
      }
    }
    walk_.define(slot_, object_);
  }

  nb::object call() {
    PyObject* const kwargs = kwargs_.is_valid() && !kwargs_.is_none() ? kwargs_.ptr() : nullptr;
    bool& has_huge = walk_.arrays.has_huge;
    if (maker_.is_valid()) {
      nb::object made = maker_(callable_, is_new_, args_, kwargs == nullptr ? nb::none() : kwargs_, has_huge);
      has_huge = has_huge || PyRange_Check(made.ptr());
      return made;
    }
    if (!is_new_) {
      if (PyTuple_Size(args_.ptr()) > 1 && PyArray_Check(PyTuple_GetItem(args_.ptr(), 0))) {
        return forms_.attr("call")(callable_, args_, kwargs == nullptr ? nb::none() : kwargs_);
      }
      return own(PyObject_Call(callable_.ptr(), args_.ptr(), kwargs));
    }
    if (!PyType_Check(callable_.ptr())) {
      in_.error(Errc::malformed, "an instance of what is no class");
    }
    const nb::object with_class = own(PyTuple_New(PyTuple_Size(args_.ptr()) + 1));
    check(PyTuple_SetItem(with_class.ptr(), 0, nb::object(callable_).release().ptr()));
    for (Py_ssize_t i = 0; i < PyTuple_Size(args_.ptr()); ++i) {
      check(PyTuple_SetItem(with_class.ptr(), i + 1, nb::borrow(PyTuple_GetItem(args_.ptr(), i)).release().ptr()));
    }
    const nb::object maker = callable_.attr("__new__");
    return own(PyObject_Call(maker.ptr(), with_class.ptr(), kwargs));
  }

  /// Reads what completes the object.
  void complete(std::string_view field) {
    const bool is_inert = callable_.is_none();
    if (field == "entries" && !is_inert && walk_.states.repeats(Py_TYPE(object_.ptr()))) {
      return in_.skip();
    }
    if (field == "state" || field == "states") {
      const bool several = field == "states";
      const nb::object state = walk_.value();
      give(several ? "stele_states" : "stele_state", state, [&] {
        for (const nb::handle one : several ? state : nb::object(nb::make_tuple(state))) {
          nb::object other = walk_.states.set(object_, nb::borrow(one));
          if (!other.is_none()) {  // arrays that take their elements from the state
            object_ = walk_.define(slot_, std::move(other));
          }
        }
      });
    } else if (field == "items") {
      const nb::object items = walk_.value();
      if (!PyList_CheckExact(items.ptr())) {
        in_.error(Errc::malformed, "the items of an object that are not a sequence");
      }
      give("stele_items", items, [&] { forms_.attr("add_items")(object_, items); });
    } else if (field == "entries") {
      const nb::object entries = walk_.value();
      if (!PyDict_CheckExact(entries.ptr())) {
        in_.error(Errc::malformed, "the entries of an object that are no map");
      }
      give("stele_entries", entries, [&] { forms_.attr("add_entries")(object_, entries); });
    } else {
      in_.error(Errc::malformed, "an object of Python's with the field \"" + std::string(field) + '"');
    }
  }

  /// Completes it by `part`, which an inert object keeps as `field`. Where that may hold what is not trusted, nothing
  /// is called for an error's sake, and what cannot take inert parts becomes inert itself.
  template <class F>
  void give(const char* field, const nb::object& part, F&& apply) {
    if (!callable_.is_none()) {
      if (walk_.names.has_refused()) {
        return;
      }
      try {
        return apply();
      } catch (nb::python_error& error) {
        if (!walk_.names.keeps_inert() || !error.matches(PyExc_Exception)) {
          throw;
        }
      }
      callable_ = nb::none();
      exists_ = false;
      make();
    }
    object_.attr(field) = part;
  }

  Reading& walk_;
  InVisitor& in_ = walk_.in;
  const nb::object& forms_ = modules().forms;
  const std::string name_;
  const Slot& slot_;
  nb::object callable_;  // None: not trusted
  nb::object called_;    // what the file has in place of a name
  nb::object maker_;     // what calls it, where only the list of data allows that; else null
  bool is_new_ = false;
  bool exists_ = false;
  nb::object args_;
  nb::object kwargs_;
  nb::object object_;
};

}  // namespace

nb::object read_object(Reading& walk, std::string_view name, const Slot& slot) {
  return Object(walk, name, slot).read();
}

}  // namespace stele::python
