// Storage::read() of S3 and of web servers: the same bytes and the same verdicts.

#include "remote/support.hpp"
#include "stele/storage.hpp"

namespace stele {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

class Ranges : public Remote {
 protected:
  Ranges() { server_.put("/data/file", content_); }

  std::vector<std::unique_ptr<Storage>> storages() const {
    std::vector<std::unique_ptr<Storage>> all;
    all.push_back(open_storage("s3://data"));
    all.push_back(open_storage(server_.endpoint() + "/data"));
    return all;
  }
  /// The bytes of several ranges, one after the other.
  static std::string read(const Storage& storage, std::vector<std::pair<std::size_t, std::size_t>> wanted,
                          std::string_view etag = {}, std::string_view key = "file") {
    std::size_t total = 0;
    for (const auto& [offset, size] : wanted) {
      total += size;
    }
    std::string into(total, '\0');
    std::vector<ByteRange> ranges;
    std::size_t at = 0;
    for (const auto& [offset, size] : wanted) {
      ranges.push_back({offset, std::as_writable_bytes(std::span(into)).subspan(at, size)});
      at += size;
    }
    storage.read(key, ranges, etag);
    return into;
  }

  const std::string content_ = noise(3 * mib);
};

TEST_F(Ranges, ArriveInOneRequestEach) {
  for (const auto& storage : storages()) {
    const std::size_t before = server_.count();
    EXPECT_TRUE(read(*storage, {{2 * mib, 100}, {0, mib}, {5, 0}, {3 * mib - 1, 1}}) ==
                content_.substr(2 * mib, 100) + content_.substr(0, mib) + content_.back())
        << storage->name();
    EXPECT_EQ(server_.count() - before, 3U) << storage->name();
  }
}

TEST_F(Ranges, PastTheEndAreTruncated) {
  for (const auto& storage : storages()) {
    const std::size_t before = server_.count();
    EXPECT_EQ(code_of([&] { read(*storage, {{3 * mib - 10, 11}}); }), Errc::truncated) << storage->name();
    EXPECT_EQ(code_of([&] { read(*storage, {{3 * mib, 1}}); }), Errc::truncated) << storage->name();
    EXPECT_EQ(server_.count() - before, 2U) << "it is not tried again: " << storage->name();
  }
}

TEST_F(Ranges, OfAnotherVersionAreAnError) {
  for (const auto& storage : storages()) {
    const std::string etag = storage->find("file")->etag;
    EXPECT_EQ(read(*storage, {{7, 3}}, etag), content_.substr(7, 3));
    EXPECT_EQ(code_of([&] { read(*storage, {{7, 3}}, "\"another\""); }), Errc::changed) << storage->name();
    EXPECT_EQ(code_of([&] { read(*storage, {{7, 3}}, {}, "none"); }), Errc::not_found) << storage->name();
  }
}

TEST_F(Ranges, OfAServerWithoutThem) {
  server_.ranges = false;
  const auto storage = open_storage(server_.endpoint() + "/data");
  EXPECT_EQ(read(*storage, {{2 * mib, 100}, {0, 3}}), content_.substr(2 * mib, 100) + content_.substr(0, 3));
  EXPECT_EQ(code_of([&] { read(*storage, {{3 * mib - 10, 11}}); }), Errc::truncated);
}

}  // namespace
}  // namespace stele
