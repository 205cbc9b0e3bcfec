// States as text: round trips, the form of the text, and errors.

#include "stele/state_text.hpp"

#include <zlib.h>

#include <deque>
#include <list>
#include <map>
#include <numeric>
#include <optional>

#include "base/bytes.hpp"
#include "format/text/base64.hpp"
#include "services/text/frozen.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;

/// The options for reading a text that was made with `options`.
TextLoadOptions loading(const TextSaveOptions& options) {
  return {.dictionary = options.dictionary, .bare = options.bare, .item = options.item};
}

template <class T>
void expect_round_trip(const T& value, const TextSaveOptions& options = {}) {
  const std::string text = to_text(value, options);
  EXPECT_EQ(from_text<T>(text, loading(options)), value) << text.substr(0, 200);
}

std::string base64(Bytes bytes) {
  std::string text;
  append_base64(text, bytes);
  return text;
}

std::vector<std::byte> deflated(Bytes plain) {
  uLongf size = compressBound(plain.size());
  std::vector<std::byte> stream(size);
  EXPECT_EQ(compress(reinterpret_cast<Bytef*>(stream.data()), &size, reinterpret_cast<const Bytef*>(plain.data()),
                     plain.size()),
            Z_OK);
  stream.resize(size);
  return stream;
}
std::vector<std::byte> inflated(Bytes stream, std::size_t most = 1 << 20) {
  uLongf size = most;
  std::vector<std::byte> plain(most);
  EXPECT_EQ(uncompress(reinterpret_cast<Bytef*>(plain.data()), &size, reinterpret_cast<const Bytef*>(stream.data()),
                       stream.size()),
            Z_OK);
  plain.resize(size);
  return plain;
}

/// The text of a stream, with the right checksum.
std::string sealed(std::vector<std::byte> stream) {
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(stream.data()), static_cast<uInt>(stream.size()));
  stream.resize(stream.size() + 4);
  store_le<std::uint32_t>(stream.data() + stream.size() - 4, static_cast<std::uint32_t>(crc));
  return base64(stream);
}
/// The text whose plain bytes these are.
std::string text_of(Bytes plain) { return sealed(deflated(plain)); }
/// The plain bytes of a text.
std::vector<std::byte> plain_of(std::string_view text) {
  const std::vector<std::byte> all = decode_base64(text);
  return inflated(Bytes(all).first(all.size() - 4));
}
std::vector<std::byte> bytes_of(std::initializer_list<unsigned> values) {
  std::vector<std::byte> bytes;
  for (const unsigned value : values) {
    bytes.push_back(static_cast<std::byte>(value));
  }
  return bytes;
}

/// 3,000 counters as the article has them: their JSON list takes about 9,020 characters.
std::vector<int> article_state(unsigned seed = 1) {
  std::mt19937 random(seed);
  std::geometric_distribution<int> counter(0.394);
  std::vector<int> counters(3000);
  for (int& value : counters) {
    value = std::min(counter(random), 101);
  }
  return counters;
}

/// States whose places have much in common: place i is visited in proportion to (1 + i * 7919 % 3000)^-1.2.
std::vector<std::vector<int>> popular_states(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::lognormal_distribution<double> activity(0, 0.7);
  std::vector<std::vector<int>> states(count, std::vector<int>(3000));
  for (auto& state : states) {
    const double visits = 400 * activity(random);
    for (std::size_t i = 0; i < state.size(); ++i) {
      const double rate = std::pow(static_cast<double>(1 + i * 7919 % 3000), -1.2);
      state[i] = std::min(std::poisson_distribution<int>(visits * rate)(random), 101);
    }
  }
  return states;
}

constexpr int levels[] = {1, 2, 6, 9};

// ---- integers ----

template <class E>
std::vector<std::vector<E>> arrays_of() {
  std::mt19937_64 random(sizeof(E));
  constexpr E least = std::numeric_limits<E>::min();
  constexpr E most = std::numeric_limits<E>::max();
  std::vector<std::vector<E>> arrays{{}, {0}, {least}, {most}, {least, most}, {most, least, 0}, {7, 7, 7, 7, 7, 7, 7}};
  for (const std::size_t count : {2U, 15U, 16U, 17U, 300U}) {
    for (unsigned bits = 1; bits <= 8 * sizeof(E); bits += bits < 8 ? 1 : 5) {
      std::vector<E> values(count);
      std::vector<E> skewed(count);
      std::vector<E> ascending(count);
      E last = least;
      for (std::size_t i = 0; i < count; ++i) {
        const auto drawn = static_cast<E>(random() >> (64 - bits));
        values[i] = static_cast<E>(drawn + (bits % 2 == 0 ? least : E{}));
        skewed[i] = static_cast<E>(random() % 16 == 0 ? drawn : 3);
        last = static_cast<E>(
            std::min<std::uint64_t>(random() % 4, static_cast<std::uint64_t>(most - (last > 0 ? last : 0))) +
            static_cast<std::uint64_t>(last));
        ascending[i] = last;
      }
      arrays.insert(arrays.end(), {values, skewed, ascending});
    }
  }
  return arrays;
}

template <class E>
class StateTextIntegers : public testing::Test {};
using Integers = testing::Types<std::int8_t, std::int16_t, std::int32_t, std::int64_t, std::uint8_t, std::uint16_t,
                                std::uint32_t, std::uint64_t, char>;
TYPED_TEST_SUITE(StateTextIntegers, Integers);

TYPED_TEST(StateTextIntegers, ComeBackAtEveryLevel) {
  const auto arrays = arrays_of<TypeParam>();
  for (const int level : levels) {
    TextEncoder encoder({.level = level});
    TextDecoder decoder;
    for (const auto& values : arrays) {
      const std::string text = encoder.text(values);
      ASSERT_EQ(decoder.value<std::vector<TypeParam>>(text), values) << level << " " << text;
    }
  }
}

TYPED_TEST(StateTextIntegers, ComeBackBare) {
  for (const auto& values : arrays_of<TypeParam>()) {
    expect_round_trip(values, {.bare = true});
    expect_round_trip(values, {.level = 6, .bare = true});
  }
}

TYPED_TEST(StateTextIntegers, ComeBackAsWiderAndOtherTypes) {
  for (const auto& values : arrays_of<TypeParam>()) {
    const std::string text = to_text(values);
    if (std::is_signed_v<TypeParam> || sizeof(TypeParam) < 8) {
      std::vector<std::int64_t> wide(values.size());
      std::transform(values.begin(), values.end(), wide.begin(), [](TypeParam value) -> std::int64_t {
        if constexpr (std::is_same_v<TypeParam, char>) {
          return static_cast<unsigned char>(value);  // as in archives
        } else {
          return static_cast<std::int64_t>(value);
        }
      });
      ASSERT_EQ(from_text<std::vector<std::int64_t>>(text), wide);
      ASSERT_EQ(to_text(wide), text);  // the type does not count
    }
    ASSERT_EQ(from_text<std::deque<TypeParam>>(text), std::deque<TypeParam>(values.begin(), values.end()));
    const auto shared = from_text<Array<TypeParam>>(text);
    ASSERT_TRUE(std::equal(values.begin(), values.end(), shared.begin(), shared.end()));
  }
}

TEST(StateText, AnyContainerOfIntegersAndPlainNumbersInArraysOfOtherTypes) {
  expect_round_trip(std::array<short, 5>{1, 2, 3, -4, 5});
  expect_round_trip(std::deque<int>{1, 2, 300});
  expect_round_trip(std::list<unsigned>{});
  const std::string text = to_text(std::vector<int>{1, 2, 200});
  EXPECT_EQ(from_text<std::vector<double>>(text), (std::vector<double>{1, 2, 200}));
  EXPECT_EQ((from_text<std::array<unsigned char, 3>>(text)), (std::array<unsigned char, 3>{1, 2, 200}));
  EXPECT_EQ(to_text(std::vector<long>{1, 2, 200}), text);
  const std::vector<int> counters{4, 5, 6};
  EXPECT_EQ(to_text(std::span<const int>(counters)), to_text(counters));
  // Every second element of a matrix' column.
  Array<int, 2> matrix({4, 3});
  std::iota(matrix.mutable_data(), matrix.mutable_data() + 12, 0);
  const Array<int> column(matrix.buffer(), matrix.data(), {2}, {6});
  EXPECT_EQ(from_text<std::vector<int>>(to_text(column)), (std::vector<int>{0, 6}));
}

TEST(StateText, IntegersThatTheTypeDoesNotHaveAreRefused) {
  const std::string text = to_text(std::vector<int>{1, 2, 300, -1});
  const Error narrow = error_of([&] { from_text<std::vector<std::int8_t>>(text); });
  EXPECT_EQ(narrow.code(), Errc::out_of_range);
  EXPECT_NE(std::string(narrow.what()).find("index 2"), std::string::npos) << narrow.what();
  EXPECT_EQ(error_of([&] { from_text<std::vector<unsigned>>(text); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([&] { from_text<std::array<int, 3>>(text); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([&] { from_text<std::string>(text); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([&] { from_text<std::vector<int>>(to_text(std::string("text"))); }).code(), Errc::type_mismatch);
  const std::string large = to_text(std::vector<std::uint64_t>{~std::uint64_t{0}});
  EXPECT_EQ(error_of([&] { from_text<std::vector<std::int64_t>>(large); }).code(), Errc::out_of_range);
}

TEST(StateText, ClampsElementsOfArraysAndNothingElse) {
  const std::vector<int> values{-5, 0, 100, 101, 102, 100000};
  const auto clamped = [&](const TextSaveOptions& options) {
    return from_text<std::vector<int>>(to_text(values, options));
  };
  EXPECT_EQ(clamped({.max = 101}), (std::vector<int>{-5, 0, 100, 101, 101, 101}));
  EXPECT_EQ(clamped({.max = -3}), (std::vector<int>{-5, -3, -3, -3, -3, -3}));
  EXPECT_EQ(clamped({.min = 0, .max = 0}), std::vector<int>(6, 0));
  EXPECT_EQ(from_text<std::vector<int>>(to_text(std::vector<int>{1, 2, 3}, {.max = -1})), std::vector<int>(3, -1));
  EXPECT_EQ(from_text<std::vector<int>>(to_text(std::vector<int>{1, 2, 3}, {.max = 0})), std::vector<int>(3, 0));
  EXPECT_EQ(from_text<std::vector<int>>(to_text(std::vector<int>{1, 2, 3}, {.min = 2})), (std::vector<int>{2, 2, 3}));
  EXPECT_EQ(clamped({.min = 0}), (std::vector<int>{0, 0, 100, 101, 102, 100000}));
  EXPECT_EQ(clamped({.min = 0, .max = 101}), (std::vector<int>{0, 0, 100, 101, 101, 101}));
  EXPECT_EQ(clamped({.min = std::numeric_limits<std::int64_t>::min(), .max = std::numeric_limits<std::int64_t>::max()}),
            values);
  struct State {
    int epoch = 500;
    std::vector<std::uint64_t> counts = {1, 1000, ~std::uint64_t{0}};
    std::vector<float> weights = {1000};
    std::map<std::string, int> names = {{"a", 1000}};
  };
  const auto state = from_text<State>(to_text(State{}, {.max = 101}));
  EXPECT_EQ(state.epoch, 500);
  EXPECT_EQ(state.counts, (std::vector<std::uint64_t>{1, 101, 101}));
  EXPECT_EQ(state.weights[0], 1000);
  EXPECT_EQ(state.names.at("a"), 1000);
  EXPECT_EQ(error_of([&] { to_text(values, {.min = 5, .max = 4}); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { to_text(std::vector<std::uint8_t>{1}, {.min = 300}); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { to_text(std::vector<unsigned>{1}, {.max = -1}); }).code(), Errc::invalid_argument);
  EXPECT_EQ(from_text<std::vector<std::uint8_t>>(to_text(std::vector<std::uint8_t>{255}, {.min = -1, .max = 300})),
            std::vector<std::uint8_t>{255});
}

TEST(StateText, TheArticlesStateIsShorterThanPythonMakesIt) {
  std::size_t json = 0;
  std::size_t text = 0;
  std::size_t zlib = 0;
  for (unsigned seed = 0; seed < 10; ++seed) {
    const std::vector<int> counters = article_state(seed);
    std::vector<std::byte> bytes;
    for (const int counter : counters) {
      json += std::to_string(counter).size() + 2;
      bytes.push_back(static_cast<std::byte>(counter));
    }
    text += to_text(counters, {.max = 101}).size();
    zlib += base64(deflated(bytes)).size();
  }
  EXPECT_LT(text, json / 5);
  EXPECT_LT(text, zlib * 9 / 10);
}

TEST(StateText, HigherLevelsGiveNoLongerTexts) {
  std::vector<std::vector<int>> states{article_state(), std::vector<int>(3000, 0), {1, 2, 3}};
  for (auto& state : popular_states(5, 1)) {
    states.push_back(std::move(state));
  }
  states.emplace_back();
  for (int i = 0; i < 3000; ++i) {
    states.back().push_back(i * i % 50);
  }
  for (const auto& state : states) {
    const std::size_t quick = to_text(state).size();
    for (const int level : {2, 5, 9}) {
      EXPECT_LE(to_text(state, {.level = level}).size(), quick);
    }
  }
  EXPECT_LT(to_text(states.back(), {.level = 2}).size() * 4, to_text(states.back()).size());  // it repeats
}

TEST(StateText, FewIntegersTakeFewCharacters) {
  EXPECT_LE(to_text(std::vector<int>{}).size(), 20U);
  EXPECT_LE(to_text(std::vector<int>(3000, 0)).size(), 44U);
  EXPECT_LE(to_text(std::vector<int>{1, 2, 3}).size(), 24U);
  std::vector<int> bits(800);
  std::mt19937 random(5);
  for (int& bit : bits) {
    bit = static_cast<int>(random() & 1);
  }
  EXPECT_LE(to_text(bits).size(), 232U);  // three symbols take 1.5 bits each
  std::vector<std::int64_t> times(1000);
  for (std::size_t i = 0; i < times.size(); ++i) {
    times[i] = 1'700'000'000'000 + static_cast<std::int64_t>(random() % 60'000);
  }
  EXPECT_LE(to_text(times).size(), 2750U);  // 16 bits each
}

TEST(StateText, TheBytesThatAreCompressedAreThoseOfThePage) {
  const auto expect = [](const auto& values, std::initializer_list<unsigned> plain) {
    EXPECT_EQ(plain_of(to_text(values)), bytes_of(plain));
    EXPECT_EQ((from_text<std::remove_cvref_t<decltype(values)>>(text_of(bytes_of(plain)))), values);
  };
  expect(std::vector<int>{}, {0xb1, 1});
  expect(std::vector<int>{5, 255}, {0xb1, 1, 5, 255});
  expect(std::vector<int>{0x102, 0x304, 5}, {0xb1, 2, 2, 4, 5, 1, 3, 0});
  expect(std::vector<int>{0x10203}, {0xb1, 0x11, 3, 2, 1, 0, 0, 0, 0, 0, 0});
  expect(std::vector<int>{0, 0x10203}, {0xb1, 3, 0, 3, 0, 2, 0, 1});
  expect(std::vector<int>{-2, 5}, {0xb1, 0x11, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 7});
  expect(std::vector<int>{300, 555}, {0xb1, 0x11, 0x2c, 1, 0, 0, 0, 0, 0, 0, 0, 255});
  constexpr std::uint64_t most = ~std::uint64_t{0};
  expect(std::vector<std::uint64_t>{most, most - 1},
         {0xb1, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0,    0xff, 0,
          0xff, 0,    0xff, 0,    0xff, 0,    0xff, 0,    0xff, 0,    0xff, 0x80, 0x7f});
  expect(std::string("ab"), {0xb1, 0, 0x62, 'a', 'b'});
}

// ---- any other value ----

struct Inner {
  std::string name;
  std::vector<std::int64_t> counts;
  std::optional<double> score;
  bool operator==(const Inner&) const = default;
};
struct Everything {
  std::vector<Inner> parts;
  std::map<std::string, std::vector<int>> lists;
  std::vector<float> weights;
  std::vector<std::int8_t> small;
  std::vector<std::uint64_t> large;
  std::vector<std::array<int, 3>> triples;
  std::string text;
  bool flag = false;
  bool operator==(const Everything&) const = default;
};
Everything everything() {
  Everything value;
  for (int i = 0; i < 20; ++i) {
    value.parts.push_back(
        {"part " + std::to_string(i), {i, i * 1000, -i}, i % 3 == 0 ? std::nullopt : std::optional(0.5 * i)});
  }
  value.lists = {{"empty", {}}, {"one", {1}}, {"many", article_state()}};
  value.weights.assign(5000, 0.25F);  // an array that archives align
  value.small = {-1, 5, 127, -128};
  value.large = {~std::uint64_t{0}, 1};
  value.triples = {{1, 2, 3}, {400, 5, 6}};
  value.text = "some text";
  value.flag = true;
  return value;
}

TEST(StateText, AnyTypeComesBackAtEveryLevel) {
  for (const int level : levels) {
    expect_round_trip(everything(), {.level = level});
    expect_round_trip(Everything{}, {.level = level});
    expect_round_trip(everything(), {.level = level, .bare = true});
  }
  expect_round_trip(7);
  expect_round_trip(std::string());
  expect_round_trip(std::string(100'000, 'x'));
  expect_round_trip(std::optional<int>());
  expect_round_trip(std::vector<std::string>{"a", "b"});
  expect_round_trip(std::vector<bool>{true, false, true});
}

TEST(StateText, SmallValuesTakeNoDirectoryAndNoTrailer) {
  struct Point {
    int x = 3;
    int y = 4;
  };
  EXPECT_LE(to_text(Point{}).size(), 32U);
  EXPECT_GE(to_bytes(Point{}).size(), 100U);
}

TEST(StateText, ArraysKeepTheirShapeAndShareTheirBuffers) {
  struct Arrays {
    Array<int, 2> matrix;
    Array<int, 2> same;
    Array<int, 2> alone;
  };
  Arrays arrays;
  arrays.matrix = Array<int, 2>({30, 40}, Order::column_major);
  std::iota(arrays.matrix.mutable_data(), arrays.matrix.mutable_data() + 1200, -600);
  arrays.same = arrays.matrix;
  arrays.alone = arrays.matrix.clone();
  const auto back = from_text<Arrays>(to_text(arrays));
  EXPECT_EQ(back.matrix, arrays.matrix);
  EXPECT_EQ(back.alone, arrays.alone);
  EXPECT_EQ(back.matrix.data(), back.same.data());
  EXPECT_NE(back.matrix.data(), back.alone.data());
  EXPECT_EQ(from_text<Arrays>(to_text(arrays, {.max = 5})).matrix(29, 39), 5);
}

TEST(StateText, ValuesWithoutStaticTypes) {
  const auto counters = from_text<Value>(to_text(std::vector<int>{1, 2, 3}));
  EXPECT_EQ(from_text<std::vector<int>>(to_text(counters)), (std::vector<int>{1, 2, 3}));
  expect_round_trip(from_text<Value>(to_text(everything())));
}

TEST(StateText, SharedPointersStayShared) {
  using Pointers = std::vector<std::shared_ptr<std::string>>;
  const auto one = std::make_shared<std::string>("shared");
  const auto back = from_text<Pointers>(to_text(Pointers{one, one}));
  ASSERT_EQ(back.size(), 2U);
  EXPECT_EQ(back[0], back[1]);
  EXPECT_EQ(*back[0], "shared");
}

TEST(StateText, FieldsMayComeAndGoUnlessStrict) {
  struct Old {
    int a = 1;
    int gone = 2;
  };
  struct New {
    int a = 0;
    int added = 5;
  };
  const std::string text = to_text(Old{});
  EXPECT_EQ(from_text<New>(text).a, 1);
  EXPECT_EQ(from_text<New>(text).added, 5);
  EXPECT_EQ(error_of([&] { from_text<New>(text, {.strict = true}); }).code(), Errc::unknown_field);
}

struct Throws {
  static void visit(auto& v, auto& self) {
    v("first", self.first);
    throw std::runtime_error("on purpose");
  }
  int first = 1;
};

TEST(StateText, EncodersAndDecodersWorkOnAfterAFailure) {
  TextEncoder encoder;
  std::string out = "kept";
  EXPECT_THROW(encoder.append(std::vector<Throws>(3), out), std::runtime_error);
  EXPECT_EQ(out, "kept");
  const std::string text = encoder.text(everything());
  EXPECT_EQ(text, to_text(everything()));
  TextDecoder decoder;
  EXPECT_EQ(error_of([&] { decoder.value<std::vector<int>>(text); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([&] { decoder.value<std::vector<int>>("!"); }).code(), Errc::malformed);
  EXPECT_EQ(decoder.value<Everything>(text), everything());
}

// ---- base64 ----

TEST(StateTextBase64, ReadingTakesBothAlphabetsWithoutAnOption) {
  std::vector<std::uint64_t> values;
  for (std::uint64_t i = 0; i < 50; ++i) {
    values.push_back(~i << 8 * (i % 8));
  }
  const std::string url = to_text(values, {.alphabet = TextAlphabet::base64url});
  ASSERT_NE(url.find_first_of("-_"), std::string::npos);
  EXPECT_EQ(from_text<std::vector<std::uint64_t>>(url), values);
  EXPECT_EQ(from_text<std::vector<std::uint64_t>>(to_text(values)), values);
}

TEST(StateTextBase64, ErrorsNameThePlace) {
  std::string text = to_text(article_state());
  text[700] = '!';
  const Error error = error_of([&] { from_text<std::vector<int>>(text); });
  EXPECT_EQ(error.code(), Errc::malformed);
  EXPECT_EQ(error.offset(), 700U);
}

/// Checks that every flipped bit, every truncation and every extra byte of the text is an error.
template <class T>
void expect_every_change_noticed(const T& value, const TextSaveOptions& options = {}) {
  const std::string text = to_text(value, options);
  ASSERT_EQ(from_text<T>(text, loading(options)), value);
  TextDecoder decoder(loading(options));
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::string changed = text;
      changed[i] = static_cast<char>(static_cast<unsigned char>(text[i]) ^ 1U << bit);
      EXPECT_THROW(decoder.value<T>(changed), Error) << text[i] << " at " << i << ", bit " << bit;
    }
    if (i != text.find('=')) {  // without padding it is the same text in base64url
      EXPECT_THROW(decoder.value<T>(std::string_view(text).substr(0, i)), Error) << i;
    }
  }
  for (const char* more : {"A", "AA", "AAA", "AAAA", "eA==", "/////"}) {
    EXPECT_THROW(decoder.value<T>(text + more), Error) << more;
  }
  EXPECT_THROW(decoder.value<T>(text + text), Error);
  // Of the bytes too, as base64 changes several bits at a time.
  std::vector<std::byte> bytes;
  decode_any_base64(text, bytes);
  for (std::size_t i = 0; i < 8 * bytes.size(); ++i) {
    bytes[i / 8] ^= static_cast<std::byte>(1 << i % 8);
    EXPECT_THROW(decoder.value<T>(base64(bytes)), Error) << i;
    bytes[i / 8] ^= static_cast<std::byte>(1 << i % 8);
  }
}

// ---- dictionaries ----

class StateTextDictionary : public testing::Test {
 protected:
  void SetUp() override {
    if (STELE_WITH_ZSTD == 0) {
      GTEST_SKIP() << "this build has no zstd";
    }
  }
};

TEST(StateTextWithoutZstd, DictionariesAreRefused) {
  if (STELE_WITH_ZSTD != 0) {
    GTEST_SKIP() << "this build has zstd";
  }
  const auto states = popular_states(30, 1);
  EXPECT_EQ(error_of([&] { TextDictionary::train(std::span<const std::vector<int>>(states)); }).code(),
            Errc::unknown_codec);
  EXPECT_EQ(error_of([&] { TextDictionary({std::byte{1}}); }).code(), Errc::unknown_codec);
}

TEST_F(StateTextDictionary, StatesOfCountersAreNoLongerWithIt) {
  const auto states = popular_states(300, 1);
  const auto fresh = popular_states(50, 2);
  const TextDictionary dictionary = TextDictionary::train(std::span<const std::vector<int>>(states));
  for (const auto& state : fresh) {
    EXPECT_LE(to_text(state, {.dictionary = &dictionary}).size(), to_text(state).size());
    expect_round_trip(state, {.level = 9, .dictionary = &dictionary});
  }
}

TEST_F(StateTextDictionary, StatesUnlikeTheOthersComeBackToo) {
  const auto states = popular_states(30, 1);
  const TextDictionary dictionary = TextDictionary::train(std::span<const std::vector<int>>(states));
  std::mt19937 random(1);
  for (const int range : {1, 2, 101, 256, 100'000}) {
    for (const std::size_t count : {0U, 1U, 40U, 2999U, 3000U, 3001U}) {
      std::vector<int> state(count);
      for (int& counter : state) {
        counter = static_cast<int>(random() % static_cast<unsigned>(range)) - 3;
      }
      for (const int level : levels) {
        expect_round_trip(state, {.level = level, .dictionary = &dictionary});
      }
    }
  }
  expect_round_trip(everything(), {.dictionary = &dictionary});
}

struct Session {
  std::string user;
  std::map<std::string, double> preferences;
  std::vector<int> visits;
  bool operator==(const Session&) const = default;
};
std::vector<Session> sessions(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<Session> made(count);
  for (Session& session : made) {
    const auto n = static_cast<int>(random() % 1000);
    session = {"user-" + std::to_string(n),
               {{"brightness", n / 1000.0}, {"language model weight", n / 7.0}, {"notifications per day", n / 3.0}},
               {n % 3, n % 5, n}};
  }
  return made;
}

TEST_F(StateTextDictionary, OtherValuesAreAThirdShorterWithIt) {
  const auto learned = sessions(300, 4);
  const TextDictionary dictionary = TextDictionary::train(std::span<const Session>(learned));
  std::size_t with = 0;
  std::size_t without = 0;
  for (const Session& value : sessions(50, 5)) {
    for (const int level : {1, 5}) {
      const std::string text = to_text(value, {.level = level, .dictionary = &dictionary});
      EXPECT_EQ(from_text<Session>(text, {.dictionary = &dictionary}), value);
      with += text.size();
      without += to_text(value, {.level = level}).size();
    }
  }
  EXPECT_LT(with * 3, without * 2);
}

TEST_F(StateTextDictionary, IsSavedAndLoadedAndDiffersFromOthers) {
  const auto learned = sessions(300, 4);
  const auto others = sessions(300, 9);
  const auto dictionary = TextDictionary::train(std::span<const Session>(learned));
  const auto other = TextDictionary::train(std::span<const Session>(others));
  EXPECT_NE(dictionary.id(), other.id());
  const auto loaded = from_bytes<TextDictionary>(to_bytes(dictionary));
  EXPECT_EQ(loaded.id(), dictionary.id());
  const std::string text = to_text(others[0], {.dictionary = &dictionary});
  EXPECT_EQ(from_text<Session>(text, {.dictionary = &loaded}), others[0]);
  for (const TextDictionary* wrong : {&other, static_cast<const TextDictionary*>(nullptr)}) {
    const Error error = error_of([&] { from_text<Session>(text, {.dictionary = wrong}); });
    EXPECT_EQ(error.code(), Errc::invalid_argument);
    EXPECT_NE(std::string(error.what()).find("dictionary"), std::string::npos);
  }
  // A text without one is read with any.
  EXPECT_EQ(from_text<Session>(to_text(others[0]), {.dictionary = &other}), others[0]);
  const TextDictionary nothing;
  expect_round_trip(others[0], {.dictionary = &nothing});
}

TEST_F(StateTextDictionary, OtherBytesAreRefused) {
  EXPECT_EQ(error_of([] { TextDictionary(std::vector<std::byte>()); }).code(), Errc::damaged);
  EXPECT_EQ(error_of([] { TextDictionary({std::byte{1}, std::byte{2}}); }).code(), Errc::damaged);
  const auto states = popular_states(30, 1);
  const auto good = TextDictionary::train(std::span<const std::vector<int>>(states));
  std::vector<std::byte> cut(good.bytes().begin(), good.bytes().begin() + 20);
  EXPECT_EQ(error_of([&] { TextDictionary{cut}; }).code(), Errc::damaged);
  EXPECT_EQ(error_of([] { TextTrainer().finish(); }).code(), Errc::invalid_argument);
  EXPECT_EQ(TextDictionary().id(), 0U);
  EXPECT_TRUE(TextDictionary().bytes().empty());
  EXPECT_EQ(from_bytes<TextDictionary>(to_bytes(TextDictionary())).id(), 0U);
}

TEST_F(StateTextDictionary, AnyChangeOfABitIsAnError) {
  const auto learned = sessions(300, 4);
  const auto dictionary = TextDictionary::train(std::span<const Session>(learned));
  expect_every_change_noticed(sessions(1, 7)[0], {.dictionary = &dictionary});
  expect_every_change_noticed(std::vector<int>(3000, 700), {.level = 6, .dictionary = &dictionary});
}

// ---- bare texts ----

TEST(StateTextBare, IsWhatZlibAndBase64Make) {
  const std::vector<int> counters = article_state();
  std::vector<std::byte> bytes;
  for (const int counter : counters) {
    bytes.push_back(static_cast<std::byte>(counter));
  }
  const std::string python = base64(deflated(bytes));
  EXPECT_EQ(from_text<std::vector<int>>(python, zlib_bytes_load_options()), counters);
  EXPECT_EQ(from_text<std::vector<std::uint64_t>>(python, zlib_bytes_load_options()),
            std::vector<std::uint64_t>(counters.begin(), counters.end()));
  EXPECT_EQ(from_text<std::vector<std::int8_t>>(python, zlib_bytes_load_options()),
            std::vector<std::int8_t>(counters.begin(), counters.end()));

  std::vector<int> large = counters;
  large[5] = 1000;
  large[6] = -1;
  bytes[5] = std::byte{101};
  bytes[6] = std::byte{0};
  EXPECT_EQ(inflated(decode_base64(to_text(large, zlib_bytes_save_options(101)))), bytes);
}

TEST(StateTextBare, HoldsLittleEndianElements) {
  const auto raw = [](const auto& values, const TextSaveOptions& options) {
    return inflated(decode_base64(to_text(values, options)));
  };
  const std::vector<int> values{1, 258};
  using Kind = DType::Kind;
  EXPECT_EQ(raw(values, {.bare = true}), bytes_of({1, 0, 0, 0, 2, 1, 0, 0}));
  EXPECT_EQ(raw(values, {.max = 255, .bare = true, .item = Kind::uint8}), bytes_of({1, 255}));
  EXPECT_EQ(raw(values, {.bare = true, .item = Kind::int16}), bytes_of({1, 0, 2, 1}));
  EXPECT_EQ(raw(values, {.bare = true, .item = Kind::uint64}),
            bytes_of({1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(raw(std::vector<short>{-2}, {.bare = true}), bytes_of({0xfe, 0xff}));
  EXPECT_EQ(raw(std::string("ab"), {.bare = true}), bytes_of({0x62, 'a', 'b'}));
  const auto code = [&](const auto& unfit, Kind item) {
    return error_of([&] { raw(unfit, {.bare = true, .item = item}); }).code();
  };
  EXPECT_EQ(code(values, Kind::uint8), Errc::out_of_range);
  EXPECT_EQ(code(std::vector<int>{-1}, Kind::uint32), Errc::out_of_range);
  EXPECT_EQ(code(std::vector<std::uint64_t>{~std::uint64_t{0}}, Kind::int64), Errc::out_of_range);
  EXPECT_EQ(code(values, Kind::float32), Errc::invalid_argument);
}

TEST(StateTextBare, RefusesWhatItCannotBe) {
  const TextLoadOptions options = zlib_bytes_load_options();
  const auto code = [&](std::string_view text, const TextLoadOptions& with) {
    return error_of([&] { from_text<std::vector<int>>(text, with); }).code();
  };
  const std::string good = to_text(article_state(), zlib_bytes_save_options());
  EXPECT_EQ(code(good.substr(0, 400), options), Errc::truncated);
  EXPECT_EQ(code(good.substr(0, good.size() - 4), options), Errc::truncated);
  EXPECT_EQ(code("", options), Errc::truncated);
  EXPECT_EQ(code("AAAA", options), Errc::damaged);
  std::vector<std::byte> longer = decode_base64(good);
  longer.push_back(std::byte{0});
  EXPECT_EQ(code(base64(longer), options), Errc::damaged);
  std::vector<std::byte> flipped = decode_base64(good);
  flipped.back() ^= std::byte{1};  // of the Adler-32
  EXPECT_EQ(code(base64(flipped), options), Errc::damaged);
  EXPECT_EQ(code(base64(deflated(bytes_of({1, 2, 3}))), {.bare = true, .item = DType::Kind::uint16}), Errc::damaged);
  EXPECT_EQ(code(good, {.bare = true, .item = DType::Kind::float32}), Errc::invalid_argument);
  const TextDictionary nothing;
  EXPECT_EQ(code(good, {.dictionary = &nothing, .bare = true}), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { to_text(1, {.dictionary = &nothing, .bare = true}); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { to_text(1, {.level = 0}); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { to_text(1, {.level = 10}); }).code(), Errc::invalid_argument);
  // One without the other.
  EXPECT_EQ(code(good, {}), Errc::truncated);
  EXPECT_EQ(code(to_text(article_state()), options), Errc::damaged);
  // Data that expands a thousand times reaches the limit.
  for (const bool bare : {false, true}) {
    const TextSaveOptions saving{.bare = bare};
    const TextLoadOptions limited{.bare = bare, .item = DType::Kind::uint8, .max_bytes = 1'000'000};
    const std::string bomb = to_text(std::vector<std::uint8_t>(1'000'001, 0), saving);
    EXPECT_EQ(error_of([&] { from_text<std::vector<std::uint8_t>>(bomb, limited); }).code(), Errc::limit_exceeded);
    const std::string most = to_text(std::vector<std::uint8_t>(1'000'000, 0), saving);
    EXPECT_EQ(from_text<std::vector<std::uint8_t>>(most, limited).size(), 1'000'000U);
  }
}

// ---- hostile texts ----

TEST(StateTextHostile, AnyChangeOfABitIsAnError) {
  expect_every_change_noticed(std::vector<int>{});
  expect_every_change_noticed(std::vector<int>{1, 2, 3, 400, 5});
  expect_every_change_noticed(std::vector<int>{-7, 7, 3});
  expect_every_change_noticed(std::vector<int>(3000, 0));
  expect_every_change_noticed(article_state(), {.max = 101});
  expect_every_change_noticed(article_state(), {.level = 6, .alphabet = TextAlphabet::base64url});
  expect_every_change_noticed(popular_states(1, 3)[0]);
  expect_every_change_noticed(std::vector<int>{500, 501, 90'000}, {.alphabet = TextAlphabet::base64url});
  expect_every_change_noticed(Inner{"a name", {1, 2, 3}, 2.5});
}

TEST(StateTextHostile, EachErrorHasItsCode) {
  const auto code = [](std::string_view text) { return error_of([&] { from_text<std::vector<int>>(text); }).code(); };
  EXPECT_EQ(code(""), Errc::truncated);
  EXPECT_EQ(code("eA=="), Errc::truncated);
  EXPECT_EQ(code("AAAAAAAAAAAA"), Errc::not_an_archive);
  EXPECT_EQ(code("{\"a\": 1}"), Errc::malformed);
  const std::string good = to_text(article_state());
  EXPECT_EQ(code(good.substr(0, 400)), Errc::truncated);
  EXPECT_EQ(code(good.substr(0, good.size() - 4)), Errc::truncated);
  std::vector<std::byte> longer = decode_base64(good);
  longer.push_back(std::byte{0});
  EXPECT_EQ(code(base64(longer)), Errc::damaged);
  EXPECT_EQ(code(text_of(bytes_of({}))), Errc::not_an_archive);
  EXPECT_EQ(code(text_of(bytes_of({0xb1}))), Errc::not_an_archive);
  EXPECT_EQ(code(text_of(bytes_of({1, 2, 3}))), Errc::not_an_archive);
  EXPECT_EQ(code(text_of(bytes_of({0xb2, 1, 3}))), Errc::unsupported);
  EXPECT_EQ(code(text_of(bytes_of({0xb1, 9, 3}))), Errc::unsupported);
  EXPECT_EQ(code(text_of(bytes_of({0xb1, 0x21, 3}))), Errc::unsupported);
  EXPECT_EQ(code(text_of(bytes_of({0xb1, 0x11, 3}))), Errc::damaged);  // ends within the base
  EXPECT_EQ(code(text_of(bytes_of({0xb1, 0x10, 0, 0, 0, 0, 0, 0, 0, 0}))), Errc::damaged);
  EXPECT_EQ(code(text_of(bytes_of({0xb1, 2, 3}))), Errc::damaged);
  EXPECT_EQ(code(text_of(bytes_of({0xb1, 0, 0x80, 0x80}))), Errc::damaged);  // bytes after the value
  EXPECT_EQ(code(text_of(bytes_of({0xb1, 0, 0xd8, 0x40, 0x5a, 0x7f, 0xff, 0xff}))), Errc::truncated);
  // A base and offsets whose sum no type has.
  const auto beyond = text_of(bytes_of({0xb1, 0x11, 255, 255, 255, 255, 255, 255, 255, 127, 1}));
  EXPECT_EQ(code(beyond), Errc::out_of_range);
  EXPECT_EQ(from_text<std::vector<std::uint64_t>>(beyond), std::vector<std::uint64_t>{std::uint64_t{1} << 63});
  const auto more =
      text_of(bytes_of({0xb1, 0x18, 255, 255, 255, 255, 255, 255, 255, 127, 255, 255, 255, 255, 255, 255, 255, 255}));
  EXPECT_EQ(error_of([&] { from_text<std::vector<std::uint64_t>>(more); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([&] { from_text<Value>(more); }).code(), Errc::out_of_range);
}

TEST(StateTextHostile, WellSealedNonsenseIsRefusedOrRead) {
  /// Only an Error is allowed.
  const auto try_reading = [](const std::string& text, const TextLoadOptions& options) {
    const auto attempt = [](auto&& read) {
      try {
        read();
      } catch (const Error&) {
      }
    };
    attempt([&] { from_text<std::vector<int>>(text, options); });
    attempt([&] { from_text<std::vector<std::uint64_t>>(text, options); });
    attempt([&] { from_text<Everything>(text, options); });
    attempt([&] { from_text<Value>(text, options); });
    attempt([&] { from_text<std::deque<short>>(text, options); });
  };
  TextDictionary dictionary;
  if (STELE_WITH_ZSTD != 0) {
    const auto states = popular_states(30, 1);
    dictionary = TextDictionary::train(std::span<const std::vector<int>>(states));
  }
  std::vector<std::string> texts;
  for (const TextDictionary* with : {static_cast<const TextDictionary*>(nullptr), &std::as_const(dictionary)}) {
    const TextSaveOptions options{.dictionary = with};
    texts.push_back(to_text(std::vector<int>{1, 2, 3, 4, 5, 6, 7, 300, -4, 100}, options));
    texts.push_back(to_text(std::vector<std::uint64_t>{1, ~std::uint64_t{0}, 3}, options));
    texts.push_back(to_text(std::vector<int>(60, 7), options));
    texts.push_back(to_text(Inner{"some name", {1, 2, 300}, 2.5}, options));
  }
  const TextLoadOptions options{.dictionary = &dictionary, .max_bytes = 1 << 20};
  std::mt19937 random(6);
  for (const std::string& text : texts) {
    std::vector<std::byte> stream = decode_base64(text);
    stream.resize(stream.size() - 4);
    for (std::size_t i = 0; i < stream.size(); ++i) {
      for (int turn = 0; turn < 10; ++turn) {
        std::vector<std::byte> changed = stream;
        changed[i] = turn < 8    ? stream[i] ^ static_cast<std::byte>(1 << turn)
                     : turn == 8 ? std::byte{0xff}
                                 : std::byte{0};
        if (random() % 4 == 0) {
          changed[random() % stream.size()] = static_cast<std::byte>(random());
        }
        try_reading(sealed(changed), options);
      }
      try_reading(sealed({stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(i)}), options);
    }
    if (text == texts[0] || text == texts[3]) {  // and after a valid stream
      const std::vector<std::byte> plain = inflated(stream);
      for (std::size_t i = 0; i < 8 * plain.size(); ++i) {
        std::vector<std::byte> changed = plain;
        changed[i / 8] ^= static_cast<std::byte>(1 << i % 8);
        try_reading(text_of(changed), options);
        try_reading(text_of(Bytes(plain).first(i / 8)), options);
      }
    }
  }
}

TEST(StateTextHostile, WithoutALimitNoLengthIsBelieved) {
  const TextLoadOptions endless{.max_bytes = ~std::uint64_t{0}};
  expect_round_trip(article_state());
  EXPECT_EQ(from_text<std::vector<int>>(to_text(article_state()), endless), article_state());
  // An array of 2^63 bytes in a value.
  const auto text = text_of(bytes_of({0xb1, 0, 0xd8, 0x40, 0x5b, 0x80, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_THROW(from_text<Value>(text, endless), Error);
  if (STELE_WITH_ZSTD != 0) {  // a frame of 2^62 bytes, of a block of a zero
    std::vector<std::byte> frame = bytes_of({0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x0b, 0, 0, 0});
    EXPECT_EQ(error_of([&] { from_text<Value>(sealed(frame), endless); }).code(), Errc::damaged);
  }
}

TEST(StateTextHostile, IntegersReadAsAnotherTypeKeepTheLimit) {
  std::vector<std::int64_t> values(1000, 0);
  values[0] = std::int64_t{1} << 40;
  const std::string text = to_text(values);
  using Deque = std::deque<std::int64_t>;
  EXPECT_EQ(from_text<Deque>(text, {.max_bytes = 8000}), Deque(values.begin(), values.end()));
  EXPECT_EQ(error_of([&] { from_text<Deque>(text, {.max_bytes = 7999}); }).code(), Errc::limit_exceeded);
  EXPECT_EQ(error_of([&] { from_text<Value>(text, {.max_bytes = 7999}); }).code(), Errc::limit_exceeded);
  EXPECT_EQ(error_of([&] { from_text<std::vector<std::int64_t>>(text, {.max_bytes = 7999}); }).code(),
            Errc::limit_exceeded);
}

// ---- the batch form ----

TEST(StateTextBatch, GivesWhatOneByOneGives) {
  const auto states = popular_states(300, 3);
  const std::span<const std::vector<int>> span(states);
  for (const unsigned threads : {1U, 2U, 5U}) {
    const std::vector<std::string> texts = to_texts(span, {.max = 50, .threads = threads});
    ASSERT_EQ(texts.size(), states.size());
    for (std::size_t i = 0; i < states.size(); ++i) {
      ASSERT_EQ(texts[i], to_text(states[i], {.max = 50}));
    }
    const auto back = from_texts<std::vector<int>>(texts, {.threads = threads});
    for (std::size_t i = 0; i < states.size(); ++i) {
      ASSERT_EQ(back[i], from_text<std::vector<int>>(texts[i]));
    }
  }
  EXPECT_TRUE(to_texts(std::span<const int>()).empty());
}

TEST(StateTextBatch, NamesTheFirstStateThatFails) {
  std::vector<std::string> texts(500, to_text(std::vector<int>{1, 2}));
  texts[437] = "?";
  texts[300] = "s";
  texts[130] = "Zm9v!";
  for (const unsigned threads : {1U, 4U}) {
    const Error error = error_of([&] { from_texts<std::vector<int>>(texts, {.threads = threads}); });
    EXPECT_EQ(error.code(), Errc::malformed);
    EXPECT_EQ(error.message().substr(0, 11), "state 130: ");
    EXPECT_EQ(error.offset(), 4U);
  }
  EXPECT_EQ(error_of([&] { to_texts(std::span<const std::string>(texts), {.level = 0}); }).code(),
            Errc::invalid_argument);
}

// --- Frozen texts ---

TEST(StateTextGolden, TextsOfThisVersionAreReadForEver) {
  const std::vector<int> fibonacci{0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89};
  std::vector<int> counters(64);
  for (std::size_t i = 0; i < counters.size(); ++i) {
    counters[i] = static_cast<int>(i * i % 7 % 4);
  }
  std::vector<std::int64_t> times(20);
  for (std::size_t i = 0; i < times.size(); ++i) {
    times[i] = 1'700'000'000 + static_cast<std::int64_t>(60 * i + i * i % 5);
  }
  struct Point {
    std::string name = "golden";
    std::vector<int> counts = {1, 2, 300};
    bool operator==(const Point&) const = default;
  };
  // Other versions of the libraries may make other streams of the same plain bytes.
  const auto expect = [](const auto& value, const std::string& text, std::initializer_list<unsigned> head) {
    const std::vector<std::byte> plain = plain_of(text);
    EXPECT_EQ(plain_of(to_text(value)), plain);
    EXPECT_TRUE(std::ranges::equal(bytes_of(head), Bytes(plain).first(head.size())));
    EXPECT_TRUE(from_text<std::remove_cvref_t<decltype(value)>>(text) == value);
  };
  expect(fibonacci, "SA3byMjAyMjEzMrBK6pkHgkADB0Bm8jT8as=", {0xb1, 1, 0, 1, 1, 2});
  expect(counters, "SA0FwQEBAAAIwyD2/mVsKFyySTbJJtkkm2STbJJNsskDNQAA6UcUOWY=", {0xb1, 1, 0, 1, 0, 2});
  expect(counters, "eNrbyMjAyMDExEA+BQA1AADp20c67g==", {0xb1, 1, 0, 1, 0, 2});
  expect(times, "eAEBMgDN/7ESAPFTZQAAAAAAPXy48SxpqOQdWJXUEEmEwQA8dQAAAAAAAQEBAQICAgIDAwMDBAQEfxMLQQspwBI=",
         {0xb1, 0x12, 0, 0xf1, 0x53, 0x65});
  expect(Point{}, "eAEBHwDg/7EAomRuYW1lZmdvbGRlbmZjb3VudHPYTUYBAAIALAHI7wrVh2WNtQ==", {0xb1, 0, 0xa2, 0x64, 'n'});
  expect(std::vector<std::uint64_t>{~std::uint64_t{0}, 5}, "eAEBEgDt/7EI/wX/AP8A/wD/AP8A/wD/AFUPCLe7Hxrh",
         {0xb1, 8, 255, 5});
  expect(std::vector<int>{-1, 70'000}, "eAEBEADv/7ET//////////8AcQARAAFiUglACsb2kg==", {0xb1, 0x13, 255});
  const std::string zstd = "KLUv/SBCdQAAQLEBAAEAAgIAAQDXWbjf/QwU";
  if (STELE_WITH_ZSTD != 0) {
    EXPECT_EQ(from_text<std::vector<int>>(zstd), counters);
  } else {
    EXPECT_EQ(error_of([&] { from_text<std::vector<int>>(zstd); }).code(), Errc::unknown_codec);
  }
}

}  // namespace
}  // namespace stele
