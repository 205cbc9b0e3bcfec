#include <sys/mman.h>

#include <cstdint>
#include <limits>
#include <new>

#include "array/huge_pages.hpp"
#include "io/system.hpp"
#include "stele/array.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::align_val_t alignment{64};

[[noreturn]] void fail_allocation(std::size_t bytes) {
  fail(Errc::limit_exceeded, "cannot allocate " + std::to_string(bytes) + " bytes");
}

std::byte* align_up(std::byte* data) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  return data + ((huge_page_size - address % huge_page_size) % huge_page_size);
}

/// Anonymous pages. The excess at both ends, from alignment, stays mapped but is never touched, so it costs no memory.
struct Pages {
  void* base = nullptr;
  std::size_t size = 0;

  Pages() = default;
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() {
    if (base != nullptr) {
      system_calls().munmap(base, size);
    }
  }
};

}  // namespace

void advise_huge_pages(void* data, std::size_t bytes) noexcept {
  if (bytes < huge_page_threshold) {
    return;
  }
  std::byte* first = align_up(static_cast<std::byte*>(data));
  const auto before = static_cast<std::size_t>(first - static_cast<std::byte*>(data));
  system_calls().madvise(first, (bytes - before) / huge_page_size * huge_page_size, MADV_HUGEPAGE);
}

/// Has a constructor for std::make_shared.
struct Buffer::Made : Buffer {};

std::shared_ptr<Buffer> Buffer::allocate(std::size_t bytes) {
  std::shared_ptr<Buffer> buffer;
  try {
    buffer = std::make_shared<Made>();
    buffer->size_ = bytes;
    if (bytes == 0) {
      return buffer;
    }
    if (bytes < huge_page_threshold) {
      std::shared_ptr<void> memory(::operator new(bytes, alignment), [](void* p) { ::operator delete(p, alignment); });
      buffer->data_ = static_cast<std::byte*>(memory.get());
      buffer->owner_ = std::move(memory);
      return buffer;
    }
    if (bytes > std::numeric_limits<std::size_t>::max() / 2) {
      fail_allocation(bytes);
    }
    auto pages = std::make_shared<Pages>();
    const std::size_t size = bytes + huge_page_size;
    void* base = system_calls().mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
      fail_allocation(bytes);
    }
    pages->base = base;
    pages->size = size;
    buffer->data_ = align_up(static_cast<std::byte*>(base));
    buffer->owner_ = std::move(pages);
    advise_huge_pages(buffer->data_, bytes);
    return buffer;
  } catch (const std::bad_alloc&) {
    fail_allocation(bytes);
  }
}

std::shared_ptr<Buffer> Buffer::wrap(std::byte* data, std::size_t bytes, bool writable, std::shared_ptr<void> owner) {
  const std::shared_ptr<Buffer> buffer = std::make_shared<Made>();
  buffer->data_ = data;
  buffer->size_ = bytes;
  buffer->writable_ = writable;
  buffer->owner_ = std::move(owner);
  return buffer;
}

}  // namespace stele
