#include "cli/bench/measure.hpp"

#include <malloc.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <new>

#include "io/descriptor.hpp"
#include "stele/archive.hpp"

namespace stele::cli {
namespace {

using Clock = std::chrono::steady_clock;

/// What the child sends: small enough for one atomic write to a pipe.
struct Report {
  Measurement measurement;
  bool failed = false;
  Errc code = Errc::io;
  std::array<char, 500> message{};
};

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// A field of /proc/self/status in bytes; negative if it is missing.
std::int64_t status(const std::string& field) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(field + ":")) {
      return std::strtoll(line.c_str() + field.size() + 1, nullptr, 10) * 1024;
    }
  }
  return -1;
}

/// Resident memory, after returning the allocator's free memory to the system.
std::int64_t resident() {
  ::malloc_trim(0);
  return status("VmRSS");
}

/// Measures peak memory from its construction on.
class Peak {
 public:
  Peak() : base_(resident()) {
    std::ofstream reset("/proc/self/clear_refs");
    reset << "5" << std::flush;
    known_ = base_ >= 0 && reset.good();
  }
  /// How far the peak is above the memory that was resident before, plus `object` bytes.
  std::int64_t above(std::int64_t object = 0) const {
    return known_ ? std::max<std::int64_t>(status("VmHWM") - base_ - object, 0) : -1;
  }
  /// The growth of resident memory.
  std::int64_t grown() const { return resident() - base_; }

 private:
  std::int64_t base_;
  bool known_ = false;
};

Measurement measure_here(const Value& value, const Candidate& candidate, const MeasureOptions& options) {
  const SaveOptions saving{
      .codec = candidate.codec, .level = candidate.level, .filter = candidate.filter, .threads = options.threads};
  const LoadOptions loading{.threads = options.threads};
  Measurement measured;
  const auto start = Clock::now();
  do {
    const bool first = measured.rounds == 0;
    {
      const Peak peak;
      const auto begin = Clock::now();
      save(value, options.path, saving);
      const double seconds = seconds_since(begin);
      measured.save_seconds = first ? seconds : std::min(measured.save_seconds, seconds);
      measured.save_memory = first ? peak.above() : measured.save_memory;
    }
    measured.stored_bytes = std::filesystem::file_size(options.path);
    {
      const Peak peak;
      const auto begin = Clock::now();
      const auto loaded = load<Value>(options.path, loading);
      const double seconds = seconds_since(begin);
      measured.load_seconds = first ? seconds : std::min(measured.load_seconds, seconds);
      if (first) {
        const std::int64_t reached = peak.above();
        measured.load_memory = reached < 0 ? -1 : std::max<std::int64_t>(reached - peak.grown(), 0);
        if (!(loaded == value)) {
          fail(Errc::damaged, "the loaded object differs from the saved one");
        }
      }
    }
    ++measured.rounds;
  } while (measured.rounds < options.rounds && seconds_since(start) < options.seconds);
  return measured;
}

/// Runs in the child; never returns.
[[noreturn]] void run_child(int to, const Value& value, const Candidate& candidate, const MeasureOptions& options) {
  Report report;
  const auto failed = [&](Errc code, const char* message) {
    report.failed = true;
    report.code = code;
    std::strncpy(report.message.data(), message, report.message.size() - 1);
  };
  try {
    report.measurement = measure_here(value, candidate, options);
  } catch (const Error& error) {
    failed(error.code(), error.message().c_str());
  } catch (const std::bad_alloc&) {
    failed(Errc::limit_exceeded, "there is not enough memory");
  } catch (const std::exception& error) {
    failed(Errc::io, error.what());
  }
  const bool told = ::write(to, &report, sizeof(report)) == static_cast<ssize_t>(sizeof(report));
  ::_exit(told ? 0 : 1);
}

/// A child process; the destructor ends it.
class Child {
 public:
  explicit Child(pid_t id) noexcept : id_(id) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    ::kill(id_, SIGKILL);
    while (::waitpid(id_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

 private:
  pid_t id_;
};

}  // namespace

Measurement measure(const Value& value, const Candidate& candidate, const MeasureOptions& options,
                    const std::function<void()>& waiting) {
  int ends[2];
  if (::pipe(ends) != 0) {
    fail_call("make", "a pipe", errno);
  }
  const OwnedDescriptor from(ends[0]);
  OwnedDescriptor to(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t id = ::fork();
  if (id < 0) {
    fail_call("start", "a process", errno);
  }
  if (id == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
      std::signal(number, SIG_IGN);  // the parent ends it
    }
    if (::getppid() != parent) {
      ::_exit(1);
    }
    run_child(to.get(), value, candidate, options);
  }
  const Child child(id);
  to = OwnedDescriptor();
  const auto start = Clock::now();
  for (;;) {
    pollfd ready{.fd = from.get(), .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, 100) > 0) {
      break;
    }
    waiting();
    if (seconds_since(start) > options.patience) {
      fail(Errc::limit_exceeded, "takes too long");
    }
  }
  Report report;
  ssize_t got = 0;
  do {
    got = ::read(from.get(), &report, sizeof(report));
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof(report))) {
    fail(Errc::limit_exceeded, "the system ended the process, probably because memory ran out");
  }
  if (report.failed) {
    fail(report.code, report.message.data());
  }
  return report.measurement;
}

}  // namespace stele::cli
