// Sharded archives in an object store: what is written, how many requests reading takes, and two commits at once.

#include <array>
#include <numeric>

#include "remote/support.hpp"
#include "stele/sharded_archive.hpp"

namespace stele {
namespace {

const std::string place = "s3://bucket/runs/model";

Array<float, 2> rows_of(std::uint64_t first, std::uint64_t count) {
  Array<float, 2> rows({count, 1000});
  std::iota(rows.mutable_data(), rows.mutable_data() + rows.size(), static_cast<float>(first * 1000));
  return rows;
}

class RemoteSharded : public Remote {
 protected:
  static void write_part(unsigned rank, unsigned ranks, const std::string& attempt) {
    ShardedWriter out(place, rank, ranks, {.attempt = attempt, .wait_s = 5});
    const std::uint64_t count = 1200 / ranks;
    out.put("x/rows", rows_of(rank * count, count), {1200, 1000}, {rank * count, 0});
    out.put_value("attempt", attempt);
    out.commit();
  }
  static void write_all(unsigned ranks, const std::string& attempt) {
    for (unsigned rank = ranks; rank-- > 0;) {
      write_part(rank, ranks, attempt);
    }
  }
  std::size_t parts() const { return open_storage(place)->list("shards/").size(); }
};

TEST_F(RemoteSharded, AreWrittenAndReadByTheirUrl) {
  EXPECT_ERROR(open(place), Errc::not_found, "model");
  write_all(4, "a");
  for (const std::string& url : {place, place + "/", place + "/manifest.stele",
                                 server_.endpoint() + "/bucket/runs/model"}) {  // no list over HTTP
    const File file = open(url);
    EXPECT_EQ(to_bytes(file.load<Array<float, 2>>("x/rows")), to_bytes(rows_of(0, 1200)));
    EXPECT_EQ(to_bytes(load<Value>(url).at_path("x/rows").to<Array<float, 2>>()), to_bytes(rows_of(0, 1200)));
    EXPECT_EQ(file.load<std::string>("attempt"), "a");
    file.verify();
  }
  write_all(2, "b");
  EXPECT_EQ(load<Value>(place).at_path("attempt").text(), "b");
  EXPECT_EQ(parts(), 2U);
}

TEST_F(RemoteSharded, ReadNothingOfOtherParts) {
  write_all(12, "a");
  server_.forget();
  const std::uint64_t before = server_.bytes_sent();
  const auto rows = open(place).array<float, 2>("x/rows");
  const std::size_t opening = server_.count();
  const Array<float, 2> box = rows.read({Range{520, 5}});
  EXPECT_EQ(to_bytes(box), to_bytes(rows_of(520, 5)));
  for (const Server::Asked& asked : server_.log) {
    EXPECT_TRUE(asked.target.find("00005-of") != std::string::npos || asked.target.find("shards") == std::string::npos)
        << asked.target;
  }
  EXPECT_LE(opening, 5U);
  EXPECT_LE(server_.count() - opening, 4U);
  EXPECT_LT(server_.bytes_sent() - before, 2'500'000U);  // of 4.8 MB
}

TEST_F(RemoteSharded, CommitDespiteAListThatIsLate) {
  server_.set_fault([](const Server::Asked& asked, Server::Reply& reply) {
    if (asked.target.find("list-type=2") == std::string::npos) {
      return false;
    }
    reply = {200, "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>", {}};
    return true;
  });
  write_all(3, "a");
  EXPECT_EQ(open(place).load<std::string>("attempt"), "a");
}

TEST_F(RemoteSharded, OfTwoCommitsOneCounts) {
  write_all(2, "a");
  const std::string other = *server_.get("/bucket/runs/model/manifest.stele") + "changed";
  bool done = false;
  server_.set_fault([&](const Server::Asked& asked, Server::Reply&) {
    if (asked.method == "PUT" && asked.target.find("manifest.stele") != std::string::npos &&
        !std::exchange(done, true)) {
      server_.store("/bucket/runs/model/manifest.stele", other);  // just before
    }
    return false;
  });
  EXPECT_ERROR(write_all(2, "b"), Errc::busy, "another commit");
  EXPECT_EQ(*server_.get("/bucket/runs/model/manifest.stele"), other);
  EXPECT_EQ(parts(), 4U);
}

TEST_F(RemoteSharded, ACommitWhoseAnswerIsLostCounts) {
  bool done = false;
  server_.set_fault([&](const Server::Asked& asked, Server::Reply& reply) {
    if (asked.method == "PUT" && asked.target.find("manifest.stele") != std::string::npos &&
        !std::exchange(done, true)) {
      server_.store("/bucket/runs/model/manifest.stele", asked.content);
      reply.silent = true;
      return true;
    }
    return false;
  });
  write_all(2, "a");
  EXPECT_TRUE(done);
  EXPECT_EQ(open(place).load<std::string>("attempt"), "a");
}

TEST_F(RemoteSharded, ArePutBackTogetherOrRefusedWhenRequestsFail) {
  write_all(3, "a");
  std::mt19937 random(5);
  int succeeded = 0;
  for (int round = 0; round < 8; ++round) {
    server_.set_fault([&](const Server::Asked&, Server::Reply& reply) {
      switch (random() % 12) {
        case 0:
          reply = {503, "", {}};
          return true;
        case 1:
          reply.silent = true;
          return true;
        default:
          return false;
      }
    });
    const std::string attempt = "r" + std::to_string(round);
    bool done = false;
    try {
      write_all(3, attempt);
      done = true;
      ++succeeded;
    } catch (const Error&) {
    }
    server_.set_fault(nullptr);
    const File file = open(place);
    file.verify();
    EXPECT_EQ(to_bytes(file.load<Array<float, 2>>("x/rows")), to_bytes(rows_of(0, 1200)));
    EXPECT_TRUE(!done || file.load<std::string>("attempt") == attempt);
  }
  EXPECT_GT(succeeded, 0);
}

}  // namespace
}  // namespace stele
