#pragma once
// A child of fork() has copies of its parent's objects, and neither the threads nor the right to end what they began:
// what tells it so, and a pointer that leaves such things alone there.

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace stele {

/// A number that differs between a process and each of its children, however those were made. Costs a load; from a page
/// that the system clears in children (MADV_WIPEONFORK), or the number of the process where it cannot. Thread-safe.
std::uint64_t this_process() noexcept;

/// Remembers the process that made it.
class ProcessMark {
 public:
  ProcessMark() noexcept : process_(this_process()) {}
  bool in_child() const noexcept { return process_ != this_process(); }
  /// Throws: Error(invalid_argument) in a child, which says that it must open `what` itself.
  void require_same_process(std::string_view what) const {
    if (in_child()) {
      fail_in_child(what);
    }
  }

 private:
  [[noreturn]] static void fail_in_child(std::string_view what);
  std::uint64_t process_;
};

/// Lets go of something that a child must not destroy. It stays reachable, so that nobody takes it for a leak.
void leave_behind(void* thing) noexcept;

/// Destroys, but in a child of the process that made it leaves behind.
struct LeaveInChild {
  ProcessMark mark = {};
  template <class T>
  void operator()(T* thing) const noexcept {
    if (mark.in_child()) {
      leave_behind(thing);
    } else {
      delete thing;
    }
  }
};

/// Owns what has threads, or locks that threads may hold: a child can neither join the ones nor destroy the others.
template <class T>
using ProcessOwned = std::unique_ptr<T, LeaveInChild>;

template <class T, class... Arguments>
ProcessOwned<T> make_process_owned(Arguments&&... arguments) {
  return ProcessOwned<T>(new T(std::forward<Arguments>(arguments)...));
}

}  // namespace stele
