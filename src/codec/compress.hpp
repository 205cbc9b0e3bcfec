#pragma once
// The Sink returned by compressing_sink(), with the extra operations that the archive writer uses.

#include <functional>
#include <memory>
#include <optional>

#include "codec/blocks/writer.hpp"
#include "stele/codec.hpp"

namespace stele {

class CompressingSink : public Sink {
 public:
  /// Writes all of `bytes` and runs `task` in parallel; both are done on return.
  virtual void write_beside(Bytes bytes, const std::function<void()>& task) = 0;
  /// Writes a run of `size` bytes that `make` makes on any thread, in pieces that begin and end at multiples of `unit`
  /// or end at the end of the run. Runs `task` in parallel.
  virtual void write_made(std::uint64_t size, std::size_t unit, const MakeBytes& make,
                          const std::function<void()>& task) = 0;
  /// The size of a sample compressed about as the format would do it, but faster. For comparing representations of the
  /// same data.
  virtual std::size_t trial(Bytes sample) = 0;
  /// Begins a new block with the next byte, where the format has blocks and their size is not fixed.
  virtual void end_block() {}
};

/// As compressing_sink().
std::unique_ptr<CompressingSink> make_compressing_sink(Sink& to, const Codec& codec, std::optional<int> level,
                                                       unsigned threads);

}  // namespace stele
