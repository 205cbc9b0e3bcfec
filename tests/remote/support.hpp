#pragma once
// A server for each test, and the environment that leads to it.

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "remote/server.hpp"
#include "stele/archive.hpp"
#include "stele/error.hpp"
#include "stele/remote.hpp"
#include "support/test_support.hpp"

namespace stele {

class Remote : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("AWS_ENDPOINT_URL_S3", server_.endpoint().c_str(), 1);
    ::setenv("AWS_ACCESS_KEY_ID", "key", 1);
    ::setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    ::setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere", 1);
    ::setenv("AWS_CONFIG_FILE", "/nowhere", 1);
    ::setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    ::unsetenv("AWS_PROFILE");
    ::unsetenv("AWS_SESSION_TOKEN");
    remote::Options options;
    options.attempts = 4;
    options.stall_s = 20;
    options.part_bytes = std::uint64_t{5} << 20;
    remote::set_options(options);
  }

  static std::string noise(std::size_t size, unsigned seed = 1) {
    std::mt19937 random(seed);
    std::string text(size, ' ');
    std::generate(text.begin(), text.end(), [&] { return static_cast<char>(random()); });
    return text;
  }
  static std::string read(const Source& source, std::uint64_t offset, std::size_t size) {
    std::string text(size, ' ');
    source.read_at(offset, std::as_writable_bytes(std::span(text)));
    return text;
  }
  static void write(const std::string& url, std::string_view text) {
    const std::unique_ptr<Sink> sink = file_sink(url);
    for (std::size_t at = 0; at < text.size(); at += 1'000'003) {
      sink->write(std::as_bytes(std::span(text.substr(at, 1'000'003))));
    }
    sink->close();
  }
  template <class Action>
  static Errc code_of(Action action) {
    try {
      action();
    } catch (const Error& error) {
      return error.code();
    }
    ADD_FAILURE() << "no error";
    return Errc::malformed;
  }

  /// What was asked for, for messages.
  std::string ranges() {
    std::string text;
    for (const Server::Asked& asked : server_.log) {
      const auto range = asked.headers.find("range");
      text += "\n  " + asked.method + (range == asked.headers.end() ? std::string() : " " + range->second);
    }
    return text;
  }

  Server server_;
};

}  // namespace stele
