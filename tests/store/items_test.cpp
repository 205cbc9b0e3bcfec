// Iteration over a store: ranges, prefixes, and other orders than that of the keys.

#include <algorithm>
#include <map>
#include <set>

#include "stele/store.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::fresh;

TEST(StoreItems, RangesAndPrefixes) {
  const std::string path = fresh("ranges");
  Store store = Store::open(path);
  std::map<int, std::string> model;
  for (int i = 0; i < 20'000; i += 2) {
    store.put(i, std::to_string(i));
    model[i] = std::to_string(i);
  }
  for (const char* text : {"user/1", "user/2", "user0", "use"}) {
    store.put(text, text);
  }
  const auto texts = [&](const StoreKeyRange& range) {
    std::vector<std::string> all;
    for (const StoreItem& item : store.items(range)) {
      all.push_back(item.value.as<std::string>());
    }
    return all;
  };
  EXPECT_EQ(texts({.prefix = "user/"}), (std::vector<std::string>{"user/1", "user/2"}));
  EXPECT_EQ(texts({.prefix = "user/", .reverse = true}), (std::vector<std::string>{"user/2", "user/1"}));
  EXPECT_EQ(texts({.from = 101, .to = 106}), (std::vector<std::string>{"102", "104"}));
  EXPECT_EQ(texts({.from = 100, .to = 107, .reverse = true}), (std::vector<std::string>{"106", "104", "102", "100"}));
  EXPECT_EQ(texts({.from = 107, .to = 100}), std::vector<std::string>{});
  EXPECT_EQ(texts({.prefix = "nothing"}), std::vector<std::string>{});
  EXPECT_EQ(texts({.from = "user0"}), std::vector<std::string>{"user0"});
  EXPECT_ERROR(texts({.prefix = 1}), Errc::invalid_argument, "an integer is no prefix");
  EXPECT_EQ(texts({.to = 20'000}).size(), model.size());
  for (const int from : {0, 1, 999, 12'345, 19'998, 30'000}) {
    for (const bool reverse : {false, true}) {
      std::vector<std::string> expected;
      for (auto it = model.lower_bound(from); it != model.end() && it->first < from + 500; ++it) {
        expected.push_back(it->second);
      }
      if (reverse) {
        std::reverse(expected.begin(), expected.end());
      }
      EXPECT_EQ(texts({.from = from, .to = from + 500, .reverse = reverse}), expected);
    }
  }
}

TEST(StoreItems, OtherOrdersOfIteration) {
  const std::string path = fresh("ways");
  Store store = Store::open(path);
  for (int i = 0; i < 300; ++i) {
    store.put(i, std::string(static_cast<std::size_t>((i * 37) % 300), 's'));
  }
  store.put(5, "put again");
  store.erase(6);
  std::vector<std::int64_t> inserted;
  for (const StoreItem& item : store.by_insertion()) {
    inserted.push_back(item.key.integer());
  }
  ASSERT_EQ(inserted.size(), 299U);
  EXPECT_EQ(inserted[0], 0);
  EXPECT_EQ(inserted[5], 7);
  EXPECT_EQ(inserted.back(), 5);
  std::size_t before = 0;
  for (const StoreItem& item : store.by_size()) {
    EXPECT_GE(item.value.stored_bytes(), before > 8 ? before - 8 : 0);  // keys of other sizes count a little
    before = item.value.stored_bytes();
  }
  std::vector<std::int64_t> one;
  std::vector<std::int64_t> two;
  std::vector<std::int64_t> three;
  for (const StoreItem& item : store.shuffled(1)) {
    one.push_back(item.key.integer());
  }
  for (const StoreItem& item : store.shuffled(1)) {
    two.push_back(item.key.integer());
  }
  for (const StoreItem& item : store.shuffled(2)) {
    three.push_back(item.key.integer());
  }
  EXPECT_EQ(one, two);
  EXPECT_NE(one, three);
  EXPECT_EQ(std::set(one.begin(), one.end()).size(), 299U);
  std::set<std::int64_t> sample;
  for (const StoreItem& item : store.sample(50, 9)) {
    sample.insert(item.key.integer());
  }
  EXPECT_EQ(sample.size(), 50U);
}

TEST(StoreItems, SecondaryOrders) {
  const std::string path = fresh("orders");
  const StoreOrder length{"length",
                          [](const StoreKey&, const StoreValue& v) { return StoreOrderValue(v.text().size()); }};
  StoreOptions options;
  const auto names = [](Store& store, bool reverse = false) {
    std::vector<std::string> all;
    for (const StoreItem& item : store.by_order("length", reverse)) {
      all.push_back(std::string(item.key.text()));
    }
    return all;
  };
  {
    Store store = Store::open(path);
    store.put("c", "333");
    store.put("a", "1");
    store.close();
  }
  {
    Store store = Store::open(path, StoreMode::read_write, {.orders = {length}});
    store.put("b", "22");  // builds the order
    EXPECT_EQ(names(store), (std::vector<std::string>{"a", "b", "c"}));
    store.put("a", "4444");
    store.erase("c");
    EXPECT_EQ(names(store), (std::vector<std::string>{"b", "a"}));
    EXPECT_EQ(names(store, true), (std::vector<std::string>{"a", "b"}));
    EXPECT_TRUE(store.check().good());
  }
  Store store = Store::open(path);
  EXPECT_EQ(names(store), (std::vector<std::string>{"b", "a"}));
  EXPECT_ERROR(store.put("d", "1"), Errc::invalid_argument, "keeps an order \"length\"");
  EXPECT_ERROR(store.by_order("weight"), Errc::not_found, "keeps no order \"weight\"");
  store.drop_order("length");
  store.put("d", "1");
  EXPECT_ERROR(store.by_order("length"), Errc::not_found, "");
  EXPECT_EQ(store.size(), 3U);
}

TEST(StoreOrderValue, SortsAsItsValues) {
  const std::vector<StoreOrderValue> values = {std::numeric_limits<std::int64_t>::min(),
                                               -1,
                                               0,
                                               1,
                                               -std::numeric_limits<double>::infinity(),
                                               -1.5,
                                               -0.0,
                                               0.0,
                                               2.5,
                                               1e300,
                                               std::numeric_limits<double>::quiet_NaN(),
                                               std::string_view(""),
                                               std::string_view("a"),
                                               std::string_view("ab"),
                                               std::string_view("b")};
  for (std::size_t i = 1; i < values.size(); ++i) {
    EXPECT_LT(values[i - 1].sortable(), values[i].sortable()) << i;
  }
}

}  // namespace
}  // namespace stele
