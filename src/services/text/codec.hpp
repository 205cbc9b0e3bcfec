#pragma once
// The compressed streams of state texts, of a few kilobytes: zlib (RFC 1950), or Zstandard (RFC 8878) where there is a
// dictionary; with what they need for that kept in between.

#include <memory>
#include <vector>

#include "stele/state_text.hpp"

namespace stele::state_text {

/// Not thread-safe.
class Compressor {
 public:
  /// `dictionary` may be null, and must outlive it.
  Compressor(int level, const TextDictionary::State* dictionary);
  ~Compressor();
  /// The stream of `plain`, followed by its CRC-32 if `sealed`; valid until the next call. `counters`: single bytes
  /// that repeat in runs at most.
  /// Throws: Error(limit_exceeded) where there is no memory, or more bytes than a library takes.
  Bytes compress(Bytes plain, bool counters, bool sealed);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Not thread-safe.
class Decompressor {
 public:
  /// `dictionary` may be null, and must outlive it.
  explicit Decompressor(const TextDictionary::State* dictionary);
  ~Decompressor();
  /// Whether the bytes begin as a stream of one of the two kinds does.
  static bool is_stream(Bytes stored) noexcept;
  /// Makes `plain` hold what is compressed, at most `most` bytes. Returns how many bytes the stream takes. Throws:
  /// Error(truncated), Error(damaged), Error(limit_exceeded), Error(invalid_argument) where another dictionary is
  /// needed, Error(unknown_codec).
  std::size_t decompress(Bytes stored, std::uint64_t most, std::vector<std::byte>& plain);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The CRC-32 of RFC 1952.
std::uint32_t crc_of(Bytes bytes) noexcept;

/// A dictionary of Zstandard's that is learned from samples, which lie one after another.
/// Throws: Error(invalid_argument) where they are too few, Error(unknown_codec).
std::vector<std::byte> train_dictionary(Bytes samples, const std::vector<std::size_t>& sizes);

}  // namespace stele::state_text
