#pragma once
// A small web server in this process, which has objects in memory, speaks as much of S3 as stele does, counts requests,
// and can be told to fail. It does not look at signatures.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/checksum.hpp"
#include "codec/formats/deflate.hpp"
#include "format/text/base64.hpp"
#include "io/storage/urls.hpp"

namespace stele {

class Server {
 public:
  struct Asked {
    std::string method;
    std::string target;                          // "/bucket/key?query", as it was sent
    std::map<std::string, std::string> headers;  // in lower case
    std::string content;
  };
  struct Reply {
    int status = 200;
    std::string content = {};
    std::vector<std::string> headers = {};
    std::size_t cut = std::string::npos;  // so many bytes of the content are sent, then the connection ends
    bool silent = false;                  // the connection ends without an answer
    int delay_ms = 0;
  };
  /// May answer in place of the server, or change its answer. Called with the lock held.
  using Fault = std::function<bool(const Asked& asked, Reply& reply)>;

  Server() {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<struct sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<struct sockaddr*>(&address), &size) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
    threads_.emplace_back([this] { accept_all(); });
  }
  ~Server() {
    over_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    for (;;) {
      std::jthread thread;
      {
        const std::lock_guard lock(mutex_);
        for (const int connection : connections_) {
          ::shutdown(connection, SHUT_RDWR);
        }
        if (threads_.empty()) {
          break;
        }
        thread = std::move(threads_.back());
        threads_.pop_back();
      }
    }
    ::close(listener_);
  }

  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }

  // To be used by the test while no request is in work, or with `mutex`.
  struct Stored {
    std::string content;
    std::string etag;
  };
  std::map<std::string, Stored> objects;                               // by path, "/bucket/key"
  std::map<std::string, std::map<int, std::string>> uploads;           // by id
  std::map<std::string, std::map<std::string, std::string>> metadata;  // x-amz-meta-… of objects and uploads
  std::vector<Asked> log;
  Fault fault;
  bool ranges = true;
  bool etags = true;
  std::size_t page = 1000;

  void put(const std::string& path, std::string content) {
    const std::lock_guard lock(mutex_);
    store(path, std::move(content));
  }
  std::optional<std::string> get(const std::string& path) {
    const std::lock_guard lock(mutex_);
    const auto found = objects.find(path);
    return found == objects.end() ? std::nullopt : std::optional(found->second.content);
  }
  void set_fault(Fault what) {
    const std::lock_guard lock(mutex_);
    fault = std::move(what);
  }
  std::size_t count(std::string_view method = {}) {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count_if(
        log.begin(), log.end(), [&](const Asked& one) { return method.empty() || one.method == method; }));
  }
  std::uint64_t bytes_sent() const { return sent_; }
  void forget() {
    const std::lock_guard lock(mutex_);
    log.clear();
    sent_ = 0;
  }
  std::size_t open_uploads() {
    const std::lock_guard lock(mutex_);
    return uploads.size();
  }

  /// For a Fault, which is called with the lock held.
  void store(const std::string& path, std::string content) {
    const std::string etag = etag_of(content);
    objects[path] = {std::move(content), etag};
  }

  static std::string etag_of(std::string_view content) {
    char text[40];
    std::snprintf(text, sizeof text, "\"%016llx\"",
                  static_cast<unsigned long long>(xxh3_64(std::as_bytes(std::span(content)))));
    return text;
  }

 private:
  void accept_all() {
    while (!over_) {
      const int connection = ::accept(listener_, nullptr, nullptr);
      if (connection < 0) {
        return;
      }
      const std::lock_guard lock(mutex_);
      connections_.push_back(connection);
      threads_.emplace_back([this, connection] { serve(connection); });
    }
  }

  void serve(int connection) {
    std::string buffer;
    while (!over_) {
      std::size_t head = std::string::npos;
      while ((head = buffer.find("\r\n\r\n")) == std::string::npos) {
        if (!receive(connection, buffer)) {
          finish(connection);
          return;
        }
      }
      Asked asked;
      parse(std::string_view(buffer).substr(0, head), asked);
      const std::size_t length =
          asked.headers.contains("content-length") ? std::stoul(asked.headers["content-length"]) : 0;
      while (buffer.size() < head + 4 + length) {
        if (!receive(connection, buffer)) {
          finish(connection);
          return;
        }
      }
      asked.content = buffer.substr(head + 4, length);
      buffer.erase(0, head + 4 + length);
      Reply reply;
      {
        const std::lock_guard lock(mutex_);
        log.push_back(asked);
        if (!fault || !fault(asked, reply)) {
          const Reply extra = reply;
          reply = answer(asked);
          reply.cut = extra.cut;
          reply.silent = extra.silent;
          reply.delay_ms = extra.delay_ms;
        }
      }
      for (int waited = 0; waited < reply.delay_ms && !over_; waited += 10) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      if (reply.silent) {
        break;
      }
      std::string text = "HTTP/1.1 " + std::to_string(reply.status) + " -\r\n";
      for (const std::string& header : reply.headers) {
        text += header + "\r\n";
      }
      const bool bodiless = asked.method == "HEAD";
      if (!bodiless) {
        text += "Content-Length: " + std::to_string(reply.content.size()) + "\r\n";
      }
      text += "\r\n";
      sent_ += bodiless ? 0 : std::min(reply.cut, reply.content.size());
      if (!send(connection, text) || (!bodiless && !send(connection, reply.content.substr(0, reply.cut))) ||
          reply.cut < reply.content.size()) {
        break;
      }
    }
    finish(connection);
  }

  void finish(int connection) {
    ::shutdown(connection, SHUT_RDWR);
    const std::lock_guard lock(mutex_);
    std::erase(connections_, connection);
    ::close(connection);
  }

  static bool receive(int connection, std::string& buffer) {
    static constexpr std::size_t step = std::size_t{1} << 20;
    const std::size_t had = buffer.size();
    buffer.resize(had + step);
    const ssize_t got = ::recv(connection, buffer.data() + had, step, 0);
    buffer.resize(had + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    return got > 0;
  }
  static bool send(int connection, std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(connection, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) {
        return false;
      }
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  static void parse(std::string_view head, Asked& asked) {
    const std::size_t line = head.find("\r\n");
    const std::string_view first = head.substr(0, line);
    asked.method = first.substr(0, first.find(' '));
    asked.target = first.substr(asked.method.size() + 1);
    asked.target = asked.target.substr(0, asked.target.find(' '));
    while (head.find("\r\n") != std::string_view::npos) {
      head.remove_prefix(head.find("\r\n") + 2);
      const std::string_view header = head.substr(0, head.find("\r\n"));
      const std::size_t colon = header.find(':');
      std::string name(header.substr(0, colon));
      std::transform(name.begin(), name.end(), name.begin(), [](char c) { return static_cast<char>(std::tolower(c)); });
      std::string value(header.substr(std::min(header.size(), colon + 1)));
      value.erase(0, value.find_first_not_of(' '));
      asked.headers[name] = value;
    }
  }

  static Reply refused(int status, const std::string& code) {
    return {status, "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code><Message>no</Message></Error>", {}};
  }

  Reply answer(const Asked& asked) {
    const std::size_t mark = asked.target.find('?');
    const std::string path = percent_decoded(asked.target.substr(0, mark));
    const std::string query = mark == std::string::npos ? "" : asked.target.substr(mark + 1);
    if (asked.method == "GET" || asked.method == "HEAD") {
      return query.find("list-type=2") != std::string::npos ? list(path, query) : read(asked, path);
    }
    if (asked.method == "PUT") {
      return write(asked, path, query);
    }
    if (asked.method == "DELETE") {
      const std::string id = value_of(query, "uploadId");
      if (id.empty()) {
        objects.erase(path);
      } else {
        uploads.erase(id);
      }
      return {204, {}, {}};
    }
    return post(asked, path, query);
  }

  Reply read(const Asked& asked, const std::string& path) {
    const auto found = objects.find(path);
    if (found == objects.end()) {
      return refused(404, "NoSuchKey");
    }
    const std::string& content = found->second.content;
    const std::string& etag = found->second.etag;
    if (asked.headers.contains("if-match") && asked.headers.at("if-match") != etag) {
      return refused(412, "PreconditionFailed");
    }
    Reply reply;
    if (etags) {
      reply.headers.push_back("ETag: " + etag);
    }
    for (const auto& [name, value] : metadata[path]) {
      reply.headers.push_back(name + ": " + value);
    }
    if (asked.method == "HEAD") {
      reply.headers.push_back("Content-Length: " + std::to_string(content.size()));
      return reply;
    }
    if (!ranges || !asked.headers.contains("range")) {
      reply.content = content;
      return reply;
    }
    const std::string range = asked.headers.at("range").substr(6);
    const std::size_t dash = range.find('-');
    std::size_t first = 0;
    std::size_t last = content.empty() ? 0 : content.size() - 1;
    if (dash == 0) {
      first = content.size() - std::min<std::size_t>(content.size(), std::stoul(range.substr(1)));
    } else {
      first = std::stoul(range.substr(0, dash));
      last = dash + 1 < range.size() ? std::min<std::size_t>(last, std::stoul(range.substr(dash + 1))) : last;
    }
    if (first >= content.size()) {
      return {416, {}, {"Content-Range: bytes */" + std::to_string(content.size())}};
    }
    reply.status = 206;
    reply.content = content.substr(first, last - first + 1);
    reply.headers.push_back("Content-Range: bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" +
                            std::to_string(content.size()));
    return reply;
  }

  Reply write(const Asked& asked, const std::string& path, const std::string& query) {
    if (asked.headers.contains("x-amz-checksum-crc32")) {
      const std::uint32_t crc = crc32_of(0, std::as_bytes(std::span(asked.content)));
      const std::byte big[4] = {std::byte(crc >> 24), std::byte(crc >> 16), std::byte(crc >> 8), std::byte(crc)};
      std::string text;
      append_base64(text, big);
      if (asked.headers.at("x-amz-checksum-crc32") != text) {
        return refused(400, "BadDigest");
      }
    }
    const std::string id = value_of(query, "uploadId");
    if (!id.empty()) {
      if (!uploads.contains(id)) {
        return refused(404, "NoSuchUpload");
      }
      uploads[id][std::stoi(value_of(query, "partNumber"))] = asked.content;
      return {200, {}, {"ETag: " + etag_of(asked.content)}};
    }
    const auto found = objects.find(path);
    if ((asked.headers.contains("if-none-match") && found != objects.end()) ||
        (asked.headers.contains("if-match") &&
         (found == objects.end() || found->second.etag != asked.headers.at("if-match")))) {
      return refused(412, "PreconditionFailed");
    }
    store(path, asked.content);
    metadata[path] = metadata_of(asked);
    return {200, {}, {"ETag: " + etag_of(asked.content)}};
  }

  static std::map<std::string, std::string> metadata_of(const Asked& asked) {
    std::map<std::string, std::string> found;
    for (const auto& [name, value] : asked.headers) {
      if (name.starts_with("x-amz-meta-")) {
        found[name] = value;
      }
    }
    return found;
  }

  Reply post(const Asked& asked, const std::string& path, const std::string& query) {
    if (query == "uploads=") {
      const std::string id = "id/" + std::to_string(++ids_) + "+";
      uploads[id];
      metadata[id] = metadata_of(asked);
      return {200, "<R><UploadId>" + id + "</UploadId></R>", {}};
    }
    const std::string id = value_of(query, "uploadId");
    if (!uploads.contains(id)) {
      return refused(404, "NoSuchUpload");
    }
    std::string whole;
    int number = 0;
    for (const auto& [given, part] : uploads[id]) {
      if (given != ++number || asked.content.find(etag_of(part)) == std::string::npos) {
        return refused(400, "InvalidPart");
      }
      whole += part;
    }
    store(path, std::move(whole));
    metadata[path] = metadata[id];
    uploads.erase(id);
    return {200, "<R><ETag>x</ETag></R>", {}};
  }

  Reply list(const std::string& path, const std::string& query) {
    const std::string bucket = path.ends_with('/') ? path : path + "/";
    const std::string prefix = bucket + value_of(query, "prefix");
    const std::string after = value_of(query, "continuation-token");
    std::string xml = "<?xml version=\"1.0\"?><ListBucketResult>";
    std::size_t found = 0;
    std::string last;
    bool more = false;
    for (const auto& [key, object] : objects) {
      if (!key.starts_with(prefix) || (!after.empty() && key <= after)) {
        continue;
      }
      if (found == page) {
        more = true;
        break;
      }
      ++found;
      last = key;
      xml += "<Contents><Key>" + percent_encoded(key.substr(bucket.size()), true) + "</Key><Size>" +
             std::to_string(object.content.size()) + "</Size><ETag>&quot;" + object.etag.substr(1, 16) +
             "&quot;</ETag><LastModified>2026-11-30T12:00:00.000Z</LastModified></Contents>";
    }
    xml += more ? "<IsTruncated>true</IsTruncated><NextContinuationToken>" + last + "</NextContinuationToken>"
                : "<IsTruncated>false</IsTruncated>";
    return {200, xml + "</ListBucketResult>", {}};
  }

  static std::string value_of(const std::string& query, const std::string& name) {
    std::size_t begin = 0;
    while (begin < query.size()) {
      const std::size_t end = std::min(query.find('&', begin), query.size());
      const std::string part = query.substr(begin, end - begin);
      if (part.starts_with(name + "=")) {
        return percent_decoded(part.substr(name.size() + 1));
      }
      begin = end + 1;
    }
    return {};
  }

  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> over_ = false;
  std::atomic<std::uint64_t> sent_ = 0;
  int ids_ = 0;
  std::mutex mutex_;
  std::vector<int> connections_;
  std::vector<std::jthread> threads_;
};

}  // namespace stele
