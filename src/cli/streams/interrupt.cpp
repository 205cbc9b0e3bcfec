#include "cli/streams/interrupt.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <system_error>

namespace stele::cli {
namespace {

constexpr std::chrono::milliseconds moment(200);        // time to reach the next check
constexpr std::chrono::milliseconds long_moment(3000);  // if no temporary file is known

std::atomic<int> received = 0;
std::atomic<int> told = -1;  // write end of the guard's pipe, for the signal handler
constexpr int signals[] = {SIGINT, SIGTERM, SIGHUP};

void receive(int number) {
  const int error = errno;
  received = number;
  const char byte = 0;
  if (::write(told, &byte, 1) < 0) {  // check_interrupt() must end the process
  }
  errno = error;
}

}  // namespace

InterruptGuard::InterruptGuard() noexcept {
  if (::pipe2(signalled_, O_CLOEXEC) == 0) {
    told = signalled_[1];
    try {
      watcher_ = std::thread([this] { watch(); });
    } catch (const std::system_error&) {  // no thread: check_interrupt() must end the process
    }
  }
  for (const int number : signals) {
    struct sigaction old{};
    sigaction(number, nullptr, &old);
    if (old.sa_handler == SIG_DFL) {  // keep an ignored SIGHUP of nohup
      struct sigaction action{};
      action.sa_handler = receive;
      action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
      sigaction(number, &action, nullptr);
    }
  }
}

InterruptGuard::~InterruptGuard() {
  for (const int number : signals) {
    struct sigaction old{};
    sigaction(number, nullptr, &old);
    if (old.sa_handler == receive) {
      std::signal(number, SIG_DFL);
    }
  }
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  const int write_end = told.exchange(-1);
  if (write_end >= 0) {
    ::close(write_end);  // wakes the watcher
  }
  if (watcher_.joinable()) {
    watcher_.join();
  }
  if (signalled_[0] >= 0) {
    ::close(signalled_[0]);
  }
}

void InterruptGuard::set_last_resort(std::function<void()> clean) {
  const std::lock_guard lock(mutex_);
  clean_ = std::move(clean);
}

void InterruptGuard::watch() noexcept {
  char byte = 0;
  ssize_t got = 0;
  do {
    got = ::read(signalled_[0], &byte, 1);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {
    return;
  }
  std::unique_lock lock(mutex_);
  if (changed_.wait_for(lock, clean_ ? moment : long_moment, [&] { return over_; })) {
    return;
  }
  try {
    if (clean_) {
      clean_();
    }
  } catch (...) {  // the process ends anyway
  }
  obey_interrupt();
}

bool interrupted() noexcept { return received != 0; }

void check_interrupt() {
  if (interrupted()) {
    throw Interrupted{};
  }
}

void obey_interrupt() noexcept {
  if (const int number = received; number != 0) {
    std::signal(number, SIG_DFL);
    std::raise(number);
  }
}

}  // namespace stele::cli
