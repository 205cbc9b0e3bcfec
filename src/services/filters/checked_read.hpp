#pragma once
// Loads the types of this folder: reads a record according to its visit(), then checks it as a whole before it replaces
// the old value.

#include <string>
#include <utility>

#include "stele/walk.hpp"

namespace stele {

/// Reads a T of a version from 1 to `newest`. `fault(value)` returns the problem with it, null for none.
template <class T, class Fault>
void checked_read(InVisitor& in, T& value, std::uint32_t newest, const char* type, Fault&& fault) {
  T fresh;
  std::uint32_t version = 0;
  {
    walk::FieldReader reader(in);
    reader.run([&](walk::FieldReader& v) {
      T::visit(v, fresh);
      version = v.version(newest);
    });
  }
  if (version == 0) {
    in.error(Errc::type_mismatch, std::string("this is no ") + type);
  }
  if (version > newest) {
    in.error(Errc::unsupported, std::string(type) + " of version " + std::to_string(version) + ", this program knows " +
                                    std::to_string(newest));
  }
  if (const char* what = fault(fresh); what != nullptr) {
    in.error(Errc::damaged, std::string(type) + ": " + what);
  }
  value = std::move(fresh);
}

}  // namespace stele
