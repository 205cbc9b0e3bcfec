#include "cli/interrupt.hpp"

#include <csignal>

namespace stele::cli {
namespace {

volatile std::sig_atomic_t received = 0;
constexpr int signals[] = {SIGINT, SIGTERM, SIGHUP};

void receive(int number) { received = number; }

}  // namespace

InterruptGuard::InterruptGuard() noexcept {
  for (const int number : signals) {
    struct sigaction old{};
    sigaction(number, nullptr, &old);
    if (old.sa_handler == SIG_DFL) {  // nohup has SIGHUP ignored
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
}

bool interrupted() noexcept { return received != 0; }

void check_interrupt() {
  if (interrupted()) {
    throw Interrupted{};
  }
}

void obey_interrupt() noexcept {
  if (received != 0) {
    std::signal(received, SIG_DFL);
    std::raise(received);
  }
}

}  // namespace stele::cli
