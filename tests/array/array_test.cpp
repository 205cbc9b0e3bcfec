#include "stele/array.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <complex>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "array/huge_pages.hpp"
#include "base/bytes.hpp"

namespace stele {
namespace {

template <class Action>
Errc code_of(Action action) {
  try {
    action();
  } catch (const Error& e) {
    return e.code();
  }
  ADD_FAILURE() << "no error";
  return Errc::io;
}

TEST(Bytes, LoadsAndStoresBothOrders) {
  std::byte raw[8] = {};
  store_le<std::uint32_t>(raw, 0x01020304);
  EXPECT_EQ(raw[0], std::byte{4});
  EXPECT_EQ(load_le<std::uint32_t>(raw), 0x01020304u);
  EXPECT_EQ(load_be<std::uint32_t>(raw), 0x04030201u);
  store_be<std::int16_t>(raw, -2);
  EXPECT_EQ(load_be<std::int16_t>(raw), -2);
  EXPECT_EQ(raw[0], std::byte{0xff});
  store_le<std::uint64_t>(raw, 0x0102030405060708u);
  EXPECT_EQ(load_be<std::uint64_t>(raw), 0x0807060504030201u);
  for (std::size_t width = 1; width <= 8; ++width) {
    const std::uint64_t value = 0xf1f2f3f4f5f6f7f8u >> (64 - 8 * width);
    store_le(raw, value, width);
    EXPECT_EQ(load_le(raw, width), value);
    std::reverse(raw, raw + width);
    EXPECT_EQ(load_be(raw, width), value);
    store_be(raw, value, width);
    EXPECT_EQ(load_be(raw, width), value);
  }
  EXPECT_EQ(byteswap(std::uint16_t{0x0102}), 0x0201);
  EXPECT_EQ(byteswap(std::int8_t{-3}), -3);
  static_assert(byteswap(0x0102030405060708u) == 0x0807060504030201u);
}

TEST(Bytes, ArithmeticIsChecked) {
  EXPECT_EQ(checked_add(UINT64_MAX - 1, 1), UINT64_MAX);
  EXPECT_EQ(checked_add(UINT64_MAX, 1), std::nullopt);
  EXPECT_EQ(checked_multiply(std::uint64_t{1} << 32, (std::uint64_t{1} << 32) - 1), 0xffffffff00000000u);
  EXPECT_EQ(checked_multiply(std::uint64_t{1} << 32, std::uint64_t{1} << 32), std::nullopt);
}

TEST(Shape, CountsAndCompares) {
  EXPECT_EQ(Shape().count(), 1u);
  EXPECT_EQ(Shape().text(), "[]");
  const Shape images{60000, 28, 28};
  EXPECT_EQ(images.rank(), 3u);
  EXPECT_EQ(images.count(), 47040000u);
  EXPECT_EQ(images.text(), "[60000, 28, 28]");
  EXPECT_EQ(images[1], 28u);
  EXPECT_EQ(images, (Shape{60000, 28, 28}));
  EXPECT_FALSE(images == (Shape{60000, 28}));
  EXPECT_FALSE(images == (Shape{60000, 28, 27}));
  Shape grown{60000, 28};
  grown.push_back(28);
  EXPECT_EQ(grown, images);
}

TEST(Shape, RejectsWhatCannotBeCounted) {
  EXPECT_EQ(code_of([] { (void)Shape{std::uint64_t{1} << 32, std::uint64_t{1} << 31}.count(); }), Errc::out_of_range);
  EXPECT_EQ(code_of([] { (void)Shape{UINT64_MAX}.count(); }), Errc::out_of_range);
  EXPECT_EQ((Shape{(std::uint64_t{1} << 63) - 1}.count()), (std::uint64_t{1} << 63) - 1);
  EXPECT_EQ((Shape{UINT64_MAX, UINT64_MAX, 0}.count()), 0u);
  EXPECT_EQ(code_of([] { Shape(std::vector<std::uint64_t>(33, 1)); }), Errc::limit_exceeded);
  Shape full(std::vector<std::uint64_t>(32, 1));
  EXPECT_EQ(code_of([&] { full.push_back(1); }), Errc::limit_exceeded);
  EXPECT_EQ(code_of([] { ArrayView(DType::Kind::float64, nullptr, Shape{std::uint64_t{1} << 61}, Order::row_major); }),
            Errc::out_of_range);
}

TEST(ArrayView, KnowsWhetherItIsDense) {
  const float data[24] = {};
  const ArrayView rows(DType::Kind::float32, data, Shape{2, 3, 4}, Order::row_major);
  EXPECT_EQ(rows.strides[0], 48);
  EXPECT_EQ(rows.strides[2], 4);
  EXPECT_EQ(rows.byte_count(), 96u);
  EXPECT_TRUE(rows.is_dense(Order::row_major));
  EXPECT_FALSE(rows.is_dense(Order::column_major));
  const ArrayView columns(DType::Kind::float32, data, Shape{2, 3, 4}, Order::column_major);
  EXPECT_EQ(columns.strides[0], 4);
  EXPECT_EQ(columns.strides[2], 24);
  EXPECT_TRUE(columns.is_dense(Order::column_major));
  EXPECT_FALSE(columns.is_dense(Order::row_major));
  const ArrayView line(DType::Kind::float32, data, 24);
  EXPECT_TRUE(line.is_dense(Order::row_major) && line.is_dense(Order::column_major));
  ArrayView row(DType::Kind::float32, data, Shape{1, 24}, Order::row_major);
  row.strides[0] = 12345;  // an axis of one element has no step
  EXPECT_TRUE(row.is_dense(Order::row_major) && row.is_dense(Order::column_major));
  ArrayView reversed = line;
  reversed.strides[0] = -4;
  EXPECT_FALSE(reversed.is_dense(Order::row_major));
  const ArrayView none(DType::Kind::float32, nullptr, Shape{3, 0}, Order::row_major);
  EXPECT_TRUE(none.is_dense(Order::row_major) && none.is_dense(Order::column_major));
  const ArrayView single(DType::Kind::float32, data, Shape{}, Order::row_major);
  EXPECT_TRUE(single.is_dense(Order::row_major));
  EXPECT_EQ(single.byte_count(), 4u);
}

/// The byte offset of the element that is `index`-th in `order`.
std::int64_t slow_offset(const ArrayView& view, Order order, std::uint64_t index) {
  std::int64_t offset = 0;
  const std::size_t rank = view.shape.rank();
  for (std::size_t i = 0; i < rank; ++i) {
    const std::size_t axis = order == Order::row_major ? rank - 1 - i : i;
    offset += static_cast<std::int64_t>(index % view.shape[axis]) * view.strides[axis];
    index /= view.shape[axis];
  }
  return offset;
}

void check_gather_and_scatter(const ArrayView& view, Order order, std::uint64_t first, std::uint64_t count,
                              std::vector<std::byte>& memory, bool distinct) {
  const std::size_t item = view.dtype.item_size();
  std::vector<std::byte> expected(count * item);
  for (std::uint64_t i = 0; i < count; ++i) {
    std::memcpy(expected.data() + i * item, view.data + slow_offset(view, order, first + i), item);
  }
  constexpr std::byte guard{0xA5};
  std::vector<std::byte> got(count * item + 16, guard);
  gather(view, order, first, count, got.data() + 8);
  ASSERT_TRUE(std::equal(expected.begin(), expected.end(), got.begin() + 8));
  ASSERT_TRUE(std::all_of(got.begin(), got.begin() + 8, [](std::byte b) { return b == guard; }));
  ASSERT_TRUE(std::all_of(got.end() - 8, got.end(), [](std::byte b) { return b == guard; }));
  if (!distinct) {
    return;
  }
  const auto origin = view.data - memory.data();
  std::vector<std::byte> blank(memory.size(), guard);
  std::vector<std::byte> wanted = blank;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::memcpy(wanted.data() + origin + slow_offset(view, order, first + i), expected.data() + i * item, item);
  }
  scatter(expected.data(), order, first, count, view, blank.data() + origin);
  ASSERT_EQ(blank, wanted);
}

TEST(Gather, AgreesWithOneElementAtATime) {
  std::mt19937 random(3);
  const auto below = [&](std::uint64_t bound) { return random() % bound; };
  for (int round = 0; round < 3000; ++round) {
    static constexpr std::uint32_t items[] = {1, 2, 3, 4, 8, 12, 16, 80};
    const DType dtype = DType::fixed_bytes(items[below(8)]);
    const std::size_t item = dtype.item_size();
    const std::size_t rank = below(6);
    std::vector<std::size_t> nesting(rank);
    std::iota(nesting.begin(), nesting.end(), 0);
    std::shuffle(nesting.begin(), nesting.end(), random);
    ArrayView view;
    view.dtype = dtype;
    view.shape = Shape(std::vector<std::uint64_t>(rank, 1));
    std::int64_t step = static_cast<std::int64_t>(item);
    std::int64_t origin = 0;
    bool distinct = true;
    for (const std::size_t axis : nesting) {
      const std::uint64_t extent = rank <= 2 ? 1 + below(100) : 1 + below(7);
      view.shape[axis] = extent;
      const std::int64_t gap = below(3) == 0 ? static_cast<std::int64_t>(below(3) * item) : 0;
      view.strides[axis] = step + gap;
      step = view.strides[axis] * static_cast<std::int64_t>(extent);
      if (below(4) == 0) {
        view.strides[axis] = -view.strides[axis];
        origin -= view.strides[axis] * static_cast<std::int64_t>(extent - 1);
      } else if (below(12) == 0) {
        view.strides[axis] = 0;
        distinct = distinct && extent == 1;
      }
    }
    std::vector<std::byte> memory(static_cast<std::size_t>(step));
    std::generate(memory.begin(), memory.end(), [&] { return static_cast<std::byte>(random()); });
    view.data = memory.data() + origin;
    const std::uint64_t all = view.shape.count();
    for (const Order order : {Order::row_major, Order::column_major}) {
      ASSERT_NO_FATAL_FAILURE(check_gather_and_scatter(view, order, 0, all, memory, distinct));
      for (int part = 0; part < 4; ++part) {
        const std::uint64_t first = below(all + 1);
        const std::uint64_t count = below(all - first + 1);
        ASSERT_NO_FATAL_FAILURE(check_gather_and_scatter(view, order, first, count, memory, distinct))
            << view.shape.text() << " " << first << " " << count;
      }
    }
  }
}

TEST(Gather, TransposesLargeMatrices) {
  const std::uint64_t rows = 1237;
  const std::uint64_t columns = 771;
  std::vector<std::byte> memory(rows * columns * 8);
  std::mt19937 random(4);
  std::generate(memory.begin(), memory.end(), [&] { return static_cast<std::byte>(random()); });
  for (const std::uint32_t item : {1u, 2u, 4u, 8u}) {
    const ArrayView view(DType::fixed_bytes(item), memory.data(), Shape{rows, columns}, Order::row_major);
    ASSERT_NO_FATAL_FAILURE(check_gather_and_scatter(view, Order::column_major, 0, rows * columns, memory, true));
    ASSERT_NO_FATAL_FAILURE(check_gather_and_scatter(view, Order::column_major, 12345, 654321, memory, true));
  }
}

TEST(Gather, NothingFromAnEmptyArray) {
  const ArrayView none(DType::Kind::float32, nullptr, Shape{3, 0}, Order::row_major);
  gather(none, Order::row_major, 0, 0, nullptr);
  scatter(nullptr, Order::row_major, 0, 0, none, nullptr);
  const ArrayView empty_strings(DType::fixed_bytes(0), nullptr, 5);
  gather(empty_strings, Order::row_major, 1, 3, nullptr);
}

TEST(Buffer, AllocatesAnySize) {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{4096}, huge_page_threshold - 1,
                                  huge_page_threshold, huge_page_threshold + 12345, std::size_t{64} << 20}) {
    const auto buffer = Buffer::allocate(bytes);
    EXPECT_EQ(buffer->size(), bytes);
    EXPECT_TRUE(buffer->writable());
    if (bytes > 0) {
      const std::size_t alignment = bytes < huge_page_threshold ? 64 : huge_page_size;
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % alignment, 0u);
      std::memset(buffer->mutable_data(), 1, bytes);
    }
  }
}

TEST(Buffer, SaysWhenThereIsNoMemory) {
  for (const std::size_t bytes : {SIZE_MAX, SIZE_MAX / 2, std::size_t{1} << 60}) {
    EXPECT_EQ(code_of([&] { Buffer::allocate(bytes); }), Errc::limit_exceeded);
  }
  try {
    Buffer::allocate(std::size_t{1} << 60);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "cannot allocate 1152921504606846976 bytes");
  }
}

TEST(Buffer, LargeMemoryIsNotTouched) {
  struct rusage before;
  struct rusage after;
  getrusage(RUSAGE_SELF, &before);
  const auto buffer = Buffer::allocate(std::size_t{1} << 30);
  buffer->mutable_data()[0] = std::byte{1};
  buffer->mutable_data()[buffer->size() - 1] = std::byte{1};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 32 * 1024);  // KiB
}

TEST(Buffer, WrapKeepsTheOwner) {
  auto owner = std::make_shared<std::vector<std::byte>>(10);
  const std::weak_ptr<std::vector<std::byte>> alive = owner;
  auto buffer = Buffer::wrap(owner->data(), 10, false, owner);
  owner.reset();
  EXPECT_FALSE(alive.expired());
  EXPECT_FALSE(buffer->writable());
  buffer.reset();
  EXPECT_TRUE(alive.expired());
}

TEST(HugePages, AnyMemoryMayBeAdvised) {
  std::vector<std::byte> memory;
  memory.reserve(std::size_t{9} << 20);
  advise_huge_pages(memory.data(), memory.capacity());
  memory.resize(memory.capacity(), std::byte{7});
  advise_huge_pages(memory.data(), memory.size());
  EXPECT_EQ(memory.back(), std::byte{7});
  advise_huge_pages(nullptr, 0);
}

TEST(Array, SharesSlicesAndClones) {
  Array<int, 2> a({3, 4});
  EXPECT_EQ(a.size(), 12u);
  EXPECT_EQ(a(2, 3), 0);
  a.mutable_at(1, 2) = 7;
  const Array<int, 2> shared = a;
  EXPECT_EQ(shared(1, 2), 7);
  EXPECT_EQ(shared.data(), std::as_const(a).data());
  const Array<int, 2> turned = a.transposed();
  EXPECT_EQ(turned(2, 1), 7);
  EXPECT_FALSE(turned.is_dense());
  EXPECT_TRUE(turned.is_dense(Order::column_major));
  const Array<int, 2> copy = turned.clone();
  EXPECT_TRUE(copy.is_dense());
  EXPECT_EQ(copy, turned);
  a.mutable_at(1, 2) = 8;
  EXPECT_EQ(copy(2, 1), 7);
  EXPECT_FALSE(copy == turned);
  const Array<int, 2> part = a.slice(1, 2);
  EXPECT_EQ(part.shape(), (std::array<std::uint64_t, 2>{1, 4}));
  EXPECT_EQ(part(0, 2), 8);
  EXPECT_EQ(part.span()[2], 8);
  EXPECT_EQ(code_of([&] { (void)a.slice(2, 4); }), Errc::out_of_range);
  const Array<int, 2> columns({3, 4}, Order::column_major);
  EXPECT_EQ(columns.strides(), (std::array<std::int64_t, 2>{1, 3}));
  EXPECT_EQ(columns, (Array<int, 2>({3, 4})));
}

struct Record {
  double a = 1;
  std::int32_t b[3] = {1, 2, 3};
  std::int32_t c = 0;
};

TEST(Array, HoldsRecords) {
  Array<Record, 2> a({2, 2});
  a.mutable_at(1, 0).b[2] = 5;
  EXPECT_EQ(a.transposed().clone()(0, 1).b[2], 5);
}

TEST(Array, RanksZeroAndOne) {
  Array<float, 0> scalar(std::array<std::uint64_t, 0>{});
  EXPECT_EQ(scalar.size(), 1u);
  scalar.mutable_at() = 3;
  EXPECT_EQ(scalar.clone()(), 3);
  EXPECT_EQ((Array<float, 0>().size()), 0u);
  Array<double> line({5});
  line.mutable_at(4) = 2;
  EXPECT_EQ(std::accumulate(line.begin(), line.end(), 0.0), 2.0);
  const std::span<const double> span = line;
  EXPECT_EQ(span.size(), 5u);
  EXPECT_TRUE(Array<double>().empty());
  EXPECT_EQ(Array<std::complex<float>>({2}).view().dtype, DType(DType::Kind::complex64));
}

TEST(Array, ARefusalIsAnError) {
  auto owner = std::make_shared<std::array<std::byte, 16>>();
  const auto buffer = Buffer::wrap(owner->data(), 16, false, owner);
  Array<std::byte> a(buffer, buffer->data(), {16}, {1});
  EXPECT_EQ(code_of([&] { (void)a.mutable_data(); }), Errc::read_only);
  EXPECT_EQ(code_of([&] { (void)a.mutable_span(); }), Errc::read_only);
  EXPECT_EQ(code_of([&] { a.mutable_at(3) = std::byte{1}; }), Errc::read_only);
  EXPECT_EQ(code_of([&] { a.slice(1, 5).mutable_at(0) = std::byte{1}; }), Errc::read_only);
  EXPECT_EQ(code_of([&] { (void)buffer->mutable_data(); }), Errc::read_only);
  Array<std::byte> gaps(buffer, buffer->data(), {8}, {2});
  EXPECT_EQ(code_of([&] { (void)gaps.span(); }), Errc::invalid_argument);
  EXPECT_EQ(code_of([] { Array<double, 2>({std::uint64_t{1} << 31, std::uint64_t{1} << 31}); }), Errc::limit_exceeded);
}

TEST(Array, ReadingAnArrayThatIsNotConstNeverAsksWhetherItMayBeWritten) {
  auto owner = std::make_shared<std::array<std::int32_t, 4>>(std::array{5, 6, 7, 8});
  const auto buffer = Buffer::wrap(reinterpret_cast<std::byte*>(owner->data()), 16, false, owner);
  Array<std::int32_t> a(buffer, owner->data(), {4}, {1});
  EXPECT_EQ(a.span()[1], 6);
  EXPECT_EQ(a(2), 7);
  EXPECT_EQ(a[3], 8);
  EXPECT_EQ(a.data()[0], 5);
  EXPECT_EQ(std::accumulate(a.begin(), a.end(), 0), 26);
  const std::span<const std::int32_t> span = a;
  EXPECT_EQ(span.back(), 8);
  Array<std::int32_t, 0> scalar(buffer, owner->data() + 1, {}, {});
  EXPECT_EQ(scalar(), 6);
  EXPECT_EQ(code_of([&] { scalar.mutable_at() = 1; }), Errc::read_only);
}

TEST(Array, WhatReadsCannotWrite) {
  const auto writes = []<class A>(A& a) {
    return requires { a(0) = 1; } || requires { a[0] = 1; } || requires { *a.data() = 1; } ||
           requires { a.span()[0] = 1; } || requires { *a.begin() = 1; } ||
           requires { a.buffer()->data()[0] = std::byte{1}; } || std::is_convertible_v<A&, std::span<int>>;
  };
  Array<int> a({3});
  EXPECT_FALSE(writes(a));
  const auto writes_by_name = []<class A>(A& array) {
    return requires { array.mutable_data(); } || requires { array.mutable_span(); } ||
           requires { array.mutable_at(0); };
  };
  EXPECT_TRUE(writes_by_name(a));
  EXPECT_FALSE(writes_by_name(std::as_const(a)));
  Array<const int> fixed(a.buffer(), a.data(), a.shape(), a.strides());
  EXPECT_FALSE(writes_by_name(fixed));
  const auto of_temporary = []<class A>(A) { return requires { A().mutable_span(); } || requires { A().span(); }; };
  EXPECT_FALSE(of_temporary(a));
  std::ranges::fill(a.mutable_span(), 4);
  a.mutable_at(1) = 5;
  EXPECT_EQ(a(0) + a(1) + fixed(2), 13);
}

TEST(Array, AViewDescribesIt) {
  Array<float, 2> a({3, 4}, Order::column_major);
  a.mutable_at(2, 1) = 9;
  const ArrayView view = a.view();
  EXPECT_EQ(view.shape, (Shape{3, 4}));
  EXPECT_EQ(view.strides[0], 4);
  EXPECT_EQ(view.strides[1], 12);
  EXPECT_EQ(view.buffer, a.buffer().get());
  float dense[12];
  gather(view, Order::row_major, 0, 12, reinterpret_cast<std::byte*>(dense));
  EXPECT_EQ(dense[9], 9);
}

}  // namespace
}  // namespace stele
