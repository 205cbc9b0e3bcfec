#include "stele/filters/key_hash.hpp"

#include "base/checksum.hpp"

namespace stele {

KeyHash::KeyHash(std::span<const std::byte> bytes) noexcept : hash_(xxh3_64(bytes)) {}

}  // namespace stele
