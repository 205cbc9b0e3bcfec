#include "codec/blocks/table.hpp"

#include <algorithm>
#include <array>

#include "base/bytes.hpp"

namespace stele {
namespace {

constexpr std::uint32_t table_magic = 0x49427453;  // "StBI"
constexpr std::size_t entry_size = 8;
constexpr std::size_t tail_size = 16;

using Entry = std::array<std::byte, entry_size>;
using Tail = std::array<std::byte, tail_size>;

Entry make_entry(std::uint64_t stored_size, std::uint64_t plain_size) {
  Entry entry{};
  store_le<std::uint32_t>(entry.data(), static_cast<std::uint32_t>(stored_size));
  store_le<std::uint32_t>(entry.data() + 4, static_cast<std::uint32_t>(plain_size));
  return entry;
}

Tail make_tail(std::uint64_t checksum, std::uint64_t count) {
  Tail tail{};
  store_le<std::uint64_t>(tail.data(), checksum);
  store_le<std::uint32_t>(tail.data() + 8, static_cast<std::uint32_t>(count));
  store_le<std::uint32_t>(tail.data() + 12, table_magic);
  return tail;
}

}  // namespace

void append_block_table(std::span<const Block> blocks, std::vector<std::byte>& out) {
  const std::size_t start = out.size();
  out.reserve(start + static_cast<std::size_t>(block_table_size(blocks.size())));
  for (const Block& block : blocks) {
    const Entry entry = make_entry(block.stored_size, block.plain_size);
    out.insert(out.end(), entry.begin(), entry.end());
  }
  const Tail tail = make_tail(xxh3_64(Bytes(out).subspan(start)), blocks.size());
  out.insert(out.end(), tail.begin(), tail.end());
}

std::optional<BlockTable> find_block_table(Peek& file, std::uint64_t first_block) {
  if (file.size() < block_table_size(0)) {
    return std::nullopt;
  }
  Tail tail{};
  std::copy_n(file.at(file.size() - tail_size, tail_size), tail_size, tail.begin());
  const std::uint64_t count = load_le<std::uint32_t>(tail.data() + 8);
  if (load_le<std::uint32_t>(tail.data() + 12) != table_magic || block_table_size(count) > file.size() ||
      count > most_blocks(file.size())) {
    return std::nullopt;
  }
  BlockTable table;
  table.offset = file.size() - block_table_size(count);
  Xxh3 sizes;
  Block block{.stored_offset = first_block};
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::byte* entry = file.at(table.offset + i * entry_size, entry_size);
    sizes.update({entry, entry_size});
    block.stored_size = load_le<std::uint32_t>(entry);
    block.plain_size = load_le<std::uint32_t>(entry + 4);
    if (block.stored_offset > table.offset || block.stored_size > table.offset - block.stored_offset ||
        block.plain_size == 0) {
      return std::nullopt;
    }
    table.blocks.push_back(block);
    block.stored_offset += block.stored_size;
    block.plain_offset += block.plain_size;
  }
  return tail == make_tail(sizes.digest64(), count) ? std::optional(std::move(table)) : std::nullopt;
}

void BlockTally::add(std::uint64_t stored_size, std::uint64_t plain_size) {
  ++count_;
  sizes_.update(make_entry(stored_size, plain_size));
}

void BlockTally::reset() {
  count_ = 0;
  sizes_.reset();
}

BlockTally::Result BlockTally::compare(Intake& in) const {
  Xxh3 listed;
  for (std::uint64_t i = 0; i < count_; ++i) {
    Entry entry{};
    if (in.take(entry) < entry.size()) {
      return Result::truncated;
    }
    listed.update(entry);
  }
  Tail tail{};
  if (in.take(tail) < tail.size()) {
    return Result::truncated;
  }
  const std::uint64_t expected = sizes_.digest64();
  return listed.digest64() == expected && tail == make_tail(expected, count_) ? Result::same : Result::different;
}

}  // namespace stele
