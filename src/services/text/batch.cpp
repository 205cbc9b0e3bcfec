#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>

#include "base/threads/crew.hpp"
#include "base/threads/threads.hpp"
#include "stele/state_text.hpp"

namespace stele::state_text {

void for_each_index(std::size_t count, unsigned threads,
                    const std::function<std::function<void(std::size_t index)>()>& make_work) {
  constexpr std::size_t stretch = 64;  // taken at a time
  std::atomic<std::size_t> next{0};
  std::mutex mutex;  // guards what failed
  std::size_t failed_at = count;
  std::exception_ptr failure;
  const auto note = [&](std::size_t index) {
    const std::lock_guard lock(mutex);
    if (failure == nullptr || index < failed_at) {
      failed_at = index;
      failure = std::current_exception();
    }
    next = count;  // what is before the failure has been taken already
  };
  const auto serve = [&] {
    std::size_t index = count;
    try {
      const std::function<void(std::size_t)> work = make_work();
      for (std::size_t first = next.fetch_add(stretch); first < count; first = next.fetch_add(stretch)) {
        for (index = first; index < std::min(count, first + stretch); ++index) {
          work(index);
        }
      }
    } catch (...) {
      note(index);
    }
  };
  const std::size_t stretches = (count + stretch - 1) / stretch;
  Crew crew(static_cast<unsigned>(std::max<std::size_t>(1, std::min<std::size_t>(thread_count(threads), stretches))));
  crew.run(serve);
  if (failure == nullptr) {
    return;
  }
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    if (failed_at == count) {
      throw;  // of make_work()
    }
    fail(error.code(), "state " + std::to_string(failed_at) + ": " + error.message(),
         {error.path(), error.offset(), error.file()});
  }
}

}  // namespace stele::state_text
