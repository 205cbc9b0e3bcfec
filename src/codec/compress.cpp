#include "codec/compress.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/process.hpp"
#include "base/threads/interruption.hpp"
#include "base/threads/threads.hpp"
#include "codec/builtin.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

/// A call counts as failed until it returns, so that nothing follows a call that threw.
class Progress {
 public:
  void enter() {
    mark_.require_same_process("compressed output");
    if (state_ != State::open) {
      fail(Errc::io, state_ == State::closed ? "a write to compressed output that is closed"
                                             : "compressed output is incomplete, as an earlier write has failed");
    }
    state_ = State::failed;
  }
  void leave() noexcept { state_ = State::open; }
  void close() noexcept { state_ = State::closed; }

 private:
  enum class State : std::uint8_t { open, failed, closed };
  State state_ = State::open;
  ProcessMark mark_;
};

/// Compresses samples. Deflate stands in for slow formats: its sizes for two arrays usually compare in the same way.
class Trial {
 public:
  Trial(const Codec& codec, int level) {
    if (codec.name() == "lz4" || codec.name() == "zstd") {
      encoder_ = codec.encoder(std::min(level, codec.levels().standard));
    } else {
      stand_in_ = gzip_codec();
      encoder_ = stand_in_->encoder(stand_in_->levels().lowest);
    }
  }
  std::size_t operator()(Bytes sample) {
    out_.clear();
    encoder_->encode(sample, out_);
    return out_.size();
  }

 private:
  std::shared_ptr<const Codec> stand_in_;
  std::unique_ptr<BlockEncoder> encoder_;
  std::vector<std::byte> out_;
};

/// The block size for a large run: equal blocks at multiples of `unit`, an even number if there are few, so that two
/// threads get the same work. At most `block_size`. Depends only on the sizes, so that equal objects give equal files.
std::uint64_t block_bytes(std::uint64_t run, std::size_t block_size, std::size_t unit) {
  constexpr std::uint64_t few = 16;
  const std::uint64_t most = std::max<std::uint64_t>(block_size / unit * unit, unit);
  std::uint64_t count = (run + most - 1) / most;
  if (count < few) {
    count += count % 2;
  }
  const std::uint64_t even = (run + count - 1) / count;
  return (even + unit - 1) / unit * unit;
}

/// Cuts the output into blocks. A large run starts its own block and is compressed in place; small ones are collected.
/// If the format needs blocks of one size, everything is collected, but whole blocks are still compressed in place.
class BlockSink final : public CompressingSink {
 public:
  BlockSink(Sink& to, const Codec& codec, int level, unsigned threads)
      : codec_(codec),
        level_(level),
        writer_(make_process_owned<BlockWriter>(to, codec, level, threads)),
        block_size_(std::max<std::size_t>(codec.block_size(level), 1)),
        fixed_(codec.fixed_blocks()) {}

  void write(Bytes bytes) override {
    guarded([&] { put_any(bytes); });
  }

  void write_beside(Bytes bytes, const std::function<void()>& task) override {
    guarded([&] {
      writer_->put_task(task);
      put_any(bytes);
      writer_->settle();
    });
  }

  void write_made(std::uint64_t size, std::size_t unit, const MakeBytes& make,
                  const std::function<void()>& task) override {
    guarded([&] {
      writer_->put_task(task);
      if (fixed_ || unit > block_size_ || !is_large(size)) {
        std::vector<std::byte> made;
        const std::uint64_t step = std::max<std::uint64_t>(block_size_ / unit * unit, unit);
        for (std::uint64_t at = 0; at < size; at += step) {
          made.resize(static_cast<std::size_t>(std::min(step, size - at)));
          make(at, made);
          gather(made);
        }
      } else {
        put_gathered();
        const std::uint64_t step = block_bytes(size, block_size_, unit);
        for (std::uint64_t at = 0; at < size; at += step) {
          writer_->put_made(make, at, static_cast<std::size_t>(std::min(step, size - at)));
        }
      }
      writer_->settle();
    });
  }

  std::size_t trial(Bytes sample) override {
    if (!trial_) {
      trial_.emplace(codec_, level_);
    }
    return (*trial_)(sample);
  }

  void end_block() override {
    guarded([&] {
      if (!fixed_) {
        put_gathered();
      }
    });
  }

  void close() override {
    progress_.enter();
    put_gathered();
    writer_->finish();
    progress_.close();
  }

 private:
  /// Runs `f`. What `f` puts refers to the caller's memory, so all of it is abandoned when an exception passes.
  template <class F>
  void guarded(F&& f) {
    progress_.enter();
    try {
      f();
    } catch (...) {
      writer_->abandon();
      throw;
    }
    progress_.leave();
  }

  bool is_large(std::uint64_t size) const noexcept { return size > 0 && size >= block_size_ / 2; }

  void put_any(Bytes bytes) {
    if (fixed_) {
      put_fixed(bytes);
    } else if (is_large(bytes.size())) {
      put_gathered();
      put_run(bytes);
      writer_->settle();
    } else {
      gather(bytes);
    }
  }

  void put_run(Bytes bytes) {
    constexpr std::size_t unit = 64;  // so that no element is split
    const auto step = static_cast<std::size_t>(block_bytes(bytes.size(), block_size_, unit));
    while (!bytes.empty()) {
      const std::size_t count = std::min(step, bytes.size());
      writer_->put(bytes.first(count));
      bytes = bytes.subspan(count);
    }
  }

  void put_fixed(Bytes bytes) {
    if (bytes.size() >= block_size_ - gathered_.size()) {
      if (!gathered_.empty()) {
        const std::size_t missing = block_size_ - gathered_.size();
        gather(bytes.first(missing));
        bytes = bytes.subspan(missing);
      }
      const bool any = bytes.size() >= block_size_;
      for (; bytes.size() >= block_size_; bytes = bytes.subspan(block_size_)) {
        writer_->put(bytes.first(block_size_));
      }
      if (any) {
        writer_->settle();
      }
    }
    gather(bytes);
  }

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
      writer_->put_owned(gathered_);
    }
  }

  const Codec& codec_;
  const int level_;
  std::vector<std::byte> gathered_;  // at most one block
  std::optional<Trial> trial_;
  ProcessOwned<BlockWriter> writer_;
  const std::size_t block_size_;
  const bool fixed_;
  Progress progress_;
};

/// For formats without blocks.
class StreamSink final : public CompressingSink {
 public:
  StreamSink(std::unique_ptr<Sink> stream, const Codec& codec, int level)
      : stream_(std::move(stream)), trial_(codec, level) {}

  void write(Bytes bytes) override {
    constexpr std::size_t piece = std::size_t{256} << 10;
    progress_.enter();
    for (; !bytes.empty(); bytes = bytes.subspan(std::min(piece, bytes.size()))) {
      interruption_point();
      stream_->write(bytes.first(std::min(piece, bytes.size())));
    }
    progress_.leave();
  }
  void write_beside(Bytes bytes, const std::function<void()>& task) override {
    task();
    write(bytes);
  }
  void write_made(std::uint64_t size, std::size_t unit, const MakeBytes& make,
                  const std::function<void()>& task) override {
    task();
    constexpr std::size_t piece = std::size_t{1} << 20;
    const std::uint64_t step = std::max(piece / unit * unit, unit);
    std::vector<std::byte> made;
    for (std::uint64_t at = 0; at < size; at += step) {
      made.resize(static_cast<std::size_t>(std::min(step, size - at)));
      make(at, made);
      write(made);
    }
  }
  std::size_t trial(Bytes sample) override { return trial_(sample); }
  void close() override {
    progress_.enter();
    stream_->close();
    progress_.close();
  }

 private:
  const std::unique_ptr<Sink> stream_;
  Trial trial_;
  Progress progress_;
};

}  // namespace

std::unique_ptr<CompressingSink> make_compressing_sink(Sink& to, const Codec& codec, std::optional<int> level,
                                                       unsigned threads) {
  const LevelRange levels = codec.levels();
  const int chosen = level.value_or(levels.standard);
  if (chosen < levels.lowest || chosen > levels.highest) {
    fail(Errc::invalid_argument, std::string(codec.name()) + " has levels " + std::to_string(levels.lowest) + " to " +
                                     std::to_string(levels.highest) + ", not " + std::to_string(chosen));
  }
  if (auto stream = codec.in_order_sink(to, chosen)) {
    return std::make_unique<StreamSink>(std::move(stream), codec, chosen);
  }
  return std::make_unique<BlockSink>(to, codec, chosen, thread_count(threads));
}

std::unique_ptr<Sink> compressing_sink(Sink& to, const Codec& codec, std::optional<int> level, unsigned threads) {
  return make_compressing_sink(to, codec, level, threads);
}

}  // namespace stele
