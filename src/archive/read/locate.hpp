#pragma once
// Finds the value at a path with as little decoding as the directory allows.

#include <memory>
#include <optional>
#include <string_view>

#include "archive/read/decoder/decoder.hpp"
#include "format/path.hpp"

namespace stele {

/// Opens decoders at any offset of one archive.
class Parts {
 public:
  struct Options {
    Input::Options input;
    DecoderContext context;
  };
  /// `source` and `options` must outlive this object; each decoder gets a copy of the options.
  Parts(Source& source, const Options& options) : source_(source), options_(options) {}

  /// An input and a decoder that starts at `offset` of the archive.
  struct Part {
    Part() = default;
    Part(Part&&) = default;
    Part& operator=(Part&&) = delete;  // would destroy the input before the decoder that uses it
    ~Part() = default;

    std::unique_ptr<Input> input;
    std::unique_ptr<Decoder> decoder;
  };
  Part at(std::uint64_t offset, std::string_view path) const;
  /// The same, at the target of the reference at `offset`.
  Part at_target(std::uint64_t offset, std::string_view path) const;

  /// The offset of the value at `path`; nothing if there is none.
  std::optional<std::uint64_t> locate(std::string_view path) const;

 private:
  struct Step;
  std::optional<std::uint64_t> child(std::uint64_t offset, std::string_view parent, const PathStep& step_name) const;
  const StepEntry* steps(std::string_view path) const;

  Source& source_;
  const Options& options_;
};

}  // namespace stele
