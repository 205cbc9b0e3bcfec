#include "io/wrap/read_ahead.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t piece_size = std::size_t{256} << 10;  // still in the cache when the other thread reads it
constexpr std::size_t most_pieces = 4;
constexpr std::size_t alone_bytes = std::size_t{1} << 20;  // for less, a thread costs more than it saves

}  // namespace

struct ReadAheadSource::Piece {
  std::vector<std::byte> bytes;
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// State shared by both threads. While the thread runs, only it uses `source`, until `ended`.
struct ReadAheadSource::Worker {
  explicit Worker(std::unique_ptr<Source> from) : source(std::move(from)) {}
  ~Worker() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    changed.notify_all();
  }

  void run() {
    for (;;) {
      Piece piece;
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return stopping || ready.size() < most_pieces; });
        if (stopping) {
          return;
        }
        if (!spare.empty()) {
          piece = std::move(spare.back());
          spare.pop_back();
        }
      }
      const bool more = fill(piece);
      {
        const std::lock_guard lock(mutex);
        if (piece.end > 0) {
          ready.push_back(std::move(piece));
        }
        ended = !more;
      }
      changed.notify_all();
      if (!more) {
        return;
      }
    }
  }

  /// Reads a piece. False at the end and after an error.
  bool fill(Piece& piece) {
    piece.begin = piece.end = 0;
    try {
      piece.bytes.resize(piece_size);
      while (piece.end < piece_size) {
        const std::size_t count = source->read(MutableBytes(piece.bytes).subspan(piece.end));
        if (count == 0) {
          return false;
        }
        piece.end += count;
      }
    } catch (...) {
      failed = std::current_exception();
      return false;
    }
    return true;
  }

  const std::unique_ptr<Source> source;
  std::mutex mutex;  // guards the members below
  std::condition_variable changed;
  std::deque<Piece> ready;
  std::vector<Piece> spare;
  std::exception_ptr failed;  // to be thrown after the pieces that are ready
  bool ended = false;
  bool stopping = false;
  std::jthread thread;
};

ReadAheadSource::ReadAheadSource(std::unique_ptr<Source> source)
    : worker_(make_process_owned<Worker>(std::move(source))) {}
ReadAheadSource::~ReadAheadSource() = default;

/// Starts the thread. False if none could be started.
bool ReadAheadSource::start() {
  if (!started_ && alone_ >= alone_bytes) {
    try {
      worker_->thread = std::jthread([worker = worker_.get()] { worker->run(); });
      started_ = true;
    } catch (const std::system_error&) {
      alone_ = 0;  // tries again later
    }
  }
  return started_;
}

/// Waits for the next piece, which stays where it is while the worker adds others. Null at the end.
ReadAheadSource::Piece* ReadAheadSource::wait() {
  process_.require_same_process("a Source that reads ahead");
  std::unique_lock lock(worker_->mutex);
  worker_->changed.wait(lock, [&] { return !worker_->ready.empty() || worker_->ended; });
  if (worker_->ready.empty() && worker_->failed != nullptr) {
    std::rethrow_exception(worker_->failed);
  }
  return worker_->ready.empty() ? nullptr : &worker_->ready.front();
}

std::size_t ReadAheadSource::read(MutableBytes into) {
  if (!start()) {
    const std::size_t count = worker_->source->read(into);
    alone_ += count;
    return count;
  }
  Piece* const piece = into.empty() ? nullptr : wait();
  if (piece == nullptr) {
    return 0;
  }
  const std::size_t count = std::min(into.size(), piece->end - piece->begin);
  std::copy_n(piece->bytes.begin() + static_cast<std::ptrdiff_t>(piece->begin), count, into.begin());
  piece->begin += count;
  if (piece->begin == piece->end) {
    {
      const std::lock_guard lock(worker_->mutex);
      worker_->spare.push_back(std::move(*piece));
      worker_->ready.pop_front();
    }
    worker_->changed.notify_all();
  }
  return count;
}

void ReadAheadSource::finish() {
  if (started_ && wait() != nullptr) {
    fail(Errc::damaged, "data after the end of the archive");
  }
  worker_->source->finish();
}

}  // namespace stele
