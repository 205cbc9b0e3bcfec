#pragma once
// One level of a value in a file.

#include <optional>
#include <string>
#include <vector>

#include "python.hpp"
#include "objects/graph.hpp"
#include "stele/visitor.hpp"
#include "stele/walk.hpp"

namespace stele::python {

/// What a value is, without its contents: a few bytes are read.
struct Glance {
  Kind kind = Kind::null;
  std::vector<std::string> types;      // registered names, the outermost first
  std::optional<std::uint64_t> count;  // of a sequence or map, if it is stored
  nb::object value;                    // of a leaf
};

/// The names, keys or indices in a container.
struct Children {
  explicit Children(const Trust& given) : trust(given) {}
  const Trust& trust;
  /// Of each: the key, the step that leads to it in a path, whether its value is there, and a small leaf's value, which
  /// has no step.
  nb::list found;
};

}  // namespace stele::python

namespace stele {

template <>
struct Visit<python::Glance> {
  static void write(OutVisitor& out, const python::Glance& glance) = delete;
  static void read(InVisitor& in, python::Glance& glance);
};
template <>
struct Visit<python::Children> {
  static void write(OutVisitor& out, const python::Children& children) = delete;
  static void read(InVisitor& in, python::Children& children);
};
template <>
inline constexpr bool walk::may_be_null<python::Glance> = true;
template <>
inline constexpr bool walk::may_be_null<python::Children> = true;

}  // namespace stele
