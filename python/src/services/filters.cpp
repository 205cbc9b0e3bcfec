// Filters and sketches: BloomFilter, BinaryFuse, CountMin, HyperLogLog.

#include <algorithm>
#include <limits>

#include "bindings.hpp"
#include "services/guarded.hpp"
#include "services/keys.hpp"
#include "stele/error.hpp"
#include "stele/filters/binary_fuse.hpp"
#include "stele/filters/bloom.hpp"
#include "stele/filters/count_min.hpp"
#include "stele/filters/hyper_log_log.hpp"

namespace stele::python {
namespace {

/// The hashes of keys, without the GIL.
std::vector<KeyHash> hashes_of(nb::handle given) {
  const KeyItems keys(given);
  const nb::gil_scoped_release released;
  return keys.hashes();
}

/// contains() and contains_many().
template <class Filter>
void bind_contains(nb::class_<Guarded<Filter>>& bound) {
  bound.def("contains", [](const Guarded<Filter>& self, nb::handle key) {
    const KeyHash hash = key_hash(key);
    return self.read([&](const Filter& filter) { return filter.contains(hash); });
  });
  bound.def("contains_many", [](const Guarded<Filter>& self, nb::handle given) {
    const KeyItems keys(given);
    nb::object found = empty_array(DType::Kind::boolean, keys.shape());
    const std::span<std::uint8_t> out = elements<std::uint8_t>(found);
    self.read_released([&](const Filter& filter) { filter.contains_many(keys.hashes(), out); });
    return found;
  });
}

/// add() and update(), of keys that count once.
template <class T>
void bind_add(nb::class_<Guarded<T>>& bound) {
  bound.def("add", [](Guarded<T>& self, nb::handle key) {
    const KeyHash hash = key_hash(key);
    self.change([&](T& set) { set.add(hash); });
  });
  bound.def("update", [](Guarded<T>& self, nb::handle given) {
    const std::vector<KeyHash> hashes = hashes_of(given);
    self.change_released([&](T& set) {
      if constexpr (requires { set.add_many(hashes); }) {
        set.add_many(hashes);
      } else {
        std::for_each(hashes.begin(), hashes.end(), [&](const KeyHash& hash) { set.add(hash); });
      }
    });
  });
}

void bind_bloom(nb::module_& module) {
  using Held = Guarded<BloomFilter>;
  nb::class_<Held> bound(module, "BloomFilter");
  bind_value(bound);
  bind_contains(bound);
  bind_add(bound);
  bound.def_static("make", [](std::uint64_t capacity, double rate, bool blocked, std::uint64_t seed) {
    return new Held(capacity, rate, BloomOptions{blocked, seed});
  });
  bind_number(bound, "capacity", &BloomFilter::capacity);
  bind_number(bound, "bit_count", &BloomFilter::bit_count);
  bind_number(bound, "hash_count", &BloomFilter::hash_count);
  bound.def("estimated_count",
            [](const Held& self) { return self.read_released(std::mem_fn(&BloomFilter::estimated_count)); });
  bound.def("false_positive_rate",
            [](const Held& self) { return self.read_released(std::mem_fn(&BloomFilter::false_positive_rate)); });
}

template <class Filter>
void bind_fuse(nb::module_& module, const char* name) {
  nb::class_<Guarded<Filter>> bound(module, name);
  bind_value(bound);
  bind_contains(bound);
  bound.def_static("make", [](nb::handle given, std::uint64_t seed) {
    const std::vector<KeyHash> hashes = hashes_of(given);
    const nb::gil_scoped_release released;
    return new Guarded<Filter>(hashes, seed);
  });
  bind_number(bound, "size", &Filter::size);
  bind_number(bound, "false_positive_rate", &Filter::false_positive_rate);
}

void bind_count_min(nb::module_& module) {
  using Held = Guarded<CountMin>;
  static constexpr auto times_of = [](std::uint64_t times) {
    constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
    return static_cast<std::uint32_t>(std::min(times, most));
  };
  nb::class_<Held> bound(module, "CountMin");
  bind_value(bound);
  bound.def_static("make", [](double epsilon, double delta, bool conservative, std::uint64_t seed) {
    return new Held(epsilon, delta, CountMinOptions{conservative, seed});
  });
  bound.def("add", [](Held& self, nb::handle key, std::uint64_t times) {
    const KeyHash hash = key_hash(key);
    self.change([&](CountMin& sketch) { sketch.add(hash, times_of(times)); });
  });
  bound.def(
      "update",
      [](Held& self, nb::handle given, nb::handle counts) {
        const KeyItems keys(given);
        const std::vector<std::uint64_t> times = counts_of(counts, keys.size());
        self.change_released([&](CountMin& sketch) {
          const std::vector<KeyHash> hashes = keys.hashes();
          for (std::size_t i = 0; i < hashes.size(); ++i) {
            sketch.add(hashes[i], times.empty() ? 1 : times_of(times[i]));
          }
        });
      },
      nb::arg("keys"), nb::arg("counts").none());
  bound.def("estimate", [](const Held& self, nb::handle key) {
    const KeyHash hash = key_hash(key);
    return self.read([&](const CountMin& sketch) { return sketch.estimate(hash); });
  });
  bound.def("estimate_many", [](const Held& self, nb::handle given) {
    const KeyItems keys(given);
    nb::object made = empty_array(DType::Kind::uint32, keys.shape());
    const std::span<std::uint32_t> out = elements<std::uint32_t>(made);
    self.read_released([&](const CountMin& sketch) {
      const std::vector<KeyHash> hashes = keys.hashes();
      std::transform(hashes.begin(), hashes.end(), out.begin(),
                     [&](const KeyHash& hash) { return sketch.estimate(hash); });
    });
    return made;
  });
  bind_number(bound, "width", &CountMin::width);
  bind_number(bound, "depth", &CountMin::depth);
  bind_number(bound, "total", &CountMin::total);
}

void bind_hyper_log_log(nb::module_& module) {
  using Held = Guarded<HyperLogLog>;
  nb::class_<Held> bound(module, "HyperLogLog");
  bind_value(bound);
  bind_add(bound);
  bound.def_static("make", [](unsigned precision, std::uint64_t seed) { return new Held(precision, seed); });
  bound.def("estimate", [](const Held& self) { return self.read(std::mem_fn(&HyperLogLog::estimate)); });
  bind_number(bound, "precision", &HyperLogLog::precision);
  bind_number(bound, "standard_error", &HyperLogLog::standard_error);
}

}  // namespace

void bind_filters(nb::module_& module) {
  module.def("key_hashes", [](nb::handle given) {
    const KeyItems keys(given);
    nb::object made = empty_array(DType::Kind::uint64, keys.shape());
    const std::span<std::uint64_t> out = elements<std::uint64_t>(made);
    const nb::gil_scoped_release released;
    const std::vector<KeyHash> hashes = keys.hashes();
    std::transform(hashes.begin(), hashes.end(), out.begin(), [](const KeyHash& key) { return key.hash(); });
    return made;
  });
  bind_bloom(module);
  bind_fuse<BinaryFuse>(module, "BinaryFuse8");
  bind_fuse<BinaryFuse16>(module, "BinaryFuse16");
  bind_count_min(module);
  bind_hyper_log_log(module);
}

}  // namespace stele::python
