// The block pipeline: cuts plain bytes into blocks for an encoder, and reads blocks wherever they are wanted.

#include <algorithm>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>

#include "stele/codec.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

// An index that claims a larger block is not used. What such a file says is then read in order, in bounded memory.
constexpr std::uint64_t max_plain_block = std::uint64_t{64} << 20;
constexpr std::uint64_t max_stored_block = 2 * max_plain_block;

/// Compresses blocks and writes them in the order they come. What runs blocks in parallel belongs in here.
class BlockWriter {
 public:
  BlockWriter(Sink& to, const Codec& codec, int level) : to_(to), codec_(codec), level_(level) {}

  /// Writes a block. `plain` is read during this call only.
  void put(Bytes plain) {
    begin();
    if (encoder_ == nullptr) {
      encoder_ = codec_.encoder(level_);
    }
    Block block{.plain_offset = plain_, .plain_size = plain.size(), .stored_offset = stored_ + out_.size()};
    const std::size_t before = out_.size();
    block.check = encoder_->encode(plain, out_);
    block.stored_size = out_.size() - before;
    blocks_.push_back(block);
    plain_ += plain.size();
    flush();
  }

  /// Writes what stands behind the last block.
  void finish() {
    begin();
    codec_.epilogue(blocks_, out_);
    flush();
  }

 private:
  void begin() {
    if (!std::exchange(begun_, true)) {
      codec_.prologue(level_, out_);
    }
  }
  void flush() {
    if (!out_.empty()) {
      to_.write(out_);
      stored_ += out_.size();
      out_.clear();
    }
  }

  Sink& to_;
  const Codec& codec_;
  const int level_;
  std::unique_ptr<BlockEncoder> encoder_;
  std::vector<std::byte> out_;  // kept from block to block
  std::vector<Block> blocks_;
  std::uint64_t plain_ = 0;
  std::uint64_t stored_ = 0;
  bool begun_ = false;
};

/// Cuts what is written into blocks: a large write begins a block of its own and is compressed from where it lies;
/// small ones gather.
class CompressingSink final : public Sink {
 public:
  CompressingSink(Sink& to, const Codec& codec, int level)
      : writer_(to, codec, level), block_size_(std::max<std::size_t>(codec.block_size(level), 1)) {}

  void write(Bytes bytes) override {
    enter();
    if (is_large(bytes)) {
      put_gathered();
      for (; bytes.size() >= block_size_; bytes = bytes.subspan(block_size_)) {
        writer_.put(bytes.first(block_size_));
      }
      if (is_large(bytes)) {
        writer_.put(bytes);
        bytes = {};
      }
    }
    gather(bytes);
    state_ = State::open;
  }

  void close() override {
    enter();
    put_gathered();
    writer_.finish();
    state_ = State::closed;
  }

 private:
  enum class State : std::uint8_t { open, failed, closed };

  // Until a call is through, it counts as failed, so that nothing follows one that an exception has left.
  void enter() {
    if (state_ != State::open) {
      fail(Errc::io, state_ == State::closed ? "a write to compressed output that is closed"
                                             : "compressed output is incomplete, as an earlier write has failed");
    }
    state_ = State::failed;
  }
  bool is_large(Bytes bytes) const noexcept { return !bytes.empty() && bytes.size() >= block_size_ / 2; }

  void gather(Bytes bytes) {
    while (!bytes.empty()) {
      const std::size_t count = std::min(bytes.size(), block_size_ - gathered_.size());
      const std::size_t need = gathered_.size() + count;
      if (need > gathered_.capacity()) {
        gathered_.reserve(std::min(block_size_, std::max<std::size_t>({need, 2 * gathered_.capacity(), 4096})));
      }
      gathered_.insert(gathered_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
      if (gathered_.size() == block_size_) {
        put_gathered();
      }
      bytes = bytes.subspan(count);
    }
  }
  void put_gathered() {
    if (!gathered_.empty()) {
      writer_.put(gathered_);
      gathered_.clear();
    }
  }

  BlockWriter writer_;
  const std::size_t block_size_;
  std::vector<std::byte> gathered_;  // never more than a block
  State state_ = State::open;
};

/// Whether blocks lie without gaps in the plain bytes, in order in the file and inside it, and are small enough to be
/// allocated on the word of the file.
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

/// The plain bytes of a file whose blocks are known. A block that lies whole in a request is decoded to where it is
/// wanted; of others, the last one is kept.
class IndexedSource final : public Source {
 public:
  IndexedSource(std::unique_ptr<Source> stored, const Codec& codec, std::vector<Block> blocks,
                const DecodeOptions& options)
      : stored_(std::move(stored)),
        codec_(codec),
        options_(options),
        blocks_(std::move(blocks)),
        size_(blocks_.empty() ? 0 : blocks_.back().plain_offset + blocks_.back().plain_size) {}

  std::optional<std::uint64_t> size() const override { return size_; }
  bool random_access() const noexcept override { return true; }

  void seek(std::uint64_t offset) override { position_ = offset; }

  std::size_t read(MutableBytes into) override {
    const std::uint64_t left = position_ < size_ ? size_ - position_ : 0;
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left));
    read_at(position_, into.first(count));
    position_ += count;
    return count;
  }

  void read_at(std::uint64_t offset, MutableBytes into) const override {
    if (into.empty()) {
      return;
    }
    if (offset > size_ || into.size() > size_ - offset) {
      fail(Errc::truncated, "a read of " + std::to_string(into.size()) + " bytes at byte " + std::to_string(offset) +
                                " of a compressed archive of " + std::to_string(size_));
    }
    // The last block that begins at or before `offset` holds it, as those of no bytes come before.
    auto block = std::prev(std::upper_bound(blocks_.begin(), blocks_.end(), offset,
                                            [](std::uint64_t at, const Block& b) { return at < b.plain_offset; }));
    for (; !into.empty(); ++block) {
      const auto skip = static_cast<std::size_t>(offset - block->plain_offset);
      const std::size_t count = std::min(into.size(), static_cast<std::size_t>(block->plain_size) - skip);
      if (count == block->plain_size) {
        decode(*block, into.first(count));
      } else {
        copy_part(*block, skip, into.first(count));
      }
      into = into.subspan(count);
      offset += count;
    }
  }

 private:
  /// What one call in progress needs to decode.
  struct Worker {
    std::unique_ptr<BlockDecoder> decoder;
    std::vector<std::byte> stored;
  };

  std::unique_ptr<Worker> idle_worker() const {
    {
      const std::lock_guard lock(workers_mutex_);
      if (!workers_.empty()) {
        auto worker = std::move(workers_.back());
        workers_.pop_back();
        return worker;
      }
    }
    auto worker = std::make_unique<Worker>();
    worker->decoder = codec_.decoder(options_);
    return worker;
  }

  void decode(const Block& block, MutableBytes plain) const {
    auto worker = idle_worker();
    const auto size = static_cast<std::size_t>(block.stored_size);
    Bytes stored = stored_->memory();
    if (!stored.empty()) {
      stored = stored.subspan(static_cast<std::size_t>(block.stored_offset), size);
    } else {
      if (worker->stored.size() < size) {
        worker->stored.resize(size);
      }
      const auto into = MutableBytes(worker->stored).first(size);
      stored_->read_at(block.stored_offset, into);
      stored = into;
    }
    try {
      worker->decoder->decode(block, stored, plain);
    } catch (const Error& error) {
      fail(error.code(), std::string(codec_.name()) + " block at byte " + std::to_string(block.stored_offset) + ": " +
                             error.message());
    }
    const std::lock_guard lock(workers_mutex_);
    workers_.push_back(std::move(worker));
  }

  void copy_part(const Block& block, std::size_t skip, MutableBytes into) const {
    const std::lock_guard lock(kept_mutex_);
    if (kept_ != &block) {
      kept_ = nullptr;
      kept_bytes_.resize(static_cast<std::size_t>(block.plain_size));
      decode(block, kept_bytes_);
      kept_ = &block;
    }
    std::copy_n(kept_bytes_.begin() + static_cast<std::ptrdiff_t>(skip), into.size(), into.begin());
  }

  const std::unique_ptr<Source> stored_;
  const Codec& codec_;
  const DecodeOptions options_;
  const std::vector<Block> blocks_;
  const std::uint64_t size_;
  std::uint64_t position_ = 0;

  mutable std::mutex workers_mutex_;
  mutable std::vector<std::unique_ptr<Worker>> workers_;  // as many as calls ran at once

  mutable std::mutex kept_mutex_;
  mutable const Block* kept_ = nullptr;
  mutable std::vector<std::byte> kept_bytes_;
};

/// A codec's Source in order together with the compressed one it reads.
class InOrderSource final : public Source {
 public:
  InOrderSource(std::unique_ptr<Source> stored, const Codec& codec, const DecodeOptions& options)
      : stored_(std::move(stored)), plain_(codec.in_order(*stored_, options)) {}

  std::size_t read(MutableBytes into) override { return plain_->read(into); }
  void finish() override { plain_->finish(); }

 private:
  const std::unique_ptr<Source> stored_;
  const std::unique_ptr<Source> plain_;
};

}  // namespace

std::unique_ptr<Sink> compressing_sink(Sink& to, const Codec& codec, std::optional<int> level,
                                       unsigned /*threads*/) {
  const LevelRange levels = codec.levels();
  const int chosen = level.value_or(levels.standard);
  if (chosen < levels.lowest || chosen > levels.highest) {
    fail(Errc::invalid_argument, std::string(codec.name()) + " has levels " + std::to_string(levels.lowest) + " to " +
                                     std::to_string(levels.highest) + ", not " + std::to_string(chosen));
  }
  if (auto sink = codec.in_order_sink(to, chosen)) {
    return sink;
  }
  return std::make_unique<CompressingSink>(to, codec, chosen);
}

std::unique_ptr<Source> decompressing_source(std::unique_ptr<Source> stored, const Codec& codec,
                                             const DecodeOptions& options) {
  if (stored->random_access()) {
    auto index = codec.index(*stored);
    if (index && usable(index->blocks, stored->size().value_or(0))) {
      return std::make_unique<IndexedSource>(std::move(stored), codec, std::move(index->blocks), options);
    }
  }
  return std::make_unique<InOrderSource>(std::move(stored), codec, options);
}

}  // namespace stele
