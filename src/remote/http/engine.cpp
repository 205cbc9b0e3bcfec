#include "remote/http/engine.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <new>
#include <span>
#include <thread>

#include "base/process.hpp"
#include "stele/error.hpp"
#include "stele/remote.hpp"

namespace stele::remote {
namespace {

constexpr long connections_kept = 64;
constexpr long connections_of_host = 32;
constexpr long buffer_bytes = long{512} << 10;
constexpr int idle_ms = 10'000;

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* job) {
  static_cast<Job*>(job)->receiver->header({data, size * count});
  return size * count;
}

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* job) {
  const auto bytes = std::as_bytes(std::span(data, size * count));
  return static_cast<Job*>(job)->receiver->body(bytes) ? bytes.size() : 0;
}

struct FreeHandle {
  void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
};
struct FreeList {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};

/// What libcurl has of a job.
struct Transfer {
  std::unique_ptr<CURL, FreeHandle> handle;
  std::unique_ptr<curl_slist, FreeList> headers;
  std::array<char, CURL_ERROR_SIZE> error{};
};

class CurlEngine final : public Engine {
 public:
  CurlEngine() {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
      fail(Errc::io, "cannot set up libcurl");
    }
    multi_ = curl_multi_init();
    if (multi_ == nullptr) {
      fail(Errc::io, "cannot set up libcurl");
    }
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, connections_kept);
    curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, connections_of_host);
    thread_ = std::jthread([this] { run(); });
  }
  ~CurlEngine() override {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    curl_multi_wakeup(multi_);
    thread_.join();
    curl_multi_cleanup(multi_);
  }

  void start(Job& job) override {
    {
      const std::lock_guard lock(mutex_);
      jobs_[&job] = State::waiting;
      new_.push_back(&job);
    }
    curl_multi_wakeup(multi_);
  }

  bool wait(Job& job, unsigned milliseconds, const std::function<bool()>& enough) override {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(milliseconds), [&] { return !jobs_.contains(&job) || enough(); });
    return !jobs_.contains(&job);
  }

  void notify() override {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }

  void cancel(Job& job) noexcept override {
    std::unique_lock lock(mutex_);
    const auto found = jobs_.find(&job);
    if (found == jobs_.end()) {
      return;
    }
    found->second = State::cancelled;
    curl_multi_wakeup(multi_);
    changed_.wait(lock, [&] { return !jobs_.contains(&job); });
  }

 private:
  enum class State : std::uint8_t { waiting, running, cancelled };

  void run() {
    for (;;) {
      {
        const std::lock_guard lock(mutex_);
        if (over_) {
          break;
        }
        take_new();
        drop_cancelled();
      }
      int running = 0;
      curl_multi_perform(multi_, &running);
      int left = 0;
      while (const CURLMsg* const message = curl_multi_info_read(multi_, &left)) {
        if (message->msg == CURLMSG_DONE) {
          finish(message->easy_handle, message->data.result);
        }
      }
      curl_multi_poll(multi_, nullptr, 0, idle_ms, nullptr);
    }
    for (auto& [job, transfer] : transfers_) {
      curl_multi_remove_handle(multi_, transfer.handle.get());
    }
    transfers_.clear();
  }

  void take_new() {
    for (Job* const job : new_) {
      const auto found = jobs_.find(job);
      if (found->second == State::cancelled) {
        continue;  // dropped next
      }
      try {
        Transfer& transfer = transfers_[job];
        prepare(*job, transfer);
        curl_multi_add_handle(multi_, transfer.handle.get());
        found->second = State::running;
      } catch (const std::exception&) {
        transfers_.erase(job);
        job->result = CURLE_OUT_OF_MEMORY;
        jobs_.erase(found);
        changed_.notify_all();
      }
    }
    new_.clear();
  }

  void drop_cancelled() {
    for (auto job = jobs_.begin(); job != jobs_.end();) {
      if (job->second != State::cancelled) {
        ++job;
        continue;
      }
      if (const auto transfer = transfers_.find(job->first); transfer != transfers_.end()) {
        curl_multi_remove_handle(multi_, transfer->second.handle.get());
        transfers_.erase(transfer);
      }
      job->first->result = CURLE_ABORTED_BY_CALLBACK;
      job = jobs_.erase(job);
      changed_.notify_all();
    }
  }

  void finish(CURL* handle, CURLcode result) {
    Job* job = nullptr;
    curl_easy_getinfo(handle, CURLINFO_PRIVATE, &job);
    const auto transfer = transfers_.find(job);
    job->result = result;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &job->status);
    job->error = transfer->second.error.front() != 0 ? transfer->second.error.data() : curl_easy_strerror(result);
    curl_multi_remove_handle(multi_, handle);
    transfers_.erase(transfer);
    const std::lock_guard lock(mutex_);
    jobs_.erase(job);
    changed_.notify_all();
  }

  static void prepare(Job& job, Transfer& transfer) {
    transfer.handle.reset(curl_easy_init());
    CURL* const handle = transfer.handle.get();
    if (handle == nullptr) {
      throw std::bad_alloc();
    }
    for (const std::string& header : job.headers) {
      curl_slist* const longer = curl_slist_append(transfer.headers.get(), header.c_str());
      if (longer == nullptr) {
        throw std::bad_alloc();
      }
      static_cast<void>(transfer.headers.release());
      transfer.headers.reset(longer);
    }
    const Options limits = options();
    curl_easy_setopt(handle, CURLOPT_PRIVATE, &job);
    curl_easy_setopt(handle, CURLOPT_URL, job.url.c_str());
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, transfer.error.data());
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, transfer.headers.get());
    curl_easy_setopt(handle, CURLOPT_USERAGENT, "stele");
    curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, buffer_bytes);
    curl_easy_setopt(handle, CURLOPT_UPLOAD_BUFFERSIZE, buffer_bytes);
    // No round trip before content that is sent. The empty header "Expect:" would be signed, but not sent.
    curl_easy_setopt(handle, CURLOPT_EXPECT_100_TIMEOUT_MS, 1L);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits.connect_s * 1e3));
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(job.most_s * 1e3));
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, std::max(1L, static_cast<long>(limits.stall_s + 0.5)));
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, &job);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &job);
    if (job.method == "HEAD") {
      curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
    } else if (job.method != "GET" && job.method != "DELETE") {
      curl_easy_setopt(handle, CURLOPT_POST, 1L);
      curl_easy_setopt(handle, CURLOPT_POSTFIELDS,
                       job.content.empty() ? "" : static_cast<const void*>(job.content.data()));
      curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(job.content.size()));
    }
    if (job.method == "DELETE" || job.method == "PUT") {
      curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, job.method.c_str());
    }
    if (job.signing.key.empty()) {
      curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 1L);
      curl_easy_setopt(handle, CURLOPT_MAXREDIRS, 10L);
    } else {
      curl_easy_setopt(handle, CURLOPT_AWS_SIGV4, ("aws:amz:" + job.signing.region + ":s3").c_str());
      curl_easy_setopt(handle, CURLOPT_USERNAME, job.signing.key.c_str());
      curl_easy_setopt(handle, CURLOPT_PASSWORD, job.signing.secret.c_str());
    }
  }

  CURLM* multi_ = nullptr;
  std::mutex mutex_;  // guards the members up to over_
  std::condition_variable changed_;
  std::map<Job*, State> jobs_;
  std::vector<Job*> new_;
  bool over_ = false;
  std::map<Job*, Transfer> transfers_;  // the thread's own
  std::jthread thread_;
};

}  // namespace

Engine& Engine::of_process() {
  // Never destroyed: threads may still read when the program ends.
  static auto& engines = *new PerProcess<CurlEngine>();
  return engines.get();
}

}  // namespace stele::remote
