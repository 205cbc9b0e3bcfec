// What changed between two checkpoints.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "archive/read/opened.hpp"
#include "base/interruption.hpp"
#include "services/checkpoint/core.hpp"
#include "stele/checkpoint.hpp"
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

/// Calls `add` with each number of two arrays of one type; complex numbers count as two. False for what is no number.
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

void measure(const AnyLazyArray& a, const AnyLazyArray& b, CheckpointChange& change) {
  const Shape& shape = a.shape();
  const std::uint64_t item = a.dtype().item_size();
  const std::uint64_t rows = shape.rank() == 0 ? 1 : shape[0];
  const std::uint64_t row = shape.count() / std::max<std::uint64_t>(rows, 1) * item;
  const std::uint64_t step = std::max<std::uint64_t>(1, window_bytes / std::max<std::uint64_t>(row, 1));
  double of_first = 0;
  double of_difference = 0;
  std::vector<std::byte> left;
  std::vector<std::byte> right;
  for (std::uint64_t at = 0; at < rows; at += step) {
    interruption_point();
    const Range range{at, std::min(step, rows - at)};
    const std::span<const Range> box(&range, shape.rank() == 0 ? 0 : 1);
    left.resize(static_cast<std::size_t>(range.count * row));
    right.resize(left.size());
    a.read(box, a.dtype(), left);
    b.read(box, b.dtype(), right);
    const bool numbers =
        for_each_pair(a.dtype(), left.data(), right.data(), left.size() / item, [&](double x, double y) {
          const double difference = x == y ? 0 : y - x;  // equal infinities too
          of_first += x * x;
          of_difference += difference * difference;
          if (!(std::abs(difference) <= change.largest)) {  // NaN stays
            change.largest = std::abs(difference);
          }
        });
    if (!numbers) {
      return;
    }
  }
  change.relative = of_difference == 0 ? 0 : std::sqrt(of_difference) / std::sqrt(of_first);
}

}  // namespace

std::vector<CheckpointChange> Checkpoints::diff(std::uint64_t before, std::uint64_t after) const {
  struct Side {
    StepFile file;
    File opened;
    std::map<std::string, ArrayEntry> arrays;
  };
  const auto side = [&](std::uint64_t step) {
    const StepFile file = core_->file_of(step);
    core_->require_whole(core_->read(file));
    Side made{file, core_->open(file, {}), {}};
    const Tail tail = find_tail(open_to_list(core_->path_of(file.name), {}), 0);
    for (const ArrayEntry& entry : tail.directory.arrays) {
      made.arrays.emplace(entry.path, entry);
    }
    return made;
  };
  const Side a = side(before);
  const Side b = side(after);
  std::vector<CheckpointChange> changes;
  for (const auto& [path, entry] : a.arrays) {
    const auto other = b.arrays.find(path);
    CheckpointChange change{.path = path, .bytes = entry.element_bytes()};
    if (other == b.arrays.end()) {
      change.kind = CheckpointChange::Kind::removed;
    } else if (!(other->second.dtype == entry.dtype) || !(other->second.shape == entry.shape)) {
      change.kind = CheckpointChange::Kind::reshaped;
      change.bytes = other->second.element_bytes();
    } else if (other->second.order == entry.order && other->second.checksum == entry.checksum) {
      continue;
    } else {
      measure(a.opened.array(path), b.opened.array(path), change);
    }
    changes.push_back(std::move(change));
  }
  for (const auto& [path, entry] : b.arrays) {
    if (!a.arrays.contains(path)) {
      changes.push_back({.kind = CheckpointChange::Kind::added, .path = path, .bytes = entry.element_bytes()});
    }
  }
  std::sort(changes.begin(), changes.end(),
            [](const CheckpointChange& x, const CheckpointChange& y) { return x.path < y.path; });
  return changes;
}

}  // namespace stele
