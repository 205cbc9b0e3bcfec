#pragma once
// Paths that are URLs.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "stele/storage.hpp"

namespace stele {

/// The path in the file system that a path or a "file://" URL means; nothing for other URLs.
/// Throws: Error(invalid_argument) for a "file://" URL of another machine.
std::optional<std::string> local_path(const std::string& path);

/// The same for what must be on this machine. `what` is as in "a store is a local folder".
/// Throws: Error(unsupported) for other URLs, Error(invalid_argument).
std::string require_local(const std::string& path, std::string_view what);

/// An object that a URL names, in the Storage of what comes before the last slash.
struct ObjectPlace {
  std::unique_ptr<Storage> storage;
  std::string key;
};
/// Throws: Error(unsupported), Error(invalid_argument) as open_storage().
ObjectPlace object_at(const std::string& url);

/// The text with all bytes but letters, digits and "-._~" as "%XX", and '/' too unless it is kept (RFC 3986).
std::string percent_encoded(std::string_view text, bool keep_slashes);
/// The reverse; what is no "%XX" stays. In forms a '+' stands for a space.
std::string percent_decoded(std::string_view text, bool form = false);

std::unique_ptr<Storage> open_folder_storage(std::string name, std::string path);

}  // namespace stele
