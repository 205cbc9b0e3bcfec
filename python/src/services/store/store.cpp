// Store. Its calls run without the GIL: who writes holds the store's lock and takes the GIL to walk an object.

#include "stele/store.hpp"

#include "services/services.hpp"
#include "services/store/binding.hpp"
#include "streams.hpp"

namespace stele::python {
namespace {

template <class E, std::size_t N>
E choice(nb::handle value, const char* what, const std::pair<const char*, E> (&choices)[N]) {
  std::string known;
  for (const auto& [label, meaning] : choices) {
    if (nb::cast<std::string>(nb::str(value)) == label) {
      return meaning;
    }
    known += (known.empty() ? "" : ", ") + std::string(label);
  }
  raise(PyExc_ValueError, std::string(what) + " is one of " + known);
}

StoreMode mode_of(nb::handle value) {
  constexpr std::pair<const char*, StoreMode> modes[] = {
      {"a", StoreMode::create}, {"r+", StoreMode::read_write}, {"r", StoreMode::read_only}};
  return choice(value, "mode", modes);
}

StoreOptions store_options(const nb::dict& given) {
  constexpr std::pair<const char*, StoreDurability> durabilities[] = {
      {"none", StoreDurability::none}, {"commit", StoreDurability::commit}, {"put", StoreDurability::put}};
  constexpr std::pair<const char*, Verify> verifies[] = {
      {"automatic", Verify::automatic}, {"none", Verify::none}, {"full", Verify::full}};
  StoreOptions options;
  for (const auto& [key, value] : given) {
    const auto name = nb::cast<std::string>(nb::str(key));
    if (value.is_none()) {
      continue;
    }
    if (name == "durability") {
      options.durability = choice(value, "durability", durabilities);
    } else if (name == "codec") {
      options.codec = nb::cast<std::string>(nb::str(value));
    } else if (name == "level") {
      options.level = nb::cast<int>(value);
    } else if (name == "shard_bytes") {
      options.shard_bytes = nb::cast<std::uint64_t>(value);
    } else if (name == "verify") {
      options.verify = choice(value, "verify", verifies);
    } else if (name == "wait_ms") {
      options.wait_ms = nb::cast<unsigned>(value);
    } else if (name == "group_values") {
      options.group_values = nb::cast<std::uint64_t>(value);
    } else if (name == "group_bytes") {
      options.group_bytes = nb::cast<std::uint64_t>(value);
    }
  }
  return options;
}

}  // namespace

void bind_store(nb::module_& module) {
  nb::class_<StoreHandle> bound(module, "Store");
  bound.def_static("open", [](nb::handle file, nb::handle mode, nb::handle resolve, bool inert, const nb::dict& given) {
    const Path path = path_from(file);
    const StoreMode opened = mode_of(mode);
    const StoreOptions options = store_options(given);
    std::optional<Store> store;
    {
      const nb::gil_scoped_release without;
      store.emplace(Store::open(path, opened, options));
    }
    return new StoreHandle(std::move(*store), Trust{nb::borrow(resolve), inert});
  });
  bound.def_prop_ro("is_open", &StoreHandle::is_open);
  bound.def("close", &StoreHandle::close);
  bind_values(bound);
  bind_commit(module, bound);
  bind_cursor(module, bound);
  bind_data_set(module, bound);
  bind_care(bound);
  bind_exchange(bound);
}

}  // namespace stele::python
