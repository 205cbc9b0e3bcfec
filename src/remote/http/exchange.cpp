#include "remote/http/exchange.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <thread>

#include "base/threads/interruption.hpp"
#include "stele/error.hpp"
#include "stele/remote.hpp"

namespace stele::remote {
namespace {

constexpr unsigned wait_ms = 20;  // between interruption points
constexpr double first_wait_s = 0.1;
constexpr double longest_wait_s = 20;
constexpr unsigned tries_after_stalls = 3;

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  return result;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty() ? std::optional(value)
                                                                                   : std::nullopt;
}

/// "bytes 0-99/1000", or "bytes */1000" of an answer 416.
struct ContentRange {
  std::optional<std::uint64_t> first;
  std::uint64_t last = 0;
  std::optional<std::uint64_t> total;
};

std::optional<ContentRange> content_range(std::string_view text) {
  if (!lower(text).starts_with("bytes")) {
    return std::nullopt;
  }
  text = trimmed(text.substr(5));
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    return std::nullopt;
  }
  ContentRange range;
  range.total = number(text.substr(slash + 1));
  text = text.substr(0, slash);
  if (text == "*") {
    return range;
  }
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) {
    return std::nullopt;
  }
  range.first = number(text.substr(0, dash));
  const auto last = number(text.substr(dash + 1));
  if (!range.first || !last || *last < *range.first) {
    return std::nullopt;
  }
  range.last = *last;
  return range;
}

bool is_strong(std::string_view etag) noexcept { return etag.starts_with('"'); }

bool is_over(Job& job, const std::function<bool()>& enough) {
  const Waiting waiting;
  return Engine::of_process().wait(job, wait_ms, enough);
}

double random_part() {
  thread_local std::minstd_rand random{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(random);
}

}  // namespace

std::string_view Answer::header(std::string_view name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string_view() : found->second;
}

/// Takes the answer of each try. What has arrived of a range of a known version is not asked for again.
struct Exchange::State final : Receiver {
  Request request;
  Job job;
  Answer answer;
  std::size_t kept = 0;  // bytes of earlier tries in request.to
  bool checked = false;  // the headers of this answer
  bool wrong = false;    // it holds other bytes than were asked for
  bool changed = false;  // it is of another version
  bool too_long = false;
  bool past_end = false;  // the object ends within the range
  std::atomic<std::size_t> arrived = 0;
  std::atomic<std::size_t> waited_for = 0;  // by wait_for()
  bool given = false;                       // wait_for() has given out bytes
  unsigned stalls = 0;
  bool renewed = false;  // the credentials

  explicit State(Request from) : request(std::move(from)) {}

  void begin(bool renew) {
    job = {};
    job.method = request.method;
    job.url = request.url;
    job.headers = request.headers;
    job.content = request.content;
    job.receiver = this;
    job.most_s = request.most_s;
    if (request.sign) {
      job.signing = request.sign(renew);
      if (!job.signing.token.empty()) {
        job.headers.push_back("x-amz-security-token: " + job.signing.token);
      }
    }
    if (!request.to.empty()) {
      job.headers.push_back(request.last ? message({"Range: bytes=-", request.to.size()})
                                         : message({"Range: bytes=", request.offset + kept, "-",
                                                    request.offset + request.to.size() - 1}));
    }
    if (const std::string& etag = request.version.known ? request.version.etag : request.etag; is_strong(etag)) {
      job.headers.push_back("If-Match: " + etag);
    }
    reset();
    Engine::of_process().start(job);
  }

  void reset() {
    const unsigned tries = answer.tries;
    answer = {};
    answer.tries = tries;
    answer.got = kept;
    checked = wrong = changed = too_long = past_end = false;
  }

  void header(std::string_view line) override {
    if (line.starts_with("HTTP/")) {  // also of each answer of a redirection
      reset();
      const std::size_t space = line.find(' ');
      if (space != std::string_view::npos) {
        answer.status = static_cast<long>(number(line.substr(space + 1, 3)).value_or(0));
      }
      return;
    }
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
      answer.headers[lower(trimmed(line.substr(0, colon)))] = trimmed(line.substr(colon + 1));
    }
  }

  /// Looks at the headers once they are complete.
  void check() {
    if (checked) {
      return;
    }
    checked = true;
    answer.version.etag = answer.header("etag");
    answer.version.modified = answer.header("last-modified");
    if (request.to.empty() || (answer.status != 206 && answer.status != 200)) {
      return;
    }
    if (answer.status == 200) {
      answer.whole = true;
      answer.version.bytes = number(answer.header("content-length")).value_or(0);
    } else if (request.last && answer.header("content-length") == "0") {
      answer.version.bytes = 0;  // some stores answer so for an empty object
    } else {
      const auto range = content_range(answer.header("content-range"));
      const std::uint64_t wanted = request.last ? 0 : request.offset + kept;
      const std::uint64_t end = request.last ? 0 : request.offset + request.to.size();
      past_end = range && range->first == wanted && range->total && *range->total < end &&
                 range->last + 1 == *range->total && !request.last;
      if (!range || !range->first || !range->total ||
          (request.last
               ? range->last + 1 != *range->total ||
                     range->last + 1 - *range->first != std::min<std::uint64_t>(*range->total, request.to.size())
               : *range->first != wanted || range->last + 1 != (past_end ? *range->total : end))) {
        wrong = true;
        return;
      }
      answer.first = request.last ? *range->first : request.offset;
      answer.version.bytes = *range->total;
    }
    answer.version.known = true;
    const Request::Version& known = request.version;
    changed = known.known && (answer.version.etag != known.etag || answer.version.bytes != known.bytes ||
                              (known.etag.empty() && answer.version.modified != known.modified));
    changed = changed || (!request.etag.empty() && answer.version.etag != request.etag);
  }

  bool body(Bytes bytes) override {
    check();
    if (wrong || changed || past_end) {
      return false;
    }
    if (!request.to.empty() && answer.status == 206) {
      if (bytes.size() > request.to.size() - answer.got) {
        wrong = true;
        return false;
      }
      std::memcpy(request.to.data() + answer.got, bytes.data(), bytes.size());
      answer.got += bytes.size();
      if (request.version.known) {
        const std::size_t before = arrived.exchange(answer.got);
        if (const std::size_t waited = waited_for; before < waited && waited <= answer.got) {
          Engine::of_process().notify();
        }
      }
      return true;
    }
    if (bytes.size() > request.most_text - std::min(request.most_text, answer.text.size())) {
      too_long = true;
      return false;
    }
    answer.text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return true;
  }

  /// Whether all of a range has arrived.
  bool complete() const {
    const std::uint64_t wanted =
        request.last ? std::min<std::uint64_t>(answer.version.bytes, request.to.size()) : request.to.size();
    return request.to.empty() || answer.status != 206 || answer.got == wanted;
  }
};

Exchange::Exchange(Request request) : state_(std::make_unique<State>(std::move(request))) { state_->begin(false); }

Exchange::~Exchange() {
  if (state_ != nullptr) {
    Engine::of_process().cancel(state_->job);
  }
}

Answer Exchange::wait() { return *wait_for(std::numeric_limits<std::size_t>::max()); }

std::size_t Exchange::arrived() const noexcept { return state_->arrived; }

std::optional<Answer> Exchange::wait_for(std::size_t count) {
  State& state = *state_;
  state.waited_for = count;
  const std::function<bool()> enough = [&] { return state.arrived >= count; };
  const unsigned attempts = state.request.most_s > 0 ? 1 : std::max(1U, options().attempts);
  for (;;) {
    while (!is_over(state.job, enough)) {
      if (enough()) {
        state.given = true;
        return std::nullopt;
      }
      interruption_point();
    }
    Answer& answer = state.answer;
    ++answer.tries;
    state.check();
    if (state.changed || (answer.status == 412 && (state.request.version.known || !state.request.etag.empty()))) {
      fail(Errc::changed, state.request.name + " has changed since it was opened", {.file = state.request.name});
    }
    if (state.past_end) {
      answer.status = 416;  // as where the object ends before the range begins
      return std::move(answer);
    }
    if (state.too_long) {
      if (answer.whole) {
        fail(Errc::unsupported,
             "cannot read " + state.request.name + ": the server does not serve ranges, and this is more than " +
                 std::to_string(state.request.most_text) + " bytes",
             {.file = state.request.name});
      }
      fail(Errc::io, "cannot read the answer for " + state.request.name + ": it is too long",
           {.file = state.request.name});
    }
    const bool arrived = state.job.result == CURLE_OK && !state.wrong && state.complete();
    bool again = !arrived;
    if (arrived) {
      const long status = answer.status;
      again = status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504 ||
              (status == 409 && xml_text(answer.text, "Code") == "ConditionalRequestConflict") ||
              (status == 400 && xml_text(answer.text, "Code") == "RequestTimeout") ||
              // A store that fails in the middle of a long answer can no longer change its status.
              (status == 200 && state.request.to.empty() && xml_text(answer.text, "Code") == "InternalError") ||
              (status == 200 && state.request.to.empty() && xml_text(answer.text, "Code") == "SlowDown");
      if (!again && (status == 403 || status == 400) && !state.renewed && state.request.sign) {
        const std::string_view code = xml_text(answer.text, "Code");
        again = state.renewed =
            code == "ExpiredToken" || code == "RequestTimeTooSkewed" || code == "TokenRefreshRequired";
      }
    }
    if (!again) {
      return std::move(answer);
    }
    if (state.job.result == CURLE_OPERATION_TIMEDOUT) {
      ++state.stalls;
    }
    // What cannot be mended by waiting.
    const CURLcode result = state.job.result;
    const bool hopeless = result == CURLE_URL_MALFORMAT || result == CURLE_UNSUPPORTED_PROTOCOL ||
                          result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_TOO_MANY_REDIRECTS ||
                          result == CURLE_OUT_OF_MEMORY || (state.wrong && state.given);
    if (answer.tries >= attempts || state.stalls >= tries_after_stalls || hopeless) {
      if (arrived) {
        return std::move(answer);
      }
      const std::string reason = state.wrong ? "the server sends other bytes than it was asked for"
                                 : result == CURLE_OK || result == CURLE_PARTIAL_FILE
                                     ? "the connection ends before the answer does"
                                     : "no answer: " + state.job.error;
      fail(Errc::io,
           "cannot reach " + state.request.name + ": " + reason + " (" + std::to_string(answer.tries) +
               (answer.tries == 1 ? " try)" : " tries)"),
           {.file = state.request.name});
    }
    double pause = std::min(longest_wait_s, first_wait_s * std::exp2(answer.tries - 1)) * random_part();
    if (const auto asked = number(answer.header("retry-after"))) {
      pause = std::max(pause, std::min(longest_wait_s, static_cast<double>(*asked)));
    }
    if (state.request.version.known && answer.status == 206 && !state.wrong) {
      state.kept = answer.got;
    }
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(pause);
    while (std::chrono::steady_clock::now() < until) {
      interruption_point();
      const Waiting waiting;
      std::this_thread::sleep_until(std::min(std::chrono::time_point_cast<std::chrono::steady_clock::duration>(until),
                                             std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms)));
    }
    state.begin(state.renewed);
  }
}

StoredObject object_of(std::string_view key, const Answer& answer) {
  const std::string modified(answer.header("last-modified"));
  return {std::string(key), number(answer.header("content-length")).value_or(0),
          std::max(0.0, static_cast<double>(curl_getdate(modified.c_str(), nullptr))),
          std::string(answer.header("etag"))};
}

void fail_answer(std::string_view action, const std::string& name, const Answer& answer) {
  const std::string_view code = xml_text(answer.text, "Code");
  const std::string_view text = xml_text(answer.text, "Message");
  std::string reason = "the server answered " + std::to_string(answer.status);
  if (!code.empty()) {
    reason += " " + std::string(code);
  }
  if (!text.empty()) {
    reason += ": " + std::string(text);
  }
  if (const std::string_view region = answer.header("x-amz-bucket-region");
      !region.empty() && (answer.status == 301 || answer.status == 307 || answer.status == 400)) {
    reason += " (the bucket is in the region " + std::string(region) + "; set AWS_REGION)";
  }
  Errc kind = Errc::io;
  if (answer.status == 404 || answer.status == 410) {
    kind = Errc::not_found;
    if (code.empty() || code == "NoSuchKey") {
      reason = "there is no such object";
    }
  } else if (answer.status == 401 || answer.status == 403 || code == "ExpiredToken" || code == "InvalidToken") {
    kind = Errc::denied;
  } else if (answer.status == 501 || answer.status == 405) {
    kind = Errc::unsupported;
  }
  if (answer.tries > 1) {
    reason += " (" + std::to_string(answer.tries) + " tries)";
  }
  fail(kind, "cannot " + std::string(action) + " " + name + ": " + reason, {.file = name});
}

std::string_view xml_text(std::string_view xml, std::string_view tag) noexcept {
  for (std::size_t at = xml.find(tag); at != std::string_view::npos; at = xml.find(tag, at + 1)) {
    const std::size_t begin = at + tag.size() + 1;
    if (at > 0 && xml[at - 1] == '<' && begin <= xml.size() && xml[begin - 1] == '>') {
      const std::size_t end = xml.find("</", begin);
      return end == std::string_view::npos ? std::string_view() : xml.substr(begin, end - begin);
    }
  }
  return {};
}

}  // namespace stele::remote
