// Writing of an object in parts (CreateMultipartUpload, UploadPart, CompleteMultipartUpload).

#include <algorithm>
#include <cstring>
#include <deque>

#include "base/process.hpp"
#include "base/threads/interruption.hpp"
#include "io/storage/urls.hpp"
#include "remote/s3/bucket.hpp"
#include "stele/error.hpp"
#include "stele/remote.hpp"

namespace stele::remote {
namespace {

constexpr std::size_t parts_of_one_size = 1000;  // then they are twice as large; a store takes 10,000
constexpr std::size_t most_parts = 10'000;
constexpr double abort_s = 5;

class Upload final : public Sink {
 public:
  Upload(std::shared_ptr<const Bucket> bucket, std::string key)
      : bucket_(std::move(bucket)),
        key_(std::move(key)),
        url_(bucket_->url_of(key_)),
        part_bytes_(static_cast<std::size_t>(options().part_bytes)) {}
  ~Upload() override {
    if (process_.in_child()) {
      for (Sent& part : in_flight_) {
        leave_behind(part.exchange.release());
      }
    } else {
      abort();
    }
  }

  void write(Bytes bytes) override {
    require_open();
    guarded([&] {
      while (!bytes.empty()) {
        if (part_.size() == part_bytes_) {
          send_part();
        }
        if (part_.capacity() < part_bytes_ && part_.size() + bytes.size() > part_.capacity()) {
          part_.reserve(std::min(part_bytes_, std::max(part_.size() + bytes.size(), 2 * part_.capacity())));
        }
        const std::size_t count = std::min(bytes.size(), part_bytes_ - part_.size());
        part_.insert(part_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
        bytes = bytes.subspan(count);
      }
    });
  }

  void close() override {
    require_open();
    guarded([&] {
      if (id_.empty()) {
        put_whole();
      } else {
        send_part();
        while (!in_flight_.empty()) {
          take_part();
        }
        complete();
      }
    });
    closed_ = true;
    id_.clear();
    part_ = {};
    free_.clear();
  }

 private:
  struct Sent {
    std::vector<std::byte> content;
    std::unique_ptr<Exchange> exchange;
  };

  void require_open() const {
    process_.require_same_process(url_);
    if (closed_ || failed_) {
      fail(closed_ ? Errc::invalid_argument : Errc::io,
           "cannot write " + url_ + (closed_ ? ": it is closed" : ": an earlier call failed"), {.file = url_});
    }
  }
  template <class Step>
  void guarded(Step step) {
    try {
      step();
    } catch (...) {
      failed_ = true;
      abort();
      throw;
    }
  }

  void put_whole() {
    Request request = bucket_->request("PUT", key_);
    request.content = part_;
    add(request, content_headers(part_));
    const Answer answer = exchange(std::move(request));
    if (!answer.succeeded()) {
      bucket_->fail("write", url_, answer);
    }
  }

  void begin() {
    mark_ = new_mark();
    Request request = bucket_->request("POST", key_, "uploads=");
    request.headers.push_back(std::string(mark_header) + ": " + mark_);
    const Answer answer = exchange(std::move(request));
    id_ = xml_text(answer.text, "UploadId");
    if (!answer.succeeded() || id_.empty()) {
      id_.clear();
      bucket_->fail("write", url_, answer);
    }
  }

  void send_part() {
    if (id_.empty()) {
      begin();
    }
    if (etags_.size() + in_flight_.size() == most_parts) {
      fail(Errc::limit_exceeded, "cannot write " + url_ + ": the object has more than 10,000 parts", {.file = url_});
    }
    while (in_flight_.size() >= std::max(1U, options().parts)) {
      take_part();
    }
    const std::size_t number = etags_.size() + in_flight_.size() + 1;
    Request request = bucket_->request(
        "PUT", key_, "partNumber=" + std::to_string(number) + "&uploadId=" + percent_encoded(id_, false));
    Sent& sent = in_flight_.emplace_back();
    sent.content = std::exchange(part_, std::vector<std::byte>());
    request.content = sent.content;
    add(request, content_headers(sent.content));
    sent.exchange = std::make_unique<Exchange>(std::move(request));
    if (number % parts_of_one_size == 0) {
      part_bytes_ *= 2;
      free_.clear();
    }
    if (!free_.empty()) {
      part_ = std::move(free_.back());
      free_.pop_back();
      part_.clear();
    }
  }

  /// Waits for the first part in flight.
  void take_part() {
    Sent& sent = in_flight_.front();
    const Answer answer = sent.exchange->wait();
    if (!answer.succeeded()) {
      bucket_->fail("write", url_, answer);
    }
    etags_.emplace_back(answer.header("etag"));
    sent.exchange.reset();
    free_.push_back(std::move(sent.content));
    in_flight_.pop_front();
  }

  void complete() {
    std::string parts = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
    for (std::size_t i = 0; i < etags_.size(); ++i) {
      parts += "<Part><PartNumber>" + std::to_string(i + 1) + "</PartNumber><ETag>" + etags_[i] + "</ETag></Part>";
    }
    parts += "</CompleteMultipartUpload>";
    Request request = bucket_->request("POST", key_, "uploadId=" + percent_encoded(id_, false));
    request.content = std::as_bytes(std::span(parts));
    request.headers.emplace_back("Content-Type: application/xml");
    const Answer answer = exchange(std::move(request));
    const bool done = answer.succeeded() && xml_text(answer.text, "Code").empty();
    // The answer to an earlier try may have been lost after the upload was completed. libcurl too tries again where a
    // connection that it had kept ends.
    if (!done && !(xml_text(answer.text, "Code") == "NoSuchUpload" && is_complete())) {
      bucket_->fail("write", url_, answer);
    }
    id_.clear();
  }

  /// Whether the object is that of this upload.
  bool is_complete() const {
    const Answer answer = exchange(bucket_->request("HEAD", key_));
    return answer.succeeded() && answer.header(mark_header) == mark_;
  }

  /// Leaves nothing in the store. What a killed program leaves, a rule of the bucket should remove
  /// (AbortIncompleteMultipartUpload).
  void abort() noexcept {
    in_flight_.clear();
    if (id_.empty()) {
      return;
    }
    try {
      const Interruption none(nullptr, false);  // it may be one that ends the upload
      Request request = bucket_->request("DELETE", key_, "uploadId=" + percent_encoded(id_, false));
      request.most_s = abort_s;
      static_cast<void>(exchange(std::move(request)));
    } catch (...) {  // the first failure counts
    }
    id_.clear();
  }

  static void add(Request& request, std::vector<std::string> headers) {
    request.headers.insert(request.headers.end(), headers.begin(), headers.end());
  }

  const std::shared_ptr<const Bucket> bucket_;
  const std::string key_;
  const std::string url_;
  std::size_t part_bytes_;
  std::vector<std::byte> part_;  // being filled
  std::deque<Sent> in_flight_;
  std::vector<std::vector<std::byte>> free_;  // memory of parts that were sent
  std::vector<std::string> etags_;            // of the parts that have arrived
  std::string id_;                            // of the upload; empty if there is none
  std::string mark_;                          // tells its object from others
  bool closed_ = false;
  bool failed_ = false;
  ProcessMark process_;
};

}  // namespace

std::unique_ptr<Sink> upload(std::shared_ptr<const Bucket> bucket, std::string key) {
  return std::make_unique<Upload>(std::move(bucket), std::move(key));
}

}  // namespace stele::remote
