#pragma once
// Reading of one safetensors file, or of some of its arrays.

#include <functional>
#include <string>
#include <vector>

#include "interop/neighbour.hpp"
#include "stele/metadata.hpp"

namespace stele {

struct SafetensorsFile {
  std::vector<Value::Entry> tensors;
  Metadata metadata;
};

/// Reads the arrays whose names are `wanted`, in the order in which they lie in the file.
/// Throws: as read_safetensors().
SafetensorsFile read_safetensors_file(const Neighbour& file, const std::function<bool(const std::string&)>& wanted);

}  // namespace stele
