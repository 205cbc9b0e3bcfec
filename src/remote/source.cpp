#include "remote/source.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <tuple>
#include <utility>

#include "base/process.hpp"
#include "base/threads/interruption.hpp"
#include "stele/error.hpp"
#include "stele/remote.hpp"

namespace stele::remote {
namespace {

constexpr std::size_t end_bytes = std::size_t{192} << 10;       // read when an object is opened
constexpr std::size_t least_piece = std::size_t{64} << 10;      // read for a few bytes
constexpr std::uint64_t direct_bytes = std::uint64_t{1} << 20;  // larger reads go to the caller's memory at once
constexpr std::size_t most_whole = std::size_t{64} << 20;       // an object of a server without ranges
constexpr std::size_t pieces_kept = 12;

/// Pieces of an object that were read, or are being read.
class ObjectSource final : public Source {
 public:
  ObjectSource(Request get, Answer first, std::vector<std::byte> end)
      : get_(std::move(get)), version_(std::move(first.version)), end_(std::move(end)) {
    size_ = version_.bytes;
    end_at_ = size_ - end_.size();
    get_.version = version_;
  }
  ~ObjectSource() override = default;

  std::size_t read(MutableBytes into) override {
    const std::uint64_t left = position_ < size_ ? size_ - position_ : 0;
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left));
    read_at(position_, into.first(count));
    position_ += count;
    return count;
  }
  std::optional<std::uint64_t> size() const override { return size_; }
  bool random_access() const noexcept override { return true; }
  void seek(std::uint64_t offset) override { position_ = offset; }
  Bytes memory() const noexcept override { return end_at_ == 0 ? Bytes(end_) : Bytes(); }
  std::string name() const override { return get_.name; }

  void read_at(std::uint64_t offset, MutableBytes into) const override {
    if (offset > size_ || into.size() > size_ - offset) {
      fail(Errc::truncated,
           message({"cannot read ", into.size(), " bytes at byte ", offset, " of ", get_.name, ": it has ", size_}),
           {.offset = size_, .file = get_.name});
    }
    if (into.empty()) {
      return;
    }
    if (offset + into.size() > end_at_) {  // what is in memory anyway
      const std::uint64_t from = std::max(offset, end_at_);
      const auto there = static_cast<std::size_t>(offset + into.size() - from);
      std::memcpy(into.data() + (into.size() - there), end_.data() + (from - end_at_), there);
      into = into.first(into.size() - there);
    }
    while (!into.empty()) {
      const std::size_t got = read_piece(offset, into);
      offset += got;
      into = into.subspan(got);
    }
  }

  void will_read(std::uint64_t offset, std::uint64_t size) const override {
    if (offset >= end_at_ || size <= least_piece) {
      return;
    }
    Shared& all = shared_.get();
    const std::lock_guard lock(all.mutex);
    const std::uint64_t end = std::min(offset + std::min(size, size_ - offset), end_at_);
    if (offset < all.plan_begin || end > all.plan_end) {
      all.plan_begin = offset;
      all.plan_end = end;
      all.plan_next = offset;
      all.plan_left = end - offset;
      for (const auto& piece : all.pieces) {
        const std::uint64_t first = std::max(piece->begin, offset);
        all.plan_left -= std::max(first, std::min(piece->end(), end)) - first;
        piece->planned = false;
      }
      all.plan_begun = false;
    }
  }

 private:
  /// Memory that is not cleared, and is used again.
  struct Memory {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size = 0;
  };
  struct Piece {
    std::uint64_t begin = 0;
    Memory memory;
    MutableBytes bytes;                  // in `memory`
    bool planned = false;                // for the plan that there is
    std::size_t taken = 0;               // of them
    std::size_t arrived = 0;             // at the beginning of `bytes`; what comes after may have arrived too
    std::unique_ptr<Exchange> exchange;  // in flight; null once a thread waits for it
    enum class State : std::uint8_t { in_flight, awaited, ready, failed } state = State::in_flight;
    std::uint64_t end() const noexcept { return begin + bytes.size(); }
  };
  /// What threads share. A child of fork() has its own, as a thread of the parent may have held the lock.
  struct Shared {
    std::mutex mutex;  // guards the other members
    std::condition_variable changed;
    std::list<std::shared_ptr<Piece>> pieces;  // the last one used first
    std::uint64_t next = ~std::uint64_t{0};    // where a read in order would go on
    std::size_t grown = least_piece;
    std::vector<Memory> spare;
    // The last call of will_read().
    std::uint64_t plan_begin = 0;
    std::uint64_t plan_end = 0;
    std::uint64_t plan_next = 0;  // where what has been asked for of the plan ends; what lies before may be gone again
    std::uint64_t plan_left = 0;  // bytes of it that are not read yet, without those that were there
    bool plan_begun = false;
    bool plans(std::uint64_t offset) const noexcept { return offset >= plan_begin && offset < plan_end; }
  };

  /// Reads one byte or more.
  std::size_t read_piece(const std::uint64_t offset, MutableBytes into) const {
    Shared& all = shared_.get();
    std::unique_lock lock(all.mutex);
    std::shared_ptr<Piece> piece = find(all, offset);
    if (piece == nullptr) {
      const bool planned = all.plans(offset);
      if (!planned && into.size() >= direct_bytes) {
        std::uint64_t until = offset + into.size();
        for (const auto& other : all.pieces) {
          until = other->begin > offset ? std::min(until, other->begin) : until;
        }
        lock.unlock();
        return read_direct(offset, into.first(static_cast<std::size_t>(until - offset)));
      }
      const std::uint64_t begin = planned ? begin_of_plan(all, offset) : offset;
      piece = begin_piece(all, begin, piece_bytes(all, begin, into.size(), planned));
      if (piece->end() <= offset) {
        piece = begin_piece(all, offset, piece_bytes(all, offset, into.size(), planned));
      }
    }
    const std::size_t got = std::min(into.size(), static_cast<std::size_t>(piece->end() - offset));
    go_on(all, offset, got);
    const std::size_t end = static_cast<std::size_t>(offset - piece->begin) + got;
    if (!await(all, lock, *piece, end)) {
      lock.unlock();
      return read_direct(offset, into.first(got));  // which finds its own reason
    }
    std::memcpy(into.data(), piece->bytes.data() + (end - got), got);
    piece->taken += got;
    const bool over = all.plans(offset) && piece->taken >= piece->bytes.size();  // of a plan, nobody comes back
    if (over && all.pieces.remove(piece) > 0) {
      keep_memory(all, *piece, piece.use_count() == 1);
      all.plan_left -= piece->planned ? std::min<std::uint64_t>(all.plan_left, piece->bytes.size()) : 0;
      if (all.plan_left == 0) {
        all.plan_begin = all.plan_end = 0;
        all.spare.clear();
      }
    }
    return got;
  }

  /// Memory for a piece. What the kernel must clear first takes longer than to receive it from a near server.
  static Memory take_memory(Shared& all, std::size_t size) {
    const auto fits = std::find_if(all.spare.begin(), all.spare.end(), [&](const Memory& one) {
      return one.size >= size && one.size / 2 <= std::max(size, least_piece);
    });
    if (fits == all.spare.end()) {
      return {std::make_unique_for_overwrite<std::byte[]>(size), size};
    }
    Memory found = std::move(*fits);
    all.spare.erase(fits);
    return found;
  }
  static void keep_memory(Shared& all, Piece& piece, bool is_ours) {
    if (is_ours && all.spare.size() < options().parts) {
      all.spare.push_back(std::move(piece.memory));
    }
  }

  /// Reads need not begin where the plan does: what lies before a near first one is fetched with it.
  static std::uint64_t begin_of_plan(Shared& all, std::uint64_t offset) {
    const bool first = !std::exchange(all.plan_begun, true);
    return first && offset - all.plan_begin <= options().part_bytes ? all.plan_begin : offset;
  }

  static std::shared_ptr<Piece> find(Shared& all, std::uint64_t offset) {
    for (auto piece = all.pieces.begin(); piece != all.pieces.end(); ++piece) {
      if ((*piece)->state == Piece::State::failed) {
        continue;
      }
      if ((*piece)->begin <= offset && offset < (*piece)->end()) {
        all.pieces.splice(all.pieces.begin(), all.pieces, piece);
        return *piece;
      }
    }
    return nullptr;
  }

  /// How much to fetch for a read of `wanted` bytes at `offset`.
  std::size_t piece_bytes(Shared& all, std::uint64_t offset, std::size_t wanted, bool planned) const {
    const std::uint64_t part = options().part_bytes;
    std::uint64_t size = 0;
    std::uint64_t limit = end_at_ - offset;
    if (planned) {
      const std::uint64_t left = all.plan_end - offset;
      size = left <= 2 * part ? left : part;
    } else {
      all.grown =
          offset == all.next ? static_cast<std::size_t>(std::min<std::uint64_t>(2 * all.grown, part)) : least_piece;
      size = std::max<std::uint64_t>(wanted, all.grown);
    }
    for (const auto& piece : all.pieces) {
      if (piece->begin > offset && piece->state != Piece::State::failed) {
        limit = std::min(limit, piece->begin - offset);
      }
    }
    return static_cast<std::size_t>(std::min(size, limit));
  }

  std::shared_ptr<Piece> begin_piece(Shared& all, std::uint64_t offset, std::size_t size) const {
    auto piece = std::make_shared<Piece>();
    piece->begin = offset;
    piece->memory = take_memory(all, size);
    piece->bytes = MutableBytes(piece->memory.bytes.get(), size);
    piece->exchange = std::make_unique<Exchange>(request(offset, piece->bytes));
    all.pieces.push_front(piece);
    all.next = piece->end();
    if (all.plans(offset)) {
      piece->planned = true;
      all.plan_next = std::max(all.plan_next, piece->end());
    }
    const std::size_t most = std::max<std::size_t>(pieces_kept, 2 * options().parts);
    for (auto old = std::prev(all.pieces.end()); all.pieces.size() > most && old != all.pieces.begin();) {
      const auto before = std::prev(old);
      if ((*old)->state == Piece::State::ready || (*old)->state == Piece::State::failed) {
        keep_memory(all, **old, old->use_count() == 1);
        all.pieces.erase(old);
      }
      old = before;
    }
    return piece;
  }

  /// Begins the next pieces of a plan.
  void go_on(Shared& all, std::uint64_t offset, std::size_t got) const {
    if (!all.plans(offset)) {
      return;
    }
    unsigned in_flight = 0;
    std::uint64_t next = std::max(offset + got, all.plan_next);
    for (const auto& piece : all.pieces) {
      in_flight += piece->state == Piece::State::in_flight || piece->state == Piece::State::awaited ? 1 : 0;
    }
    while (next < all.plan_end && in_flight < options().parts) {
      if (const auto piece = find(all, next)) {
        next = piece->end();
        continue;
      }
      next = begin_piece(all, next, piece_bytes(all, next, 1, true))->end();
      ++in_flight;
    }
  }

  /// Waits until the first `count` bytes of a piece are there. Returns false if another thread, which has thrown the
  /// reason, could not have them.
  bool await(Shared& all, std::unique_lock<std::mutex>& lock, Piece& piece, std::size_t count) const {
    while (piece.arrived < count) {
      if (piece.state == Piece::State::failed) {
        return false;
      }
      if (piece.state == Piece::State::awaited) {
        lock.unlock();
        {
          const Waiting waiting;
          std::unique_lock inner(all.mutex);
          all.changed.wait_for(inner, std::chrono::milliseconds(20),
                               [&] { return piece.state != Piece::State::awaited; });
        }
        interruption_point();
        lock.lock();
        continue;
      }
      piece.state = Piece::State::awaited;
      std::unique_ptr<Exchange> exchange = std::move(piece.exchange);
      lock.unlock();
      std::optional<Answer> answer;
      try {
        // What is there is used while the rest arrives. Who takes the last byte waits for the end of the request, so
        // that its connection is free.
        if (count < piece.bytes.size()) {
          answer = exchange->wait_for(std::max(count, least_piece));
        } else {
          answer = exchange->wait();
        }
        if (answer) {
          require_range(*answer);
        }
      } catch (...) {
        lock.lock();
        piece.state = Piece::State::failed;
        all.pieces.remove_if([&](const auto& one) { return one.get() == &piece; });
        all.changed.notify_all();
        throw;
      }
      lock.lock();
      if (answer) {
        piece.arrived = piece.bytes.size();
        piece.state = Piece::State::ready;
      } else {
        piece.arrived = exchange->arrived();
        piece.exchange = std::move(exchange);
        piece.state = Piece::State::in_flight;
      }
      all.changed.notify_all();
    }
    return true;
  }

  Request request(std::uint64_t offset, MutableBytes to) const {
    Request one = get_;
    one.offset = offset;
    one.to = to;
    return one;
  }
  void require_range(const Answer& answer) const {
    if (answer.status == 416) {
      fail(Errc::changed, get_.name + " has changed since it was opened", {.file = get_.name});
    }
    if (answer.status != 206) {
      fail_answer("read", get_.name, answer);
    }
  }

  /// Reads to the caller's memory, in several parts at once where it is long.
  std::size_t read_direct(std::uint64_t offset, MutableBytes into) const {
    const Options limits = options();
    const std::size_t part = static_cast<std::size_t>(limits.part_bytes);
    std::list<Exchange> exchanges;
    std::size_t begun = 0;
    while (begun < into.size() || !exchanges.empty()) {
      while (begun < into.size() && exchanges.size() < limits.parts) {
        const std::size_t left = into.size() - begun;
        const std::size_t size = left < 2 * part ? left : part;
        exchanges.emplace_back(request(offset + begun, into.subspan(begun, size)));
        begun += size;
      }
      require_range(exchanges.front().wait());
      exchanges.pop_front();
    }
    return into.size();
  }

  Request get_;
  Request::Version version_;
  std::vector<std::byte> end_;  // the last bytes of the object
  std::uint64_t size_ = 0;
  std::uint64_t end_at_ = 0;  // where they begin
  std::uint64_t position_ = 0;
  mutable PerProcess<Shared> shared_;
};

}  // namespace

std::unique_ptr<Source> object_source(Request get) {
  std::vector<std::byte> end(end_bytes);
  Request first = get;
  first.to = end;
  first.last = true;
  first.most_text = most_whole;
  Answer answer = exchange(std::move(first));
  if (answer.status == 416) {  // nothing to have the end of
    answer.version = {std::string(answer.header("etag")), std::string(answer.header("last-modified")), 0, true};
    end.clear();
  } else if (answer.whole) {
    end.resize(answer.text.size());
    std::transform(answer.text.begin(), answer.text.end(), end.begin(),
                   [](char c) { return static_cast<std::byte>(c); });
    answer.version.bytes = end.size();
  } else if (answer.status == 206) {
    end.resize(answer.got);
  } else {
    throw Refused{std::move(answer)};
  }
  return std::make_unique<ObjectSource>(std::move(get), std::move(answer), std::move(end));
}

void read_ranges(const Request& get, std::span<const ByteRange> ranges, std::string_view etag) {
  const auto fail_past_end = [&] {
    fail(Errc::truncated, "cannot read " + get.name + ": a range is past its end", {.file = get.name});
  };
  std::list<std::pair<Exchange, ByteRange>> exchanges;
  const auto take = [&] {
    const Answer answer = exchanges.front().first.wait();
    const ByteRange& range = exchanges.front().second;
    if (answer.whole) {
      if (range.offset > answer.text.size() || range.to.size() > answer.text.size() - range.offset) {
        fail_past_end();
      }
      std::memcpy(range.to.data(), answer.text.data() + range.offset, range.to.size());
    } else if (answer.status == 416) {
      fail_past_end();
    } else if (answer.status != 206) {
      throw Refused{answer};
    }
    exchanges.pop_front();
  };
  for (const ByteRange& range : ranges) {
    if (range.to.empty()) {
      continue;
    }
    if (exchanges.size() == std::max(1U, options().parts)) {
      take();
    }
    Request request = get;
    request.to = range.to;
    request.offset = range.offset;
    request.etag = etag;
    request.most_text = most_whole;
    exchanges.emplace_back(std::piecewise_construct, std::forward_as_tuple(std::move(request)),
                           std::forward_as_tuple(range));
  }
  while (!exchanges.empty()) {
    take();
  }
}

}  // namespace stele::remote
