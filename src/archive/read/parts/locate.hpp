#pragma once
// Finds the value at a path with as little decoding as the directory allows.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "archive/read/decoder/decoder.hpp"
#include "format/path/path.hpp"

namespace stele {

/// The index of a sequence's item that a step names.
std::optional<std::uint64_t> index_of(const std::string& name);
/// Reads the key of entry `index` of a map; returns whether the step names it. `key` is a buffer for its text.
bool key_is(Decoder& decoder, const PathStep& step, std::uint64_t index, std::string& key);

/// Opens decoders at any offset of one archive.
class Parts {
 public:
  struct Options {
    Input::Options input;
    DecoderContext context;
  };
  /// `source` and `options` must outlive this object; each decoder gets a copy of the options.
  Parts(Source& source, const Options& options) : source_(source), options_(options) {}

  /// Starts at `offset` of the archive.
  using Part = std::unique_ptr<Decoding>;
  Part at(std::uint64_t offset, std::string_view path) const;
  /// The same, at the target of the reference at `offset`.
  Part at_target(std::uint64_t offset, std::string_view path) const;

  /// The offset of the value at `path`; nothing if there is none.
  std::optional<std::uint64_t> locate(std::string_view path) const;

 private:
  struct Step;
  std::optional<std::uint64_t> child(std::uint64_t offset, std::string_view parent, const PathStep& step_name) const;
  std::optional<std::uint64_t> child_of(std::uint64_t offset, std::string_view parent, const PathStep& step_name) const;
  std::optional<std::uint64_t> member(std::uint64_t offset, std::string_view parent, const PathStep& step_name) const;
  const StepEntry* steps(std::string_view path) const;

  Source& source_;
  const Options& options_;
};

}  // namespace stele
