#include "base/checksum.hpp"

#include <xxhash.h>
#if STELE_WITH_XXH_DISPATCH
#include <immintrin.h>
#define XXH_DISPATCH_DISABLE_REPLACE
#include <xxh_x86dispatch.h>
#endif

#include <new>

namespace stele {
namespace {

#if STELE_WITH_XXH_DISPATCH

// XXH3 with AVX2 or AVX-512 if the processor has them: three times as fast.
constexpr auto* wide_64 = &XXH3_64bits_dispatch;
constexpr auto* wide_128 = &XXH3_128bits_dispatch;
constexpr auto* wide_update_64 = &XXH3_64bits_update_dispatch;
constexpr auto* wide_update_128 = &XXH3_128bits_update_dispatch;

bool is_wide(std::size_t size) noexcept {
  constexpr std::size_t least = 4096;  // for less, switching the processor to wide registers does not pay off
  return size >= least && __builtin_cpu_supports("avx2");
}
/// These functions leave the upper halves of registers in use, which slows down all later SSE code.
[[gnu::target("avx")]] void leave_wide() noexcept { _mm256_zeroupper(); }

#else

constexpr auto* wide_64 = &XXH3_64bits;
constexpr auto* wide_128 = &XXH3_128bits;
constexpr auto* wide_update_64 = &XXH3_64bits_update;
constexpr auto* wide_update_128 = &XXH3_128bits_update;

constexpr bool is_wide(std::size_t) noexcept { return false; }
void leave_wide() noexcept {}

#endif

/// Calls the wide or the standard variant of a function.
template <class F, class... State>
auto call(F* wide, F* other, std::span<const std::byte> bytes, State*... state) noexcept {
  if (!is_wide(bytes.size())) {
    return other(state..., bytes.data(), bytes.size());
  }
  const auto result = wide(state..., bytes.data(), bytes.size());
  leave_wide();
  return result;
}

}  // namespace

std::uint32_t xxh32(std::span<const std::byte> bytes) noexcept { return XXH32(bytes.data(), bytes.size(), 0); }

std::uint64_t xxh3_64(std::span<const std::byte> bytes) noexcept { return call(wide_64, &XXH3_64bits, bytes); }

Hash128 xxh3_128(std::span<const std::byte> bytes) noexcept {
  const XXH128_hash_t hash = call(wide_128, &XXH3_128bits, bytes);
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
    call(wide_update_64, &XXH3_64bits_update, bytes, state_);
  } else {
    call(wide_update_128, &XXH3_128bits_update, bytes, state_);
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
