#include <signal.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <vector>

#include "io/descriptor.hpp"
#include "stele/checkpoint.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t most_signals = 65;
std::atomic<bool> in_use{false};
std::atomic<int> last{0};
struct sigaction before[most_signals];  // written while no handler of ours is in place
static_assert(std::atomic<int>::is_always_lock_free);

extern "C" void stele_notice_signal(int number) {
  last.store(number);
  ::sigaction(number, &before[number], nullptr);  // a second one acts as before
}

}  // namespace

struct StopSignals::State {
  std::vector<int> taken;
};

StopSignals::StopSignals(const std::vector<int>& signals) : state_(std::make_unique<State>()) {
  if (in_use.exchange(true)) {
    fail(Errc::invalid_argument, "there is another StopSignals");
  }
  last = 0;
  for (const int number : signals) {
    struct sigaction ours{};
    ours.sa_handler = stele_notice_signal;
    ours.sa_flags = SA_RESTART;
    if (number <= 0 || static_cast<std::size_t>(number) >= most_signals ||
        ::sigaction(number, nullptr, &before[number]) != 0 || ::sigaction(number, &ours, nullptr) != 0) {
      const int error = number <= 0 || static_cast<std::size_t>(number) >= most_signals ? EINVAL : errno;
      for (const int earlier : state_->taken) {
        ::sigaction(earlier, &before[earlier], nullptr);
      }
      in_use = false;
      fail_call("take notice of", "signal " + std::to_string(number), error);
    }
    state_->taken.push_back(number);
  }
}

StopSignals::~StopSignals() {
  for (const int number : state_->taken) {
    struct sigaction present{};
    if (::sigaction(number, nullptr, &present) == 0 && present.sa_handler == stele_notice_signal) {
      ::sigaction(number, &before[number], nullptr);
    }
  }
  in_use = false;
}

int StopSignals::received() const noexcept { return last; }

}  // namespace stele
