#pragma once
// Python objects as values of the library: what they are written as, docs/format.md says under "Python's objects".

#include "python.hpp"
#include "stele/options.hpp"
#include "stele/walk.hpp"

namespace stele::python {

class Writing;

/// An object to write, with what one walk must remember: objects that were made for it, and buffers that arrays share.
class GraphOut {
 public:
  /// `all_shared`: identity does not decide how objects are written, for hashes.
  explicit GraphOut(nb::handle root, bool all_shared = false);
  ~GraphOut();
  GraphOut(const GraphOut&) = delete;
  GraphOut& operator=(const GraphOut&) = delete;

 private:
  friend struct Visit<GraphOut>;
  std::unique_ptr<Writing> writing_;
};

/// How the objects are made that a file names.
struct Trust {
  /// Called with "module.qualname" or "module:Outer.Inner"; returns what is called for it, or None where it is not trusted.
  nb::object resolve;
  /// What is not trusted becomes a stele.Inert; otherwise that is an error, with all names, after reading.
  bool inert = false;
};

/// An object that is read.
class GraphIn {
 public:
  explicit GraphIn(const Trust& trust) : trust_(trust) {}
  nb::object result;

 private:
  friend struct Visit<GraphIn>;
  const Trust& trust_;
};

/// Thrown while reading a graph that is stored in parts: it must be read from a Value.
struct StoredInParts {};

}  // namespace stele::python

namespace stele {

template <>
struct Visit<python::GraphOut> {
  static void write(OutVisitor& out, const python::GraphOut& graph);
};
template <>
struct Visit<python::GraphIn> {
  static void read(InVisitor& in, python::GraphIn& graph);
};
template <>
inline constexpr bool walk::may_be_null<python::GraphOut> = true;
template <>
inline constexpr bool walk::may_be_null<python::GraphIn> = true;

}  // namespace stele
