#pragma once
// What the names in a file stand for, and what is not trusted.

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "objects/graph.hpp"
#include "objects/modules.hpp"
#include "stele/visitor.hpp"

namespace stele::python {

class Names {
 public:
  Names(InVisitor& in, const Trust& trust) : in_(in), trust_(trust) {}

  /// What a name stands for; None where it is not trusted.
  nb::object resolve(std::string_view name) { return named(name).found; }
  /// What calls a name that only the list of data allows; null where it may be called at once.
  nb::object maker_of(std::string_view name);
  /// What is called for an object in place of a name; None where it is not trusted.
  nb::object callable(const nb::object& called);
  /// The attribute of a class that two arguments of getattr() mean; None where it is not trusted.
  nb::object attribute(const nb::object& args);

  /// Notes a name that is not trusted: an error of the whole graph, unless that becomes inert.
  void untrusted(std::string_view name);
  /// Whether reading goes on only to find more names.
  bool has_refused() const noexcept { return !untrusted_.empty(); }
  /// Throws: UntrustedError, with all names, if there are any.
  void require_trust() const;

  /// Whether classes of the caller's are trusted.
  bool trusts_more() const;
  /// Whether what is not trusted becomes a stele.Inert.
  bool keeps_inert() const noexcept { return trust_.inert; }
  nb::object inert(std::string_view name) const;
  bool is_inert(nb::handle object) const { return object.type().is(inert_); }
  bool has_inert(const nb::object& args) const;

 private:
  struct Named {
    nb::object found;
    nb::object maker;
    bool has_maker = false;  // was asked for
  };
  Named& named(std::string_view name);

  InVisitor& in_;
  const Trust& trust_;
  const nb::object& inert_ = modules().inert;
  std::unordered_map<std::string, Named> names_;
  std::pair<const std::string, Named>* last_ = nullptr;  // the one looked up last
  std::vector<std::string> untrusted_;
  nb::object attribute_;  // the last attribute of a class that is trusted
};

}  // namespace stele::python
