#pragma once
// Eigen's sparse types: a record {rows, cols, order, indptr, indices, values}, as SciPy names the parts. The order is
// "C" for compressed rows and "F" for compressed columns; a matrix of the other order is converted when read.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/SparseCore>

#include "stele/eigen/dense.hpp"

namespace stele {

namespace eigen {

template <class T>
concept Sparse = std::is_base_of_v<Eigen::SparseMatrixBase<T>, T>;
/// Has its parts in memory: SparseMatrix, SparseVector, and views of them.
template <class T>
concept Compressible = Sparse<T> && std::is_base_of_v<Eigen::SparseCompressedBase<T>, T>;

template <class T>
inline constexpr bool owns_parts = false;
template <class Scalar, int Options, class Index>
inline constexpr bool owns_parts<Eigen::SparseMatrix<Scalar, Options, Index>> = true;
template <class Scalar, int Options, class Index>
inline constexpr bool owns_parts<Eigen::SparseVector<Scalar, Options, Index>> = true;

inline constexpr std::array<std::string_view, 6> sparse_names{"rows", "cols", "order", "indptr", "indices", "values"};

/// Whether `starts` delimits `outer` vectors of `count` indices in all, each strictly ascending from 0 up to `inner`.
template <class Index>
bool is_compressed(const Index* starts, std::size_t outer, const Index* indices, std::uint64_t count, Index inner) {
  if (starts[0] != 0 || !std::cmp_equal(starts[outer], count)) {
    return false;
  }
  for (std::size_t j = 0; j < outer; ++j) {
    if (starts[j] > starts[j + 1]) {
      return false;
    }
  }
  bool good = true;
  for (std::size_t j = 0; j < outer; ++j) {
    std::int64_t last = -1;
    for (Index k = starts[j]; k < starts[j + 1]; ++k) {
      good &= indices[k] > last;
      last = indices[k];
    }
    good &= last < inner;
  }
  return good;
}

/// Writes the parts of a sparse matrix or vector.
template <Compressible T>
void write_sparse(OutVisitor& out, const T& value) {
  using Scalar = typename T::Scalar;
  using Index = typename T::StorageIndex;
  const auto outer = static_cast<std::size_t>(value.outerSize());
  const auto count = static_cast<std::size_t>(value.nonZeros());
  const Index* starts = value.outerIndexPtr();  // null for a SparseVector
  const Index* indices = value.innerIndexPtr();
  const Scalar* values = value.valuePtr();
  const Index* sizes = value.innerNonZeroPtr();  // null if there are no gaps between the vectors

  std::vector<Index> own_starts;
  std::vector<Index> own_indices;
  Eigen::Matrix<Scalar, Eigen::Dynamic, 1> own_values;
  if (starts == nullptr) {
    own_starts = {0, static_cast<Index>(count)};
  } else if (sizes != nullptr || starts[0] != 0) {
    own_starts.push_back(0);
    own_indices.reserve(count);
    own_values.resize(static_cast<Eigen::Index>(count));
    for (std::size_t j = 0; j < outer; ++j) {
      const Index size = sizes != nullptr ? sizes[j] : static_cast<Index>(starts[j + 1] - starts[j]);
      std::copy_n(values + starts[j], size, own_values.data() + own_indices.size());
      own_indices.insert(own_indices.end(), indices + starts[j], indices + starts[j] + size);
      own_starts.push_back(static_cast<Index>(own_indices.size()));
    }
    indices = own_indices.data();
    values = own_values.data();
  }
  if (!own_starts.empty()) {
    starts = own_starts.data();
  }
  if (!is_compressed(starts, outer, indices, count, static_cast<Index>(value.innerSize()))) {
    fail(Errc::invalid_argument, "a sparse matrix whose inner indices are not in ascending order cannot be stored");
  }
  out.begin_record({sparse_names, 0, sparse_names.data()});
  out.natural(static_cast<std::uint64_t>(value.rows()));
  out.natural(static_cast<std::uint64_t>(value.cols()));
  out.text(T::IsRowMajor ? "C" : "F");
  out.array(ArrayView(walk::dtype_of<Index>(), starts, outer + 1));
  out.array(ArrayView(walk::dtype_of<Index>(), indices, count));
  out.array(ArrayView(walk::dtype_of<Scalar>(), values, count));
  out.end();
}

/// Receives a list of items into the memory that place(count) gives. Integers of another type than Item are taken where
/// `narrows`, and brought to Item by finish().
template <class Item, bool narrows, class Place>
class ListTarget final : public PlacedTarget {
 public:
  ListTarget(InVisitor& in, const Extent& count, Place place)
      : PlacedTarget(in, narrows ? DType() : walk::dtype_of<Item>(), Order::row_major, false),
        in_(in),
        count_(count),
        place_(std::move(place)) {}
  bool accepts(const ArrayHeader& stored) override {
    return stored.shape.rank() == 1 && count_.fits(stored.shape[0]) && (!narrows || is_integer(stored.dtype.kind()));
  }
  std::string expected() const override { return message({narrows ? "integers[" : "[", count_.text(), "]"}); }

  /// The number of items. Fails where one does not fit.
  std::uint64_t finish() {
    if constexpr (narrows) {
      if (!other_.empty()) {
        Item* const to = place_(found_);
        bool fit = true;
        for_integer(kind_, [&]<class Stored>(Stored value) {
          for (std::uint64_t i = 0; i < found_; ++i) {
            std::memcpy(&value, other_.data() + i * sizeof(Stored), sizeof(Stored));
            fit &= std::in_range<Item>(value);
            to[i] = static_cast<Item>(value);
          }
        });
        if (!fit) {
          in_.error(Errc::out_of_range,
                    message({"an index of a sparse matrix does not fit in ", walk::dtype_of<Item>().name()}));
        }
      }
    }
    return found_;
  }

 private:
  template <class F>
  static bool for_integer(DType::Kind kind, F&& use) {
    switch (kind) {
      case DType::Kind::int8:
        return use(std::int8_t{}), true;
      case DType::Kind::int16:
        return use(std::int16_t{}), true;
      case DType::Kind::int32:
        return use(std::int32_t{}), true;
      case DType::Kind::int64:
        return use(std::int64_t{}), true;
      case DType::Kind::uint8:
        return use(std::uint8_t{}), true;
      case DType::Kind::uint16:
        return use(std::uint16_t{}), true;
      case DType::Kind::uint32:
        return use(std::uint32_t{}), true;
      case DType::Kind::uint64:
        return use(std::uint64_t{}), true;
      default:
        return false;
    }
  }
  static bool is_integer(DType::Kind kind) {
    return for_integer(kind, [](auto) {});
  }
  std::byte* place(const ArrayHeader& stored) override {
    found_ = stored.shape[0];
    kind_ = stored.dtype.kind();
    if (!narrows || stored.dtype == walk::dtype_of<Item>()) {
      return reinterpret_cast<std::byte*>(place_(found_));
    }
    other_.resize(static_cast<std::size_t>(found_) * stored.dtype.item_size());
    return other_.data();
  }

  InVisitor& in_;
  Extent count_;
  Place place_;
  std::uint64_t found_ = 0;
  DType::Kind kind_ = DType::Kind::none;
  std::vector<std::byte> other_;
};

/// Reads the parts in whatever order they are stored; indices and values go where the matrix has them.
template <class Matrix>
class SparseReader {
 public:
  explicit SparseReader(InVisitor& in) : in_(in) {}

  void read(Matrix& value) {
    std::string_view name;
    std::size_t part = 0;
    in_.begin_record();
    while (in_.next_field(name)) {
      part = walk::find_name(sparse_names, name, part);
      if (part < sparse_names.size()) {
        if (seen_[part]) {
          walk::duplicate_field(in_, name);
        }
        seen_[part] = true;
        read_part(part++);
      } else if (in_.field_rules().known) {
        walk::unknown_field(in_, name);
      } else {
        in_.skip();
      }
    }
    for (std::size_t i = 0; i < seen_.size(); ++i) {
      if (!seen_[i]) {
        walk::missing_field(in_, sparse_names[i]);
      }
    }
    assemble();
    value.swap(matrix_);
  }

 private:
  using Scalar = typename Matrix::Scalar;
  using Index = typename Matrix::StorageIndex;

  void read_part(std::size_t part) {
    switch (part) {
      case 0:
        return read_extent(rows_);
      case 1:
        return read_extent(cols_);
      case 2:
        stele::read(in_, order_);
        if (order_ != "C" && order_ != "F") {
          in_.error(Errc::malformed, "the order of a sparse matrix is \"C\" or \"F\"");
        }
        return;
      case 3:
        read_list<Index, true>(Extent(), [this](std::uint64_t count) {
          starts_.resize(static_cast<std::size_t>(count));
          return starts_.data();
        });
        return;
      case 4:
        count_ = read_list<Index, true>(count_, [this](std::uint64_t count) {
          matrix_.resizeNonZeros(static_cast<Eigen::Index>(count));
          return matrix_.innerIndexPtr();
        });
        return;
      default:
        count_ = read_list<Scalar, false>(count_, [this](std::uint64_t count) {
          matrix_.resizeNonZeros(static_cast<Eigen::Index>(count));
          return matrix_.valuePtr();
        });
    }
  }
  void read_extent(Index& extent) {
    stele::read(in_, extent);
    if (extent < 0) {
      in_.error(Errc::damaged, "a sparse matrix has less than no rows or columns");
    }
  }
  template <class Item, bool narrows, class Place>
  Extent read_list(const Extent& count, Place place) {
    ListTarget<Item, narrows, Place> target(in_, count, std::move(place));
    in_.array(target);
    return {target.finish(), true};
  }
  void assemble() {
    const bool by_rows = order_ == "C";
    const auto outer = static_cast<std::uint64_t>(by_rows ? rows_ : cols_);
    const Index inner = by_rows ? cols_ : rows_;
    if (starts_.size() != outer + 1) {
      in_.error(Errc::damaged, message({"a sparse matrix of ", outer, by_rows ? " rows" : " columns",
                                        " whose indptr has ", starts_.size(), " items"}));
    }
    if (!is_compressed(starts_.data(), starts_.size() - 1, matrix_.innerIndexPtr(), count_.most, inner)) {
      in_.error(Errc::damaged, "a sparse matrix whose indices are not in ascending order within its size");
    }
    if (by_rows == bool(Matrix::IsRowMajor)) {
      matrix_.conservativeResize(rows_, cols_);  // keeps indices and values
      std::copy(starts_.begin(), starts_.end(), matrix_.outerIndexPtr());
      return;
    }
    using Stored = Eigen::SparseMatrix<Scalar, Matrix::IsRowMajor ? Eigen::ColMajor : Eigen::RowMajor, Index>;
    Matrix turned(Eigen::Map<const Stored>(rows_, cols_, static_cast<Eigen::Index>(count_.most), starts_.data(),
                                           matrix_.innerIndexPtr(), matrix_.valuePtr()));
    matrix_.swap(turned);
  }

  InVisitor& in_;
  Matrix matrix_;
  std::array<bool, sparse_names.size()> seen_{};
  Index rows_ = 0;
  Index cols_ = 0;
  std::string order_;
  std::vector<Index> starts_;
  // both indices and values have the number of those that come first
  Extent count_{static_cast<std::uint64_t>(std::numeric_limits<Index>::max()), false};
};

}  // namespace eigen

template <eigen::Sparse T>
struct Visit<T> {
  using built_in = T;
  using Scalar = typename T::Scalar;
  using Index = typename T::StorageIndex;
  static_assert(eigen::ArrayScalar<Scalar>, "stele: the values of a sparse matrix are numbers or records of numbers");

  static constexpr void add_form(walk::Form& form) {
    form += "sparse(";
    walk::add_form<Scalar>(form);
    form += ')';
  }
  static void write(OutVisitor& out, const T& value) {
    if constexpr (eigen::Compressible<T>) {
      eigen::write_sparse(out, value);
    } else {
      const typename T::PlainObject evaluated(value);
      eigen::write_sparse(out, evaluated);
    }
  }
  static void read(InVisitor& in, T& value) {
    using Matrix = Eigen::SparseMatrix<Scalar, T::IsRowMajor ? Eigen::RowMajor : Eigen::ColMajor, Index>;
    static_assert(eigen::owns_parts<T>,
                  "stele: a view of a sparse matrix cannot be read into; read into a SparseMatrix or SparseVector");
    Matrix matrix;
    eigen::SparseReader<Matrix>(in).read(matrix);
    if constexpr (std::is_same_v<T, Matrix>) {
      value.swap(matrix);
    } else {
      if (matrix.outerSize() != 1) {
        const Shape found{static_cast<std::uint64_t>(matrix.rows()), static_cast<std::uint64_t>(matrix.cols())};
        in.error(Errc::type_mismatch, message({"expected a sparse vector, found a sparse matrix ", found.text()}));
      }
      value = matrix;
    }
  }
};

}  // namespace stele
