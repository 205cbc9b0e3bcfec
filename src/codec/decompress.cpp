#include "codec/decompress.hpp"

#include <utility>

#include "base/threads.hpp"
#include "codec/block_source.hpp"

namespace stele {
namespace {

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

std::unique_ptr<BlockSource> block_source(std::unique_ptr<Source>& stored, const Codec& codec,
                                          const DecodeOptions& options, bool& certain) {
  if (!stored->random_access()) {
    return nullptr;
  }
  auto index = codec.index(*stored);
  if (!index || !usable(index->blocks, stored->size().value_or(0))) {
    return nullptr;
  }
  certain = index->certain;
  DecodeOptions chosen = options;
  chosen.threads = thread_count(options.threads);
  return std::make_unique<BlockSource>(std::move(stored), codec, std::move(index->blocks), chosen);
}

std::unique_ptr<Source> in_order_source(std::unique_ptr<Source> stored, const Codec& codec,
                                        const DecodeOptions& options) {
  return std::make_unique<InOrderSource>(std::move(stored), codec, options);
}

std::unique_ptr<Source> decompressing_source(std::unique_ptr<Source> stored, const Codec& codec,
                                             const DecodeOptions& options) {
  bool certain = false;
  auto blocks = block_source(stored, codec, options, certain);
  if (blocks != nullptr && certain) {
    return blocks;
  }
  if (blocks != nullptr) {
    stored = blocks->take_stored();
  }
  return in_order_source(std::move(stored), codec, options);
}

}  // namespace stele
