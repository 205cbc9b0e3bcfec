#pragma once
// What a value in a file is made of: one level, or all of it.

#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "objects/graph.hpp"
#include "python.hpp"
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

/// All that is in a value, but for the elements of large arrays and the contents of objects: a tuple
/// (kind, types, path, content). The kind is "value", with a leaf or a small array; "array" and "other", which are to
/// be read by their path; "sequence" or "map", with a list of pairs of key and such a tuple. What is shared is one
/// tuple.
struct Outline {
  const Trust& trust;
  std::string path;                              // of the value
  const std::unordered_set<std::string>& small;  // paths of arrays to be read
  nb::object found = {};
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
struct Visit<python::Outline> {
  static void write(OutVisitor& out, const python::Outline& outline) = delete;
  static void read(InVisitor& in, python::Outline& outline);
};
template <>
inline constexpr bool walk::may_be_null<python::Glance> = true;
template <>
inline constexpr bool walk::may_be_null<python::Children> = true;
template <>
inline constexpr bool walk::may_be_null<python::Outline> = true;

}  // namespace stele
