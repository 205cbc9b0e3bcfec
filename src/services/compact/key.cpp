#include "stele/key.hpp"

#include "base/checksum.hpp"

namespace stele {

Key::Key(std::span<const std::byte> bytes) noexcept : hash_(xxh3_64(bytes)) {}

}  // namespace stele
