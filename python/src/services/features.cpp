// FeatureStore.

#include <algorithm>

#include "bindings.hpp"
#include "services/guarded.hpp"
#include "services/keys.hpp"
#include "stele/error.hpp"
#include "stele/features/feature_store.hpp"

namespace stele::python {
namespace {

using Held = Guarded<FeatureStore>;

Feature feature_of(nb::handle object) {
  const KeyItem item = key_item(object);
  return item.is_text ? Feature(item.text) : Feature(item.number);
}

/// One key for all, or many.
struct Side {
  explicit Side(nb::handle given) {
    if (PyUnicode_Check(given.ptr()) || PyBytes_Check(given.ptr()) || PyLong_Check(given.ptr()) ||
        (PyIndex_Check(given.ptr()) && !PyArray_Check(given.ptr()))) {
      one = key_hash(given);
    } else {
      many.emplace(given);
    }
  }
  std::optional<KeyHash> one;
  std::optional<KeyItems> many;
};

nb::object contains(const Held& self, nb::handle entities, nb::handle features) {
  const Side entity(entities);
  const Side feature(features);
  if (entity.one && feature.one) {
    return nb::bool_(self.read([&](const FeatureStore& store) { return store.contains(*entity.one, *feature.one); }));
  }
  if (entity.many && feature.many && !(entity.many->shape() == feature.many->shape())) {
    raise(PyExc_ValueError, "entities of shape " + entity.many->shape().text() + " and features of shape " +
                                feature.many->shape().text() + " are not pairs");
  }
  nb::object made = empty_array(DType::Kind::boolean, (entity.many ? entity : feature).many->shape());
  const std::span<std::uint8_t> found = elements<std::uint8_t>(made);
  self.read_released([&](const FeatureStore& store) {
    if (entity.one) {
      store.contains_many(*entity.one, feature.many->hashes(), found);
    } else if (feature.one) {
      store.contains_many(entity.many->hashes(), *feature.one, found);
    } else {
      const std::vector<KeyHash> left = entity.many->hashes();
      const std::vector<KeyHash> right = feature.many->hashes();
      for (std::size_t i = 0; i < left.size(); ++i) {
        found[i] = store.contains(left[i], right[i]) ? 1 : 0;
      }
    }
  });
  return made;
}

void add_pairs(Held& self, nb::handle entities, nb::handle features, unsigned threads) {
  const Side entity(entities);
  const KeyItems given(features);
  if (entity.many && entity.many->size() != given.size()) {
    raise(PyExc_ValueError,
          std::to_string(entity.many->size()) + " entities for " + std::to_string(given.size()) + " features");
  }
  self.change_released([&](FeatureStore& store) {
    const std::vector<KeyHash> left = entity.many ? entity.many->hashes() : std::vector<KeyHash>();
    const std::vector<Feature> right = given.features();
    if (right.size() < 10'000) {
      for (std::size_t i = 0; i < right.size(); ++i) {
        store.add(entity.one ? *entity.one : left[i], right[i]);
      }
      return;
    }
    constexpr std::size_t events = 4096;
    std::size_t next = 0;
    store.build(
        [&](FeatureBatch& batch) {
          const std::size_t end = std::min(right.size(), next + events);
          for (; next < end; ++next) {
            batch.add(entity.one ? *entity.one : left[next], right[next]);
          }
        },
        threads);
  });
}

nb::object name_of(const KnownFeatures& known, std::uint32_t index) {
  if (const std::optional<std::int64_t> number = known.number(index)) {
    return nb::int_(*number);
  }
  return text_or_bytes(known.name(index));
}

/// Some features might be false positives.
nb::list features_of(const Held& self, nb::handle entity) {
  const KeyHash hash = key_hash(entity);
  const std::vector<std::uint32_t> found =
      self.read_released([&](const FeatureStore& store) { return store.features(hash); });
  return self.read([&](const FeatureStore& store) {
    nb::list made;
    for (const std::uint32_t index : found) {
      made.append(name_of(store.known(), index));
    }
    return made;
  });
}

nb::list known(const Held& self) {
  return self.read([](const FeatureStore& store) {
    nb::list made;
    for (std::uint64_t i = 0; i < store.known().size(); ++i) {
      made.append(name_of(store.known(), static_cast<std::uint32_t>(i)));
    }
    return made;
  });
}

}  // namespace

void bind_features(nb::module_& module) {
  nb::class_<Held> bound(module, "FeatureStore");
  bind_value(bound);
  bound.def_static("make", [](std::uint64_t capacity, int level, double bits_per_pair, unsigned generations,
                              double together_epsilon, std::uint64_t seed) {
    return new Held(FeatureStoreOptions{capacity, level, bits_per_pair, generations, together_epsilon, seed});
  });
  bound.def("add", [](Held& self, nb::handle entity, nb::handle feature) {
    const KeyHash hash = key_hash(entity);
    const Feature added = feature_of(feature);
    self.change([&](FeatureStore& store) { store.add(hash, added); });
  });
  bound.def("update", &add_pairs);
  bound.def("add_together", [](Held& self, nb::handle entity, nb::handle features) {
    const KeyHash hash = key_hash(entity);
    const KeyItems given(features);
    const std::vector<Feature> added = given.features();
    self.change_released([&](FeatureStore& store) { store.add_together(hash, added); });
  });
  bound.def("contains", &contains);
  bound.def("age", [](const Held& self, nb::handle entity, nb::handle feature) -> nb::object {
    const KeyHash one = key_hash(entity);
    const KeyHash two = key_hash(feature);
    const std::optional<unsigned> found = self.read([&](const FeatureStore& store) { return store.age(one, two); });
    return found ? nb::object(nb::int_(*found)) : nb::none();
  });
  bound.def("features", &features_of);
  bound.def("known", &known);
  bound.def("together", [](const Held& self, nb::handle one, nb::handle two) {
    const KeyHash first = key_hash(one);
    const KeyHash second = key_hash(two);
    return self.read([&](const FeatureStore& store) { return store.together(first, second); });
  });
  bound.def("count_with_both", [](const Held& self, nb::handle entities, nb::handle one, nb::handle two) {
    const KeyItems given(entities);
    const KeyHash first = key_hash(one);
    const KeyHash second = key_hash(two);
    return self.read_released(
        [&](const FeatureStore& store) { return store.count_with_both(given.hashes(), first, second); });
  });
  bound.def("rotate", [](Held& self) { self.change_released([](FeatureStore& store) { store.rotate(); }); });
  bound.def("report",
            [](const Held& self) { return fields_of(self.read_released(std::mem_fn(&FeatureStore::report))); });
}

}  // namespace stele::python
