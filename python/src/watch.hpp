#pragma once
// What long calls do meanwhile: they run Python's signal handlers, so that Ctrl-C ends them, and tell how far they are.

#include <atomic>
#include <memory>
#include <thread>

#include "base/threads/interruption.hpp"
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

class WatchedSource final : public Source {
 public:
  /// The Watch must outlive it.
  WatchedSource(std::unique_ptr<Source> inner, Watch& watch) : inner_(std::move(inner)), watch_(watch) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t count = inner_->read(into);
    watch_.add(count);
    return count;
  }
  std::optional<std::size_t> peek(MutableBytes into) override { return inner_->peek(into); }
  std::optional<std::uint64_t> size() const override { return inner_->size(); }
  bool random_access() const noexcept override { return inner_->random_access(); }
  void seek(std::uint64_t offset) override { inner_->seek(offset); }
  void read_at(std::uint64_t offset, MutableBytes into) const override {
    inner_->read_at(offset, into);
    watch_.add(into.size());
  }
  void will_read(std::uint64_t offset, std::uint64_t size) const override { inner_->will_read(offset, size); }
  std::uint64_t next_cut(std::uint64_t offset) const override { return inner_->next_cut(offset); }
  void finish() override { inner_->finish(); }
  std::string name() const override { return inner_->name(); }

 private:
  std::unique_ptr<Source> inner_;
  Watch& watch_;
};

}  // namespace stele::python
