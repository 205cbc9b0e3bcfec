#pragma once
// Compression of single values: by a codec of the library, and by zstd with a dictionary that values share.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stele/codec.hpp"
#include "stele/options.hpp"

namespace stele {

/// Thread-safe.
class ValueCodec {
 public:
  /// Gives the bytes of a dictionary by its number. Throws: Error(not_found).
  using Dictionaries = std::function<std::vector<std::byte>(std::uint64_t number)>;
  /// Throws: Error(unknown_codec), Error(invalid_argument) for a level it does not have.
  ValueCodec(const std::string& codec, std::optional<int> level, Dictionaries dictionaries);
  ~ValueCodec();

  /// Whether there is anything to do.
  bool compresses() const noexcept { return codec_ != nullptr; }
  const std::string& name() const noexcept { return name_; }
  std::optional<int> level() const noexcept { return level_; }
  /// Replaces `out` by the compressed bytes; false where that is not smaller. `dictionary` 0: without.
  bool compress(Bytes plain, std::uint64_t dictionary, std::vector<std::byte>& out) const;
  /// Throws: Error(damaged) unless exactly `plain_size` bytes come of it, Error(limit_exceeded) beyond `limits`.
  std::vector<std::byte> decompress(Bytes compressed, std::uint64_t plain_size, std::uint64_t dictionary,
                                    const Limits& limits) const;

  /// Makes a dictionary of at most `bytes` bytes from samples, one after another with their sizes.
  /// Throws: Error(invalid_argument) where they do not suffice, Error(unsupported) without zstd.
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
