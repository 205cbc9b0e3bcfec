// An array whose rows are appended over many runs of a program is read as one.

#include "stele/appended_array.hpp"

#include <numeric>

#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::Folder;

/// Rows `first` to `first + count` of the array that all tests write.
Array<float, 2> batch(std::uint64_t first, std::uint64_t count, Order order = Order::row_major) {
  auto rows = Array<float, 2>::uninitialized({count, 5}, order);
  for (std::uint64_t i = 0; i < count; ++i) {
    for (std::uint64_t k = 0; k < 5; ++k) {
      rows.mutable_at(i, k) = static_cast<float>((first + i) * 10 + k);
    }
  }
  return rows;
}

class AppendedArrayOf : public testing::TestWithParam<std::string> {
 protected:
  Folder folder_;
  const std::string path_ = folder_ / "rows";
  const AppendOptions options_{.save = {.codec = GetParam()}, .commit_every = 3};
};
INSTANTIATE_TEST_SUITE_P(, AppendedArrayOf, testing::ValuesIn([] {
                           std::vector<std::string> names = test::codecs();
                           std::erase_if(names, [](const auto& name) { return name == "zlib" || name == "lzma"; });
                           return names;
                         }()),
                         [](const testing::TestParamInfo<std::string>& info) { return info.param; });

TEST_P(AppendedArrayOf, BatchesOfManyRunsAreOneArray) {
  std::uint64_t rows = 0;
  for (int run = 0; run < 3; ++run) {
    Appender appender(path_, options_);
    for (std::uint64_t count : {7, 0, 300, 1}) {  // in one piece, empty, listed
      appender.append(batch(rows, count, count == 300 ? Order::column_major : Order::row_major));
      rows += count;
    }
    appender.close();
  }
  AppendedArray<float, 2> array(path_);
  EXPECT_EQ(array.rows(), 924u);
  EXPECT_EQ(array.shape(), (std::array<std::uint64_t, 2>{924, 5}));
  EXPECT_EQ(array.load(), batch(0, 924));
  for (const auto& [first, count] : {std::pair{0, 1}, {6, 2}, {7, 300}, {300, 400}, {923, 1}, {924, 0}, {310, 0}}) {
    const auto from = static_cast<std::uint64_t>(first);
    EXPECT_EQ(array.rows(from, static_cast<std::uint64_t>(count)), batch(from, static_cast<std::uint64_t>(count)))
        << first;
  }
  EXPECT_EQ(error_of([&] { array.rows(900, 25); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([&] { array.rows(925, 0); }).code(), Errc::out_of_range);
}

TEST_P(AppendedArrayOf, RowsThatAreCommittedLaterAreSeen) {
  Appender appender(path_, options_);
  AppendedArray<float, 2> array(path_);
  EXPECT_EQ(array.rows(), 0u);
  EXPECT_EQ(array.load().size(), 0u);
  appender.append(batch(0, 10));
  EXPECT_EQ(array.refresh(), 0u);
  appender.commit();
  EXPECT_EQ(array.refresh(), 10u);
  EXPECT_EQ(array.rows(8, 2), batch(8, 2));
  appender.append(batch(10, 90));
  appender.commit();
  EXPECT_EQ(array.rows(), 10u);
  EXPECT_EQ(array.refresh(), 100u);
  EXPECT_EQ(array.load(), batch(0, 100));
}

TEST_P(AppendedArrayOf, EntriesThatDoNotFitAreRefused) {
  {
    Appender appender(path_, options_);
    appender.append(batch(0, 10));
    appender.append(std::string("no array"));
    appender.append(Array<float, 2>({4, 6}));
    appender.close();
  }
  EXPECT_ERROR((AppendedArray<float, 2>(path_)), Errc::type_mismatch, "expected an array");
  const std::string other = folder_ / "other";
  {
    Appender appender(other, options_);
    appender.append(batch(0, 10));
    appender.append(Array<float, 2>({4, 6}));
    appender.close();
  }
  EXPECT_ERROR((AppendedArray<float, 2>(other)), Errc::type_mismatch, "entry 1 has rows [6], those before have [5]");
  EXPECT_ERROR((AppendedArray<float, 3>(other)), Errc::type_mismatch, "3 dimensions");
  const std::string good = folder_ / "good";
  {
    Appender appender(good, options_);
    appender.append(batch(0, 10));
    appender.close();
  }
  EXPECT_EQ((AppendedArray<double, 2>(good).rows(1, 1)(0, 2)), 12.0);  // widened
  EXPECT_ERROR((AppendedArray<int, 2>(good).load()), Errc::type_mismatch, "expected int32");
  EXPECT_ERROR((AppendedArray<float, 2>(good, {.limits = {.allocation = 100}}).load()), Errc::limit_exceeded, "");
}

TEST(AppendedArray, VectorsAreRowsOfOneNumber) {
  const Folder folder;
  const std::string path = folder / "losses.stele";
  for (int run = 0; run < 4; ++run) {
    Appender appender(path);
    appender.append(std::vector<double>(3, run));
    appender.close();
  }
  AppendedArray<double, 1> losses(path);
  EXPECT_EQ(losses.rows(), 12u);
  EXPECT_EQ(losses.load()[11], 3.0);
}

}  // namespace
}  // namespace stele
