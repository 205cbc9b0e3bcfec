#include "codec/decompress.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/threads.hpp"
#include "codec/blocks/source.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::uint64_t free_expansion = std::uint64_t{1} << 30;

void check_expansion(std::uint64_t plain, std::uint64_t stored, std::uint64_t limit) {
  if (plain > free_expansion && plain / std::max<std::uint64_t>(limit, 1) > stored) {
    fail(Errc::limit_exceeded, "the compressed data expands more than " + std::to_string(limit) + " times");
  }
}

/// Counts what is seen of a Source without random access.
class CountedSource final : public Source {
 public:
  explicit CountedSource(std::unique_ptr<Source> source) : source_(std::move(source)) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t count = source_->read(into);
    read_ += count;
    seen_ = std::max(seen_, read_);
    return count;
  }
  std::optional<std::size_t> peek(MutableBytes into) override {
    const auto count = source_->peek(into);
    seen_ = std::max(seen_, read_ + count.value_or(0));
    return count;
  }
  void finish() override { source_->finish(); }
  std::uint64_t count() const noexcept { return seen_; }

 private:
  const std::unique_ptr<Source> source_;
  std::uint64_t read_ = 0;
  std::uint64_t seen_ = 0;
};

/// A codec's Source in order together with the compressed one it reads.
class InOrderSource final : public Source {
 public:
  InOrderSource(std::unique_ptr<Source> stored, const Codec& codec, const DecodeOptions& options)
      : expansion_(options.expansion) {
    if (stored->random_access()) {
      stored_size_ = stored->size().value_or(0);
      stored_ = std::move(stored);
    } else {
      auto counted = std::make_unique<CountedSource>(std::move(stored));
      counted_ = counted.get();
      stored_ = std::move(counted);
    }
    plain_ = codec.in_order(*stored_, options);
  }

  std::size_t read(MutableBytes into) override {
    const std::size_t count = plain_->read(into);
    given_ += count;
    check_expansion(given_, counted_ != nullptr ? counted_->count() : stored_size_, expansion_);
    return count;
  }
  void finish() override {
    plain_->finish();
    stored_->finish();
  }

 private:
  const std::uint64_t expansion_;
  std::unique_ptr<Source> stored_;
  const CountedSource* counted_ = nullptr;  // `stored_`, where its size is not known
  std::uint64_t stored_size_ = 0;
  std::unique_ptr<Source> plain_;
  std::uint64_t given_ = 0;
};

}  // namespace

std::unique_ptr<BlockSource> block_source(std::unique_ptr<Source>& stored, const Codec& codec,
                                          const DecodeOptions& options) {
  if (!stored->random_access()) {
    return nullptr;
  }
  auto index = codec.index(*stored);
  if (!index || !usable(index->blocks, stored->size().value_or(0))) {
    return nullptr;
  }
  DecodeOptions chosen = options;
  chosen.threads = thread_count(options.threads);
  return std::make_unique<BlockSource>(std::move(stored), codec, std::move(*index), chosen);
}

std::unique_ptr<Source> in_order_source(std::unique_ptr<Source> stored, const Codec& codec,
                                        const DecodeOptions& options) {
  return std::make_unique<InOrderSource>(std::move(stored), codec, options);
}

std::unique_ptr<Source> decompressing_source(std::unique_ptr<Source> stored, const Codec& codec,
                                             const DecodeOptions& options) {
  const std::uint64_t stored_size = stored->size().value_or(0);
  auto blocks = block_source(stored, codec, options);
  if (blocks != nullptr && blocks->index().certain && blocks->index().complete) {
    check_expansion(blocks->size().value_or(0), stored_size, options.expansion);
    return blocks;
  }
  if (blocks != nullptr) {
    stored = blocks->take_stored();
  }
  DecodeOptions whole = options;
  whole.whole = true;
  return in_order_source(std::move(stored), codec, whole);
}

}  // namespace stele
