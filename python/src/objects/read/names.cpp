#include "objects/read/names.hpp"

#include <algorithm>
#include <utility>

#include "objects/read/plain.hpp"

namespace stele::python {

Names::Named& Names::named(std::string_view name) {
  if (last_ == nullptr || last_->first != name) {
    const auto [place, is_new] = names_.try_emplace(std::string(name));
    if (is_new) {
      place->second.found = trust_.resolve(valid_text(in_, name));
    }
    last_ = &*place;
  }
  if (last_->second.found.is_none()) {
    untrusted(name);
  }
  return last_->second;
}

nb::object Names::maker_of(std::string_view name) {
  Named& known = named(name);
  if (!std::exchange(known.has_maker, true) && !known.found.is_none() && !trust_.resolve.is_none()) {
    nb::object maker = trust_.resolve.attr("maker")(valid_text(in_, name));
    known.maker = maker.is_none() ? nb::object() : maker;
  }
  return known.maker;
}

nb::object Names::callable(const nb::object& called) {
  const bool may_call = PyCallable_Check(called.ptr()) != 0 && !is_inert(called);
  nb::object found = !may_call ? nb::none() : called.is(attribute_) ? called : trust_.resolve.attr("callable")(called);
  if (found.is_none()) {
    untrusted("call");
  }
  return found;
}

nb::object Names::attribute(const nb::object& args) {
  nb::object found = trust_.resolve.attr("attribute")(args);
  if (!found.is_none()) {
    attribute_ = found;
  }
  return found;
}

void Names::untrusted(std::string_view name) {
  if (!trust_.inert && std::find(untrusted_.begin(), untrusted_.end(), name) == untrusted_.end()) {
    untrusted_.emplace_back(name);
  }
}

void Names::require_trust() const {
  if (has_refused()) {
    nb::object error = imported("stele._errors", "untrusted")(texts_of(untrusted_));
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
    throw nb::python_error();
  }
}

bool Names::trusts_more() const { return !trust_.resolve.is_none() && nb::cast<bool>(trust_.resolve.attr("trusts")); }

nb::object Names::inert(std::string_view name) const { return inert_(valid_text(in_, name)); }

bool Names::has_inert(const nb::object& args) const {
  for (const nb::handle item : args) {
    if (is_inert(item)) {
      return true;
    }
  }
  return false;
}

}  // namespace stele::python
