// Filters and sketches: BloomFilter, BinaryFuse, CountMin, HyperLogLog.

#include <algorithm>
#include <limits>

#include "services/guarded.hpp"
#include "services/keys.hpp"
#include "services/services.hpp"
#include "stele/error.hpp"
#include "stele/filters/binary_fuse.hpp"
#include "stele/filters/bloom.hpp"
#include "stele/filters/count_min.hpp"
#include "stele/filters/hyper_log_log.hpp"

namespace stele::python {

nb::object plain_object(const Value& value) {
  const Trust nothing{nb::none()};
  GraphIn graph(nothing);
  const std::unique_ptr<InVisitor> in = value_reader(value);
  read_whole(*in, graph, [] {});
  return graph.result;
}

namespace {

/// The hashes of keys, without the GIL.
std::vector<KeyHash> hashes_of(const KeyItems& keys) {
  const nb::gil_scoped_release released;
  return keys.hashes();
}

template <class T>
std::span<T> elements(nb::handle array) {
  const MutableBytes bytes = bytes_of(array);
  return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
}

template <class T>
nb::object contains_many(const Guarded<T>& self, nb::handle given) {
  const KeyItems keys(given);
  nb::object found = empty_array(DType::Kind::boolean, keys.shape());
  const std::span<std::uint8_t> out = elements<std::uint8_t>(found);
  self.read_released([&](const T& filter) { filter.contains_many(keys.hashes(), out); });
  return found;
}

void bind_bloom(nb::module_& module) {
  using Held = Guarded<BloomFilter>;
  nb::class_<Held> bound(module, "BloomFilter");
  bind_value<BloomFilter>(bound);
  bound.def_static("make", [](std::uint64_t capacity, double rate, bool blocked, std::uint64_t seed) {
    return new Held(capacity, rate, BloomOptions{blocked, seed});
  });
  bound.def_static("of_bits", [](std::uint64_t bits, std::uint64_t capacity, bool blocked, std::uint64_t seed) {
    return new Held(BloomFilter::of_bits(bits, capacity, {blocked, seed}));
  });
  bound.def_static("expected_rate", &BloomFilter::expected_rate);
  bound.def("add", [](Held& self, nb::handle key) {
    const KeyHash hash = key_hash(key);
    self.change([&](BloomFilter& filter) { filter.add(hash); });
  });
  bound.def("update", [](Held& self, nb::handle given) {
    const KeyItems keys(given);
    const std::vector<KeyHash> hashes = hashes_of(keys);
    self.change_released([&](BloomFilter& filter) { filter.add_many(hashes); });
  });
  bound.def("contains", [](const Held& self, nb::handle key) {
    const KeyHash hash = key_hash(key);
    return self.read([&](const BloomFilter& filter) { return filter.contains(hash); });
  });
  bound.def("contains_many", &contains_many<BloomFilter>);
  bound.def("merge", &merge<BloomFilter>);
  bound.def("clear", [](Held& self) { self.change_released([](BloomFilter& filter) { filter.clear(); }); });
  const auto number = [&](const char* name, auto get) {
    bound.def_prop_ro(name, [get](const Held& self) { return self.read(get); });
  };
  number("capacity", [](const BloomFilter& filter) { return filter.capacity(); });
  number("bit_count", [](const BloomFilter& filter) { return filter.bit_count(); });
  number("byte_count", [](const BloomFilter& filter) { return filter.byte_count(); });
  number("hash_count", [](const BloomFilter& filter) { return filter.hash_count(); });
  number("blocked", [](const BloomFilter& filter) { return filter.blocked(); });
  number("seed", [](const BloomFilter& filter) { return filter.seed(); });
  number("writable", [](const BloomFilter& filter) { return filter.writable(); });
  const auto whole = [&](const char* name, auto get) {
    bound.def(name, [get](const Held& self) { return self.read_released(get); });
  };
  whole("fill", [](const BloomFilter& filter) { return filter.fill(); });
  whole("estimated_count", [](const BloomFilter& filter) { return filter.estimated_count(); });
  whole("false_positive_rate", [](const BloomFilter& filter) { return filter.false_positive_rate(); });
}

template <class Filter>
void bind_fuse(nb::module_& module, const char* name) {
  using Held = Guarded<Filter>;
  nb::class_<Held> bound(module, name);
  bind_value<Filter>(bound);
  bound.def_static("make", [](nb::handle given, std::uint64_t seed) {
    const KeyItems keys(given);
    const std::vector<KeyHash> hashes = hashes_of(keys);
    const nb::gil_scoped_release released;
    return new Held(hashes, seed);
  });
  bound.def("contains", [](const Held& self, nb::handle key) {
    const KeyHash hash = key_hash(key);
    return self.read([&](const Filter& filter) { return filter.contains(hash); });
  });
  bound.def("contains_many", &contains_many<Filter>);
  const auto number = [&](const char* label, auto get) {
    bound.def_prop_ro(label, [get](const Held& self) { return self.read(get); });
  };
  number("size", [](const Filter& filter) { return filter.size(); });
  number("byte_count", [](const Filter& filter) { return filter.byte_count(); });
  number("false_positive_rate", [](const Filter& filter) { return filter.false_positive_rate(); });
  number("seed", [](const Filter& filter) { return filter.seed(); });
}

void bind_count_min(nb::module_& module) {
  using Held = Guarded<CountMin>;
  static constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
  nb::class_<Held> bound(module, "CountMin");
  bind_value<CountMin>(bound);
  bound.def_static("make", [](double epsilon, double delta, bool conservative, std::uint64_t seed) {
    return new Held(epsilon, delta, CountMinOptions{conservative, seed});
  });
  bound.def_static("of_size", [](std::uint64_t width, unsigned depth, bool conservative, std::uint64_t seed) {
    return new Held(CountMin::of_size(width, depth, {conservative, seed}));
  });
  bound.def("add", [](Held& self, nb::handle key, std::uint64_t times) {
    const KeyHash hash = key_hash(key);
    self.change([&](CountMin& sketch) { sketch.add(hash, static_cast<std::uint32_t>(std::min(times, most))); });
  });
  bound.def(
      "update",
      [](Held& self, nb::handle given, nb::handle counts) {
        const KeyItems keys(given);
        const std::vector<std::uint64_t> times =
            counts.is_none() ? std::vector<std::uint64_t>() : counts_of(counts, keys.size());
        const std::vector<KeyHash> hashes = hashes_of(keys);
        self.change_released([&](CountMin& sketch) {
          for (std::size_t i = 0; i < hashes.size(); ++i) {
            sketch.add(hashes[i], times.empty() ? 1 : static_cast<std::uint32_t>(std::min(times[i], most)));
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
      for (std::size_t i = 0; i < hashes.size(); ++i) {
        out[i] = sketch.estimate(hashes[i]);
      }
    });
    return made;
  });
  bound.def("merge", &merge<CountMin>);
  bound.def("clear", [](Held& self) { self.change_released([](CountMin& sketch) { sketch.clear(); }); });
  const auto number = [&](const char* name, auto get) {
    bound.def_prop_ro(name, [get](const Held& self) { return self.read(get); });
  };
  number("width", [](const CountMin& sketch) { return sketch.width(); });
  number("depth", [](const CountMin& sketch) { return sketch.depth(); });
  number("byte_count", [](const CountMin& sketch) { return sketch.byte_count(); });
  number("conservative", [](const CountMin& sketch) { return sketch.conservative(); });
  number("seed", [](const CountMin& sketch) { return sketch.seed(); });
  number("total", [](const CountMin& sketch) { return sketch.total(); });
}

void bind_hyper_log_log(nb::module_& module) {
  using Held = Guarded<HyperLogLog>;
  nb::class_<Held> bound(module, "HyperLogLog");
  bind_value<HyperLogLog>(bound);
  bound.def_static("make", [](unsigned precision, std::uint64_t seed) { return new Held(precision, seed); });
  bound.def("add", [](Held& self, nb::handle key) {
    const KeyHash hash = key_hash(key);
    self.change([&](HyperLogLog& sketch) { sketch.add(hash); });
  });
  bound.def("update", [](Held& self, nb::handle given) {
    const KeyItems keys(given);
    const std::vector<KeyHash> hashes = hashes_of(keys);
    self.change_released([&](HyperLogLog& sketch) {
      for (const KeyHash& hash : hashes) {
        sketch.add(hash);
      }
    });
  });
  bound.def("estimate",
            [](const Held& self) { return self.read([](const HyperLogLog& sketch) { return sketch.estimate(); }); });
  bound.def("merge", &merge<HyperLogLog>);
  bound.def("clear", [](Held& self) { self.change([](HyperLogLog& sketch) { sketch.clear(); }); });
  const auto number = [&](const char* name, auto get) {
    bound.def_prop_ro(name, [get](const Held& self) { return self.read(get); });
  };
  number("precision", [](const HyperLogLog& sketch) { return sketch.precision(); });
  number("byte_count", [](const HyperLogLog& sketch) { return sketch.byte_count(); });
  number("seed", [](const HyperLogLog& sketch) { return sketch.seed(); });
  number("standard_error", [](const HyperLogLog& sketch) { return sketch.standard_error(); });
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
