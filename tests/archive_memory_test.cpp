// Loading where the size is only claimed, as from a pipe: memory stays at what the object takes, and a few MiB.

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "stele/codec.hpp"
#include "stele/eigen.hpp"
#include "stele/stele.hpp"
#include "stele/value.hpp"
#include "test_support.hpp"

namespace stele {
namespace {

constexpr std::size_t count = std::size_t{20} << 20;  // 80 MiB: not a power of 2, so that to double is too much
constexpr double mebibyte = 1 << 20;

/// A line of /proc/self/status, in MiB.
double status(const std::string& name) {
  std::ifstream lines("/proc/self/status");
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + ":")) {
      return std::stod(line.substr(name.size() + 1)) / 1024;
    }
  }
  return 0;
}

/// The most memory that an action takes at once, beyond `object` MiB.
template <class F>
double beyond(double object, F&& action) {
  std::ofstream("/proc/self/clear_refs") << "5";
  const double before = status("VmRSS");
  action();
  return status("VmHWM") - before - object;
}

class Memory : public testing::TestWithParam<const char*> {};

TEST_P(Memory, OfALoadFromAPipeIsThatOfTheObject) {
#ifdef STELE_TEST_SANITIZED
  GTEST_SKIP() << "sanitizers take memory themselves";
#endif
  const Codecs codecs;
  if (GetParam() != std::string("plain") && codecs.find(GetParam()) == nullptr) {
    GTEST_SKIP() << "this build has no " << GetParam();
  }
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(i >> 10 & 255);
  }
  const std::vector<std::byte> file = to_bytes(values, {.codec = GetParam()});
  constexpr double object = count * sizeof(float) / mebibyte;
  values = {};
  const auto load_as = [&]<class T>(T*) {
    test::TrickleSource source(file, std::size_t{1} << 16);
    const T back = load<T>(source);
    (void)back;
  };
  EXPECT_LT(beyond(object, [&] { load_as(static_cast<std::vector<float>*>(nullptr)); }), 16);
  EXPECT_LT(beyond(object, [&] { load_as(static_cast<Array<float>*>(nullptr)); }), 16);
  EXPECT_LT(beyond(object, [&] { load_as(static_cast<Value*>(nullptr)); }), 16);
  EXPECT_LT(beyond(object, [&] { load_as(static_cast<Eigen::VectorXf*>(nullptr)); }), 16);
  EXPECT_LT(beyond(2 * object, [&] { load_as(static_cast<std::vector<double>*>(nullptr)); }), 16);
  EXPECT_LT(beyond(2 * object, [&] { load_as(static_cast<Array<double>*>(nullptr)); }), 16);
}

INSTANTIATE_TEST_SUITE_P(Codecs, Memory, testing::Values("plain", "gzip", "zlib", "lz4", "zstd"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace stele
