#include "stele/hash.hpp"

#include <gtest/gtest.h>

#include <bitset>
#include <chrono>
#include <cmath>
#include <complex>
#include <cstring>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/bytes.hpp"
#include "base/checksum.hpp"

namespace stele {
namespace {

template <class Action>
Errc code_of(Action action) {
  try {
    action();
  } catch (const Error& e) {
    return e.code();
  }
  ADD_FAILURE() << "no error";
  return Errc::io;
}

/// The bytes of the table in hash.hpp, written by hand.
class ByHand {
 public:
  ByHand& byte(unsigned value) {
    bytes_.push_back(static_cast<std::byte>(value));
    return *this;
  }
  ByHand& number(std::uint64_t value, std::size_t width = 8) {
    for (std::size_t i = 0; i < width; ++i) {
      byte(static_cast<unsigned>(value >> (8 * i) & 0xff));
    }
    return *this;
  }
  ByHand& text(std::string_view value) {
    number(value.size());
    return raw(value.data(), value.size());
  }
  ByHand& raw(const void* data, std::size_t size) {
    const auto* at = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), at, at + size);
    return *this;
  }
  ByHand& digest(const Digest& digest) { return raw(digest.bytes.data(), digest.bytes.size()); }
  Digest digest() const {
    const Hash128 hash = xxh3_128(bytes_);
    Digest digest;
    store_be<std::uint64_t>(digest.bytes.data(), hash.high);
    store_be<std::uint64_t>(digest.bytes.data() + 8, hash.low);
    return digest;
  }

 private:
  std::vector<std::byte> bytes_;
};

Digest sum(const Digest& a, const Digest& b) {
  Digest result;
  unsigned carry = 0;
  for (std::size_t i = 16; i-- > 0;) {
    const unsigned digit = std::to_integer<unsigned>(a.bytes[i]) + std::to_integer<unsigned>(b.bytes[i]) + carry;
    result.bytes[i] = static_cast<std::byte>(digit & 0xff);
    carry = digit >> 8;
  }
  return result;
}

struct Point {
  float x = 0;
  float y = 0;
};
struct Layer {
  std::string name;
  std::vector<float> weights;
};
struct LayerV2 {
  static constexpr unsigned stele_version = 2;
  std::string name;
  std::vector<float> weights;
};
struct Renamed {
  std::string label;
  std::vector<float> weights;
};
class Private {
 public:
  Private() = default;
  explicit Private(int value) : value_(value) {}
  static void visit(auto& v, auto& self) { v("value", self.value_); }

 private:
  int value_ = 0;
};
struct Node {
  int value = 0;
  std::shared_ptr<Node> next;
  std::weak_ptr<Node> back;
};
struct Shape2 {
  virtual ~Shape2() = default;
  virtual double area() const = 0;
};
struct Circle final : Shape2 {
  double radius = 0;
  double area() const override { return 3 * radius * radius; }
  static void visit(auto& v, auto& self) { v("radius", self.radius); }
};
struct Disc final : Shape2 {
  double radius = 0;
  double area() const override { return 3 * radius * radius; }
  static void visit(auto& v, auto& self) { v("radius", self.radius); }
};

// --- Digest ----------------------------------------------------------------------------------------------------------

TEST(Digest, TextGoesBothWays) {
  const Digest digest = hash(std::string("stele"));
  EXPECT_TRUE(digest.text().starts_with("xxh3-128:"));
  EXPECT_EQ(digest.text().size(), 9u + 32u);
  EXPECT_EQ(Digest::parse(digest.text()), digest);
  EXPECT_EQ(Digest().text(), "xxh3-128:00000000000000000000000000000000");
  EXPECT_LT(Digest(), digest);
}

TEST(Digest, OtherTextIsNotADigest) {
  const std::string good = hash(1).text();
  for (const std::string& bad : {std::string(), good.substr(1), good + "0", good.substr(0, good.size() - 1),
                                 good.substr(0, good.size() - 1) + "G", "sha256:" + good.substr(9)}) {
    EXPECT_EQ(code_of([&] { Digest::parse(bad); }), Errc::invalid_argument) << bad;
  }
}

// --- The algorithm ---------------------------------------------------------------------------------------------------

TEST(Hash, ScalarsAreTheDocumentedBytes) {
  EXPECT_EQ(hash(nullptr), ByHand().byte(0).digest());
  EXPECT_EQ(hash(false), ByHand().byte(1).digest());
  EXPECT_EQ(hash(true), ByHand().byte(2).digest());
  EXPECT_EQ(hash(5), ByHand().byte(3).number(5).digest());
  EXPECT_EQ(hash(-1), ByHand().byte(4).number(0).digest());
  EXPECT_EQ(hash(std::numeric_limits<std::int64_t>::min()), ByHand().byte(4).number(INT64_MAX).digest());
  EXPECT_EQ(hash(float16(1.5F)), ByHand().byte(5).number(0x3e00, 2).digest());
  EXPECT_EQ(hash(1.5F), ByHand().byte(6).number(0x3fc00000, 4).digest());
  EXPECT_EQ(hash(1.5), ByHand().byte(7).number(0x3ff8000000000000).digest());
  EXPECT_EQ(hash(std::string("ab")), ByHand().byte(8).text("ab").digest());
  EXPECT_EQ(hash(std::string("\xff")), ByHand().byte(9).text("\xff").digest());
  EXPECT_EQ(hash(std::bitset<9>(3)), ByHand().byte(9).text(std::string_view("\x03\x00", 2)).digest());
}

TEST(Hash, ContainersAreTheDocumentedBytes) {
  EXPECT_EQ(hash(std::list<int>{1, 2}), ByHand().byte(0x0b).number(2).byte(3).number(1).byte(3).number(2).digest());
  EXPECT_EQ(hash(std::map<std::string, int>{{"a", 1}}),
            ByHand().byte(0x0d).number(1).byte(8).text("a").byte(3).number(1).digest());
  const Digest one = ByHand().byte(3).number(1).digest();
  const Digest two = ByHand().byte(3).number(2).digest();
  EXPECT_EQ(hash(std::unordered_set<int>{2, 1}), ByHand().byte(0x0c).number(2).digest(sum(one, two)).digest());
  const Digest a = ByHand().byte(8).text("a").byte(3).number(1).digest();
  const Digest b = ByHand().byte(8).text("b").byte(3).number(2).digest();
  EXPECT_EQ(hash(std::unordered_map<std::string, int>{{"b", 2}, {"a", 1}}),
            ByHand().byte(0x0e).number(2).digest(sum(a, b)).digest());
  EXPECT_EQ(hash(std::unordered_set<int>{}), ByHand().byte(0x0c).number(0).digest(Digest()).digest());
}

TEST(Hash, RecordsAreTheDocumentedBytes) {
  const Digest names = ByHand().number(2, 4).number(2).text("name").text("weights").digest();
  const Digest none = ByHand().digest();
  EXPECT_EQ(hash(LayerV2{"l", {}}), ByHand()
                                        .byte(0x0f)
                                        .digest(names)
                                        .byte(8)
                                        .text("l")
                                        .byte(0x0a)
                                        .byte(0x0c)
                                        .byte(0)
                                        .byte(1)
                                        .number(0)
                                        .digest(none)
                                        .digest());
}

TEST(Hash, ArraysAreTheDocumentedBytes) {
  const std::vector<std::int16_t> numbers{1, -2, 3};
  EXPECT_EQ(hash(numbers), ByHand()
                               .byte(0x0a)
                               .byte(0x03)
                               .byte(0)
                               .byte(1)
                               .number(3)
                               .digest(ByHand().raw(numbers.data(), 6).digest())
                               .digest());
  const std::vector<Point> points{{1, 2}, {3, 4}};
  EXPECT_EQ(hash(points), ByHand()
                              .byte(0x0a)
                              .byte(0x14)
                              .number(2, 4)
                              .text("x")
                              .number(1, 4)
                              .byte(0x0c)
                              .text("y")
                              .number(1, 4)
                              .byte(0x0c)
                              .byte(0)
                              .byte(1)
                              .number(2)
                              .digest(ByHand().raw(points.data(), 16).digest())
                              .digest());
}

TEST(Hash, SharedObjectsAreTheDocumentedBytes) {
  const auto five = std::make_shared<int>(5);
  const Digest content = ByHand().byte(3).number(5).digest();
  EXPECT_EQ(hash(five), ByHand().byte(0x11).digest(content).digest());
  EXPECT_EQ(hash(std::list{five, five}),
            ByHand().byte(0x0b).number(2).byte(0x11).digest(content).byte(0x11).digest(content).digest());
  const auto loop = std::make_shared<Node>();
  loop->back = loop;
  const Digest names = ByHand().number(0, 4).number(3).text("value").text("next").text("back").digest();
  const Digest node = ByHand().byte(0x0f).digest(names).byte(3).number(0).byte(0).byte(0x12).number(0).digest();
  EXPECT_EQ(hash(loop), ByHand().byte(0x11).digest(node).digest());
}

/// Digests that programs store. They must never change.
TEST(Hash, GoldenDigests) {
  EXPECT_EQ(hash(42).text(), "xxh3-128:e7ff64311d5eb0283264e6af548861cd");
  EXPECT_EQ(hash(std::string("stele")).text(), "xxh3-128:9ff1c7839792f1665dc64d28c84d97a9");
  EXPECT_EQ(hash(std::vector<double>{1, 2, 3}).text(), "xxh3-128:ccff72367fe3461a6107369aadcc5b4d");
  EXPECT_EQ(hash(Layer{"conv", {0.5F, -1}}).text(), "xxh3-128:5ef0f8142e62c26c0b90ed527ada7c9d");
  EXPECT_EQ(hash(std::unordered_map<int, std::string>{{1, "one"}, {2, "two"}, {3, "three"}}).text(),
            "xxh3-128:edac8fffff2b0e8fb955228a4f7c1e4d");
  std::vector<std::uint32_t> large(1 << 20);
  for (std::size_t i = 0; i < large.size(); ++i) {
    large[i] = static_cast<std::uint32_t>(i * 2654435761U);
  }
  EXPECT_EQ(hash(large).text(), "xxh3-128:5ac357bdb6ee493bca59d6a941af4f2d");
}

// --- What counts -----------------------------------------------------------------------------------------------------

TEST(Hash, IntegersCountByValue) {
  EXPECT_EQ(hash(std::int8_t{5}), hash(std::uint64_t{5}));
  EXPECT_EQ(hash(std::int64_t{-3}), hash(std::int16_t{-3}));
  EXPECT_NE(hash(-1), hash(~std::uint64_t{0}));
  EXPECT_NE(hash(1), hash(true));
  EXPECT_NE(hash(0), hash(nullptr));
}

TEST(Hash, FloatsCountByWidthAndBits) {
  EXPECT_NE(hash(1.0F), hash(1.0));
  EXPECT_NE(hash(1.0), hash(1));
  EXPECT_NE(hash(0.0), hash(-0.0));
  EXPECT_EQ(hash(std::nan("1")), hash(std::nan("1")));
  EXPECT_NE(hash(std::nan("1")), hash(std::nan("2")));
  EXPECT_NE(hash(std::vector<float>{0.0F}), hash(std::vector<float>{-0.0F}));
}

TEST(Hash, ContainersArePrefixFree) {
  using Words = std::list<std::string>;
  EXPECT_NE(hash(Words{"ab", "c"}), hash(Words{"a", "bc"}));
  EXPECT_NE(hash(std::list<Words>{{"a"}, {"b"}}), hash(std::list<Words>{{"a", "b"}, {}}));
  EXPECT_NE(hash(std::list<int>{}), hash(std::map<int, int>{}));
  EXPECT_NE(hash(std::vector<float>{}), hash(std::vector<double>{}));
  EXPECT_NE(hash(std::optional<int>{}), hash(std::optional<int>{0}));
}

TEST(Hash, CapacityAndContainerTypeDoNotCount) {
  std::vector<std::string> words{"a", "b"};
  const Digest before = hash(words);
  words.reserve(1000);
  EXPECT_EQ(hash(words), before);
  EXPECT_EQ(hash(std::deque<std::string>{"a", "b"}), before);
  EXPECT_EQ(hash(std::array<std::string, 2>{"a", "b"}), before);
}

TEST(Hash, RecordsCountNamesOrderAndVersion) {
  const Layer layer{"a", {1}};
  EXPECT_EQ(hash(layer), hash(Layer{"a", {1}}));
  EXPECT_NE(hash(layer), hash(Renamed{"a", {1}}));
  EXPECT_NE(hash(layer), hash(LayerV2{"a", {1}}));
  EXPECT_NE(hash(Private(1)), hash(Private(2)));
  EXPECT_EQ(hash(std::vector<Private>{Private(1)}), hash(std::list<Private>{Private(1)}));
}

TEST(Hash, UnorderedContainersCountInAnyOrder) {
  std::mt19937 random(1);
  std::unordered_map<std::uint64_t, std::vector<float>> a;
  for (int i = 0; i < 1000; ++i) {
    a[random()] = std::vector<float>(random() % 7, static_cast<float>(i));
  }
  std::unordered_map<std::uint64_t, std::vector<float>> b(100'000);
  std::vector<std::pair<std::uint64_t, std::vector<float>>> items(a.begin(), a.end());
  std::shuffle(items.begin(), items.end(), random);
  b.insert(items.begin(), items.end());
  EXPECT_EQ(hash(a), hash(b));
  b.begin()->second.push_back(1);
  EXPECT_NE(hash(a), hash(b));
}

TEST(Hash, UnorderedContainersLieInEachOther) {
  using Inner = std::unordered_set<std::string>;
  const auto outer = [](std::size_t buckets, bool reversed) {
    std::unordered_map<std::string, std::unordered_map<int, Inner>> value(buckets);
    for (int i = 0; i < 20; ++i) {
      const int k = reversed ? 19 - i : i;
      value["k" + std::to_string(k)][k] = reversed ? Inner{"x", "y", "z"} : Inner{"z", "y", "x"};
    }
    return value;
  };
  EXPECT_EQ(hash(outer(1, false)), hash(outer(1000, true)));
}

TEST(Hash, AMultisetCountsItsCopies) {
  EXPECT_NE(hash(std::unordered_multiset<int>{1, 1, 2}), hash(std::unordered_multiset<int>{1, 2, 2}));
  EXPECT_NE(hash(std::unordered_multiset<int>{1, 1}), hash(std::unordered_multiset<int>{}));
}

TEST(Hash, LargeValuesAreTheSameInPieces) {
  // Beyond the buffer in every kind of scope, compared with the bytes hashed at once.
  const std::size_t count = 50'000;
  std::list<int> numbers(count, 7);
  ByHand expected;
  expected.byte(0x0b).number(count);
  for (std::size_t i = 0; i < count; ++i) {
    expected.byte(3).number(7);
  }
  EXPECT_EQ(hash(numbers), expected.digest());
  EXPECT_EQ(hash(std::make_shared<std::list<int>>(numbers)), ByHand().byte(0x11).digest(expected.digest()).digest());
  const std::unordered_map<int, std::list<int>> map{{1, numbers}, {2, {}}};
  ByHand one;
  one.byte(3).number(1).byte(0x0b).number(count);
  for (std::size_t i = 0; i < count; ++i) {
    one.byte(3).number(7);
  }
  const Digest two = ByHand().byte(3).number(2).byte(0x0b).number(0).digest();
  EXPECT_EQ(hash(map), ByHand().byte(0x0e).number(2).digest(sum(one.digest(), two)).digest());
  for (const std::size_t size : {16'383U, 16'384U, 16'385U, 65'535U, 65'536U, 70'000U, 1'000'000U}) {
    const std::string text(size, 'x');
    EXPECT_EQ(hash(std::list<std::string>{"a", text, "b"}),
              ByHand().byte(0x0b).number(3).byte(8).text("a").byte(8).text(text).byte(8).text("b").digest());
  }
}

// --- Arrays ----------------------------------------------------------------------------------------------------------

Array<float, 2> counting(std::uint64_t rows, std::uint64_t columns, Order order = Order::row_major) {
  Array<float, 2> array({rows, columns}, order);
  for (std::uint64_t i = 0; i < rows; ++i) {
    for (std::uint64_t j = 0; j < columns; ++j) {
      array.mutable_at(i, j) = static_cast<float>(i * 1000 + j);
    }
  }
  return array;
}

TEST(Hash, StridesDoNotCount) {
  const Array<float, 2> whole = counting(300, 700);
  const Array<float, 2> part(whole.buffer(), whole.data() + 5, {300, 400}, {700, 1});
  EXPECT_EQ(hash(part), hash(part.clone()));
  const Array<float, 1> column(whole.buffer(), whole.data(), {300}, {700});
  EXPECT_EQ(hash(column), hash(column.clone()));
  const Array<float, 1> backwards(whole.buffer(), whole.data() + 699, {700}, {-1});
  EXPECT_EQ(hash(backwards), hash(backwards.clone()));
  std::vector<float> as_vector(backwards.clone().size());
  const Array<float, 1> dense = backwards.clone();
  std::copy(dense.begin(), dense.end(), as_vector.begin());
  EXPECT_EQ(hash(as_vector), hash(dense));
}

TEST(Hash, StorageOrderCountsUnlessIgnored) {
  const Array<float, 2> rows = counting(50, 30);
  const Array<float, 2> columns = counting(50, 30, Order::column_major);
  EXPECT_EQ(rows, columns);
  EXPECT_NE(hash(rows), hash(columns));
  EXPECT_EQ(hash(columns), hash(columns.clone(Order::column_major)));
  EXPECT_EQ(hash(rows, {.ignore_order = true}), hash(columns, {.ignore_order = true}));
  EXPECT_EQ(hash(rows, {.ignore_order = true}), hash(rows));
  EXPECT_NE(hash(rows), hash(rows.transposed()));
}

TEST(Hash, AnArrayDenseInBothOrdersIsRowMajor) {
  EXPECT_EQ(hash(counting(9, 1)), hash(counting(9, 1, Order::column_major)));
  EXPECT_EQ(hash(counting(1, 9)), hash(counting(1, 9, Order::column_major)));
  EXPECT_EQ(hash(counting(0, 9)), hash(counting(0, 9, Order::column_major)));
  EXPECT_NE(hash(counting(9, 1)), hash(counting(1, 9)));
  EXPECT_NE(hash(counting(0, 9)), hash(counting(9, 0)));
}

/// Events of an array that no C++ type produces.
Digest hash_view(const ArrayView& view) {
  Hasher hasher;
  hasher.visitor().array(view);
  return hasher.digest();
}

TEST(Hash, BytesBetweenFieldsDoNotCount) {
  const DType packed = DType::record({{"a", DType::Kind::uint8, 0}, {"b", DType::Kind::float64, 1}}, 9);
  const DType padded = DType::record({{"a", DType::Kind::uint8, 0}, {"b", DType::Kind::float64, 8}}, 16);
  std::vector<std::byte> tight(9 * 50'000);
  std::vector<std::byte> loose(16 * 50'000, std::byte{0xee});
  for (std::size_t i = 0; i < 50'000; ++i) {
    const double b = static_cast<double>(i) / 3;
    tight[9 * i] = loose[16 * i] = static_cast<std::byte>(i);
    std::memcpy(&tight[9 * i + 1], &b, 8);
    std::memcpy(&loose[16 * i + 8], &b, 8);
  }
  const Digest digest = hash_view(ArrayView(packed, tight.data(), 50'000));
  EXPECT_EQ(hash_view(ArrayView(padded, loose.data(), 50'000)), digest);
  loose[1] = std::byte{0};
  EXPECT_EQ(hash_view(ArrayView(padded, loose.data(), 50'000)), digest);
  loose[8] ^= std::byte{1};
  EXPECT_NE(hash_view(ArrayView(padded, loose.data(), 50'000)), digest);
}

TEST(Hash, FixedStringsCountTheirWidth) {
  const char bytes[16] = "abc";
  const Digest digest = hash_view(ArrayView(DType::fixed_bytes(4), bytes, 4));
  EXPECT_NE(digest, hash_view(ArrayView(DType::fixed_bytes(8), bytes, 2)));
  EXPECT_NE(digest, hash_view(ArrayView(DType::fixed_utf32(1), bytes, 4)));
}

TEST(Hash, EveryDTypeDiffers) {
  const std::byte zeros[16] = {};
  std::set<Digest> digests;
  for (int kind = 1; kind <= static_cast<int>(DType::Kind::float8_e5m2); ++kind) {
    const DType dtype(static_cast<DType::Kind>(kind));
    digests.insert(hash_view(ArrayView(dtype, zeros, 16 / dtype.item_size())));
  }
  EXPECT_EQ(digests.size(), 17u);
}

// --- Pointers --------------------------------------------------------------------------------------------------------

TEST(Hash, IdentityDoesNotCount) {
  const auto a = std::make_shared<std::string>("same");
  const auto b = std::make_shared<std::string>("same");
  using Pair = std::vector<std::shared_ptr<std::string>>;
  EXPECT_EQ(hash(Pair{a, a}), hash(Pair{a, b}));
  EXPECT_NE(hash(Pair{a, a}), hash(Pair{a, nullptr}));
  *b += "!";
  EXPECT_NE(hash(Pair{a, a}), hash(Pair{a, b}));
}

TEST(Hash, SharedObjectsInUnorderedContainers) {
  const auto shared = std::make_shared<std::string>("shared");
  std::unordered_map<int, std::shared_ptr<std::string>> a(7);
  std::unordered_map<int, std::shared_ptr<std::string>> b(1000);
  for (int i = 0; i < 50; ++i) {
    a[i] = shared;
    b[49 - i] = std::make_shared<std::string>("shared");
  }
  EXPECT_EQ(hash(a), hash(b));
}

std::shared_ptr<Node> ring(int size, int first = 0) {
  auto head = std::make_shared<Node>();
  head->value = first;
  auto last = head;
  for (int i = 1; i < size; ++i) {
    auto node = std::make_shared<Node>();
    node->value = first + i;
    node->back = last;
    last->next = node;
    last = node;
  }
  last->next = head;
  return head;
}
void cut(const std::shared_ptr<Node>& head) { head->next.reset(); }

TEST(Hash, EqualCyclesAreEqual) {
  const auto a = ring(5);
  const auto b = ring(5);
  const auto c = ring(6);
  const auto d = ring(5, 1);
  EXPECT_EQ(hash(a), hash(b));
  EXPECT_NE(hash(a), hash(c));
  EXPECT_NE(hash(a), hash(d));
  EXPECT_EQ(hash(std::vector{a, a}), hash(std::vector{a, b}));
  for (const auto& head : {a, b, c, d}) {
    cut(head);
  }
}

TEST(Hash, TheNameOfAPolymorphicTypeCounts) {
  TypeRegistry types;
  types.add<Circle, Shape2>("Circle").add<Disc, Shape2>("Disc");
  auto circle = std::make_unique<Circle>();
  auto disc = std::make_unique<Disc>();
  circle->radius = disc->radius = 2;
  const std::unique_ptr<Shape2> a = std::move(circle);
  const std::unique_ptr<Shape2> b = std::move(disc);
  EXPECT_NE(hash(a, {.types = &types}), hash(b, {.types = &types}));
  const Digest names = ByHand().number(0, 4).number(1).text("radius").digest();
  EXPECT_EQ(hash(a, {.types = &types}),
            ByHand().byte(0x10).text("Circle").byte(0x0f).digest(names).byte(7).number(0x4000000000000000).digest());
  EXPECT_EQ(code_of([&] { hash(a); }), Errc::unknown_type);
}

// --- Hasher ----------------------------------------------------------------------------------------------------------

TEST(Hasher, TakesSeveralValues) {
  Hasher hasher;
  EXPECT_EQ(hasher.digest(), ByHand().digest());
  write(hasher.visitor(), std::string("name"));
  EXPECT_EQ(hasher.digest(), hash(std::string("name")));
  write(hasher.visitor(), std::vector<std::string>(20'000, "abcd"));
  const Digest two = hasher.digest();
  EXPECT_EQ(two, hasher.digest());
  write(hasher.visitor(), 1);
  EXPECT_NE(hasher.digest(), two);
}

TEST(Hasher, AnIncompleteValueHasNoDigest) {
  Hasher hasher;
  hasher.visitor().begin_sequence(1);
  EXPECT_EQ(code_of([&] { hasher.digest(); }), Errc::invalid_argument);
  hasher.visitor().null();
  hasher.visitor().end();
  hasher.digest();
  EXPECT_EQ(code_of([&] { hasher.visitor().end(); }), Errc::invalid_argument);
  hasher.visitor().begin_map(1, Ordering::unordered);
  hasher.visitor().integer(1);
  EXPECT_EQ(code_of([&] { hasher.visitor().end(); }), Errc::invalid_argument);  // a key without a value
}

// --- Several values --------------------------------------------------------------------------------------------------

TEST(Hash, SeveralValuesCountAsTheirTuple) {
  const std::string a = "ab";
  const std::vector<int> b{1, 2};
  EXPECT_EQ(hash(a, b), hash(std::tie(a, b)));
  EXPECT_EQ(hash(a, b, 3), hash(std::tuple(a, b, 3)));
  EXPECT_NE(hash(a, b), hash(b, a));
  EXPECT_NE(hash(std::string("ab"), std::string("c")), hash(std::string("a"), std::string("bc")));
  EXPECT_NE(hash(1, 2), hash(1));
  Hasher in_a_row;
  write(in_a_row.visitor(), a);
  write(in_a_row.visitor(), b);
  EXPECT_NE(hash(a, b), in_a_row.digest());
  const HashOptions options{.ignore_order = true};
  EXPECT_EQ(hash(a, options), hash(a));  // options are not part of the value
  EXPECT_EQ(hash(a, {.ignore_order = true}), hash(a));
}

}  // namespace
}  // namespace stele
