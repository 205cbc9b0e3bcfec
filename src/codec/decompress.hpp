#pragma once
// The two ways of reading compressed files: by blocks and in order.

#include <memory>

#include "stele/codec.hpp"

namespace stele {

class StreamsSource;

/// `stored` read block by block, or null where it cannot be; then `stored` is left as it was. Its index() tells whether
/// that is to be relied on; BlockSource::take_stored() gives the file back.
class BlockSource;
std::unique_ptr<BlockSource> block_source(std::unique_ptr<Source>& stored, const Codec& codec,
                                          const DecodeOptions& options);
/// `stored` read in order, with a limit of expansion.
class InOrderSource final : public Source {
 public:
  InOrderSource(std::unique_ptr<Source> stored, const Codec& codec, const DecodeOptions& options);
  ~InOrderSource() override;

  std::size_t read(MutableBytes into) override;
  /// Reads what is left of the compressed stream (member, frame) that the last read() was in, as
  /// StreamsSource::read_rest(). With a Codec of the caller's, what is left is an error.
  std::size_t read_rest(MutableBytes into);
  void finish() override;
  /// Whether the compressed Source has random access.
  bool from_file() const noexcept { return counted_ == nullptr; }

 private:
  class Counted;
  std::size_t count_plain(std::size_t count);

  const std::uint64_t expansion_;
  std::unique_ptr<Source> stored_;
  const Counted* counted_ = nullptr;  // `stored_`, where its size is not known
  std::uint64_t stored_size_ = 0;
  std::unique_ptr<Source> plain_;
  StreamsSource* streams_ = nullptr;  // `plain_`, of a format of the library
  std::uint64_t given_ = 0;
};

/// `source` read by a thread of its own, where there may be `threads` and what it reads is a file or memory, which never
/// keeps it waiting.
std::unique_ptr<Source> reading_ahead(std::unique_ptr<InOrderSource> source, unsigned threads);

}  // namespace stele
