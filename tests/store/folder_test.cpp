// The location of a store: a relative path, a renamed folder, a folder whose name another store takes.

#include <sys/wait.h>

#include <filesystem>

#include "stele/store.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;
using test::Folder;

StoreOptions options() { return {.shard_bytes = 1 << 20}; }

void use(Store& store, int version) {
  for (int i = 0; i < 40; ++i) {
    store.put(i, std::string(100'000, static_cast<char>('a' + version)));
  }
  store.commit();
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(store.get<std::string>(i), std::string(100'000, static_cast<char>('a' + version)));
  }
  for (int i = 0; i < 30; ++i) {
    store.erase(i);
  }
  store.commit();
  EXPECT_GT(store.vacuum(), 0u);
  EXPECT_TRUE(store.check().problems.empty());
  EXPECT_GT(store.stats().index_bytes, 0u);
}

class InAFolder : public testing::Test {
 protected:
  void SetUp() override { fs::current_path(folder.path()); }
  void TearDown() override { fs::current_path(before_); }
  Folder folder;

 private:
  const fs::path before_ = fs::current_path();
};

TEST_F(InAFolder, ARelativePathIsThatOfTheMomentOfOpening) {
  fs::create_directory("elsewhere");
  {
    Store store = Store::open("store", StoreMode::create, options());
    fs::current_path("elsewhere");
    use(store, 0);
    store.compact_to("one.store");
    EXPECT_TRUE(fs::exists("one.store"));
    store.release();
    use(store, 1);
    store.close();
    EXPECT_EQ(std::distance(fs::directory_iterator("."), fs::directory_iterator()), 1);
  }
  fs::current_path("..");
  const Store store = Store::open("store", StoreMode::read_only);
  EXPECT_EQ(store.get<std::string>(35), std::string(100'000, 'b'));
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"elsewhere", "store"}));
}

TEST_F(InAFolder, AFolderThatIsRenamedIsFollowedAndAnotherOfItsNameLeftAlone) {
  Store store = Store::open("store", StoreMode::create, options());
  store.put("first", 1);
  store.commit();
  fs::rename("store", "renamed");
  Store other = Store::open("store", StoreMode::create, options());
  other.put("of the other", 2);
  other.commit();
  use(store, 2);
  store.close();
  EXPECT_EQ(other.size(), 1u);
  EXPECT_TRUE(other.check().problems.empty());
  other.close();
  EXPECT_EQ(Store::open("renamed", StoreMode::read_only).size(), 11u);
  EXPECT_EQ(Store::open("store", StoreMode::read_only).size(), 1u);
}

TEST_F(InAFolder, WhatKilledSavesHaveLeftGoesWithTheFirstWrite) {
  {
    Store store = Store::open("store", StoreMode::create, options());
    store.put("first", 1);
    store.commit();
  }
  for (const char* const name : {".dictionary-1.zdict.stele-0.tmp", "index.new", "index.recovered-lock"}) {
    test::put(std::string("store/") + name, std::as_bytes(std::span("left", 4)));
  }
  test::put("store/notes.txt", std::as_bytes(std::span("mine", 4)));
  Store store = Store::open("store", StoreMode::read_write, options());
  store.put("second", 2);
  store.close();
  EXPECT_FALSE(fs::exists("store/.dictionary-1.zdict.stele-0.tmp"));
  EXPECT_FALSE(fs::exists("store/index.new"));
  EXPECT_FALSE(fs::exists("store/index.recovered-lock"));
  EXPECT_TRUE(fs::exists("store/notes.txt"));
}

}  // namespace
}  // namespace stele
