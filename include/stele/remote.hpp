#pragma once
// Object stores and web servers as Storages, through libcurl. A program that includes this header and links
// stele::remote can use these URLs wherever a Path is taken:
//
//   s3://bucket/key                 Amazon S3 and stores that speak its protocol
//   http://host/file, https://…     read only; the server must serve ranges (RFC 9110, section 14)
//
// S3 is set up as for the AWS tools, by the environment and by the files ~/.aws/credentials and ~/.aws/config:
// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION or AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3 or
// AWS_ENDPOINT_URL, AWS_PROFILE, AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE, AWS_MAX_ATTEMPTS. Without credentials
// requests are not signed, which is enough for public buckets. Of a web server's set-up libcurl reads http_proxy,
// https_proxy and no_proxy.

#include <cstdint>

#include "stele/storage.hpp"

namespace stele::remote {

/// How patient requests are, and how large.
struct Options {
  /// Tries of a request, of which all but the first follow an answer such as 503 or a broken connection. Between them
  /// is a random wait, at most 0.1 s before the second try, and twice as much before each further one.
  unsigned attempts = 8;
  /// Seconds until a connection must stand.
  double connect_s = 10;
  /// Seconds after which a transfer that does not move is given up, and tried again.
  double stall_s = 30;
  /// Bytes of one part of a large read or write, at least 5 MiB. Parts of a write grow with it beyond 5,000 parts.
  std::uint64_t part_bytes = std::uint64_t{8} << 20;
  /// Parts of one read or write in flight: their memory is `parts` times `part_bytes`.
  unsigned parts = 4;
};

/// The options of this process.
Options options();
/// Sets them, for requests that begin later. Thread-safe.
/// Throws: Error(invalid_argument).
void set_options(const Options& options);

/// Adds the Storages of the URLs above; including this header calls it.
void enable();

inline const bool enabled = (enable(), true);

}  // namespace stele::remote
