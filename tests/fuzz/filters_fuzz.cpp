// Filters, sketches and feature stores. The input is the root of an archive with valid checksums, loaded as each of
// these types. A loaded object is saved, mapped, and used in every way; changing a copy must not change the original.

#include <cmath>

#include "fuzz.hpp"
#include "mapped_file.hpp"
#include "stele/archive.hpp"
#include "stele/features/feature_store.hpp"
#include "stele/filters/binary_fuse.hpp"
#include "stele/filters/bloom.hpp"
#include "stele/filters/count_min.hpp"
#include "stele/filters/hyper_log_log.hpp"
#include "support/hand_made.hpp"

namespace stele {
namespace {

using fuzz::require;
using fuzz::succeeds;

const LoadOptions limited{.limits = {.depth = 100, .allocation = std::uint64_t{64} << 20}};

std::vector<KeyHash> some_keys() {
  std::vector<KeyHash> keys;
  for (std::uint64_t i = 0; i < 70; ++i) {
    keys.push_back(i % 2 == 0 ? KeyHash(i) : KeyHash::of_hash(i % 3 == 0 ? ~i : i << 57));
  }
  return keys;
}

template <class Filter>
void look_up(const Filter& filter) {
  const std::vector<KeyHash> keys = some_keys();
  std::vector<std::uint8_t> found(keys.size());
  std::size_t hits = 0;
  require(filter.contains_many(keys, found) <= keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    require(filter.contains(keys[i]) == (found[i] != 0));
    hits += found[i];
  }
  require(filter.contains_many(keys, found) == hits);
}

void read(const BloomFilter& filter) {
  look_up(filter);
  require(filter.fill() >= 0 && filter.fill() <= 1);
  require(filter.estimated_count() >= 0);
  require(filter.false_positive_rate() >= 0 && filter.false_positive_rate() <= 1);
}
void change(BloomFilter& filter) {
  const std::vector<KeyHash> keys = some_keys();
  filter.add(keys[0]);
  filter.add_many(keys);
  filter.add_many_atomic(keys);
  for (const KeyHash key : keys) {
    require(filter.contains(key));
  }
  filter.merge(filter);
  filter.clear();
  require(filter.fill() == 0);
}

template <class Fingerprint>
void read(const BasicBinaryFuse<Fingerprint>& filter) {
  look_up(filter);
}
template <class Fingerprint>
void change(BasicBinaryFuse<Fingerprint>& filter) {
  filter = BasicBinaryFuse<Fingerprint>(some_keys());
}

void read(const CountMin& sketch) {
  for (const KeyHash key : some_keys()) {
    (void)sketch.estimate(key);
  }
}
void change(CountMin& sketch) {
  for (const KeyHash key : some_keys()) {
    const std::uint64_t before = sketch.estimate(key);
    sketch.add(key, 3);
    require(sketch.estimate(key) >= std::min<std::uint64_t>(before + 3, 0xffffffff));
  }
  sketch.merge(sketch);
  sketch.clear();
  require(sketch.estimate(7) == 0);
}

void read(const HyperLogLog& sketch) {
  require(sketch.estimate() >= 0);
  (void)sketch.standard_error();
}
void change(HyperLogLog& sketch) {
  for (const KeyHash key : some_keys()) {
    sketch.add(key);
  }
  sketch.merge(sketch);
  sketch.clear();
  require(sketch.estimate() == 0);
}

void read(const KnownFeatures& known) {
  for (const KeyHash key : some_keys()) {
    if (const auto index = known.find(key)) {
      require(*index < known.size() && known.key(*index) == key);
    }
  }
  for (std::uint32_t i = 0; i < std::min<std::uint64_t>(known.size(), 50); ++i) {
    succeeds([&] { (void)known.name(i).size(); });
    succeeds([&] { (void)known.number(i); });
    (void)known.last_time(i);
  }
}
void change(KnownFeatures& known) {
  known.prepare_marks();
  for (std::uint32_t i = 0; i < std::min<std::uint64_t>(known.size(), 50); ++i) {
    known.mark_atomic(i, i);
  }
  for (std::uint64_t i = 0; i < 30; ++i) {
    (void)known.add(i, static_cast<std::uint32_t>(i));
    (void)known.add("f" + std::to_string(i), 9);
  }
  known.forget_before(10);
}

void read(const FeatureStore& store) {
  const std::vector<KeyHash> keys = some_keys();
  std::vector<std::uint8_t> found(keys.size());
  (void)store.contains_many("ann", keys, found);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    require(store.contains("ann", keys[i]) == (found[i] != 0));
    require(store.age("ann", keys[i]).has_value() == (found[i] != 0));
    (void)store.together(keys[i], 7);
  }
  (void)store.contains_many(keys, "tea", found);
  (void)store.features("ann");
  (void)store.count_with_both(keys, "tea", 7);
  (void)store.report();
  read(store.known());
}
void change(FeatureStore& store) {
  const std::vector<Feature> features{"tea", 7, "milk", "tea"};
  store.add_together("ann", features);
  store.add("bob", "sugar");
  require(store.contains("ann", "milk") && store.contains("bob", "sugar") && store.known().find("sugar"));
  FeatureStore other = store;
  succeeds([&] { store.merge(other); });
  std::uint64_t left = 200;
  store.build(
      [&](FeatureBatch& batch) {
        for (int i = 0; i < 50 && left > 0; ++i) {
          --left;
          batch.add(left, left % 7);
        }
      },
      1);
  require(store.contains(199, 199 % 7));
  for (unsigned i = 0; i < store.generations() + 2; ++i) {
    succeeds([&] { store.rotate(); });
  }
  (void)store.contains("ann", "tea");
}

template <class T>
void use(T& value) {
  read(value);
  const test::Data before = to_bytes(value);
  T copy = value;
  succeeds([&] { change(copy); });
  read(copy);
  require(to_bytes(value) == before);
  T moved = std::move(copy);
  copy = value;
  require(copy == value);
  succeeds([&] { change(value); });
  require(from_bytes<T>(before) == copy);
  read(moved);
}

template <class T>
void load_as(Bytes archive, const fuzz::MappedFile& file) {
  T loaded;
  if (!succeeds([&] { loaded = from_bytes<T>(archive, limited); })) {
    return;
  }
  const test::Data saved = to_bytes(loaded);
  use(loaded);
  if (saved.size() < fuzz::least_mapped) {
    return;
  }
  for (const MapMode mode : {MapMode::read_only, MapMode::copy_on_write}) {
    T mapped = load<T>(file.write(saved), {.map = mode});
    use(mapped);
  }
  // Two that share what they were loaded from.
  const T original = from_bytes<T>(saved);
  const T mapped = load<T>(file.write(saved), {.map = MapMode::read_only});
  std::vector<T> pair = from_bytes<std::vector<T>>(to_bytes(std::vector<T>{mapped, mapped}));
  succeeds([&] { change(pair[0]); });
  require(pair[1] == original);
}

}  // namespace
}  // namespace stele

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stele;
  static const fuzz::MappedFile file;
  const test::Data archive = test::wrap(std::as_bytes(std::span(data, size)));
  load_as<BloomFilter>(archive, file);
  load_as<BinaryFuse>(archive, file);
  load_as<BinaryFuse16>(archive, file);
  load_as<CountMin>(archive, file);
  load_as<HyperLogLog>(archive, file);
  load_as<KnownFeatures>(archive, file);
  load_as<FeatureStore>(archive, file);
  return 0;
}
