// Batches of rows of archives that are read in order: pipes, sockets, streams.

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <sstream>
#include <thread>

#include "stele/stele.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::Data;
using test::operator+=;

struct Inner {
  std::string name;
  std::vector<Array<float, 2>> matrices;
  std::vector<bool> flags;
  std::map<int, std::vector<std::int16_t>> by_number;
};
struct Outer {
  int epoch = 0;
  Inner inner;
  std::string last;
};

Array<float, 2> matrix(std::uint64_t rows, std::uint64_t columns, Order order = Order::row_major) {
  Array<float, 2> made = Array<float, 2>::uninitialized({rows, columns}, order);
  std::iota(made.mutable_data(), made.mutable_data() + made.size(), 0.0F);
  return made;
}

Outer outer() {
  Outer value{
      3, {"inner", {matrix(10, 3), matrix(100'003, 7)}, std::vector<bool>(10'001, true), {{5, {1, 2, 3}}}}, "end"};
  value.inner.flags[17] = false;
  return value;
}

/// All rows of the batches in one, which must be of `count` rows each but the last.
template <class T, std::size_t Rank>
std::vector<T> joined(Batches<T, Rank> batches, std::uint64_t count) {
  std::vector<T> all;
  bool ended = false;
  for (const Array<T, Rank>& batch : batches) {
    EXPECT_FALSE(ended);
    EXPECT_LE(batch.shape()[0], count);
    ended = batch.shape()[0] < count;
    all.insert(all.end(), batch.data(), batch.data() + batch.size());
  }
  return all;
}

TEST(BatchesInOrder, OfAnyArrayFromAPipe) {
  const Outer value = outer();
  const Array<float, 2>& rows = value.inner.matrices[1];
  const std::vector<float> expected(rows.data(), rows.data() + rows.size());
  for (const std::string& codec : test::codecs()) {
    SCOPED_TRACE(codec);
    Data twice = to_bytes(value, {.codec = codec});
    if (codec != "zlib" && codec != "lzma") {
      twice += to_bytes(std::string("next"), {.codec = codec});
    }
    for (const std::uint64_t count : {4096U, 100'003U, 1'000'000U}) {
      test::TrickleSource pipe(twice, 65'537);
      Reader reader(pipe);
      EXPECT_EQ(joined(reader.batches<float, 2>("inner/matrices/1", count), count), expected);
      if (codec != "zlib" && codec != "lzma") {
        EXPECT_EQ(reader.read<std::string>(), "next");
      }
      EXPECT_FALSE(reader.more());
    }
    test::TrickleSource pipe(twice, 65'537);
    Reader reader(pipe);
    const std::vector<double> wide = joined(reader.batches<double, 2>("inner/matrices/0", 4), 4);
    EXPECT_EQ(wide, std::vector<double>(expected.begin(), expected.begin() + 30));
  }
}

TEST(BatchesInOrder, OfEveryKindOfArray) {
  Outer value = outer();
  value.inner.matrices.push_back(matrix(33, 5, Order::column_major));  // loaded whole
  const Data bytes = to_bytes(value);
  const auto reader = [&] { return Reader(bytes); };
  Reader flags = reader();
  const auto bools = joined(flags.batches<bool, 1>("inner/flags", 1000), 1000);
  ASSERT_EQ(bools.size(), 10'001U);
  EXPECT_FALSE(bools[17]);
  EXPECT_EQ(std::count(bools.begin(), bools.end(), true), 10'000);
  Reader numbers = reader();
  EXPECT_EQ(joined(numbers.batches<std::int32_t, 1>("inner/by_number/5", 2), 2), (std::vector<std::int32_t>{1, 2, 3}));
  Reader columns = reader();
  std::vector<float> found = joined(columns.batches<float, 2>("inner/matrices/2", 10), 10);
  ASSERT_EQ(found.size(), 165U);
  EXPECT_EQ(found[5], value.inner.matrices[2](1, 0));
  EXPECT_EQ(found[164], value.inner.matrices[2](32, 4));
  // the whole archive is one array
  const Data one = to_bytes(matrix(5, 2));
  Reader root(one);
  EXPECT_EQ(joined(root.batches<float, 2>("", 5), 5).size(), 10U);
  const Data none = to_bytes(Array<float, 2>({0, 5}));
  Reader without(none);
  EXPECT_TRUE(joined(without.batches<float, 2>("", 5), 5).empty());
  const Data empty_rows = to_bytes(Array<float, 2>({7, 0}));
  std::uint64_t rows = 0;
  Reader without_columns(empty_rows);
  for (const Array<float, 2>& batch : without_columns.batches<float, 2>("", 5)) {
    rows += batch.shape()[0];
  }
  EXPECT_EQ(rows, 7U);
}

TEST(BatchesInOrder, WhatIsWrittenBatchByBatchIsReadBatchByBatchThroughASocket) {
  constexpr std::uint64_t rows = 50'000;  // 1.5 MiB: in pieces
  for (const std::string& codec : test::codecs()) {
    SCOPED_TRACE(codec);
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    std::thread writer([&] {
      const auto sink = fd_sink(ends[0]);
      MapWriter out(*sink, {.codec = codec});
      out.write("before", std::string("text"));
      auto growing = out.grow<float>("rows", {8});
      for (std::uint64_t first = 0; first < rows; first += 1000) {
        std::vector<float> batch(8000);
        std::iota(batch.begin(), batch.end(), static_cast<float>(8 * first % 1'000'000));
        growing.append(batch);
      }
      growing.close();
      out.write("after", 5);
      out.close();
      ::close(ends[0]);
    });
    Reader reader(Descriptor{ends[1]});
    std::uint64_t row = 0;
    for (const Array<float, 2>& batch : reader.batches<float, 2>("rows", 3000)) {
      for (std::uint64_t i = 0; i < batch.shape()[0]; ++i, ++row) {
        ASSERT_EQ(batch(i, 3), static_cast<float>(8 * (row / 1000 * 1000) % 1'000'000 + row % 1000 * 8 + 3));
      }
    }
    EXPECT_EQ(row, rows);
    EXPECT_FALSE(reader.more());
    writer.join();
    ::close(ends[1]);
  }
}

TEST(BatchesInOrder, RefusesWhatIsNotThere) {
  const Data bytes = to_bytes(outer());
  const auto refused = [&](std::string_view path, Errc code, const char* part) {
    Reader reader(bytes);
    EXPECT_ERROR((joined(reader.batches<float, 2>(path, 10), 10)), code, part);
  };
  refused("inner/absent", Errc::not_found, "no value");
  refused("inner/matrices/7", Errc::not_found, "no value");
  refused("epoch/1", Errc::not_found, "no value");
  refused("inner/name", Errc::type_mismatch, "array");
  refused("inner/flags", Errc::type_mismatch, "found bool");
  refused("inner/by_number/5", Errc::type_mismatch, "found int16[3]");
  Reader reader(bytes);
  EXPECT_ERROR((reader.batches<float, 2>("inner/matrices/1", 0)), Errc::invalid_argument, "no rows");
}

TEST(BatchesInOrder, DamageIsFoundAtTheLatestAtTheEnd) {
  const Data bytes = to_bytes(outer());
  const std::uint64_t at = open(memory_source(bytes)).list({.path = "inner/matrices/1"})[0].offset;
  const auto loop = [](Data changed) {
    test::TrickleSource pipe(changed, 10'000);
    Reader reader(pipe);
    (void)joined(reader.batches<float, 2>("inner/matrices/1", 1000), 1000);
  };
  for (const std::uint64_t place : {std::uint64_t{30}, at + 1'500'000, std::uint64_t{bytes.size() - 100}}) {
    Data changed = bytes;
    changed[place] ^= std::byte{8};
    EXPECT_NE(test::error_of([&] { loop(changed); }).message(), "") << place;
  }
  Data changed = bytes;
  changed[at + 1'500'000] ^= std::byte{8};
  EXPECT_ERROR(loop(changed), Errc::damaged, "rows 37449 to 74898");
  for (const std::uint64_t size : {std::uint64_t{20}, at + 100, std::uint64_t{bytes.size() - 1}}) {
    changed = bytes;
    changed.resize(size);
    EXPECT_ERROR(loop(changed), Errc::truncated, "");
  }
}

TEST(BatchesInOrder, ALoopMayEndEarly) {
  const Data bytes = to_bytes(outer());
  Reader reader(bytes);
  for (const Array<float, 2>& batch : reader.batches<float, 2>("inner/matrices/1", 10)) {
    EXPECT_EQ(batch.shape()[0], 10U);
    break;
  }
  EXPECT_EQ(reader.read<Outer>().last, "end");  // memory can be read again
}

TEST(BatchesInOrder, OfATypeThatIsKnownWhenTheProgramRuns) {
  Data bytes;
  const auto sink = memory_sink(bytes);
  MapWriter out(*sink, {.codec = "zstd"});
  AnyGrowingArray rows = out.grow("rows", DType::Kind::float32, {2});
  for (int batch = 0; batch < 3; ++batch) {
    const std::vector<float> elements{static_cast<float>(batch), 1, 2, 3};
    rows.append(ArrayView(DType::Kind::float32, elements.data(), {2, 2}, Order::row_major));
  }
  const std::vector<double> other(4);
  const ArrayView doubles(DType::Kind::float64, other.data(), {2, 2}, Order::row_major);
  EXPECT_ERROR(rows.append(doubles), Errc::invalid_argument,
               "rows of float64[2, 2] for a growing array of rows float32[2]");
  rows.close();
  EXPECT_ERROR(rows.close(), Errc::invalid_argument, "the growing array is closed");
  out.write("scalar", Array<double, 0>(std::array<std::uint64_t, 0>{}));
  out.close();

  test::TrickleSource pipe(bytes, 7);
  Reader in(pipe);
  const std::shared_ptr<RowStream> stream = in.rows("rows");
  EXPECT_EQ(stream->dtype(), DType(DType::Kind::float32));
  EXPECT_EQ(stream->row(), Shape{2});
  std::vector<float> first;
  while (const std::uint64_t count = stream->read(4)) {
    std::vector<float> batch(2 * count);
    stream->take(stream->dtype(), std::as_writable_bytes(std::span(batch)));
    first.push_back(batch.front());
  }
  EXPECT_EQ(first, (std::vector<float>{0, 2}));
  EXPECT_FALSE(in.more());

  Reader again{Bytes(bytes)};
  EXPECT_ERROR(again.rows("scalar"), Errc::type_mismatch, "an array of rank 0 has no rows");
}

TEST(FileLoadInto, KeepsFieldsThatAreNotStored) {
  struct Stored {
    int epoch = 7;
  };
  struct Wanted {
    int epoch = 0;
    std::string note = "kept";
  };
  const Data bytes = to_bytes(std::map<std::string, Stored>{{"a", {}}});
  const File file = open(memory_source(bytes));
  Wanted wanted;
  wanted.note = "mine";
  file.load_into(wanted, "a");
  EXPECT_EQ(wanted.epoch, 7);
  EXPECT_EQ(wanted.note, "mine");
}

}  // namespace
}  // namespace stele
