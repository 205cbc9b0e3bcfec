#pragma once
// The interface through which readers and writers use other programs' formats. interop/ implements the formats.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "stele/codec.hpp"
#include "stele/io.hpp"
#include "stele/metadata.hpp"
#include "stele/options.hpp"
#include "stele/value.hpp"

namespace stele {

class Rereader;

/// A file of another program.
struct Neighbour {
  /// The plain bytes, from the start of the file. Compressed files are decompressed.
  Source& source;
  /// The whole file, where it is not compressed and its arrays may stay in the mapping; else null.
  std::shared_ptr<Mapping> mapping = nullptr;
  /// Empty where the bytes come from no file. Companion files lie in the same folder.
  std::string path = {};
  /// Those that count: limits, threads.
  const LoadOptions& options;
  /// Where set, large arrays may be left in the file, to be read when they are written.
  std::shared_ptr<Rereader> again = nullptr;
};

/// What such a file holds.
struct Foreign {
  std::string format;  // "npy"
  Value value;
  Metadata metadata = {};
};

class Formats {
 public:
  Formats() = default;
  Formats(const Formats&) = delete;
  Formats& operator=(const Formats&) = delete;
  virtual ~Formats() = default;

  /// As many first bytes of a file as recognition takes.
  static constexpr std::size_t first_bytes = 64;

  /// The format of a file that begins so, `first_bytes` or all, or that has such a name; empty if there is none.
  virtual std::string_view recognise(Bytes first, std::string_view path) const noexcept = 0;
  /// Reads a file of that format. Throws: Error(malformed), Error(truncated), Error(damaged), Error(unsupported),
  /// Error(limit_exceeded), Error(not_mappable), Error(io).
  virtual Foreign read(std::string_view format, const Neighbour& file) const = 0;

  /// The format that the extension of a path names, whatever codec's extension follows; empty if there is none.
  virtual std::string_view named(std::string_view path) const noexcept = 0;
  /// The codec in which a file of that format is written, so that its own program reads it, where `chosen` is asked
  /// for.
  virtual const Codec& codec(std::string_view format, const Codec& chosen) const noexcept = 0;
  /// Writes a file of that format; does not close the Sink. Throws: Error(unsupported) for a value that the format
  /// cannot hold, with its path, before anything is written; Error(io).
  virtual void write(std::string_view format, Sink& to, const Value& value, const SaveOptions& options) const = 0;
};

}  // namespace stele
