#include "archive/read/lazy/lazy_array.hpp"

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "archive/convert.hpp"
#include "archive/read/lazy/selection.hpp"
#include "base/bits.hpp"
#include "base/naming.hpp"
#include "base/threads/behind.hpp"
#include "stele/value.hpp"

namespace stele {
namespace {

/// The number of positions that a range has on an axis.
std::uint64_t positions(const Range& range, std::uint64_t extent) {
  const auto outside = [&] {
    fail(Errc::out_of_range, message({"a range from ", range.first, " on an axis of ", extent, " positions"}));
  };
  if (range.step == 0) {
    fail(Errc::invalid_argument, "a range with a step of 0");
  }
  const std::uint64_t end = range.step > 0 ? extent : 0;  // where nothing is left
  if (range.count == 0 || (range.count == Range::rest && range.first == end && (range.step > 0 || extent == 0))) {
    if (range.first > extent) {
      outside();
    }
    return 0;
  }
  if (range.first >= extent) {
    outside();
  }
  const std::uint64_t step =
      range.step > 0 ? static_cast<std::uint64_t>(range.step) : -static_cast<std::uint64_t>(range.step);
  const std::uint64_t most = (range.step > 0 ? extent - 1 - range.first : range.first) / step + 1;
  if (range.count != Range::rest && range.count > most) {
    outside();
  }
  return std::min(range.count, most);
}

}  // namespace

struct JobAhead::State {
  std::optional<Behind> thread;
  std::function<void()> own;  // a job for wait(), where there is no thread
};
JobAhead::JobAhead() : state_(std::make_unique<State>()) {}
JobAhead::~JobAhead() = default;
void JobAhead::start(std::function<void()> job) {
  try {
    if (!state_->thread) {
      state_->thread.emplace(1);
    }
  } catch (const std::system_error&) {
    state_->own = std::move(job);
    return;
  }
  state_->thread->run(std::move(job));
}
void JobAhead::wait() {
  if (const auto job = std::exchange(state_->own, nullptr)) {
    job();
  } else {
    state_->thread->wait();
  }
}

const DType& AnyLazyArray::dtype() const noexcept { return state_->dtype; }
const Shape& AnyLazyArray::shape() const noexcept { return state_->shape; }
Order AnyLazyArray::order() const noexcept { return state_->order; }
const std::string& AnyLazyArray::encoding() const noexcept { return state_->encoding; }

Shape AnyLazyArray::extents(std::span<const Range> box) const {
  return naming(
      state_->file_name,
      [&] {
        Shape shape = state_->shape;
        if (box.size() > shape.rank()) {
          fail(Errc::invalid_argument, message({box.size(), " ranges for an array of ", shape.rank(), " axes"}));
        }
        for (std::size_t axis = 0; axis < box.size(); ++axis) {
          shape[axis] = positions(box[axis], shape[axis]);
        }
        return shape;
      },
      state_->path);
}

void AnyLazyArray::check(const Shape& shape, const DType& dtype) const {
  const auto bytes = checked_multiply(shape.count(), dtype.item_size());
  if (!bytes || *bytes > state_->limits.allocation) {
    fail(Errc::limit_exceeded, "a part " + dtype.name() + shape.text() + " is beyond the allocation limit",
         {.path = state_->path, .file = state_->file_name});
  }
}

void AnyLazyArray::read(std::span<const Range> box, const DType& dtype, MutableBytes to) const {
  read(box, {}, false, dtype, to);
}

AnyArray AnyLazyArray::read(std::span<const Range> box) const {
  const Shape shape = extents(box);
  check(shape, state_->dtype);
  const auto buffer = Buffer::allocate(static_cast<std::size_t>(shape.count() * state_->dtype.item_size()));
  read(box, state_->dtype, {buffer->mutable_data(), buffer->size()});
  return {ArrayView(state_->dtype, buffer->data(), shape, Order::row_major), buffer};
}

void AnyLazyArray::gather(std::span<const std::uint64_t> rows, const DType& dtype, MutableBytes to) const {
  read({}, rows, true, dtype, to);
}

void AnyLazyArray::read(std::span<const Range> box, std::span<const std::uint64_t> rows, bool gather,
                        const DType& dtype, MutableBytes to) const {
  const State& state = *state_;
  naming(
      state.file_name,
      [&] {
        Shape shape = extents(box);
        if (gather && shape.rank() == 0) {
          fail(Errc::invalid_argument, "an array of rank 0 has no rows");
        }
        if (gather) {
          shape[0] = rows.size();
        }
        check(shape, dtype);
        if (!widens(state.dtype, dtype)) {
          fail(Errc::type_mismatch, "expected " + dtype.name() + ", found " + state.dtype.name());
        }
        if (checked_multiply(shape.count(), dtype.item_size()) != std::uint64_t{to.size()}) {
          fail(Errc::invalid_argument,
               message({"room of ", to.size(), " bytes for elements ", dtype.name(), shape.text()}));
        }
        for (const std::uint64_t row : rows) {
          if (row >= state.shape[0]) {
            fail(Errc::out_of_range, message({"row ", row, " of ", state.shape[0]}));
          }
        }
        if (state.boxes != nullptr) {
          if (gather) {
            return state.boxes->gather(rows, dtype, to);
          }
          std::vector<Range> all(box.begin(), box.end());
          all.resize(shape.rank());
          for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
            all[axis].count = shape[axis];
          }
          return state.boxes->read(all, dtype, to);
        }
        Selection selection;
        selection.first = state.first;
        std::int64_t result_stride = 1;
        for (std::size_t axis = shape.rank(); axis-- > 0;) {
          const Range range = axis < box.size() ? box[axis] : Range{};
          SelectedAxis& selected = selection.axes.emplace_back();
          selected.count = shape[axis];
          selected.stride = shape[axis] < 2 && rows.empty() ? 0 : state.strides[axis] * range.step;
          selected.result_stride = result_stride;
          selection.first += range.first * static_cast<std::uint64_t>(state.strides[axis]);
          result_stride *= static_cast<std::int64_t>(shape[axis]);
        }
        for (std::size_t i = 0; i < rows.size(); ++i) {
          selection.axes.back().places.push_back({rows[i], i});
        }
        read_selection(*state.elements, std::move(selection), dtype, to.data(), state.threads);
      },
      state.path);
}

}  // namespace stele
