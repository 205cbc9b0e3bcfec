#pragma once
// The general compressors of state texts, for inputs of a few kilobytes, with what they need for that kept in between.

#include <memory>
#include <string_view>
#include <vector>

#include "services/text/frozen.hpp"
#include "stele/io.hpp"

namespace stele::state_text {

using text_frozen::Codec;

std::string_view codec_name(Codec codec) noexcept;
/// Whether this build can compress and decompress so; not for Codec::entropy and stored, which are always there.
bool has_library(Codec codec) noexcept;

/// Whether a text keeps a codec's sizes and magic numbers elsewhere, or has to be what other tools make.
enum class Framing : std::uint8_t { lean, standard };

/// A dictionary of Zstandard's, ready for use. Shared by threads.
class ZstdDictionary {
 public:
  /// Throws: Error(damaged), Error(unknown_codec) without zstd.
  explicit ZstdDictionary(std::vector<std::byte> bytes);
  ZstdDictionary(const ZstdDictionary&) = delete;
  ZstdDictionary& operator=(const ZstdDictionary&) = delete;
  ~ZstdDictionary();

  /// Learned from samples that lie one behind another. Throws: Error(invalid_argument) where they are too few.
  static std::vector<std::byte> train(Bytes samples, const std::vector<std::size_t>& sizes);

 private:
  friend class Compressor;
  friend class Decompressor;
  struct Prepared;
  std::unique_ptr<Prepared> prepared_;
};

/// Not thread-safe.
class Compressor {
 public:
  Compressor();
  ~Compressor();
  /// Appends what deflate, zlib or zstd make of `plain`; `level` is 1 to 9. `dictionary` may be null and counts for
  /// zstd. Throws: Error(limit_exceeded) where there is no memory.
  void compress(Codec codec, Bytes plain, int level, Framing framing, const ZstdDictionary* dictionary,
                std::vector<std::byte>& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Not thread-safe.
class Decompressor {
 public:
  Decompressor();
  ~Decompressor();
  /// Fills `plain`. False if `stored` is not just that.
  bool decompress(Codec codec, Bytes stored, const ZstdDictionary* dictionary, MutableBytes plain);
  /// The same where the size is not known: the plain bytes, at most `most`, instead of what was in `plain`.
  /// Throws: Error(damaged), Error(limit_exceeded).
  void decompress_whole(Codec codec, Bytes stored, const ZstdDictionary* dictionary, std::uint64_t most,
                        std::vector<std::byte>& plain);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stele::state_text
