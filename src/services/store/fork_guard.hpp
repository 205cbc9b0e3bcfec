#pragma once
// Tells a child of fork() that what it has is its parent's.

namespace stele {

/// Made in one process, says in others that it is theirs no more: a page that the system clears in children
/// (MADV_WIPEONFORK), so that asking costs no call; where it cannot, process numbers are compared. Thread-safe.
class ForkGuard {
 public:
  ForkGuard() noexcept;
  ~ForkGuard();
  ForkGuard(const ForkGuard&) = delete;
  ForkGuard& operator=(const ForkGuard&) = delete;

  bool in_child() const noexcept { return page_ != nullptr ? *page_ == 0 : is_other_process(); }
  /// Throws: Error(invalid_argument) in a child.
  void require_same_process() const {
    if (in_child()) {
      fail_in_child();
    }
  }

 private:
  bool is_other_process() const noexcept;
  [[noreturn]] static void fail_in_child();
  int process_;
  const volatile char* page_ = nullptr;
};

}  // namespace stele
