#pragma once
// Arrays in open files of which parts are read: rows, boxes, batches.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "stele/array.hpp"
#include "stele/io.hpp"
#include "stele/walk/arrays.hpp"

namespace stele {

class AnyArray;

/// Positions along one axis of an array: `first`, `first + step`, …, `count` of them.
struct Range {
  /// As many as there are.
  static constexpr std::uint64_t rest = ~std::uint64_t{0};

  std::uint64_t first = 0;
  std::uint64_t count = rest;
  std::int64_t step = 1;  // below 0: towards the beginning; not 0
};

/// An array of any type in an open file. Its elements stay in the file: each call reads and decodes only what it needs,
/// of compressed files whole blocks. A file without random access, such as another tool's gzip file, was
/// decompressed into memory when it was opened.
///
/// A copy costs nothing. An array keeps its file open, so it stays valid after the File is gone. Several threads may
/// call its members at once.
///
/// What is read is checked as LoadOptions::verify says: by default always, in a mapping only with Verify::full. Large
/// arrays have a checksum for each MiB of their elements. A piece of which only a part is wanted is read whole when it
/// is met first, so that a few bytes may cost 1 MiB; Verify::directory leaves that out. In a compressed file, whose
/// blocks have the checksums of its format, such pieces are read whole with Verify::full only. Damage names its rows.
class AnyLazyArray {
 public:
  const DType& dtype() const noexcept;
  const Shape& shape() const noexcept;
  /// Which index varies slowest in the file.
  Order order() const noexcept;
  /// "raw", "pieces", "view", or the name of the encoding.
  const std::string& encoding() const noexcept;

  /// The extents of a box: a Range for each of the first axes; the other axes count as a whole.
  /// Throws: Error(invalid_argument) for more ranges than axes and a step of 0, Error(out_of_range).
  Shape extents(std::span<const Range> box) const;
  /// Checks that LoadOptions::limits allows a part of this shape and element type.
  /// Throws: Error(limit_exceeded).
  void check(const Shape& shape, const DType& dtype) const;
  /// Reads the elements of a box to `to`, densely in row-major order, converted to `dtype` as load() does. `to` has
  /// room for exactly these elements. Record fields that are not stored keep the contents of `to`.
  /// Throws: Error(type_mismatch), Error(out_of_range), Error(invalid_argument), Error(limit_exceeded),
  /// Error(damaged), Error(malformed), Error(truncated), Error(io).
  void read(std::span<const Range> box, const DType& dtype, MutableBytes to) const;
  /// The same, of the stored type, in a new array. AnyArray is declared in stele/value.hpp.
  AnyArray read(std::span<const Range> box) const;
  /// Reads rows, positions along the first axis, in any order and any number of times, to `to` in that order. Rows that
  /// lie close together are read at once. Throws as read().
  void gather(std::span<const std::uint64_t> rows, const DType& dtype, MutableBytes to) const;

 private:
  friend class File;
  struct State;
  explicit AnyLazyArray(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  void read(std::span<const Range> box, std::span<const std::uint64_t> rows, bool gather, const DType& dtype,
            MutableBytes to) const;
  std::shared_ptr<const State> state_;
};

/// The rows of an array that is read in order, from a pipe for example; see Reader::batches(). Not thread-safe.
class RowStream {
 public:
  virtual ~RowStream() = default;
  /// The stored element type.
  virtual const DType& dtype() const noexcept = 0;
  /// The extents of one row.
  virtual const Shape& row() const noexcept = 0;
  /// Reads up to `count` rows. Returns how many there were; 0 at the end of the array, and then the rest of the archive
  /// has been read too. Throws: what load() throws.
  virtual std::uint64_t read(std::uint64_t count) = 0;
  /// Copies the rows read last to `to`, converted to `dtype` as load() does. Throws: Error(out_of_range) for times that
  /// `dtype` cannot hold.
  virtual void take(const DType& dtype, MutableBytes to) const = 0;
};

template <class T, std::size_t Rank>
class Batches;

/// A thread that runs one job while its owner goes on. Not thread-safe.
class JobAhead {
 public:
  JobAhead();
  /// Waits for the job.
  ~JobAhead();
  JobAhead(const JobAhead&) = delete;
  JobAhead& operator=(const JobAhead&) = delete;
  /// Starts a job; the one before must have been waited for.
  void start(std::function<void()> job);
  /// Waits for the job. Throws what it threw.
  void wait();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// An array of T with Rank axes in an open file; see AnyLazyArray. Elements are converted as load() does.
template <class T, std::size_t Rank>
class LazyArray {
 public:
  /// `Rank` or fewer ranges, from the first axis on: {{1000, 1000}, {5, 1}}.
  using Box = std::initializer_list<Range>;

  explicit LazyArray(AnyLazyArray array) : array_(std::move(array)) {}

  const AnyLazyArray& any() const noexcept { return array_; }
  const DType& dtype() const noexcept { return array_.dtype(); }
  std::array<std::uint64_t, Rank> shape() const noexcept { return shape_of(array_.shape()); }
  Order order() const noexcept { return array_.order(); }
  const std::string& encoding() const noexcept { return array_.encoding(); }

  /// `count` rows from row `first` on, in row-major order.
  /// Throws: Error(out_of_range), and what AnyLazyArray::read() throws.
  Array<T, Rank> rows(std::uint64_t first, std::uint64_t count) const { return read({Range{first, count}}); }
  /// A box.
  Array<T, Rank> read(std::span<const Range> box) const {
    Array<T, Rank> part = room(array_.extents(box));
    array_.read(box, walk::dtype_of<T>(), bytes_of(part));
    return part;
  }
  Array<T, Rank> read(Box box) const { return read(std::span(box.begin(), box.size())); }
  /// A box, to memory of the caller's that has room for exactly its elements, in row-major order.
  void read(std::span<const Range> box, std::span<T> to) const {
    array_.read(box, walk::dtype_of<T>(), std::as_writable_bytes(to));
  }
  void read(Box box, std::span<T> to) const { read(std::span(box.begin(), box.size()), to); }
  /// These rows in this order; see AnyLazyArray::gather().
  Array<T, Rank> gather(std::span<const std::uint64_t> rows) const
    requires(Rank >= 1)
  {
    Shape shape = array_.shape();
    shape[0] = rows.size();
    Array<T, Rank> part = room(shape);
    array_.gather(rows, walk::dtype_of<T>(), bytes_of(part));
    return part;
  }
  Array<T, Rank> gather(std::initializer_list<std::uint64_t> rows) const
    requires(Rank >= 1)
  {
    return gather(std::span(rows.begin(), rows.size()));
  }
  /// All rows in batches of `count`, the last one shorter, for one loop:
  /// `for (const Array<T, Rank>& batch : x.batches(4096))`. The next batch is read while the loop works on one.
  /// Throws: Error(invalid_argument) for a count of 0; the loop throws what rows() throws.
  Batches<T, Rank> batches(std::uint64_t count) const
    requires(Rank >= 1);

 private:
  static std::array<std::uint64_t, Rank> shape_of(const Shape& shape) noexcept {
    std::array<std::uint64_t, Rank> extents{};
    std::copy_n(shape.begin(), Rank, extents.begin());
    return extents;
  }
  Array<T, Rank> room(const Shape& shape) const {
    array_.check(shape, walk::dtype_of<T>());
    if constexpr (requires { DTypeOf<T>::kind; }) {
      return Array<T, Rank>::uninitialized(shape_of(shape));
    } else {
      return Array<T, Rank>(shape_of(shape));  // where a field is not stored, its default stands
    }
  }
  static MutableBytes bytes_of(Array<T, Rank>& array) {
    return {reinterpret_cast<std::byte*>(array.mutable_data()), static_cast<std::size_t>(array.size()) * sizeof(T)};
  }
  AnyLazyArray array_;
};

/// The rows of an array in batches, for one pass. Made by LazyArray::batches() and Reader::batches().
template <class T, std::size_t Rank>
class Batches {
 public:
  struct Batch {
    Array<T, Rank> rows;
    bool last = false;
  };
  /// `read` is given the most rows of a batch; it returns the next one, or nothing after the last. Called on another
  /// thread while the loop works on a batch.
  using Read = std::function<std::optional<Batch>(std::uint64_t)>;
  Batches(std::uint64_t count, Read read) : read_(std::move(read)), count_(count) {
    if (count == 0) {
      fail(Errc::invalid_argument, "batches of no rows");
    }
  }

  class Iterator {
   public:
    using value_type = Array<T, Rank>;
    using difference_type = std::ptrdiff_t;

    explicit Iterator(Batches& batches) : batches_(&batches) { batches_->advance(); }
    /// Valid until the next step.
    const Array<T, Rank>& operator*() const noexcept { return batches_->current_->rows; }
    Iterator& operator++() {
      batches_->advance();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool at_end() const noexcept { return !batches_->current_; }
    friend bool operator==(const Iterator& at, std::default_sentinel_t) noexcept { return at.at_end(); }

   private:
    Batches* batches_;
  };
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  void advance() {
    if (!std::exchange(begun_, true)) {
      current_ = read_(count_);
    } else if (current_ && current_->last) {
      current_.reset();
    } else if (current_) {
      ahead_.wait();
      current_ = std::exchange(next_, std::nullopt);
    }
    if (current_ && !current_->last) {
      ahead_.start([this] { next_ = read_(count_); });
    }
  }
  Read read_;
  std::uint64_t count_;
  bool begun_ = false;
  std::optional<Batch> current_;
  std::optional<Batch> next_;
  JobAhead ahead_;  // reads next_; destroyed before it
};

template <class T, std::size_t Rank>
Batches<T, Rank> LazyArray<T, Rank>::batches(std::uint64_t count) const
  requires(Rank >= 1)
{
  using Batch = typename Batches<T, Rank>::Batch;
  return Batches<T, Rank>(
      count, [array = *this, first = std::uint64_t{0}](std::uint64_t most) mutable -> std::optional<Batch> {
        const std::uint64_t left = array.shape()[0] - first;
        if (left == 0) {
          return std::nullopt;
        }
        const std::uint64_t rows = std::min(most, left);
        Batch batch{array.rows(first, rows), rows == left};
        first += rows;
        return batch;
      });
}

/// The batches of a stream.
template <class T, std::size_t Rank>
Batches<T, Rank> batches_of(std::shared_ptr<RowStream> stream, std::uint64_t count) {
  using Batch = typename Batches<T, Rank>::Batch;
  return Batches<T, Rank>(count, [stream = std::move(stream)](std::uint64_t most) -> std::optional<Batch> {
    std::array<std::uint64_t, Rank> shape{stream->read(most)};
    if (shape[0] == 0) {
      return std::nullopt;
    }
    std::copy_n(stream->row().begin(), Rank - 1, shape.begin() + 1);
    Batch batch{Array<T, Rank>::uninitialized(shape)};
    if constexpr (!requires { DTypeOf<T>::kind; }) {
      batch.rows = Array<T, Rank>(shape);  // where a field is not stored, its default stands
    }
    stream->take(walk::dtype_of<T>(), {reinterpret_cast<std::byte*>(batch.rows.mutable_data()),
                                       static_cast<std::size_t>(batch.rows.size()) * sizeof(T)});
    return batch;
  });
}

}  // namespace stele
