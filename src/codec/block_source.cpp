#include "codec/block_source.hpp"

#include <algorithm>
#include <condition_variable>
#include <iterator>
#include <string>
#include <thread>
#include <utility>

#include "stele/error.hpp"

namespace stele {
namespace {

// An index that claims a larger block is not used. What such a file says is then read in order, in bounded memory.
constexpr std::uint64_t max_plain_block = std::uint64_t{64} << 20;
constexpr std::uint64_t max_stored_block = 2 * max_plain_block;
constexpr std::uint64_t most_kept_ahead = std::uint64_t{16} << 20;  // bytes decoded before they are asked for

}  // namespace

bool usable(std::span<const Block> blocks, std::uint64_t file_size) {
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

/// A block of which a part was asked for, or will be.
struct BlockSource::Kept {
  enum class State : std::uint8_t { empty, waiting, decoding, ready };
  const Block* block = nullptr;
  State state = State::empty;
  unsigned readers = 0;
  std::uint64_t used = 0;  // when, by clock_
  std::vector<std::byte> plain;
};

/// What calls and helpers share.
struct BlockSource::Ahead {
  Pool<Decoding> decodings;
  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::vector<std::unique_ptr<Kept>> kept;
  const Block* last = nullptr;  // of which a part was read
  std::uint64_t clock = 0;
  bool stopping = false;
  std::vector<std::jthread> helpers;

  Kept* find(const Block& block) const noexcept;
  Kept* free_place() const noexcept;
};

BlockSource::BlockSource(std::unique_ptr<Source> stored, const Codec& codec, std::vector<Block> blocks,
                         const DecodeOptions& options)
    : stored_(std::move(stored)),
      codec_(codec),
      options_(options),
      blocks_(std::move(blocks)),
      size_(blocks_.empty() ? 0 : blocks_.back().plain_offset + blocks_.back().plain_size),
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
  ahead_->helpers.clear();
}

std::size_t BlockSource::read(MutableBytes into) {
  const std::uint64_t left = position_ < size_ ? size_ - position_ : 0;
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left));
  read_at(position_, into.first(count));
  position_ += count;
  return count;
}

/// The last block that begins at or before `offset` holds it, as those of no bytes come before.
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

void BlockSource::decode(const Block& block, MutableBytes plain) const {
  const auto decoding = ahead_->decodings.take([&] {
    auto made = std::make_unique<Decoding>();
    made->decoder = codec_.decoder(options_);
    return made;
  });
  decode(block, plain, *decoding);
}

/// A part of a block, or the whole, with nothing that other calls have a part in.
void BlockSource::read_alone(const Block& block, std::size_t skip, MutableBytes into) const {
  Decoding decoding;
  decoding.decoder = codec_.decoder(options_);
  if (into.size() == block.plain_size) {
    decode(block, into, decoding);
    return;
  }
  std::vector<std::byte> plain(static_cast<std::size_t>(block.plain_size));
  decode(block, plain, decoding);
  std::copy_n(plain.begin() + static_cast<std::ptrdiff_t>(skip), into.size(), into.begin());
}

void BlockSource::decode(const Block& block, MutableBytes plain, Decoding& decoding) const {
  const auto size = static_cast<std::size_t>(block.stored_size);
  Bytes stored = stored_->memory();
  if (!stored.empty()) {
    stored = stored.subspan(static_cast<std::size_t>(block.stored_offset), size);
  } else {
    if (decoding.stored.size() < size) {
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
         std::string(codec_.name()) + " block at byte " + std::to_string(block.stored_offset) + ": " + error.message());
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

/// Whichever was used longest ago; null where all are in use.
BlockSource::Kept* BlockSource::Ahead::free_place() const noexcept {
  Kept* oldest = nullptr;
  for (const auto& one : kept) {
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

/// Decodes the block of a place; without the lock meanwhile.
void BlockSource::decode_kept(Kept& kept, std::unique_lock<std::mutex>& lock) const {
  kept.state = Kept::State::decoding;
  const Block& block = *kept.block;
  lock.unlock();
  try {
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
    if (kept == nullptr && (kept = ahead_->free_place()) != nullptr) {
      kept->block = &block;
      kept->state = Kept::State::waiting;
    }
    if (kept != nullptr && kept->state == Kept::State::ready) {
      break;
    }
    if (kept != nullptr && kept->state == Kept::State::waiting) {
      decode_kept(*kept, lock);
      break;
    }
    ahead_->changed.wait(lock);
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
      ahead_->changed.wait(lock);
      kept = ahead_->find(block);
    }
    if (kept != nullptr && kept->state == Kept::State::ready) {
      std::copy_n(kept->plain.begin(), into.size(), into.begin());
      return;
    }
    if (kept != nullptr) {
      kept->state = Kept::State::empty;  // nobody has begun with it
    }
  }
  decode(block, into);
}

/// Has the next blocks decoded where parts are read of one block after another. Called with the lock.
void BlockSource::look_ahead(const Block& block) const {
  const Block* before = std::exchange(ahead_->last, &block);
  if (options_.threads < 2 || before == nullptr || &block != before + 1) {
    return;
  }
  std::uint64_t bytes = 0;
  const Block* end = blocks_.data() + blocks_.size();
  const Block* next = &block + 1;
  bool any = false;
  for (unsigned i = 0; i < options_.threads && next != end; ++i, ++next) {
    bytes += next->plain_size;
    if (bytes > most_kept_ahead) {
      break;
    }
    if (ahead_->find(*next) != nullptr) {
      continue;
    }
    Kept* kept = ahead_->free_place();
    if (kept == nullptr) {
      break;
    }
    kept->block = next;
    kept->state = Kept::State::waiting;
    kept->used = ++ahead_->clock;
    any = true;
  }
  if (any) {
    if (ahead_->helpers.size() + 1 < options_.threads) {
      try {
        ahead_->helpers.emplace_back([this] { serve(); });
      } catch (const std::exception&) {  // no thread is to be had: what waits is decoded when it is asked for
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
    } catch (...) {  // whoever asks for it will meet the error again
    }
  }
}

}  // namespace stele
