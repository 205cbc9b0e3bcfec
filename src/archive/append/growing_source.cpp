#include "archive/append/growing_source.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "io/system.hpp"

namespace stele {

std::uint64_t GrowingSource::file_size() const {
  struct stat status;
  if (system_calls().fstat(fd_, &status) != 0) {
    fail_call("read the size of", name_, errno);
  }
  return static_cast<std::uint64_t>(status.st_size);
}

std::size_t GrowingSource::read(MutableBytes into) {
  if (position_ >= size_ || into.empty()) {
    return 0;
  }
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), size_ - position_));
  const std::size_t got = read_some_at(fd_, position_, into.first(wanted), name_);
  position_ += got;
  return got;
}

void GrowingSource::read_at(std::uint64_t offset, MutableBytes into) const {
  if (offset > size_ || into.size() > size_ - offset) {
    fail_truncated(name_, size_, offset, into.size());
  }
  read_all_at(fd_, offset, into, name_);
}

}  // namespace stele
