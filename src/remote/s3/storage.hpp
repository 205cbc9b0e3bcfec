#pragma once

#include <memory>
#include <string>

#include "stele/storage.hpp"

namespace stele::remote {

/// "s3://bucket" or "s3://bucket/prefix". Throws: Error(invalid_argument).
std::unique_ptr<Storage> open_s3(const std::string& url);

}  // namespace stele::remote
