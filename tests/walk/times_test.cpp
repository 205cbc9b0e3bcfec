// Columns of times: durations and time points are arrays of integers with a unit, converted exactly or rejected.

#include <chrono>
#include <list>
#include <map>

#include "stele/describe.hpp"
#include "stele/hash.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using namespace std::chrono;
using test::error_of;
using test::expect_same;
using test::reread;
using test::round_trip;

using Picoseconds = duration<std::int64_t, std::pico>;
using Frames = duration<std::int64_t, std::ratio<1, 30>>;
using Ticks = duration<std::int64_t, std::ratio<1, 40>>;  // 25 ms

struct Event {
  sys_time<nanoseconds> at;
  milliseconds took;
  double value = 0;
  friend bool operator==(const Event&, const Event&) = default;
};

template <class T>
Array<T> array_of(const std::vector<T>& values) {
  Array<T> array({values.size()});
  std::copy(values.begin(), values.end(), array.mutable_data());
  return array;
}

/// How the elements are stored, in NumPy's notation.
template <class T>
std::string dtype(const T& values) {
  test::Folder folder;
  const std::string path = folder / "a.stele";
  save(values, path);
  const std::vector<Entry> entries = open(path).list();
  return entries.at(0).kind == Kind::array ? entries[0].dtype.numpy() : "none";
}

TEST(Times, TakeEightBytesEachAndAreListed) {
  std::vector<sys_time<nanoseconds>> times;
  std::vector<std::int64_t> counts;
  for (int i = 0; i < 100'000; ++i) {
    counts.push_back(1'700'000'000'000'000'000 + i * 1'000'003LL);
    times.emplace_back(nanoseconds(counts.back()));
  }
  EXPECT_LT(to_bytes(times).size(), to_bytes(counts).size() + 128);
  expect_same(times);
  const std::string path = test::fresh("times");
  save(std::map<std::string, decltype(times)>{{"t", times}}, path);
  const std::vector<Entry> entries = open(path).list();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_TRUE(entries[1].listed);
  EXPECT_EQ(entries[1].dtype.name(), "datetime64[ns]");
  for (const MapMode map : {MapMode::none, MapMode::read_only}) {
    const auto array = open(path, {.map = map}).load<Array<sys_time<nanoseconds>>>("t");
    EXPECT_TRUE(std::equal(array.begin(), array.end(), times.begin(), times.end()));
  }
}

TEST(Times, UnitsHaveNumPysNames) {
  EXPECT_EQ(dtype(std::vector<nanoseconds>(3)), "<m8[ns]");
  EXPECT_EQ(dtype(std::vector<microseconds>(3)), "<m8[us]");
  EXPECT_EQ(dtype(std::vector<milliseconds>(3)), "<m8[ms]");
  EXPECT_EQ(dtype(std::vector<seconds>(3)), "<m8[s]");
  EXPECT_EQ(dtype(std::vector<minutes>(3)), "<m8[m]");
  EXPECT_EQ(dtype(std::vector<hours>(3)), "<m8[h]");
  EXPECT_EQ(dtype(std::vector<days>(3)), "<m8[D]");
  EXPECT_EQ(dtype(std::vector<weeks>(3)), "<m8[W]");
  EXPECT_EQ(dtype(std::vector<years>(3)), "<m8[31556952s]");
  EXPECT_EQ(dtype(std::vector<Ticks>(3)), "<m8[25ms]");
  EXPECT_EQ(dtype(std::vector<Picoseconds>(3)), "<m8[ps]");
  EXPECT_EQ(dtype(std::vector<sys_days>(3)), "<M8[D]");
  EXPECT_EQ(dtype(std::vector<local_seconds>(3)), "<M8[s]");
  EXPECT_EQ(dtype(std::vector<steady_clock::time_point>(3)), "<m8[ns]");
  EXPECT_EQ(dtype(std::array<sys_seconds, 2>()), "<M8[s]");
  EXPECT_EQ(dtype(std::vector<std::array<seconds, 2>>(3)), "<m8[s]");
  EXPECT_EQ(dtype(std::vector<Frames>(3)), "none");  // NumPy has no 1/30 second
  EXPECT_EQ(dtype(std::vector<duration<double>>(3)), "none");
  EXPECT_EQ(dtype(std::vector<duration<std::int32_t>>(3)), "none");
}

TEST(Times, UnitsAreReadAsNumPyWritesThem) {
  const auto read = [](std::string_view text) {
    bool big_endian = false;
    return DType::from_numpy(text, big_endian);
  };
  for (const char* text :
       {"<m8[ns]", "<M8[s]", "<m8[25ms]", "<M8[Y]", "<M8[3M]", "<m8", "<M8[as]", "<m8[2147483647W]"}) {
    EXPECT_EQ(read(text).numpy(), text);
    EXPECT_EQ(read(text).item_size(), 8U);
  }
  bool big_endian = false;
  EXPECT_EQ(DType::from_numpy(">M8[us]", big_endian).name(), "datetime64[us]");
  EXPECT_TRUE(big_endian);
  for (const char* text :
       {"<m8[]", "<m8[0s]", "<m8[x]", "<m8[2147483648s]", "<m8[s", "<m8s", "<m4[s]", "<M8[-1s]", "m8[s/2]"}) {
    EXPECT_EQ(error_of([&] { read(text); }).code(), Errc::unsupported) << text;
  }
  EXPECT_EQ(read("<M8[s]") == read("<m8[s]"), false);
  EXPECT_EQ(read("<M8[s]") == read("<M8[2s]"), false);
}

// --- Other units -----------------------------------------------------------------------------------------------------

/// As the standard library converts, where that is exact.
template <class To, class From>
void expect_converted(From value, std::optional<To> wanted) {
  const auto check = [&](auto&& read) {
    if (wanted) {
      EXPECT_EQ(read(), *wanted);
    } else {
      EXPECT_EQ(error_of([&] { read(); }).code(), Errc::out_of_range);
    }
  };
  const std::vector<From> column{From(0), value};
  check([&] { return reread<To>(value); });
  check([&] { return to_value(value).template to<To>(); });
  check([&] { return reread<std::vector<To>>(column).at(1); });
  check([&] { return reread<Array<To>>(column)[1]; });
  check([&] { return to_value(column).template to<std::vector<To>>().at(1); });
  check([&] { return reread<std::list<To>>(column).back(); });
  check([&] { return reread<std::vector<To>>(std::list<From>(column.begin(), column.end())).at(1); });
}

template <class To, class From>
void expect_all_counts() {
  using Ratio = std::ratio_divide<typename From::period, typename To::period>;
  for (const std::int64_t count :
       {1LL, -1LL, 5LL, -7LL, 1000LL, 3600LL, -86400LL, 604800LL, 5'000'000'000LL, -5'000'000'000LL,
        86'400'000'000'000LL, -604'800'000'000'000'000LL, 9'223'372'036'854'775'807LL, -9'223'372'036'854'775'807LL}) {
    const __int128 product = static_cast<__int128>(count) * Ratio::num;
    const __int128 quotient = product / Ratio::den;
    const bool exact = product % Ratio::den == 0 && quotient == static_cast<std::int64_t>(quotient);
    SCOPED_TRACE(std::to_string(count) + " * " + std::to_string(Ratio::num) + "/" + std::to_string(Ratio::den));
    expect_converted<To>(From(count), exact ? std::optional(To(static_cast<std::int64_t>(quotient))) : std::nullopt);
  }
}

template <class From, class... To>
void expect_from() {
  (expect_all_counts<To, From>(), ...);
}

TEST(Times, AllPairsOfUnitsConvertExactlyOrAreRefused) {
  expect_from<nanoseconds, nanoseconds, milliseconds, seconds, hours, weeks, Ticks>();
  expect_from<milliseconds, nanoseconds, milliseconds, seconds, hours, weeks, Ticks>();
  expect_from<seconds, nanoseconds, milliseconds, seconds, hours, weeks, Ticks>();
  expect_from<hours, nanoseconds, milliseconds, seconds, hours, weeks, Ticks>();
  expect_from<weeks, nanoseconds, milliseconds, seconds, hours, weeks, Ticks>();
  expect_from<Ticks, nanoseconds, milliseconds, seconds, hours, weeks, Ticks>();
}

TEST(Times, FiveSecondsInNanosecondsAreSeconds) {
  EXPECT_EQ((reread<seconds>(nanoseconds(5'000'000'000))), 5s);
  EXPECT_EQ((reread<sys_seconds>(sys_time<nanoseconds>(5s))), sys_seconds(5s));
  EXPECT_EQ((reread<std::vector<seconds>>(std::vector<nanoseconds>{5s, -3s})), (std::vector<seconds>{5s, -3s}));
  EXPECT_EQ((reread<duration<std::int32_t>>(nanoseconds(5'000'000'000))).count(), 5);
  EXPECT_EQ((reread<Frames>(seconds(2))).count(), 60);
  EXPECT_EQ((reread<seconds>(Frames(-90))), -3s);
  EXPECT_EQ(error_of([] { (reread<seconds>(Frames(31))); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([] { (reread<duration<std::int8_t>>(hours(1))); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([] { (reread<duration<unsigned>>(-1000ms)); }).code(), Errc::out_of_range);
  EXPECT_EQ((reread<std::vector<seconds>>(std::vector<years>{years(1)}))[0].count(), 31556952);
}

TEST(Times, FloatingPointCountsTakeTheNearestNumber) {
  using Real = duration<double>;
  EXPECT_EQ((reread<Real>(nanoseconds(1))), Real(1e-9));
  EXPECT_EQ((reread<Real>(1500ms)), Real(1.5));
  EXPECT_EQ((reread<duration<double, std::nano>>(Real(0.25))).count(), 250'000'000.0);
  EXPECT_EQ((reread<duration<float, std::milli>>(seconds(-2))).count(), -2000.0F);
  EXPECT_EQ((reread<std::vector<Real>>(std::vector<milliseconds>{1ms, -2500ms})),
            (std::vector<Real>{Real(0.001), Real(-2.5)}));
  EXPECT_EQ(error_of([] { (reread<seconds>(Real(5))); }).code(), Errc::type_mismatch);
}

TEST(Times, NoTimeHasNoOtherUnit) {
  const std::vector<sys_seconds> stored{sys_seconds::min(), sys_seconds(1s)};
  expect_same(stored);
  EXPECT_EQ(error_of([&] { (reread<std::vector<sys_time<milliseconds>>>(stored)); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([&] { (reread<sys_time<duration<std::int64_t, std::ratio<2>>>>(stored[0])); }).code(),
            Errc::out_of_range);
}

TEST(Times, PointsDurationsAndNumbersAreNotMixed) {
  EXPECT_EQ(error_of([] { (reread<std::vector<sys_seconds>>(std::vector<seconds>(2))); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { (reread<std::vector<seconds>>(std::vector<sys_seconds>(2))); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { (reread<std::vector<seconds>>(std::vector<std::int64_t>(2))); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { (reread<std::vector<std::int64_t>>(std::vector<seconds>(2))); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { (reread<std::vector<seconds>>(std::vector<double>(2))); }).code(), Errc::type_mismatch);
}

// --- Where times lie -------------------------------------------------------------------------------------------------

TEST(Times, RecordsOfTimesAreOneStructuredArray) {
  const std::vector<Event> events{{sys_time<nanoseconds>(5s), 7ms, 0.5}, {sys_time<nanoseconds>(-1ns), -1ms, 2}};
  expect_same(events);
  test::Folder folder;
  save(events, folder / "a");
  const Entry entry = open(folder / "a").list().at(0);
  EXPECT_EQ(entry.dtype.name(), "{at: datetime64[ns], took: timedelta64[ms], value: float64}");
  struct Coarser {
    double value;
    sys_time<microseconds> at;
  };
  EXPECT_EQ(reread<std::vector<Coarser>>(std::vector<Event>{events[0]})[0].at, sys_time<microseconds>(5s));
  EXPECT_EQ(error_of([&] { reread<std::vector<Coarser>>(events); }).code(), Errc::out_of_range);
  // record by record
  EXPECT_EQ(reread<std::list<Event>>(events).back(), events[1]);
  EXPECT_EQ(reread<std::vector<Event>>(std::list<Event>(events.begin(), events.end())), events);
  EXPECT_EQ(to_value(events).to<std::list<Event>>().back(), events[1]);
}

TEST(Times, SequencesOfSingleTimesStillLoad) {
  const std::list<sys_seconds> singles{sys_seconds(1s), sys_seconds(-2s)};
  const std::vector<sys_seconds> column(singles.begin(), singles.end());
  EXPECT_EQ(reread<std::vector<sys_seconds>>(singles), column);
  EXPECT_EQ(reread<std::list<sys_seconds>>(column), singles);
  EXPECT_EQ((reread<Array<sys_seconds>>(singles))[1], column[1]);
  EXPECT_EQ((reread<std::pair<sys_seconds, sys_seconds>>(column)).second, column[1]);
  EXPECT_EQ((reread<std::vector<duration<std::int32_t>>>(std::vector<seconds>{3s}))[0].count(), 3);
}

TEST(Times, ValuesKeepTheUnit) {
  const std::vector<milliseconds> column{1ms, 2ms};
  const Value value = to_value(column);
  EXPECT_EQ(value.array().dtype(), DType::duration({TimeUnit::Base::millisecond, 1}));
  EXPECT_EQ(round_trip(value), value);
  EXPECT_EQ(value.to<std::vector<microseconds>>().at(1), 2ms);
  EXPECT_EQ(reread<Value>(column), value);
}

TEST(Times, HashesDependOnTheUnit) {
  EXPECT_EQ(hash(std::vector<seconds>{1s}), hash(array_of(std::vector<seconds>{1s})));
  EXPECT_NE(hash(std::vector<seconds>{1s}), hash(std::vector<milliseconds>{1ms}));
  EXPECT_NE(hash(std::vector<seconds>{1s}), hash(std::vector<sys_seconds>{sys_seconds(1s)}));
  EXPECT_NE(hash(std::vector<seconds>{1s}), hash(std::vector<std::int64_t>{1}));
  EXPECT_NE(hash(std::vector<milliseconds>{1ms}), hash(std::vector<Ticks>{Ticks(1)}));
  EXPECT_EQ(hash(std::vector<sys_days>{sys_days(2026y / 1 / 2)}).text(),
            "xxh3-128:3ea886f9ea16d6d6f00c5634fcdb3ee5");  // frozen
}

template <class T>
std::string shown(const T& value) {
  const Array<T> one = array_of(std::vector<T>{value});
  return format_elements(one.view());
}

TEST(Times, PrintAsIso8601) {
  EXPECT_EQ(shown(sys_days(2026y / 11 / 29)), "[2026-11-29]");
  EXPECT_EQ(shown(sys_days(1970y / 1 / 1)), "[1970-01-01]");
  EXPECT_EQ(shown(sys_days(2000y / 2 / 29)), "[2000-02-29]");
  EXPECT_EQ(shown(sys_days(1600y / 12 / 31)), "[1600-12-31]");
  EXPECT_EQ(shown(sys_days(-1y / 3 / 1)), "[-0001-03-01]");
  EXPECT_EQ(shown(sys_seconds(sys_days(2026y / 11 / 29) + 3723s)), "[2026-11-29T01:02:03]");
  EXPECT_EQ(shown(sys_time<nanoseconds>(-1ns)), "[1969-12-31T23:59:59.999999999]");
  EXPECT_EQ(shown(sys_time<milliseconds>(5ms)), "[1970-01-01T00:00:00.005]");
  EXPECT_EQ(shown(sys_time<minutes>(61min)), "[1970-01-01T01:01]");
  EXPECT_EQ(shown(sys_time<hours>(-1h)), "[1969-12-31T23]");
  EXPECT_EQ(shown(sys_seconds::min()), "[NaT]");
  EXPECT_EQ(shown(-5s), "[-5]");
  EXPECT_EQ(shown(seconds::min()), "[NaT]");
  (void)shown(sys_time<weeks>::max());  // some year
  const std::int64_t months = 12 * 56 + 10;
  const ArrayView month(DType::time_point({TimeUnit::Base::month, 1}), &months, 1);
  EXPECT_EQ(format_elements(month), "[2026-11]");
}

// --- Hostile input ---------------------------------------------------------------------------------------------------

TEST(Times, UnitsWithoutALengthAreRefused) {
  using test::hex;
  using test::wrap;
  EXPECT_EQ(error_of([] { from_bytes<seconds>(wrap(hex("83 05 00 01"))); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { from_bytes<seconds>(wrap(hex("83 05 01 00"))); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { from_bytes<seconds>(wrap(hex("83 05 1b ffffffffffffffff 01"))); }).code(),
            Errc::out_of_range);
  // [5] of M8[Y]
  const test::Data years = wrap(hex("da 53544501 82 66 3c4d385b595d 48 0500000000000000"));
  EXPECT_EQ(error_of([&] { from_bytes<std::vector<sys_seconds>>(years); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([&] { from_bytes<std::list<sys_seconds>>(years); }).code(), Errc::type_mismatch);
  EXPECT_EQ(from_bytes<Value>(years).array().dtype().numpy(), "<M8[Y]");
}

}  // namespace
}  // namespace stele
