#pragma once
// The answer of ListObjectsV2, which is XML.

#include <string>
#include <string_view>
#include <vector>

#include "stele/storage.hpp"

namespace stele::remote {

struct Listing {
  std::vector<StoredObject> objects;  // with whole keys
  std::string next;                   // the token for the next page; empty for the last one
};

/// `name` is of the Storage, for messages. Throws: Error(io) for what is not well-formed.
Listing read_listing(std::string_view xml, const std::string& name);

}  // namespace stele::remote
