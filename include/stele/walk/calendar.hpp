#pragma once
// The calendar of std::chrono: the number of a year, month, day or weekday, and sequences of these. Dates that do not
// exist are kept.

#include <chrono>
#include <tuple>
#include <type_traits>

#include "stele/walk/family.hpp"
#include "stele/walk/make.hpp"

namespace stele {
namespace walk {

inline int number(std::chrono::year year) noexcept { return static_cast<int>(year); }
inline unsigned number(std::chrono::month month) noexcept { return static_cast<unsigned>(month); }
inline unsigned number(std::chrono::day day) noexcept { return static_cast<unsigned>(day); }
inline unsigned number(std::chrono::weekday day) noexcept { return day.c_encoding(); }

/// A number that the class can hold.
template <class T>
struct AsCalendarNumber {
  using built_in = T;
  static void write(OutVisitor& out, const T& value) { stele::write(out, number(value)); }
  static void read(InVisitor& in, T& value) {
    if constexpr (std::is_same_v<T, std::chrono::year>) {
      value = T(static_cast<int>(to_signed(in.number(), -32768, 32767, in)));
    } else {
      value = T(static_cast<unsigned>(to_unsigned(in.number(), 255, in)));
    }
  }
};

/// A sequence of Parts. Visit<T> says how to take a T apart, `parts(value)`, and how to make one, `of(part, …)`.
template <class T, class... Parts>
struct AsCalendarParts {
  using built_in = T;
  static void write(OutVisitor& out, const T& value) {
    stele::write(out, std::tuple<Parts...>(Visit<T>::parts(value)));
  }
  static void read(InVisitor& in, T& value) {
    std::tuple<Parts...> parts{};
    stele::read(in, parts);
    value = made_of(parts);
  }
  /// For those without a default constructor.
  static T make() { return made_of({}); }

 private:
  static T made_of(const std::tuple<Parts...>& parts) {
    return std::apply([](const Parts&... part) { return Visit<T>::of(part...); }, parts);
  }
};

using std::chrono::day;
using std::chrono::month;
using std::chrono::weekday;
using std::chrono::year;

}  // namespace walk

template <>
struct Visit<walk::year> : walk::AsCalendarNumber<walk::year> {};
template <>
struct Visit<walk::month> : walk::AsCalendarNumber<walk::month> {};
template <>
struct Visit<walk::day> : walk::AsCalendarNumber<walk::day> {};
template <>
struct Visit<walk::weekday> : walk::AsCalendarNumber<walk::weekday> {};

/// [year, month, day].
template <>
struct Visit<std::chrono::year_month_day>
    : walk::AsCalendarParts<std::chrono::year_month_day, walk::year, walk::month, walk::day> {
  static auto parts(const built_in& date) { return std::tuple(date.year(), date.month(), date.day()); }
  static built_in of(walk::year y, walk::month m, walk::day d) { return {y, m, d}; }
};
/// [year, month].
template <>
struct Visit<std::chrono::year_month> : walk::AsCalendarParts<std::chrono::year_month, walk::year, walk::month> {
  static auto parts(const built_in& date) { return std::tuple(date.year(), date.month()); }
  static built_in of(walk::year y, walk::month m) { return {y, m}; }
};
/// [month, day].
template <>
struct Visit<std::chrono::month_day> : walk::AsCalendarParts<std::chrono::month_day, walk::month, walk::day> {
  static auto parts(const built_in& date) { return std::tuple(date.month(), date.day()); }
  static built_in of(walk::month m, walk::day d) { return {m, d}; }
};
/// [year, month], of which it is the last day.
template <>
struct Visit<std::chrono::year_month_day_last>
    : walk::AsCalendarParts<std::chrono::year_month_day_last, walk::year, walk::month> {
  static auto parts(const built_in& date) { return std::tuple(date.year(), date.month()); }
  static built_in of(walk::year y, walk::month m) { return {y, std::chrono::month_day_last(m)}; }
};
/// [month].
template <>
struct Visit<std::chrono::month_day_last> : walk::AsCalendarParts<std::chrono::month_day_last, walk::month> {
  static auto parts(const built_in& date) { return std::tuple(date.month()); }
  static built_in of(walk::month m) { return built_in(m); }
};
/// [weekday, which].
template <>
struct Visit<std::chrono::weekday_indexed>
    : walk::AsCalendarParts<std::chrono::weekday_indexed, walk::weekday, std::uint8_t> {
  static auto parts(const built_in& day) { return std::tuple(day.weekday(), static_cast<std::uint8_t>(day.index())); }
  static built_in of(walk::weekday d, std::uint8_t index) { return built_in(d, index); }
};
/// [weekday].
template <>
struct Visit<std::chrono::weekday_last> : walk::AsCalendarParts<std::chrono::weekday_last, walk::weekday> {
  static auto parts(const built_in& day) { return std::tuple(day.weekday()); }
  static built_in of(walk::weekday d) { return built_in(d); }
};
/// [year, month, weekday, which].
template <>
struct Visit<std::chrono::year_month_weekday>
    : walk::AsCalendarParts<std::chrono::year_month_weekday, walk::year, walk::month, walk::weekday, std::uint8_t> {
  static auto parts(const built_in& date) {
    return std::tuple(date.year(), date.month(), date.weekday(), static_cast<std::uint8_t>(date.index()));
  }
  static built_in of(walk::year y, walk::month m, walk::weekday d, std::uint8_t index) {
    return {y, m, std::chrono::weekday_indexed(d, index)};
  }
};
/// [year, month, weekday].
template <>
struct Visit<std::chrono::year_month_weekday_last>
    : walk::AsCalendarParts<std::chrono::year_month_weekday_last, walk::year, walk::month, walk::weekday> {
  static auto parts(const built_in& date) { return std::tuple(date.year(), date.month(), date.weekday()); }
  static built_in of(walk::year y, walk::month m, walk::weekday d) { return {y, m, std::chrono::weekday_last(d)}; }
};
/// [month, weekday, which].
template <>
struct Visit<std::chrono::month_weekday>
    : walk::AsCalendarParts<std::chrono::month_weekday, walk::month, walk::weekday, std::uint8_t> {
  static auto parts(const built_in& date) {
    return std::tuple(date.month(), date.weekday_indexed().weekday(),
                      static_cast<std::uint8_t>(date.weekday_indexed().index()));
  }
  static built_in of(walk::month m, walk::weekday d, std::uint8_t index) {
    return {m, std::chrono::weekday_indexed(d, index)};
  }
};
/// [month, weekday].
template <>
struct Visit<std::chrono::month_weekday_last>
    : walk::AsCalendarParts<std::chrono::month_weekday_last, walk::month, walk::weekday> {
  static auto parts(const built_in& date) { return std::tuple(date.month(), date.weekday_last().weekday()); }
  static built_in of(walk::month m, walk::weekday d) { return {m, std::chrono::weekday_last(d)}; }
};

template <>
struct Make<std::chrono::year_month_day_last> : Visit<std::chrono::year_month_day_last> {};
template <>
struct Make<std::chrono::month_day_last> : Visit<std::chrono::month_day_last> {};
template <>
struct Make<std::chrono::weekday_last> : Visit<std::chrono::weekday_last> {};
template <>
struct Make<std::chrono::year_month_weekday_last> : Visit<std::chrono::year_month_weekday_last> {};
template <>
struct Make<std::chrono::month_weekday> : Visit<std::chrono::month_weekday> {};
template <>
struct Make<std::chrono::month_weekday_last> : Visit<std::chrono::month_weekday_last> {};

/// The duration since midnight.
template <class Duration>
struct Visit<std::chrono::hh_mm_ss<Duration>> {
  using built_in = std::chrono::hh_mm_ss<Duration>;
  static void write(OutVisitor& out, const built_in& value) { stele::write(out, value.to_duration()); }
  static void read(InVisitor& in, built_in& value) {
    typename built_in::precision since_midnight{};
    stele::read(in, since_midnight);
    value = built_in(std::chrono::duration_cast<Duration>(since_midnight));
    if (value.to_duration() != since_midnight) {
      in.error(Errc::out_of_range, "a time of the day between two units");
    }
  }
};

}  // namespace stele
