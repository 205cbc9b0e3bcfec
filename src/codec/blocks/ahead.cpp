#include "codec/blocks/ahead.hpp"

#include <algorithm>
#include <utility>

#include "base/threads/threads.hpp"
#include "stele/error.hpp"

namespace stele {

BlocksAhead::BlocksAhead(unsigned threads, std::function<std::unique_ptr<BlockDecoder>()> decoder)
    : threads_(thread_count(threads)), make_decoder_(std::move(decoder)), crew_(make_process_owned<Crew>(threads_)) {}

std::size_t BlocksAhead::plain_size() const noexcept {
  return blocks_.empty() ? 0 : static_cast<std::size_t>(blocks_.back().plain_offset + blocks_.back().plain_size);
}

std::size_t BlocksAhead::stored_size() const noexcept {
  return blocks_.empty() ? 0 : static_cast<std::size_t>(blocks_.back().stored_offset + blocks_.back().stored_size);
}

bool BlocksAhead::has_room(std::uint64_t plain_size, std::uint64_t stored_size) const noexcept {
  const std::uint64_t plain = this->plain_size();
  const std::uint64_t stored = this->stored_size();
  const bool enough = std::max(plain, stored) >= usual_size && blocks_.size() % threads_ == 0;
  return plain_size <= most_plain - plain && stored_size <= most_stored - stored && !enough;
}

void BlocksAhead::add(std::uint64_t plain_size, std::uint64_t stored_size, std::uint64_t check) {
  blocks_.push_back({.plain_offset = this->plain_size(),
                     .plain_size = plain_size,
                     .stored_offset = this->stored_size(),
                     .stored_size = stored_size,
                     .check = check});
}

const std::vector<Block>& BlocksAhead::decode(Bytes stored, MutableBytes into) {
  if (blocks_.size() < 2) {
    blocks_.clear();
    return blocks_;
  }
  in_place_ = into.size() >= plain_size();
  if (!in_place_ && capacity_ < plain_size()) {
    plain_.reset();
    plain_ = std::make_unique_for_overwrite<std::byte[]>(plain_size());
    capacity_ = plain_size();
  }
  std::byte* const plain = in_place_ ? into.data() : plain_.get();
  std::vector<char> good(blocks_.size());
  std::atomic<std::size_t> next = 0;
  const std::function<void()> work = [&] {
    for (std::size_t i = next++; i < blocks_.size(); i = next++) {
      const Block& block = blocks_[i];
      try {
        const auto decoder = decoders_.take(make_decoder_);
        decoder->decode(
            block,
            stored.subspan(static_cast<std::size_t>(block.stored_offset), static_cast<std::size_t>(block.stored_size)),
            {plain + block.plain_offset, static_cast<std::size_t>(block.plain_size)});
        good[i] = 1;
      } catch (...) {  // reading in order reports the error
      }
    }
  };
  constexpr std::size_t parallel_bytes = std::size_t{256} << 10;  // for less, threads cost more than they save
  if (plain_size() < parallel_bytes) {
    work();
  } else {
    crew_->run(work);
  }
  const auto bad = std::find(good.begin(), good.end(), char{0});
  if (bad != good.end()) {
    threads_ = 1;
    blocks_.resize(static_cast<std::size_t>(bad - good.begin()));
  }
  return blocks_;
}

std::size_t BlocksAhead::give(MutableBytes into) {
  const std::size_t count = std::min(into.size(), plain_size() - given_);
  if (!in_place_) {
    std::copy_n(plain_.get() + given_, count, into.begin());
  }
  given_ += count;
  return count;
}

/// The block of the last byte returned; null if there is none.
const Block* BlocksAhead::current() const noexcept {
  const auto end = [](const Block& block) { return block.plain_offset + block.plain_size; };
  const auto found = std::find_if(blocks_.begin(), blocks_.end(), [&](const Block& b) { return end(b) >= given_; });
  return found == blocks_.end() ? nullptr : &*found;
}

std::size_t BlocksAhead::left_of_block() const noexcept {
  const Block* block = current();
  return block == nullptr ? 0 : static_cast<std::size_t>(block->plain_offset + block->plain_size - given_);
}

std::size_t BlocksAhead::stored_after() const noexcept {
  const Block* block = current();
  return block == nullptr ? 0 : stored_size() - static_cast<std::size_t>(block->stored_offset + block->stored_size);
}

void BlocksAhead::clear() noexcept {
  blocks_.clear();
  given_ = 0;
  if (capacity_ > 2 * usual_size) {
    plain_.reset();
    capacity_ = 0;
  }
}

}  // namespace stele
