#include "stele/remote.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <mutex>
#include <string_view>

#include "remote/http/storage.hpp"
#include "remote/s3/storage.hpp"
#include "stele/error.hpp"

namespace stele::remote {
namespace {

constexpr std::uint64_t least_part = std::uint64_t{5} << 20;  // what S3 takes
constexpr std::uint64_t most_part = std::uint64_t{1} << 30;

struct Current {
  std::mutex mutex;  // guards options
  Options options;
  Current() {
    if (const char* const attempts = std::getenv("AWS_MAX_ATTEMPTS")) {
      const std::string_view text = attempts;
      unsigned value = 0;
      if (std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc() && value > 0) {
        options.attempts = value;
      }
    }
  }
};

Current& current() {
  static Current one;
  return one;
}

}  // namespace

Options options() {
  Current& now = current();
  const std::lock_guard lock(now.mutex);
  return now.options;
}

void set_options(const Options& options) {
  if (options.attempts == 0 || options.parts == 0 || options.part_bytes < least_part ||
      options.part_bytes > most_part || !(options.connect_s > 0) || !(options.stall_s > 0)) {
    fail(Errc::invalid_argument,
         "options of remote storage: attempts, parts and times are more than zero, a part has 5 MiB to 1 GiB");
  }
  Current& now = current();
  const std::lock_guard lock(now.mutex);
  now.options = options;
}

void enable() {
  register_storage("s3", open_s3);
  register_storage("http", open_http);
  register_storage("https", open_http);
}

}  // namespace stele::remote
