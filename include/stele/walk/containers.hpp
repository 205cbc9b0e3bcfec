#pragma once
// Containers. What lies in memory as numbers, or as records without padding, is one array event; the rest is
// a sequence or map of its items.

#include <array>
#include <string>
#include <vector>

#include "stele/walk.hpp"
#include "stele/walk/hashed.hpp"

namespace stele::walk {

// --- What can be an element of an array ------------------------------------------------------------------------------

/// An aggregate of numbers whose memory has no padding, so that a vector of it is one structured array.
template <class T>
consteval bool is_plain_record();

/// What T is as the item of a dense array: an element type and, for nested fixed arrays, further extents.
template <class T>
struct Cell {
  static constexpr bool is_cell = Element<T> || is_plain_record<T>();
  using ElementType = T;
  static void extents(Shape&) {}
};
template <class T, std::size_t N>
struct Cell<T[N]> : Cell<T> {
  static constexpr bool is_cell = Cell<T>::is_cell && N > 0;
  static void extents(Shape& shape) {
    shape.push_back(N);
    Cell<T>::extents(shape);
  }
};
template <class T, std::size_t N>
struct Cell<std::array<T, N>> : Cell<T[N]> {};
template <class T>
struct Cell<std::array<T, 0>> {
  static constexpr bool is_cell = false;
};
template <class T>
inline constexpr bool is_cell = Cell<T>::is_cell;

template <class... Ts>
consteval std::size_t cell_bytes(TypeList<Ts...>) {
  return (std::size_t{0} + ... + (is_cell<Ts> ? sizeof(Ts) : std::size_t{1} << 40));
}
template <class T>
consteval bool is_plain_record() {
  if constexpr (!std::is_class_v<T> || !std::is_aggregate_v<T> || !std::is_trivially_copyable_v<T> ||
                std::is_empty_v<T> || Element<T>) {
    return false;
  } else if constexpr (family<T>() != Family::aggregate || requires { T::stele_version; }) {
    return false;
  } else if constexpr (requires { typename Walk<T>::not_a_record; }) {
    return false;
  } else {
    return field_count<T> > 0 && cell_bytes(field_types<T>{}) == sizeof(T);
  }
}

/// The DType of an element or plain record.
template <class T>
DType dtype_of() {
  if constexpr (Element<T>) {
    return DType(DTypeOf<T>::kind);
  } else {
    static const DType type = [] {
      std::vector<DType::Field> fields;
      std::uint32_t offset = 0;
      const auto add = [&]<class F>(std::string_view name) {
        Shape extents;
        Cell<F>::extents(extents);
        fields.push_back({std::string(name), dtype_of<typename Cell<F>::ElementType>(), offset,
                          static_cast<std::uint32_t>(extents.count())});
        offset += static_cast<std::uint32_t>(sizeof(F));
      };
      [&]<class... Ts>(TypeList<Ts...>) {
        std::size_t i = 0;
        (add.template operator()<Ts>(field_names<T>[i++]), ...);
      }(field_types<T>{});
      return DType::record(std::move(fields), sizeof(T));
    }();
    return type;
  }
}

/// The dense array of `count` items of type T at `data`.
template <class T>
ArrayView cells_view(const T* data, std::size_t count) {
  using E = typename Cell<T>::ElementType;
  Shape shape{count};
  Cell<T>::extents(shape);
  return ArrayView(dtype_of<E>(), data, shape, Order::row_major);
}

/// The extents behind the first one must be `inner`; the first may be anything, or must be `fixed_count`.
bool accepts_cells(const Shape& stored, const Shape& inner, std::optional<std::uint64_t> fixed_count) noexcept;
std::string expected_cells(const Shape& inner, std::optional<std::uint64_t> fixed_count);
/// Tells the kernel that fresh memory will be filled from end to end.
void prepare_memory(void* data, std::size_t bytes) noexcept;

/// Receives an array into a container that grows by resize() or, with a fixed count, into memory that is there.
template <class C, class T>
class CellTarget final : public ArrayTarget {
 public:
  CellTarget(C& container, std::optional<std::uint64_t> fixed_count)
      : ArrayTarget(dtype_of<typename Cell<T>::ElementType>()), container_(container), fixed_count_(fixed_count) {
    Cell<T>::extents(inner_);
  }
  bool accepts(const ArrayHeader& stored) override { return accepts_cells(stored.shape, inner_, fixed_count_); }
  std::string expected() const override { return expected_cells(inner_, fixed_count_); }
  Order order(const ArrayHeader&) override { return Order::row_major; }
  std::byte* memory(const ArrayHeader& stored, std::uint64_t bytes, std::uint64_t total, bool trusted) override {
    if constexpr (requires { container_.resize(std::size_t{}); }) {
      if (bytes == 0 || bytes == total) {
        const auto count = static_cast<std::size_t>(stored.shape[0]);
        if (bytes == 0) {
          container_.clear();
          if (trusted) {
            container_.reserve(count);
            prepare_memory(container_.data(), count * sizeof(T));
          }
        } else {
          container_.resize(count);
        }
      } else {
        container_.resize(
            std::max<std::size_t>(container_.size(), static_cast<std::size_t>((bytes + sizeof(T) - 1) / sizeof(T))));
      }
    } else {
      (void)stored, (void)bytes, (void)total, (void)trusted;
    }
    return reinterpret_cast<std::byte*>(std::data(container_));
  }
  bool share(const ArrayView&, const std::shared_ptr<Buffer>&) override { return false; }

 private:
  C& container_;
  std::optional<std::uint64_t> fixed_count_;
  Shape inner_;
};

// --- Items one by one ------------------------------------------------------------------------------------------------

/// A count from the input, cut to what is safe to reserve.
inline std::size_t reservable(const InVisitor& in, const std::optional<std::uint64_t>& count, std::size_t item_size) {
  const std::uint64_t most = (std::uint64_t{64} << 20) / (item_size + 1) + 1;
  return static_cast<std::size_t>(std::min(in.expected_items(count.value_or(0)), most));
}

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
  for (const auto& item : container) {
    write_item(item);
  }
}

template <class C>
void write_items(OutVisitor& out, const C& container) {
  out.begin_sequence(container.size(), Hashed<C> ? Ordering::unordered : Ordering::ordered);
  for_each_item(out, container, [&](const auto& item) { stele::write(out, item); });
  out.end();
}

/// Vectors, spans and their like.
template <class T>
struct As<T, Family::contiguous> {
  using Item = std::remove_const_t<typename T::value_type>;
  static constexpr bool growable = requires(T& c) { c.resize(std::size_t{}); };

  static void write(OutVisitor& out, const T& value) {
    if constexpr (is_cell<Item>) {
      out.array(cells_view<Item>(value.data(), value.size()));
    } else {
      out.begin_sequence(value.size());
      for (std::size_t i = 0; i < value.size(); ++i) {
        stele::write(out, value.data()[i]);
      }
      out.end();
    }
  }
  static void read(InVisitor& in, T& value) {
    static_assert(growable || !std::is_const_v<std::remove_pointer_t<decltype(value.data())>>,
                  "stele: a span of const has no memory of its own; read into a std::vector or stele::Array");
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
      while (in.next()) {
        stele::read(in, value.emplace_back());
      }
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
        CellTarget<T, Item> target(value, count);
        in.array(target);
        return;
      }
    }
    read_exactly(in, std::size(value), [&](std::size_t i) { stele::read(in, value[i]); });
  }
};

/// std::vector<bool>: an array of bool.
template <class T>
struct As<T, Family::booleans> {
  static void write(OutVisitor& out, const T& value) {
    const std::vector<unsigned char> bytes(value.begin(), value.end());
    out.array(ArrayView(DType(DType::Kind::boolean), bytes.data(), bytes.size()));
  }
  static void read(InVisitor& in, T& value) {
    if (in.kind() == Kind::sequence) {
      in.begin_sequence();
      value.clear();
      while (in.next()) {
        value.push_back(in.boolean());
      }
      return;
    }
    struct Byte {
      bool value;
    };
    std::vector<Byte> bytes;
    BooleanTarget<std::vector<Byte>> target(bytes);
    in.array(target);
    value.resize(bytes.size());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      value[i] = bytes[i].value;
    }
  }

 private:
  template <class C>
  class BooleanTarget final : public ArrayTarget {
   public:
    explicit BooleanTarget(C& bytes) : ArrayTarget(DType(DType::Kind::boolean)), bytes_(bytes) {}
    bool accepts(const ArrayHeader& stored) override { return stored.shape.rank() == 1; }
    std::string expected() const override { return "[?]"; }
    Order order(const ArrayHeader&) override { return Order::row_major; }
    std::byte* memory(const ArrayHeader&, std::uint64_t bytes, std::uint64_t, bool) override {
      bytes_.resize(static_cast<std::size_t>(bytes));
      return reinterpret_cast<std::byte*>(bytes_.data());
    }
    bool share(const ArrayView&, const std::shared_ptr<Buffer>&) override { return false; }

   private:
    C& bytes_;
  };
};

/// Deques, lists and other containers of items in a meaningful order.
template <class T>
struct As<T, Family::sequence> {
  static void write(OutVisitor& out, const T& value) { write_items(out, value); }
  static void read(InVisitor& in, T& value) {
    in.begin_sequence();
    value.clear();
    while (in.next()) {
      stele::read(in, value.emplace_back());
    }
  }
};

template <class T>
struct As<T, Family::set> {
  static void write(OutVisitor& out, const T& value) { write_items(out, value); }
  static void read(InVisitor& in, T& value) {
    const auto count = in.begin_sequence();
    value.clear();
    if constexpr (Hashed<T>) {
      value.reserve(reservable(in, count, sizeof(typename T::value_type)));
    }
    while (in.next()) {
      typename T::value_type item{};
      stele::read(in, item);
      const std::size_t before = value.size();
      value.insert(value.end(), std::move(item));
      if (value.size() == before) {
        in.error(Errc::malformed, "an item of a set is stored twice");
      }
    }
  }
};

template <class T>
struct As<T, Family::map> {
  static void write(OutVisitor& out, const T& value) {
    out.begin_map(value.size(), Hashed<T> ? Ordering::unordered : Ordering::ordered);
    for_each_item(out, value, [&](const auto& item) {
      stele::write(out, item.first);
      stele::write(out, item.second);
    });
    out.end();
  }
  static void read(InVisitor& in, T& value) {
    const auto count = in.begin_map();
    value.clear();
    if constexpr (Hashed<T>) {
      value.reserve(reservable(in, count, sizeof(typename T::value_type)));
    }
    if constexpr (Bucketed<T> && sizeof(typename T::value_type) <= 256 &&
                  std::is_move_assignable_v<typename T::key_type> &&
                  std::is_move_assignable_v<typename T::mapped_type>) {
      if (count.value_or(0) >= many_items) {
        read_many(in, value);
        return;
      }
    }
    while (in.next()) {
      typename T::key_type key{};
      stele::read(in, key);
      const std::size_t before = value.size();
      const auto place = value.emplace_hint(value.end(), std::move(key), typename T::mapped_type{});
      if (value.size() == before) {
        in.error(Errc::malformed, "a key of a map is stored twice");
      }
      stele::read(in, place->second);
    }
  }

 private:
  /// A batch of entries is read, its places are asked for, and only then it is inserted.
  static void read_many(InVisitor& in, T& value) {
    std::array<std::pair<typename T::key_type, typename T::mapped_type>, 16> batch;
    for (bool more = true; more;) {
      std::size_t count = 0;
      while (count < batch.size() && (more = in.next())) {
        batch[count] = {};
        stele::read(in, batch[count].first);
        stele::read(in, batch[count++].second);
      }
      for (std::size_t i = 0; i < count; ++i) {
        prefetch_bucket(value, batch[i].first);
      }
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t before = value.size();
        value.emplace_hint(value.end(), std::move(batch[i].first), std::move(batch[i].second));
        if (value.size() == before) {
          in.error(Errc::malformed, "a key of a map is stored twice");
        }
      }
    }
  }
};

}  // namespace stele::walk

#include "stele/walk/arrays.hpp"  // uses what is above
