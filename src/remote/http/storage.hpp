#pragma once

#include <memory>
#include <string>

#include "stele/storage.hpp"

namespace stele::remote {

/// The read-only Storage of a web server's URL.
std::unique_ptr<Storage> open_http(const std::string& url);

}  // namespace stele::remote
