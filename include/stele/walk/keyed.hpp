#pragma once
// Sets and maps.

#include <array>
#include <memory>
#include <vector>

#include "stele/walk/containers.hpp"
#include "stele/walk/family.hpp"
#include "stele/walk/hashed.hpp"
#include "stele/walk/ordered.hpp"

namespace stele::walk {

/// Orders the items of an unordered container by the stored bytes of their keys.
class CanonicalOrder {
 public:
  CanonicalOrder();
  ~CanonicalOrder();
  CanonicalOrder(const CanonicalOrder&) = delete;
  CanonicalOrder& operator=(const CanonicalOrder&) = delete;
  /// The visitor to write the next item's key to; add() then takes the item's address.
  OutVisitor& key();
  void add(const void* item);
  std::vector<const void*> sorted();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

template <class C>
concept Hashed = requires { typename C::hasher; };
/// Containers where one key may have several items: insert() does not tell whether there was one.
template <class C>
concept Multiple = requires(C& c, const typename C::value_type& item) {
  { c.insert(item) } -> std::same_as<typename C::iterator>;
};

/// Calls `write_item` for each item of an unordered container in canonical order, of another in its own.
template <class C, class F>
void for_each_item(OutVisitor& out, const C& container, F&& write_item) {
  if constexpr (Hashed<C>) {
    if (out.canonical()) {
      CanonicalOrder order;
      for (const auto& item : container) {
        if constexpr (MapLike<C>) {
          OutVisitor& key = order.key();
          stele::write(key, item.first);
          if constexpr (Multiple<C>) {
            stele::write(key, item.second);
          }
        } else {
          stele::write(order.key(), item);
        }
        order.add(&item);
      }
      for (const void* item : order.sorted()) {
        write_item(*static_cast<const typename C::value_type*>(item));
      }
      return;
    }
  }
  if constexpr (Bucketed<C>) {
    if (container.size() >= many_items) {
      for_each_hashed(container, write_item);
      return;
    }
  }
  if constexpr (Sorted<C>) {
    if (container.size() >= many_sorted_items) {
      for_each_sorted(container, write_item);
      return;
    }
  }
  for (const auto& item : container) {
    write_item(item);
  }
}

/// What a set and a map must have to be loaded.
template <class C>
concept LoadableSet = requires(C& c, typename C::value_type item) {
  c.clear();
  c.insert(c.end(), std::move(item));
};
template <class C>
concept LoadableMap = requires(C& c, typename C::key_type key, typename C::mapped_type value) {
  c.clear();
  c.emplace_hint(c.end(), std::move(key), std::move(value))->second;
};

/// What decides about an item's place in its container; it must be whole when the item is put there.
template <class T>
void write_at_once(OutVisitor& out, const T& key) {
  if constexpr (is_plain<T>) {
    stele::write(out, key);
  } else {
    const OutVisitor::AtOnce at_once(out);
    stele::write(out, key);
  }
}
template <class T>
void read_at_once(InVisitor& in, T& key) {
  if constexpr (is_plain<T>) {
    stele::read(in, key);
  } else {
    const InVisitor::AtOnce at_once(in);
    stele::read(in, key);
  }
}

template <class T>
struct As<T, Family::set> {
  using Item = typename T::value_type;
  static void write(OutVisitor& out, const T& value) {
    out.begin_sequence(value.size(), Hashed<T> ? Ordering::unordered : Ordering::ordered);
    if (is_plain<Item> && Lasting<T> && value.size() >= shortest_run) {
      Run run(out);
      for_each_item(out, value, [&](const auto& item) {
        if constexpr (is_plain<Item>) {
          run.add(item);
        }
      });
      run.flush();
    } else {
      const OutVisitor::AtOnce at_once(out);
      for_each_item(out, value, [&](const auto& item) { stele::write(out, item); });
    }
    out.end();
  }
  static void read(InVisitor& in, T& value) {
    static_assert(
        LoadableSet<T>,
        "stele: to be loaded, a set has key_type, value_type, begin(), end(), size(), clear() and insert() with a "
        "place and an item; or specialise stele::Visit for it");
    if constexpr (LoadableSet<T>) {
      read_items(in, value);
    }
  }

 private:
  static void read_items(InVisitor& in, T& value) {
    const auto count = in.begin_sequence();
    value.clear();
    if constexpr (requires { value.reserve(std::size_t{}); }) {
      value.reserve(reservable(in, count, sizeof(Item)));
    }
    const auto one = [&] {
      Item item = make<Item>();
      read_at_once(in, item);
      const std::size_t before = value.size();
      value.insert(value.end(), std::move(item));
      if (value.size() == before) {
        in.error(Errc::malformed, "an item of a set is stored twice");
      }
    };
    if constexpr (is_plain<Item>) {
      if (count.value_or(0) >= shortest_run) {
        constexpr std::array kinds = {plain_kind<Item>};
        const auto take = [&](const PlainItem* stored) {
          Item item{};
          const std::size_t before = value.size();
          return take_plain(*stored, item) && (value.insert(value.end(), std::move(item)), value.size() != before);
        };
        return read_entries(in, kinds, take, one);
      }
    }
    while (in.next()) {
      one();
    }
  }
};

template <class T>
struct As<T, Family::map> {
  using Key = typename T::key_type;
  using Value = typename T::mapped_type;
  static constexpr bool is_plain_map = is_plain<Key> && is_plain<Value>;

  static void write(OutVisitor& out, const T& value) {
    out.begin_map(value.size(), Hashed<T> ? Ordering::unordered : Ordering::ordered);
    if (is_plain_map && Lasting<T> && value.size() >= shortest_run) {
      Run run(out);
      for_each_item(out, value, [&](const auto& item) {
        if constexpr (is_plain_map) {
          run.add(item.first);
          run.add(item.second);
        }
      });
      run.flush();
    } else {
      for_each_item(out, value, [&](const auto& item) {
        write_at_once(out, item.first);
        stele::write(out, item.second);
      });
    }
    out.end();
  }
  static void read(InVisitor& in, T& value) {
    static_assert(
        LoadableMap<T>,
        "stele: to be loaded, a map has key_type, mapped_type, value_type, begin(), end(), size(), clear() and "
        "emplace_hint() with a place, a key and a value; or specialise stele::Visit for it");
    if constexpr (LoadableMap<T>) {
      read_items(in, value);
    }
  }

 private:
  static void read_items(InVisitor& in, T& value) {
    const auto count = in.begin_map();
    value.clear();
    if constexpr (requires { value.reserve(std::size_t{}); }) {
      value.reserve(reservable(in, count, sizeof(typename T::value_type)));
    }
    if constexpr (Bucketed<T> && made_in_place<Key> && made_in_place<Value> && sizeof(typename T::value_type) <= 256 &&
                  std::is_move_assignable_v<Key> && std::is_move_assignable_v<Value>) {
      if (count.value_or(0) >= many_items) {
        Batch batch(in, value);
        read_rest(in, true, [&](const PlainItem* stored) { return batch.take(stored); }, [&] { batch.one(); });
        batch.insert();
        return;
      }
    }
    const auto take = [&](const PlainItem* stored) {
      if constexpr (is_plain_map) {
        Value second{};
        if (!take_plain(stored[1], second)) {
          return false;
        }
        const std::size_t before = value.size();
        if constexpr (std::is_same_v<Key, std::string>) {
          value.emplace_hint(value.end(), stored[0].view(), std::move(second));
        } else {
          Key key{};
          if (!take_plain(stored[0], key)) {
            return false;
          }
          value.emplace_hint(value.end(), key, std::move(second));
        }
        return value.size() != before;
      }
      return false;
    };
    const auto one = [&] {
      Key key = make<Key>();
      read_at_once(in, key);
      const std::size_t before = value.size();
      const auto place = value.emplace_hint(value.end(), std::move(key), make<Value>());
      require_new(in, value, before);
      stele::read(in, place->second);
    };
    read_rest(in, count.value_or(0) >= shortest_run, take, one);
  }

  template <class Take, class One>
  static void read_rest(InVisitor& in, bool many, Take&& take, One&& one) {
    if constexpr (is_plain_map) {
      if (many) {
        constexpr std::array kinds = {plain_kind<Key>, plain_kind<Value>};
        return read_entries(in, kinds, take, one);
      }
    }
    while (in.next()) {
      one();
    }
  }
  static void require_new(InVisitor& in, const T& value, std::size_t before) {
    if (value.size() == before) {
      in.error(Errc::malformed, "a key of a map is stored twice");
    }
  }

  /// Entries that are read before any is inserted, so that the memory of their places is prefetched together.
  class Batch {
   public:
    Batch(InVisitor& in, T& value) : in_(in), value_(value) {}
    bool take(const PlainItem* stored) {
      if constexpr (is_plain_map) {
        Entry& entry = next();
        if (take_plain(stored[0], entry.first) && take_plain(stored[1], entry.second)) {
          ++count_;
          return true;
        }
      }
      return false;
    }
    void one() {
      Entry& entry = next();
      entry = {};
      read_at_once(in_, entry.first);
      stele::read(in_, entry.second);
      ++count_;
    }
    void insert() {
      for (std::size_t i = 0; i < count_; ++i) {
        prefetch_bucket(value_, entries_[i].first);
      }
      for (std::size_t i = 0; i < count_; ++i) {
        const std::size_t before = value_.size();
        value_.emplace_hint(value_.end(), std::move(entries_[i].first), std::move(entries_[i].second));
        require_new(in_, value_, before);
      }
      count_ = 0;
    }

   private:
    using Entry = std::pair<Key, Value>;
    Entry& next() {
      if (count_ == entries_.size()) {
        insert();
      }
      return entries_[count_];
    }

    InVisitor& in_;
    T& value_;
    std::array<Entry, 16> entries_;
    std::size_t count_ = 0;
  };
};

}  // namespace stele::walk
