#pragma once
// One thread of the process that runs all transfers, so that requests share connections and several run at once.

#include <curl/curl.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "stele/io.hpp"

namespace stele::remote {

/// A user's keys, for the signature of a request (AWS Signature Version 4). Empty: not signed.
struct Signing {
  std::string key;
  std::string secret;
  std::string token;
  std::string region;
};

/// Who receives an answer. Called by the engine's thread.
class Receiver {
 public:
  virtual ~Receiver() = default;
  virtual void header(std::string_view line) = 0;
  /// Whether to go on.
  virtual bool body(Bytes bytes) = 0;
};

/// One try of a request.
struct Job {
  std::string method;
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  Signing signing;
  Bytes content;  // what is sent; stays valid until the job is over
  Receiver* receiver = nullptr;
  double most_s = 0;  // how long it may take; 0 for any time

  // The answer.
  CURLcode result = CURLE_OK;
  long status = 0;
  std::string error;
};

/// Thread-safe. A child of fork() has an engine of its own.
class Engine {
 public:
  static Engine& of_process();
  virtual ~Engine() = default;

  /// Starts a job, which stays where it is until wait() or cancel() has returned.
  virtual void start(Job& job) = 0;
  /// Whether it is over; waits at most `milliseconds` for that or for `enough`, which is asked after notify().
  virtual bool wait(Job& job, unsigned milliseconds, const std::function<bool()>& enough) = 0;
  /// Wakes those that wait.
  virtual void notify() = 0;
  /// Ends a job; its receiver is not called any more. Does nothing if it is over.
  virtual void cancel(Job& job) noexcept = 0;
};

}  // namespace stele::remote
