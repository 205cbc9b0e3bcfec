#pragma once
// Shared by the fuzz targets.

#include <cstdlib>
#include <utility>

#include "stele/error.hpp"

namespace stele::fuzz {

/// A property that must hold for every input.
inline void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

/// Runs an action that may only fail with an Error. Returns whether it succeeded.
template <class Action>
bool succeeds(Action&& action) {
  try {
    std::forward<Action>(action)();
    return true;
  } catch (const Error& error) {
    require(error.what()[0] != '\0');
    return false;
  }
}

}  // namespace stele::fuzz
