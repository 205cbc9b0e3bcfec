#pragma once
// The codec of a file that grows by commits. Each commit is a compressed file of its own, so the codec's files must be
// such that several of them one after another are a file of the codec. After it comes a mark without content, which
// tells a commit that is damaged from one that is torn.

#include <array>
#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "stele/codec.hpp"
#include "stele/options.hpp"

namespace stele {

class FileCodec {
 public:
  /// `codecs` null: those of this build.
  explicit FileCodec(const Codecs* codecs);

  /// Chooses by name, or for the empty name by the path's extension.
  /// Throws: Error(unknown_codec), Error(invalid_argument) for a codec whose files cannot be joined.
  void choose(std::string_view name, std::string_view path);
  /// Chooses by the first bytes of a file, 12 if it has so many; returns false if these are of no known format.
  bool recognise(Bytes first);

  /// Null for a plain file.
  const Codec* get() const noexcept { return codec_; }
  std::string_view name() const noexcept;
  /// Whether an entry of this codec may begin with these bytes, 12 if the file has so many.
  bool may_begin(Bytes first) const noexcept;
  /// Whether these bytes may be what follows the entries of a commit: a table of blocks, or the mark.
  bool may_end(Bytes next) const noexcept;
  /// What ends a commit in the file: an empty file of the codec, or a frame that readers skip. Empty if plain.
  Bytes mark() const noexcept { return mark_; }
  /// The byte that every file of the codec begins with; never 0.
  std::byte first_byte() const noexcept { return head_[0]; }

 private:
  void set(const Codec* codec);
  std::unique_ptr<Codecs> builtin_;
  const Codecs& codecs_;
  const Codec* codec_ = nullptr;
  std::array<std::byte, 3> head_;  // what all files of the codec begin with
  std::vector<std::byte> mark_;
};

}  // namespace stele
