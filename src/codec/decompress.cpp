#include "codec/decompress.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/threads/threads.hpp"
#include "codec/blocks/source.hpp"
#include "codec/stream/streams.hpp"
#include "io/wrap/forwarding.hpp"
#include "io/wrap/read_ahead.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::uint64_t free_expansion = std::uint64_t{1} << 30;

void check_expansion(std::uint64_t plain, std::uint64_t stored, std::uint64_t limit) {
  if (plain > free_expansion && plain / std::max<std::uint64_t>(limit, 1) > stored) {
    fail(Errc::limit_exceeded, "the compressed data expands more than " + std::to_string(limit) + " times");
  }
}

}  // namespace

/// Counts the bytes read from a Source without random access.
class InOrderSource::Counted final : public ForwardingSource {
 public:
  explicit Counted(std::unique_ptr<Source> source) : ForwardingSource(*source), source_(std::move(source)) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t count = inner_.read(into);
    read_ += count;
    seen_ = std::max(seen_, read_);
    return count;
  }
  std::optional<std::size_t> peek(MutableBytes into) override {
    const auto count = inner_.peek(into);
    seen_ = std::max(seen_, read_ + count.value_or(0));
    return count;
  }
  std::uint64_t count() const noexcept { return seen_; }

 private:
  const std::unique_ptr<Source> source_;
  std::uint64_t read_ = 0;
  std::uint64_t seen_ = 0;
};

InOrderSource::InOrderSource(std::unique_ptr<Source> stored, const Codec& codec, const DecodeOptions& options)
    : expansion_(options.expansion) {
  if (stored->random_access()) {
    stored_size_ = stored->size().value_or(0);
    stored_ = std::move(stored);
  } else {
    auto counted = std::make_unique<Counted>(std::move(stored));
    counted_ = counted.get();
    stored_ = std::move(counted);
  }
  plain_ = codec.in_order(*stored_, options);
  streams_ = dynamic_cast<StreamsSource*>(plain_.get());
}

InOrderSource::~InOrderSource() = default;

template <class Read>
std::size_t InOrderSource::guarded(const Read& read) {
  if (failed_ != nullptr) {
    std::rethrow_exception(failed_);
  }
  try {
    const std::size_t count = read();
    given_ += count;
    check_expansion(given_, counted_ != nullptr ? counted_->count() : stored_size_, expansion_);
    return count;
  } catch (...) {
    failed_ = std::current_exception();
    throw;
  }
}

std::size_t InOrderSource::read(MutableBytes into) {
  return guarded([&] { return plain_->read(into); });
}

std::size_t InOrderSource::read_rest(MutableBytes into) {
  return guarded([&] {
    const std::size_t count = streams_ == nullptr ? 0 : streams_->read_rest(into);
    if (count == 0) {
      finish();
    }
    return count;
  });
}

void InOrderSource::finish() {
  plain_->finish();
  stored_->finish();
}

std::unique_ptr<Source> reading_ahead(std::unique_ptr<InOrderSource> source, unsigned threads) {
  if (source->from_file() && thread_count(threads) > 1) {
    return std::make_unique<ReadAheadSource>(std::move(source));
  }
  return source;
}

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
  return reading_ahead(std::make_unique<InOrderSource>(std::move(stored), codec, whole), options.threads);
}

}  // namespace stele
