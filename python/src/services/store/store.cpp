// Store. Its calls run without the GIL: who writes holds the store's lock and takes the GIL to walk an object.

#include "stele/store.hpp"

#include "bindings.hpp"
#include "options.hpp"
#include "services/store/binding.hpp"
#include "streams.hpp"

namespace stele::python {
namespace {

StoreOptions store_options(const nb::dict& given) {
  StoreOptions options;
  Arguments all(given);
  all.take("codec", options.codec);
  all.take("level", options.level);
  all.take("durability", options.durability,
           {{"none", StoreDurability::none}, {"commit", StoreDurability::commit}, {"put", StoreDurability::put}});
  all.take("verify", options.verify,
           {{"automatic", Verify::automatic}, {"none", Verify::none}, {"full", Verify::full}});
  all.take("shard_bytes", options.shard_bytes);
  all.take("wait_ms", options.wait_ms);
  all.end();
  return options;
}

}  // namespace

void bind_store(nb::module_& module) {
  nb::class_<StoreHandle> bound(module, "Store");
  bound.def_static("open", [](nb::handle file, nb::handle mode, nb::handle resolve, bool inert, const nb::dict& given) {
    const Path path = path_from(file);
    const auto opened = choice<StoreMode>(
        mode, "mode", {{"a", StoreMode::create}, {"r+", StoreMode::read_write}, {"r", StoreMode::read_only}});
    const StoreOptions options = store_options(given);
    Store store = without_gil([&] { return Store::open(path, opened, options); });
    return new StoreHandle(std::move(store), Trust{nb::borrow(resolve), inert});
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
