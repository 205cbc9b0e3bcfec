#include "base/checksum.hpp"

#include <xxhash.h>

#include <new>

namespace stele {

std::uint32_t xxh32(std::span<const std::byte> bytes) noexcept { return XXH32(bytes.data(), bytes.size(), 0); }

std::uint64_t xxh3_64(std::span<const std::byte> bytes) noexcept { return XXH3_64bits(bytes.data(), bytes.size()); }

Hash128 xxh3_128(std::span<const std::byte> bytes) noexcept {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

Xxh3::Xxh3(Width width) : state_(XXH3_createState()), width_(width) {
  if (state_ == nullptr) {
    throw std::bad_alloc();
  }
  reset();
}

Xxh3::~Xxh3() { XXH3_freeState(state_); }

void Xxh3::reset() noexcept {
  if (width_ == Width::bits64) {
    XXH3_64bits_reset(state_);
  } else {
    XXH3_128bits_reset(state_);
  }
}

void Xxh3::copy(const Xxh3& other) noexcept { XXH3_copyState(state_, other.state_); }

void Xxh3::update(std::span<const std::byte> bytes) noexcept {
  if (bytes.empty()) {
    return;
  }
  if (width_ == Width::bits64) {
    XXH3_64bits_update(state_, bytes.data(), bytes.size());
  } else {
    XXH3_128bits_update(state_, bytes.data(), bytes.size());
  }
}

std::uint64_t Xxh3::digest64() const noexcept { return XXH3_64bits_digest(state_); }

Hash128 Xxh3::digest128() const noexcept {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_);
  return {hash.high64, hash.low64};
}

Xxh32::Xxh32() : state_(XXH32_createState()) {
  if (state_ == nullptr) {
    throw std::bad_alloc();
  }
  reset();
}

Xxh32::~Xxh32() { XXH32_freeState(state_); }

void Xxh32::reset() noexcept { XXH32_reset(state_, 0); }

void Xxh32::update(std::span<const std::byte> bytes) noexcept {
  if (!bytes.empty()) {
    XXH32_update(state_, bytes.data(), bytes.size());
  }
}

std::uint32_t Xxh32::digest() const noexcept { return XXH32_digest(state_); }

}  // namespace stele
