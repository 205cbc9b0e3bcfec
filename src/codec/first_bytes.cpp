#include "codec/first_bytes.hpp"

#include <algorithm>
#include <optional>

#include "base/bytes.hpp"

namespace stele {
namespace {

constexpr std::size_t least_bytes = 12;
constexpr std::size_t most_bytes = std::size_t{64} << 10;
constexpr std::size_t header_size = 8;

/// The size of the skippable frame that `bytes` begin with.
std::optional<std::uint64_t> skippable_size(Bytes bytes) noexcept {
  if (bytes.size() < header_size || (load_le<std::uint32_t>(bytes.data()) & 0xfffffff0) != 0x184d2a50) {
    return std::nullopt;
  }
  return header_size + std::uint64_t{load_le<std::uint32_t>(bytes.data() + 4)};
}

/// Extends `bytes`, the first bytes of `source`, to `size` if the source has that many.
void extend(Source& source, std::vector<std::byte>& bytes, std::size_t size) {
  std::size_t got = bytes.size();
  if (source.random_access()) {
    const auto there = static_cast<std::size_t>(std::min<std::uint64_t>(size, *source.size()));
    bytes.resize(there);
    source.read_at(got, MutableBytes(bytes).subspan(got));
    return;
  }
  bytes.resize(size);
  while (got < size) {
    const std::size_t count = source.read(MutableBytes(bytes).subspan(got));
    if (count == 0) {
      break;
    }
    got += count;
  }
  bytes.resize(got);
}

}  // namespace

std::vector<std::byte> first_bytes(Source& source) {
  std::vector<std::byte> bytes;
  extend(source, bytes, least_bytes);
  std::uint64_t at = 0;
  while (at < bytes.size()) {
    const auto size = skippable_size(Bytes(bytes).subspan(static_cast<std::size_t>(at)));
    if (!size || at + *size > most_bytes - least_bytes) {
      break;
    }
    at += *size;
    extend(source, bytes, static_cast<std::size_t>(at) + least_bytes);
  }
  return bytes;
}

Bytes behind_skippable(Bytes first) noexcept {
  while (const auto size = skippable_size(first)) {
    if (*size > first.size()) {
      break;
    }
    first = first.subspan(static_cast<std::size_t>(*size));
  }
  return first;
}

}  // namespace stele
