// The calendar of std::chrono, and times of the day.

#include <array>
#include <chrono>
#include <map>

#include "support/test_support.hpp"

namespace stele {
namespace {

using namespace std::chrono;
using test::error_of;
using test::expect_same;
using test::reread;
using test::round_trip;

TEST(Calendar, CalendarDates) {
  expect_same(2026y / 11 / 29);
  expect_same(year_month_day(year(-5), month(2), day(30)));  // does not exist
  expect_same(year_month_day(year(2026), month(0), day(255)));
  expect_same(2026y / 11);
  expect_same(month_day(month(2), day(29)));
  expect_same(2026y / February / last);
  expect_same(month_day_last(month(2)));
  expect_same(2026y / November / Sunday[5]);
  expect_same(2026y / November / Sunday[last]);
  expect_same(month_weekday(month(1), Monday[1]));
  expect_same(month_weekday_last(month(1), Monday[last]));
  expect_same(Monday[2]);
  expect_same(Monday[last]);
  expect_same(year::min());
  expect_same(year::max());
  expect_same(month(12));
  expect_same(day(31));
  expect_same(Saturday);
  expect_same(std::vector<year_month_day>{2026y / 1 / 2, 2027y / 3 / 4});
  expect_same(std::map<year_month_day, int>{{2026y / 1 / 2, 1}});
  EXPECT_EQ((reread<std::array<int, 3>>(2026y / 11 / 29)), (std::array{2026, 11, 29}));
  EXPECT_EQ(reread<int>(2026y), 2026);
  EXPECT_EQ(error_of([] { reread<month>(256); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([] { reread<year>(40'000); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([] { reread<year_month_day>(2026y / 11); }).code(), Errc::type_mismatch);
}

TEST(Calendar, TimesOfTheDay) {
  const hh_mm_ss<milliseconds> time(3h + 4min + 5s + 6ms);
  EXPECT_EQ(round_trip(time).to_duration(), time.to_duration());
  EXPECT_EQ(round_trip(hh_mm_ss<hours>(-2h)).to_duration(), -2h);
  EXPECT_EQ(error_of([] { (reread<hh_mm_ss<hours>>(90min)); }).code(), Errc::out_of_range);
}

}  // namespace
}  // namespace stele
