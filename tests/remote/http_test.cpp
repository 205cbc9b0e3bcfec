// http:// against a server in this process.

#include "remote/support.hpp"

namespace stele {
namespace {

using Http = Remote;

constexpr std::size_t mib = std::size_t{1} << 20;

TEST_F(Http, ReadsByRanges) {
  const std::string content = noise(9 * mib);
  server_.put("/data/file", content);
  const auto source = file_source(server_.endpoint() + "/data/file?signature=a/b");
  EXPECT_TRUE(read(*source, 0, content.size()) == content);
  EXPECT_EQ(read(*source, 5 * mib, 10), content.substr(5 * mib, 10));
  server_.put("/data/empty", "");
  EXPECT_EQ(file_source(server_.endpoint() + "/data/empty")->size(), 0U);
  server_.put("/data/small", "small");
  EXPECT_EQ(read(*file_source(server_.endpoint() + "/data/small"), 1, 3), "mal");
  EXPECT_EQ(code_of([&] { file_source(server_.endpoint() + "/none"); }), Errc::not_found);
  EXPECT_EQ(code_of([&] { file_source(server_.endpoint()); }), Errc::invalid_argument);
  const auto storage = open_storage(server_.endpoint() + "/data");
  EXPECT_EQ(storage->find("file")->bytes, content.size());
  EXPECT_FALSE(storage->find("none"));
  EXPECT_EQ(code_of([&] { storage->list(); }), Errc::unsupported);
  EXPECT_EQ(code_of([&] { storage->remove("file"); }), Errc::unsupported);
  EXPECT_EQ(code_of([&] { file_sink(server_.endpoint() + "/data/new"); }), Errc::unsupported);
}

TEST_F(Http, ArchivesAreOpenedAndLoaded) {
  std::map<std::string, std::vector<double>> value{{"a", std::vector<double>(300'000, 1.5)}, {"b", {2, 3}}};
  const auto bytes = to_bytes(value);
  server_.put("/a.stele", std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  const std::string url = server_.endpoint() + "/a.stele";
  EXPECT_EQ(open(url).load<std::vector<double>>("b"), (std::vector<double>{2, 3}));
  EXPECT_EQ((load<std::map<std::string, std::vector<double>>>(Path(url))), value);
}

TEST_F(Http, WithoutRangesSmallFilesAreReadWhole) {
  server_.ranges = false;
  const std::string content = noise(2 * mib);
  server_.put("/file", content);
  EXPECT_TRUE(read(*file_source(server_.endpoint() + "/file"), 0, content.size()) == content);
  server_.put("/large", std::string(65 * mib, 'x'));
  EXPECT_EQ(code_of([&] { file_source(server_.endpoint() + "/large"); }), Errc::unsupported);
}

TEST_F(Http, OtherBytesThanAskedForAreNoAnswer) {
  server_.put("/file", noise(3 * mib));
  const auto source = file_source(server_.endpoint() + "/file");
  server_.set_fault([](const Server::Asked&, Server::Reply& reply) {
    reply = {206, std::string(100'000, 'y'), {"Content-Range: bytes 7-100006/3145728"}};
    return true;
  });
  EXPECT_ERROR(read(*source, 0, 100), Errc::io, "the server sends other bytes than it was asked for");
  server_.set_fault([](const Server::Asked&, Server::Reply& reply) {
    reply = {206, std::string(100'000, 'y'), {}};
    return true;
  });
  EXPECT_EQ(code_of([&] { read(*source, 0, 100); }), Errc::io);
}

TEST_F(Http, ReplacedWithoutAnEtagIsFoundByTheSize) {
  server_.etags = false;
  server_.put("/file", noise(3 * mib));
  const auto source = file_source(server_.endpoint() + "/file");
  server_.put("/file", noise(3 * mib + 1));
  EXPECT_EQ(code_of([&] { read(*source, 0, 100); }), Errc::changed);
}

TEST_F(Http, FollowsRedirections) {
  server_.put("/there", "content");
  server_.set_fault([](const Server::Asked& asked, Server::Reply& reply) {
    reply = {302, {}, {"Location: /there"}};
    return asked.target == "/here";
  });
  EXPECT_EQ(read(*file_source(server_.endpoint() + "/here"), 0, 7), "content");
  server_.set_fault([](const Server::Asked&, Server::Reply& reply) {
    reply = {302, {}, {"Location: file:///etc/passwd"}};
    return true;
  });
  EXPECT_EQ(code_of([&] { file_source(server_.endpoint() + "/here"); }), Errc::io);
  server_.set_fault([](const Server::Asked&, Server::Reply& reply) {
    reply = {302, {}, {"Location: /again"}};
    return true;
  });
  EXPECT_EQ(code_of([&] { file_source(server_.endpoint() + "/here"); }), Errc::io);
}

TEST_F(Http, NoServer) {
  EXPECT_EQ(code_of([] { file_source("http://127.0.0.1:1/file"); }), Errc::io);
  EXPECT_EQ(code_of([] { file_source("http://host.invalid/file"); }), Errc::io);
}

}  // namespace
}  // namespace stele
