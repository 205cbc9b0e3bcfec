// Many texts and numbers in one call: the same bytes and errors as one by one, for any alignment in memory.

#include <deque>
#include <list>
#include <map>
#include <set>

#include "walk/support.hpp"

namespace {

/// A sequence of texts with a number among them.
struct Mixed {
  std::size_t number_at = 0;
  std::size_t count = 0;
};

/// Throws after much of it has been written.
struct Thrower {};

}  // namespace

template <>
struct stele::Visit<Thrower> {
  static void write(OutVisitor& out, const Thrower&) {
    stele::write(out, std::vector<std::string>(400'000, "some text of some length"));
    throw std::runtime_error("no more");
  }
};

template <>
struct stele::Visit<Mixed> {
  static void write(OutVisitor& out, const Mixed& value) {
    out.begin_sequence(value.count);
    for (std::size_t i = 0; i < value.count; ++i) {
      i == value.number_at ? out.natural(7) : out.text("text");
    }
    out.end();
  }
};

namespace stele {
namespace {

using test::error_of;
using test::expect_round_trip;
using test::letters;
using test::random_bits;

TEST(Runs, TextsOfAllLengths) {
  std::vector<std::string> texts;
  for (const std::size_t length : {0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 23, 24, 25, 255, 256, 257, 65535, 65536, 70000}) {
    for (int i = 0; i < 5; ++i) {
      texts.push_back(letters(length));
    }
  }
  texts.push_back("caf\xc3\xa9");
  texts.push_back("no utf-8: \xff");
  texts.push_back("\xff\xfe\xfd\xfc");
  texts.push_back(std::string(9, '\0'));
  std::shuffle(texts.begin(), texts.end(), random_bits());
  for (std::size_t count = 0; count <= 20; ++count) {
    expect_round_trip(std::vector<std::string>(texts.begin(), texts.begin() + static_cast<std::ptrdiff_t>(count)));
  }
  expect_round_trip(texts);
  expect_round_trip(std::list<std::string>(texts.begin(), texts.end()));
  expect_round_trip(std::set<std::string>(texts.begin(), texts.end()));
}

TEST(Runs, NumbersOfAllTypes) {
  const auto check = []<class T>(T) {
    std::deque<T> numbers = {std::numeric_limits<T>::lowest(), std::numeric_limits<T>::max(), T(0), T(1), T(23), T(24)};
    for (int i = 0; i < 1000; ++i) {
      numbers.push_back(static_cast<T>(random_bits()() >> random_bits()() % 64));
    }
    expect_round_trip(numbers);
    expect_round_trip(std::set<T>(numbers.begin(), numbers.end()));
    std::map<T, std::string> named;
    std::map<std::string, T> values;
    for (const T number : numbers) {
      named[number] = letters(5);
      values[letters(5)] = number;
    }
    expect_round_trip(named);
    expect_round_trip(values);
  };
  check(std::int8_t{});
  check(std::uint8_t{});
  check(std::int16_t{});
  check(std::int32_t{});
  check(std::int64_t{});
  check(std::uint64_t{});
  check(float{});
  check(double{});
}

TEST(Runs, NumbersAreConvertedWhereNothingIsLost) {
  std::map<std::string, std::int64_t> integers;
  for (int i = 0; i < 300; ++i) {
    integers[std::to_string(i)] = i - 100;
  }
  const auto doubles = from_bytes<std::map<std::string, double>>(to_bytes(integers));
  ASSERT_EQ(doubles.size(), 300U);
  EXPECT_EQ(doubles.at("299"), 199.0);
  const std::list<double> halves(100, 0.5);
  EXPECT_EQ(from_bytes<std::list<float>>(to_bytes(halves)), std::list<float>(100, 0.5F));
  const std::list<std::int8_t> small(100, -5);
  EXPECT_EQ(from_bytes<std::list<std::int64_t>>(to_bytes(small)), std::list<std::int64_t>(100, -5));
}

TEST(Runs, ANumberThatDoesNotFitIsAnErrorAtItsPlace) {
  std::map<std::string, std::int64_t> numbers;
  for (int i = 100; i < 400; ++i) {
    numbers[std::to_string(i)] = i == 333 ? 70000 : i;
  }
  const std::vector<std::byte> bytes = to_bytes(numbers);
  const Error error = error_of([&] { from_bytes<std::map<std::string, std::int16_t>>(bytes); });
  EXPECT_EQ(error.code(), Errc::out_of_range);
  EXPECT_EQ(error.path(), "333");
  const std::list<int> negative = {1, 2, 3, 4, 5, 6, 7, 8, 9, -10, 11};
  const Error sign = error_of([&] { from_bytes<std::list<unsigned>>(to_bytes(negative)); });
  EXPECT_EQ(sign.code(), Errc::out_of_range);
  EXPECT_EQ(sign.path(), "9");
}

TEST(Runs, AnotherKindIsAnErrorAtItsPlace) {
  for (const std::size_t place : {0, 1, 63, 64, 65, 100, 199}) {
    const Error error = error_of([&] { from_bytes<std::vector<std::string>>(to_bytes(Mixed{place, 200})); });
    EXPECT_EQ(error.code(), Errc::type_mismatch);
    EXPECT_EQ(error.path(), std::to_string(place));
  }
}

TEST(Runs, AKeyThatIsStoredTwiceIsAnErrorAtItsPlace) {
  std::multimap<std::string, int> twice;
  std::multiset<std::string> items;
  for (int i = 100; i < 300; ++i) {
    twice.emplace(std::to_string(i), i);
    items.insert(std::to_string(i));
  }
  twice.emplace("150", 0);
  items.insert("150");
  const Error error = error_of([&] { from_bytes<std::map<std::string, int>>(to_bytes(twice)); });
  EXPECT_EQ(error.code(), Errc::malformed);
  EXPECT_EQ(error.path(), "~#51");  // "150" is the first of the two
  const Error item = error_of([&] { from_bytes<std::set<std::string>>(to_bytes(items)); });
  EXPECT_EQ(item.code(), Errc::malformed);
  EXPECT_EQ(item.path(), "51");
}

TEST(Runs, ATextBeyondTheAllocationLimitIsAnError) {
  std::vector<std::string> texts(100, "short");
  texts[70] = letters(2000);
  const std::vector<std::byte> bytes = to_bytes(texts);
  LoadOptions options;
  options.limits.allocation = 1000;
  const Error error = error_of([&] { from_bytes<std::vector<std::string>>(bytes, options); });
  EXPECT_EQ(error.code(), Errc::limit_exceeded);
  EXPECT_EQ(error.path(), "70");
}

/// Long structure with arrays between, so that both ways of writing take turns.
struct Alternating {
  std::vector<std::string> before;
  Array<float> first;
  std::map<std::string, double> between;
  Array<double> last;
  std::vector<std::string> after;
  bool operator==(const Alternating&) const = default;
};

Alternating alternating() {
  Alternating value;
  for (int i = 0; i < 40'000; ++i) {
    value.before.push_back(letters(30));
    value.between[letters(12)] = i;
    value.after.push_back(letters(20));
  }
  value.first = Array<float>({300'000});
  value.last = Array<double>({1'000'000});
  return value;
}

TEST(Runs, ThreadsDoNotChangeTheFile) {
  const test::Folder folder;
  const Alternating value = alternating();
  save(value, folder / "one", {.threads = 1});
  for (const unsigned threads : {2U, 3U}) {
    save(value, folder / "more", {.threads = threads});
    EXPECT_TRUE(test::content(folder / "one") == test::content(folder / "more"));
  }
  EXPECT_TRUE(test::content(folder / "one") == to_bytes(value));
  EXPECT_TRUE(load<Alternating>(folder / "more") == value);
}

TEST(Runs, AFailedWriteOfAnotherThreadIsAnError) {
  const Alternating value = alternating();
  EXPECT_EQ(error_of([&] { save(value, "/dev/full", {.threads = 2}); }).code(), Errc::io);
  const std::vector<std::string> only_structure(400'000, "some text of some length");
  EXPECT_EQ(error_of([&] { save(only_structure, "/dev/full", {.threads = 2}); }).code(), Errc::io);
}

TEST(Runs, AThrowingValueLeavesTheOldFile) {
  const test::Folder folder;
  save(1, folder / "file");
  EXPECT_THROW(save(Thrower{}, folder / "file", {.threads = 2}), std::runtime_error);
  EXPECT_EQ(load<int>(folder / "file"), 1);
  EXPECT_EQ(folder.names(), std::vector<std::string>{"file"});
}

}  // namespace
}  // namespace stele
