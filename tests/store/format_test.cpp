// A store's files have the bytes that docs/store.md describes, and these never change.

#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <sstream>

#include "services/store/index/key_block.hpp"
#include "services/store/shard/record.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
  const Bytes all = std::as_bytes(std::span(text));
  return {all.begin(), all.end()};
}

/// The bytes of the page's dump of that name: hexadecimal digits before each "|".
std::vector<std::byte> dump_of(const std::string& name) {
  std::ifstream page(std::string(STELE_TESTS_DIR) + "/../docs/store.md");
  std::vector<std::byte> bytes;
  std::string line;
  bool inside = false;
  while (std::getline(page, line)) {
    if (line == "```hex " + name) {
      inside = true;
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      std::istringstream digits(line.substr(0, line.find('|')));
      for (std::string pair; digits >> pair;) {
        bytes.push_back(static_cast<std::byte>(std::stoul(pair, nullptr, 16)));
      }
    }
  }
  return bytes;
}

std::string hex(Bytes bytes) {
  std::string text;
  char pair[4];
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::snprintf(pair, sizeof pair, "%02x%c", std::to_integer<unsigned>(bytes[i]), i % 16 == 15 ? '\n' : ' ');
    text += pair;
  }
  return text;
}

std::vector<std::byte> example_shard() {
  ShardHeader header;
  header.store = 0x0123456789abcdef;
  header.number = 1;
  header.rank = 1;
  header.shard_bytes = std::uint64_t{1} << 30;
  header.codec = "zstd";
  std::vector<std::byte> shard = encode_header(header);
  put_plain(shard, StoreKey("en"), bytes_of("\x65"), bytes_of("hello"));
  put_erased(shard, StoreKey(7));
  put_packed(shard, StoreKey(-1), 2, 1000, bytes_of("(zstd)"));
  LargeHead large;
  large.form = LargeHead::Form::archive;
  large.size = 100'000;
  large.value_check = 0x1122334455667788;
  shard.push_back(store_frozen::filler);
  put_large_head(shard, StoreKey("w"), large);
  put_commit(shard, 1, 0x0102030405060708, {header.store, header.number, shard.size()});
  return shard;
}

std::vector<std::byte> example_block() {
  std::vector<std::byte> block;
  const std::vector<BlockEntry> entries = {
      {"\4apple", {1, 128, 30}}, {"\4apply", {1, 158, 30}}, {"\4ape", {2, 128, 400}}};
  std::vector<BlockEntry> sorted = {entries[2], entries[0], entries[1]};
  write_blocks("\4ap", "\4b", sorted, true, [&](std::string_view low, Bytes bytes) {
    EXPECT_EQ(low, "\4ap");
    block.assign(bytes.begin(), bytes.end());
  });
  return block;
}

TEST(StoreFormat, ShardOfThePage) { EXPECT_EQ(hex(dump_of("shard")), hex(example_shard())); }
TEST(StoreFormat, BlockOfThePage) { EXPECT_EQ(hex(dump_of("block")), hex(example_block())); }

TEST(StoreFormat, RecordsReadBack) {
  const std::vector<std::byte> shard = example_shard();
  const ShardHeader header = decode_header(shard);
  EXPECT_EQ(header.number, 1U);
  EXPECT_EQ(header.codec, "zstd");
  EXPECT_FALSE(header.level);
  std::size_t at = store_frozen::header_bytes;
  const Record plain = parse_record(std::span(shard).subspan(at), at);
  EXPECT_TRUE(plain.is_whole() && plain.is_key(StoreKey("en")) && !plain.is_key(StoreKey("e")) && plain.holds_value());
  EXPECT_EQ(plain.decode_key(), StoreKey("en"));
  at += plain.length;
  const Record erased = parse_record(std::span(shard).subspan(at), at);
  EXPECT_TRUE(erased.is_whole() && erased.is_key(StoreKey(7)) && !erased.is_key(StoreKey(-8)) && !erased.holds_value());
  at += erased.length;
  const Record packed = parse_record(std::span(shard).subspan(at), at);
  EXPECT_TRUE(packed.is_whole() && packed.is_key(StoreKey(-1)));
  EXPECT_EQ(packed.dictionary, 2U);
  EXPECT_EQ(packed.plain_size, 1000U);
}

TEST(StoreFormat, EveryFlippedBitOfARecordIsDetected) {
  const std::vector<std::byte> shard = example_shard();
  std::vector<std::byte> record(shard.begin() + store_frozen::header_bytes, shard.end());
  record.resize(static_cast<std::size_t>(parse_record(record, 0).length));
  for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
    std::vector<std::byte> damaged = record;
    damaged[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    try {
      EXPECT_FALSE(parse_record(damaged, 0).is_whole()) << bit;
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == Errc::malformed || error.code() == Errc::truncated) << error.what();
    }
  }
}

TEST(StoreFormat, EveryFlippedBitOfABlockIsDetected) {
  const std::vector<std::byte> block = example_block();
  EXPECT_EQ(KeyBlock("\4ap", block).size(), 3U);
  EXPECT_THROW(KeyBlock("\4aq", block), Error);
  for (std::size_t bit = 0; bit < block.size() * 8; ++bit) {
    std::vector<std::byte> damaged = block;
    damaged[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    EXPECT_THROW(KeyBlock("\4ap", damaged), Error) << bit;
    try {  // what is not checked must do no harm
      const KeyBlock unchecked("\4ap", damaged, KeyBlock::Check::unchecked);
      static_cast<void>(unchecked.find("\4apple"));
      static_cast<void>(unchecked.find("\4zzz"));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::damaged);
    }
  }
}

TEST(StoreFormat, BlocksCoverAllKeys) {
  std::vector<std::string> keys;
  for (int i = 0; i < 5000; ++i) {
    keys.push_back('\4' + std::to_string(i * 7919 % 100'003));
  }
  std::sort(keys.begin(), keys.end());
  std::vector<BlockEntry> entries;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    entries.push_back({keys[i], {static_cast<std::uint32_t>(1 + i % 3), i * 1000, 10 + i % 300}});
  }
  for (const bool filling : {false, true}) {
    std::vector<std::pair<std::string, std::vector<std::byte>>> blocks;
    write_blocks(lowest_key, std::nullopt, entries, filling, [&](std::string_view low, Bytes bytes) {
      blocks.emplace_back(std::string(low), std::vector<std::byte>(bytes.begin(), bytes.end()));
    });
    EXPECT_GT(blocks.size(), 20U);
    EXPECT_EQ(blocks[0].first, lowest_key);
    std::size_t seen = 0;
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      const KeyBlock block(blocks[b].first, blocks[b].second);
      EXPECT_LE(blocks[b].second.size(), 1100U);
      if (b + 1 < blocks.size()) {
        EXPECT_EQ(block.high(), blocks[b + 1].first);
      } else {
        EXPECT_FALSE(block.high());
      }
      for (std::size_t i = 0; i < block.size(); ++i, ++seen) {
        std::string key;
        block.key(i, key);
        ASSERT_EQ(key, keys[seen]);
        ASSERT_TRUE(block.covers(key));
        ASSERT_EQ(block.position(i), entries[seen].position);
        ASSERT_EQ(block.find(key), entries[seen].position);
        ASSERT_FALSE(block.find(key + '0') && std::find(keys.begin(), keys.end(), key + '0') == keys.end());
      }
    }
    EXPECT_EQ(seen, keys.size());
  }
}

}  // namespace
}  // namespace stele
