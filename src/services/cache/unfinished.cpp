#include "services/cache/unfinished.hpp"

#include <sys/stat.h>

#include <cerrno>

#include "io/system.hpp"
#include "services/cache/core.hpp"

namespace stele {

CacheUnfinished::CacheUnfinished(CacheCore& core)
    : core_(core), name_("unfinished/" + std::to_string(core.token) + "-" + std::to_string(++core.unfinished)) {}

CacheUnfinished::~CacheUnfinished() {
  if (!name_.empty()) {
    core_.folder.unlink(name_);
  }
}

std::string CacheUnfinished::path() const { return core_.path + name_; }

std::uint64_t CacheUnfinished::bytes() const {
  struct stat status;
  if (core_.folder.status(name_, status) != 0) {
    fail_call("examine", path(), errno);
  }
  return static_cast<std::uint64_t>(status.st_size);
}

void CacheUnfinished::rename_to(const Digest& key) {
  const std::string result = core_.result_name(key);
  if (core_.folder.rename(name_, result) != 0) {
    const std::string parent = core_.path + result.substr(0, result.rfind('/'));
    if (errno != ENOENT || (system_calls().mkdir(parent.c_str(), 0777) != 0 && errno != EEXIST) ||
        core_.folder.rename(name_, result) != 0) {
      fail_call("create", core_.path + result, errno);
    }
  }
  name_.clear();
}

}  // namespace stele
