// Encodings of any name and parameters, and any stored bytes. Except for palettes, decoded elements encode to the same
// bytes again.
//
//   name and a zero, then: element class, item size u16, stored item size, block items / 64 u16, base u64, bytes of the
//   table u16, table, stored bytes

#include <algorithm>
#include <vector>

#include "base/bytes.hpp"
#include "encoding/encoding.hpp"
#include "fuzz.hpp"

namespace stele {
namespace {

void decode(Bytes input) {
  const auto zero = std::find(input.begin(), input.end(), std::byte{0});
  const auto name_size = static_cast<std::size_t>(zero - input.begin());
  constexpr std::size_t parameters = 1 + 1 + 2 + 1 + 2 + 8 + 2;
  if (input.size() < name_size + parameters) {
    return;
  }
  const std::byte* at = input.data() + name_size + 1;
  StoredEncoding stored{.name = {reinterpret_cast<const char*>(input.data()), name_size}};
  const auto element_class = static_cast<ElementClass>(std::to_integer<unsigned>(at[0]) % 4);
  const std::uint64_t item_size = load_le<std::uint16_t>(at + 1);
  stored.stored_item_size = std::to_integer<std::uint64_t>(at[3]);
  stored.block_items = 64 * std::uint64_t{load_le<std::uint16_t>(at + 4)};
  stored.base = load_le<std::uint64_t>(at + 6);
  const std::size_t table_size = load_le<std::uint16_t>(at + 14);
  Bytes rest = input.subspan(name_size + parameters);
  stored.table = rest.first(std::min(table_size, rest.size()));
  rest = rest.subspan(stored.table.size());

  const Encoding encoding = checked_encoding(stored, item_size, element_class);
  fuzz::require(encoding.name() == stored.name);
  EncodingScratch scratch;
  const std::uint64_t count = std::min(encoding.block_items, rest.size() / encoding.stored_item_size);
  std::vector<std::byte> elements(count * encoding.item_size);
  decode_block(encoding, rest.data(), count, elements.data(), scratch);
  if (encoding.first != Encoding::First::palette) {
    std::vector<std::byte> again(encoding.stored_size(count));
    encode_block(encoding, elements.data(), count, again.data(), scratch);
    fuzz::require(std::equal(again.begin(), again.end(), rest.begin()));
  }
}

}  // namespace
}  // namespace stele

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  stele::fuzz::succeeds([&] { stele::decode(std::as_bytes(std::span(data, size))); });
  return 0;
}
