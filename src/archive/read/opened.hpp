#pragma once
// An archive in a file, in memory or in a stream: its plain bytes and what is known of them before reading.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "archive/read/decoder/decoder.hpp"
#include "archive/read/input.hpp"
#include "stele/codec.hpp"
#include "stele/options.hpp"

namespace stele {

class InOrderSource;
struct LinkTable;

/// The end of an archive.
struct Tail {
  Directory directory;
  Trailer trailer;
};

/// Plain bytes to read archives from.
struct Opened {
  std::unique_ptr<Codecs> codecs;     // the built-in ones, if the options name no others
  std::unique_ptr<Source> source;     // delivers plain bytes
  InOrderSource* in_order = nullptr;  // `source`, or the source below it, if compressed data is read in order
  std::shared_ptr<Mapping> mapping;
  std::shared_ptr<const LinkTable> links;                // of a linked archive
  std::function<void(std::uint64_t offset)> handed_out;  // as DecoderContext::handed_out
  std::string name;                                      // as Error::file()
  std::string codec = "plain";
  std::uint64_t stored_bytes = 0;        // of the file, 0 if unknown
  std::function<std::uint64_t()> taken;  // returns the number of bytes read so far, if it is not known in advance
  bool compressed = false;
  bool embedded = false;  // other bytes may follow the archive
  LoadOptions options;

  Verify verify() const noexcept;
  /// Options for reading one archive that begins at `start` of the source.
  Input::Options input_options(std::uint64_t start) const;
  /// The context for a decoder of that archive. `tail` may be null if it is not known; otherwise it must outlive the
  /// decoder.
  DecoderContext context(const Tail* tail) const;
};

/// The same for a value without an archive. `file` is as Error::file().
DecoderContext bare_context(const LoadOptions& options, std::string file);

/// Which part of a file will be read. Compressed data whose blocks do not carry all checksums of the file is read in
/// order, unless only parts are wanted.
enum class Loading : std::uint8_t { whole, parts };

/// Opens a file. Throws: Error(not_mappable) if a compressed file is to be mapped.
Opened open_path(const Path& path, const LoadOptions& options, Loading loading);
/// The same to read its directory alone: files that a linked archive refers to are not opened.
Opened open_to_list(const Path& path, const LoadOptions& options);
/// Opens a Source and recognizes the codec from its first bytes. Takes bytes from no other place.
Opened open_source(std::unique_ptr<Source> source, const LoadOptions& options, Loading loading);
/// Opens a Source that may continue after the archive. Compressed data is read in order, and no byte after the archive
/// is consumed.
Opened open_stream(std::unique_ptr<Source> source, const LoadOptions& options);
/// Whether an archive may begin with these bytes, twelve or fewer.
bool may_be_label(Bytes first) noexcept;

/// Reads on by `read` in compressed data whose plain bytes were found wrong, up to 64 MiB of them: the largest block
/// that is checked as a whole where blocks are read at random. So every way of reading gives the same verdict.
/// Throws: Error(damaged), Error(truncated) for the compressed data.
void read_on(const std::function<std::size_t(MutableBytes)>& read);

/// Replaces an in-order source by its decompressed bytes in memory, so that parts can be read.
void hold_plain(Opened& opened);

/// Reads the end of the archive at `start` from the end of the source. Nothing if the source has no random access or
/// the archive does not end where the source does.
/// Throws: Error(damaged) …
std::optional<Tail> read_tail(const Opened& opened, std::uint64_t start);
/// The same, but reads the archive from its start if necessary.
Tail find_tail(const Opened& opened, std::uint64_t start);
/// Reads an archive from its start and applies the checks that `input` and `context` ask for.
Tail pass_through(const Opened& opened, const Input::Options& input, DecoderContext context);

}  // namespace stele
