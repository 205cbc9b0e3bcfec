#include "services/store/values.hpp"

#include "numpy.hpp"
#include "objects/whole.hpp"
#include "services/store/binding.hpp"
#include "services/store/keys.hpp"

namespace stele::python {
namespace {

std::optional<StoreValue> view(const StoreHandle& self, nb::handle key) {
  const std::optional<StoreKey> made = key_of(key);
  return made ? released(self, [&](const Store& store) { return store.view(*made); }) : std::nullopt;
}

/// The bytes of a text or byte string as a read-only array, in place.
nb::object bytes_in_place(const StoreValue& value) {
  auto held = std::make_shared<StoreValue>(value);
  const Bytes bytes = held->bytes();
  auto* const first = const_cast<std::byte*>(bytes.data());
  return array_over(ArrayView(DType::Kind::uint8, first, bytes.size()), Buffer::wrap(first, bytes.size(), false, held));
}

void put(Store& store, const StoreKey& key, nb::handle value) {
  std::string_view view;
  PyObject* const object = value.ptr();
  if (PyUnicode_CheckExact(object) && utf8(object, view)) {
    const nb::gil_scoped_release released;
    store.put(key, view);
  } else if (PyBytes_CheckExact(object)) {
    const Bytes bytes =
        std::as_bytes(std::span(PyBytes_AsString(object), static_cast<std::size_t>(PyBytes_Size(object))));
    const nb::gil_scoped_release released;
    store.put(key, bytes);
  } else {
    // The walk takes the GIL, while it holds the store's lock: whoever waits for the lock must not have the GIL.
    const GraphOut graph(value);
    const nb::gil_scoped_release released;
    store.put(key, graph);
  }
}

nb::list get_many(const StoreHandle& self, nb::handle given, nb::handle absent) {
  std::vector<StoreKey> keys;
  std::vector<std::size_t> places;
  std::size_t count = 0;
  for (const nb::handle key : given) {
    if (std::optional<StoreKey> made = key_of(key)) {
      keys.push_back(std::move(*made));
      places.push_back(count);
    }
    ++count;
  }
  const std::vector<std::optional<StoreValue>> found = views(self, keys);
  nb::list made;
  std::size_t next = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (next < places.size() && places[next] == i) {
      const std::optional<StoreValue>& value = found[next++];
      made.append(value ? value_object(*value, self.trust) : nb::borrow(absent));
    } else {
      made.append(absent);
    }
  }
  return made;
}

}  // namespace

nb::object value_object(const StoreValue& value, const Trust& trust) {
  constexpr std::size_t checked_bytes = std::size_t{1} << 20;  // a longer one may be unchecked
  if (value.is_text() || value.is_bytes()) {
    std::string copy;
    std::string_view view = value.text();
    if (view.size() > checked_bytes) {
      const nb::gil_scoped_release released;
      copy = value.as<std::string>();
      view = copy;
    }
    return value.is_text() ? text(view) : nb::object(nb::bytes(view.data(), view.size()));
  }
  return read_object(trust, [&](GraphIn& graph) { value.read_into(graph); }, [&] { return value.as<Value>(); });
}

std::vector<std::optional<StoreValue>> views(const StoreHandle& self, const std::vector<StoreKey>& keys) {
  std::vector<std::optional<StoreValue>> found(keys.size());
  const bool in_batch = self.batches > 0;
  released(self, [&](const Store& store) {
    if (in_batch) {  // what is not committed is not seen otherwise
      for (std::size_t i = 0; i < keys.size(); ++i) {
        found[i] = store.view(keys[i]);
      }
    } else {
      store.view_many(keys, [&](std::size_t i, const StoreValue& value) { found[i] = value; });
    }
  });
  return found;
}

void bind_values(StoreClass& bound) {
  bound.def(
      "get",
      [](const StoreHandle& self, nb::handle key, nb::handle absent) {
        const std::optional<StoreValue> found = view(self, key);
        return found ? value_object(*found, self.trust) : nb::borrow<nb::object>(absent);
      },
      nb::arg("key"), nb::arg("default").none());
  bound.def("get_buffer", [](const StoreHandle& self, nb::handle key) -> nb::object {
    const std::optional<StoreValue> found = view(self, key);
    return found ? bytes_in_place(*found) : nb::none();
  });
  bound.def("get_many", &get_many, nb::arg("keys"), nb::arg("default").none());
  bound.def("contains", [](const StoreHandle& self, nb::handle key) {
    const std::optional<StoreKey> made = key_of(key);
    return made && released(self, [&](const Store& store) { return store.contains(*made); });
  });
  bound.def("size",
            [](const StoreHandle& self) { return released(self, [](const Store& store) { return store.size(); }); });

  bound.def(
      "put",
      [](const StoreHandle& self, nb::handle key, nb::handle value) {
        const StoreKey made = required_key(key);
        const std::shared_ptr<Store> store = self.get();
        put(*store, made, value);
      },
      nb::arg("key"), nb::arg("value").none());
  bound.def("erase", [](const StoreHandle& self, nb::handle key) {
    const std::optional<StoreKey> made = key_of(key);
    return made && released(self, [&](Store& store) { return store.erase(*made); });
  });
}

}  // namespace stele::python
