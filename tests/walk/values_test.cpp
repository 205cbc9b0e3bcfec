// Single values that are not numbers: text, paths, times, bit sets, optional, variant, tuples, literals.

#include <bitset>
#include <chrono>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <tuple>
#include <variant>

#include "stele/describe.hpp"
#include "stele/hash.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::expect_same;
using test::reread;
using test::round_trip;

TEST(Values, NullAndMonostate) {
  EXPECT_EQ(round_trip(nullptr), nullptr);
  expect_same(std::monostate{});
  expect_same(std::vector<std::monostate>(3));
}

// --- Text ------------------------------------------------------------------------------------------------------------

TEST(Values, Text) {
  using namespace std::string_literals;
  for (const std::string& text :
       {""s, "a"s, "\0"s, "a\0b"s, "\xff\xfe"s, "\xc3\x28"s, "\xed\xa0\x80"s, "\xf4\x90\x80\x80"s, "\xc0\x80"s,
        "grün € 😀"s, "\xe2\x82"s, std::string(23, 'x'), std::string(24, 'x'), std::string(255, 'y'),
        std::string(256, '\x80'), std::string(65535, 'z'), std::string(65536, 'z'), std::string(1 << 20, 'q'),
        std::string(1 << 20, '\xfe')}) {
    expect_same(text);
    EXPECT_EQ(round_trip(std::vector<std::string>{text, "", text}), (std::vector<std::string>{text, "", text}));
    EXPECT_EQ(round_trip(std::map<std::string, std::string>{{text, text}}),
              (std::map<std::string, std::string>{{text, text}}));
  }
}

TEST(Values, TextThatGrowsByOneCrossesEveryBuffer) {
  for (std::size_t size = 65400; size < 65700; ++size) {
    const std::pair<std::string, std::string> texts(std::string(size, 'a'), "tail");
    ASSERT_EQ(round_trip(texts), texts) << size;
  }
}

TEST(Values, OtherStrings) {
  EXPECT_TRUE(round_trip(std::u8string(u8"grün")) == u8"grün");
  EXPECT_EQ((reread<std::string>(std::string_view("view"))), "view");
  const char literal[] = "abc";
  EXPECT_EQ((reread<std::string>(std::string(literal))), "abc");
  expect_same(std::filesystem::path("/a/b c/ü.txt"));
  expect_same(std::filesystem::path());
  expect_same(std::vector<std::filesystem::path>{"a", "b/c"});
}

TEST(Values, BitSets) {
  expect_same(std::bitset<1>(1));
  expect_same(std::bitset<8>(0xa5));
  expect_same(std::bitset<70>("1010101010101010101010101010101010101010101010101010101010101010101011"));
  expect_same(std::bitset<0>());
  EXPECT_EQ(error_of([] { (reread<std::bitset<9>>(std::bitset<8>(1))); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { (reread<std::bitset<9>>(std::bitset<16>(0x8000))); }).code(), Errc::type_mismatch);
}

// --- Time ------------------------------------------------------------------------------------------------------------

TEST(Values, Durations) {
  using namespace std::chrono;
  expect_same(5s);
  expect_same(-7ms);
  expect_same(nanoseconds::max());
  expect_same(nanoseconds::min());
  expect_same(duration<double>(0.25));
  expect_same(duration<float, std::ratio<1, 30>>(3.5F));
  expect_same(hours(3));
  EXPECT_EQ((reread<milliseconds>(5s)), 5000ms);
  EXPECT_EQ((reread<seconds>(5000ms)), 5s);
  EXPECT_EQ((reread<seconds>(-5000ms)), -5s);
  EXPECT_EQ((reread<duration<double>>(1500ms)), duration<double>(1.5));
  EXPECT_EQ((reread<days>(hours(48))), days(2));
  EXPECT_EQ(error_of([] { (reread<seconds>(5001ms)); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([] { (reread<nanoseconds>(hours(1 << 30))); }).code(), Errc::out_of_range);
}

TEST(Values, UnsignedDurationsBeyondTheSignedRangeDoNotWrap) {
  using namespace std::chrono;
  using Micro = duration<std::uint64_t, std::micro>;
  using Milli = duration<std::uint64_t, std::milli>;
  const Micro large(~std::uint64_t{0} - 615);  // 2^64 - 616 = 1000 * 18446744073709551
  const Milli expected(18446744073709551U);
  try {
    EXPECT_EQ((reread<Milli>(large)), expected);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::out_of_range);
  }
  const Micro wraps(std::uint64_t{0} - 1000);  // as a signed number, -1 ms
  try {
    EXPECT_LT((reread<Milli>(wraps)).count(), std::uint64_t{1} << 63);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::out_of_range);
  }
}

TEST(Values, TimePoints) {
  using namespace std::chrono;
  expect_same(system_clock::now());
  expect_same(steady_clock::now());
  expect_same(sys_days{year{2026} / 2 / 28});
  EXPECT_EQ((reread<sys_time<milliseconds>>(sys_seconds(12s))), sys_time<milliseconds>(12000ms));
  expect_same(std::vector<sys_seconds>{sys_seconds(1s), sys_seconds(2s)});
}

// --- Optional, variant, tuples ---------------------------------------------------------------------------------------

TEST(Values, Optional) {
  using Nested = std::optional<std::optional<int>>;
  expect_same(std::optional<int>());
  expect_same(std::optional<int>(3));
  expect_same(std::optional<std::string>("x"));
  expect_same(Nested());
  expect_same(Nested(std::optional<int>()));
  expect_same(Nested(std::optional<int>(3)));
  using Deep = std::optional<std::optional<std::optional<std::vector<int>>>>;
  expect_same(Deep());
  expect_same(Deep(std::optional<std::optional<std::vector<int>>>()));
  expect_same(Deep(std::optional<std::optional<std::vector<int>>>(std::optional<std::vector<int>>())));
  expect_same(Deep(std::vector<int>{1, 2}));
  expect_same(std::vector<std::optional<double>>{1.5, {}, 2.5});
  expect_same(std::optional<std::vector<std::optional<int>>>({{1}, {}}));
  expect_same(std::optional<std::monostate>(std::monostate{}));
  expect_same(std::optional<std::monostate>());
}

TEST(Values, Variant) {
  using V = std::variant<std::monostate, int, std::string, std::vector<double>, std::optional<int>>;
  expect_same(V());
  expect_same(V(3));
  expect_same(V("text"));
  expect_same(V(std::vector<double>(1000, 0.5)));
  expect_same(V(std::optional<int>()));
  expect_same(std::vector<V>{V(1), V("two"), V()});
  expect_same(std::variant<int, int>(std::in_place_index<1>, 5));
  EXPECT_EQ(error_of([] { (reread<std::variant<int>>(std::variant<int, int>(std::in_place_index<1>, 5))); }).code(),
            Errc::type_mismatch);
}

TEST(Values, PairsAndTuples) {
  expect_same(std::pair<int, std::string>(1, "b"));
  expect_same(std::tuple<>());
  expect_same(std::tuple<int>(4));
  expect_same(std::tuple<int, std::pair<double, bool>, std::vector<int>>(1, {2.0, true}, {3}));
  expect_same(std::vector<std::pair<int, int>>{{1, 2}, {3, 4}});
  expect_same(std::vector<std::tuple<int, float>>{{1, 2.F}, {3, 4.F}});
  EXPECT_EQ(error_of([] { (reread<std::tuple<int, int, int>>(std::pair(1, 2))); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { (reread<std::tuple<int>>(std::pair(1, 2))); }).code(), Errc::type_mismatch);
}

// --- Literals --------------------------------------------------------------------------------------------------------

TEST(Literals, AreText) {
  EXPECT_EQ(from_bytes<std::string>(to_bytes("abc")), "abc");
  EXPECT_EQ(from_bytes<std::string>(to_bytes(u8"\u00e4")), "\u00e4");
  EXPECT_EQ(from_bytes<std::string>(to_bytes("")), "");
  EXPECT_EQ(hash("abc"), hash(std::string("abc")));
  EXPECT_EQ(hash("abc"), hash(std::string_view("abc")));
  EXPECT_NE(hash("abc"), hash("abd"));
  EXPECT_EQ(describe("abc"), describe(std::string("abc")));
  EXPECT_EQ(to_value("abc"), Value("abc"));
}

TEST(Literals, KeepWhatLiesBeforeTheLastZero) {
  EXPECT_EQ(from_bytes<std::string>(to_bytes("a\0b")), std::string("a\0b", 3));
  EXPECT_EQ(from_bytes<std::string>(to_bytes("a\0")), std::string("a\0", 2));
  EXPECT_NE(hash("a\0b"), hash("a"));
}

TEST(Literals, ArraysOfCharactersComeBackWhole) {
  const auto check = [](const auto& chars) {
    std::remove_cvref_t<decltype(chars)> again = {};
    const auto bytes = to_bytes(chars);
    Reader(Bytes(bytes)).read_into(again);
    EXPECT_EQ(std::memcmp(again, chars, sizeof(chars)), 0);
  };
  check("abc");
  const char full[4] = {'a', 'b', 'c', 'd'};
  check(full);
  const char padded[8] = "ab";
  check(padded);
  const char odd[2] = {'\xff', '\0'};
  check(odd);
  char small[3];
  const auto bytes = to_bytes("abcd");
  EXPECT_ERROR(Reader(Bytes(bytes)).read_into(small), Errc::type_mismatch, "3 bytes");
}

TEST(Literals, FieldsOfCharactersStayArrays) {
  struct Tag {
    char code[4] = {'a', 'b', 0, 0};
    int number = 1;
  };
  EXPECT_TRUE(to_value(Tag()).at_path("code").is_array());
  EXPECT_EQ(std::memcmp(round_trip(Tag()).code, Tag().code, 4), 0);
}

TEST(Literals, WrittenByAMapWriter) {
  std::vector<std::byte> bytes;
  const auto sink = memory_sink(bytes);
  MapWriter out(*sink);
  out.write("a", "abc");
  out.close();
  EXPECT_EQ((from_bytes<std::map<std::string, std::string>>(bytes)),
            (std::map<std::string, std::string>{{"a", "abc"}}));
}

}  // namespace
}  // namespace stele
