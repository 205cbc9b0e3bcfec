// What data sets over a store have: lists of keys, values by their places in one, and shuffled epochs.

#include <algorithm>
#include <bit>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "numpy.hpp"
#include "services/store/binding.hpp"
#include "services/store/keys.hpp"
#include "services/store/values.hpp"
#include "stele/filters/key_hash.hpp"

namespace stele::python {
namespace {

/// Keys one after another, 8 bytes and their own each: a list of Python's objects would take ten times that, and be
/// copied by each process that a fork makes.
struct KeyList {
  std::string bytes;  // that sort as the keys do
  std::vector<std::uint64_t> ends;

  void add(const StoreKey& key) {
    bytes += key.sortable();
    ends.push_back(bytes.size());
  }
  std::size_t size() const noexcept { return ends.size(); }
  StoreKey at(std::int64_t index) const {
    if (index < 0 || static_cast<std::uint64_t>(index) >= ends.size()) {
      raise(PyExc_IndexError, "index " + std::to_string(index) + " of " + std::to_string(ends.size()) + " items");
    }
    const auto i = static_cast<std::size_t>(index);
    const std::uint64_t begin = i == 0 ? 0 : ends[i - 1];
    return StoreKey::from_sortable(std::string_view(bytes).substr(begin, ends[i] - begin));
  }
};

std::vector<StoreKey> keys_at(const KeyList& list, nb::handle indices) {
  const nb::object array = dense(indices, NPY_INT64);
  std::vector<StoreKey> keys;
  for (const std::int64_t index : elements<std::int64_t>(array)) {
    keys.push_back(list.at(index));
  }
  return keys;
}

/// The values of keys by their places in a list.
nb::list get_at(const StoreHandle& self, const KeyList& list, nb::handle indices) {
  const std::vector<StoreKey> keys = keys_at(list, indices);
  const std::vector<std::optional<StoreValue>> found = views(self, keys);
  nb::list made;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!found[i]) {
      PyErr_SetObject(PyExc_KeyError, key_object(keys[i]).ptr());
      throw nb::python_error();
    }
    made.append(value_object(*found[i], self.trust));
  }
  return made;
}

/// A permutation of 0 to `count` - 1 that is known at each place without being held: a Feistel network over the
/// smallest even power of two that has room, applied again while it leads outside (J. Black and P. Rogaway, Ciphers
/// with arbitrary finite domains, 2002).
class Permutation {
 public:
  Permutation(std::uint64_t count, std::uint64_t seed, std::uint64_t epoch)
      : count_(count), half_(std::max(1U, (static_cast<unsigned>(std::bit_width(count - 1)) + 1) / 2)) {
    std::uint64_t key = integer_hash(seed ^ integer_hash(epoch));
    for (std::uint64_t& round : rounds_) {
      round = key = integer_hash(key);
    }
  }
  std::uint64_t operator()(std::uint64_t place) const noexcept {
    do {
      place = once(place);
    } while (place >= count_);
    return place;
  }

 private:
  std::uint64_t once(std::uint64_t value) const noexcept {
    const std::uint64_t mask = (std::uint64_t{1} << half_) - 1;
    std::uint64_t left = value >> half_;
    std::uint64_t right = value & mask;
    for (const std::uint64_t round : rounds_) {
      left ^= (integer_hash(right ^ round) >> 32) & mask;
      std::swap(left, right);
    }
    return right << half_ | left;
  }
  std::uint64_t count_;
  unsigned half_;  // bits
  std::uint64_t rounds_[6];
};

/// The indices at `places` of the epoch, an array of int64.
nb::object shuffled(std::uint64_t count, std::uint64_t seed, std::uint64_t epoch, nb::handle places) {
  const nb::object array = dense(places, NPY_INT64);
  const std::span<const std::int64_t> given = elements<std::int64_t>(array);
  nb::object made = empty_array(DType::Kind::int64, {given.size()});
  const std::span<std::int64_t> out = elements<std::int64_t>(made);
  if (!given.empty() && (count == 0 || count > std::uint64_t{1} << 62)) {
    raise(PyExc_ValueError, "no items to shuffle");
  }
  const Permutation permutation(std::max<std::uint64_t>(count, 1), seed, epoch);
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (given[i] < 0 || static_cast<std::uint64_t>(given[i]) >= count) {
      raise(PyExc_IndexError, "a place beyond the items");
    }
    out[i] = static_cast<std::int64_t>(permutation(static_cast<std::uint64_t>(given[i])));
  }
  return made;
}

void bind_key_list(nb::module_& module) {
  nb::class_<KeyList> list(module, "StoreKeyList");
  list.def(nb::init<>());
  list.def_static(
      "of_range",
      [](const StoreHandle& self, nb::handle from, nb::handle to, nb::handle prefix) {
        const StoreKeyRange range = range_of(from, to, prefix, false);
        return released(self, [&](const Store& store) {
          auto made = std::make_unique<KeyList>();
          for (const StoreKey& key : store.keys(range)) {
            made->add(key);
          }
          return made.release();
        });
      },
      nb::arg("store"), nb::arg("first").none(), nb::arg("last").none(), nb::arg("prefix").none());
  list.def_static("of_keys", [](nb::handle keys) {
    auto made = std::make_unique<KeyList>();
    for (const nb::handle key : keys) {
      made->add(required_key(key));
    }
    return made.release();
  });
  list.def("__len__", &KeyList::size);
  list.def("keys", [](const KeyList& self, nb::handle indices) {
    nb::list made;
    for (const StoreKey& key : keys_at(self, indices)) {
      made.append(key_object(key));
    }
    return made;
  });
  list.def("__getstate__", [](const KeyList& self) {
    nb::object ends = empty_array(DType::Kind::uint64, {self.ends.size()});
    std::copy(self.ends.begin(), self.ends.end(), elements<std::uint64_t>(ends).begin());
    return nb::make_tuple(nb::bytes(self.bytes.data(), self.bytes.size()), ends);
  });
  list.def("__setstate__", [](KeyList& self, const nb::tuple& state) {
    const auto bytes = nb::cast<nb::bytes>(nb::object(state[0]));
    const nb::object ends = dense(nb::object(state[1]), NPY_UINT64);
    const std::span<const std::uint64_t> all = elements<std::uint64_t>(ends);
    if (!std::is_sorted(all.begin(), all.end()) || (all.empty() ? 0 : all.back()) != bytes.size()) {
      raise(PyExc_ValueError, "a list of keys that contradicts itself");
    }
    new (&self) KeyList{std::string(bytes.c_str(), bytes.size()), {all.begin(), all.end()}};
  });
}

}  // namespace

void bind_data_set(nb::module_& module, StoreClass& bound) {
  bound.def("get_at", &get_at);
  bind_key_list(module);
  module.def("shuffled_indices", &shuffled);
}

}  // namespace stele::python
