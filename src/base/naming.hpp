#pragma once
// Errors that name the file they are about.

#include <string_view>
#include <utility>

#include "stele/error.hpp"

namespace stele {

/// Runs `work`; its Errors then name the file, and the path where there is one, unless they know better.
template <class Work>
decltype(auto) naming(std::string_view file, Work&& work, std::string_view path = {}) {
  try {
    return std::forward<Work>(work)();
  } catch (const Error& error) {
    rethrow_at(error, {.path = path, .file = file});
  }
}

}  // namespace stele
