#pragma once
// An archive found in a file, in memory or in a stream: its plain bytes and what is known of them before reading.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "archive/read/decoder.hpp"
#include "archive/read/input.hpp"
#include "stele/codec.hpp"
#include "stele/options.hpp"

namespace stele {

class InOrderSource;

/// The end of an archive.
struct Tail {
  Directory directory;
  Trailer trailer;
};

/// Plain bytes to read archives from.
struct Opened {
  std::unique_ptr<Codecs> codecs;     // those of the build, if the options name no others
  std::unique_ptr<Source> source;     // of plain bytes
  InOrderSource* in_order = nullptr;  // `source`, or what it reads from, where compressed data is read in order
  std::shared_ptr<Mapping> mapping;
  std::string name;  // as Error::file()
  std::string codec = "plain";
  std::uint64_t stored_bytes = 0;        // of the file, 0 if unknown
  std::function<std::uint64_t()> taken;  // how many were read so far, where that is not known beforehand
  bool compressed = false;
  bool embedded = false;  // other bytes may follow the archive
  LoadOptions options;

  Verify verify() const noexcept;
  /// Options for reading one archive that begins at `start` of the source.
  Input::Options input_options(std::uint64_t start) const;
  /// What a decoder of that archive is told; `tail`, null where it is not known, must outlive the decoder.
  DecoderContext context(const Tail* tail) const;
};

/// The same for a value without an archive around it. `file` is as Error::file().
DecoderContext bare_context(const LoadOptions& options, std::string file);

/// What is to be read of a file. Compressed data whose blocks do not carry all checks of the file is read in order,
/// unless only parts are wanted.
enum class Loading : std::uint8_t { whole, parts };

/// Opens a file. Throws: Error(not_mappable) where mapping is asked of a compressed file.
Opened open_path(const Path& path, const LoadOptions& options, Loading loading);
/// Opens a Source: sniffs the codec at its beginning. Nothing but what is opened comes from it.
Opened open_source(std::unique_ptr<Source> source, const LoadOptions& options, Loading loading);
/// Opens a Source that may go on behind the archive: compressed data is read in order, and only as far as it belongs to
/// the archive.
Opened open_stream(std::unique_ptr<Source> source, const LoadOptions& options);
/// Whether an archive may begin with these bytes, twelve or fewer.
bool may_be_label(Bytes first) noexcept;

/// Replaces an in-order source by its plain bytes in memory, so that it can be read in parts.
void hold_plain(Opened& opened);

/// The end of the archive at `start`, read from the end of the source; nothing if the source has no random access or the
/// archive does not end where the source does. Throws: Error(damaged) …
std::optional<Tail> read_tail(const Opened& opened, std::uint64_t start);
/// A read_write mapping that brings the archive's checksums up to date when its last user goes.
std::shared_ptr<Mapping> updating_mapping(std::shared_ptr<Mapping> mapping, Tail tail);
/// The same, if need be by going through the archive from its start.
Tail find_tail(const Opened& opened, std::uint64_t start);
/// Goes through an archive from its start and checks it as far as `input` and `context` say.
Tail pass_through(const Opened& opened, const Input::Options& input, DecoderContext context);

}  // namespace stele
