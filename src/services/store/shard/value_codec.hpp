#pragma once
// Compresses single values: with a built-in codec, or with zstd and a dictionary that values share.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codec/compress.hpp"
#include "stele/codec.hpp"
#include "stele/options.hpp"

namespace stele {

/// Thread-safe.
class ValueCodec {
 public:
  /// Returns a dictionary by its number. Throws: Error(not_found).
  using Dictionaries = std::function<std::vector<std::byte>(std::uint64_t number)>;
  /// Throws: Error(unknown_codec), Error(invalid_argument) for an invalid level.
  ValueCodec(const std::string& codec, std::optional<int> level, Dictionaries dictionaries);
  ~ValueCodec();

  /// Whether values are compressed at all.
  bool compresses() const noexcept { return codec_ != nullptr; }
  const std::string& name() const noexcept { return name_; }
  std::optional<int> level() const noexcept { return level_; }
  /// What compresses a value by blocks as it is written to `to`; null if values are not compressed.
  std::unique_ptr<CompressingSink> sink(Sink& to, unsigned threads) const;
  /// Replaces `out` by the compressed bytes. False if they are not smaller. `dictionary`: 0 for none.
  bool compress(Bytes plain, std::uint64_t dictionary, std::vector<std::byte>& out) const;
  /// Throws: Error(damaged) unless the result has exactly `plain_size` bytes, Error(limit_exceeded) beyond `limits`.
  std::vector<std::byte> decompress(Bytes compressed, std::uint64_t plain_size, std::uint64_t dictionary,
                                    const Limits& limits) const;

  /// Trains a dictionary of at most `bytes` bytes from concatenated samples of the given sizes. Throws:
  /// Error(invalid_argument) if the samples do not suffice, Error(unsupported) without zstd.
  static std::vector<std::byte> train(Bytes samples, const std::vector<std::size_t>& sizes, std::size_t bytes);

 private:
  struct Zstd;
  std::string name_;
  std::optional<int> level_;
  Codecs codecs_;
  const Codec* codec_ = nullptr;
  std::unique_ptr<Zstd> zstd_;  // null for other codecs
};

}  // namespace stele
