#include "services/store/fork_guard.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include "src/io/system.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t page_size = 4096;

}  // namespace

ForkGuard::ForkGuard() noexcept : process_(::getpid()) {
  const SystemCalls& calls = system_calls();
  void* const page = calls.mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) {
    return;
  }
#ifdef MADV_WIPEONFORK
  if (calls.madvise(page, page_size, MADV_WIPEONFORK) == 0) {
    *static_cast<char*>(page) = 1;
    page_ = static_cast<const volatile char*>(page);
    return;
  }
#endif
  calls.munmap(page, page_size);
}

ForkGuard::~ForkGuard() {
  if (page_ != nullptr) {
    system_calls().munmap(const_cast<char*>(page_), page_size);
  }
}

bool ForkGuard::is_other_process() const noexcept { return process_ != ::getpid(); }

void ForkGuard::fail_in_child() {
  fail(Errc::invalid_argument, "a store was used in a child after fork(); open it there anew");
}

}  // namespace stele
