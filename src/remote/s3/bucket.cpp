#include "remote/s3/bucket.hpp"

#include <algorithm>
#include <array>
#include <random>

#include "base/threads/interruption.hpp"
#include "codec/formats/deflate.hpp"
#include "format/text/base64.hpp"
#include "io/storage/urls.hpp"
#include "remote/s3/roles.hpp"
#include "stele/error.hpp"

namespace stele::remote {
namespace {

// SHA-256 of no bytes: requests without content are signed with it.
constexpr const char* hash_of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

bool is_host_name(std::string_view bucket) noexcept {
  return std::all_of(bucket.begin(), bucket.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

}  // namespace

Bucket::Bucket(std::string name) : name_(std::move(name)), state_(std::make_shared<State>()) {
  state_->setup = s3_setup();
  const S3Setup& setup = state_->setup;
  if (!setup.endpoint.empty()) {
    base_ = setup.endpoint + "/" + name_;
  } else {
    const std::string host = "s3." + setup.signing.region + ".amazonaws.com";
    base_ = is_host_name(name_) ? "https://" + name_ + "." + host : "https://" + host + "/" + name_;
  }
}

Request Bucket::request(std::string method, std::string_view key, std::string_view query) const {
  Request made;
  made.method = std::move(method);
  made.url = base_ + "/" + percent_encoded(key, true);
  if (!query.empty()) {
    made.url += "?" + std::string(query);
  }
  made.name = url_of(key);
  if (made.method == "GET" || made.method == "HEAD" || made.method == "DELETE") {
    made.headers.push_back(std::string("x-amz-content-sha256: ") + hash_of_nothing);
  } else {
    made.headers.emplace_back("x-amz-content-sha256: UNSIGNED-PAYLOAD");
  }
  made.sign = [state = state_](bool renewed) {
    const std::unique_lock lock = Waiting::lock(state->mutex);
    if (renewed || is_due(state->setup.expires)) {
      state->setup = s3_setup(renewed);
    }
    return state->setup.signing;
  };
  return made;
}

void Bucket::fail(std::string_view action, const std::string& url, const Answer& answer) const {
  bool anonymous = false;
  {
    const std::unique_lock lock = Waiting::lock(state_->mutex);
    anonymous = state_->setup.signing.key.empty();
  }
  try {
    fail_answer(action, url, answer);
  } catch (const Error& error) {
    if (error.code() != Errc::denied || !anonymous) {
      throw;
    }
    throw Error(
        Errc::denied,
        error.message() + "; no credentials were found in the environment, in ~/.aws, or of a role of this machine",
        {.file = url});
  }
}

std::string new_mark() {
  std::random_device random;
  return message({std::uint64_t{random()}, "-", std::uint64_t{random()}, "-", std::uint64_t{random()}});
}

std::vector<std::string> content_headers(Bytes content) {
  const std::uint32_t crc = crc32_of(0, content);
  std::array<std::byte, 4> big{};
  for (std::size_t i = 0; i < 4; ++i) {
    big[i] = static_cast<std::byte>(crc >> (24 - 8 * i));
  }
  std::string checksum = "x-amz-checksum-crc32: ";
  append_base64(checksum, big);
  return {"Content-Type: application/octet-stream", checksum};
}

}  // namespace stele::remote
