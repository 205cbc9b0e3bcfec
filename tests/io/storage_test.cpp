// A folder as a Storage, and paths that are URLs.

#include <atomic>
#include <thread>

#include "io/support.hpp"
#include "stele/storage.hpp"

namespace stele {
namespace {

class FolderStorage : public Io {
 protected:
  std::unique_ptr<Storage> opened() const { return open_storage(folder_); }
  static std::vector<std::string> keys(const Storage& storage, std::string_view prefix = {}) {
    std::vector<std::string> all;
    for (const StoredObject& object : storage.list(prefix)) {
      all.push_back(object.key);
    }
    return all;
  }
};

TEST_F(FolderStorage, WritesListsReadsAndRemoves) {
  const auto storage = opened();
  EXPECT_TRUE(storage->list().empty());
  storage->put("b", as_bytes("bytes"));
  storage->put("a/x", as_bytes("x"));
  const auto sink = storage->sink("a/deep/er");
  sink->write(as_bytes("half"));
  EXPECT_EQ(keys(*storage), (std::vector<std::string>{"a/x", "b"})) << "what is being written is not there";
  sink->close();
  EXPECT_EQ(keys(*storage), (std::vector<std::string>{"a/deep/er", "a/x", "b"}));
  EXPECT_EQ(keys(*storage, "a/"), (std::vector<std::string>{"a/deep/er", "a/x"}));
  EXPECT_EQ(keys(*storage, "a/d"), (std::vector<std::string>{"a/deep/er"}));
  EXPECT_EQ(keys(*storage, "a/deep/er"), (std::vector<std::string>{"a/deep/er"}));
  EXPECT_TRUE(keys(*storage, "c/").empty());
  EXPECT_EQ(storage->list("b")[0].bytes, 5U);

  std::string one(2, ' ');
  std::string two(3, ' ');
  const std::array<ByteRange, 2> ranges{ByteRange{3, std::as_writable_bytes(std::span(one))},
                                        ByteRange{0, std::as_writable_bytes(std::span(two))}};
  storage->read("b", ranges, storage->find("b")->etag);
  EXPECT_EQ(one + two, "esbyt");
  EXPECT_EQ(text_at(*storage->source("b"), 1, 3), "yte");
  const std::array<ByteRange, 1> beyond{ByteRange{4, std::as_writable_bytes(std::span(one))}};
  EXPECT_EQ(error_of([&] { storage->read("b", beyond); }).code(), Errc::truncated);

  storage->remove("b");
  storage->remove("b");
  EXPECT_FALSE(storage->find("b"));
  EXPECT_FALSE(storage->find("a"));
  EXPECT_EQ(error_of([&] { storage->source("b"); }).code(), Errc::not_found);
  EXPECT_EQ(error_of([&] { storage->read("b", ranges); }).code(), Errc::not_found);
}

TEST_F(FolderStorage, AnObjectThatChangedIsAnError) {
  const auto storage = opened();
  storage->put("key", as_bytes("one"));
  const std::string etag = storage->find("key")->etag;
  storage->put("key", as_bytes("two"));
  std::string text(3, ' ');
  const std::array<ByteRange, 1> all{ByteRange{0, std::as_writable_bytes(std::span(text))}};
  EXPECT_EQ(error_of([&] { storage->read("key", all, etag); }).code(), Errc::changed);
}

TEST_F(FolderStorage, OneOfManyConditionalWritesSucceeds) {
  const auto storage = opened();
  for (int round = 0; round < 20; ++round) {
    const std::string before = round == 0 ? std::string() : storage->find("key")->etag;
    std::atomic<int> written = 0;
    {
      std::vector<std::jthread> writers;
      for (int i = 0; i < 4; ++i) {
        writers.emplace_back([&, i] {
          const PutCondition when = round == 0 ? PutCondition{PutCondition::Kind::absent, {}}
                                               : PutCondition{PutCondition::Kind::unchanged, before};
          if (storage->put("key", as_bytes(std::string(static_cast<std::size_t>(round * 4 + i + 1), 'x')), when)) {
            ++written;
          }
        });
      }
    }
    EXPECT_EQ(written, 1);
  }
  EXPECT_FALSE(storage->put("key", as_bytes("x"), {PutCondition::Kind::absent, {}}));
  EXPECT_FALSE(storage->put("other", as_bytes("x"), {PutCondition::Kind::unchanged, "1"}));
  EXPECT_EQ(keys(*storage), (std::vector<std::string>{"key"}));
}

TEST_F(FolderStorage, RefusesWhatIsNoKey) {
  const auto storage = opened();
  for (const std::string_view key : {"", "/", "a/", "/a", "a//b", "../a", "a/./b", ".."}) {
    EXPECT_EQ(error_of([&] { storage->find(key); }).code(), Errc::invalid_argument) << key;
    EXPECT_EQ(error_of([&] { storage->put(key, {}); }).code(), Errc::invalid_argument) << key;
  }
}

TEST_F(FolderStorage, FileUrlsAreLocalPaths) {
  const auto storage = open_storage("file://" + folder_.string() + "/with%20space/");
  storage->put("a%20b", as_bytes("content"));
  EXPECT_EQ(content(folder_ / "with space" / "a%20b"), "content");
  const std::string url = "file://localhost" + in("with%20space/a%2520b");
  EXPECT_EQ(text_at(*file_source(url), 0, 7), "content");
  EXPECT_EQ(text_of(Mapping::open(url, MapMode::read_only)->bytes()), "content");
  const auto sink = file_sink("file://" + in("new"));
  sink->write(as_bytes("x"));
  sink->close();
  EXPECT_EQ(content(folder_ / "new"), "x");
  EXPECT_EQ(error_of([] { file_source("file://server/share"); }).code(), Errc::invalid_argument);
}

TEST_F(FolderStorage, UnknownSchemesAreRefused) {
  for (const char* url : {"s3://bucket/key", "gs://bucket/key"}) {
    EXPECT_EQ(error_of([&] { file_source(url); }).code(), Errc::unsupported);
    EXPECT_EQ(error_of([&] { file_sink(url); }).code(), Errc::unsupported);
    EXPECT_EQ(error_of([&] { open_storage(url); }).code(), Errc::unsupported);
    EXPECT_EQ(error_of([&] { Mapping::open(url, MapMode::read_only); }).code(), Errc::not_mappable);
  }
  EXPECT_TRUE(is_url("s3://b") && is_url("a+b-c.d://x"));
  EXPECT_FALSE(is_url("./s3://b") || is_url("://b") || is_url("3s://b") || is_url("s3:/b") || is_url("a/b://c"));
}

}  // namespace
}  // namespace stele
