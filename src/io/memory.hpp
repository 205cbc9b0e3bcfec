#pragma once

#include <memory>

#include "stele/io.hpp"

namespace stele {

/// Reads memory and keeps its `owner` alive. `what` is its name in errors.
std::unique_ptr<Source> memory_source(Bytes bytes, std::shared_ptr<const void> owner, const char* what = "the memory");

}  // namespace stele
