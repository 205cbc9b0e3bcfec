#include "archive/sharded/boxes.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <mutex>
#include <vector>

#include "base/threads/crew.hpp"
#include "base/threads/interruption.hpp"
#include "format/path/path.hpp"
#include "stele/error.hpp"

namespace stele::shards {
namespace {

constexpr std::uint64_t window_bytes = std::uint64_t{4} << 20;
constexpr std::uint64_t small_box_bytes = std::uint64_t{8} << 20;  // one thread is as fast as several

enum class Direction : std::uint8_t { into_whole, from_whole };

/// Copies a dense region to its place in a larger dense one, or back. `at`: where it begins there.
void copy_region(Direction direction, std::byte* region, const Shape& extents, std::byte* to, const Shape& whole,
                 const Shape& at, std::uint64_t item) {
  const std::size_t rank = extents.rank();
  // The innermost axes that both have as a whole are one run.
  std::size_t outer = rank;
  std::uint64_t run = item;
  std::uint64_t inner = item;  // bytes of one step along axis `outer` in the larger region
  while (outer > 0) {
    --outer;
    run *= extents[outer];
    if (outer == 0 || extents[outer] != whole[outer]) {
      break;
    }
    inner *= whole[outer];
  }
  Shape index;
  for (std::size_t axis = 0; axis < outer; ++axis) {
    index.push_back(0);
  }
  for (;;) {
    std::uint64_t offset = 0;
    for (std::size_t axis = 0; axis < outer; ++axis) {
      offset = (offset + at[axis] + index[axis]) * whole[axis + 1];
    }
    std::byte* const place = to + (offset + at[outer]) * inner;
    if (direction == Direction::into_whole) {
      std::memcpy(place, region, static_cast<std::size_t>(run));
    } else {
      std::memcpy(region, place, static_cast<std::size_t>(run));
    }
    region += run;
    std::size_t axis = outer;
    while (axis > 0 && ++index[axis - 1] == extents[axis - 1]) {
      index[axis - 1] = 0;
      --axis;
    }
    if (axis == 0) {
      return;
    }
  }
}

/// What a read has to do with one box.
struct Task {
  const Box* box = nullptr;
  std::vector<Range> ranges;  // in the box
  Shape extents;              // of what is read
  Shape at;                   // where it goes
};

/// The positions of `range` from `begin` on and before `end`: those with numbers from `first` on, `count` of them.
struct Numbers {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};
Numbers numbers_in(const Range& range, std::uint64_t begin, std::uint64_t end) {
  if (range.count == 0 || begin >= end) {
    return {};
  }
  const bool up = range.step > 0;
  const std::uint64_t step = up ? static_cast<std::uint64_t>(range.step) : -static_cast<std::uint64_t>(range.step);
  // Distances from the first position, in the direction of the range, at which the box begins and ends.
  const auto steps_to = [&](std::uint64_t distance) { return distance / step + (distance % step != 0 ? 1 : 0); };
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  if (up) {
    low = begin <= range.first ? 0 : steps_to(begin - range.first);
    high = end <= range.first ? 0 : steps_to(end - range.first);
  } else {
    low = end > range.first ? 0 : steps_to(range.first - (end - 1));
    high = begin > range.first ? 0 : (range.first - begin) / step + 1;
  }
  high = std::min(high, range.count);
  return low < high ? Numbers{low, high - low} : Numbers{};
}

std::vector<Task> tasks_of(const ArrayOf& array, std::span<const Range> ranges) {
  std::vector<Task> tasks;
  const std::size_t rank = array.shape.size();
  std::uint64_t end = array.shape.empty() ? 0 : array.shape[0];  // of what is read along the first axis
  if (!ranges.empty() && ranges[0].count > 0) {
    const auto last =
        ranges[0].first + static_cast<std::uint64_t>(ranges[0].step) * (ranges[0].count - 1);  // modulo 2^64
    end = std::max(ranges[0].first, last) + 1;
  }
  for (const Box& box : array.boxes) {
    if (rank > 0 && box.first[0] >= end) {
      break;  // they are sorted
    }
    Task task{&box, {}, {}, {}};
    bool touches = true;
    for (std::size_t axis = 0; axis < rank && touches; ++axis) {
      const Range& range = ranges[axis];
      const Numbers numbers = numbers_in(range, box.first[axis], box.first[axis] + box.extents[axis]);
      touches = numbers.count > 0;
      const std::uint64_t first = range.first + static_cast<std::uint64_t>(range.step) * numbers.first;
      task.ranges.push_back({first - box.first[axis], numbers.count, range.step});
      task.extents.push_back(numbers.count);
      task.at.push_back(numbers.first);
    }
    if (touches) {
      tasks.push_back(std::move(task));
    }
  }
  return tasks;
}

/// Reads what a box has of `whole`, which `to` is.
void read_task(const ArrayOf& array, const PartOf& part, Task& task, const Shape& whole, const DType& dtype,
               MutableBytes to) {
  const std::uint64_t item = dtype.item_size();
  const std::size_t rank = whole.rank();
  const AnyLazyArray source = array_of(part(task.box->file), array, *task.box);
  bool is_dense = true;  // what is read is one run of `to`
  for (std::size_t axis = 1; axis < rank; ++axis) {
    is_dense = is_dense && task.extents[axis] == whole[axis];
  }
  if (is_dense) {
    const std::uint64_t row = rank == 0 ? item : whole.count() / whole[0] * item;
    source.read(task.ranges, dtype,
                to.subspan(static_cast<std::size_t>(rank == 0 ? 0 : task.at[0] * row),
                           static_cast<std::size_t>(task.extents.count() * item)));
    return;
  }
  const bool keeps = dtype.is_record() && !(dtype == source.dtype());  // fields that are not stored
  std::vector<std::byte> window;
  const std::uint64_t total = task.extents[0];
  const std::uint64_t row = task.extents.count() / total * item;
  const std::uint64_t rows = std::max<std::uint64_t>(1, window_bytes / row);
  const Range along = task.ranges[0];
  const std::uint64_t at = task.at[0];
  for (std::uint64_t done = 0; done < total; done += rows) {
    interruption_point();
    task.extents[0] = task.ranges[0].count = std::min(rows, total - done);
    task.ranges[0].first = along.first + static_cast<std::uint64_t>(along.step) * done;
    task.at[0] = at + done;
    window.resize(static_cast<std::size_t>(task.extents[0] * row));
    if (keeps) {
      copy_region(Direction::from_whole, window.data(), task.extents, to.data(), whole, task.at, item);
    }
    source.read(task.ranges, dtype, window);
    copy_region(Direction::into_whole, window.data(), task.extents, to.data(), whole, task.at, item);
  }
}

}  // namespace

std::string path_of_key(const std::string& key) {
  std::string path;
  append_step(path, key);
  return path;
}

AnyLazyArray array_of(const File& part, const ArrayOf& array, const Box& box) {
  AnyLazyArray source = part.array(path_of_key(box.key));
  if (!std::equal(source.shape().begin(), source.shape().end(), box.extents.begin(), box.extents.end()) ||
      source.dtype() != dtype_of_text(array.dtype)) {
    fail(Errc::damaged, "a part has another type or other extents than the manifest says: " + source.dtype().name() +
                            source.shape().text());
  }
  return source;
}

void read_boxes(const ArrayOf& array, const PartOf& part, std::span<const Range> ranges, const DType& dtype,
                MutableBytes to, unsigned threads) {
  Shape whole;
  for (const Range& range : ranges) {
    whole.push_back(range.count);
  }
  if (whole.count() == 0) {
    return;
  }
  std::vector<Task> tasks = tasks_of(array, ranges);
  if (threads < 2 || tasks.size() < 2 || to.size() / tasks.size() > small_box_bytes) {
    for (Task& task : tasks) {
      interruption_point();
      read_task(array, part, task, whole, dtype, to);
    }
    return;
  }
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;  // guards failure
  std::exception_ptr failure;
  Crew crew(static_cast<unsigned>(std::min<std::size_t>(threads, tasks.size())));
  crew.run([&] {
    try {
      for (std::size_t i = next++; i < tasks.size(); i = next++) {
        interruption_point();
        read_task(array, part, tasks[i], whole, dtype, to);
      }
    } catch (...) {
      next = tasks.size();
      const std::lock_guard lock(mutex);
      failure = failure != nullptr ? failure : std::current_exception();
    }
  });
  if (failure != nullptr) {
    std::rethrow_exception(failure);
  }
}

void gather_rows(const ArrayOf& array, const PartOf& part, std::span<const std::uint64_t> rows, const DType& dtype,
                 MutableBytes to) {
  const std::uint64_t item = dtype.item_size();
  Shape whole(array.shape);
  whole[0] = rows.size();
  if (whole.count() == 0) {
    return;
  }
  // By their positions, so that each box finds its own quickly.
  std::vector<std::size_t> sorted(rows.size());
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    sorted[i] = i;
  }
  std::sort(sorted.begin(), sorted.end(),
            [&](std::size_t a, std::size_t b) { return rows[a] != rows[b] ? rows[a] < rows[b] : a < b; });
  for (const Box& box : array.boxes) {
    const auto from =
        std::partition_point(sorted.begin(), sorted.end(), [&](std::size_t i) { return rows[i] < box.first[0]; });
    const auto end = std::partition_point(from, sorted.end(),
                                          [&](std::size_t i) { return rows[i] < box.first[0] + box.extents[0]; });
    if (from == end) {
      continue;
    }
    const AnyLazyArray source = array_of(part(box.file), array, box);
    const bool keeps = dtype.is_record() && !(dtype == source.dtype());
    Shape extents(box.extents);
    extents[0] = 1;
    const std::uint64_t row = extents.count() * item;
    const auto most = static_cast<std::ptrdiff_t>(std::max<std::uint64_t>(1, window_bytes / row));
    Shape at(box.first);
    std::vector<std::uint64_t> wanted;
    std::vector<std::byte> window;
    for (auto first = from; first != end;) {
      interruption_point();
      const auto last = first + std::min(most, end - first);
      wanted.clear();
      std::transform(first, last, std::back_inserter(wanted), [&](std::size_t i) { return rows[i] - box.first[0]; });
      window.resize(static_cast<std::size_t>(wanted.size() * row));
      const auto copy = [&](Direction direction) {
        std::byte* region = window.data();
        for (auto i = first; i != last; ++i, region += row) {
          at[0] = *i;
          copy_region(direction, region, extents, to.data(), whole, at, item);
        }
      };
      if (keeps) {
        copy(Direction::from_whole);
      }
      source.gather(wanted, dtype, window);
      copy(Direction::into_whole);
      first = last;
    }
  }
}

}  // namespace stele::shards
