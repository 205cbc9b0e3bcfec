#include "archive/read/lazy/selection.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>

#include "archive/convert.hpp"
#include "base/threads/crew.hpp"
#include "base/threads/interruption.hpp"

namespace stele {
namespace {

constexpr std::uint64_t most_window_bytes = std::uint64_t{1} << 20;  // of elements that are read at once
constexpr std::uint64_t shared_bytes = std::uint64_t{1} << 20;       // fewer are not worth threads
constexpr std::size_t most_tasks = 4096;

/// Copies `count` elements of Size bytes (0: `size` bytes) that lie `from_step` bytes apart.
template <std::size_t Size>
void copy_strided(const std::byte* from, std::int64_t from_step, std::byte* to, std::int64_t to_step,
                  std::uint64_t count, std::size_t size) {
  for (std::uint64_t i = 0; i < count; ++i) {
    std::memcpy(to, from, Size == 0 ? size : Size);
    from += from_step;
    to += to_step;
  }
}

void copy_elements(const std::byte* from, std::int64_t from_stride, std::byte* to, std::int64_t to_stride,
                   std::uint64_t count, std::size_t size) {
  const auto bytes = static_cast<std::int64_t>(size);
  if (from_stride == 1 && to_stride == 1) {
    std::memcpy(to, from, count * size);
    return;
  }
  const auto copy = size == 1   ? copy_strided<1>
                    : size == 2 ? copy_strided<2>
                    : size == 4 ? copy_strided<4>
                    : size == 8 ? copy_strided<8>
                                : copy_strided<0>;
  copy(from, from_stride * bytes, to, to_stride * bytes, count, size);
}

/// The selection with axes in the order of the storage, which is read upwards.
class SelectionReader {
 public:
  SelectionReader(const StoredElements& elements, Selection selection, const DType& dtype, std::byte* result,
                  unsigned threads)
      : elements_(elements),
        size_(elements.dtype().item_size()),
        dtype_(dtype),
        same_(elements.dtype() == dtype),
        result_(result),
        gap_(elements.worth_reading()),
        memory_(elements.memory()) {
    std::uint64_t count = 1;
    for (SelectedAxis& axis : selection.axes) {
      count *= axis.count;
    }
    if (count == 0) {
      return;
    }
    first_ = static_cast<std::int64_t>(selection.first);
    for (SelectedAxis& axis : selection.axes) {
      add(std::move(axis));
    }
    arrange();
    if (spans_[0] / 4 <= count) {
      elements_.will_read(static_cast<std::uint64_t>(first_), spans_[0]);
    }
    threads_ = count * size_ >= shared_bytes ? threads : 1;
    walk(0, static_cast<std::uint64_t>(first_), result_first_);
    run_tasks();
  }

 private:
  using Place = SelectedAxis::Place;
  /// An axis whose position 0 is selected and whose stride is not negative.
  struct Axis {
    std::uint64_t count;
    std::uint64_t stride;
    std::int64_t result_stride;
    std::vector<Place> places;  // ascending

    std::uint64_t from(std::uint64_t i) const { return (places.empty() ? i : places[i].from) * stride; }
    std::int64_t to(std::uint64_t i) const {
      return static_cast<std::int64_t>(places.empty() ? i : places[i].to) * result_stride;
    }
  };
  /// Elements that are read at once: positions `begin` to `end` of the axis at `level`, and all of the inner axes.
  struct Task {
    std::size_t level;
    std::uint64_t begin;
    std::uint64_t end;
    std::uint64_t from;
    std::int64_t to;
  };
  struct Buffers {
    std::vector<std::byte> window;
    std::vector<std::byte> wanted;
    std::vector<std::byte> converted;
  };

  void add(SelectedAxis axis) {
    std::sort(axis.places.begin(), axis.places.end(), [](const Place& a, const Place& b) { return a.from < b.from; });
    if (axis.stride < 0) {  // turned around
      const std::uint64_t last = axis.places.empty() ? axis.count - 1 : axis.places.back().from;
      first_ += static_cast<std::int64_t>(last) * axis.stride;
      axis.stride = -axis.stride;
      if (axis.places.empty()) {
        result_first_ += static_cast<std::int64_t>(last) * axis.result_stride;
        axis.result_stride = -axis.result_stride;
      }
      for (Place& place : axis.places) {
        place.from = last - place.from;
      }
      std::reverse(axis.places.begin(), axis.places.end());
    }
    if (!axis.places.empty()) {
      const std::uint64_t lowest = axis.places.front().from;
      first_ += static_cast<std::int64_t>(lowest) * axis.stride;
      for (Place& place : axis.places) {
        place.from -= lowest;
      }
    }
    if (axis.count > 1 || !axis.places.empty()) {
      axes_.push_back(
          {axis.count, static_cast<std::uint64_t>(axis.stride), axis.result_stride, std::move(axis.places)});
    }
  }

  /// Sorts and joins the axes, and finds out which ones are read at once.
  void arrange() {
    std::sort(axes_.begin(), axes_.end(), [](const Axis& a, const Axis& b) { return a.stride > b.stride; });
    std::vector<Axis> joined;
    for (Axis& axis : axes_) {
      if (!joined.empty() && joined.back().places.empty() && axis.places.empty() &&
          joined.back().stride == axis.count * axis.stride &&
          joined.back().result_stride == static_cast<std::int64_t>(axis.count) * axis.result_stride) {
        joined.back().count *= axis.count;
        joined.back().stride = axis.stride;
        joined.back().result_stride = axis.result_stride;
      } else {
        joined.push_back(std::move(axis));
      }
    }
    axes_ = std::move(joined);
    if (axes_.empty()) {
      axes_.push_back({1, 1, 1, {}});
    }
    spans_.assign(axes_.size() + 1, 1);
    at_once_.assign(axes_.size() + 1, true);
    const std::uint64_t most = std::max<std::uint64_t>(most_window_bytes / size_, 1);
    for (std::size_t level = axes_.size(); level-- > 0;) {
      const Axis& axis = axes_[level];
      std::uint64_t widest = axis.places.empty() ? axis.stride : 0;
      for (std::size_t i = 1; i < axis.places.size(); ++i) {
        widest = std::max(widest, axis.from(i) - axis.from(i - 1));
      }
      spans_[level] = spans_[level + 1] + axis.from(axis.count - 1);
      at_once_[level] = at_once_[level + 1] && spans_[level] <= most && widest <= spans_[level + 1] + gap_;
    }
  }

  void walk(std::size_t level, std::uint64_t from, std::int64_t to) {
    const Axis& axis = axes_[level];
    for (std::uint64_t i = 0; i < axis.count;) {
      if (!at_once_[level + 1]) {
        walk(level + 1, from + axis.from(i), to + axis.to(i));
        ++i;
        continue;
      }
      const std::uint64_t end = memory_ != nullptr && threads_ == 1 ? axis.count : joined_until(level, i, from);
      add_task({level, i, end, from, to});
      i = end;
    }
  }

  /// The position after those that are read with position `begin`.
  std::uint64_t joined_until(std::size_t level, std::uint64_t begin, std::uint64_t from) const {
    const Axis& axis = axes_[level];
    const std::uint64_t span = spans_[level + 1];
    const std::uint64_t room = elements_.next_cut(from + axis.from(begin)) - from - axis.from(begin);
    if (!axis.places.empty()) {
      std::uint64_t end = begin + 1;
      while (end < axis.count && axis.from(end) - axis.from(end - 1) <= span + gap_ &&
             axis.from(end) - axis.from(begin) + span <= room) {
        ++end;
      }
      return end;
    }
    if (axis.stride > span + gap_ || span >= room) {
      return begin + 1;
    }
    const std::uint64_t more = axis.stride == 0 ? axis.count : (room - span) / axis.stride;
    return begin + 1 + std::min(more, axis.count - begin - 1);
  }

  void add_task(const Task& task) {
    if (threads_ == 1) {
      run(task, buffers_);
      return;
    }
    tasks_.push_back(task);
    if (tasks_.size() == most_tasks) {
      run_tasks();
    }
  }

  void run_tasks() {
    if (tasks_.empty()) {
      return;
    }
    std::atomic<std::size_t> next = 0;
    std::mutex mutex;
    std::exception_ptr error;
    if (crew_ == nullptr) {
      crew_ = std::make_unique<Crew>(threads_);
    }
    crew_->run([&] {
      try {
        Buffers buffers;
        for (std::size_t i = next++; i < tasks_.size(); i = next++) {
          run(tasks_[i], buffers);
        }
      } catch (...) {
        next = tasks_.size();
        const std::lock_guard lock(mutex);
        error = error == nullptr ? std::current_exception() : error;
      }
    });
    tasks_.clear();
    if (error != nullptr) {
      std::rethrow_exception(error);
    }
  }

  /// Calls `use(from, from_stride, to, to_stride, count)` for the runs of elements along the innermost axis.
  template <class F>
  void for_each_run(std::size_t level, std::uint64_t begin, std::uint64_t end, std::uint64_t from, std::int64_t to,
                    F&& use) const {
    const Axis& axis = axes_[level];
    if (level + 1 == axes_.size() && axis.places.empty()) {
      use(from + axis.from(begin), static_cast<std::int64_t>(axis.stride), to + axis.to(begin), axis.result_stride,
          end - begin);
      return;
    }
    for (std::uint64_t i = begin; i < end; ++i) {
      if (level + 1 == axes_.size()) {
        use(from + axis.from(i), 1, to + axis.to(i), 1, 1);
      } else {
        for_each_run(level + 1, 0, axes_[level + 1].count, from + axis.from(i), to + axis.to(i), use);
      }
    }
  }

  void run(const Task& task, Buffers& buffers) const {
    interruption_point();
    const Axis& axis = axes_[task.level];
    const std::uint64_t begin = task.from + axis.from(task.begin);
    const std::uint64_t count = axis.from(task.end - 1) - axis.from(task.begin) + spans_[task.level + 1];
    const bool one_run = task.level + 1 == axes_.size() && axis.places.empty() && axis.stride == 1;
    const auto each_run = [&](auto&& use) { for_each_run(task.level, task.begin, task.end, task.from, task.to, use); };
    if (same_ && one_run && axis.result_stride == 1) {
      elements_.read(begin, count, place(task.to + axis.to(task.begin), size_));
      return;
    }
    if (memory_ == nullptr) {
      buffers.window.resize(static_cast<std::size_t>(count * size_));
      elements_.read(begin, count, buffers.window.data());
    }
    const std::byte* const window = memory_ == nullptr ? buffers.window.data() : memory_ + begin * size_;
    if (same_) {
      each_run([&](std::uint64_t from, std::int64_t stride, std::int64_t to, std::int64_t to_stride, std::uint64_t n) {
        copy_elements(window + (from - begin) * size_, stride, place(to, size_), to_stride, n, size_);
      });
      return;
    }
    each_run([&](std::uint64_t from, std::int64_t stride, std::int64_t to, std::int64_t to_stride, std::uint64_t n) {
      convert(window + (from - begin) * size_, stride, to, to_stride, n, buffers);
    });
  }

  /// Converts a run. Record fields that are not stored keep what the result holds.
  void convert(const std::byte* from, std::int64_t stride, std::int64_t to, std::int64_t to_stride, std::uint64_t count,
               Buffers& buffers) const {
    const std::size_t size = dtype_.item_size();
    constexpr std::uint64_t most = 4096;
    for (std::uint64_t done = 0; done < count; done += most) {
      const std::uint64_t n = std::min(most, count - done);
      const std::byte* source = from + static_cast<std::int64_t>(done) * stride * static_cast<std::int64_t>(size_);
      if (stride != 1) {
        buffers.wanted.resize(static_cast<std::size_t>(most * size_));
        copy_elements(source, stride, buffers.wanted.data(), 1, n, size_);
        source = buffers.wanted.data();
      }
      std::byte* const target = place(to + static_cast<std::int64_t>(done) * to_stride, size);
      bool exact = false;
      if (to_stride == 1) {
        exact = convert_elements(elements_.dtype(), source, dtype_, target, n);
      } else {
        buffers.converted.resize(static_cast<std::size_t>(most * size));
        copy_elements(target, to_stride, buffers.converted.data(), 1, n, size);
        exact = convert_elements(elements_.dtype(), source, dtype_, buffers.converted.data(), n);
        copy_elements(buffers.converted.data(), 1, target, to_stride, n, size);
      }
      if (!exact) {
        fail(Errc::out_of_range, inexact_time);
      }
    }
  }

  std::byte* place(std::int64_t element, std::size_t size) const {
    return result_ + element * static_cast<std::int64_t>(size);
  }

  const StoredElements& elements_;
  const std::size_t size_;
  const DType& dtype_;
  const bool same_;
  std::byte* const result_;
  const std::uint64_t gap_;
  const std::byte* const memory_;
  std::vector<Axis> axes_;
  std::int64_t first_ = 0;
  std::int64_t result_first_ = 0;
  std::vector<std::uint64_t> spans_;  // elements from the first to the last of the axes from a level on
  std::vector<bool> at_once_;         // whether these are read at once
  unsigned threads_ = 1;
  std::unique_ptr<Crew> crew_;
  std::vector<Task> tasks_;
  Buffers buffers_;
};

}  // namespace

void read_selection(const StoredElements& elements, Selection selection, const DType& dtype, std::byte* result,
                    unsigned threads) {
  SelectionReader(elements, std::move(selection), dtype, result, threads);
}

}  // namespace stele
