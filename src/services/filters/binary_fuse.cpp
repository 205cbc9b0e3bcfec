#include "stele/filters/binary_fuse.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "services/filters/checked_read.hpp"
#include "services/filters/fuse_build.hpp"

namespace stele {
namespace {

constexpr std::uint32_t binary_fuse_version = 1;
constexpr std::uint64_t most_keys = 3'000'000'000;
constexpr std::uint64_t attempts = 100;
constexpr std::uint32_t longest_segment = std::uint32_t{1} << 18;
constexpr std::size_t batch = 64;  // keys that are prefetched together

}  // namespace

template <class Fingerprint>
BasicBinaryFuse<Fingerprint>::BasicBinaryFuse(std::span<const KeyHash> keys, std::uint64_t seed) {
  if (keys.size() > most_keys) {
    fail(Errc::limit_exceeded, "a binary fuse filter of " + std::to_string(keys.size()) + " keys");
  }
  std::vector<std::uint64_t> hashes(keys.size());
  std::transform(keys.begin(), keys.end(), hashes.begin(), [](KeyHash key) { return key.hash(); });
  for (std::uint64_t attempt = 0; attempt < attempts; ++attempt) {
    if (attempt == 1) {  // a duplicate key never fits
      std::sort(hashes.begin(), hashes.end());
      hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
    }
    const fuse::Layout layout = fuse::layout_for(hashes.size());
    const auto order = fuse::find_order(hashes, seed + attempt, layout);
    if (!order) {
      continue;
    }
    count_ = hashes.size();
    seed_ = seed + attempt;
    segment_length_ = layout.segment_length;
    if (count_ == 0) {
      return;
    }
    fingerprints_ = OwnArray(Array<Fingerprint>({layout.places()}));
    Fingerprint* fingerprints = fingerprints_.own();
    for (std::size_t i = 0; i < order->hashes.size(); ++i) {
      const std::uint64_t hash = order->hashes[i];
      const std::uint8_t place = order->places[i];
      const fuse::Places at = fuse::places_of(hash, layout);
      Fingerprint& free = fingerprints[place == 0 ? at.first : place == 1 ? at.second : at.third];
      free = 0;
      free = static_cast<Fingerprint>(fuse::fingerprint_of(hash) ^ fingerprints[at.first] ^ fingerprints[at.second] ^
                                      fingerprints[at.third]);
    }
    return;
  }
  fail(Errc::limit_exceeded,
       "no binary fuse filter of " + std::to_string(hashes.size()) + " keys was found with 100 seeds");
}

template <class Fingerprint>
void BasicBinaryFuse<Fingerprint>::test(std::span<const KeyHash> keys, std::span<std::uint8_t> found) const noexcept {
  if (fingerprints_.empty()) {
    std::fill_n(found.begin(), keys.size(), std::uint8_t{0});
    return;
  }
  const Fingerprint* fingerprints = fingerprints_.data();
  const fuse::Layout layout{segment_length_, fingerprints_.size() / segment_length_ - 2};
  const auto matches = [&](std::uint64_t hash) {
    const fuse::Places at = fuse::places_of(hash, layout);
    const auto all = static_cast<Fingerprint>(fuse::fingerprint_of(hash) ^ fingerprints[at.first] ^
                                              fingerprints[at.second] ^ fingerprints[at.third]);
    return static_cast<std::uint8_t>(all == 0 ? 1 : 0);
  };
  if (keys.size() == 1) {
    found[0] = matches(mix::seeded(keys[0].hash(), seed_));
    return;
  }
  std::uint64_t hashes[batch];
  while (!keys.empty()) {
    const std::size_t size = std::min(batch, keys.size());
    for (std::size_t i = 0; i < size; ++i) {
      hashes[i] = mix::seeded(keys[i].hash(), seed_);
      const fuse::Places at = fuse::places_of(hashes[i], layout);
      __builtin_prefetch(fingerprints + at.first);
      __builtin_prefetch(fingerprints + at.second);
      __builtin_prefetch(fingerprints + at.third);
    }
    for (std::size_t i = 0; i < size; ++i) {
      found[i] = matches(hashes[i]);
    }
    keys = keys.subspan(size);
    found = found.subspan(size);
  }
}

template <class Fingerprint>
std::size_t BasicBinaryFuse<Fingerprint>::contains_many(std::span<const KeyHash> keys,
                                                        std::span<std::uint8_t> found) const {
  if (keys.size() != found.size()) {
    fail(Errc::invalid_argument,
         std::to_string(found.size()) + " places for the answers to " + std::to_string(keys.size()) + " keys");
  }
  test(keys, found);
  std::size_t hits = 0;
  for (const std::uint8_t one : found) {
    hits += one;
  }
  return hits;
}

template <class Fingerprint>
double BasicBinaryFuse<Fingerprint>::false_positive_rate() const noexcept {
  return count_ == 0 ? 0 : std::ldexp(1.0, -static_cast<int>(8 * sizeof(Fingerprint)));
}

/// The problem with parameters and sizes, which determine memory accesses; null for none.
template <class Fingerprint>
const char* BasicBinaryFuse<Fingerprint>::fault() const noexcept {
  if (bits_ != 8 * sizeof(Fingerprint)) {
    return "fingerprints of another width";
  }
  if (fingerprints_.empty()) {
    return count_ == 0 ? nullptr : "keys without fingerprints";
  }
  if (!std::has_single_bit(segment_length_) || segment_length_ > longest_segment ||
      fingerprints_.size() % segment_length_ != 0 || fingerprints_.size() / segment_length_ < 3 ||
      !fingerprints_.array().is_dense()) {
    return "the fingerprints are no whole segments";
  }
  return nullptr;
}

template class BasicBinaryFuse<std::uint8_t>;
template class BasicBinaryFuse<std::uint16_t>;

template <class Fingerprint>
void Visit<BasicBinaryFuse<Fingerprint>>::write(OutVisitor& out, const BasicBinaryFuse<Fingerprint>& value) {
  walk::As<BasicBinaryFuse<Fingerprint>>::write(out, value);
}

template <class Fingerprint>
void Visit<BasicBinaryFuse<Fingerprint>>::read(InVisitor& in, BasicBinaryFuse<Fingerprint>& value) {
  checked_read(in, value, binary_fuse_version, "binary fuse filter",
               [](const BasicBinaryFuse<Fingerprint>& filter) { return filter.fault(); });
}

template struct Visit<BinaryFuse>;
template struct Visit<BinaryFuse16>;

}  // namespace stele
