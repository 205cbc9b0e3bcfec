// What changed between two checkpoints.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "archive/read/opened.hpp"
#include "base/threads/interruption.hpp"
#include "format/frozen.hpp"
#include "services/checkpoint/core.hpp"
#include "stele/checkpoint.hpp"
#include "stele/sharded.hpp"
#include "stele/types.hpp"

namespace stele {
namespace {

constexpr std::uint64_t window_bytes = std::uint64_t{4} << 20;

template <class T>
T element(const std::byte* data, std::uint64_t index) noexcept {
  T value;
  std::memcpy(&value, data + index * sizeof value, sizeof value);
  return value;
}

/// Calls `add` with each number of two arrays of one type; complex numbers count as two. Returns false if the elements
/// are not numbers.
template <class F>
bool for_each_pair(const DType& dtype, const std::byte* a, const std::byte* b, std::uint64_t count, const F& add) {
  using K = DType::Kind;
  const auto of = [&]<class T>(T, std::uint64_t numbers) {
    for (std::uint64_t i = 0; i < numbers; ++i) {
      if constexpr (std::is_arithmetic_v<T>) {
        add(static_cast<double>(element<T>(a, i)), static_cast<double>(element<T>(b, i)));
      } else {
        add(double{static_cast<float>(element<T>(a, i))}, double{static_cast<float>(element<T>(b, i))});
      }
    }
    return true;
  };
  switch (dtype.kind()) {
    case K::boolean:
    case K::uint8:
      return of(std::uint8_t{}, count);
    case K::int8:
      return of(std::int8_t{}, count);
    case K::uint16:
      return of(std::uint16_t{}, count);
    case K::int16:
      return of(std::int16_t{}, count);
    case K::uint32:
      return of(std::uint32_t{}, count);
    case K::int32:
      return of(std::int32_t{}, count);
    case K::uint64:
      return of(std::uint64_t{}, count);
    case K::int64:
      return of(std::int64_t{}, count);
    case K::float16:
      return of(float16{}, count);
    case K::bfloat16:
      return of(bfloat16{}, count);
    case K::float32:
      return of(float{}, count);
    case K::float64:
      return of(double{}, count);
    case K::complex64:
      return of(float{}, 2 * count);
    case K::complex128:
      return of(double{}, 2 * count);
    default:
      return false;
  }
}

/// An array of a checkpoint, and how its rows are read.
struct Item {
  DType dtype;
  Shape shape;
  Order order = Order::row_major;
  std::optional<std::uint64_t> checksum;  // of all elements, if the archive has it
  std::function<void(std::span<const Range> box, MutableBytes to)> read;

  std::uint64_t bytes() const { return shape.count() * dtype.item_size(); }
};

/// False if all elements are the same.
bool measure(const Item& a, const Item& b, CheckpointChange& change) {
  const Shape& shape = a.shape;
  const std::uint64_t item = a.dtype.item_size();
  const std::uint64_t rows = shape.rank() == 0 ? 1 : shape[0];
  const std::uint64_t row = shape.count() / std::max<std::uint64_t>(rows, 1) * item;
  const std::uint64_t step = std::max<std::uint64_t>(1, window_bytes / std::max<std::uint64_t>(row, 1));
  double of_first = 0;
  double of_difference = 0;
  bool differ = false;
  std::vector<std::byte> left;
  std::vector<std::byte> right;
  for (std::uint64_t at = 0; at < rows; at += step) {
    interruption_point();
    const Range range{at, std::min(step, rows - at)};
    const std::span<const Range> box(&range, shape.rank() == 0 ? 0 : 1);
    left.resize(static_cast<std::size_t>(range.count * row));
    right.resize(left.size());
    a.read(box, left);
    b.read(box, right);
    differ = differ || left != right;
    const bool numbers = for_each_pair(a.dtype, left.data(), right.data(), left.size() / item, [&](double x, double y) {
      const double difference = x == y ? 0 : y - x;  // equal infinities too
      of_first += x * x;
      of_difference += difference * difference;
      if (!(std::abs(difference) <= change.largest)) {  // NaN stays
        change.largest = std::abs(difference);
      }
    });
    if (!numbers && differ) {
      return true;
    }
  }
  change.relative = of_difference == 0 ? 0 : std::sqrt(of_difference) / std::sqrt(of_first);
  return differ;
}

}  // namespace

std::vector<CheckpointChange> Checkpoints::diff(std::uint64_t before, std::uint64_t after) const {
  const auto items_of = [&](std::uint64_t step) {
    std::map<std::string, Item> items;
    if (info(step).sharded) {
      const auto shards = std::make_shared<const ShardedCheckpoint>(ShardedCheckpoint::open(core_->path, step));
      for (const ShardedArray& array : shards->arrays()) {
        const auto read = [shards, &array](std::span<const Range> box, MutableBytes to) {
          shards->read(array.name, box, array.dtype, to);
        };
        Item item{array.dtype, array.shape, Order::row_major, std::nullopt, read};
        if (item.bytes() >= frozen::listed_array_bytes) {
          items.emplace(array.name, std::move(item));
        }
      }
      return items;
    }
    const StepFile file = core_->file_of(step);
    const auto opened = std::make_shared<const File>(core_->open(file, {}));
    for (const ArrayEntry& entry : find_tail(open_to_list(core_->path_of(file.name), {}), 0).directory.arrays) {
      const auto read = [opened, path = entry.path, array = std::optional<AnyLazyArray>()](std::span<const Range> box,
                                                                                           MutableBytes to) mutable {
        if (!array) {
          array = opened->array(path);
        }
        array->read(box, array->dtype(), to);
      };
      items.emplace(entry.path, Item{entry.dtype, entry.shape, entry.order, entry.checksum, read});
    }
    return items;
  };
  const std::map<std::string, Item> a = items_of(before);
  const std::map<std::string, Item> b = items_of(after);
  std::vector<CheckpointChange> changes;
  for (const auto& [path, item] : a) {
    const auto other = b.find(path);
    CheckpointChange change{.path = path, .bytes = item.bytes()};
    if (other == b.end()) {
      change.kind = CheckpointChange::Kind::removed;
    } else if (!(other->second.dtype == item.dtype) || !(other->second.shape == item.shape)) {
      change.kind = CheckpointChange::Kind::reshaped;
      change.bytes = other->second.bytes();
    } else if (item.checksum && item.checksum == other->second.checksum && item.order == other->second.order) {
      continue;
    } else if (!measure(item, other->second, change)) {
      continue;
    }
    changes.push_back(std::move(change));
  }
  for (const auto& [path, item] : b) {
    if (!a.contains(path)) {
      changes.push_back({.kind = CheckpointChange::Kind::added, .path = path, .bytes = item.bytes()});
    }
  }
  std::sort(changes.begin(), changes.end(),
            [](const CheckpointChange& x, const CheckpointChange& y) { return x.path < y.path; });
  return changes;
}

}  // namespace stele
