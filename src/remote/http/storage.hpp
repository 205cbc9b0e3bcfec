#pragma once

#include <memory>
#include <string>

#include "stele/storage.hpp"

namespace stele::remote {

/// What a web server has under a URL, to be read.
std::unique_ptr<Storage> open_http(const std::string& url);

}  // namespace stele::remote
