#include "remote/http/storage.hpp"

#include "remote/http/exchange.hpp"
#include "remote/source.hpp"
#include "stele/error.hpp"

namespace stele::remote {
namespace {

class HttpStorage final : public Storage {
 public:
  explicit HttpStorage(std::string url) : name_(std::move(url)) {}

  const std::string& name() const noexcept override { return name_; }
  std::vector<StoredObject> list(std::string_view) const override { refuse("list"); }
  std::unique_ptr<Sink> sink(std::string_view) override { refuse("write to"); }
  std::optional<std::string> put(std::string_view, Bytes, const PutCondition&) override { refuse("write to"); }
  void remove(std::string_view) override { refuse("remove from"); }

  std::optional<StoredObject> find(std::string_view key) const override {
    Request request = get(key);
    request.method = "HEAD";
    const Answer answer = exchange(request);
    if (answer.status == 404 || answer.status == 410) {
      return std::nullopt;
    }
    if (!answer.succeeded()) {
      fail_answer("find", request.name, answer);
    }
    return object_of(key, answer);
  }

  void read(std::string_view key, std::span<const ByteRange> ranges, std::string_view etag) const override {
    Request request = get(key);
    try {
      read_ranges(request, ranges, etag);
    } catch (const Refused& refused) {
      fail_answer("read", request.name, refused.answer);
    }
  }

  std::unique_ptr<Source> source(std::string_view key) const override {
    Request request = get(key);
    try {
      return object_source(request);
    } catch (const Refused& refused) {
      fail_answer("read", request.name, refused.answer);
    }
  }

 private:
  Request get(std::string_view key) const {
    Request request;
    request.url = request.name = path_of(key);
    request.url = request.url.substr(0, request.url.find('#'));
    // What a browser would encode too.
    for (std::size_t at = 0; (at = request.url.find(' ', at)) != std::string::npos;) {
      request.url.replace(at, 1, "%20");
    }
    return request;
  }
  [[noreturn]] void refuse(const char* action) const {
    fail(Errc::unsupported, "cannot " + std::string(action) + " " + name_ + ": web servers can only be read",
         {.file = name_});
  }

  const std::string name_;
};

}  // namespace

std::unique_ptr<Storage> open_http(const std::string& url) { return std::make_unique<HttpStorage>(url); }

}  // namespace stele::remote
