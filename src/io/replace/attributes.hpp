#pragma once
// What a file has besides its bytes, for one that replaces it: owner, group, permissions, access control list and other
// extended attributes.

#include <sys/stat.h>

#include <string>

#include "io/replace/folder.hpp"

namespace stele {

/// Gives `file`, which is to replace `name` in `folder`, what that has by now; where there is no such file any more,
/// the owner, the group and the permissions that it had (`before`).
///
/// What the process may not keep it does not, but never so that somebody gets a permission that the old file does not
/// give: where the owner or the group differs, both its class and all others get only what all of them had. Without
/// set-user-ID and set-group-ID bits and what else vouches for the content (security.capability, IMA, EVM).
/// Throws: Error(io), also for an attribute of the user's (user.*) that cannot be kept.
void keep_attributes(int file, const Folder& folder, const std::string& name, const struct stat& before,
                     const std::string& path);

}  // namespace stele
