#include "stele/filters/own_array.hpp"

#include <numeric>
#include <utility>
#include <vector>

#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::Folder;

std::vector<int> content(const OwnArray<int>& array) { return {array.data(), array.data() + array.size()}; }

OwnArray<int> counting(int count) {
  OwnArray<int> array;
  for (int i = 0; i < count; ++i) {
    array.append({&i, 1});
  }
  return array;
}

TEST(OwnArray, CopiesHaveElementsOfTheirOwn) {
  OwnArray<int> array = counting(5);
  OwnArray<int> copy = array;
  EXPECT_EQ(copy, array);
  copy.own()[0] = 7;
  EXPECT_EQ(array[0], 0);
  array = copy;
  EXPECT_EQ(array[0], 7);
  array.own()[0] = 8;
  EXPECT_EQ(copy[0], 7);
  EXPECT_NE(copy, array);
}

TEST(OwnArray, WhatWasMovedFromIsEmpty) {
  OwnArray<int> array = counting(5);
  OwnArray<int> moved = std::move(array);
  EXPECT_TRUE(array.empty());  // NOLINT(bugprone-use-after-move): this is the test
  EXPECT_EQ(moved.size(), 5U);
  array = std::move(moved);
  EXPECT_TRUE(moved.empty());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(array.size(), 5U);
  moved.append(std::vector<int>{1});
  EXPECT_EQ(content(moved), std::vector<int>{1});
}

TEST(OwnArray, GrowsAtTheEnd) {
  std::vector<int> expected(1000);
  std::iota(expected.begin(), expected.end(), 0);
  OwnArray<int> array = counting(1000);
  EXPECT_EQ(content(array), expected);
  OwnArray<int> copy = array;  // without the room
  copy.append(expected);
  EXPECT_EQ(copy.size(), 2000U);
  EXPECT_EQ(copy[1999], 999);
  EXPECT_EQ(content(array), expected);
  const int* before = (array.make_room(100), array.data());
  array.append(std::vector<int>(100, 5));
  EXPECT_EQ(array.data(), before);
  EXPECT_EQ(array[1099], 5);
}

TEST(OwnArray, IsCopiedFromAReadOnlyMappingBeforeItChanges) {
  const Folder folder;
  const OwnArray<int> saved = counting(5000);
  save(saved.array(), folder / "array.stele");
  OwnArray<int> mapped(load<Array<int>>(folder / "array.stele", {.map = MapMode::read_only}));
  EXPECT_FALSE(mapped.writable());
  EXPECT_EQ(error_of([&] { (void)mapped.mutable_data(); }).code(), Errc::read_only);
  const OwnArray<int> sharing = mapped;
  EXPECT_EQ(sharing.data(), mapped.data());
  OwnArray<int> growing = mapped;
  growing.append(std::vector<int>{1, 2});
  EXPECT_EQ(growing.size(), 5002U);
  mapped.own()[0] = 9;
  EXPECT_EQ(mapped[0], 9);
  EXPECT_EQ(sharing, saved);
  EXPECT_EQ(load<Array<int>>(folder / "array.stele"), saved.array());
}

struct Two {
  OwnArray<int> one, other;
  static void visit(auto& v, auto& self) { v("one", self.one.stored())("other", self.other.stored()); }
};

TEST(OwnArray, ThoseThatShareElementsInAFileDoNotShareChanges) {
  const Folder folder;
  const OwnArray<int> saved = counting(5000);
  save(saved.array(), folder / "array.stele");
  Two two;
  two.one = two.other = OwnArray<int>(load<Array<int>>(folder / "array.stele", {.map = MapMode::read_only}));
  const auto bytes = to_bytes(two);
  EXPECT_LT(bytes.size(), 6000 * sizeof(int));  // stored once
  for (const bool growing : {false, true}) {
    Two loaded = from_bytes<Two>(bytes);
    EXPECT_EQ(loaded.one.data(), loaded.other.data());
    EXPECT_FALSE(loaded.one.writable());
    EXPECT_EQ(error_of([&] { (void)loaded.one.mutable_data(); }).code(), Errc::read_only);
    if (growing) {
      loaded.one.append(std::vector<int>{1});
    } else {
      loaded.one.own()[0] = 9;
    }
    EXPECT_EQ(loaded.other, saved);
    EXPECT_NE(loaded.one, saved);
    EXPECT_TRUE(loaded.other.writable());  // nobody else is left
    const int* before = loaded.other.data();
    loaded.other.own()[1] = 8;
    EXPECT_EQ(loaded.other.data(), before);
  }
}

}  // namespace
}  // namespace stele
