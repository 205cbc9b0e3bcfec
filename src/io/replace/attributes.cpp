#include "io/replace/attributes.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "io/system.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr const char* acl_name = "system.posix_acl_access";

/// Whether an error means that the process or the file system may not set an attribute.
bool is_refusal(int error) noexcept {
  return error == EPERM || error == EACCES || error == EINVAL || error == ENOTSUP || error == ENOSYS || error == EROFS;
}

/// Reads the extended attributes of a file, even without permission to read its contents.
class Attributes {
 public:
  Attributes(const Folder& folder, const std::string& name) {
    constexpr int flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    file_ = folder.open_file(name, O_RDONLY | flags);
    if (!file_.is_open()) {
      file_ = folder.open_file(name, O_PATH | flags);
      path_ = "/proc/self/fd/" + std::to_string(file_.get());  // for the calls that reject an O_PATH descriptor
    }
  }
  bool is_open() const noexcept { return file_.is_open(); }
  int fd() const noexcept { return file_.get(); }

  /// Nothing if they cannot be listed.
  std::optional<std::vector<std::string>> names() const {
    const SystemCalls& calls = system_calls();
    const std::optional<std::vector<char>> all = whole([&](char* into, std::size_t size) {
      return path_.empty() ? calls.flistxattr(fd(), into, size) : calls.listxattr(path_.c_str(), into, size);
    });
    if (!all) {
      return errno == ENOTSUP || errno == ENOSYS ? std::optional(std::vector<std::string>()) : std::nullopt;
    }
    std::vector<std::string> names;
    for (std::string_view rest(all->data(), all->size()); !rest.empty();) {
      names.emplace_back(rest.substr(0, rest.find('\0')));
      rest.remove_prefix(std::min(rest.size(), names.back().size() + 1));
    }
    return names;
  }
  std::optional<std::vector<char>> value(const std::string& name) const {
    const SystemCalls& calls = system_calls();
    return whole([&](char* into, std::size_t size) {
      return path_.empty() ? calls.fgetxattr(fd(), name.c_str(), into, size)
                           : calls.getxattr(path_.c_str(), name.c_str(), into, size);
    });
  }

 private:
  /// The result of `call`, of any size.
  template <class Call>
  static std::optional<std::vector<char>> whole(Call call) {
    for (;;) {
      std::vector<char> bytes(256);
      ssize_t size = call(bytes.data(), bytes.size());
      if (size < 0 && errno == ERANGE) {
        size = call(nullptr, 0);
        bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
        size = size < 0 ? size : call(bytes.data(), bytes.size());
      }
      if (size >= 0) {
        bytes.resize(static_cast<std::size_t>(size));
        return bytes;
      }
      if (errno != ERANGE) {  // it has grown meanwhile
        return std::nullopt;
      }
    }
  }

  OwnedDescriptor file_;
  std::string path_;
};

/// An access control list as Linux stores it: a version, and 8 bytes per entry.
class Acl {
 public:
  explicit Acl(std::vector<char> bytes) : bytes_(std::move(bytes)) {}
  const std::vector<char>& bytes() const noexcept { return bytes_; }

  /// The permissions that everyone except the owner has.
  unsigned common() const noexcept {
    unsigned common = 7;
    for (std::size_t at = head; at + entry <= bytes_.size(); at += entry) {
      if (tag(at) != owner) {
        common &= permission(at);
      }
    }
    return common;
  }
  /// Limits the owning group and others to `most`.
  void restrict(unsigned most) noexcept {
    for (std::size_t at = head; at + entry <= bytes_.size(); at += entry) {
      if (tag(at) == group || tag(at) == others) {
        store_le<std::uint16_t>(place(at + 2), static_cast<std::uint16_t>(permission(at) & most));
      }
    }
  }

 private:
  static constexpr std::size_t head = 4;
  static constexpr std::size_t entry = 8;
  static constexpr unsigned owner = 0x01;
  static constexpr unsigned group = 0x04;
  static constexpr unsigned others = 0x20;

  std::byte* place(std::size_t at) noexcept { return reinterpret_cast<std::byte*>(bytes_.data() + at); }
  unsigned number(std::size_t at) const noexcept {
    return load_le<std::uint16_t>(reinterpret_cast<const std::byte*>(bytes_.data() + at));
  }
  unsigned tag(std::size_t at) const noexcept { return number(at); }
  unsigned permission(std::size_t at) const noexcept { return number(at + 2); }

  std::vector<char> bytes_;
};

/// Permission bits for a file with another owner or group.
mode_t restricted(mode_t mode, bool same_owner, bool same_group) noexcept {
  mode_t group = mode >> 3 & 7;
  mode_t others = mode & 7;
  if (!same_group) {
    group &= others;
    others = group;
  }
  if (!same_owner) {
    group &= mode >> 6 & 7;
    others &= mode >> 6 & 7;
  }
  return (mode & 01700) | group << 3 | others;
}

/// Whether an attribute must not be copied, because it certifies the contents or is handled elsewhere.
bool is_left_out(std::string_view name) noexcept {
  constexpr std::array<std::string_view, 5> names = {acl_name, "system.posix_acl_default", "security.capability",
                                                     "security.ima", "security.evm"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

struct Ownership {
  bool same_owner;
  bool same_group;
};

Ownership keep_owner(int file, const struct stat& now, const struct stat& old, const std::string& path) {
  const bool differs = now.st_uid != old.st_uid || now.st_gid != old.st_gid;
  if (!differs || system_calls().fchown(file, old.st_uid, old.st_gid) == 0) {
    return {true, true};
  }
  if (!is_refusal(errno)) {
    fail_call("keep the owner of", path, errno);
  }
  const bool same_owner = now.st_uid == old.st_uid;
  if (now.st_gid == old.st_gid || system_calls().fchown(file, static_cast<uid_t>(-1), old.st_gid) == 0) {
    return {same_owner, true};
  }
  if (!is_refusal(errno)) {
    fail_call("keep the group of", path, errno);
  }
  return {same_owner, false};
}

}  // namespace

void keep_attributes(int file, const Folder& folder, const std::string& name, const struct stat& before,
                     const std::string& path) {
  const SystemCalls& calls = system_calls();
  struct stat now;
  if (calls.fstat(file, &now) != 0) {
    fail_call("examine", path, errno);
  }
  struct stat old = before;
  std::optional<Acl> acl;
  bool known = false;
  const Attributes from(folder, name);
  struct stat stands;
  if (from.is_open() && calls.fstat(from.fd(), &stands) != 0) {
    fail_call("examine", path, errno);
  }
  if (from.is_open() && S_ISREG(stands.st_mode)) {
    old = stands;
    const std::optional<std::vector<std::string>> names = from.names();
    known = names.has_value();
    for (const std::string& attribute : names.value_or(std::vector<std::string>())) {
      const bool is_acl = attribute == acl_name;
      if (is_left_out(attribute) && !is_acl) {
        continue;
      }
      const std::optional<std::vector<char>> value = from.value(attribute);
      if (is_acl) {
        known = known && value;
        acl = value ? std::optional<Acl>(*value) : std::nullopt;
        continue;
      }
      const bool is_kept = value && calls.fsetxattr(file, attribute.c_str(), value->data(), value->size(), 0) == 0;
      // ignore system attributes that the process may not set
      if (!is_kept && errno != ENODATA && (attribute.starts_with("user.") || !is_refusal(errno))) {
        fail_call("keep the attribute " + attribute + " of", path, errno);
      }
    }
  }

  const auto [same_owner, same_group] = keep_owner(file, now, old, path);
  mode_t mode = restricted(old.st_mode & 01777, same_owner, same_group);
  if (!known) {  // the group bits may be the mask of an ACL that could not be read
    mode = restricted(mode, true, false);
  }
  if (acl) {
    unsigned common = acl->common();
    if (!same_owner) {
      common &= mode >> 6 & 7;
    }
    if (!same_owner || !same_group) {
      acl->restrict(common);
    }
    if (calls.fsetxattr(file, acl_name, acl->bytes().data(), acl->bytes().size(), 0) == 0) {
      return;  // this also set the permission bits
    }
    if (!is_refusal(errno)) {
      fail_call("keep the access control list of", path, errno);
    }
    mode &= 01700 | common << 3 | common;
  } else if (calls.fremovexattr(file, acl_name) != 0 && errno != ENODATA && !is_refusal(errno)) {
    fail_call("keep the permissions of", path, errno);  // an ACL inherited from the folder would widen the permissions
  }
  if (calls.fchmod(file, mode) != 0) {
    const int error = errno;
    if (calls.fstat(file, &now) != 0 || (now.st_mode & 07777) != mode) {  // some file systems support one mode only
      fail_call("keep the permissions of", path, error);
    }
  }
}

}  // namespace stele
