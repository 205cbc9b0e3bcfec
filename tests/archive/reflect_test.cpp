#include "stele/reflect.hpp"

#include <gtest/gtest.h>

#include <any>
#include <array>
#include <atomic>
#include <complex>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace stele {

struct Inner {
  int x;
  int y;
  int z;
};
struct Empty {};
struct OneInt {
  int only;
};
struct OneAggregate {
  Inner inner;
};
struct OneAny {
  std::any only;
};
struct OneString {
  std::string only;
};

template <class T, std::size_t N, auto separator = '.'>
struct Table {
  std::array<T, N> cells;
  T fallback;
  struct Row {
    T first;
    std::vector<T> others;
  };
};

struct External {
  int value_of_external;
};

namespace {

template <class... Names>
constexpr auto list(Names... names) {
  return std::array<std::string_view, sizeof...(Names)>{names...};
}

struct NoDefault {
  explicit NoDefault(int number) : value(number) {}
  NoDefault(int a, int b) : value(a + b) {}
  int value;
};

struct Fixed {  // neither default constructible nor movable
  explicit Fixed(int number) : value(number) {}
  Fixed(const Fixed&) = delete;
  Fixed& operator=(const Fixed&) = delete;
  int value;
};

struct ExplicitDefault {
  explicit ExplicitDefault() = default;
  ExplicitDefault(const ExplicitDefault&) = default;
  ExplicitDefault& operator=(const ExplicitDefault&) = default;
};

template <bool by_reference>
struct Greedy {  // constructible from anything
  Greedy() = default;
  template <class T>
    requires by_reference
  Greedy(T&&) {}
  template <class T>
    requires(!by_reference)
  Greedy(T) {}
};

struct GreedyNoDefault {
  template <class T>
  GreedyNoDefault(const T&) {}
};

enum class Color { red, green };

}  // namespace

TEST(Reflect, ConceptAcceptsAggregateClassesOnly) {
  union Number {
    int i;
    float f;
  };
  class Private {
   public:
    int a;

   private:
    [[maybe_unused]] int b_;
  };
  static_assert(Aggregate<Inner> && Aggregate<const Inner> && Aggregate<Empty> && Aggregate<Table<int, 3>>);
  static_assert(!Aggregate<int> && !Aggregate<int[3]> && !Aggregate<Color> && !Aggregate<Inner*>);
  static_assert(!Aggregate<Inner&>);
  static_assert(!Aggregate<Number> && !Aggregate<Private> && !Aggregate<NoDefault>);
  static_assert(!Aggregate<std::array<int, 3>> && !Aggregate<const std::array<int, 3>>);
  static_assert(!Aggregate<std::pair<int, int>> && !Aggregate<std::tuple<int>>);
  static_assert(!Aggregate<std::string> && !Aggregate<std::vector<int>> && !Aggregate<std::complex<float>>);
}

TEST(Reflect, NestedAggregatesCountAsOneField) {
  struct Outer {
    Inner inner;
    int b;
    Inner more[2];
    std::array<Inner, 2> rows;
    Empty empty;
    std::array<int, 0> none;
  };
  static_assert(field_names<Inner> == list("x", "y", "z"));
  static_assert(field_names<Outer> == list("inner", "b", "more", "rows", "empty", "none"));
}

TEST(Reflect, EmptyAggregateHasNoFields) {
  static_assert(field_count<Empty> == 0);
  static_assert(field_names<Empty>.empty());
  Empty empty;
  EXPECT_EQ(with_fields(empty, [](auto&... fields) { return sizeof...(fields); }), 0u);
  for_each_field(empty, [](std::string_view, auto&) { FAIL(); });
}

TEST(Reflect, OneFieldIsNotTakenForACopy) {
  static_assert(field_names<OneInt> == list("only"));
  static_assert(field_names<OneAggregate> == list("inner"));
  static_assert(field_names<OneAny> == list("only"));
  static_assert(field_names<OneString> == list("only"));
  struct OneFixed {
    Fixed only;
  };
  struct OneOfOne {
    OneFixed nested;
  };
  struct OneEmpty {
    Empty only;
  };
  struct OneArray {
    double only[7];
  };
  static_assert(field_names<OneFixed> == list("only"));
  static_assert(field_names<OneOfOne> == list("nested"));
  static_assert(field_names<OneEmpty> == list("only"));
  static_assert(field_names<OneArray> == list("only"));
}

TEST(Reflect, ArraysCountAsOneField) {
  struct Arrays {
    int a[3];
    int b;
    float m[2][3];
    char text[100000];
    std::string names[2];
    std::array<int, 5> c;
    std::array<std::array<Inner, 2>, 2> d;
    int last[1];
  };
  static_assert(field_names<Arrays> == list("a", "b", "m", "text", "names", "c", "d", "last"));
  static_assert(
      std::is_same_v<field_types<Arrays>, TypeList<int[3], int, float[2][3], char[100000], std::string[2],
                                                   std::array<int, 5>, std::array<std::array<Inner, 2>, 2>, int[1]>>);
}

TEST(Reflect, StandardLibraryMembers) {
  struct Model {
    std::string name;
    std::vector<double> weights;
    std::map<std::string, int> counts;
    std::unordered_map<std::string, std::vector<Inner>> groups;
    std::unique_ptr<Model> next;
    std::shared_ptr<Inner> shared;
    std::optional<std::string> note;
    std::pair<int, int> span;
    std::tuple<int, float> pair;
    std::complex<double> z;
    std::string_view view;
  };
  static_assert(field_names<Model> ==
                list("name", "weights", "counts", "groups", "next", "shared", "note", "span", "pair", "z", "view"));
}

TEST(Reflect, ScalarMembers) {
  struct Scalars {
    bool flag;
    Color color;
    const char* text;
    int* pointer;
    void (*function)(int);
    int Inner::* member;
    std::nullptr_t null;
    long double wide;
    std::byte byte;
  };
  static_assert(field_names<Scalars> ==
                list("flag", "color", "text", "pointer", "function", "member", "null", "wide", "byte"));
}

TEST(Reflect, MembersConstructibleFromAnything) {
  struct Anything {
    std::any any;
    std::function<void()> function;
    Greedy<true> by_reference;
    Greedy<false> by_value;
    std::variant<int, std::string, std::any> variant;
    std::variant<std::monostate, Inner> other;
    std::optional<std::any> maybe;
    std::vector<std::any> list;
  };
  static_assert(field_names<Anything> ==
                list("any", "function", "by_reference", "by_value", "variant", "other", "maybe", "list"));
  struct AnythingAndNoDefault {
    std::any any;
    Greedy<true> by_reference;
    NoDefault number;
    Greedy<false> by_value;
    GreedyNoDefault greedy;
    std::variant<int, std::string, std::any> variant;
    std::optional<std::any> maybe;
    NoDefault last;
  };
  static_assert(field_names<AnythingAndNoDefault> ==
                list("any", "by_reference", "number", "by_value", "greedy", "variant", "maybe", "last"));
}

TEST(Reflect, MembersWithoutDefaultConstructor) {
  struct First {
    NoDefault number;
    int b;
    float big[1000];
  };
  struct Middle {
    int a;
    NoDefault number;
    std::string c;
    NoDefault other;
    Inner inner;
    int last;
  };
  struct BehindArray {
    int a[3];
    float m[2][2];
    NoDefault number;
    int b[2];
    Inner inner[2];
  };
  struct ArraysOfThem {
    int a;
    NoDefault pair[2];
    int b[3];
    NoDefault grid[2][2];
    NoDefault one[1];
    NoDefault last;
  };
  struct Explicit {
    int a;
    ExplicitDefault tag;
    int b;
  };
  struct Initialised {
    int a = 1;
    NoDefault number = NoDefault(3);
    int b = 2;
    NoDefault other{1, 2};
    int c[2] = {1, 2};
  };
  static_assert(field_names<First> == list("number", "b", "big"));
  static_assert(field_names<Middle> == list("a", "number", "c", "other", "inner", "last"));
  static_assert(field_names<BehindArray> == list("a", "m", "number", "b", "inner"));
  static_assert(field_names<ArraysOfThem> == list("a", "pair", "b", "grid", "one", "last"));
  static_assert(field_names<Explicit> == list("a", "tag", "b"));
  static_assert(field_names<Initialised> == list("a", "number", "b", "other", "c"));
}

TEST(Reflect, MembersThatCannotBeCopiedOrMoved) {
  struct Pinned {
    std::mutex mutex;
    std::atomic<int> count;
    std::unique_ptr<int> owner;
    Fixed fixed;
    std::once_flag once;
  };
  static_assert(field_names<Pinned> == list("mutex", "count", "owner", "fixed", "once"));
  Pinned pinned{.mutex = {}, .count = 4, .owner = nullptr, .fixed = Fixed(5), .once = {}};
  with_fields(pinned, [&](auto& mutex, auto& count, auto&, auto& fixed, auto&) {
    const std::lock_guard lock(mutex);
    EXPECT_EQ(count.load(), 4);
    EXPECT_EQ(fixed.value, 5);
  });
}

TEST(Reflect, DefaultMemberInitialisers) {
  struct Options {
    int level = 3;
    std::string codec = "zstd";
    std::vector<int> sizes = {1, 2, 3};
    bool strict{true};
    double rate = 1.0 / 3;
    int table[2] = {1, 2};
  };
  static_assert(field_names<Options> == list("level", "codec", "sizes", "strict", "rate", "table"));
}

TEST(Reflect, ConstMembers) {
  struct Constant {
    const int a;
    const std::string b;
    const int c[2];
    int d;
  };
  static_assert(field_names<Constant> == list("a", "b", "c", "d"));
  static_assert(std::is_same_v<field_types<Constant>, TypeList<const int, const std::string, const int[2], int>>);
}

TEST(Reflect, BitFieldsAreCounted) {
  struct Flags {
    unsigned a : 3;
    unsigned b : 5;
    int c;
    bool d : 1;
  };
  static_assert(field_count<Flags> == 4);
}

TEST(Reflect, ClassTemplates) {
  static_assert(field_names<Table<int, 3>> == list("cells", "fallback"));
  static_assert(field_names<Table<std::string, 2, '}'>> == list("cells", "fallback"));
  static_assert(field_names<Table<Inner, 2, Color::green>> == list("cells", "fallback"));
  static_assert(field_names<Table<std::map<int, External>, 2, &External::value_of_external>::Row> ==
                list("first", "others"));
}

TEST(Reflect, NamesAreAsWritten) {
  // NOLINTBEGIN: the names are what is tested
  struct Odd {
    int T;
    int any;
    int object;
    int use;
    int fields;
    int I;
    int count;
    int _leading;
    int trailing_;
    int with__two;
    int x9;
    int UPPER;
    int größe;
    int reflection;
    int stele;
    int a;
    int ae;
  };
  // NOLINTEND
  static_assert(field_names<Odd> == list("T", "any", "object", "use", "fields", "I", "count", "_leading", "trailing_",
                                         "with__two", "x9", "UPPER", "größe", "reflection", "stele", "a", "ae"));
}

TEST(Reflect, CountsUpTo32Fields) {
  struct Most {
    int f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16;
    int f17, f18, f19, f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31, f32;
  };
  Most most{};
  int index = 0;
  for_each_field(most, [&](std::string_view name, int& field) {
    ++index;
    EXPECT_EQ(name, "f" + std::to_string(index));
    field = index;
  });
  EXPECT_EQ(field_count<Most>, 32u);
  EXPECT_EQ(most.f1, 1);
  EXPECT_EQ(most.f17, 17);
  EXPECT_EQ(most.f32, 32);
}

namespace {

template <std::size_t>
struct Part {
  int value;
};
template <class T>
void expect_fields(std::size_t count) {
  EXPECT_EQ(field_count<T>, count);
  T object{};
  EXPECT_EQ(with_fields(object, [](auto&... fields) { return sizeof...(fields); }), count);
  const void* last = nullptr;
  for_each_field(object, [&](std::string_view, auto& field) {
    EXPECT_LT(last, static_cast<const void*>(&field));
    last = &field;
  });
}

}  // namespace

TEST(Reflect, EveryCountBinds) {
  // clang-format off: a table
  struct S2 { int a, b; };
  struct S3 { int a, b, c; };
  struct S4 { int a, b, c, d; };
  struct S5 { int a, b, c, d, e; };
  struct S6 { int a, b, c, d, e, f; };
  struct S7 { int a, b, c, d, e, f, g; };
  struct S8 { int a, b, c, d, e, f, g, h; };
  struct S9 { int a, b, c, d, e, f, g, h, i; };
  struct S10 { int a, b, c, d, e, f, g, h, i, j; };
  struct S11 { int a, b, c, d, e, f, g, h, i, j, k; };
  struct S12 { int a, b, c, d, e, f, g, h, i, j, k, l; };
  struct S13 { int a, b, c, d, e, f, g, h, i, j, k, l, m; };
  struct S14 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n; };
  struct S15 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o; };
  struct S16 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p; };
  struct S17 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q; };
  struct S18 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r; };
  struct S19 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s; };
  struct S20 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t; };
  struct S21 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u; };
  struct S22 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v; };
  struct S23 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w; };
  struct S24 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x; };
  struct S25 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y; };
  struct S26 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z; };
  struct S27 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa; };
  struct S28 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab; };
  struct S29 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac; };
  struct S30 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac, ad; };
  struct S31 { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac, ad, ae; };
  // clang-format on
  expect_fields<OneInt>(1);
  expect_fields<S2>(2);
  expect_fields<S3>(3);
  expect_fields<S4>(4);
  expect_fields<S5>(5);
  expect_fields<S6>(6);
  expect_fields<S7>(7);
  expect_fields<S8>(8);
  expect_fields<S9>(9);
  expect_fields<S10>(10);
  expect_fields<S11>(11);
  expect_fields<S12>(12);
  expect_fields<S13>(13);
  expect_fields<S14>(14);
  expect_fields<S15>(15);
  expect_fields<S16>(16);
  expect_fields<S17>(17);
  expect_fields<S18>(18);
  expect_fields<S19>(19);
  expect_fields<S20>(20);
  expect_fields<S21>(21);
  expect_fields<S22>(22);
  expect_fields<S23>(23);
  expect_fields<S24>(24);
  expect_fields<S25>(25);
  expect_fields<S26>(26);
  expect_fields<S27>(27);
  expect_fields<S28>(28);
  expect_fields<S29>(29);
  expect_fields<S30>(30);
  expect_fields<S31>(31);
}

TEST(Reflect, FieldsAreReferencesToTheMembers) {
  struct Mixed {
    int a;
    std::string b;
    int c[3];
    Inner d;
    std::unique_ptr<int> e;
  };
  Mixed mixed{};
  with_fields(mixed, [&](int& a, std::string& b, int(&c)[3], Inner& d, std::unique_ptr<int>& e) {
    EXPECT_EQ(&a, &mixed.a);
    EXPECT_EQ(&b, &mixed.b);
    EXPECT_EQ(&c, &mixed.c);
    EXPECT_EQ(&d, &mixed.d);
    EXPECT_EQ(&e, &mixed.e);
    a = 7;
  });
  EXPECT_EQ(mixed.a, 7);
}

TEST(Reflect, ConstObjectGivesConstFields) {
  const OneString text{"stele"};
  with_fields(text, [&](auto& only) {
    static_assert(std::is_same_v<decltype(only), const std::string&>);
    EXPECT_EQ(&only, &text.only);
  });
  for_each_field(text, [](std::string_view name, auto& only) {
    static_assert(std::is_same_v<decltype(only), const std::string&>);
    EXPECT_EQ(name, "only");
  });
  static_assert(field_count<const OneString> == 1);
  static_assert(field_names<const Inner> == field_names<Inner>);
  static_assert(std::is_same_v<field_types<const OneString>, TypeList<const std::string>>);
}

TEST(Reflect, ForEachFieldGoesInOrderOfDeclaration) {
  struct Unordered {
    int zebra;
    char apple;
    double mango;
  };
  Unordered object{1, 'b', 2.5};
  std::string seen;
  for_each_field(object, [&](std::string_view name, auto& field) {
    seen += std::string(name) + '=' + std::to_string(static_cast<int>(field)) + ' ';
  });
  EXPECT_EQ(seen, "zebra=1 apple=98 mango=2 ");
}

TEST(Reflect, WithFieldsReturnsWhatTheCallReturns) {
  Inner inner{1, 2, 3};
  static_assert(std::is_same_v<decltype(with_fields(inner, [](int& x, int&, int&) -> int& { return x; })), int&>);
  EXPECT_EQ(with_fields(inner, [](int x, int y, int z) { return x + y + z; }), 6);
  static_assert(with_fields(std::as_const(*std::array<Inner, 1>{{{1, 2, 3}}}.begin()),
                            [](int x, int y, int z) { return x + y + z; }) == 6);
}

TEST(Reflect, NamesOutliveTheType) {
  struct Local {
    int first_name;
    int second;
  };
  const std::string_view name = field_names<Local>[0];
  EXPECT_EQ(std::string(name), "first_name");
  EXPECT_EQ(name.size(), 10u);
}

namespace {

struct Holder {  // uses its own reflection within
  int a;
  std::string b;
  std::size_t fields() const { return field_count<Holder>; }
};

}  // namespace

TEST(Reflect, TypesInUnnamedNamespaces) {
  static_assert(field_names<Holder> == list("a", "b"));
  static_assert(field_names<Part<3>> == list("value"));
  EXPECT_EQ((Holder{1, "b"}.fields()), 2u);
}

TEST(Reflect, LocalTypesOfAGenericLambda) {
  const auto names = []<class T>(const T&) {
    struct Local {
      T held;
      int other;
    };
    return field_names<Local>;
  };
  EXPECT_EQ(names(1), list("held", "other"));
  EXPECT_EQ(names(std::string()), list("held", "other"));
}

}  // namespace stele
