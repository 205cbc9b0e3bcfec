#include "format/path.hpp"

#include "stele/error.hpp"

namespace stele {

void append_step(std::string& path, std::string_view step) {
  if (!path.empty()) {
    path += '/';
  }
  for (const char c : step) {
    if (c == '~') {
      path += "~0";
    } else if (c == '/') {
      path += "~1";
    } else {
      path += c;
    }
  }
}

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> steps;
  if (path.empty()) {
    return steps;
  }
  steps.emplace_back();
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '/') {
      steps.emplace_back();
    } else if (path[i] == '~') {
      const char next = i + 1 < path.size() ? path[i + 1] : '\0';
      if (next != '0' && next != '1') {
        fail(Errc::invalid_argument, "in a path, ~ is written ~0 and / in a key ~1", {path, {}});
      }
      steps.back() += next == '0' ? '~' : '/';
      ++i;
    } else {
      steps.back() += path[i];
    }
  }
  return steps;
}

}  // namespace stele
