#include "remote/s3/storage.hpp"

#include <algorithm>

#include "base/naming.hpp"
#include "io/storage/urls.hpp"
#include "remote/s3/bucket.hpp"
#include "remote/s3/listing.hpp"
#include "remote/source.hpp"
#include "stele/error.hpp"

namespace stele::remote {
namespace {

constexpr std::size_t longest_listing = std::size_t{16} << 20;  // of a page of at most 1,000 objects

class S3Storage final : public Storage {
 public:
  S3Storage(std::string name, std::string bucket, std::string prefix)
      : name_(std::move(name)), bucket_(std::make_shared<Bucket>(std::move(bucket))), prefix_(std::move(prefix)) {
    if (!prefix_.empty()) {
      naming(name_, [&] { require_key(std::string_view(prefix_).substr(0, prefix_.size() - 1)); });
    }
  }

  const std::string& name() const noexcept override { return name_; }

  std::vector<StoredObject> list(std::string_view prefix) const override {
    std::vector<StoredObject> all;
    const std::string wanted = prefix_ + std::string(prefix);
    std::string token;
    do {
      std::string query = token.empty() ? "" : "continuation-token=" + percent_encoded(token, false) + "&";
      query += "encoding-type=url&list-type=2&prefix=" + percent_encoded(wanted, false);
      Request request = bucket_->request("GET", "", query);
      request.most_text = longest_listing;
      const Answer answer = exchange(std::move(request));
      if (!answer.succeeded()) {
        bucket_->fail("list", name_, answer);
      }
      Listing page = read_listing(answer.text, name_);
      for (StoredObject& object : page.objects) {
        if (object.key.starts_with(wanted) && !object.key.ends_with('/')) {
          object.key.erase(0, prefix_.size());
          all.push_back(std::move(object));
        }
      }
      if (page.next == token && !token.empty()) {
        fail(Errc::io, "cannot list " + name_ + ": the server gives the same page again", {.file = name_});
      }
      token = std::move(page.next);
    } while (!token.empty());
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
    return all;
  }

  std::optional<StoredObject> find(std::string_view key) const override {
    require_key(key);
    const Answer answer = exchange(bucket_->request("HEAD", prefix_ + std::string(key)));
    if (answer.status == 404) {
      return std::nullopt;
    }
    if (!answer.succeeded()) {
      bucket_->fail("find", path_of(key), answer);
    }
    return object_of(key, answer);
  }

  void read(std::string_view key, std::span<const ByteRange> ranges, std::string_view etag) const override {
    try {
      read_ranges(get(key), ranges, etag);
    } catch (const Refused& refused) {
      bucket_->fail("read", path_of(key), refused.answer);
    }
  }

  std::unique_ptr<Source> source(std::string_view key) const override {
    try {
      return object_source(get(key));
    } catch (const Refused& refused) {
      bucket_->fail("read", path_of(key), refused.answer);
    }
  }

  std::unique_ptr<Sink> sink(std::string_view key) override {
    require_key(key);
    return upload(bucket_, prefix_ + std::string(key));
  }

  std::optional<std::string> put(std::string_view key, Bytes content, const PutCondition& when) override {
    require_key(key);
    // Stores that know no conditions ignore them: then at least what is there already is found.
    if (when.kind != PutCondition::Kind::always) {
      const std::optional<StoredObject> now = find(key);
      if (when.kind == PutCondition::Kind::absent ? now.has_value() : !now || now->etag != when.etag) {
        return std::nullopt;
      }
    }
    Request request = bucket_->request("PUT", prefix_ + std::string(key));
    request.content = content;
    for (std::string& header : content_headers(content)) {
      request.headers.push_back(std::move(header));
    }
    if (when.kind == PutCondition::Kind::absent) {
      request.headers.emplace_back("If-None-Match: *");
    } else if (when.kind == PutCondition::Kind::unchanged) {
      request.headers.push_back("If-Match: " + when.etag);
    }
    const std::string mark = new_mark();
    request.headers.push_back(std::string(mark_header) + ": " + mark);
    const Answer answer = exchange(std::move(request));
    if (answer.status == 412 || (answer.status == 404 && when.kind == PutCondition::Kind::unchanged)) {
      // The answer to an earlier try may have been lost.
      const Answer now = exchange(bucket_->request("HEAD", prefix_ + std::string(key)));
      return now.succeeded() && now.header(mark_header) == mark ? std::optional<std::string>(now.header("etag"))
                                                                : std::nullopt;
    }
    if (!answer.succeeded()) {
      bucket_->fail("write", path_of(key), answer);
    }
    return std::string(answer.header("etag"));
  }

  void remove(std::string_view key) override {
    require_key(key);
    const Answer answer = exchange(bucket_->request("DELETE", prefix_ + std::string(key)));
    if (!answer.succeeded() && answer.status != 404) {
      bucket_->fail("remove", path_of(key), answer);
    }
  }

 private:
  Request get(std::string_view key) const {
    require_key(key);
    return bucket_->request("GET", prefix_ + std::string(key));
  }

  const std::string name_;
  const std::shared_ptr<const Bucket> bucket_;
  const std::string prefix_;  // empty, or ends with a slash
};

}  // namespace

std::unique_ptr<Storage> open_s3(const std::string& url) {
  const std::string rest = url.substr(url.find("://") + 3);
  const std::size_t slash = rest.find('/');
  const std::string bucket = rest.substr(0, slash);
  std::string prefix = slash == std::string::npos ? std::string() : rest.substr(slash + 1);
  if (bucket.empty() || bucket.find_first_of("?#%@: ") != std::string::npos) {
    fail(Errc::invalid_argument, "cannot reach " + url + ": a bucket's URL is s3://bucket/prefix", {.file = url});
  }
  if (!prefix.empty()) {
    prefix += '/';
  }
  return std::make_unique<S3Storage>(url, bucket, std::move(prefix));
}

}  // namespace stele::remote
