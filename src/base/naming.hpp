#pragma once
// Adds the file to errors.

#include <string_view>
#include <utility>

#include "stele/error.hpp"

namespace stele {

/// Runs `work`. Adds the file, and the path if there is one, to Errors that do not have them.
template <class Work>
decltype(auto) naming(std::string_view file, Work&& work, std::string_view path = {}) {
  try {
    return std::forward<Work>(work)();
  } catch (const Error& error) {
    rethrow_at(error, {.path = path, .file = file});
  }
}

}  // namespace stele
