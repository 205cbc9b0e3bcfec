#include "stele/storage.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <mutex>

#include "io/storage/urls.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

using Opener = std::unique_ptr<Storage> (*)(const std::string& url);

struct Registry {
  std::mutex mutex;  // guards openers
  std::map<std::string, Opener, std::less<>> openers;
};

Registry& registry() {
  static Registry all;
  return all;
}

constexpr std::string_view separator = "://";
constexpr std::string_view file_scheme = "file";

std::string_view scheme_of(std::string_view path) noexcept {
  const std::size_t end = path.find(separator);
  const auto in_scheme = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '-' ||
           c == '.';
  };
  if (end == std::string_view::npos || end == 0 || !((path[0] | 0x20) >= 'a' && (path[0] | 0x20) <= 'z') ||
      !std::all_of(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(end), in_scheme)) {
    return {};
  }
  return path.substr(0, end);
}

std::string without_slashes(std::string text) {
  while (text.size() > 1 && text.back() == '/' && !text.ends_with(separator)) {
    text.pop_back();
  }
  return text;
}

Opener opener_of(std::string_view url) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const std::string_view scheme = scheme_of(url);
  const auto found = all.openers.find(scheme);
  if (found == all.openers.end()) {
    const bool known = scheme == "s3" || scheme == "http" || scheme == "https";
    fail(Errc::unsupported,
         "cannot reach " + std::string(url) + ": " +
             (known ? "this program has no remote storage; include stele/remote.hpp and link stele::remote"
                    : "there is no storage for URLs that begin with " + std::string(scheme) + std::string(separator)),
         {.file = url});
  }
  return found->second;
}

}  // namespace

bool is_url(std::string_view path) noexcept { return !scheme_of(path).empty(); }

void register_storage(std::string_view scheme, std::unique_ptr<Storage> (*open)(const std::string& url)) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.openers.insert_or_assign(std::string(scheme), open);
}

std::unique_ptr<Storage> open_storage(const Path& place) {
  const std::string name = without_slashes(place.text());
  if (const std::optional<std::string> folder = local_path(name)) {
    return open_folder_storage(name, *folder);
  }
  return opener_of(name)(name);
}

std::optional<std::string> local_path(const std::string& path) {
  const std::string_view scheme = scheme_of(path);
  if (scheme.empty()) {
    return path;
  }
  if (scheme != file_scheme) {
    return std::nullopt;
  }
  std::string_view rest = std::string_view(path).substr(scheme.size() + separator.size());
  if (rest.starts_with("localhost/")) {
    rest.remove_prefix(rest.find('/'));
  }
  if (!rest.starts_with('/')) {
    fail(Errc::invalid_argument, "cannot reach " + path + ": a file URL is file:///, then the path from the root",
         {.file = path});
  }
  return Path(percent_decoded(rest)).text();
}

std::string require_local(const std::string& path, std::string_view what) {
  std::optional<std::string> local = local_path(path);
  if (!local) {
    fail(Errc::unsupported, "cannot use " + path + ": " + std::string(what), {.file = path});
  }
  return std::move(*local);
}

ObjectPlace object_at(const std::string& url) {
  const Opener open = opener_of(url);
  // A query, such as the signature of a link, belongs to the name. S3's keys may have a '?' of their own.
  const std::size_t query = url.starts_with("http") ? url.find('?') : std::string::npos;
  const std::size_t slash = url.substr(0, query).rfind('/');
  const std::size_t host = scheme_of(url).size() + separator.size();
  if (slash < host || slash + 1 == std::min(query, url.size())) {
    fail(Errc::invalid_argument, "cannot reach " + url + ": it does not name a file", {.file = url});
  }
  return {open(url.substr(0, slash)), url.substr(slash + 1)};
}

std::string percent_encoded(std::string_view text, bool keep_slashes) {
  static constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~' || (c == '/' && keep_slashes);
    if (plain) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return encoded;
}

std::string percent_decoded(std::string_view text, bool form) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr == text.data() + i + 3) {
      decoded += static_cast<char>(value);
      i += 2;
    } else {
      decoded += form && text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
}

std::string Storage::path_of(std::string_view key) const { return name() + "/" + std::string(key); }

void Storage::require_key(std::string_view key) {
  std::size_t begin = 0;
  while (begin <= key.size()) {
    const std::size_t end = std::min(key.find('/', begin), key.size());
    const std::string_view part = key.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") {
      fail(Errc::invalid_argument, "\"" + std::string(key) + "\" is no key: its parts are names with slashes between");
    }
    begin = end + 1;
  }
  if (key.find('\0') != std::string_view::npos) {
    fail(Errc::invalid_argument, "a key has a zero byte");
  }
}

}  // namespace stele
