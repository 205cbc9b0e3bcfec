#pragma once
// A bucket of an S3 store: how its objects are named and requests for them are made.

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "remote/http/exchange.hpp"
#include "remote/s3/credentials.hpp"

namespace stele::remote {

/// Thread-safe.
class Bucket {
 public:
  explicit Bucket(std::string name);

  /// A request for an object; an empty key stands for the bucket. `query` is encoded, and sorted by its names.
  Request request(std::string method, std::string_view key, std::string_view query = {}) const;
  /// "s3://bucket/key"
  std::string url_of(std::string_view key) const { return "s3://" + name_ + "/" + std::string(key); }
  /// As fail_answer(); says so where no credentials were found.
  [[noreturn]] void fail(std::string_view action, const std::string& url, const Answer& answer) const;

 private:
  struct State {
    std::mutex mutex;  // guards setup
    S3Setup setup;
  };
  const std::string name_;
  std::string base_;  // of URLs: up to the slash before a key
  std::shared_ptr<State> state_;
};

/// Writes an object in parts of `options().part_bytes`, which appears at close(). A small one is one request.
std::unique_ptr<Sink> upload(std::shared_ptr<const Bucket> bucket, std::string key);

/// Metadata that tells an object from others, so that a write is recognized whose answer was lost; and a value for it.
inline constexpr const char* mark_header = "x-amz-meta-stele-write";
std::string new_mark();

/// The headers for content that is sent: what it is, and its checksum, which the store compares (CRC-32).
std::vector<std::string> content_headers(Bytes content);

}  // namespace stele::remote
