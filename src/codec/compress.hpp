#pragma once
// The Sink behind compressing_sink(), with what the archive's writer asks of it beyond a Sink.

#include <functional>
#include <memory>
#include <optional>

#include "codec/blocks/writer.hpp"
#include "stele/codec.hpp"

namespace stele {

class CompressingSink : public Sink {
 public:
  /// Writes all of `bytes` and does `task` beside, before it returns.
  virtual void write_beside(Bytes bytes, const std::function<void()>& task) = 0;
  /// Writes a run of `size` bytes that `make` makes, on any thread, in pieces that begin at multiples of `unit` and end
  /// at others or at the end of the run; and does `task` beside.
  virtual void write_made(std::uint64_t size, std::size_t unit, const MakeBytes& make,
                          const std::function<void()>& task) = 0;
  /// The size of a sample compressed about as the format does it, but quickly: to compare ways of writing the same.
  virtual std::size_t trial(Bytes sample) = 0;
};

/// As compressing_sink().
std::unique_ptr<CompressingSink> make_compressing_sink(Sink& to, const Codec& codec, std::optional<int> level,
                                                       unsigned threads);

}  // namespace stele
