#include "services/store/shard/growing_file.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "io/mapped_file.hpp"
#include "io/system.hpp"
#include "services/store/frozen.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::uint64_t page = 4096;

}  // namespace

void GrowingFile::open(OwnedDescriptor file, std::string path, std::uint64_t reserve) {
  file_ = std::move(file);
  path_ = std::move(path);
  known_size_ = size();
  reserved_ = std::max(known_size_.load(), reserve);
  lengthen(reserved_);
}

void GrowingFile::set(std::shared_ptr<Mapping> mapping, std::string path, std::uint64_t size) {
  path_ = std::move(path);
  known_size_ = size;
  add(std::move(mapping));
}

void GrowingFile::set(std::shared_ptr<const SourcePieces> pieces, std::string path, std::uint64_t size) {
  pieces_ = std::move(pieces);
  path_ = std::move(path);
  known_size_ = size;
}

Bytes GrowingFile::bytes() const noexcept {
  const Mapped* const current = current_.load(std::memory_order_acquire);
  return current == nullptr ? Bytes{} : current->mapping->bytes();
}

void GrowingFile::add(std::shared_ptr<Mapping> mapping) const {
  const Bytes bytes = mapping->bytes();
  if (!bytes.empty()) {
    // Single values are read at random; sequential reads are prefetched explicitly.
    system_calls().madvise(const_cast<std::byte*>(bytes.data()), bytes.size(), MADV_RANDOM);
  }
  mapped_.push_back(std::make_unique<const Mapped>(Mapped{std::move(mapping)}));
  current_.store(mapped_.back().get(), std::memory_order_release);
}

/// Maps at least that many bytes, or the whole file if it is longer, if there is address space.
void GrowingFile::lengthen(std::uint64_t least) const {
  const std::lock_guard lock(mutex_);
  std::uint64_t length = std::max(least, known_size_.load());
  while (length > bytes().size()) {
    if (std::shared_ptr<Mapping> mapping = MappedFile::try_to_map(file_.get(), path_, 0, length)) {
      add(std::move(mapping));
      return;
    }
    if (length == known_size_) {
      return;
    }
    length = known_size_;
  }
}

std::uint64_t GrowingFile::size() const {
  if (!file_.is_open()) {
    return known_size_;
  }
  struct stat status;
  if (system_calls().fstat(file_.get(), &status) != 0) {
    fail_call("read the size of", path_, errno);
  }
  return static_cast<std::uint64_t>(status.st_size);
}

void GrowingFile::require(std::uint64_t offset, std::uint64_t length) const {
  if (offset > known_size_ || length > known_size_ - offset) {
    const std::uint64_t now = size();
    if (offset > now || length > now - offset) {
      fail_truncated(path_, now, offset, length);
    }
    known_size_ = now;
  }
}

GrowingFile::Part GrowingFile::part(std::uint64_t offset, std::uint64_t length) const {
  require(offset, length);
  if (offset + length > bytes().size()) {
    if (pieces_ != nullptr) {
      return fetch(offset, length);
    }
    lengthen(offset + length);
    if (offset + length > bytes().size()) {
      std::shared_ptr<Mapping> own = MappedFile::try_to_map(file_.get(), path_, offset, length);
      if (own == nullptr) {
        return read(offset, length);
      }
      const Bytes part = own->bytes();
      return {std::move(own), part};
    }
  }
  const std::shared_ptr<Mapping>& now = mapping();
  return {now, now->bytes().subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(length))};
}

GrowingFile::Part GrowingFile::fetch(std::uint64_t offset, std::uint64_t length) const {
  // what is aligned in the file is aligned in memory
  constexpr std::size_t alignment = store_frozen::alignment;
  const auto size = static_cast<std::size_t>(length);
  std::shared_ptr<std::byte[]> memory;
  try {
    memory.reset(new std::byte[size + alignment]);
  } catch (const std::bad_alloc&) {
    fail(Errc::limit_exceeded, "cannot allocate " + std::to_string(length) + " bytes", {.file = path_});
  }
  const auto address = reinterpret_cast<std::uintptr_t>(memory.get());
  const auto shift = static_cast<std::size_t>(offset - address) % alignment;
  const MutableBytes bytes(memory.get() + shift, size);
  pieces_->read(offset, bytes);
  return {MappedFile::of_memory(std::move(memory), bytes, path_), bytes};
}

GrowingFile::Part GrowingFile::read(std::uint64_t offset, std::uint64_t length) const {
  std::shared_ptr<Mapping> own = MappedFile::read(file_.get(), path_, offset, length);
  const Bytes part = own->bytes();
  return {std::move(own), part};
}

Bytes GrowingFile::all(std::uint64_t wanted) const {
  if (known_size_ < wanted) {
    known_size_ = size();
  }
  const std::uint64_t known = known_size_;
  if (known > bytes().size()) {
    lengthen(known);
  }
  const Bytes mapped = bytes();
  if (known > mapped.size()) {
    fail_call("map", path_, ENOMEM);
  }
  return mapped.first(static_cast<std::size_t>(known));
}

void GrowingFile::prefetch(std::uint64_t offset, std::uint64_t length) const noexcept {
  const Bytes all = bytes();
  const std::uint64_t size = std::min<std::uint64_t>(all.size(), known_size_);
  std::uint64_t first = offset;
  const std::uint64_t last = std::min(first + length, size);
  auto* const data = const_cast<std::byte*>(all.data());
  first -= std::min<std::uint64_t>(first, (reinterpret_cast<std::uintptr_t>(data) + first) % page);
  if (first < last) {
    system_calls().madvise(data + first, static_cast<std::size_t>(last - first), MADV_WILLNEED);
  }
}

}  // namespace stele
