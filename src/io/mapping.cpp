#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "io/mapped_file.hpp"
#include "io/replace/place.hpp"
#include "io/storage/urls.hpp"
#include "io/system.hpp"
#include "stele/error.hpp"
#include "stele/io.hpp"

namespace stele {

MappedFile::MappedFile(const Path& path, MapMode mode, std::uint64_t offset, std::optional<std::uint64_t> length)
    : name_(path.text()), offset_(offset) {
  const std::optional<std::string> local = local_path(name_);
  if (!local) {
    fail(Errc::not_mappable, "cannot map " + name_ + ": only local files can be mapped", {.file = name_});
  }
  const std::string& name = *local;
  if (mode == MapMode::none) {
    fail(Errc::invalid_argument, "cannot map " + name + ": no mode of mapping was given");
  }
  // O_NONBLOCK: opening a FIFO, which is rejected below, must not block.
  const int access = mode == MapMode::read_write ? O_RDWR : O_RDONLY;
  OpenedPath opened = open_path_or_descriptor(name, access | O_NONBLOCK | O_NOCTTY);
  file_ = std::move(opened.file);
  if (!file_.is_open()) {
    if (errno == ENOENT) {
      fail(Errc::not_found, "cannot map " + name + ": there is no such file", {.file = name});
    }
    if (errno == EISDIR) {
      fail(Errc::not_mappable, "cannot map " + name + ": it is not a regular file");
    }
    fail_call("map", name, errno);
  }
  struct stat status;
  if (system_calls().fstat(file_.get(), &status) != 0) {
    fail_call("map", name, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    fail(Errc::not_mappable, "cannot map " + name + ": it is not a regular file");
  }
  const auto end = static_cast<std::uint64_t>(status.st_size);
  const std::uint64_t file_size = end > opened.start ? end - opened.start : 0;
  if (offset > file_size || length.value_or(0) > file_size - offset) {
    fail_truncated(name, file_size, offset, length.value_or(0));
  }

  offset_ += opened.start;
  mapping_.reset(new Mapping);
  Mapping* const mapping = mapping_.get();
  mapping->mode_ = mode;
  mapping->name_ = name;
  mapping->size_ = static_cast<std::size_t>(length.value_or(file_size - offset));
  if (mapping->size_ == 0) {
    return;
  }
  if (!map(*mapping, file_.get(), offset_)) {
    fail_map(name, errno);
  }
}

std::shared_ptr<Mapping> MappedFile::try_to_map(int file, const std::string& name, std::uint64_t offset,
                                                std::uint64_t length) {
  std::shared_ptr<Mapping> mapping(new Mapping);
  mapping->mode_ = MapMode::read_only;
  mapping->name_ = name;
  mapping->size_ = static_cast<std::size_t>(length);
  if (length > 0 && !map(*mapping, file, offset)) {
    if (errno != ENOMEM && errno != ENODEV) {
      fail_map(name, errno);
    }
    return nullptr;
  }
  return mapping;
}

std::shared_ptr<Mapping> MappedFile::read(int file, const std::string& name, std::uint64_t offset,
                                          std::uint64_t length) {
  std::shared_ptr<Mapping> mapping(new Mapping);
  mapping->mode_ = MapMode::read_only;
  mapping->size_ = static_cast<std::size_t>(length);
  if (length == 0) {
    return mapping;
  }
  // keep the offset within the page, so that what is aligned in the file is aligned in memory
  const auto before = static_cast<std::size_t>(offset % static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  mapping->mapped_ = before + mapping->size_;
  void* const memory =
      system_calls().mmap(nullptr, mapping->mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    fail_call("read", name, errno);
  }
  mapping->base_ = memory;
  mapping->data_ = static_cast<std::byte*>(memory) + before;
  read_all_at(file, offset, {mapping->data_, mapping->size_}, name);
  return mapping;
}

std::shared_ptr<Mapping> MappedFile::of_memory(std::shared_ptr<std::byte[]> owner, MutableBytes bytes,
                                               const std::string& name) {
  std::unique_ptr<Mapping> mapping(new Mapping);
  mapping->mode_ = MapMode::read_only;
  mapping->data_ = bytes.data();
  mapping->size_ = bytes.size();
  mapping->name_ = name;
  return {mapping.release(), [owner = std::move(owner)](Mapping* one) { delete one; }};
}

std::shared_ptr<Mapping> MappedFile::join(Bytes first, std::span<const Part> parts, MapMode mode,
                                          const std::string& name) {
  constexpr std::uint64_t least_mapped = std::uint64_t{64} << 10;  // a copy costs less
  constexpr std::size_t most_mapped = 16'000;                      // Linux allows 65,530 in a process
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::uint64_t size = first.size();
  for (const Part& part : parts) {
    size += part.length;
  }
  std::shared_ptr<Mapping> mapping(new Mapping);
  mapping->mode_ = mode;
  mapping->name_ = name;
  void* const memory = system_calls().mmap(nullptr, static_cast<std::size_t>(size), PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    fail_call("map", name, errno);
  }
  mapping->base_ = memory;
  mapping->mapped_ = mapping->size_ = static_cast<std::size_t>(size);
  std::byte* const data = mapping->data_ = static_cast<std::byte*>(memory);
  std::copy(first.begin(), first.end(), data);
  const int protection = mode == MapMode::read_only ? PROT_READ : PROT_READ | PROT_WRITE;
  const int flags = MAP_FIXED | (mode == MapMode::read_only ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE);
  std::size_t mapped = 0;
  std::uint64_t at = first.size();
  for (const Part& part : parts) {
    const auto copy = [&](std::uint64_t from, std::uint64_t to) {
      read_all_at(part.file, part.offset + (from - at), {data + from, data + to}, name);
    };
    const std::uint64_t end = at + part.length;
    const std::uint64_t begin = (at + page - 1) / page * page;
    const std::uint64_t last = end / page * page;
    if (part.offset % page != at % page || last < begin + least_mapped || mapped == most_mapped) {
      copy(at, end);
    } else {
      void* const pages = system_calls().mmap(data + begin, static_cast<std::size_t>(last - begin), protection, flags,
                                              part.file, static_cast<off_t>(part.offset + (begin - at)));
      if (pages == MAP_FAILED) {
        fail_map(name, errno);
      }
      ++mapped;
      copy(at, begin);
      copy(last, end);
    }
    at = end;
  }
  if (mode == MapMode::read_only && system_calls().mprotect(memory, mapping->mapped_, PROT_READ) != 0) {
    fail_call("map", name, errno);
  }
  return mapping;
}

void MappedFile::fail_map(const std::string& name, int error) {
  if (error == ENODEV) {
    fail(Errc::not_mappable, "cannot map " + name + ": its file system does not map files");
  }
  fail_call("map", name, error);
}

/// False on failure; errno is set.
bool MappedFile::map(Mapping& mapping, int file, std::uint64_t offset) {
  const auto before = static_cast<std::size_t>(offset % static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  const std::size_t mapped = before + mapping.size_;
  const int protection = mapping.mode_ == MapMode::read_only ? PROT_READ : PROT_READ | PROT_WRITE;
  // Private pages are allocated when they change, so that a file larger than the memory can be mapped.
  const int flags = mapping.mode_ == MapMode::copy_on_write ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED;
  void* base = system_calls().mmap(nullptr, mapped, protection, flags, file, static_cast<off_t>(offset - before));
  if (base == MAP_FAILED) {
    return false;
  }
  mapping.base_ = base;
  mapping.mapped_ = mapped;
  mapping.data_ = static_cast<std::byte*>(base) + before;
  return true;
}

namespace {

class MappedSource final : public Source {
 public:
  MappedSource(OwnedDescriptor file, std::string name, std::uint64_t offset, std::shared_ptr<Mapping> mapping)
      : file_(std::move(file)), name_(std::move(name)), offset_(offset), mapping_(std::move(mapping)) {}

  std::size_t read(MutableBytes into) override {
    const std::uint64_t size = mapping_->bytes().size();
    const std::uint64_t left = size - std::min(position_, size);
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left));
    read_at(position_, into.first(count));
    position_ += count;
    return count;
  }
  std::optional<std::uint64_t> size() const override { return mapping_->bytes().size(); }
  bool random_access() const noexcept override { return true; }
  void seek(std::uint64_t offset) override { position_ = offset; }
  void read_at(std::uint64_t offset, MutableBytes into) const override {
    const std::uint64_t size = mapping_->bytes().size();
    if (into.empty()) {
      return;
    }
    if (offset > size || into.size() > size - offset) {
      fail_truncated(name_, size, offset, into.size());
    }
    read_all_at(file_.get(), offset_ + offset, into, name_);
  }
  Bytes memory() const noexcept override { return mapping_->bytes(); }
  std::string name() const override { return name_; }

 private:
  OwnedDescriptor file_;
  std::string name_;
  std::uint64_t offset_;
  std::shared_ptr<Mapping> mapping_;
  std::uint64_t position_ = 0;
};

}  // namespace

std::unique_ptr<Source> MappedFile::source() && {
  return std::make_unique<MappedSource>(std::move(file_), std::move(name_), offset_, mapping_);
}

std::shared_ptr<Mapping> Mapping::open(const Path& path, MapMode mode, std::uint64_t offset,
                                       std::optional<std::uint64_t> length) {
  return MappedFile(path, mode, offset, length).mapping();
}

Mapping::~Mapping() {
  if (base_ != nullptr) {
    system_calls().munmap(base_, mapped_);
  }
}

MutableBytes Mapping::writable_bytes() {
  if (mode_ == MapMode::read_only) {
    fail(Errc::read_only, "the file is mapped read-only", {.file = name_});
  }
  return {data_, size_};
}

void Mapping::sync() {
  if (base_ != nullptr && mode_ == MapMode::read_write && system_calls().msync(base_, mapped_, MS_SYNC) != 0) {
    fail_call("write back", name_, errno);
  }
}

}  // namespace stele
