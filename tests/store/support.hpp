#pragma once
// Shared by the tests of the store.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>

#include "stele/store.hpp"
#include "support/test_support.hpp"

namespace stele {

inline constexpr int fine = 0;
inline constexpr int wrong = 1;

/// Runs `action` in a child; returns its result, or -1 if a signal ended it.
inline int in_child(const std::function<int()>& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    int result = 99;
    try {
      result = action();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    std::_Exit(result);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

inline void expect_whole(const std::string& path, const std::map<int, std::string>& model) {
  const Store store = Store::open(path, StoreMode::read_only);
  for (const auto& [key, text] : model) {
    const auto found = store.find<std::string>(key);
    ASSERT_TRUE(found) << key;
    EXPECT_TRUE(*found == text) << key << ": " << found->substr(0, 20);
  }
  EXPECT_EQ(store.size(), model.size());
  const StoreReport report = store.check();
  EXPECT_TRUE(report.good()) << report.problems[0];
  std::size_t count = 0;
  for (const StoreItem& item : store.by_insertion()) {
    EXPECT_TRUE(model.contains(static_cast<int>(item.key.integer())));
    ++count;
  }
  EXPECT_EQ(count, model.size());
}

}  // namespace stele
