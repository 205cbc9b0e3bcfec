// Iteration over a store, in its several orders.

#include <mutex>
#include <optional>
#include <utility>

#include "services/store/binding.hpp"
#include "services/store/keys.hpp"
#include "services/store/values.hpp"

namespace stele::python {
namespace {

/// Steps through items or keys, some at a time.
class Cursor {
 public:
  using Items = StoreItems;
  using Keys = StoreKeys;

  Cursor(const StoreHandle& handle, std::shared_ptr<Store> store, Items items)
      : handle_(handle), store_(std::move(store)), items_(std::move(items)) {}
  Cursor(const StoreHandle& handle, std::shared_ptr<Store> store, Keys keys)
      : handle_(handle), store_(std::move(store)), keys_(std::move(keys)) {}
  ~Cursor() {
    const nb::gil_scoped_release without;
    end();
  }
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  /// Up to `count` keys, values or pairs; none at the end.
  nb::list next(std::size_t count, bool with_key) {
    constexpr std::uint64_t most_bytes = std::uint64_t{4} << 20;  // of values that may be decompressed
    (void)handle_.get();
    std::vector<StoreItem> found;
    {
      const nb::gil_scoped_release without;
      const std::lock_guard lock(mutex_);
      const auto take = [&](auto& range, auto& at, auto&& add) {
        if (!range) {
          return;
        }
        if (!std::exchange(begun_, true)) {
          at = range->begin();
        } else if (at != range->end()) {
          ++at;
        }
        for (std::uint64_t bytes = 0; at != range->end();) {
          bytes += add(*at);
          if (found.size() >= count || bytes >= most_bytes) {
            return;
          }
          ++at;
        }
        end();
      };
      take(items_, item_, [&](const StoreItem& item) {
        found.push_back(item);
        return item.value.stored_bytes();
      });
      take(keys_, key_, [&](const StoreKey& key) {
        found.push_back({key, {}});
        return std::uint64_t{0};
      });
    }
    nb::list made;
    for (const StoreItem& item : found) {
      if (keys_only_) {
        made.append(key_object(item.key));
      } else if (with_key) {
        made.append(nb::make_tuple(key_object(item.key), value_object(item.value, handle_.trust)));
      } else {
        made.append(value_object(item.value, handle_.trust));
      }
    }
    return made;
  }

 private:
  void end() {
    items_.reset();
    keys_.reset();
    store_.reset();
  }

  const StoreHandle& handle_;  // kept by the Python object
  std::mutex mutex_;           // never held with the GIL
  std::shared_ptr<Store> store_;
  std::optional<Items> items_;
  std::optional<Keys> keys_;
  Items::iterator item_;
  Keys::iterator key_;
  bool begun_ = false;
  const bool keys_only_ = keys_.has_value();
};

template <class F>
Cursor* cursor_over(const StoreHandle& self, F&& make) {
  std::shared_ptr<Store> store = self.get();
  const nb::gil_scoped_release without;
  auto made = make(*store);
  return new Cursor(self, std::move(store), std::move(made));
}

}  // namespace

void bind_cursor(nb::module_& module, StoreClass& bound) {
  const auto def_range = [&](const char* name, auto make) {
    bound.def(
        name,
        [make](const StoreHandle& self, nb::handle from, nb::handle to, nb::handle prefix, bool reverse) {
          const StoreKeyRange range = range_of(from, to, prefix, reverse);
          return cursor_over(self, [&](const Store& store) { return make(store, range); });
        },
        nb::keep_alive<0, 1>(), nb::arg("first").none(), nb::arg("last").none(), nb::arg("prefix").none(),
        nb::arg("reverse"));
  };
  def_range("keys", [](const Store& store, const StoreKeyRange& range) { return store.keys(range); });
  def_range("items", [](const Store& store, const StoreKeyRange& range) { return store.items(range); });
  const auto def_order = [&]<class... Args>(const char* name, StoreItems (Store::*make)(Args...) const) {
    bound.def(
        name,
        [make](const StoreHandle& self, Args... args) {
          return cursor_over(self, [&](const Store& store) { return (store.*make)(args...); });
        },
        nb::keep_alive<0, 1>());
  };
  def_order("by_insertion", &Store::by_insertion);
  def_order("by_size", &Store::by_size);
  def_order("shuffled", &Store::shuffled);
  def_order("sample", &Store::sample);

  nb::class_<Cursor> cursor(module, "StoreCursor");
  cursor.def("next", &Cursor::next);
}

}  // namespace stele::python
