// States as text: what comes back, what the text is made of, and what is refused.

#include "stele/state_text.hpp"

#include <zlib.h>

#include <deque>
#include <list>
#include <map>
#include <numeric>
#include <optional>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "services/text/base64.hpp"
#include "services/text/entropy.hpp"
#include "services/text/frozen.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;

template <class T>
void expect_round_trip(const T& value, const TextOptions& options = {}) {
  const std::string text = to_text(value, options);
  EXPECT_EQ(from_text<T>(text, options), value) << text.substr(0, 200);
}

/// Bytes as base64 with padding, and the reverse.
std::string base64(Bytes bytes) {
  std::string text;
  state_text::append_base64(bytes, TextAlphabet::base64, text);
  return text;
}
std::string base64(std::string_view bytes) { return base64(std::as_bytes(std::span(bytes))); }
std::vector<std::byte> unbase64(std::string_view text) {
  std::vector<std::byte> bytes;
  state_text::decode_base64(text, bytes);
  return bytes;
}

/// The text with its checksum made right.
std::string sealed(std::vector<std::byte> bytes) {
  const std::size_t end = bytes.size() - text_frozen::checksum_bytes;
  const std::uint64_t hash = xxh3_64(std::span(bytes).first(end));
  store_le<std::uint32_t>(bytes.data() + end, static_cast<std::uint32_t>(hash & 0xffffffff));
  return base64(bytes);
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

const std::vector<std::string>& codecs() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> known{"auto", "stored", "entropy", "deflate", "zlib"};
    if (STELE_WITH_ZSTD != 0) {
      known.emplace_back("zstd");
    }
    return known;
  }();
  return names;
}

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

TYPED_TEST(StateTextIntegers, ComeBackWithEveryCodec) {
  const auto arrays = arrays_of<TypeParam>();
  for (const std::string& codec : codecs()) {
    for (const int level : {1, 6}) {
      TextEncoder encoder({.codec = codec, .level = level});
      TextDecoder decoder;
      for (const auto& values : arrays) {
        const std::string text = encoder.text(values);
        ASSERT_EQ(decoder.value<std::vector<TypeParam>>(text), values) << codec << " " << level << " " << text;
      }
    }
  }
}

TYPED_TEST(StateTextIntegers, ComeBackBare) {
  for (const auto& values : arrays_of<TypeParam>()) {
    for (const std::string& codec : codecs()) {
      if (codec != "auto" && codec != "entropy") {
        expect_round_trip(values, {.codec = codec, .bare = true});
      }
    }
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
  const auto clamped = [&](const TextOptions& options) {
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
    for (const int counter : counters) {
      json += std::to_string(counter).size() + 2;
    }
    text += to_text(counters, {.max = 101}).size();
    std::vector<Bytef> bytes(counters.begin(), counters.end());
    uLongf size = compressBound(bytes.size());
    std::vector<Bytef> compressed(size);
    ASSERT_EQ(compress(compressed.data(), &size, bytes.data(), bytes.size()), Z_OK);
    zlib += (size + 2) / 3 * 4;
  }
  EXPECT_LT(text, json / 5);
  EXPECT_LT(text, zlib * 9 / 10);
}

TEST(StateText, FewIntegersTakeFewCharacters) {
  EXPECT_LE(to_text(std::vector<int>{}).size(), 16U);
  EXPECT_LE(to_text(std::vector<int>(3000, 0)).size(), 16U);
  EXPECT_LE(to_text(std::vector<int>{1, 2, 3}).size(), 16U);
  std::vector<int> bits(800);
  std::mt19937 random(5);
  for (int& bit : bits) {
    bit = static_cast<int>(random() & 1);
  }
  EXPECT_LE(to_text(bits).size(), 152U);  // 100 bytes and the header
  std::vector<std::int64_t> ascending(1000);
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    ascending[i] = 1'700'000'000'000 + static_cast<std::int64_t>(i * 60'000 + random() % 1000);
  }
  EXPECT_LE(to_text(ascending).size(), 1900U);  // differences of 11 bits
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

TEST(StateText, AnyTypeComesBackWithEveryCodec) {
  for (const std::string& codec : codecs()) {
    for (const int level : {1, 4, 9}) {
      expect_round_trip(everything(), {.codec = codec, .level = level});
      expect_round_trip(Everything{}, {.codec = codec, .level = level});
      if (codec != "auto" && codec != "entropy") {
        expect_round_trip(everything(), {.codec = codec, .level = level, .bare = true});
      }
    }
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
  EXPECT_LE(to_text(Point{}).size(), 20U);
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

TEST(StateTextBase64, TheVectorsOfTheStandard) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : vectors) {
    EXPECT_EQ(base64(std::string_view(plain)), text);
    const auto bytes = unbase64(text);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), plain);
  }
}

TEST(StateTextBase64, AllBytesInBothAlphabets) {
  std::mt19937 random(3);
  for (std::size_t size = 0; size < 200; ++size) {
    std::vector<std::byte> bytes(size);
    for (std::byte& b : bytes) {
      b = static_cast<std::byte>(random());
    }
    for (const TextAlphabet alphabet : {TextAlphabet::base64, TextAlphabet::base64url}) {
      std::string text;
      state_text::append_base64(bytes, alphabet, text);
      EXPECT_EQ(unbase64(text), bytes);
      EXPECT_EQ(text.find_first_of(alphabet == TextAlphabet::base64 ? "-_" : "+/="), std::string::npos);
      std::string broken = " \r\n";
      for (std::size_t i = 0; i < text.size(); ++i) {
        broken += text[i];
        broken += i % 5 == 4 ? "\r\n" : i % 7 == 6 ? "\t " : "";
      }
      EXPECT_EQ(unbase64(broken), bytes);
      while (!text.empty() && text.back() == '=') {
        text.pop_back();
      }
      EXPECT_EQ(unbase64(text), bytes);
    }
  }
}

TEST(StateTextBase64, ReadingTakesBothAlphabetsWithoutAnOption) {
  std::vector<std::uint64_t> values;
  for (std::uint64_t i = 0; i < 50; ++i) {
    values.push_back(~i << 8 * (i % 8));
  }
  const std::string url = to_text(values, {.alphabet = TextAlphabet::base64url});
  ASSERT_NE(url.find_first_of("-_"), std::string::npos);
  EXPECT_EQ(from_text<std::vector<std::uint64_t>>(url), values);
  EXPECT_EQ(from_text<std::vector<std::uint64_t>>(to_text(values), {.alphabet = TextAlphabet::base64url}), values);
}

TEST(StateTextBase64, ErrorsNameThePlace) {
  const auto offset = [](std::string_view text) {
    const Error error = error_of([&] { unbase64(text); });
    EXPECT_EQ(error.code(), Errc::malformed) << text;
    return error.offset();
  };
  EXPECT_EQ(offset("Zm9v!mFy"), 4U);
  EXPECT_EQ(offset(std::string_view("Zm9vY\0Fy", 8)), 5U);
  EXPECT_EQ(offset("Zm9v.mFy"), 4U);
  EXPECT_EQ(offset("Zm9v\xc3\xa4mFy"), 4U);
  EXPECT_EQ(offset("Zm9vY"), 4U);      // ends within a byte
  EXPECT_EQ(offset("Zm9vYg="), 6U);    // too little padding
  EXPECT_EQ(offset("Zm9vYg==="), 6U);  // too much
  EXPECT_EQ(offset("Zm9v="), 4U);      // where none belongs
  EXPECT_EQ(offset("="), 0U);
  EXPECT_EQ(offset("Zg==Zg=="), 4U);  // behind it
  EXPECT_EQ(offset("Zm9vYh=="), 5U);  // bits behind the last byte
  EXPECT_EQ(offset("Zm9vYmF="), 6U);
}

// ---- the entropy coder ----

TEST(StateTextEntropy, ComesBackAndIsNearTheEntropy) {
  std::mt19937 random(8);
  std::vector<std::byte> room;
  for (const std::size_t count : {1U, 2U, 3U, 100U, 3000U, 70'000U}) {
    for (const double mean : {0.0, 0.01, 0.3, 2.0, 40.0, 1000.0}) {
      std::vector<std::byte> plain(count);
      std::poisson_distribution<int> counter(std::max(mean, 1e-12));
      for (std::byte& b : plain) {
        b = static_cast<std::byte>(mean == 1000.0 ? random() : static_cast<unsigned>(counter(random)));
      }
      const state_text::Histogram histogram = state_text::histogram_of(plain);
      std::vector<std::byte> coded;
      state_text::entropy_encode(plain, std::span(&histogram, 1), room, coded);
      std::vector<std::byte> back(count);
      ASSERT_TRUE(state_text::entropy_decode(coded, 1, back)) << count << " " << mean;
      ASSERT_EQ(back, plain);
      double bits = 0;
      std::size_t distinct = 0;
      for (const std::uint32_t n : histogram) {
        bits += n == 0 ? 0 : n * std::log2(static_cast<double>(count) / n);
        distinct += n != 0;
      }
      EXPECT_LE(static_cast<double>(coded.size()), bits / 8 * 1.03 + 12 + 32 + 1.5 * static_cast<double>(distinct))
          << count << " " << mean;
      // Too short, too long, and all that differs in a byte: refused, or other bytes.
      if (count <= 100) {
        for (std::size_t cut = 0; cut < coded.size(); ++cut) {
          EXPECT_FALSE(state_text::entropy_decode(Bytes(coded).first(cut), 1, back) && back == plain) << cut;
        }
        coded.push_back(std::byte{0});
        EXPECT_FALSE(state_text::entropy_decode(coded, 1, back));
      }
    }
  }
}

// ---- dictionaries ----

TEST(StateTextDictionary, StatesOfCountersAreShorterWithIt) {
  const auto states = popular_states(300, 1);
  const auto fresh = popular_states(50, 2);
  const TextDictionary dictionary = TextDictionary::train(std::span<const std::vector<int>>(states));
  std::size_t with = 0;
  std::size_t without = 0;
  std::size_t zlib = 0;
  for (const auto& state : fresh) {
    const std::string text = to_text(state, {.dictionary = &dictionary});
    EXPECT_EQ(from_text<std::vector<int>>(text, {.dictionary = &dictionary}), state);
    with += text.size();
    without += to_text(state).size();
    zlib += to_text(state, zlib_bytes_options()).size();
  }
  EXPECT_LT(with * 3, without * 2);  // a third smaller, and more so beside zlib
  EXPECT_LT(with * 2, zlib);
}

TEST(StateTextDictionary, StatesUnlikeTheOthersComeBackToo) {
  const auto states = popular_states(20, 1);
  const TextDictionary dictionary = TextDictionary::train(std::span<const std::vector<int>>(states));
  const TextOptions options{.dictionary = &dictionary};
  std::mt19937 random(1);
  for (const int range : {1, 2, 101, 256, 100'000}) {
    for (const std::size_t count : {0U, 1U, 40U, 2999U, 3000U, 3001U}) {
      std::vector<int> state(count);
      for (int& counter : state) {
        counter = static_cast<int>(random() % static_cast<unsigned>(range));
      }
      for (const std::string& codec : codecs()) {
        TextOptions with = options;
        with.codec = codec;
        expect_round_trip(state, with);
      }
      for (int& counter : state) {
        counter -= 3;
      }
      expect_round_trip(state, options);
    }
  }
  std::vector<int> rare = states[0];
  rare[17] = 250;  // a value that training has not met
  rare[2999] = 251;
  expect_round_trip(rare, options);
}

struct Session {
  std::string user;
  std::map<std::string, double> preferences;
  std::vector<int> visits;
  bool operator==(const Session&) const = default;
};

TEST(StateTextDictionary, OtherValuesHaveOneOfZstandard) {
  std::mt19937 random(4);
  const auto session = [&] {
    const auto n = static_cast<int>(random() % 1000);
    return Session{"user-" + std::to_string(n),
                   {{"brightness", n / 1000.0}, {"language model weight", n / 7.0}, {"notifications per day", n / 3.0}},
                   {n % 3, n % 5, n}};
  };
  std::vector<Session> sessions(300);
  std::generate(sessions.begin(), sessions.end(), session);
  if (STELE_WITH_ZSTD == 0) {
    EXPECT_EQ(error_of([&] { TextDictionary::train(std::span<const Session>(sessions)); }).code(), Errc::unknown_codec);
    return;
  }
  const TextDictionary dictionary = TextDictionary::train(std::span<const Session>(sessions));
  std::size_t with = 0;
  std::size_t without = 0;
  for (int i = 0; i < 50; ++i) {
    const Session value = session();
    for (const int level : {1, 5}) {
      const TextOptions options{.level = level, .dictionary = &dictionary};
      const std::string text = to_text(value, options);
      EXPECT_EQ(from_text<Session>(text, options), value);
      with += text.size();
      without += to_text(value, {.level = level}).size();
    }
    expect_round_trip(value, {.codec = "zstd", .dictionary = &dictionary, .bare = true});
  }
  EXPECT_LT(with * 3, without * 2);
}

TEST(StateTextDictionary, IsSavedAndLoadedAndTellsItselfFromOthers) {
  const auto states = popular_states(30, 1);
  const auto others = popular_states(30, 9);
  const auto dictionary = TextDictionary::train(std::span<const std::vector<int>>(states));
  const auto other = TextDictionary::train(std::span<const std::vector<int>>(others));
  EXPECT_NE(dictionary.id(), other.id());
  const auto loaded = from_bytes<TextDictionary>(to_bytes(dictionary));
  EXPECT_EQ(loaded.id(), dictionary.id());
  const std::string text = to_text(others[0], {.dictionary = &dictionary});
  EXPECT_EQ(from_text<std::vector<int>>(text, {.dictionary = &loaded}), others[0]);
  for (const TextDictionary* wrong : {&other, static_cast<const TextDictionary*>(nullptr)}) {
    const Error error = error_of([&] { from_text<std::vector<int>>(text, {.dictionary = wrong}); });
    EXPECT_EQ(error.code(), Errc::invalid_argument);
    EXPECT_NE(std::string(error.what()).find("dictionary"), std::string::npos);
  }
  // A text without one is read with any.
  EXPECT_EQ(from_text<std::vector<int>>(to_text(others[0]), {.dictionary = &other}), others[0]);
  EXPECT_EQ(from_text<std::vector<int>>(to_text(others[0], {.dictionary = nullptr}), {}), others[0]);
  const TextDictionary nothing;
  expect_round_trip(others[0], {.dictionary = &nothing});
}

TEST(StateTextDictionary, DamagedContentIsRefused) {
  const auto states = popular_states(5, 1);
  const auto good = TextDictionary::train(std::span<const std::vector<int>>(states)).content();
  const auto code = [&](auto&& change) {
    TextDictionary::Content content = good;
    change(content);
    return error_of([&] { TextDictionary{content}; }).code();
  };
  EXPECT_EQ(code([](auto& c) { c.id ^= 1; }), Errc::damaged);
  EXPECT_EQ(code([](auto& c) { c.frequencies[3] += 1; }), Errc::damaged);
  EXPECT_EQ(code([](auto& c) { c.classes[0] ^= 1; }), Errc::damaged);
  // The same with the id made right, as a hostile one would have it.
  const auto forged = [&](auto&& change) {
    TextDictionary::Content content = good;
    change(content);
    content.id = TextDictionary::id_of(content);
    return error_of([&] { TextDictionary{content}; }).code();
  };
  EXPECT_EQ(forged([](auto& c) { c.classes[0] = 255; }), Errc::damaged);
  EXPECT_EQ(forged([](auto& c) { c.frequencies[3] += 1; }), Errc::damaged);
  EXPECT_EQ(forged([](auto& c) { c.frequencies.clear(); }), Errc::damaged);
  EXPECT_EQ(forged([](auto& c) { c.frequencies.pop_back(); }), Errc::damaged);
  EXPECT_EQ(forged([](auto& c) { c.frequencies.resize(257 * 65); }), Errc::damaged);
  EXPECT_EQ(forged([](auto& c) { c.mean_total = std::numeric_limits<double>::quiet_NaN(); }), Errc::damaged);
  EXPECT_EQ(forged([](auto& c) {
              c.frequencies[256 + c.frequencies[256]] += c.frequencies[256];
              c.frequencies[256] = 0;
            }),
            Errc::damaged);
  EXPECT_EQ(forged([](auto& c) { c.zstd = {std::byte{1}, std::byte{2}}; }),
            STELE_WITH_ZSTD != 0 ? Errc::damaged : Errc::unknown_codec);
  const std::vector<std::vector<int>> negative(3, {-1, 400});
  EXPECT_EQ(error_of([&] { TextDictionary::train(std::span<const std::vector<int>>(negative)); }).code(),
            Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { TextTrainer().finish(); }).code(), Errc::invalid_argument);
}

TEST(StateTextDictionary, TrainedOnOneEmptyOrConstantState) {
  for (const std::vector<int>& state : {std::vector<int>{}, std::vector<int>(100, 0), std::vector<int>(100, 255)}) {
    TextTrainer trainer;
    trainer.add(state);
    trainer.add(std::vector<int>{1, 2});
    const TextDictionary dictionary = trainer.finish();
    std::vector<int> all(100);
    std::iota(all.begin(), all.end(), 156);
    for (const std::vector<int>& value : {state, all}) {
      expect_round_trip(value, {.dictionary = &dictionary});
      expect_round_trip(value, {.codec = "entropy", .dictionary = &dictionary});
    }
  }
}

// ---- texts without a header ----

TEST(StateTextBare, IsWhatZlibAndBase64Make) {
  const std::vector<int> counters = article_state();
  std::vector<Bytef> bytes(counters.begin(), counters.end());
  uLongf size = compressBound(bytes.size());
  std::vector<std::byte> compressed(size);
  ASSERT_EQ(compress(reinterpret_cast<Bytef*>(compressed.data()), &size, bytes.data(), bytes.size()), Z_OK);
  compressed.resize(size);
  const std::string python = base64(compressed);
  EXPECT_EQ(from_text<std::vector<int>>(python, zlib_bytes_options(101)), counters);
  EXPECT_EQ(from_text<std::vector<std::uint64_t>>(python, zlib_bytes_options()),
            std::vector<std::uint64_t>(counters.begin(), counters.end()));
  EXPECT_EQ(from_text<std::vector<std::int8_t>>(python, zlib_bytes_options()),
            std::vector<std::int8_t>(counters.begin(), counters.end()));

  std::vector<int> large = counters;
  large[5] = 1000;
  large[6] = -1;
  const std::vector<std::byte> own = unbase64(to_text(large, zlib_bytes_options(101)));
  uLongf plain = bytes.size();
  std::vector<Bytef> back(plain);
  ASSERT_EQ(uncompress(back.data(), &plain, reinterpret_cast<const Bytef*>(own.data()), own.size()), Z_OK);
  bytes[5] = 101;
  bytes[6] = 0;
  EXPECT_EQ(back, bytes);
}

TEST(StateTextBare, HoldsLittleEndianElements) {
  const auto raw = [](const auto& values, TextOptions options) {
    options.codec = "stored";
    options.bare = true;
    const std::vector<std::byte> bytes = unbase64(to_text(values, options));
    std::string hex;
    for (const std::byte b : bytes) {
      hex += "0123456789abcdef"[std::to_integer<unsigned>(b) >> 4];
      hex += "0123456789abcdef"[std::to_integer<unsigned>(b) & 15];
    }
    return hex;
  };
  const std::vector<int> values{1, 258};
  EXPECT_EQ(raw(values, {}), "0100000002010000");
  EXPECT_EQ(raw(values, {.max = 255}), "01ff");
  EXPECT_EQ(raw(values, {.max = 300}), "01000201");
  EXPECT_EQ(raw(values, {.min = -1, .max = 127}), "017f");
  EXPECT_EQ(raw(values, {.min = -1, .max = 128}), "01008000");
  EXPECT_EQ(raw(values, {.min = -129, .max = 5}), "01000500");
  EXPECT_EQ(raw(values, {.max = std::int64_t{1} << 40}), "01000000000000000201000000000000");
  EXPECT_EQ(raw(values, {.item_bytes = 2}), "01000201");
  EXPECT_EQ(raw(std::vector<short>{-2}, {}), "feff");
  EXPECT_EQ(error_of([&] { raw(values, {.item_bytes = 1}); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([&] { raw(std::vector<int>{-1}, {.max = 5}); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([&] { raw(std::vector<std::uint64_t>{~std::uint64_t{0}}, {.min = -1}); }).code(),
            Errc::out_of_range);
}

TEST(StateTextBare, RefusesWhatItCannotBe) {
  const TextOptions options = zlib_bytes_options();
  const auto code = [&](std::string_view text, const TextOptions& with) {
    return error_of([&] { from_text<std::vector<int>>(text, with); }).code();
  };
  const std::string good = to_text(article_state(), options);
  EXPECT_EQ(code(good.substr(0, 400), options), Errc::damaged);
  EXPECT_EQ(code("", options), Errc::damaged);
  std::vector<std::byte> longer = unbase64(good);
  longer.push_back(std::byte{0});
  EXPECT_EQ(code(base64(longer), options), Errc::damaged);
  std::vector<std::byte> flipped = unbase64(good);
  flipped.back() ^= std::byte{1};  // of the Adler-32
  EXPECT_EQ(code(base64(flipped), options), Errc::damaged);
  EXPECT_EQ(code("AAAA", {.codec = "stored", .bare = true, .item_bytes = 2}), Errc::damaged);
  EXPECT_EQ(code("AAAA", {.bare = true}), Errc::invalid_argument);
  EXPECT_EQ(code("AAAA", {.codec = "entropy", .bare = true}), Errc::invalid_argument);
  EXPECT_EQ(code("AAAA", {.codec = "zlib", .bare = true, .item_bytes = 3}), Errc::invalid_argument);
  EXPECT_EQ(code("AAAA", {.codec = "lzw"}), Errc::unknown_codec);
  EXPECT_EQ(code("AAAA", {.level = 0}), Errc::invalid_argument);
  EXPECT_EQ(code("AAAA", {.level = 10}), Errc::invalid_argument);
  // What grows a thousand times is cut off.
  for (const std::string& codec : codecs()) {
    if (codec == "auto" || codec == "entropy") {
      continue;
    }
    const TextOptions bare{.codec = codec, .bare = true, .item_bytes = 1, .max_bytes = 1'000'000};
    const std::string bomb = to_text(std::vector<int>(1'000'001, 0), bare);
    EXPECT_EQ(code(bomb, bare), Errc::limit_exceeded) << codec;
    const std::string most = to_text(std::vector<std::uint8_t>(1'000'000, 0), bare);
    EXPECT_EQ(from_text<std::vector<std::uint8_t>>(most, bare).size(), 1'000'000U) << codec;
  }
}

// ---- hostile texts ----

TEST(StateTextHostile, AnyChangeOfACharacterIsNoticed) {
  for (const std::string& text :
       {to_text(std::vector<int>{1, 2, 3, 400, 5}), to_text(article_state()), to_text(Inner{"x", {1}, 2})}) {
    for (std::size_t i = 0; i < std::min<std::size_t>(text.size(), 300); ++i) {
      for (const char c : {'A', 'B', '/', 'x'}) {
        std::string changed = text;
        if (changed[i] == '=' || changed[i] == c) {
          continue;
        }
        changed[i] = c;
        const Error error = error_of([&] { from_text<std::vector<int>>(changed); });
        EXPECT_NE(error.code(), Errc::invalid_argument);
      }
      EXPECT_THROW(from_text<std::vector<int>>(text.substr(0, i)), Error);
    }
  }
  EXPECT_EQ(error_of([] { from_text<int>(""); }).code(), Errc::truncated);
  EXPECT_EQ(error_of([] { from_text<int>("sQ=="); }).code(), Errc::truncated);
  EXPECT_EQ(error_of([] { from_text<int>("eJwDAAAAAAE="); }).code(), Errc::not_an_archive);
  EXPECT_EQ(error_of([] { from_text<int>("sgAAAAAAAAAA"); }).code(), Errc::unsupported);
}

/// Reads a text in several ways; all that may happen is an Error.
void try_reading(const std::string& text, const TextOptions& options) {
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
}

TEST(StateTextHostile, WellSealedNonsenseIsRefusedOrRead) {
  const auto states = popular_states(20, 1);
  const auto dictionary = TextDictionary::train(std::span<const std::vector<int>>(states));
  std::vector<std::string> texts;
  for (const std::string& codec : codecs()) {
    texts.push_back(to_text(std::vector<int>{1, 2, 3, 4, 5, 6, 7, 300, -4, 100}, {.codec = codec}));
    texts.push_back(to_text(std::vector<std::uint64_t>{1, ~std::uint64_t{0}, 3}, {.codec = codec}));
    texts.push_back(to_text(std::vector<int>(states[0].begin(), states[0].begin() + 60),
                            {.codec = codec, .dictionary = &dictionary}));
    texts.push_back(to_text(Inner{"some name", {1, 2, 300}, 2.5}, {.codec = codec}));
  }
  std::vector<std::int64_t> ascending(40);
  std::iota(ascending.begin(), ascending.end(), 1'000'000);
  texts.push_back(to_text(ascending));
  const TextOptions options{.dictionary = &dictionary, .max_bytes = 1 << 20};
  std::mt19937 random(6);
  for (const std::string& text : texts) {
    const std::vector<std::byte> bytes = unbase64(text);
    for (std::size_t i = 0; i + text_frozen::checksum_bytes < bytes.size(); ++i) {
      for (int turn = 0; turn < 10; ++turn) {
        std::vector<std::byte> changed = bytes;
        changed[i] = turn < 8    ? bytes[i] ^ static_cast<std::byte>(1 << turn)
                     : turn == 8 ? std::byte{0xff}
                                 : std::byte{0};
        if (random() % 4 == 0) {
          changed[random() % (bytes.size() - text_frozen::checksum_bytes)] = static_cast<std::byte>(random());
        }
        try_reading(sealed(changed), options);
      }
      std::vector<std::byte> shorter(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(i));
      shorter.resize(i + text_frozen::checksum_bytes);
      try_reading(sealed(shorter), options);
    }
  }
}

TEST(StateTextHostile, LengthsThatAreNotThereAreRefusedBeforeMemoryIsTaken) {
  const auto text = [](std::initializer_list<unsigned> content) {
    std::vector<std::byte> bytes{std::byte{0xb1}};
    for (const unsigned b : content) {
      bytes.push_back(static_cast<std::byte>(b));
    }
    bytes.resize(bytes.size() + text_frozen::checksum_bytes);
    return sealed(bytes);
  };
  const auto code = [](const std::string& t) { return error_of([&] { from_text<std::vector<int>>(t); }).code(); };
  // stored, deflate, zstd and entropy coded integers: 2^63 of them, and 2^40
  for (const unsigned flags : {0x10U, 0x11U, 0x12U, 0x13U, 0x50U, 0x30U}) {
    if (flags == 0x12U && STELE_WITH_ZSTD == 0) {
      continue;
    }
    EXPECT_EQ(code(text({flags, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 8, 0, 0})), Errc::limit_exceeded);
    EXPECT_EQ(code(text({flags, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 0, 0, 0})), Errc::limit_exceeded);
  }
  EXPECT_EQ(code(text({0x10, 0x80, 0x80, 0x80, 0x10, 0, 0})), Errc::limit_exceeded);  // 2^25 zeros as int
  EXPECT_EQ(code(text({0x10, 5, 8, 0, 1, 2, 3})), Errc::damaged);                     // five, of which three are there
  EXPECT_EQ(code(text({0x10, 5, 65, 0})), Errc::damaged);
  EXPECT_EQ(code(text({0x10, 0x85})), Errc::damaged);
  EXPECT_EQ(code(text({0x00, 0xff, 0xff, 0xff, 0xff, 0x0f})), Errc::limit_exceeded);
  EXPECT_EQ(code(text({0x00, 3, 0x80})), Errc::damaged);
  EXPECT_EQ(code(text({0x20, 1, 0x80})), Errc::damaged);         // differences of what are no integers
  EXPECT_EQ(code(text({0x53, 1, 1, 0, 0})), Errc::damaged);      // packed and entropy coded
  EXPECT_EQ(code(text({0x17, 1, 8, 0, 0})), Errc::unsupported);  // no such codec
  EXPECT_EQ(code(text({0x18, 1})), Errc::damaged);               // no room for the dictionary's id
  EXPECT_EQ(code(text({0x00, 2, 0x80, 0x80})), Errc::damaged);   // bytes behind the value
  // An array that claims more than there is.
  EXPECT_EQ(code(text({0x00, 6, 0xd8, 0x40, 0x5a, 0x7f, 0xff, 0xff})), Errc::truncated);
}

TEST(StateTextHostile, WithoutALimitNoLengthIsBelieved) {
  const auto code = [](std::initializer_list<unsigned> content, auto wanted) {
    std::vector<std::byte> bytes{std::byte{0xb1}};
    for (const unsigned b : content) {
      bytes.push_back(static_cast<std::byte>(b));
    }
    bytes.resize(bytes.size() + text_frozen::checksum_bytes);
    const TextOptions options{.max_bytes = ~std::uint64_t{0}};
    return error_of([&] { from_text<decltype(wanted)>(sealed(bytes), options); }).code();
  };
  for (const unsigned flags : {0x10U, 0x13U, 0x50U}) {
    // 2^61 integers of 64 bits: 2^64 bytes
    EXPECT_EQ(code({flags, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 64, 0}, Value()),
              Errc::limit_exceeded);
    EXPECT_EQ(code({flags, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 64, 0}, std::vector<double>()),
              Errc::limit_exceeded);
  }
  // A value of 2^64 - 4 bytes
  EXPECT_EQ(code({0x00, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, Value()), Errc::limit_exceeded);
}

TEST(StateTextHostile, EqualIntegersReadAsAnotherTypeKeepTheLimit) {
  const std::string text = to_text(std::vector<std::int64_t>(1000, std::int64_t{1} << 40));
  EXPECT_LT(text.size(), 40U);
  using Deque = std::deque<std::int64_t>;
  EXPECT_EQ(from_text<Deque>(text, {.max_bytes = 8000}), Deque(1000, std::int64_t{1} << 40));
  EXPECT_EQ(error_of([&] { from_text<Deque>(text, {.max_bytes = 7999}); }).code(), Errc::limit_exceeded);
  EXPECT_EQ(error_of([&] { from_text<Value>(text, {.max_bytes = 7999}); }).code(), Errc::limit_exceeded);
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
  EXPECT_EQ(error_of([&] { from_texts<std::vector<int>>(texts, {.codec = "none such"}); }).code(), Errc::unknown_codec);
}

// ---- what is frozen ----

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
  const auto expect = [](const auto& value, const TextOptions& options, const std::string& text) {
    EXPECT_EQ(to_text(value, options), text);
    EXPECT_TRUE(from_text<std::remove_cvref_t<decltype(value)>>(text, options) == value);
  };
  expect(fibonacci, {}, "sVAMBwCAQEAwKCAaFdEtC1NKWs8=");
  expect(counters, {.codec = "entropy"}, "sRNAAgACMD0DRgMDAHwIAwArDJzP3PsCDoCygA1t1eCa");
  expect(times, {}, "sXAUA4DEn9UMcvQgehA9iB4ArXkFfw==");
  expect(Point{}, {}, "sQAdomRuYW1lZmdvbGRlbmZjb3VudHPYTUYBAAIALAEpsPao");
  expect(std::vector<std::uint64_t>{~std::uint64_t{0}, 5}, {.alphabet = TextAlphabet::base64url}, "sbACAAEM5mKnOA");
  expect(std::vector<int>{-1, 70'000}, {.codec = "stored"}, "sTACAAHixQh2Rc8w");
  const std::vector<std::vector<int>> states(4, fibonacci);
  const TextDictionary dictionary = TextDictionary::train(std::span<const std::vector<int>>(states));
  expect(fibonacci, {.codec = "entropy", .dictionary = &dictionary}, "sRsvPDx7DEAYKgEAUDwBACKw14c=");
  // What other libraries compress may change with their versions, but is read.
  EXPECT_EQ(from_text<std::vector<int>>("sRFAAgBjYGRgYmJgZCCXAgDCM3GO"), counters);
  EXPECT_EQ(from_text<std::vector<int>>("sRRAAgB4XmNgZGBiYmBkIJcCAAcbADcY36M5"), counters);
  const std::string zstd = "sRJAAgAAAG0AADgAAQACAgABAQDWWYxmaV02";
  if (STELE_WITH_ZSTD != 0) {
    EXPECT_EQ(from_text<std::vector<int>>(zstd), counters);
  } else {
    EXPECT_EQ(error_of([&] { from_text<std::vector<int>>(zstd); }).code(), Errc::unknown_codec);
  }
}

}  // namespace
}  // namespace stele
