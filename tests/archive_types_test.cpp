// Every type of the user's view, out and back.

#include <bitset>
#include <chrono>
#include <cmath>
#include <complex>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <limits>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>

#include "test_support.hpp"

namespace foreign {

class Thing {
 public:
  explicit Thing(int x = 0) : x(x) {}
  int x;
};

/// A record whose only field is named after its number.
struct Numbered {
  std::size_t number = 0;
  std::string text;
  bool operator==(const Numbered&) const = default;
};

}  // namespace foreign

template <>
struct stele::Visit<foreign::Thing> {
  static void visit(auto& v, auto& self) { v("x", self.x); }
};

template <>
struct stele::Walk<foreign::Numbered> {
  static void write(OutVisitor& out, const foreign::Numbered& value) {
    const std::string name = std::to_string(value.number);
    const std::string_view names[] = {name};
    out.begin_record({names, 0, nullptr});
    out.text(value.text);
    out.end();
  }
  static void read(InVisitor& in, foreign::Numbered& value) {
    in.begin_record();
    for (std::string_view name; in.next_field(name);) {
      value.number = std::stoul(std::string(name));
      in.text(value.text);
    }
  }
};

namespace stele {
namespace {

using test::counting;
using test::error_of;
using test::reread;
using test::round_trip;

template <class T>
void expect_same(const T& value) {
  EXPECT_EQ(round_trip(value), value);
  for (const char* codec : {"gzip", "zstd"}) {
    if (test::has_codec(codec)) {
      EXPECT_EQ(round_trip(value, {.codec = codec}), value) << codec;
    }
  }
}

/// The same bits, for values that do not equal themselves.
template <class T>
void expect_same_bits(T value) {
  const T back = round_trip(value);
  EXPECT_EQ(std::memcmp(&back, &value, sizeof(T)), 0);
}

// --- Numbers ---------------------------------------------------------------------------------------------------------

template <class T>
class Integers : public testing::Test {};
using IntegerTypes = testing::Types<char, signed char, unsigned char, short, unsigned short, int, unsigned, long,
                                    unsigned long, long long, unsigned long long, wchar_t, char8_t, char16_t, char32_t>;
TYPED_TEST_SUITE(Integers, IntegerTypes);

TYPED_TEST(Integers, KeepTheirValue) {
  using Limits = std::numeric_limits<TypeParam>;
  for (const int shift : {0, 3, 5, 7, 8, 15, 16, 24, 31, 32, 63}) {
    for (const int off : {-1, 0, 1}) {
      if (shift >= Limits::digits) {
        continue;
      }
      const auto value = static_cast<TypeParam>((std::uint64_t{1} << shift) + static_cast<std::uint64_t>(off));
      EXPECT_EQ(round_trip(value), value);
      const auto negated = static_cast<TypeParam>(0 - static_cast<std::uint64_t>(value));
      EXPECT_EQ(round_trip(negated), negated);
    }
  }
  EXPECT_EQ(round_trip(Limits::min()), Limits::min());
  EXPECT_EQ(round_trip(Limits::max()), Limits::max());
  const std::vector<TypeParam> many{Limits::min(), TypeParam{}, Limits::max(), static_cast<TypeParam>(7)};
  EXPECT_EQ(round_trip(many), many);
  EXPECT_EQ(round_trip(std::set<TypeParam>(many.begin(), many.end())), std::set<TypeParam>(many.begin(), many.end()));
}

TEST(Types, BooleansKeepTheirValue) {
  expect_same(true);
  expect_same(false);
}

TEST(Types, NumbersTakeTheirShortestForm) {
  EXPECT_EQ(to_bytes(std::int64_t{7}), to_bytes(std::uint8_t{7}));
  EXPECT_EQ(to_bytes(std::uint64_t{7})[frozen::label.size()], std::byte{7});
}

template <class T>
class Reals : public testing::Test {};
using RealTypes = testing::Types<float, double, long double>;
TYPED_TEST_SUITE(Reals, RealTypes);

TYPED_TEST(Reals, KeepTheirValue) {
  using Limits = std::numeric_limits<TypeParam>;
  const TypeParam third = TypeParam{1} / 3;
  for (const TypeParam value : {TypeParam{0}, TypeParam{1}, third, Limits::max(), Limits::min(), Limits::denorm_min(),
                                Limits::epsilon(), 1 + Limits::epsilon(), Limits::infinity(), TypeParam{65504}}) {
    EXPECT_EQ(round_trip(value), value);
    EXPECT_EQ(round_trip(-value), -value);
    EXPECT_EQ(std::signbit(round_trip(-value)), true);
  }
  EXPECT_TRUE(std::isnan(round_trip(Limits::quiet_NaN())));
  EXPECT_TRUE(std::isnan(round_trip(std::vector<TypeParam>{Limits::quiet_NaN()}).at(0)));
}

TEST(Types, LongDoublesBeyondDoubleKeepTheirValue) {
  for (const long double value : {0x1.fffffffffffffffep+16383L, 0x1p-16445L, 0x1.000000000000002p+0L, 1e4000L,
                                  -1e-4940L, 3.14159265358979323846264338327950288L}) {
    EXPECT_EQ(round_trip(value), value);
    EXPECT_EQ(round_trip(-value), -value);
    const std::vector<long double> many{value, 0, -value};
    EXPECT_EQ(round_trip(many), many);
    const std::map<std::string, long double> named{{"x", value}};
    EXPECT_EQ(round_trip(named), named);
  }
}

TEST(Types, NotANumberKeepsItsBits) {
  expect_same_bits(std::bit_cast<float>(0x7fc12345U));
  expect_same_bits(std::bit_cast<float>(0xffc00001U));
  expect_same_bits(std::bit_cast<double>(0x7ff8000012345678U));
  expect_same_bits(std::bit_cast<double>(0xfff8000000000001U));
  for (const std::uint16_t bits :
       std::initializer_list<std::uint16_t>{0x7e01, 0xfe00, 0x7c00, 0xfc00, 0x8000, 1, 0x7bff}) {
    float16 half;
    half.bits = bits;
    EXPECT_EQ(round_trip(half).bits, bits);
    bfloat16 brain;
    brain.bits = bits;
    EXPECT_EQ(round_trip(brain).bits, bits);
  }
  bfloat16 brain_nan;
  brain_nan.bits = 0x7fc1;
  EXPECT_EQ(round_trip(brain_nan).bits, 0x7fc1);
}

TEST(Types, TinyFloatsKeepTheirBits) {
  for (unsigned bits = 0; bits < 256; ++bits) {
    EXPECT_EQ(round_trip(float8_e4m3fn{static_cast<std::uint8_t>(bits)}).bits, bits);
    EXPECT_EQ(round_trip(float8_e5m2{static_cast<std::uint8_t>(bits)}).bits, bits);
  }
}

TEST(Types, Complex) {
  expect_same(std::complex<float>(1, -2));
  expect_same(std::complex<double>(0.1, std::numeric_limits<double>::infinity()));
  expect_same(std::vector<std::complex<float>>{{1, 2}, {3, 4}});
  expect_same(std::vector<std::complex<double>>(1000, {1, 2}));
  expect_same(std::map<int, std::complex<double>>{{1, {1, 2}}});
}

enum class Colour : std::uint8_t { red = 1, blue = 255 };
enum class Wide : std::int64_t { low = std::numeric_limits<std::int64_t>::min(), high = 7 };
enum Old { first, second };

TEST(Types, Enumerations) {
  expect_same(Colour::blue);
  expect_same(Wide::low);
  expect_same(second);
  expect_same(std::vector<Colour>{Colour::red, Colour::blue});
  expect_same(std::map<Colour, Wide>{{Colour::red, Wide::low}, {Colour::blue, Wide::high}});
}

TEST(Types, NullAndMonostate) {
  EXPECT_EQ(round_trip(nullptr), nullptr);
  expect_same(std::monostate{});
  expect_same(std::vector<std::monostate>(3));
}

TEST(Types, ByteVectors) {
  expect_same(std::vector<std::byte>{std::byte{0}, std::byte{255}, std::byte{7}});
  expect_same(std::vector<std::uint8_t>(5000, 3));
  expect_same(std::byte{9});
}

// --- Text ------------------------------------------------------------------------------------------------------------

TEST(Types, Text) {
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

TEST(Types, TextThatGrowsByOneCrossesEveryBuffer) {
  for (std::size_t size = 65400; size < 65700; ++size) {
    const std::pair<std::string, std::string> texts(std::string(size, 'a'), "tail");
    ASSERT_EQ(round_trip(texts), texts) << size;
  }
}

TEST(Types, OtherStrings) {
  EXPECT_TRUE(round_trip(std::u8string(u8"grün")) == u8"grün");
  EXPECT_EQ((reread<std::string>(std::string_view("view"))), "view");
  const char literal[] = "abc";
  EXPECT_EQ((reread<std::string>(std::string(literal))), "abc");
  expect_same(std::filesystem::path("/a/b c/ü.txt"));
  expect_same(std::filesystem::path());
  expect_same(std::vector<std::filesystem::path>{"a", "b/c"});
}

TEST(Types, BitSets) {
  expect_same(std::bitset<1>(1));
  expect_same(std::bitset<8>(0xa5));
  expect_same(std::bitset<70>("1010101010101010101010101010101010101010101010101010101010101010101011"));
  expect_same(std::bitset<0>());
  EXPECT_EQ(error_of([] { (reread<std::bitset<9>>(std::bitset<8>(1))); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { (reread<std::bitset<9>>(std::bitset<16>(0x8000))); }).code(), Errc::type_mismatch);
}

// --- Time ------------------------------------------------------------------------------------------------------------

TEST(Types, Durations) {
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

TEST(Types, UnsignedDurationsBeyondTheSignedRangeDoNotWrap) {
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

TEST(Types, TimePoints) {
  using namespace std::chrono;
  expect_same(system_clock::now());
  expect_same(steady_clock::now());
  expect_same(sys_days{year{2026} / 2 / 28});
  EXPECT_EQ((reread<sys_time<milliseconds>>(sys_seconds(12s))), sys_time<milliseconds>(12000ms));
  expect_same(std::vector<sys_seconds>{sys_seconds(1s), sys_seconds(2s)});
}

// --- Optional, variant, tuples ---------------------------------------------------------------------------------------

TEST(Types, Optional) {
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

TEST(Types, Variant) {
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

TEST(Types, PairsAndTuples) {
  expect_same(std::pair<int, std::string>(1, "b"));
  expect_same(std::tuple<>());
  expect_same(std::tuple<int>(4));
  expect_same(std::tuple<int, std::pair<double, bool>, std::vector<int>>(1, {2.0, true}, {3}));
  expect_same(std::vector<std::pair<int, int>>{{1, 2}, {3, 4}});
  expect_same(std::vector<std::tuple<int, float>>{{1, 2.F}, {3, 4.F}});
  EXPECT_EQ(error_of([] { (reread<std::tuple<int, int, int>>(std::pair(1, 2))); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { (reread<std::tuple<int>>(std::pair(1, 2))); }).code(), Errc::type_mismatch);
}

// --- Containers ------------------------------------------------------------------------------------------------------

TEST(Types, Sequences) {
  expect_same(std::vector<int>());
  expect_same(std::vector<int>{1, -2, 3});
  expect_same(std::vector<std::string>{"a", "b", ""});
  expect_same(std::vector<std::vector<float>>{{1, 2}, {}, {3}});
  expect_same(std::vector<std::vector<std::vector<std::string>>>{{{"a"}, {}}, {}});
  expect_same(std::deque<int>{1, 2, 3});
  expect_same(std::deque<std::string>(1000, "x"));
  expect_same(std::list<double>{1, 2.5});
  expect_same(std::list<std::vector<int>>{{1}, {}, {2, 3}});
  expect_same(std::vector<bool>{true, false, true});
  expect_same(std::vector<bool>());
  expect_same(std::vector<bool>(10001, true));
  expect_same(std::vector<std::vector<bool>>{{true}, {}, {false}});
  expect_same(std::deque<bool>{true, false});
  expect_same(std::list<bool>{true, false});
}

TEST(Types, FixedArrays) {
  expect_same(std::array<int, 3>{1, 2, 3});
  expect_same(std::array<int, 0>{});
  expect_same(std::array<std::string, 0>{});
  expect_same(std::array<std::string, 2>{"a", "b"});
  expect_same(std::array<std::array<float, 3>, 2>{{{1, 2, 3}, {4, 5, 6}}});
  expect_same(std::array<std::array<std::vector<int>, 2>, 2>{});
  expect_same(std::vector<std::array<float, 3>>{{1, 2, 3}, {4, 5, 6}});
  expect_same(std::vector<std::array<float, 3>>());
  expect_same(std::vector<std::array<std::array<std::uint8_t, 2>, 3>>(500));
  expect_same(std::array<bool, 3>{true, false, true});
  expect_same(std::vector<std::array<bool, 2>>{{true, false}, {false, true}});
  expect_same(std::array<std::complex<double>, 2>{{{1, 2}, {3, 4}}});
  EXPECT_EQ(error_of([] { (reread<std::array<int, 2>>(std::array<int, 3>{})); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { (reread<std::array<std::string, 2>>(std::array<std::string, 3>{})); }).code(),
            Errc::type_mismatch);
  EXPECT_EQ(error_of([] { (reread<std::vector<std::array<int, 2>>>(std::vector<std::array<int, 3>>(2))); }).code(),
            Errc::type_mismatch);
}

struct CArrays {
  int numbers[3];
  float grid[2][4];
  std::string names[2];
  bool flags[5];
  char code[4];
  bool operator==(const CArrays&) const = default;
};

TEST(Types, CArrays) {
  expect_same(CArrays{
      {1, 2, 3}, {{1, 2, 3, 4}, {5, 6, 7, 8}}, {"a", "b"}, {true, false, true, false, true}, {'a', 'b', 0, '\xff'}});
}

TEST(Types, SetsAndMaps) {
  expect_same(std::set<int>{3, 1, 2});
  expect_same(std::set<std::string>{"b", "a"});
  expect_same(std::set<std::vector<int>>{{1, 2}, {}, {0}});
  expect_same(std::multiset<int>{1, 1, 2});
  expect_same(std::map<std::string, int>{{"a", 1}, {"b", 2}});
  expect_same(std::map<int, std::map<int, std::string>>{{1, {{2, "x"}}}, {3, {}}});
  expect_same(std::map<std::pair<int, int>, double>{{{1, 2}, 3.0}});
  expect_same(std::map<double, int>{{-0.5, 1}, {0.25, 2}});
  expect_same(std::map<bool, int>{{false, 1}, {true, 2}});
  expect_same(std::map<std::vector<int>, int>{{{1, 2, 3}, 1}, {{}, 2}});
  expect_same(std::map<std::int64_t, int>{{-5, 1}, {std::numeric_limits<std::int64_t>::min(), 2}});
  expect_same(std::map<std::string, int, std::greater<>>{{"a", 1}, {"b", 2}});
  expect_same(std::unordered_set<int>{5, 6, 7});
  expect_same(std::unordered_set<std::string>{"x", "y"});
  expect_same(std::unordered_multiset<int>{1, 1, 2});
  expect_same(std::unordered_map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
  expect_same(std::unordered_multimap<int, int>{{1, 2}, {1, 3}});
  expect_same(std::map<std::optional<int>, int>{{{}, 1}, {2, 2}});
  expect_same(std::map<std::string, std::optional<int>>{{"", {}}, {"a/b~c", 3}});
}

TEST(Types, LargeUnorderedContainers) {
  for (const int count : {4095, 4096, 4097, 50'000}) {
    std::unordered_map<std::string, std::vector<int>> map;
    std::unordered_set<std::int64_t> set;
    std::unordered_multimap<int, int> multimap;
    for (int i = 0; i < count; ++i) {
      map["key " + std::to_string(i * 7919)] = {i, i + 1};
      set.insert(std::int64_t{i} * 1'000'003);
      multimap.emplace(i / 3, i);
    }
    expect_same(map);
    expect_same(set);
    expect_same(multimap);
    EXPECT_EQ(to_bytes(map), to_bytes(map));
    std::unordered_map<std::string, std::vector<int>> another(10 * map.size());
    another.insert(map.begin(), map.end());
    EXPECT_EQ(to_bytes(map, {.canonical = true}), to_bytes(another, {.canonical = true}));
    EXPECT_EQ(error_of([&] {
                (reread<std::unordered_map<int, int>>(std::multimap<int, int>(multimap.begin(), multimap.end())));
              }).code(),
              Errc::malformed);
  }
  std::unordered_set<int> emptied(100'000);
  expect_same(emptied);
  struct Constant {
    std::size_t operator()(int) const { return 7; }
  };
  std::unordered_map<int, int, Constant> one_bucket;
  for (int i = 0; i < 4500; ++i) {
    one_bucket[i] = -i;
  }
  expect_same(one_bucket);
}

TEST(Types, EqualKeysOfAMultimapKeepTheirOrder) {
  std::multimap<int, std::string> map;
  map.emplace(1, "first");
  map.emplace(1, "second");
  map.emplace(0, "zero");
  map.emplace(1, "third");
  expect_same(map);
}

struct Named {
  std::string name;
  std::vector<int> values;
  auto operator<=>(const Named&) const = default;
};
struct Outer {
  Named one;
  std::vector<Named> many;
  std::map<std::string, Named> by_name;
  std::optional<Named> maybe;
  std::variant<int, Named> either;
  std::pair<Named, int> pair;
  std::unique_ptr<int> owned;
};
struct Empty {
  bool operator==(const Empty&) const = default;
};
struct HoldsEmpty {
  Empty empty;
  int x = 0;
  bool operator==(const HoldsEmpty&) const = default;
};

TEST(Types, Aggregates) {
  Outer value;
  value.one = {"one", {1, 2}};
  value.many = {{"a", {}}, {"b", {3}}};
  value.by_name = {{"k", {"v", {4}}}};
  value.maybe = Named{"m", {5}};
  value.either = Named{"e", {6}};
  value.pair = {{"p", {7}}, 8};
  value.owned = std::make_unique<int>(9);
  const Outer back = round_trip<Outer>(value);
  EXPECT_EQ(back.one, value.one);
  EXPECT_EQ(back.many, value.many);
  EXPECT_EQ(back.by_name, value.by_name);
  EXPECT_EQ(back.maybe, value.maybe);
  EXPECT_EQ(back.either, value.either);
  EXPECT_EQ(back.pair, value.pair);
  EXPECT_EQ(*back.owned, 9);
  expect_same(Empty{});
  expect_same(HoldsEmpty{{}, 4});
  expect_same(std::vector<Empty>(3));
  expect_same(std::vector<HoldsEmpty>(3));
  expect_same(std::set<Named>{{"a", {}}, {"b", {1}}});
  expect_same(std::map<Named, int>{{{"a", {}}, 1}});
}

TEST(Types, RecordsOfSeveralTypesMix) {
  struct A {
    std::string a;
  };
  struct B {
    std::string b;
  };
  std::vector<std::variant<A, B>> mixed;
  for (int i = 0; i < 1000; ++i) {
    i % 3 == 0 ? mixed.emplace_back(A{"a"}) : mixed.emplace_back(B{"b"});
  }
  const auto back = round_trip(mixed);
  ASSERT_EQ(back.size(), mixed.size());
  for (std::size_t i = 0; i < back.size(); ++i) {
    ASSERT_EQ(back[i].index(), mixed[i].index());
    EXPECT_EQ(i % 3 == 0 ? std::get<0>(back[i]).a : std::get<1>(back[i]).b, i % 3 == 0 ? "a" : "b");
  }
}

TEST(Types, MoreRecordsThanThereAreRecordTags) {
  std::vector<std::vector<foreign::Numbered>> kinds;
  for (std::size_t round = 0; round < 2; ++round) {
    for (std::size_t number = 0; number < 300; ++number) {
      kinds.push_back({{number, "a" + std::to_string(round)}, {number, "b"}});
    }
  }
  EXPECT_EQ(round_trip(kinds), kinds);
  EXPECT_EQ(round_trip(std::pair(kinds, kinds)).second, kinds);
}

class Private {
 public:
  Private() = default;
  Private(int a, std::string b) : a_(a), b_(std::move(b)) {}
  static void visit(auto& v, auto& self) { v("a", self.a_)("b", self.b_); }
  bool operator==(const Private&) const = default;

 private:
  int a_ = 0;
  std::string b_;
};

TEST(Types, VisitedClasses) {
  expect_same(Private(3, "x"));
  expect_same(std::vector<Private>{{1, "a"}, {2, "b"}});
  EXPECT_EQ(round_trip(std::map<int, foreign::Thing>{{1, foreign::Thing(7)}}).at(1).x, 7);
}

// --- Records as array elements ---------------------------------------------------------------------------------------

struct Point {
  float x = 0, y = 0;
  bool operator==(const Point&) const = default;
};
enum class Flag : std::uint16_t { off, on = 0x1234 };
struct Rich {
  double time = 0;
  Point at;
  Flag flag = Flag::off;
  bool good = false;
  std::uint8_t code[5] = {};
  std::array<Point, 2> corners;
  std::complex<float> z;
  bool operator==(const Rich&) const = default;
};
static_assert(sizeof(Rich) == 8 + 8 + 2 + 1 + 5 + 16 + 8);
struct Padded {
  char c = 0;
  int i = 0;
  bool operator==(const Padded&) const = default;
};
struct Halves {
  float16 a;
  bfloat16 b;
  float8_e5m2 c;
  float8_e4m3fn d;
};

std::vector<Rich> rich(std::size_t count) {
  std::vector<Rich> all(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto f = static_cast<float>(i);
    all[i] = {static_cast<double>(i) / 3,
              {f, -f},
              i % 2 == 0 ? Flag::on : Flag::off,
              i % 3 == 0,
              {1, 2, 3, 4, static_cast<std::uint8_t>(i)},
              {{{f, 1}, {2, f}}},
              {f, 3}};
  }
  return all;
}

TEST(Types, PlainRecordsAreOneArray) {
  static_assert(walk::is_plain_record<Point>() && walk::is_plain_record<Rich>() && !walk::is_plain_record<Padded>());
  expect_same(std::vector<Point>{{1, 2}, {3, 4}});
  expect_same(std::vector<Point>());
  expect_same(rich(3));
  expect_same(rich(1000));
  expect_same(rich(1)[0]);
  expect_same(std::vector<Padded>{{'a', 1}, {'b', 2}});
  expect_same(std::map<std::string, std::vector<Rich>>{{"a", rich(200)}});
  expect_same(std::vector<std::array<Point, 3>>(50));
  expect_same(std::array<Rich, 2>{rich(2)[0], rich(2)[1]});
  expect_same(std::deque<Point>{{1, 2}});
  expect_same(std::optional<Point>(Point{1, 2}));
  EXPECT_LT(to_bytes(rich(1000)).size(), 1000 * sizeof(Rich) + 2000);
  const auto back = round_trip(std::vector<Halves>(3, Halves{float16(1.5F), bfloat16(2.5F), {3}, {4}}));
  EXPECT_EQ(back.at(2).a, float16(1.5F));
  EXPECT_EQ(back.at(2).d.bits, 4);
}

// --- Pointers --------------------------------------------------------------------------------------------------------

TEST(Types, UniquePointers) {
  EXPECT_EQ(*round_trip(std::make_unique<int>(4)), 4);
  EXPECT_EQ(round_trip(std::unique_ptr<int>()), nullptr);
  const auto nested = round_trip(std::make_unique<std::unique_ptr<std::string>>(std::make_unique<std::string>("x")));
  EXPECT_EQ(**nested, "x");
  const auto null_inside = round_trip(std::make_unique<std::unique_ptr<int>>());
  ASSERT_NE(null_inside, nullptr);
  EXPECT_EQ(*null_inside, nullptr);
  const auto empty = round_trip(std::make_unique<std::optional<int>>());
  ASSERT_NE(empty, nullptr);
  EXPECT_FALSE(empty->has_value());
  EXPECT_EQ(*round_trip(std::unique_ptr<const int>(new int(3))), 3);
}

TEST(Types, SharedPointers) {
  EXPECT_EQ(*round_trip(std::make_shared<int>(4)), 4);
  EXPECT_EQ(round_trip(std::shared_ptr<int>()), nullptr);
  EXPECT_EQ(*round_trip(std::shared_ptr<const std::string>(new std::string("x"))), "x");
  const auto empty = round_trip(std::make_shared<std::optional<int>>());
  ASSERT_NE(empty, nullptr);
  EXPECT_FALSE(empty->has_value());
  const auto inner = round_trip(std::make_shared<std::shared_ptr<int>>());
  ASSERT_NE(inner, nullptr);
  EXPECT_EQ(*inner, nullptr);
  const auto optional = round_trip(std::optional<std::shared_ptr<int>>(std::shared_ptr<int>()));
  ASSERT_TRUE(optional.has_value());
  EXPECT_EQ(*optional, nullptr);
  EXPECT_FALSE(round_trip(std::optional<std::shared_ptr<int>>()).has_value());
}

struct Shape2 {
  virtual ~Shape2() = default;
  virtual double area() const = 0;
};
struct Named2 {
  virtual ~Named2() = default;
  std::string label;
  static void visit(auto& v, auto& self) { v("label", self.label); }
};
struct Square : Shape2 {
  double side = 0;
  double area() const override { return side * side; }
  static void visit(auto& v, auto& self) { v("side", self.side); }
};
struct Disc : Named2, Shape2 {
  double radius = 0;
  double area() const override { return 3 * radius * radius; }
  static void visit(auto& v, auto& self) { v("radius", self.radius)("label", self.label); }
};
struct Oval : Disc {};
struct Base : virtual Shape2 {
  int base = 0;
};
struct Left : virtual Base {
  int left = 0;
};
struct Right : virtual Base {
  int right = 0;
};
struct Diamond : Left, Right {
  double area() const override { return base + left + right; }
  static void visit(auto& v, auto& self) { v("base", self.base)("left", self.left)("right", self.right); }
};

TypeRegistry shapes() {
  TypeRegistry types;
  types.add<Square, Shape2>("square");
  types.add<Disc, Shape2, Named2>("disc");
  types.add<Diamond, Shape2, Base, Left, Right>("diamond");
  types.add<Named2>("named");
  return types;
}

TEST(Types, PolymorphicPointers) {
  const TypeRegistry types = shapes();
  std::vector<std::unique_ptr<Shape2>> all;
  auto square = std::make_unique<Square>();
  square->side = 3;
  auto disc = std::make_unique<Disc>();
  disc->radius = 2;
  disc->label = "d";
  auto diamond = std::make_unique<Diamond>();
  diamond->base = 1;
  diamond->left = 2;
  diamond->right = 4;
  all.push_back(std::move(square));
  all.push_back(nullptr);
  all.push_back(std::move(disc));
  all.push_back(std::move(diamond));
  const auto back = round_trip(all, {.types = &types}, {.types = &types});
  ASSERT_EQ(back.size(), 4U);
  EXPECT_EQ(back[0]->area(), 9);
  EXPECT_EQ(back[1], nullptr);
  EXPECT_EQ(back[2]->area(), 12);
  EXPECT_EQ(dynamic_cast<Disc&>(*back[2]).label, "d");
  EXPECT_EQ(back[3]->area(), 7);
  EXPECT_EQ(dynamic_cast<Diamond&>(*back[3]).right, 4);
}

struct Views {
  std::shared_ptr<Named2> named;
  std::shared_ptr<Shape2> shape;
  std::weak_ptr<Disc> disc;
  std::shared_ptr<Left> left;
  std::shared_ptr<Right> right;
  std::shared_ptr<Base> base;
};

TEST(Types, OneObjectThroughSeveralBases) {
  const TypeRegistry types = shapes();
  Views views;
  const auto disc = std::make_shared<Disc>();
  disc->radius = 5;
  disc->label = "one";
  const auto diamond = std::make_shared<Diamond>();
  diamond->left = 8;
  views = {disc, disc, disc, diamond, diamond, diamond};
  const Views back = round_trip(views, {.types = &types}, {.types = &types});
  EXPECT_EQ(back.named->label, "one");
  EXPECT_EQ(back.shape->area(), 75);
  EXPECT_EQ(dynamic_cast<Disc*>(back.named.get()), dynamic_cast<Disc*>(back.shape.get()));
  EXPECT_EQ(back.disc.lock().get(), dynamic_cast<Disc*>(back.named.get()));
  EXPECT_EQ(dynamic_cast<Diamond*>(back.left.get()), dynamic_cast<Diamond*>(back.right.get()));
  EXPECT_EQ(back.base->area(), 8);
  EXPECT_EQ(back.named.use_count(), 2);
  EXPECT_EQ(back.left.use_count(), 3);
}

TEST(Types, APointerToAConcreteBaseKeepsTheDerivedType) {
  const TypeRegistry types = shapes();
  std::shared_ptr<Named2> plain = std::make_shared<Named2>();
  plain->label = "plain";
  std::shared_ptr<Named2> disc = std::make_shared<Disc>();
  const auto back = round_trip(std::vector{plain, disc, plain}, {.types = &types}, {.types = &types});
  EXPECT_EQ(back[0]->label, "plain");
  EXPECT_EQ(dynamic_cast<Disc*>(back[0].get()), nullptr);
  EXPECT_NE(dynamic_cast<Disc*>(back[1].get()), nullptr);
  EXPECT_EQ(back[0], back[2]);
  // Without a registry the concrete class itself still works.
  EXPECT_EQ(round_trip(plain)->label, "plain");
}

TEST(Types, UnregisteredPolymorphicTypesAreErrors) {
  const TypeRegistry types = shapes();
  std::unique_ptr<Shape2> square = std::make_unique<Square>();
  EXPECT_EQ(error_of([&] { to_bytes(square); }).code(), Errc::unknown_type);
  const auto bytes = to_bytes(square, {.types = &types});
  EXPECT_EQ(error_of([&] { from_bytes<std::unique_ptr<Shape2>>(bytes); }).code(), Errc::unknown_type);
  TypeRegistry others;
  others.add<Disc, Named2>("square");  // that name, but no Shape2
  EXPECT_EQ(error_of([&] { from_bytes<std::unique_ptr<Shape2>>(bytes, {.types = &others}); }).code(),
            Errc::type_mismatch);
  TypeRegistry twice = shapes();
  EXPECT_EQ(error_of([&] { twice.add<Square>("other"); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { twice.add<Oval, Disc>("square"); }).code(), Errc::invalid_argument);
}

// --- stele::Array ----------------------------------------------------------------------------------------------------

template <class T>
class Elements : public testing::Test {};
using ElementTypes = testing::Types<bool, char, std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t,
                                    std::uint32_t, std::int64_t, std::uint64_t, float, double, std::byte, Colour>;
TYPED_TEST_SUITE(Elements, ElementTypes);

TYPED_TEST(Elements, RoundTripInArraysOfAllSizes) {
  for (const std::size_t count : {0U, 1U, 7U, 4095U, 4096U, 5000U, 70000U}) {
    Array<TypeParam> array({count});
    for (std::size_t i = 0; i < count; ++i) {
      array.data()[i] = static_cast<TypeParam>(i % 2);
    }
    EXPECT_TRUE(round_trip(array) == array) << count;
    if (test::has_codec("zstd")) {
      EXPECT_TRUE(round_trip(array, {.codec = "zstd"}) == array) << count;
    }
  }
}

template <class T>
Array<T> from_bits(std::size_t count) {
  Array<T> array({count});
  for (std::size_t i = 0; i < count; ++i) {
    array.data()[i].bits = static_cast<decltype(T::bits)>(i);
  }
  return array;
}

template <class T>
void expect_same_array_bits(const Array<T>& array) {
  const auto back = round_trip(array);
  ASSERT_EQ(back.shape(), array.shape());
  EXPECT_EQ(std::memcmp(back.data(), array.data(), array.size() * sizeof(T)), 0);
}

TEST(Types, SmallFloatArrays) {
  expect_same_array_bits(from_bits<float16>(65536));
  expect_same_array_bits(from_bits<bfloat16>(65536));
  expect_same_array_bits(from_bits<float8_e4m3fn>(256));
  expect_same_array_bits(from_bits<float8_e5m2>(256));
  Array<std::complex<float>> z({9});
  z(3) = {1, 2};
  EXPECT_TRUE(round_trip(z) == z);
}

TEST(Types, ArraysOfEveryRank) {
  Array<int, 0> scalar(std::array<std::uint64_t, 0>{});
  scalar() = 42;
  EXPECT_EQ(round_trip(scalar)(), 42);
  EXPECT_TRUE((round_trip(counting<float, 1>({10})) == counting<float, 1>({10})));
  EXPECT_TRUE((round_trip(counting<float, 2>({3, 4})) == counting<float, 2>({3, 4})));
  EXPECT_TRUE((round_trip(counting<double, 3>({3, 4, 5})) == counting<double, 3>({3, 4, 5})));
  EXPECT_TRUE((round_trip(counting<std::int8_t, 4>({3, 4, 5, 200})) == counting<std::int8_t, 4>({3, 4, 5, 200})));
  EXPECT_TRUE((round_trip(counting<float, 2>({3, 0})) == counting<float, 2>({3, 0})));
  EXPECT_TRUE((round_trip(counting<float, 3>({0, 5, 7})) == counting<float, 3>({0, 5, 7})));
  EXPECT_EQ((round_trip(Array<float, 1>()).size()), 0U);
  EXPECT_EQ((round_trip(Array<float, 2>()).shape()), (std::array<std::uint64_t, 2>{0, 0}));
}

TEST(Types, AnUnsetArrayWithoutDimensionsRoundTrips) {
  const auto back = round_trip(Array<int, 0>());
  EXPECT_LE(back.size(), 1U);
}

TEST(Types, ColumnMajorArraysStaySo) {
  const auto array = counting<float, 2>({40, 50}, Order::column_major);
  const auto back = round_trip(array);
  EXPECT_TRUE(back == array);
  EXPECT_TRUE(back.is_dense(Order::column_major));
  const auto cube = counting<double, 3>({4, 5, 60}, Order::column_major);
  EXPECT_TRUE(round_trip(cube) == cube);
  EXPECT_TRUE(round_trip(cube).is_dense(Order::column_major));
}

TEST(Types, StridedArrays) {
  const auto base = counting<int, 2>({60, 50});
  EXPECT_TRUE(round_trip(base.transposed()) == base.transposed());
  EXPECT_TRUE(round_trip(base.slice(10, 20)) == base.slice(10, 20));
  EXPECT_TRUE(round_trip(base.slice(10, 20).transposed()) == base.slice(10, 20).transposed());
  EXPECT_TRUE(round_trip(base.slice(5, 5)) == base.slice(5, 5));
  auto first = const_cast<int*>(base.data());
  // every other column of every third row, backwards
  const Array<int, 2> odd(base.buffer(), first + 59 * 50 + 49, {20, 25}, {-150, -2});
  EXPECT_EQ(odd(0, 0), base(59, 49));
  EXPECT_EQ(odd(1, 1), base(56, 47));
  EXPECT_TRUE(round_trip(odd) == odd);
  const Array<int> backwards(base.buffer(), first + 2999, {3000}, {-1});
  EXPECT_TRUE(round_trip(backwards) == backwards);
  const Array<int, 2> repeated(base.buffer(), first, {30, 50}, {0, 1});
  EXPECT_TRUE(round_trip(repeated) == repeated);
  const Array<int> constant(base.buffer(), first + 7, {5000}, {0});
  EXPECT_TRUE(round_trip(constant) == constant);
  const Array<int, 2> diagonal(base.buffer(), first, {50, 1}, {51, 7});
  EXPECT_TRUE(round_trip(diagonal) == diagonal);
  const auto cube = counting<std::int16_t, 3>({10, 20, 30});
  EXPECT_TRUE(round_trip(cube.transposed()) == cube.transposed());
  const Array<std::int16_t, 3> swapped(cube.buffer(), const_cast<std::int16_t*>(cube.data()), {20, 10, 30},
                                       {30, 600, 1});
  EXPECT_TRUE(round_trip(swapped) == swapped);
}

TEST(Types, ArraysOfRecords) {
  const auto items = rich(500);
  Array<Rich, 2> array({50, 10});
  std::copy(items.begin(), items.end(), array.data());
  EXPECT_TRUE(round_trip(array) == array);
  EXPECT_TRUE(round_trip(array.transposed()) == array.transposed());
  EXPECT_TRUE(round_trip(array.slice(3, 9)) == array.slice(3, 9));
}

TEST(Types, ArraysOfConstElements) {
  const auto base = counting<float, 1>({2000});
  const Array<const float> fixed(base.buffer(), base.data(), {2000}, {1});
  const auto back = reread<Array<const float>>(fixed);
  EXPECT_EQ(back.size(), 2000U);
  EXPECT_EQ(back(77), base(77));
}

TEST(Types, SpansAreWrittenAsArrays) {
  const std::vector<double> numbers{1, 2, 3};
  EXPECT_EQ((reread<std::vector<double>>(std::span<const double>(numbers))), numbers);
  const std::vector<std::string> texts{"a", "b"};
  EXPECT_EQ((reread<std::vector<std::string>>(std::span<const std::string>(texts))), texts);
  std::vector<double> room(3);
  std::span<double> into(room);
  const auto bytes = to_bytes(numbers);
  Reader(bytes).read_into(into);
  EXPECT_EQ(room, numbers);
  std::vector<double> small(2);
  std::span<double> too_small(small);
  EXPECT_EQ(error_of([&] { Reader(bytes).read_into(too_small); }).code(), Errc::type_mismatch);
  std::vector<std::string> text_room(2);
  std::span<std::string> text_into(text_room);
  const auto text_bytes = to_bytes(texts);
  Reader(text_bytes).read_into(text_into);
  EXPECT_EQ(text_room, texts);
}

TEST(Types, ArraysAndVectorsAreTheSameOnDisk) {
  const auto array = counting<float, 1>({3000});
  const std::vector<float> vector(array.data(), array.data() + 3000);
  EXPECT_EQ((reread<std::vector<float>>(array)), vector);
  EXPECT_TRUE((reread<Array<float>>(vector)) == array);
  const auto grid = counting<float, 2>({100, 3});
  const auto rows = reread<std::vector<std::array<float, 3>>>(grid);
  EXPECT_EQ(rows.at(50)[1], grid(50, 1));
  EXPECT_TRUE((reread<Array<float, 2>>(rows)) == grid);
  const auto turned = counting<float, 2>({3, 100}).transposed();
  EXPECT_EQ((reread<std::vector<std::array<float, 3>>>(turned)).at(70)[2], turned(70, 2));
  const auto column = counting<float, 2>({100, 3}, Order::column_major);
  EXPECT_EQ((reread<std::vector<std::array<float, 3>>>(column)).at(70)[2], column(70, 2));
  EXPECT_EQ((reread<std::vector<int>>(std::array<int, 3>{1, 2, 3})), (std::vector<int>{1, 2, 3}));
}

// --- Everything at once ----------------------------------------------------------------------------------------------

struct Tree {
  std::string name;
  std::variant<std::monostate, std::int64_t, double, std::string> value;
  std::vector<Tree> children;
  std::map<std::string, Tree> named;
  std::vector<float> weights;
  std::vector<Rich> records;
  std::optional<std::vector<bool>> flags;
  bool operator==(const Tree&) const = default;
};

class Random {
 public:
  explicit Random(unsigned seed) : random_(seed) {}
  std::size_t below(std::size_t n) { return random_() % n; }
  std::string text() {
    std::string text(below(10) == 0 ? below(100000) : below(30), '\0');
    for (char& c : text) {
      c = static_cast<char>(below(4) == 0 ? random_() : 'a' + below(26));
    }
    return text;
  }
  Tree tree(int depth) {
    Tree t;
    t.name = text();
    switch (below(4)) {
      case 1:
        t.value = static_cast<std::int64_t>(random_());
        break;
      case 2:
        t.value = static_cast<double>(random_()) / 7;
        break;
      case 3:
        t.value = text();
        break;
      default:
        break;
    }
    t.weights = test::numbers<float>(below(3) == 0 ? below(50000) : below(20), static_cast<unsigned>(random_()));
    t.records = rich(below(100));
    if (below(2) == 0) {
      t.flags = std::vector<bool>(below(5000), true);
    }
    for (std::size_t n = depth > 0 ? below(4) : 0; n > 0; --n) {
      t.children.push_back(tree(depth - 1));
    }
    for (std::size_t n = depth > 0 ? below(3) : 0; n > 0; --n) {
      t.named[text()] = tree(depth - 1);
    }
    return t;
  }

 private:
  std::mt19937_64 random_;
};

TEST(Types, RandomTreesRoundTripEverywhere) {
  const test::Folder folder;
  for (unsigned seed = 0; seed < 12; ++seed) {
    const Tree tree = Random(seed).tree(3);
    for (const char* name : {"tree.stele", "tree.stele.gz", "tree.stele.zst"}) {
      if (std::string_view(name).ends_with(".zst") && !test::has_codec("zstd")) {
        continue;
      }
      save(tree, folder / name);
      ASSERT_EQ(load<Tree>(folder / name), tree) << seed << name;
      const File file = open(folder / name);
      ASSERT_EQ(file.load<Tree>(), tree) << seed << name;
      if (!tree.children.empty()) {
        const std::string last = "children/" + std::to_string(tree.children.size() - 1);
        EXPECT_EQ(file.load<Tree>(last), tree.children.back());
        EXPECT_EQ(file.load<std::string>(last + "/name"), tree.children.back().name);
        EXPECT_EQ(file.load<std::vector<float>>(last + "/weights"), tree.children.back().weights);
        EXPECT_EQ(file.load<std::vector<Rich>>(last + "/records"), tree.children.back().records);
      }
      file.verify();
    }
    ASSERT_EQ(round_trip(tree), tree) << seed;
    ASSERT_EQ(to_bytes(tree), to_bytes(round_trip(tree))) << seed;
  }
}

}  // namespace
}  // namespace stele
