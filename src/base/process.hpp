#pragma once
// A child of fork() has copies of its parent's objects but not its threads, and must not finish the parent's
// operations. This header detects a child and has a pointer that leaves such objects alone there.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace stele {

/// A number that differs between a process and each of its children, however they were created. Costs one load, from a
/// page that the system clears in children (MADV_WIPEONFORK); otherwise it is the process number. Thread-safe.
std::uint64_t this_process() noexcept;

/// Remembers the process that created it.
class ProcessMark {
 public:
  ProcessMark() noexcept : process_(this_process()) {}
  bool in_child() const noexcept { return process_ != this_process(); }
  /// Throws: Error(invalid_argument) in a child; the message says that the child must open `what` itself.
  void require_same_process(std::string_view what) const {
    if (in_child()) {
      fail_in_child(what);
    }
  }

 private:
  [[noreturn]] static void fail_in_child(std::string_view what);
  std::uint64_t process_;
};

/// Abandons an object that a child must not destroy. It stays reachable, so that leak checkers do not report it.
void leave_behind(void* thing) noexcept;

/// A deleter that destroys the object, but abandons it in a child of the process that created it.
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

/// Owns an object with threads, or with locks that threads may hold: a child can neither join the threads nor destroy
/// the locks.
template <class T>
using ProcessOwned = std::unique_ptr<T, LeaveInChild>;

/// An object of which each process has its own, made at the first use in it. Thread-safe, also in a child that was made
/// while another thread used the parent's.
template <class T>
class PerProcess {
 public:
  PerProcess() = default;
  PerProcess(const PerProcess&) = delete;
  PerProcess& operator=(const PerProcess&) = delete;
  ~PerProcess() {
    if (Made* const made = made_.load(); made != nullptr && made->process == this_process()) {
      delete made;
    } else {
      leave_behind(made);
    }
  }
  T& get() {
    Made* now = made_.load();
    if (now == nullptr || now->process != this_process()) {
      auto fresh = std::make_unique<Made>();
      if (made_.compare_exchange_strong(now, fresh.get())) {
        leave_behind(now);
        now = fresh.release();
      }
    }
    return now->thing;
  }

 private:
  struct Made {
    const std::uint64_t process = this_process();
    T thing;
  };
  std::atomic<Made*> made_ = nullptr;
};

template <class T, class... Arguments>
ProcessOwned<T> make_process_owned(Arguments&&... arguments) {
  return ProcessOwned<T>(new T(std::forward<Arguments>(arguments)...));
}

}  // namespace stele
