// Random operations of several objects on one folder, beside a std::map of what must be there.

#include <array>
#include <map>
#include <memory>
#include <set>

#include "stele/cache.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::fresh;
using Numbers = std::vector<std::uint32_t>;

class CacheModel {
 public:
  CacheModel(unsigned seed, bool with_limits)
      : random_(seed), with_limits_(with_limits), path_(fresh("cache" + std::to_string(seed))) {
    caches_.push_back(open());
  }

  void step() {
    Cache& cache = *caches_[random_() % caches_.size()];
    const unsigned function = random_() % names_.size();
    const int argument = static_cast<int>(random_() % 40);
    const CacheCall call{.name = names_[function], .version = function % 2};
    const Digest key = cache.key(call, argument);
    const auto expected = model_.find(key);
    const bool may_be_missing = expected == model_.end() || (with_limits_ && !pinned_.contains(key));
    switch (random_() % 10) {
      case 0:
      case 1:
      case 2:
      case 3: {
        bool computed = false;
        const auto found = cache.get_or_compute(call, argument, [&](int) {
          computed = true;
          return model_[key] = next();
        });
        EXPECT_TRUE(!computed || may_be_missing);
        EXPECT_NE(found.hit, computed);
        EXPECT_EQ(found.value, model_[key]);
        break;
      }
      case 4:
        if (const auto found = cache.peek<Numbers>(call, argument)) {
          ASSERT_NE(expected, model_.end());
          EXPECT_EQ(found->value, expected->second);
        } else {
          EXPECT_TRUE(may_be_missing);
        }
        break;
      case 5:
        cache.force(call, argument, [&](int) { return model_[key] = next(); });
        break;
      case 6:
        EXPECT_TRUE(cache.erase(key) || may_be_missing);
        pinned_.erase(key);
        model_.erase(key);
        break;
      case 7:
        if (random_() % 4 == 0 && cache.pin(key)) {
          pinned_.insert(key);
        } else if (random_() % 10 == 0) {
          cache.clear(call.name, call.version);
          for (int other = 0; other < 40; ++other) {
            pinned_.erase(cache.key(call, other));
            model_.erase(cache.key(call, other));
          }
        }
        break;
      case 8:
        if (with_limits_) {
          cache.prune({.items = random_() % 100});
        }
        break;
      default:
        if (caches_.size() < 3) {
          caches_.push_back(open());
        } else if (random_() % 3 == 0) {
          caches_[random_() % caches_.size()] = open();
        }
    }
  }

  void check() {
    const CacheReport report = caches_[0]->verify();
    EXPECT_TRUE(report.good()) << report.problems[0];
    const CacheStats stats = caches_[0]->stats();
    EXPECT_EQ(report.items, stats.items);
    EXPECT_EQ(report.bytes, stats.bytes);
    EXPECT_EQ(stats.damaged, 0u);
    EXPECT_EQ(stats.failed, 0u);
    EXPECT_TRUE(with_limits_ || stats.items == model_.size());
    for (const CacheEntry& entry : caches_[0]->entries()) {
      EXPECT_TRUE(model_.contains(entry.key));
      EXPECT_EQ(entry.pinned, pinned_.contains(entry.key));
    }
  }

 private:
  std::unique_ptr<Cache> open() {
    CacheOptions options{.small_bytes = random_() % 3 == 0 ? 300u : 32u << 10};
    if (test::has_codec("gzip") && random_() % 4 == 0) {
      options.codec = "gzip";
    }
    if (with_limits_ && random_() % 2 == 0) {
      options.items_limit = 20 + random_() % 60;
    }
    return std::make_unique<Cache>(Cache::open(path_, options));
  }
  Numbers next() {
    const std::size_t size = random_() % 10 == 0 ? random_() % 20'000 : random_() % 100;
    return Numbers(size, ++last_);
  }

  std::mt19937 random_;
  bool with_limits_;
  std::string path_;
  std::array<std::string_view, 3> names_ = {"f", "g", "h"};
  std::vector<std::unique_ptr<Cache>> caches_;
  std::map<Digest, Numbers> model_;
  std::set<Digest> pinned_;
  std::uint32_t last_ = 0;
};

TEST(CacheModel, RandomOperations) {
  for (unsigned seed = 0; seed < (test::sanitized ? 8 : 40); ++seed) {
    SCOPED_TRACE(seed);
    CacheModel model(seed, seed % 2 == 1);
    for (int i = 0; i < 500 && !::testing::Test::HasFailure(); ++i) {
      model.step();
    }
    model.check();
  }
}

}  // namespace
}  // namespace stele
