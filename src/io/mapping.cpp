#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "src/io/descriptor.hpp"
#include "src/io/system.hpp"
#include "stele/error.hpp"
#include "stele/io.hpp"

namespace stele {

std::shared_ptr<Mapping> Mapping::open(const Path& path, MapMode mode, std::uint64_t offset,
                                       std::optional<std::uint64_t> length) {
  const std::string& name = path.text();
  if (mode == MapMode::none) {
    fail(Errc::invalid_argument, "cannot map " + name + ": no mode of mapping was given");
  }
  // O_NONBLOCK: a FIFO, which is refused below, must not wait for its other end.
  const int access = mode == MapMode::read_write ? O_RDWR : O_RDONLY;
  const Descriptor file = open_descriptor(name, access | O_NONBLOCK | O_NOCTTY);
  if (!file.is_open()) {
    if (errno == ENOENT) {
      fail(Errc::not_found, "cannot map " + name + ": there is no such file");
    }
    if (errno == EISDIR) {
      fail(Errc::not_mappable, "cannot map " + name + ": it is no regular file");
    }
    fail_call("map", name, errno);
  }
  struct stat status;
  if (system_calls().fstat(file.get(), &status) != 0) {
    fail_call("map", name, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    fail(Errc::not_mappable, "cannot map " + name + ": it is no regular file");
  }
  const auto file_size = static_cast<std::uint64_t>(status.st_size);
  if (offset > file_size || length.value_or(0) > file_size - offset) {
    fail_truncated(name, file_size, offset, length.value_or(0));
  }

  std::shared_ptr<Mapping> mapping(new Mapping);
  mapping->mode_ = mode;
  mapping->size_ = static_cast<std::size_t>(length.value_or(file_size - offset));
  if (mapping->size_ == 0) {
    return mapping;
  }
  const auto before = static_cast<std::size_t>(offset % static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  const std::size_t mapped = before + mapping->size_;
  const int protection = mode == MapMode::read_only ? PROT_READ : PROT_READ | PROT_WRITE;
  // Private pages are reserved as they change, so that a file larger than the memory can be mapped.
  const int flags = mode == MapMode::copy_on_write ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED;
  void* base = system_calls().mmap(nullptr, mapped, protection, flags, file.get(), static_cast<off_t>(offset - before));
  if (base == MAP_FAILED) {
    if (errno == ENODEV) {
      fail(Errc::not_mappable, "cannot map " + name + ": its file system does not map files");
    }
    fail_call("map", name, errno);
  }
  mapping->base_ = base;
  mapping->mapped_ = mapped;
  mapping->data_ = static_cast<std::byte*>(base) + before;
  return mapping;
}

Mapping::~Mapping() {
  if (base_ != nullptr) {
    system_calls().munmap(base_, mapped_);
  }
}

MutableBytes Mapping::writable_bytes() {
  if (mode_ == MapMode::read_only) {
    fail(Errc::read_only, "the file is mapped read-only");
  }
  return {data_, size_};
}

void Mapping::sync() {
  if (base_ != nullptr && mode_ == MapMode::read_write && system_calls().msync(base_, mapped_, MS_SYNC) != 0) {
    fail_call("write back", "the mapping", errno);
  }
}

}  // namespace stele
