#pragma once
// A request and its answer, with further tries where the first ones fail.

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "remote/http/engine.hpp"
#include "stele/storage.hpp"

namespace stele::remote {

struct Request {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> headers = {};  // "Name: value", without Range and If-Match
  Bytes content = {};                     // stays valid until the exchange is over
  /// The keys for each try; empty if it is not signed. They may change in between.
  std::function<Signing(bool renewed)> sign = {};
  std::string name = {};  // of the object, in messages

  /// What is wanted of the body: `to.size()` bytes from `offset` on, or with `last` that many at the end. They go to
  /// `to`. Where it is empty, the body goes to Answer::text.
  MutableBytes to = {};
  std::uint64_t offset = 0;
  bool last = false;
  std::string etag = {};  // that the object must have; empty: any
  /// What the object must be, where it is known.
  struct Version {
    std::string etag;
    std::string modified;
    std::uint64_t bytes = 0;
    bool known = false;
  } version = {};
  double most_s = 0;                             // for an only try, how long it may take; 0 for the tries of options()
  std::size_t most_text = std::size_t{1} << 20;  // a longer body is an Error
};

struct Answer {
  long status = 0;
  std::map<std::string, std::string, std::less<>> headers;  // the last one of each name, in lower case
  std::string text;                                         // the body, unless it went to Request::to
  std::uint64_t first = 0;                                  // offset of the bytes in Request::to
  std::size_t got = 0;                                      // how many they are
  Request::Version version;                                 // of the object, and its size
  bool whole = false;                                       // the server knows no ranges: `text` is the whole object
  unsigned tries = 0;

  std::string_view header(std::string_view name) const;
  bool succeeded() const noexcept { return status >= 200 && status < 300; }
};

/// Runs in the background from start to wait(). Not thread-safe; ended by its destructor.
class Exchange {
 public:
  explicit Exchange(Request request);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /// Waits for an answer that further tries will not change, of any status.
  /// Throws: Error(io) where there is none after all tries, Error(changed) for another version than the wanted one,
  /// and what an interruption point throws.
  Answer wait();
  /// As wait(), but returns nothing once `count` bytes have arrived in Request::to, whose version is known.
  std::optional<Answer> wait_for(std::size_t count);
  /// The bytes at the beginning of Request::to that have arrived, and do not change any more.
  std::size_t arrived() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Sends a request and waits for the answer.
inline Answer exchange(Request request) { return Exchange(std::move(request)).wait(); }

/// The object described by the answer to a HEAD request; its size is 0 if the answer has none.
StoredObject object_of(std::string_view key, const Answer& answer);

/// Thrown for an answer with an error status; callers translate it.
struct Refused {
  Answer answer;
};

/// Throws the Error for an answer with an error status: Error(not_found), Error(denied), Error(unsupported), Error(io).
/// `action` is as in "cannot read s3://…".
[[noreturn]] void fail_answer(std::string_view action, const std::string& name, const Answer& answer);

/// The text between <tag> and </tag> in a store's XML; empty if there is none. For messages.
std::string_view xml_text(std::string_view xml, std::string_view tag) noexcept;

}  // namespace stele::remote
