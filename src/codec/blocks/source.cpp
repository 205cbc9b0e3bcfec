#include "codec/blocks/source.hpp"

#include <algorithm>
#include <condition_variable>
#include <iterator>
#include <string>
#include <thread>
#include <utility>

#include "base/threads/interruption.hpp"
#include "base/threads/pool.hpp"
#include "codec/stream/intake.hpp"
#include "io/wrap/slice.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

// An index that claims a larger block is not used. The file is then read in order, in bounded memory.
constexpr std::uint64_t max_plain_block = std::uint64_t{64} << 20;
constexpr std::uint64_t max_stored_block = 2 * max_plain_block;
// Limits the blocks that are kept and decoded ahead, and the compressed bytes held at once. A single block may be
// larger.
constexpr std::uint64_t most_kept = std::uint64_t{96} << 20;
constexpr std::uint64_t most_in_flight = std::uint64_t{32} << 20;
constexpr std::size_t small_buffer = std::size_t{4} << 20;  // not worth freeing

}  // namespace

bool usable(std::span<const Block> blocks, std::uint64_t file_size) {
  if (blocks.size() > most_blocks(file_size)) {
    return false;
  }
  std::uint64_t plain = 0;
  std::uint64_t stored = 0;
  for (const Block& block : blocks) {
    if (block.plain_offset != plain || block.plain_size > max_plain_block || block.stored_offset < stored ||
        block.stored_offset > file_size || block.stored_size > file_size - block.stored_offset ||
        block.stored_size > max_stored_block) {
      return false;
    }
    plain += block.plain_size;
    stored = block.stored_offset + block.stored_size;
  }
  return true;
}

/// A block of which a part was requested, or will be.
struct BlockSource::Kept {
  enum class State : std::uint8_t { empty, waiting, decoding, ready };
  const Block* block = nullptr;
  State state = State::empty;
  unsigned readers = 0;
  std::uint64_t used = 0;  // clock_ at the last use
  std::vector<std::byte> plain;
  std::uint64_t bytes = 0;  // size of `plain`, or its size once it is decoded
};

/// State shared by calls and helper threads.
struct BlockSource::Ahead {
  Pool<Decoding> decodings;
  std::mutex mutex;  // guards the members below
  std::condition_variable changed;
  std::vector<std::unique_ptr<Kept>> kept;
  const Block* last = nullptr;                      // the last block of which a part was read
  std::pair<const Block*, const Block*> announced;  // those of the last will_read()
  std::uint64_t in_flight = 0;                      // stored bytes that are being decoded
  std::uint64_t clock = 0;
  bool stopping = false;
  std::vector<std::jthread> helpers;

  bool is_announced(const Block& block) const noexcept {
    return std::less_equal<>()(announced.first, &block) && std::less<>()(&block, announced.second);
  }
  Kept* find(const Block& block) const noexcept;
  Kept* free_place(const Kept* other_than = nullptr) const noexcept;
  Kept* place_for(const Block& block) noexcept;
};

/// The plain bytes as the codec decodes them in order. Thread-safe.
class BlockSource::Reference {
 public:
  Reference(const Source& stored, const Codec& codec, const DecodeOptions& options)
      : stored_(stored), codec_(codec), options_(options) {}

  /// Reads the plain bytes of a block that could not be decoded by itself, for `reason`, in a file of `size` bytes.
  /// Throws the file's error if it has one.
  void read(const Block& block, std::uint64_t size, MutableBytes plain, const Error& reason) {
    const std::unique_lock lock = Waiting::lock(mutex_);
    if (!judged_) {
      judge(size, reason);
    }
    if (failed_) {
      // If both ways find the same error, use the message that names the block.
      throw failed_->code() == reason.code() ? reason : *failed_;
    }
    if (in_order_ == nullptr || block.plain_offset < position_) {
      if (passes_left_ == 0) {
        throw reason;
      }
      --passes_left_;
      restart();
    }
    std::vector<std::byte> scratch(piece_size);
    while (position_ < block.plain_offset) {
      const std::uint64_t left = block.plain_offset - position_;
      const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(scratch.size(), left));
      go_on(MutableBytes(scratch).first(want), reason);
    }
    while (!plain.empty()) {
      plain = plain.subspan(go_on(plain, reason));
    }
  }

 private:
  static constexpr std::size_t piece_size = std::size_t{64} << 10;

  void restart() {
    from_ = std::make_unique<SliceSource>(stored_, 0, stored_.size().value_or(0));  // others may read beside it
    in_order_ = codec_.in_order(*from_, options_);
    position_ = 0;
  }
  std::size_t next(MutableBytes into) {
    const std::size_t count = in_order_->read(into);
    position_ += count;
    return count;
  }

  /// These bytes existed when the file was judged, unless someone has changed it since.
  std::size_t go_on(MutableBytes into, const Error& reason) {
    const std::size_t count = next(into);
    if (count == 0) {
      throw reason;
    }
    return count;
  }

  /// Reads the whole file and records its error, if any.
  void judge(std::uint64_t size, const Error& reason) {
    judged_ = true;
    try {
      restart();
      std::vector<std::byte> scratch(piece_size);
      while (next(scratch) > 0) {
      }
      in_order_->finish();
      if (position_ != size) {
        failed_ = reason;
      }
    } catch (const Error& error) {
      failed_ = error.code() == Errc::unsupported ? reason : error;  // the error of a codec that can only decode blocks
    }
    in_order_.reset();
  }

  const Source& stored_;
  const Codec& codec_;
  const DecodeOptions options_;
  std::mutex mutex_;  // guards the members below
  bool judged_ = false;
  std::optional<Error> failed_;
  std::unique_ptr<SliceSource> from_;
  std::unique_ptr<Source> in_order_;
  std::uint64_t position_ = 0;  // of in_order_
  unsigned passes_left_ = 4;    // bounds the time that a file can take
};

BlockSource::BlockSource(std::unique_ptr<Source> stored, const Codec& codec, BlockIndex index,
                         const DecodeOptions& options)
    : stored_(std::move(stored)),
      codec_(codec),
      options_(options),
      index_(std::move(index)),
      blocks_(index_.blocks),
      size_(blocks_.empty() ? 0 : blocks_.back().plain_offset + blocks_.back().plain_size),
      reference_(std::make_unique<Reference>(*stored_, codec, options)),
      ahead_(make_process_owned<Ahead>()) {}

BlockSource::~BlockSource() {
  if (process_.in_child()) {
    return;
  }
  {
    const std::lock_guard lock(ahead_->mutex);
    ahead_->stopping = true;
  }
  ahead_->changed.notify_all();
  if (!ahead_->helpers.empty()) {
    const Joining joining;
    ahead_->helpers.clear();
  }
}

std::size_t BlockSource::read(MutableBytes into) {
  const std::uint64_t left = position_ < size_ ? size_ - position_ : 0;
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left));
  read_at(position_, into.first(count));
  position_ += count;
  return count;
}

/// The last block that begins at or before `offset` contains it: empty blocks come first.
const Block& BlockSource::block_at(std::uint64_t offset) const {
  return *std::prev(std::upper_bound(blocks_.begin(), blocks_.end(), offset,
                                     [](std::uint64_t at, const Block& block) { return at < block.plain_offset; }));
}

void BlockSource::read_at(std::uint64_t offset, MutableBytes into) const {
  if (into.empty()) {
    return;
  }
  if (offset > size_ || into.size() > size_ - offset) {
    fail(Errc::truncated, "a read of " + std::to_string(into.size()) + " bytes at byte " + std::to_string(offset) +
                              " of a compressed archive of " + std::to_string(size_));
  }
  for (const Block* block = &block_at(offset); !into.empty(); ++block) {
    const auto skip = static_cast<std::size_t>(offset - block->plain_offset);
    const std::size_t count = std::min(into.size(), static_cast<std::size_t>(block->plain_size) - skip);
    if (process_.in_child()) {
      read_alone(*block, skip, into.first(count));
    } else if (count == block->plain_size) {
      read_whole(*block, into.first(count));
    } else {
      read_part(*block, skip, into.first(count));
    }
    into = into.subspan(count);
    offset += count;
  }
}

std::uint64_t BlockSource::next_cut(std::uint64_t offset) const {
  if (offset >= size_) {
    return Source::next_cut(offset);
  }
  const Block& block = block_at(offset);
  return block.plain_offset + block.plain_size;
}

void BlockSource::will_read(std::uint64_t offset, std::uint64_t size) const {
  if (size == 0 || offset >= size_) {
    return;
  }
  const Block& first = block_at(offset);
  const Block& last = block_at(std::min(offset + std::min(size, size_ - offset), size_) - 1);
  stored_->will_read(first.stored_offset, last.stored_offset + last.stored_size - first.stored_offset);
  if (!process_.in_child()) {
    const std::lock_guard lock(ahead_->mutex);
    auto& [begin, end] = ahead_->announced;
    if (std::less<>()(&first, begin) || std::less<>()(end, &last + 1)) {  // not a part of what was announced before
      begin = &first;
      end = &last + 1;
    }
  }
}

/// Everything the format has after its last block is checked, but the Source may have more bytes.
void BlockSource::finish() {
  stored_->seek(stored_->size().value_or(0));
  stored_->finish();
}

void BlockSource::decode(const Block& block, MutableBytes plain) const {
  const bool in_memory = !stored_->memory().empty();
  const auto land = [&] {
    if (!in_memory) {
      {
        const std::lock_guard lock(ahead_->mutex);
        ahead_->in_flight -= block.stored_size;
      }
      ahead_->changed.notify_all();
    }
  };
  if (!in_memory) {
    std::unique_lock lock(ahead_->mutex);
    while (ahead_->in_flight != 0 && ahead_->in_flight + block.stored_size > most_in_flight) {
      Waiting::wait(ahead_->changed, lock);
    }
    ahead_->in_flight += block.stored_size;
  }
  try {
    const auto decoding = ahead_->decodings.take();
    decode_stored(block, plain, *decoding);
  } catch (const Error& error) {
    land();
    if (error.code() != Errc::damaged && error.code() != Errc::truncated) {
      throw;
    }
    reference_->read(block, size_, plain, error);
    return;
  } catch (...) {
    land();
    throw;
  }
  land();
}

void BlockSource::decode_stored(const Block& block, MutableBytes plain, Decoding& decoding) const {
  if (decoding.decoder == nullptr) {
    decoding.decoder = codec_.decoder(options_);
  }
  const auto size = static_cast<std::size_t>(block.stored_size);
  Bytes stored = stored_->memory();
  if (!stored.empty()) {
    stored = stored.subspan(static_cast<std::size_t>(block.stored_offset), size);
  } else {
    if (decoding.stored.size() < size) {
      decoding.stored = {};
      decoding.stored.resize(size);
    }
    const auto into = MutableBytes(decoding.stored).first(size);
    stored_->read_at(block.stored_offset, into);
    stored = into;
  }
  try {
    decoding.decoder->decode(block, stored, plain);
  } catch (const Error& error) {
    fail(error.code(),
         std::string(codec_.name()) + " block at byte " + std::to_string(block.stored_offset) + ": " + error.message(),
         {.file = error.file()});
  }
  if (decoding.stored.size() > small_buffer) {
    decoding.stored = {};
  }
}

/// Reads a part of a block, or all of it, without sharing anything with other calls.
void BlockSource::read_alone(const Block& block, std::size_t skip, MutableBytes into) const {
  std::vector<std::byte> whole;
  MutableBytes plain = into;
  if (into.size() != block.plain_size) {
    whole.resize(static_cast<std::size_t>(block.plain_size));
    plain = whole;
  }
  try {
    Decoding decoding;
    decode_stored(block, plain, decoding);
  } catch (const Error& error) {
    if (error.code() != Errc::damaged && error.code() != Errc::truncated) {
      throw;
    }
    Reference(*stored_, codec_, options_).read(block, size_, plain, error);
  }
  if (!whole.empty()) {
    std::copy_n(whole.begin() + static_cast<std::ptrdiff_t>(skip), into.size(), into.begin());
  }
}

// ---- kept blocks ----

BlockSource::Kept* BlockSource::Ahead::find(const Block& block) const noexcept {
  for (const auto& one : kept) {
    if (one->block == &block && one->state != Kept::State::empty) {
      return one.get();
    }
  }
  return nullptr;
}

/// The least recently used place that is free; null if all are in use. With `other_than`, another one that holds
/// memory.
BlockSource::Kept* BlockSource::Ahead::free_place(const Kept* other_than) const noexcept {
  Kept* oldest = nullptr;
  for (const auto& one : kept) {
    if (one.get() == other_than || (other_than != nullptr && one->bytes == 0)) {
      continue;
    }
    if (one->readers == 0 && one->state != Kept::State::decoding &&
        (oldest == nullptr || one->state == Kept::State::empty || one->used < oldest->used)) {
      oldest = one.get();
      if (one->state == Kept::State::empty) {
        break;
      }
    }
  }
  return oldest;
}

/// A place for a block; evicts others if necessary. Null if all are in use or too much memory is.
BlockSource::Kept* BlockSource::Ahead::place_for(const Block& block) noexcept {
  Kept* const place = free_place();
  if (place == nullptr) {
    return nullptr;
  }
  while (true) {
    std::uint64_t held = 0;
    for (const auto& one : kept) {
      held += one.get() == place ? 0 : one->bytes;
    }
    place->bytes = std::max<std::uint64_t>(block.plain_size, place->plain.capacity());
    if (held == 0 || held + place->bytes <= most_kept) {
      break;
    }
    Kept* const other = free_place(place);
    if (other == nullptr) {
      place->bytes = place->plain.capacity();
      return nullptr;
    }
    place->state = Kept::State::empty;
    if (place->plain.capacity() < block.plain_size) {
      std::swap(place->plain, other->plain);
    }
    other->plain = {};
    other->bytes = 0;
    other->state = Kept::State::empty;
  }
  place->block = &block;
  place->state = Kept::State::waiting;
  return place;
}

/// Decodes the block of a place; releases the lock while it decodes.
void BlockSource::decode_kept(Kept& kept, std::unique_lock<std::mutex>& lock) const {
  kept.state = Kept::State::decoding;
  const Block& block = *kept.block;
  lock.unlock();
  try {
    if (kept.plain.capacity() < block.plain_size) {
      kept.plain = {};  // growing would hold both buffers, and allocate more than requested
    }
    kept.plain.resize(static_cast<std::size_t>(block.plain_size));
    decode(block, kept.plain);
  } catch (...) {
    lock.lock();
    kept.state = Kept::State::empty;
    ahead_->changed.notify_all();
    throw;
  }
  lock.lock();
  kept.state = Kept::State::ready;
  ahead_->changed.notify_all();
}

void BlockSource::read_part(const Block& block, std::size_t skip, MutableBytes into) const {
  std::unique_lock lock(ahead_->mutex);
  if (ahead_->kept.empty()) {
    for (unsigned i = 0; i < options_.threads + 2; ++i) {
      ahead_->kept.push_back(std::make_unique<Kept>());
    }
  }
  Kept* kept = nullptr;
  for (;;) {
    kept = ahead_->find(block);
    if (kept == nullptr) {
      kept = ahead_->place_for(block);
    }
    if (kept != nullptr && kept->state == Kept::State::ready) {
      break;
    }
    if (kept != nullptr && kept->state == Kept::State::waiting) {
      decode_kept(*kept, lock);
      break;
    }
    Waiting::wait(ahead_->changed, lock);
  }
  kept->used = ++ahead_->clock;
  ++kept->readers;
  look_ahead(block);
  lock.unlock();
  std::copy_n(kept->plain.begin() + static_cast<std::ptrdiff_t>(skip), into.size(), into.begin());
  lock.lock();
  --kept->readers;
  lock.unlock();
  ahead_->changed.notify_all();
}

void BlockSource::read_whole(const Block& block, MutableBytes into) const {
  {
    std::unique_lock lock(ahead_->mutex);
    Kept* kept = ahead_->find(block);
    while (kept != nullptr && kept->state == Kept::State::decoding) {
      Waiting::wait(ahead_->changed, lock);
      kept = ahead_->find(block);
    }
    if (kept != nullptr && kept->state == Kept::State::ready) {
      std::copy_n(kept->plain.begin(), into.size(), into.begin());
      return;
    }
    if (kept != nullptr) {
      kept->state = Kept::State::empty;  // no thread has started to decode it
    }
  }
  decode(block, into);
}

/// Decodes the next blocks ahead when parts are read block after block. Called with the lock held.
void BlockSource::look_ahead(const Block& block) const {
  const Block* before = std::exchange(ahead_->last, &block);
  if (options_.threads < 2 || before == nullptr || &block != before + 1) {
    return;
  }
  std::uint64_t bytes = block.plain_size;
  const Block* end = blocks_.data() + blocks_.size();
  if (ahead_->is_announced(block)) {
    end = ahead_->announced.second;  // the caller knows where it ends
  } else if (ahead_->is_announced(*before)) {
    return;  // a few bytes beyond that
  }
  const Block* next = &block + 1;
  bool any = false;
  for (unsigned i = 0; i < options_.threads && next != end; ++i, ++next) {
    bytes += next->plain_size;
    if (bytes > most_kept) {
      break;
    }
    if (ahead_->find(*next) != nullptr) {
      continue;
    }
    Kept* kept = ahead_->place_for(*next);
    if (kept == nullptr) {
      break;
    }
    kept->used = ++ahead_->clock;
    any = true;
  }
  if (any) {
    if (ahead_->helpers.size() + 1 < options_.threads) {
      try {
        ahead_->helpers.emplace_back([this] { serve(); });
      } catch (const std::exception&) {  // no thread could be started: blocks are decoded when requested
      }
    }
    ahead_->changed.notify_all();
  }
}

void BlockSource::serve() const {
  std::unique_lock lock(ahead_->mutex);
  while (!ahead_->stopping) {
    const auto waiting = std::find_if(ahead_->kept.begin(), ahead_->kept.end(),
                                      [](const auto& kept) { return kept->state == Kept::State::waiting; });
    if (waiting == ahead_->kept.end()) {
      ahead_->changed.wait(lock);
      continue;
    }
    try {
      decode_kept(**waiting, lock);
    } catch (...) {  // the next request for the block gets the error again
    }
  }
}

}  // namespace stele
