#include "base/process.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <string>

#include "stele/error.hpp"

namespace stele {
namespace {

using Number = std::atomic<std::uint64_t>;

constexpr std::size_t page_size = 4096;

// Not a static variable of a function: another thread might hold its guard during a fork.
constinit std::atomic<Number*> the_page{nullptr};
constinit Number last_number{0};  // a child continues its parent's numbers
constinit Number no_page{1};      // used if the page cannot be mapped

/// Does not use the table of system calls, which is in a higher layer; failures are harmless here.
Number* make_page() noexcept {
#ifdef MADV_WIPEONFORK
  void* const memory = ::mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return &no_page;
  }
  if (::madvise(memory, page_size, MADV_WIPEONFORK) == 0) {
    return new (memory) Number(0);
  }
  ::munmap(memory, page_size);
#endif
  return &no_page;
}

Number& page() noexcept {
  Number* found = the_page.load(std::memory_order_acquire);
  if (found == nullptr) {
    Number* const made = make_page();
    if (the_page.compare_exchange_strong(found, made, std::memory_order_acq_rel)) {
      return *made;
    }
    if (made != &no_page) {
      ::munmap(made, page_size);
    }
  }
  return *found;
}

struct LeftBehind {
  void* thing;
  LeftBehind* next;
};
constinit std::atomic<LeftBehind*> all_left_behind{nullptr};

}  // namespace

std::uint64_t this_process() noexcept {
  Number& number = page();
  if (&number == &no_page) {
    return static_cast<std::uint64_t>(::getpid());
  }
  std::uint64_t mine = number.load(std::memory_order_acquire);
  if (mine == 0) {  // the first call in this process
    const std::uint64_t next = last_number.load() + 1;
    if (number.compare_exchange_strong(mine, next)) {
      last_number = next;
      mine = next;
    }
  }
  return mine;
}

void ProcessMark::fail_in_child(std::string_view what) {
  fail(Errc::invalid_argument,
       std::string(what) + " was opened by the parent and cannot be used in a child after fork(); open it there anew");
}

void leave_behind(void* thing) noexcept {
  if (thing == nullptr) {
    return;
  }
  if (auto* const left = new (std::nothrow) LeftBehind{thing, all_left_behind.load()}) {
    while (!all_left_behind.compare_exchange_weak(left->next, left)) {
    }
  }
}

}  // namespace stele
