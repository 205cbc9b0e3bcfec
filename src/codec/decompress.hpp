#pragma once
// The two ways to read compressed files: by blocks, and in order.

#include <exception>
#include <memory>

#include "stele/codec.hpp"

namespace stele {

class StreamsSource;

/// Reads `stored` block by block. Null if that is not possible; `stored` is then unchanged. index() of the result tells
/// whether its blocks can be relied on; BlockSource::take_stored() returns the file.
class BlockSource;
std::unique_ptr<BlockSource> block_source(std::unique_ptr<Source>& stored, const Codec& codec,
                                          const DecodeOptions& options);
/// Reads `stored` in order, with an expansion limit.
class InOrderSource final : public Source {
 public:
  InOrderSource(std::unique_ptr<Source> stored, const Codec& codec, const DecodeOptions& options);
  ~InOrderSource() override;

  std::size_t read(MutableBytes into) override;
  /// Reads what is left of the compressed stream (member, frame) that the last read() was in, as
  /// StreamsSource::read_rest(). Without has_streams(), what is left is an error.
  std::size_t read_rest(MutableBytes into);
  void finish() override;
  /// Whether the format is one of the library, whose streams can be told apart.
  bool has_streams() const noexcept { return streams_ != nullptr; }
  /// Whether the compressed Source has random access.
  bool from_file() const noexcept { return counted_ == nullptr; }

 private:
  class Counted;
  template <class Read>
  std::size_t guarded(const Read& read);

  const std::uint64_t expansion_;
  std::unique_ptr<Source> stored_;
  const Counted* counted_ = nullptr;  // `stored_`, if its size is not known
  std::uint64_t stored_size_ = 0;
  std::unique_ptr<Source> plain_;
  StreamsSource* streams_ = nullptr;  // `plain_`, if the format is built in
  std::uint64_t given_ = 0;
  std::exception_ptr failed_;  // what every read throws from then on
};

/// Reads `source` on a separate thread, if `threads` allows more than one and it reads a file or memory, which never
/// blocks for long.
std::unique_ptr<Source> reading_ahead(std::unique_ptr<InOrderSource> source, unsigned threads);

}  // namespace stele
