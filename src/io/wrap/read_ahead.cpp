#include "io/wrap/read_ahead.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "base/threads/behind.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t piece_size = std::size_t{256} << 10;  // still in the cache when the other thread reads it
constexpr std::size_t most_pieces = 4;
constexpr std::size_t alone_bytes = std::size_t{1} << 20;  // for less, a thread costs more than it saves

}  // namespace

/// Empty after the end of the Source.
struct ReadAheadSource::Piece {
  std::vector<std::byte> bytes;
  std::size_t begin = 0;
  std::size_t end = 0;
  std::exception_ptr failed;  // to be thrown after its bytes
};

/// While the other thread runs, only it uses `source`, `ended` and the pieces that it was told to fill.
struct ReadAheadSource::Worker {
  explicit Worker(std::unique_ptr<Source> from) : source(std::move(from)) {}

  Piece& front() noexcept { return pieces[taken % most_pieces]; }
  void fill_later(Piece& piece) {
    behind->run([this, &piece] { fill(piece); });
  }
  void fill(Piece& piece) {
    piece.begin = piece.end = 0;
    try {
      if (!ended) {
        piece.bytes.resize(piece_size);
      }
      while (piece.end < piece_size && !ended) {
        const std::size_t count = source->read(MutableBytes(piece.bytes).subspan(piece.end));
        piece.end += count;
        ended = count == 0;
      }
    } catch (...) {
      piece.failed = std::current_exception();
      ended = true;
    }
  }

  const std::unique_ptr<Source> source;
  bool ended = false;
  std::array<Piece, most_pieces> pieces;  // filled and taken in turn
  std::size_t taken = 0;
  std::optional<Behind> behind;
};

ReadAheadSource::ReadAheadSource(std::unique_ptr<Source> source)
    : worker_(make_process_owned<Worker>(std::move(source))) {}
ReadAheadSource::~ReadAheadSource() = default;

/// Starts the thread. False if none could be started.
bool ReadAheadSource::start() {
  if (!started_ && alone_ >= alone_bytes) {
    try {
      worker_->behind.emplace(most_pieces);
      started_ = true;
    } catch (const std::system_error&) {
      alone_ = 0;  // tries again later
      return false;
    }
    for (Piece& piece : worker_->pieces) {
      worker_->fill_later(piece);
    }
  }
  return started_;
}

/// Waits for the next piece.
ReadAheadSource::Piece& ReadAheadSource::wait() {
  process_.require_same_process("a Source that reads ahead");
  worker_->behind->wait(most_pieces - 1);
  Piece& piece = worker_->front();
  if (piece.begin == piece.end && piece.failed != nullptr) {
    std::rethrow_exception(piece.failed);
  }
  return piece;
}

std::size_t ReadAheadSource::read(MutableBytes into) {
  if (!start()) {
    const std::size_t count = worker_->source->read(into);
    alone_ += count;
    return count;
  }
  Piece& piece = wait();
  const std::size_t count = std::min(into.size(), piece.end - piece.begin);
  std::copy_n(piece.bytes.begin() + static_cast<std::ptrdiff_t>(piece.begin), count, into.begin());
  piece.begin += count;
  if (count > 0 && piece.begin == piece.end && piece.failed == nullptr) {
    ++worker_->taken;
    worker_->fill_later(piece);
  }
  return count;
}

void ReadAheadSource::finish() {
  if (started_) {
    const Piece& piece = wait();
    if (piece.begin != piece.end) {
      fail(Errc::damaged, "data after the end of the archive");
    }
  }
  worker_->source->finish();
}

}  // namespace stele
