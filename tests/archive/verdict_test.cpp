// The code of an error does not depend on who loads: a file with changed bytes is damaged, one that is cut off is
// truncated.

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <map>

#include "stele/features/feature_store.hpp"
#include "stele/features/known_features.hpp"
#include "stele/filters/binary_fuse.hpp"
#include "stele/filters/bloom.hpp"
#include "stele/filters/count_min.hpp"
#include "stele/filters/hyper_log_log.hpp"
#include "stele/hash.hpp"
#include "stele/state_text.hpp"
#include "stele/token_counts.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::Data;
using test::error_of;

/// Loads the archive that is in `bytes` and in the file at `path`.
struct Loader {
  const char* name;
  std::function<void(const Data& bytes, const std::string& path)> load;
  bool in_order = false;  // bytes are parsed before their checksum arrives
};

template <class T>
std::vector<Loader> loaders() {
  constexpr LoadOptions mapped{.map = MapMode::read_only, .verify = Verify::full};
  return {
      {"memory", [](const Data& bytes, const std::string&) { (void)from_bytes<T>(bytes); }},
      {"path", [](const Data&, const std::string& path) { (void)load<T>(path); }},
      {"mapped", [=](const Data&, const std::string& path) { (void)load<T>(path, mapped); }},
      {"descriptor",
       [](const Data&, const std::string& path) {
         const int fd = ::open(path.c_str(), O_RDONLY);
         const test::Finally close([fd] { ::close(fd); });
         (void)load<T>(Descriptor{fd});
       }},
      {"Source", [](const Data& bytes, const std::string&) { (void)load<T>(*memory_source(bytes)); }},
      {"open", [](const Data&, const std::string& path) { (void)open(path).load<T>(); }},
      {"open, mapped", [=](const Data&, const std::string& path) { (void)open(path, mapped).load<T>(); }},
      {"open, of a Source", [](const Data& bytes, const std::string&) { (void)open(memory_source(bytes)).load<T>(); }},
      {"verify", [](const Data&, const std::string& path) { open(path).verify(); }},
      {"Value", [](const Data&, const std::string& path) { (void)load<Value>(path).to<T>(); }},
      {"hash of a Value", [=](const Data&, const std::string& path) { (void)hash(load<Value>(path, mapped)); }},
      {"istream",
       [](const Data&, const std::string& path) {
         std::ifstream in(path, std::ios::binary);
         (void)load<T>(in);
       },
       true},
      {"Source in order",
       [](const Data& bytes, const std::string&) {
         test::TrickleSource source(bytes, 100);
         (void)load<T>(source);
       },
       true},
  };
}

struct Sample {
  std::string title = "a sample";
  std::map<std::string, std::vector<int>> map{{"a", {1, -2}}, {"b/c", {}}};
  std::shared_ptr<std::string> first = std::make_shared<std::string>("shared");
  std::shared_ptr<std::string> second = first;
  Array<float, 2> grid = test::counting<float, 2>({140, 8});
};

template <class T>
T make() {
  T made;
  if constexpr (std::is_same_v<T, TokenCounts>) {
    for (int i = 0; i < 500; ++i) {
      made.add("token " + std::to_string(i * 7 % 97), 3);
    }
  } else if constexpr (std::is_same_v<T, BloomFilter>) {
    made = T(1000, 0.01);
  } else if constexpr (std::is_same_v<T, BinaryFuse>) {
    made = T(std::vector<KeyHash>{1, 2, 3});
  } else if constexpr (std::is_same_v<T, CountMin>) {
    made = T(0.05, 0.01);
  } else if constexpr (std::is_same_v<T, HyperLogLog>) {
    made = T(10);
  } else if constexpr (std::is_same_v<T, FeatureStore>) {
    made = T({.capacity = 500, .generations = 2, .together_epsilon = 0.1});
    made.add(1, "feature");
  } else if constexpr (std::is_same_v<T, KnownFeatures>) {
    made.add("feature");
    made.add(7);
  }
  return made;
}

template <class T>
class Verdict : public testing::Test {
 protected:
  /// Calls `check` with each loader and the error it gives for `bytes`.
  void for_each_loader(const Data& bytes, const std::function<void(const Loader&, const Error&)>& check) {
    const std::string path = folder_ / "file";
    test::put(path, bytes);
    for (const Loader& loader : loaders<T>()) {
      SCOPED_TRACE(loader.name);
      check(loader, error_of([&] { loader.load(bytes, path); }));
    }
  }

 private:
  const test::Folder folder_;
};
using Types =
    testing::Types<Sample, TokenCounts, BloomFilter, BinaryFuse, CountMin, HyperLogLog, FeatureStore, KnownFeatures>;
TYPED_TEST_SUITE(Verdict, Types);

TYPED_TEST(Verdict, ChangedBytesAreDamage) {
  const Data good = to_bytes(make<TypeParam>());
  const std::size_t step = std::max<std::size_t>(good.size() / 100, 1);
  for (std::size_t at = 0; at < good.size(); at += step) {
    SCOPED_TRACE(at);
    Data bad = good;
    bad[at] ^= std::byte(1U << at % 8);
    this->for_each_loader(bad, [](const Loader& loader, const Error& error) {
      EXPECT_TRUE(loader.in_order || error.code() == Errc::damaged) << error.what();
    });
  }
}

TYPED_TEST(Verdict, ACutOffFileIsTruncated) {
  const Data good = to_bytes(make<TypeParam>());
  const std::size_t step = std::max<std::size_t>(good.size() / 100, 1);
  for (std::size_t size = 0; size < good.size(); size += step) {
    SCOPED_TRACE(size);
    this->for_each_loader(
        Data(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)),
        [](const Loader&, const Error& error) { EXPECT_EQ(error.code(), Errc::truncated) << error.what(); });
  }
}

/// A text does not say how long it is, so that damage may make its stream end too late.
TEST(VerdictOfTexts, AChangedCharacterIsDamageOrTruncation) {
  const std::string good = to_text(std::vector<int>(200, 5));
  for (std::size_t at = 8; at < good.size() && good[at] != '='; ++at) {
    std::string bad = good;
    bad[at] = bad[at] == 'A' ? 'B' : 'A';
    const Errc code = error_of([&] { (void)from_text<std::vector<int>>(bad); }).code();
    EXPECT_TRUE(code == Errc::damaged || code == Errc::truncated) << at << ' ' << to_string(code);
  }
}

}  // namespace
}  // namespace stele
