#pragma once
// Sequences: vectors, spans, fixed arrays, lists. What lies in memory as numbers, or as records without padding, is one
// array event; the rest is a sequence of its items.

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "stele/walk/cells.hpp"
#include "stele/walk/family.hpp"
#include "stele/walk/runs.hpp"

namespace stele::walk {

/// A count from the input, cut to what is safe to reserve.
inline std::size_t reservable(const InVisitor& in, const std::optional<std::uint64_t>& count, std::size_t item_size) {
  const std::uint64_t most = (std::uint64_t{64} << 20) / (item_size + 1) + 1;
  return static_cast<std::size_t>(std::min(in.expected_items(count.value_or(0)), most));
}

/// Whether going through C meets objects that stay where they are, so that a run of them can be gathered.
template <class C>
concept Lasting = std::is_reference_v<decltype(*std::declval<const C&>().begin())>;

/// Writes the items of an open sequence.
template <class C>
void write_each(OutVisitor& out, const C& items) {
  if constexpr (Lasting<C> && is_plain<typename C::value_type>) {
    if (items.size() >= shortest_run) {
      Run run(out);
      for (const auto& item : items) {
        run.add(item);
      }
      run.flush();
      return;
    }
  }
  for (const auto& item : items) {
    stele::write(out, item);
  }
}

/// What a container of items in a meaningful order must have to be loaded.
template <class C>
concept Loadable = requires(C& c) {
  c.clear();
  { c.emplace_back() } -> std::same_as<typename C::value_type&>;
};
/// The same for one whose items lie in one row.
template <class C>
concept LoadableRow = Loadable<C> && requires(C& c, std::size_t n) {
  { c.data() } -> std::same_as<typename C::value_type*>;
  c.resize(n);
  c.reserve(n);
  c.capacity();
};

/// Reads the items of an open sequence of `count` and appends them to `items`.
template <class C>
void read_each(InVisitor& in, const std::optional<std::uint64_t>& count, C& items) {
  using Item = typename C::value_type;
  const auto one = [&] { stele::read(in, make_back(items)); };
  if constexpr (is_plain<Item> && requires(Item& item) { items.emplace_back(item); }) {
    if (count.value_or(0) >= shortest_run) {
      constexpr std::array kinds = {plain_kind<Item>};
      const auto take = [&](const PlainItem* item) {
        if constexpr (std::is_same_v<Item, std::string>) {
          items.emplace_back(item->view());
          return true;
        } else {
          Item value;
          return take_plain(*item, value) && (items.emplace_back(value), true);
        }
      };
      return read_entries(in, kinds, take, one);
    }
  }
  while (in.next()) {
    one();
  }
}

/// Vectors, spans and similar containers.
template <class T>
struct As<T, Family::contiguous> {
  using Item = std::remove_const_t<typename T::value_type>;
  static constexpr bool growable = requires(T& c) { c.resize(std::size_t{}); };

  static void write(OutVisitor& out, const T& value) {
    if constexpr (is_cell<Item>) {
      out.array(cells_view<Item>(value.data(), value.size()));
    } else {
      out.begin_sequence(value.size());
      write_each(out, std::span<const Item>(value.data(), value.size()));
      out.end();
    }
  }
  static void read(InVisitor& in, T& value) {
    static_assert(growable || !std::is_const_v<std::remove_pointer_t<decltype(value.data())>>,
                  "stele: a span of const has no memory of its own; read into a std::vector or stele::Array");
    static_assert(
        LoadableRow<T> || !(growable || Loadable<T> || requires { value.clear(); }),
        "stele: to be loaded, a container with data() has value_type, size(), resize(), reserve(), capacity(), "
        "clear() and emplace_back(), which returns the new item; or specialise stele::Visit for it");
    static_assert(!growable || std::is_move_constructible_v<Item>,
                  "stele: the items of a growing vector must be movable or copyable (a destructor takes the move "
                  "constructor away); use a std::deque or std::list, or std::unique_ptr");
    if constexpr (!growable || (LoadableRow<T> && std::is_move_constructible_v<Item>)) {
      read_items(in, value);
    }
  }

 private:
  static void read_items(InVisitor& in, T& value) {
    if constexpr (is_cell<Item>) {
      if (in.kind() != Kind::sequence) {
        CellTarget<T, Item> target(value, growable ? std::optional<std::uint64_t>() : value.size());
        in.array(target);
        return;
      }
    }
    if constexpr (growable) {
      const auto count = in.begin_sequence();
      value.clear();
      value.reserve(reservable(in, count, sizeof(Item)));
      read_each(in, count, value);
    } else {
      read_exactly(in, value.size(), [&](std::size_t i) { stele::read(in, value.data()[i]); });
    }
  }
};

/// std::array and C arrays: the count belongs to the type.
template <class T>
struct As<T, Family::fixed> {
  using Item = std::remove_cvref_t<decltype(std::declval<T&>()[0])>;
  static constexpr std::size_t count = std::is_array_v<T> ? std::extent_v<T> : sizeof(T) / sizeof(Item);

  static void write(OutVisitor& out, const T& value) {
    if constexpr (is_cell<T>) {
      out.array(cells_view<Item>(std::data(value), count));
    } else {
      out.begin_sequence(std::size(value));
      for (const Item& item : value) {
        stele::write(out, item);
      }
      out.end();
    }
  }
  static void read(InVisitor& in, T& value) {
    if constexpr (is_cell<T>) {
      if (in.kind() != Kind::sequence) {
        if constexpr (CharArray<T>) {
          if (in.kind() != Kind::array) {
            read_text(in, value);
            return;
          }
        }
        CellTarget<T, Item> target(value, count);
        in.array(target);
        return;
      }
    }
    read_exactly(in, std::size(value), [&](std::size_t i) { stele::read(in, value[i]); });
  }

 private:
  /// The reverse of text_of().
  static void read_text(InVisitor& in, T& value) {
    std::string text;
    in.text(text);
    if (text.size() + 1 == count) {
      text.push_back('\0');
    }
    if (text.size() != count) {
      in.error(Errc::type_mismatch, message({"expected a text of ", count, " bytes, found ", text.size()}));
    }
    std::memcpy(std::data(value), text.data(), count);
  }
};

/// std::vector<bool>: an array of bool, as bits.
template <class T>
struct As<T, Family::booleans> {
  static_assert(!is_custom_written<bool>,
                "stele: std::vector<bool> is stored as bits, which no stele::Visit<bool> writes");
  static void write(OutVisitor& out, const T& value) {
    std::vector<std::byte> packed((value.size() + 7) / 8);
    auto bit = value.begin();
    for (std::size_t i = 0; i < packed.size(); ++i) {
      const std::size_t left = value.size() - 8 * i;
      unsigned byte = 0;
      for (unsigned k = 0; k < (left < 8 ? left : 8); ++k, ++bit) {
        byte |= (*bit ? 1U : 0U) << k;
      }
      packed[i] = static_cast<std::byte>(byte);
    }
    out.bits(packed, value.size());
  }
  static void read(InVisitor& in, T& value) {
    value.clear();
    if (in.kind() == Kind::sequence) {
      in.begin_sequence();
      while (in.next()) {
        value.push_back(in.boolean());
      }
      return;
    }
    Target target(value);
    in.booleans(target);
  }

 private:
  class Target final : public BooleanTarget {
   public:
    explicit Target(T& value) : value_(value) {}
    void begin(std::uint64_t count, bool trusted) override {
      if (trusted) {
        value_.reserve(static_cast<std::size_t>(count));
      }
    }
    void append(Bytes elements) override {
      const auto before = static_cast<std::ptrdiff_t>(value_.size());
      value_.resize(value_.size() + elements.size());
      std::transform(elements.begin(), elements.end(), value_.begin() + before,
                     [](std::byte element) { return element != std::byte{0}; });
    }

   private:
    T& value_;
  };
};

/// Deques, lists and other containers of items in a meaningful order.
template <class T>
struct As<T, Family::sequence> {
  static void write(OutVisitor& out, const T& value) {
    out.begin_sequence(value.size());
    write_each(out, value);
    out.end();
  }
  static void read(InVisitor& in, T& value) {
    static_assert(
        Loadable<T>,
        "stele: to be loaded, a container has value_type, begin(), end(), size(), clear() and emplace_back(), "
        "which returns the new item; or specialise stele::Visit for it");
    if constexpr (Loadable<T>) {
      const auto count = in.begin_sequence();
      value.clear();
      read_each(in, count, value);
    }
  }
};

}  // namespace stele::walk
