#include "archive/read/parts/rows.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "archive/convert.hpp"
#include "archive/read/parts/locate.hpp"
#include "archive/value/any_array.hpp"
#include "base/bytes.hpp"
#include "stele/value.hpp"

namespace stele {
namespace {

constexpr std::uint64_t least_step = std::uint64_t{1} << 20;  // memory that is taken before data has arrived

class RowsInOrder final : public RowStream {
  template <class F>
  auto placed(F&& f) {
    try {
      return f();
    } catch (const Error& error) {
      decoder_.rethrow(error);
    }
  }

 public:
  RowsInOrder(Decoder& decoder, std::string_view path, ArrayTarget& wanted, const Limits& limits,
              std::function<void()> finish)
      : decoder_(decoder), limits_(limits), finish_(std::move(finish)) {
    placed([&] {
      for (const PathStep& step : split_path(path)) {
        enter(step);
      }
      begin(wanted);
    });
  }

  const DType& dtype() const noexcept override { return dtype_; }
  const Shape& row() const noexcept override { return row_; }

  std::uint64_t read(std::uint64_t count) override {
    return placed([&] {
      const std::uint64_t rows = ended_ ? 0 : read_rows(count);
      if (rows == 0 && !std::exchange(ended_, true)) {
        leave();
        finish_();
      }
      return rows;
    });
  }

  void take(const DType& dtype, MutableBytes to) const override {
    if (to.empty()) {
      return;  // rows without elements
    }
    if (dtype == dtype_) {
      std::memcpy(to.data(), elements_.data(), to.size());
    } else if (!convert_elements(dtype_, elements_.data(), dtype, to.data(), to.size() / dtype.item_size())) {
      fail(Errc::out_of_range, inexact_time);
    }
  }

 private:
  /// Goes on to the value that a step leads to.
  void enter(const PathStep& step) {
    while (decoder_.begin_typed()) {
    }
    const Kind kind = decoder_.kind();
    levels_.push_back(kind);
    if (kind == Kind::record && step.kind == PathStep::Kind::name) {
      std::string_view field;
      decoder_.begin_record();
      while (decoder_.next_field(field)) {
        if (field == step.name) {
          return;
        }
        decoder_.skip();
      }
    } else if (kind == Kind::map) {
      std::string key;
      decoder_.begin_map();
      for (std::uint64_t i = 0; decoder_.next(); ++i) {
        if (key_is(decoder_, step, i, key)) {
          return;
        }
        decoder_.skip();
      }
    } else if (kind == Kind::sequence && step.kind == PathStep::Kind::name) {
      const auto index = index_of(step.name);
      decoder_.begin_sequence();
      for (std::uint64_t i = 0; index && decoder_.next(); ++i) {
        if (i == *index) {
          return;
        }
        decoder_.skip();
      }
    }
    fail(Errc::not_found, "there is no value at this path");
  }

  void begin(ArrayTarget& wanted) {
    AnyTarget whole;
    const auto rows = decoder_.begin_rows(wanted, whole);
    Shape shape;
    if (rows) {
      dtype_ = rows->header.dtype;
      shape = rows->header.shape;
      count_known_ = rows->count_known;
      big_endian_ = rows->big_endian;
    } else {
      dtype_ = whole.view().dtype;
      shape = whole.view().shape;
      whole_ = AnyArray(whole.view(), whole.buffer());
    }
    if (shape.rank() == 0) {
      fail(Errc::type_mismatch, "an array of rank 0 has no rows");
    }
    left_ = shape[0];
    for (std::size_t axis = 1; axis < shape.rank(); ++axis) {
      row_.push_back(shape[axis]);
    }
    row_elements_ = row_.count();
  }

  std::uint64_t read_rows(std::uint64_t count) {
    count = count_known_ ? std::min(count, left_) : count;
    const std::uint64_t row_bytes = row_elements_ * dtype_.item_size();
    if (row_bytes == 0 && !count_known_) {
      fail(Errc::malformed, "an array of rows without bytes, which have no number");
    }
    const auto size = checked_multiply(count, row_bytes);
    if (!size || *size > limits_.allocation) {
      fail(Errc::limit_exceeded, "a batch of rows is beyond the allocation limit");
    }
    if (whole_) {
      elements_.resize(static_cast<std::size_t>(*size));
      gather(whole_->view(), Order::row_major, (whole_->shape()[0] - left_) * row_elements_, count * row_elements_,
             elements_.data());
      left_ -= count;
      return count;
    }
    std::size_t have = 0;
    while (have < *size) {
      const std::uint64_t end = std::min(*size, std::max<std::uint64_t>(least_step, std::uint64_t{2} * have));
      if (elements_.size() < end) {
        elements_.resize(static_cast<std::size_t>(end));
      }
      const std::size_t got = decoder_.read_elements(MutableBytes(elements_).subspan(have, end - have));
      have += got;
      if (have < end) {
        break;
      }
    }
    const std::uint64_t rows = count_known_ ? count : have / row_bytes;
    if (big_endian_) {
      swap_elements(dtype_, elements_.data(), rows * row_elements_);
    }
    if (has_booleans(dtype_) && !booleans_are_valid(dtype_, elements_.data(), rows * row_elements_)) {
      fail(Errc::malformed, "an array of bool holds a byte other than 0 and 1");
    }
    left_ -= count_known_ ? rows : 0;
    return rows;
  }

  /// Passes over the rest of the root.
  void leave() {
    std::byte more;
    if (!whole_ && decoder_.read_elements({&more, 1}) > 0) {
      fail(Errc::malformed, "an array with more elements than its shape says");
    }
    std::string_view field;
    for (; !levels_.empty(); levels_.pop_back()) {
      if (levels_.back() == Kind::record) {
        while (decoder_.next_field(field)) {
          decoder_.skip();
        }
      } else {
        while (decoder_.next()) {
          if (levels_.back() == Kind::map) {
            decoder_.skip();
          }
          decoder_.skip();
        }
      }
    }
  }

  Decoder& decoder_;
  const Limits limits_;
  const std::function<void()> finish_;
  std::vector<Kind> levels_;  // containers that are open, the outermost first
  DType dtype_;
  Shape row_;
  std::uint64_t row_elements_ = 1;
  std::uint64_t left_ = 0;  // rows, if count_known_
  bool count_known_ = true;
  bool big_endian_ = false;
  std::optional<AnyArray> whole_;
  std::vector<std::byte> elements_;  // of the rows read last
  bool ended_ = false;
};

}  // namespace

std::shared_ptr<RowStream> rows_in_order(Decoder& decoder, std::string_view path, ArrayTarget& wanted,
                                         const Limits& limits, std::function<void()> finish) {
  return std::make_shared<RowsInOrder>(decoder, path, wanted, limits, std::move(finish));
}

}  // namespace stele
