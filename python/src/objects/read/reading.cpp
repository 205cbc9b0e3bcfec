#include "objects/read/reading.hpp"

#include "objects/whole.hpp"
#include "stele/error.hpp"
#include "stele/walk.hpp"

namespace stele::python {

nb::object Reading::read() {
  const InVisitor::AtOnce at_once(in);
  nb::object made = checked();
  names.require_trust();
  return made;
}

/// Where only data is trusted, an exception means that the file does not hold what it says, maybe as it is damaged.
nb::object Reading::checked() {
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
        in.rethrow(made);
      }
    } catch (const Error& found) {
      if (found.code() == Errc::malformed && names.trusts_more()) {
        throw error;  // of a class of the caller's
      }
      throw;
    }
  }
}

nb::object Reading::value() {
  if (in.at_deferred()) {
    throw StoredInParts{};
  }
  if (const auto index = in.next_reference()) {
    if (PyObject* const known = known_.find(*index)) {
      in.begin_shared();
      return nb::borrow(known);
    }
  }
  const Kind kind = in.kind();
  if (kind == Kind::array) {
    return arrays.array();
  }
  if (kind == Kind::real || kind == Kind::integer || kind == Kind::null || kind == Kind::boolean) {
    return content(kind, {});  // nobody shares these; where they are shared, that is seen through
  }
  return shared_value(kind, in.begin_shared());
}

nb::object Reading::shared_value(Kind kind, const SharedIn& shared) {
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
      in.error(Errc::malformed, "an object takes part in its own construction");
    }
    in.enter_shared(shared.index);
    nb::object made = content(in.kind(), shared.index);
    in.leave_shared();
    return made;
  }
  known_.begin(shared.index);
  if (in.shared(shared.index).pointer == nullptr) {
    in.define_shared(shared.index, {});
  }
  return content(kind, shared.index);
}

/// A value after its marks of sharing.
nb::object Reading::content(Kind kind, const Slot& slot) {
  switch (kind) {
    case Kind::null:
      in.null();
      return nb::none();
    case Kind::boolean:
      return nb::bool_(in.boolean());
    case Kind::integer:
    case Kind::real: {
      const Number number = in.number();
      return own(new_number(number.type, number.bits));
    }
    case Kind::text:
      in.text(scratch_);
      return define(slot, valid_text(in, scratch_));
    case Kind::bytes:
      in.text(scratch_);
      return define(slot, own(PyBytes_FromStringAndSize(scratch_.data(), static_cast<Py_ssize_t>(scratch_.size()))));
    case Kind::array:
      return define(slot, arrays.array());
    case Kind::sequence:
      if (std::optional<std::string> name = in.begin_typed()) {
        nb::object made = read_typed(*this, *name, slot);
        in.end_typed();
        return made;
      }
      return containers.list(slot);
    case Kind::map:
      return containers.map(slot);
    case Kind::record:
      return containers.record(slot);
  }
  return nb::none();
}

nb::object object_of(const Value& value, const Trust& trust, const LoadOptions& options) {
  const NoCollection guard;
  GraphIn graph(trust);
  const std::unique_ptr<InVisitor> in = value_reader(value, options);
  read_whole(*in, graph, [] {});
  return graph.result;
}

}  // namespace stele::python

namespace stele {

void Visit<python::GraphIn>::read(InVisitor& in, python::GraphIn& graph) {
  graph.result = python::Reading(in, graph.trust_).read();
}

}  // namespace stele
