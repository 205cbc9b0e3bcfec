#pragma once
// What long calls do meanwhile: they run Python's signal handlers, so that Ctrl-C ends them, and tell how far they are.

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "base/threads/interruption.hpp"
#include "io/wrap/forwarding.hpp"
#include "python.hpp"
#include "stele/io.hpp"

namespace stele::python {

/// Runs signal handlers, if this is the main thread; throws what they raise. Takes the GIL.
void run_signal_handlers();

/// Lets the library release the GIL while it waits for other machines. To be called once.
void let_others_run_while_waiting();

/// Ctrl-C ends long work of the library on this thread while it exists: the guard of a call.
class Interruptible {
 public:
  Interruptible() : checks_(&run_signal_handlers) {}

 private:
  Interruption checks_;
};
/// For what destructors do, whoever's call they run in: it is not ended half-way.
class Uninterrupted {
 private:
  Interruption none_{nullptr};
};

/// For long calls whose arguments and results are no objects of Python's.
using InterruptibleWithoutGil = nb::call_guard<Interruptible, nb::gil_scoped_release>;

/// Calls Python's `progress` with what is done and all, and signal handlers; what it raises ends the work, as False
/// does. The callable must outlive it.
std::function<bool(std::uint64_t done, std::uint64_t total)> progress_of(nb::handle callable);

/// Counts bytes, and calls the object it was given with their number about every 4 MiB: on the thread that made it,
/// as others may be waited for with the GIL held. Counting is thread-safe.
class Watch {
 public:
  explicit Watch(nb::handle callback);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  void add(std::uint64_t bytes);
  /// Calls the object if there is something to tell.
  void tell();
  /// Calls the object a last time.
  void finish();

 private:
  static constexpr std::uint64_t step = std::uint64_t{4} << 20;
  nb::object callback_;
  const std::thread::id owner_ = std::this_thread::get_id();
  Watch* const before_;
  std::atomic<std::uint64_t> bytes_ = 0;
  std::uint64_t told_ = 0;
};

class WatchedSink final : public Sink {
 public:
  /// The Watch must outlive it.
  WatchedSink(std::unique_ptr<Sink> inner, Watch& watch) : inner_(std::move(inner)), watch_(watch) {}
  void write(Bytes bytes) override {
    inner_->write(bytes);
    watch_.add(bytes.size());
  }
  void close() override { inner_->close(); }
  bool patchable() const noexcept override { return inner_->patchable(); }
  void patch(std::uint64_t offset, Bytes bytes) override { inner_->patch(offset, bytes); }

 private:
  std::unique_ptr<Sink> inner_;
  Watch& watch_;
};

class WatchedSource final : public ForwardingSource {
 public:
  /// The Watch must outlive it.
  WatchedSource(std::unique_ptr<Source> inner, Watch& watch)
      : ForwardingSource(*inner), owned_(std::move(inner)), watch_(watch) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t count = inner_.read(into);
    watch_.add(count);
    return count;
  }
  void read_at(std::uint64_t offset, MutableBytes into) const override {
    inner_.read_at(offset, into);
    watch_.add(into.size());
  }
  Bytes memory() const noexcept override { return {}; }  // what is read there would not be seen

 private:
  const std::unique_ptr<Source> owned_;
  Watch& watch_;
};

}  // namespace stele::python
