#include "stele/features/feature_store.hpp"

#include <cmath>
#include <map>
#include <random>
#include <set>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::Folder;

struct Event {
  std::uint64_t entity;
  std::string feature;  // digits stand for a number
};

/// A feature of an event.
template <class Use>
void with_feature(const std::string& name, Use use) {
  if (name.find_first_not_of("0123456789") == std::string::npos) {
    use(Feature(std::stoi(name)));
  } else {
    use(Feature(name));
  }
}

/// Random events of 200 entities; some features are text, others numbers.
std::vector<Event> events(std::size_t count, unsigned seed, std::uint64_t features = 400) {
  std::mt19937_64 random(seed);
  std::vector<Event> made;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t feature = random() % features;
    made.push_back({random() % 200, feature % 2 == 0 ? std::to_string(feature) : "f=" + std::to_string(feature)});
  }
  return made;
}

using Exact = std::map<std::uint64_t, std::set<std::string>>;

Exact exact(const std::vector<Event>& all) {
  Exact sets;
  for (const Event& event : all) {
    sets[event.entity].insert(event.feature);
  }
  return sets;
}

std::size_t pairs(const Exact& sets) {
  std::size_t sum = 0;
  for (const auto& [entity, features] : sets) {
    sum += features.size();
  }
  return sum;
}

void add_all(FeatureStore& store, const std::vector<Event>& all) {
  for (const Event& event : all) {
    with_feature(event.feature, [&](const Feature& feature) { store.add(event.entity, feature); });
  }
}

/// A source over events, some at a time.
FeatureSource source_of(const std::vector<Event>& all, std::size_t& at, std::size_t piece) {
  return [&all, &at, piece](FeatureBatch& batch) {
    for (std::size_t i = 0; i < piece && at < all.size(); ++i, ++at) {
      with_feature(all[at].feature, [&](const Feature& feature) { batch.add(all[at].entity, feature); });
    }
  };
}

TEST(FeatureStore, HasNoFalseNegativesAndTheExpectedRate) {
  const auto all = events(20'000, 1);
  const Exact sets = exact(all);
  for (int level = 0; level <= 9; ++level) {
    FeatureStore store({.capacity = pairs(sets), .level = level});
    add_all(store, all);
    std::size_t asked = 0;
    std::size_t wrong = 0;
    for (std::uint64_t entity = 0; entity < 400; ++entity) {  // half of them never came
      const auto own = sets.find(entity);
      for (std::uint64_t i = 0; i < 800; ++i) {
        const std::string name = i % 2 == 0 ? std::to_string(i) : "f=" + std::to_string(i);
        with_feature(name, [&](const Feature& feature) {
          const bool found = store.contains(entity, feature.key());
          if (own != sets.end() && own->second.contains(name)) {
            ASSERT_TRUE(found) << entity << " " << name;
          } else {
            ++asked;
            wrong += found ? 1 : 0;
          }
        });
      }
    }
    const FeatureStoreReport report = store.report();
    const double mean = report.false_positive_rate * static_cast<double>(asked);
    EXPECT_NEAR(static_cast<double>(wrong), mean, 5 * std::sqrt(mean) + 3) << level;
    EXPECT_NEAR(report.false_positive_rate / report.expected_rate, 1, 0.2) << level;
    EXPECT_NEAR(report.bits_per_pair / FeatureStore::bits_per_pair(level), 1, 0.15) << level;
    EXPECT_NEAR(report.pairs / static_cast<double>(pairs(sets)), 1, 0.1) << level;
    EXPECT_EQ(report.known_features, 400U);
  }
}

TEST(FeatureStore, ListsTheFeaturesOfAnEntity) {
  FeatureStore store({.capacity = 100, .level = 0});
  store.add("ann", "likes=tea");
  store.add("ann", 7);
  store.add("bob", "likes=tea");
  store.add("bob", -3);
  EXPECT_EQ(store.features("ann"), (std::vector<std::uint32_t>{0, 1}));
  EXPECT_EQ(store.features("bob"), (std::vector<std::uint32_t>{0, 2}));
  EXPECT_TRUE(store.features("eve").empty());
  const KnownFeatures& known = store.known();
  EXPECT_EQ(known.size(), 3U);
  EXPECT_EQ(known.name(0), "likes=tea");
  EXPECT_EQ(known.name(1), "7");
  EXPECT_EQ(known.number(0), std::nullopt);
  EXPECT_EQ(known.number(1), 7);
  EXPECT_EQ(known.number(2), -3);
  EXPECT_EQ(known.find(7), 1U);
  EXPECT_EQ(known.find("7"), std::nullopt);
  EXPECT_EQ(known.key(0), KeyHash("likes=tea"));
  EXPECT_EQ(error_of([&] { (void)known.name(3); }).code(), Errc::out_of_range);
}

TEST(FeatureStore, ManyAtOnceAnswersAsOneByOne) {
  FeatureStore store({.capacity = 2000, .level = 6, .generations = 3});
  const auto all = events(3000, 2, 3000);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i % 1000 == 999) {
      store.rotate();
    }
    with_feature(all[i].feature, [&](const Feature& feature) { store.add(all[i].entity, feature); });
  }
  std::vector<KeyHash> features;
  std::vector<KeyHash> entities;
  for (int i = 0; i < 1000; ++i) {
    features.emplace_back(3 * i);
    entities.emplace_back(i);
  }
  std::vector<std::uint8_t> found(1000, 7);
  std::size_t expected = 0;
  EXPECT_GT(store.contains_many(5, features, found), 0U);
  for (std::size_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(found[i], store.contains(5, features[i]) ? 1 : 0);
  }
  const std::size_t hits = store.contains_many(entities, features[7], found);
  for (std::size_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(found[i], store.contains(entities[i], features[7]) ? 1 : 0);
    EXPECT_EQ(store.contains(entities[i], features[7]), store.age(entities[i], features[7]).has_value());
    expected += found[i];
  }
  EXPECT_EQ(hits, expected);
  EXPECT_EQ(error_of([&] { (void)store.contains_many(5, features, std::span(found).first(999)); }).code(),
            Errc::invalid_argument);
}

TEST(FeatureStore, BuildsInParallelWhatAddingInTurnGives) {
  const auto all = events(30'000, 3, 5000);
  FeatureStore expected({.capacity = 20'000, .generations = 2});
  expected.add(1, 4);
  expected.rotate();
  add_all(expected, all);
  for (const unsigned threads : {1U, 2U, 5U}) {
    for (const std::size_t piece : {std::size_t{100}, std::size_t{4096}}) {
      FeatureStore store({.capacity = 20'000, .generations = 2});
      store.add(1, 4);
      store.rotate();
      std::size_t at = 0;
      store.build(source_of(all, at, piece), threads);
      EXPECT_EQ(at, all.size());
      EXPECT_EQ(store, expected) << threads << " threads, " << piece;
    }
  }
}

TEST(FeatureStore, WhatTheSourceThrowsComesThrough) {
  FeatureStore store({.capacity = 100});
  int calls = 0;
  const FeatureSource source = [&](FeatureBatch& batch) {
    batch.add("entity", ++calls);
    if (calls == 3) {
      throw std::runtime_error("the stream broke");
    }
  };
  try {
    store.build(source, 2);
    FAIL() << "no exception";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "the stream broke");
  }
  for (int i = 1; i <= 3; ++i) {
    EXPECT_TRUE(store.contains("entity", i));
    EXPECT_TRUE(store.known().find(i).has_value());
  }
}

TEST(FeatureStore, GenerationsLetOldEventsLeave) {
  FeatureStore store({.capacity = 3000, .level = 0, .generations = 3});
  const auto name = [](int day) { return "day " + std::to_string(day); };
  for (int day = 0; day < 10; ++day) {
    if (day > 0) {
      store.rotate();
    }
    store.add("user", name(day));
    store.add("user", "always");
    for (int past = 0; past <= day; ++past) {
      EXPECT_EQ(store.contains("user", name(past)), day - past < 3) << day << " " << past;
      if (day - past < 3) {
        EXPECT_EQ(store.age("user", name(past)), static_cast<unsigned>(day - past));
      }
      EXPECT_EQ(store.known().find(name(past)).has_value(), day - past < 3);
    }
    EXPECT_EQ(store.age("user", "always"), 0U);
  }
  EXPECT_EQ(store.rotations(), 9U);
  EXPECT_EQ(store.known().size(), 4U);
  EXPECT_EQ(store.features("user").size(), 4U);
}

TEST(FeatureStore, CountsWhatIsAddedTogether) {
  FeatureStore store({.capacity = 1000, .level = 0, .generations = 2, .together_epsilon = 0.001});
  const std::vector<Feature> tea{"tea", "milk", "tea", "sugar"};
  const std::vector<Feature> coffee{"coffee", "milk"};
  store.add_together("ann", tea);
  store.add_together("bob", coffee);
  store.rotate();
  store.add_together("bob", tea);
  EXPECT_EQ(store.together("milk", "tea"), 2U);
  EXPECT_EQ(store.together("tea", "milk"), 2U);
  EXPECT_EQ(store.together("coffee", "milk"), 1U);
  EXPECT_EQ(store.together("coffee", "tea"), 0U);
  EXPECT_EQ(store.together("tea", "tea"), 0U);
  const std::vector<KeyHash> people{"ann", "bob", "eve"};
  EXPECT_EQ(store.count_with_both(people, "tea", "milk"), 2U);
  EXPECT_EQ(store.count_with_both(people, "coffee", "sugar"), 1U);
  store.rotate();
  EXPECT_EQ(store.together("tea", "milk"), 1U);
  EXPECT_EQ(store.together("coffee", "milk"), 0U);
  FeatureStore plain({.capacity = 1000});
  plain.add_together("ann", tea);
  EXPECT_EQ(plain.together("tea", "milk"), 0U);
  EXPECT_TRUE(plain.contains("ann", "sugar"));
}

TEST(FeatureStore, MergesStoresBuiltApart) {
  const FeatureStoreOptions options{.capacity = 10'000, .generations = 2, .together_epsilon = 0.01};
  const auto all = events(8000, 5);
  FeatureStore whole(options);
  FeatureStore one(options);
  FeatureStore two(options);
  for (std::size_t i = 0; i < all.size(); ++i) {
    with_feature(all[i].feature, [&](const Feature& feature) {
      whole.add(all[i].entity, feature);
      (i < 5000 ? one : two).add(all[i].entity, feature);
    });
  }
  one.merge(two);
  EXPECT_EQ(one, whole);
  two.rotate();
  EXPECT_EQ(error_of([&] { one.merge(two); }).code(), Errc::invalid_argument);
  FeatureStore other({.capacity = 20'000, .generations = 2, .together_epsilon = 0.01});
  EXPECT_EQ(error_of([&] { one.merge(other); }).code(), Errc::invalid_argument);
  EXPECT_EQ(one, whole);
}

TEST(FeatureStore, RefusesWhatMakesNoSense) {
  const auto code = [](const FeatureStoreOptions& options) {
    return error_of([&] { FeatureStore store(options); }).code();
  };
  EXPECT_EQ(code({.capacity = 0}), Errc::invalid_argument);
  EXPECT_EQ(code({.level = 10}), Errc::invalid_argument);
  EXPECT_EQ(code({.level = -1}), Errc::invalid_argument);
  EXPECT_EQ(code({.bits_per_pair = -1}), Errc::invalid_argument);
  EXPECT_EQ(code({.bits_per_pair = std::nan("")}), Errc::invalid_argument);
  EXPECT_EQ(code({.generations = 0}), Errc::invalid_argument);
  EXPECT_EQ(code({.generations = 65}), Errc::invalid_argument);
  EXPECT_EQ(code({.together_epsilon = 2}), Errc::invalid_argument);
  EXPECT_EQ(code({.capacity = ~std::uint64_t{0}}), Errc::limit_exceeded);
  FeatureStore none;
  EXPECT_FALSE(none.contains(1, 2));
  EXPECT_TRUE(none.features(1).empty());
  EXPECT_EQ(none.report().filter_bytes, 0U);
  EXPECT_EQ(error_of([&] { none.add(1, 2); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { none.rotate(); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { none.build([](FeatureBatch&) {}); }).code(), Errc::invalid_argument);
}

// --- Files -----------------------------------------------------------------------------------------------------------

FeatureStore filled() {
  FeatureStore store({.capacity = 20'000, .generations = 2, .together_epsilon = 0.001});
  add_all(store, events(10'000, 7, 2000));
  store.rotate();
  store.add_together("user", std::vector<Feature>{"new", 1, 2});
  return store;
}

TEST(FeatureStore, IsSavedAndLoaded) {
  test::expect_same(filled());
  test::expect_same(FeatureStore());
  test::expect_same(FeatureStore({.capacity = 5}));
}

TEST(FeatureStore, IsMapped) {
  const Folder folder;
  const FeatureStore store = filled();
  save(store, folder / "store.stele");
  auto mapped = load<FeatureStore>(folder / "store.stele", {.map = MapMode::read_only});
  EXPECT_EQ(mapped, store);
  EXPECT_EQ(mapped.features("user"), store.features("user"));
  const FeatureStore sharing = mapped;
  mapped.add("user", "later");
  mapped.add("user", 1);
  EXPECT_TRUE(mapped.contains("user", "later"));
  EXPECT_TRUE(mapped.known().find("later").has_value());
  EXPECT_EQ(sharing, store);
  std::size_t at = 0;
  const auto more = events(2000, 9, 4000);
  FeatureStore built = sharing;
  built.build(source_of(more, at, 100), 2);
  FeatureStore expected = store;
  add_all(expected, more);
  EXPECT_EQ(built, expected);
  EXPECT_EQ(load<FeatureStore>(folder / "store.stele"), store);
  mapped.rotate();
  EXPECT_EQ(load<FeatureStore>(folder / "store.stele", {.verify = Verify::full}), store);
}

TEST(FeatureStore, PairsAreFrozen) {
  FeatureStore store({.capacity = 1000, .together_epsilon = 0.02});
  add_all(store, events(500, 11));
  store.add_together("user", std::vector<Feature>{"a", "b"});
  const auto archive = to_bytes(store);
  const File file = open(memory_source(archive));
  std::vector<std::byte> bytes;
  const auto note = [&](const auto& array) {
    for (std::uint64_t i = 0; i < array.size(); ++i) {
      std::byte word[8];
      store_le<std::uint64_t>(word, array.data()[i]);
      bytes.insert(bytes.end(), word, word + 8);
    }
  };
  note(file.load<Array<std::uint64_t>>("filters/0/words"));
  note(file.load<Array<std::uint32_t, 2>>("together/0/counts"));
  note(file.load<Array<std::uint64_t>>("known/hashes"));
  note(file.load<Array<std::uint32_t>>("known/slots"));
  EXPECT_EQ(xxh3_64(bytes), 13867264016561723133U);
}

struct Stored {
  std::uint32_t version = 1;
  std::uint32_t rotations = 0;
  std::vector<BloomFilter> filters = {};
  std::vector<CountMin> together = {};
  KnownFeatures known = {};
  static void visit(auto& v, auto& self) {
    v.version(self.version);
    v("rotations", self.rotations)("filters", self.filters)("known", self.known)("together", self.together);
  }
};

TEST(FeatureStore, RefusesDamagedFiles) {
  const auto code = [](const Stored& stored) {
    const auto bytes = to_bytes(stored);
    return error_of([&] { (void)from_bytes<FeatureStore>(bytes); }).code();
  };
  const BloomFilter blocked(10, 0.1, {.blocked = true});
  EXPECT_EQ(code({.version = 2}), Errc::unsupported);
  EXPECT_EQ(code({.filters = {BloomFilter(10, 0.1)}}), Errc::damaged);
  EXPECT_EQ(code({.filters = {blocked, BloomFilter()}}), Errc::damaged);
  EXPECT_EQ(code({.filters = {blocked}, .together = {CountMin(), CountMin()}}), Errc::damaged);
  EXPECT_EQ(code({.filters = std::vector(65, blocked)}), Errc::damaged);
}

/// The stored form of a list of features, to write files that KnownFeatures never writes.
struct StoredFeatures {
  std::vector<std::uint64_t> hashes = {};
  std::vector<std::uint32_t> times = {};
  std::vector<std::uint8_t> are_numbers = {};
  std::vector<std::uint64_t> ends = {};
  std::vector<std::uint8_t> text = {};
  std::vector<std::uint32_t> slots = {};
  static void visit(auto& v, auto& self) {
    v.version(1);
    v("hashes", self.hashes)("times", self.times)("are_numbers", self.are_numbers)("ends", self.ends);
    v("text", self.text)("slots", self.slots);
  }
};

TEST(FeatureStore, ARotationThatFailsChangesNothing) {
  // The name of the feature that would stay lies outside the text.
  const StoredFeatures features{
      {KeyHash("old").hash(), KeyHash("new").hash()}, {0, 1}, {0, 0}, {1, 99}, {'o'}, std::vector<std::uint32_t>(16)};
  BloomFilter filter = BloomFilter::of_bits(512, 10, {.blocked = true});
  filter.add("something");
  FeatureStore store =
      from_bytes<FeatureStore>(to_bytes(Stored{.rotations = 1,
                                               .filters = {filter, BloomFilter(filter)},
                                               .known = from_bytes<KnownFeatures>(to_bytes(features))}));
  const auto before = to_bytes(store);
  EXPECT_EQ(error_of([&] { store.rotate(); }).code(), Errc::damaged);
  EXPECT_EQ(to_bytes(store), before);
  EXPECT_EQ(store.rotations(), 1U);
}

TEST(FeatureStore, RotationsAreNotCountedRoundToZero) {
  const BloomFilter filter = BloomFilter::of_bits(512, 10, {.blocked = true});
  FeatureStore store = from_bytes<FeatureStore>(to_bytes(Stored{.rotations = 0xfffffffe, .filters = {filter, filter}}));
  store.add("user", "a");
  store.rotate();
  EXPECT_EQ(store.age("user", "a"), 1U);
  EXPECT_EQ(error_of([&] { store.rotate(); }).code(), Errc::limit_exceeded);
  EXPECT_EQ(store.rotations(), 0xffffffffU);
  EXPECT_EQ(store.age("user", "a"), 1U);
}

TEST(FeatureStore, RotatedManyTimesItKeepsTheYoungest) {
  FeatureStore store({.capacity = 300, .generations = 3, .together_epsilon = 0.1});
  for (int i = 0; i < 200; ++i) {
    store.add_together("user", std::vector<Feature>{i, i + 1'000'000});
    for (int k = 0; k < 3 && k <= i; ++k) {
      ASSERT_TRUE(store.contains("user", i - k));
      ASSERT_LE(store.age("user", i - k), static_cast<unsigned>(k));
      ASSERT_GE(store.together(i - k, i - k + 1'000'000), 1U);
    }
    ASSERT_EQ(store.known().size(), 2 * static_cast<std::size_t>(std::min(i + 1, 3)));
    store.rotate();
  }
}

TEST(FeatureStore, NoDamagedByteCrashes) {
  FeatureStore small({.capacity = 20, .generations = 2, .together_epsilon = 0.3});
  small.add_together("user", std::vector<Feature>{"a", "b", 3});
  const auto whole = to_bytes(small);
  std::size_t refused = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    auto bytes = whole;
    bytes[i] ^= std::byte{0x41};
    try {
      auto store = from_bytes<FeatureStore>(bytes, {.verify = Verify::none});
      for (const std::uint32_t index : store.features("user")) {
        (void)store.known().name(index);
      }
      (void)store.together("a", "b");
      (void)store.report();
      store.add("user", "c");
      store.rotate();
      store.rotate();
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 0U);
}

}  // namespace
}  // namespace stele
