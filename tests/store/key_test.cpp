// Keys of a store: integers, byte strings and texts, in their order.

#include <limits>
#include <string>
#include <vector>

#include "stele/store.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::fresh;

TEST(StoreKeys, KeysAreOrdered) {
  const std::string path = fresh("keys");
  Store store = Store::open(path);
  std::vector<StoreKey> keys;
  for (const std::int64_t i : {std::int64_t{-5}, std::int64_t{0}, std::int64_t{7}, std::int64_t{1} << 40,
                               std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
    keys.push_back(i);
  }
  keys.push_back(std::numeric_limits<std::uint64_t>::max());
  for (const char* text : {"", "a", "aa", "b", "ä"}) {
    keys.push_back(text);
  }
  const std::vector<std::byte> raw = {std::byte{0}, std::byte{0xff}};
  keys.push_back(Bytes(raw));
  keys.push_back("\xff\xfe");  // no UTF-8
  for (std::size_t i = 0; i < keys.size(); ++i) {
    store.put(keys[i], i);
  }
  std::vector<std::string> seen;
  for (const StoreKey& key : store.keys()) {
    seen.push_back(key.describe());
  }
  const std::vector<std::string> expected = {"-9223372036854775808",
                                             "-5",
                                             "0",
                                             "7",
                                             "1099511627776",
                                             "9223372036854775807",
                                             "18446744073709551615",
                                             "0x00ff",
                                             "0xfffe",
                                             "\"\"",
                                             "\"a\"",
                                             "\"aa\"",
                                             "\"b\"",
                                             "\"ä\""};
  EXPECT_EQ(seen, expected);
  std::vector<std::string> reversed;
  for (const StoreKey& key : store.keys({.reverse = true})) {
    reversed.insert(reversed.begin(), key.describe());
  }
  EXPECT_EQ(reversed, expected);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(store.get<std::size_t>(keys[i]), i);
  }
  EXPECT_EQ(StoreKey(-5).integer(), -5);
  const StoreKey x("x");
  EXPECT_EQ(x.text(), "x");
  EXPECT_ERROR(store.put(std::string(StoreKey::max_size + 1, 'k'), 1), Errc::invalid_argument, "a key of 481 bytes");
  store.put(std::string(StoreKey::max_size, 'k'), 1);
  EXPECT_EQ(store.get<int>(std::string(StoreKey::max_size, 'k')), 1);
}

TEST(StoreLiterals, AreTextWholeButForTheZeroAtTheirEnd) {
  Store store = Store::open(test::fresh("store"));
  store.put("value", "a\0b");
  EXPECT_EQ(store.get<std::string>("value"), std::string("a\0b", 3));
  store.put("k\0l", 1);
  EXPECT_EQ(store.get<int>(StoreKey(std::string_view("k\0l", 3))), 1);
  EXPECT_FALSE(store.contains("k"));
  char buffer[8] = "key";  // a buffer counts up to its first zero
  buffer[5] = 'x';
  store.put(buffer, 2);
  EXPECT_EQ(store.get<int>("key"), 2);
  const char* pointer = buffer;
  EXPECT_EQ(store.get<int>(pointer), 2);
}

}  // namespace
}  // namespace stele
