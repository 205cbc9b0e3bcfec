#pragma once
// Copies a file's metadata to the file that replaces it: owner, group, permissions, access control list and other
// extended attributes.

#include <sys/stat.h>

#include <string>

#include "io/replace/folder.hpp"

namespace stele {

/// Copies the current attributes of `name` in `folder` to `file`, which will replace it. If that file no longer exists,
/// uses the owner, group and permissions in `before`.
///
/// Attributes that the process may not set are dropped, but never so that anyone gains a permission that the old file
/// does not give: if the owner or the group differs, its class and all others get only what everyone had. Drops the
/// set-user-ID and set-group-ID bits and attributes that certify the contents (security.capability, IMA, EVM). Throws:
/// Error(io), also for a user attribute (user.*) that cannot be set.
void keep_attributes(int file, const Folder& folder, const std::string& name, const struct stat& before,
                     const std::string& path);

}  // namespace stele
