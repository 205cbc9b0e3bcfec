#pragma once
// Reads archives one after another from a file that grows by commits, from a place where an archive or a compressed
// file of archives begins. Reader does the same for users; this one says where each archive lies.

#include <memory>
#include <optional>

#include "archive/append/file_codec.hpp"
#include "archive/read/opened.hpp"
#include "io/wrap/tail.hpp"
#include "stele/metadata.hpp"

namespace stele {

/// Not thread-safe. After an exception it cannot be used further.
class ArchiveStream {
 public:
  /// `file` and `codec` must outlive it. Uses `threads`, `verify`, `limits` and what concerns types and
  /// fields.
  ArchiveStream(Source& file, const FileCodec& codec, std::uint64_t offset, const LoadOptions& options);
  ~ArchiveStream();

  /// The next archive; its value is to be read, then end().
  /// Throws: Error(truncated) at the end of the file, and what load() throws.
  Decoder& begin();
  void end();
  /// After end(): forgets the objects of the value, which only the caller keeps then. Until then the decoder can be
  /// told of an error.
  void release() noexcept { current_.reset(); }

  /// After end(): whether the next archive lies in the same compressed data.
  bool inside() const noexcept { return inside_; }
  /// Where the next archive begins in the file; if inside(): where the compressed data begins.
  std::uint64_t offset() const noexcept { return offset_; }
  /// Of the last archive read: its place in a growing file, if an Appender wrote it.
  const std::optional<AppendedEntry>& appended() const noexcept { return appended_; }
  /// Moves the metadata of the last archive out.
  Metadata take_metadata() noexcept { return std::move(metadata_); }

 private:
  class PutBack;
  void open();
  void pass_mark();
  Source& file_;
  const FileCodec& codec_;
  LoadOptions options_;
  std::uint64_t offset_;
  bool inside_ = false;
  std::uint64_t position_ = 0;  // of the next archive in the plain bytes of `opened_`
  TailSource* stored_ = nullptr;
  std::optional<Opened> opened_;
  PutBack* plain_ = nullptr;  // the plain bytes of compressed data
  std::unique_ptr<Decoding> current_;
  std::optional<AppendedEntry> appended_;
  Metadata metadata_;
};

}  // namespace stele
