#pragma once
// The checksums of the formats: XXH3, which is also the content hash (https://github.com/Cyan4973/xxHash,
// doc/xxhash_spec.md), and XXH32.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

struct XXH3_state_s;
struct XXH32_state_s;

namespace stele {

/// 128 bits, high half first.
struct Hash128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const Hash128&, const Hash128&) = default;
};

/// The older 32-bit hash that the LZ4 frame format uses.
std::uint32_t xxh32(std::span<const std::byte> bytes) noexcept;
std::uint64_t xxh3_64(std::span<const std::byte> bytes) noexcept;
Hash128 xxh3_128(std::span<const std::byte> bytes) noexcept;

/// XXH3 of bytes that arrive in pieces; one pass gives 64 or 128 bits, as chosen.
class Xxh3 {
 public:
  enum class Width : std::uint8_t { bits64, bits128 };
  explicit Xxh3(Width width = Width::bits64);
  ~Xxh3();
  Xxh3(const Xxh3&) = delete;
  Xxh3& operator=(const Xxh3&) = delete;

  void reset() noexcept;
  /// Copies the state of `other`; both must have the same width.
  void copy(const Xxh3& other) noexcept;
  void update(std::span<const std::byte> bytes) noexcept;
  std::uint64_t digest64() const noexcept;
  Hash128 digest128() const noexcept;

 private:
  XXH3_state_s* state_;
  Width width_;
};

/// XXH32 of bytes that arrive in pieces.
class Xxh32 {
 public:
  Xxh32();
  ~Xxh32();
  Xxh32(const Xxh32&) = delete;
  Xxh32& operator=(const Xxh32&) = delete;

  void reset() noexcept;
  void update(std::span<const std::byte> bytes) noexcept;
  std::uint32_t digest() const noexcept;

 private:
  XXH32_state_s* state_;
};

}  // namespace stele
