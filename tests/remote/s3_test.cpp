// s3:// against a store in this process: what is written, read, listed, and what happens when requests fail.

#include <array>
#include <thread>

#include "remote/support.hpp"

namespace stele {
namespace {

using S3 = Remote;
using Kind = PutCondition::Kind;

constexpr std::size_t mib = std::size_t{1} << 20;

TEST_F(S3, WhatIsWrittenIsReadBack) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, 5 * mib - 1, 5 * mib, 5 * mib + 1, 23 * mib + 7}) {
    const std::string content = noise(size);
    write("s3://bucket/some/key", content);
    EXPECT_TRUE(server_.get("/bucket/some/key") == content) << size;
    const auto source = file_source("s3://bucket/some/key");
    EXPECT_EQ(source->size(), size);
    EXPECT_TRUE(read(*source, 0, size) == content) << size;
    std::string in_order(size, ' ');
    std::size_t got = 0;
    while (const std::size_t count =
               source->read(std::as_writable_bytes(std::span(in_order)).subspan(got, std::min(size - got, 77'777ul)))) {
      got += count;
    }
    EXPECT_TRUE(in_order == content) << size;
    if (size > 0) {
      EXPECT_EQ(read(*source, size - 1, 1), content.substr(size - 1));
    }
    EXPECT_EQ(code_of([&] { read(*source, size, 1); }), Errc::truncated);
  }
  EXPECT_EQ(server_.open_uploads(), 0U);
}

TEST_F(S3, KeysOfAllKindsOfCharacters) {
  for (const std::string& key : {std::string("a b"), std::string("a+b"), std::string("a%20b"), std::string("a?b=c&d"),
                                 std::string("a#b"), std::string("ü/ß…"), std::string("a=b;c'd\"e")}) {
    write("s3://bucket/" + key, key);
    EXPECT_EQ(server_.get("/bucket/" + key), key);
    EXPECT_EQ(read(*file_source("s3://bucket/" + key), 0, key.size()), key);
    EXPECT_EQ(open_storage("s3://bucket")->list(key).at(0).key, key);
  }
}

TEST_F(S3, ListsFindsAndRemovesUnderAPrefix) {
  server_.page = 3;
  for (int i = 0; i < 10; ++i) {
    server_.put("/bucket/run/part-" + std::to_string(i), std::string(static_cast<std::size_t>(i), 'x'));
  }
  server_.put("/bucket/runner", "no");
  const auto storage = open_storage("s3://bucket/run/");
  EXPECT_EQ(storage->name(), "s3://bucket/run");
  const auto all = storage->list();
  ASSERT_EQ(all.size(), 10U);
  EXPECT_EQ(all[7].key, "part-7");
  EXPECT_EQ(all[7].bytes, 7U);
  EXPECT_EQ(all[7].etag, storage->find("part-7")->etag);
  EXPECT_EQ(all[7].modified, 1796040000.0);
  EXPECT_EQ(storage->list("part-3").size(), 1U);
  EXPECT_TRUE(storage->list("none").empty());
  storage->remove("part-7");
  storage->remove("part-7");
  EXPECT_FALSE(storage->find("part-7"));
  EXPECT_EQ(storage->list().size(), 9U);
}

TEST_F(S3, ConditionalWrites) {
  const auto storage = open_storage("s3://bucket/p");
  const auto bytes = [](std::string_view text) { return std::as_bytes(std::span(text)); };
  const auto first = storage->put("m", bytes("one"), {Kind::absent, {}});
  ASSERT_TRUE(first);
  EXPECT_FALSE(storage->put("m", bytes("two"), {Kind::absent, {}}));
  const auto second = storage->put("m", bytes("two"), {Kind::unchanged, *first});
  ASSERT_TRUE(second);
  EXPECT_FALSE(storage->put("m", bytes("three"), {Kind::unchanged, *first}));
  EXPECT_FALSE(storage->put("other", bytes("x"), {Kind::unchanged, *first}));
  EXPECT_EQ(server_.get("/bucket/p/m"), "two");

  // The answer is lost after the store has written: the second try finds what the first one wrote.
  int lost = 0;
  server_.set_fault([&](const Server::Asked& asked, Server::Reply& reply) {
    reply.silent = asked.method == "PUT" && lost++ == 0;
    return false;
  });
  EXPECT_TRUE(storage->put("lost", bytes("content"), {Kind::absent, {}}));
  EXPECT_EQ(lost, 2);
  EXPECT_EQ(server_.get("/bucket/p/lost"), "content");
}

TEST_F(S3, AppearsOnlyWhenComplete) {
  server_.put("/bucket/key", "old");
  {
    const auto sink = file_sink("s3://bucket/key");
    const std::string content = noise(12 * mib);
    sink->write(std::as_bytes(std::span(content)));
    EXPECT_EQ(server_.open_uploads(), 1U);
  }
  EXPECT_EQ(server_.get("/bucket/key"), "old");
  EXPECT_EQ(server_.open_uploads(), 0U) << "an unfinished upload is aborted";
  // A part is refused for good.
  server_.set_fault([](const Server::Asked& asked, Server::Reply& reply) {
    if (asked.target.find("partNumber=2") == std::string::npos) {
      return false;
    }
    reply = {403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"};
    return true;
  });
  EXPECT_EQ(code_of([&] { write("s3://bucket/key", noise(30 * mib)); }), Errc::denied);
  EXPECT_EQ(server_.get("/bucket/key"), "old");
  EXPECT_EQ(server_.open_uploads(), 0U);
}

TEST_F(S3, TriesAgainAfterPassingFaults) {
  const std::string content = noise(17 * mib);
  const std::vector<std::function<void(Server::Reply&)>> faults = {
      [](Server::Reply& reply) { reply = {500, "<Error><Code>InternalError</Code></Error>"}; },
      [](Server::Reply& reply) { reply = {503, "<Error><Code>SlowDown</Code></Error>", {"Retry-After: 0"}}; },
      [](Server::Reply& reply) { reply = {429, ""}; },
      [](Server::Reply& reply) { reply.silent = true; },
  };
  for (std::size_t kind = 0; kind < faults.size(); ++kind) {
    std::map<std::string, int> seen;  // each request fails once
    server_.set_fault([&](const Server::Asked& asked, Server::Reply& reply) {
      const auto range = asked.headers.find("range");
      const std::string id = asked.method + asked.target + (range == asked.headers.end() ? "" : range->second);
      if (seen[id]++ > 0) {
        return false;
      }
      faults[kind](reply);
      return true;
    });
    write("s3://bucket/key", content);
    const auto source = file_source("s3://bucket/key");
    EXPECT_TRUE(read(*source, 0, content.size()) == content) << kind;
  }
}

TEST_F(S3, AServerThatStallsIsAskedAgain) {
  remote::Options options = remote::options();
  options.stall_s = 1;
  remote::set_options(options);
  server_.put("/bucket/key", "content");
  int asked = 0;
  server_.set_fault([&](const Server::Asked&, Server::Reply& reply) {
    reply.delay_ms = asked++ == 0 ? 60'000 : 0;
    return false;
  });
  EXPECT_EQ(read(*file_source("s3://bucket/key"), 0, 7), "content");
  EXPECT_EQ(asked, 2);
  server_.set_fault([](const Server::Asked&, Server::Reply& reply) {
    reply.delay_ms = 60'000;
    return false;
  });
  EXPECT_ERROR(file_source("s3://bucket/key"), Errc::io, "no answer");
}

TEST_F(S3, GoesOnAfterABodyThatBreaksOff) {
  const std::string content = noise(20 * mib);
  server_.put("/bucket/key", content);
  int broken = 0;
  server_.set_fault([&](const Server::Asked& asked, Server::Reply& reply) {
    if (asked.method == "GET" && broken++ % 2 == 0) {
      reply.cut = 100'000;
    }
    return false;
  });
  const auto source = file_source("s3://bucket/key");
  EXPECT_TRUE(read(*source, 0, content.size()) == content);
  EXPECT_GT(broken, 4);
  EXPECT_LT(server_.bytes_sent(), content.size() + 2 * mib) << "what has arrived is not read again";
}

TEST_F(S3, GivesUpInWords) {
  server_.put("/bucket/key", "x");
  server_.set_fault([](const Server::Asked&, Server::Reply& reply) {
    reply = {503, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"};
    return true;
  });
  EXPECT_ERROR(
      file_source("s3://bucket/key"), Errc::io,
      "cannot read s3://bucket/key: the server answered 503 SlowDown: Please reduce your request rate. (4 tries)");
  EXPECT_EQ(server_.count(), 4U);
  server_.set_fault([](const Server::Asked&, Server::Reply& reply) { return reply.silent = true; });
  EXPECT_EQ(code_of([] { file_source("s3://bucket/key"); }), Errc::io);
  server_.set_fault(nullptr);
  EXPECT_ERROR(file_source("s3://bucket/none"), Errc::not_found,
               "cannot read s3://bucket/none: there is no such object");
  server_.set_fault([](const Server::Asked& asked, Server::Reply& reply) {
    reply = {403, "<Error><Code>InvalidAccessKeyId</Code><Message>unknown key</Message></Error>"};
    return asked.method != "HEAD" || asked.method == "HEAD";
  });
  EXPECT_ERROR(file_source("s3://bucket/key"), Errc::denied, "403 InvalidAccessKeyId: unknown key");
  ::unsetenv("AWS_ACCESS_KEY_ID");
  EXPECT_ERROR(file_source("s3://bucket/key"), Errc::denied, "no credentials were found");
  EXPECT_EQ(code_of([] { open_storage("s3:///key"); }), Errc::invalid_argument);
  EXPECT_EQ(code_of([] { file_source("s3://bucket"); }), Errc::invalid_argument);
}

TEST_F(S3, ExpiredCredentialsAreReadAgain) {
  server_.put("/bucket/key", "content");
  int asked_times = 0;
  server_.set_fault([&](const Server::Asked& asked, Server::Reply& reply) {
    ++asked_times;
    if (asked.headers.at("authorization").find("Credential=fresh/") != std::string::npos &&
        asked.headers.at("x-amz-security-token") == "token") {
      return false;
    }
    ::setenv("AWS_ACCESS_KEY_ID", "fresh", 1);
    ::setenv("AWS_SESSION_TOKEN", "token", 1);
    reply = {400, "<Error><Code>ExpiredToken</Code></Error>"};
    return true;
  });
  EXPECT_EQ(read(*file_source("s3://bucket/key"), 0, 7), "content");
  EXPECT_EQ(asked_times, 2);
}

TEST_F(S3, CompletesAlthoughTheAnswerIsLost) {
  int lost = 0;
  server_.set_fault([&](const Server::Asked& asked, Server::Reply& reply) {
    reply.silent = asked.method == "POST" && asked.target.find("uploadId") != std::string::npos && lost++ == 0;
    return false;
  });
  const std::string content = noise(11 * mib);
  write("s3://bucket/key", content);
  EXPECT_TRUE(server_.get("/bucket/key") == content);
  // An error that comes with status 200, as the store had begun to answer.
  lost = 0;
  server_.set_fault([&](const Server::Asked& asked, Server::Reply& reply) {
    if (asked.method != "POST" || asked.target.find("uploadId") == std::string::npos || lost++ > 0) {
      return false;
    }
    reply = {200, "<Error><Code>InternalError</Code></Error>"};
    return true;
  });
  write("s3://bucket/other", content);
  EXPECT_TRUE(server_.get("/bucket/other") == content);
  server_.set_fault([&](const Server::Asked& asked, Server::Reply& reply) {
    reply = {200, "<Error><Code>AccessDenied</Code></Error>"};
    return asked.method == "POST" && asked.target.find("uploadId") != std::string::npos;
  });
  EXPECT_EQ(code_of([&] { write("s3://bucket/third", content); }), Errc::io);
  EXPECT_FALSE(server_.get("/bucket/third"));
}

TEST_F(S3, ReplacedBetweenTwoReadsIsAnError) {
  server_.put("/bucket/key", noise(30 * mib, 1));
  const auto source = file_source("s3://bucket/key");
  read(*source, 0, 10);
  server_.put("/bucket/key", noise(30 * mib, 2));
  EXPECT_ERROR(read(*source, 10 * mib, 8 * mib), Errc::changed, "s3://bucket/key has changed since it was opened");
  EXPECT_EQ(code_of([&] { read(*source, 20 * mib, 10); }), Errc::changed);
  server_.objects.clear();
  EXPECT_EQ(code_of([&] { read(*source, 25 * mib, 10); }), Errc::not_found);
}

TEST_F(S3, DamagedUploadIsRefusedByTheStore) {
  server_.set_fault([](const Server::Asked& asked, Server::Reply& reply) {
    reply = {400, "<Error><Code>BadDigest</Code><Message>checksum</Message></Error>"};
    return asked.method == "PUT" && !asked.headers.contains("x-amz-checksum-crc32");
  });
  write("s3://bucket/key", noise(6 * mib));
  EXPECT_EQ(server_.get("/bucket/key"), noise(6 * mib));
}

TEST_F(S3, ListingsThatAreNone) {
  for (const char* text : {"", "<a>", "{}", "<R><Contents><Key>a</Key><Size>x</Size></Contents></R>",
                           "<R><IsTruncated>true</IsTruncated></R>",
                           "<R><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></R>"}) {
    server_.set_fault([&](const Server::Asked&, Server::Reply& reply) {
      reply = {200, text};
      return true;
    });
    EXPECT_EQ(code_of([] { open_storage("s3://bucket")->list(); }), Errc::io) << text;
  }
}

TEST_F(S3, ManyThreadsReadOneSource) {
  const std::string content = noise(40 * mib);
  server_.put("/bucket/key", content);
  const auto source = file_source("s3://bucket/key");
  source->will_read(0, content.size());
  std::atomic<std::size_t> next = 0;
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        constexpr std::size_t step = 300'007;
        for (std::size_t at = next.fetch_add(step); at < content.size(); at = next.fetch_add(step)) {
          const std::size_t size = std::min(step, content.size() - at);
          wrong += read(*source, at, size) == content.substr(at, size) ? 0 : 1;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_LT(server_.bytes_sent(), content.size() + mib);
  EXPECT_LE(server_.count(), 10U);
}

TEST_F(S3, ALateReaderDoesNotFetchAgainWhatOthersHaveRead) {
  const std::string content = noise(40 * mib);
  server_.put("/bucket/key", content);
  const auto source = file_source("s3://bucket/key");
  source->will_read(0, content.size());
  EXPECT_EQ(read(*source, 0, 1000), content.substr(0, 1000));
  const std::size_t first = 5 * mib;  // Options::part_bytes
  EXPECT_TRUE(read(*source, first, content.size() - first) == content.substr(first));
  EXPECT_TRUE(read(*source, 1000, first - 1000) == content.substr(1000, first - 1000));
  EXPECT_LT(server_.bytes_sent(), content.size() + mib);
}

TEST_F(S3, AChildOfForkReadsOn) {
  const std::string content = noise(20 * mib);
  server_.put("/bucket/key", content);
  const auto source = file_source("s3://bucket/key");
  read(*source, 0, 1000);
  const auto sink = file_sink("s3://bucket/new");
  sink->write(std::as_bytes(std::span(content)));
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(30);
    bool good = read(*source, 5 * mib, 3 * mib) == content.substr(5 * mib, 3 * mib);
    good = good && code_of([&] { sink->close(); }) == Errc::invalid_argument;
    ::_exit(good ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  sink->close();
  EXPECT_TRUE(server_.get("/bucket/new") == content);
}

// What an archive costs. Of compressed arrays of which a part is read blocks may be decoded ahead, each of which is a
// request. (gzip's and zlib's blocks are found from header to header, which is a request for each.)

struct Arrays {
  std::map<std::string, Array<float, 1>> arrays;
};

Arrays hundred(std::size_t elements) {
  Arrays all;
  for (int i = 0; i < 100; ++i) {
    Array<float, 1> array({elements});
    std::mt19937 random(static_cast<unsigned>(i));
    std::generate(array.mutable_data(), array.mutable_data() + elements,
                  [&] { return static_cast<float>(random() % 10'000); });
    all.arrays["array-" + std::to_string(i)] = std::move(array);
  }
  return all;
}

TEST_F(S3, OneArrayOfAHundredCostsFourRequests) {
  const Arrays all = hundred(250'000);
  for (const std::string codec : {"plain", "zstd", "lz4"}) {
    if (!test::has_codec(codec)) {
      continue;
    }
    const std::string url = "s3://bucket/model-" + codec;
    save(all, url, {.codec = codec});
    const std::uint64_t stored = open(url).info().stored_bytes;
    server_.forget();
    const File file = open(url);
    EXPECT_LE(server_.count(), codec == "plain" ? 2U : 4U) << codec << ranges();
    const auto one = file.load<Array<float, 1>>("arrays/array-57");
    EXPECT_TRUE(std::equal(one.begin(), one.end(), all.arrays.at("array-57").begin())) << codec;
    EXPECT_LE(server_.count(), 4U) << codec << ranges();
    EXPECT_LE(server_.bytes_sent(), one.size() * sizeof(float) + 4 * mib) << codec;  // and the blocks around it
    server_.forget();
    const auto lazy = file.array<float, 1>("arrays/array-33").rows(0, 250'000);
    EXPECT_TRUE(std::equal(lazy.begin(), lazy.end(), all.arrays.at("array-33").begin())) << codec;
    EXPECT_LE(server_.count(), codec == "plain" ? 2U : 4U) << codec << ranges();
    server_.forget();
    const auto whole = load<Arrays>(Path(url));
    EXPECT_EQ(whole.arrays.size(), 100U);
    EXPECT_LE(server_.bytes_sent(), stored + stored / 20 + mib) << codec;
    EXPECT_LE(server_.count(), stored / (5 * mib) + 6) << codec << ranges();
    open(url).verify();
    EXPECT_EQ(code_of([&] { open(url, {.map = MapMode::read_only}); }), Errc::not_mappable);
  }
}

}  // namespace
}  // namespace stele
