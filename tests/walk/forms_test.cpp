// Variants: an alternative is identified by its name or form, never by its index.

#include <gtest/gtest.h>

#include <bitset>
#include <chrono>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "stele/stele.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::content;
using test::error_of;
using test::fresh;
using test::reread;

template <class To, class From>
Error refusal(const From& value) {
  return error_of([&] { (void)reread<To>(value); });
}

struct Sgd {
  double rate = 0;
  double momentum = 0;
  bool operator==(const Sgd&) const = default;
};
struct Adam {
  double rate = 0;
  double beta1 = 0;
  double beta2 = 0;
  bool operator==(const Adam&) const = default;
};
struct Named {
  static constexpr std::string_view stele_name = "sgd";
  double rate = 0;
  double momentum = 0;
};

struct Changed {
  static constexpr std::string_view stele_name = "sgd";
  double rate = 0;
  int steps = 4;
};
struct Former {
  static constexpr std::string_view stele_name = "stochastic";
  static constexpr std::string_view stele_former_names[] = {"sgd", "record {rate, momentum}"};
  double rate = 0;
};
struct Other {
  static constexpr std::string_view stele_name = "other";
  double rate = 0, momentum = 0;
};

/// The name or form that is stored with the value of a variant.
template <class V>
std::string tag_of(const V& value) {
  const Value stored = to_value(value);
  EXPECT_EQ(stored.kind(), ValueKind::map);
  return std::string(stored.entries()[0].first.text());
}

TEST(Variant, AReorderedOneGivesTheSameAlternative) {
  using Old = std::variant<Sgd, Adam>;
  using New = std::variant<Adam, Sgd>;
  EXPECT_EQ(std::get<Sgd>(reread<New>(Old(Sgd{0.5, 0.25}))), (Sgd{0.5, 0.25}));
  EXPECT_EQ(std::get<Adam>(reread<New>(Old(Adam{1, 2, 3}))), (Adam{1, 2, 3}));
  using Numbers = std::variant<int, double, std::string>;
  using Turned = std::variant<std::string, double, int>;
  EXPECT_EQ(std::get<int>(reread<Turned>(Numbers(7))), 7);
  EXPECT_EQ(std::get<double>(reread<Turned>(Numbers(7.0))), 7);
  const std::vector<Old> many{Sgd{1, 2}, Adam{3, 4, 5}, Sgd{6, 7}};
  const auto back = reread<std::vector<New>>(many);
  EXPECT_EQ(back[2].index(), 1U);
  EXPECT_EQ(std::get<Adam>(back[1]).beta2, 5);
}

TEST(Variant, OneInsideAnotherMayBeReorderedAndGetAlternatives) {
  using Old = std::variant<std::variant<int, std::string>, double>;
  using Turned = std::variant<double, std::variant<std::string, int>>;
  using More = std::variant<double, std::vector<int>, std::variant<std::string, bool, int>>;
  EXPECT_EQ(std::get<int>(std::get<1>(reread<Turned>(Old(7)))), 7);
  EXPECT_EQ(std::get<int>(std::get<2>(reread<More>(Old(7)))), 7);
  EXPECT_EQ(std::get<std::string>(std::get<1>(reread<Turned>(Old("seven")))), "seven");
  EXPECT_EQ(std::get<double>(reread<Turned>(Old(0.5))), 0.5);
  using Lists = std::variant<std::vector<std::variant<Sgd, Adam>>, int>;
  using TurnedLists = std::variant<int, std::vector<std::variant<Adam, Sgd>>>;
  const Lists lists = std::vector<std::variant<Sgd, Adam>>{Adam{1, 2, 3}, Sgd{4, 5}};
  EXPECT_EQ(std::get<Sgd>(std::get<1>(reread<TurnedLists>(lists))[1]), (Sgd{4, 5}));
  // Fewer alternatives do not take all that is stored, and more may have been another alternative.
  EXPECT_EQ((refusal<std::variant<double, std::variant<int>>>(Old(7))).code(), Errc::type_mismatch);
  using Both = std::variant<std::variant<int, std::string>, std::variant<int, std::string, double>>;
  EXPECT_EQ(
      (refusal<std::variant<std::variant<int, std::string, double>, bool>>(Both(std::in_place_index<0>, 7))).code(),
      Errc::type_mismatch);
}

TEST(Variant, EveryWayOfReadingFindsTheSameAlternative) {
  using Old = std::variant<Sgd, Adam>;
  using New = std::variant<std::monostate, Adam, Sgd>;
  const std::map<std::string, Old> models{{"m", Sgd{0.5, 0.25}}};
  const std::string path = fresh("models.stele");
  save(models, path);
  using All = std::map<std::string, New>;
  EXPECT_EQ(std::get<Sgd>(load<All>(path).at("m")).momentum, 0.25);
  EXPECT_EQ(std::get<Sgd>(load<All>(path, {.map = MapMode::read_only, .threads = 1}).at("m")).momentum, 0.25);
  EXPECT_EQ(std::get<Sgd>(open(path).load<New>("m")).momentum, 0.25);
  EXPECT_EQ(std::get<Sgd>(load<Value>(path).to<All>().at("m")).momentum, 0.25);
  EXPECT_EQ(open(path).load<double>("m/record {rate, momentum}/momentum"), 0.25);
  EXPECT_EQ(content(path), to_bytes(load<Value>(path)));
}

TEST(Variant, AnAddedAlternativeIsNotTakenForAnother) {
  EXPECT_EQ((std::get<int>(reread<std::variant<std::string, double, int>>(std::variant<int>(3)))), 3);
  const Error error = refusal<std::variant<Sgd, Adam>>(std::variant<Sgd, Adam, std::string>("x"));
  EXPECT_EQ(error.code(), Errc::type_mismatch);
  EXPECT_NE(std::string(error.what()).find("`text`"), std::string::npos) << error.what();
  EXPECT_NE(std::string(error.what()).find("`record {rate, momentum}`"), std::string::npos) << error.what();
}

TEST(Variant, ARemovedAlternativeIsRefusedAndNeverReadAsAnother) {
  struct Plain {
    double rate = 0;
  };
  // Adam has all fields of Plain, and the file says that Adam was another alternative of the same variant.
  EXPECT_EQ((refusal<std::variant<Adam, int>>(std::variant<Plain, Adam>(Plain{1}))).code(), Errc::type_mismatch);
  EXPECT_EQ((refusal<std::variant<std::vector<Adam>>>(
                 std::variant<std::vector<Plain>, std::vector<Adam>>(std::vector<Plain>(2))))
                .code(),
            Errc::type_mismatch);
  EXPECT_EQ((refusal<std::variant<Adam>>(std::variant<Sgd, Adam>(Sgd{1, 2}))).code(), Errc::type_mismatch);
  EXPECT_EQ((refusal<std::variant<Sgd>>(std::variant<Sgd, Adam>(Adam{1, 2, 3}))).code(), Errc::type_mismatch);
  EXPECT_EQ((refusal<std::variant<int>>(std::variant<int, std::monostate>(std::monostate()))).code(),
            Errc::type_mismatch);
  EXPECT_EQ((refusal<std::variant<std::vector<Adam>>>(std::variant<std::vector<Sgd>>(std::vector<Sgd>(2)))).code(),
            Errc::type_mismatch);
}

TEST(Variant, AClassMayGetFieldsAndAnotherName) {
  struct Renamed {
    double momentum = 0;
    double rate = 0;
    bool nesterov = true;
  };
  using Old = std::variant<Sgd, Adam>;
  const auto back = reread<std::variant<Adam, Renamed>>(Old(Sgd{1, 2}));
  EXPECT_EQ(std::get<Renamed>(back).momentum, 2);
  EXPECT_TRUE(std::get<Renamed>(back).nesterov);
  const auto many = reread<std::variant<std::vector<Adam>, std::vector<Renamed>>>(
      std::variant<std::vector<Sgd>, int>(std::vector<Sgd>{{1, 2}}));
  EXPECT_EQ(std::get<std::vector<Renamed>>(many).at(0).rate, 1);
  struct Less {
    double rate = 0;
  };
  EXPECT_EQ((refusal<std::variant<Less, int>>(Old(Sgd{1, 2}))).code(), Errc::type_mismatch);  // momentum would be lost
  struct One {
    double rate = 0, momentum = 0, a = 0;
  };
  struct Two {
    double rate = 0, momentum = 0, b = 0;
  };
  const Error several = refusal<std::variant<One, Two>>(Old(Sgd{1, 2}));
  EXPECT_EQ(several.code(), Errc::type_mismatch);
  EXPECT_NE(std::string(several.what()).find("more than one"), std::string::npos) << several.what();
}

TEST(Variant, ANumberIsReadIntoTheOnlyTypeThatTakesIt) {
  EXPECT_EQ((std::get<std::int64_t>(reread<std::variant<std::string, std::int64_t>>(std::variant<int>(-5)))), -5);
  EXPECT_EQ((std::get<double>(reread<std::variant<std::string, double>>(std::variant<float>(0.5F)))), 0.5);
  EXPECT_EQ((std::get<double>(reread<std::variant<std::string, double>>(std::variant<int>(8)))), 8);
  EXPECT_EQ((std::get<std::int64_t>(reread<std::variant<std::uint8_t, std::int64_t>>(std::variant<int>(8)))), 8);
  // narrower: as for any number, where the value fits
  EXPECT_EQ((std::get<int>(reread<std::variant<int, bool>>(std::variant<std::int64_t>(8)))), 8);
  EXPECT_EQ((refusal<std::variant<int>>(std::variant<std::int64_t>(std::int64_t{1} << 40))).code(), Errc::out_of_range);
  EXPECT_EQ((refusal<std::variant<std::int16_t, std::int8_t>>(std::variant<int>(8))).code(), Errc::type_mismatch);
  EXPECT_EQ((refusal<std::variant<int>>(std::variant<bool>(true))).code(), Errc::type_mismatch);
  EXPECT_EQ((refusal<std::variant<bool>>(std::variant<int>(1))).code(), Errc::type_mismatch);
  EXPECT_EQ((refusal<std::variant<int>>(std::variant<double>(1.5))).code(), Errc::type_mismatch);
  using Wide = std::variant<std::vector<double>, std::string>;
  EXPECT_EQ(std::get<0>(reread<Wide>(std::variant<std::vector<float>>(std::vector<float>{1.5F})))[0], 1.5);
}

struct PlainRate {
  double x = 0;
};
struct PlainPair {
  double x = 0, y = 0;
};
struct PlainPairOfNextYear {
  double x = 0, y = 0, z = 0;
};

TEST(Variant, ARemovedAlternativeIsNotTakenForAnotherThatGotFields) {
  const auto bytes = to_bytes(std::variant<PlainRate, PlainPair>(PlainRate{5}));
  EXPECT_EQ(error_of([&] { from_bytes<std::variant<PlainPairOfNextYear, std::string>>(bytes); }).code(),
            Errc::type_mismatch);
}

TEST(Variant, AStableNameIsFoundWithAnyFields) {
  EXPECT_EQ(tag_of(std::variant<Named, Adam>(Named{})), "sgd");
  const auto back = reread<std::variant<Adam, Changed>>(std::variant<Named, Adam>(Named{0.5, 1}));
  EXPECT_EQ(std::get<Changed>(back).rate, 0.5);
  EXPECT_EQ(std::get<Changed>(back).steps, 4);
  // A name that is added later: the form is still recognised, and so are former names.
  EXPECT_EQ(std::get<Named>(reread<std::variant<Adam, Named>>(std::variant<Sgd, Adam>(Sgd{0.5, 1}))).rate, 0.5);
  EXPECT_EQ(std::get<Former>(reread<std::variant<Former>>(std::variant<Named, Adam>(Named{0.5, 1}))).rate, 0.5);
  EXPECT_EQ(std::get<Former>(reread<std::variant<Former>>(std::variant<Sgd, Adam>(Sgd{0.5, 1}))).rate, 0.5);
  // Another name is another type, even with the same fields.
  EXPECT_EQ((refusal<std::variant<Other>>(std::variant<Named>(Named{}))).code(), Errc::type_mismatch);
}

enum class Colour { red, green };
enum class Size { small, large };

}  // namespace

template <>
struct NameOf<Colour> {
  static constexpr std::string_view name = "colour";
};
template <>
struct NameOf<std::chrono::milliseconds> {
  static constexpr std::string_view name = "milliseconds";
};

namespace {

TEST(Variant, ATraitNamesTypesOfOthers) {
  using V = std::variant<Size, Colour, std::chrono::milliseconds>;
  EXPECT_EQ(tag_of(V(Colour::green)), "colour");
  EXPECT_EQ(tag_of(V(Size::large)), "enum int32");
  EXPECT_EQ(std::get<Colour>(reread<std::variant<Colour, Size>>(V(Colour::green))), Colour::green);
  EXPECT_EQ(tag_of(std::variant<std::vector<Colour>>()), "colour[]");
  EXPECT_EQ(tag_of(V(std::chrono::milliseconds(3))), "milliseconds");
}

TEST(Variant, AlternativesOfOneTypeHaveOrdinals) {
  using V = std::variant<int, std::string, int, std::string>;
  const auto back = reread<V>(V(std::in_place_index<2>, 5));
  EXPECT_EQ(back.index(), 2U);
  EXPECT_EQ(std::get<2>(back), 5);
  EXPECT_EQ(tag_of(V(std::in_place_index<3>, "x")), "text #2");
  EXPECT_EQ(std::get<1>(reread<std::variant<int, int>>(V(std::in_place_index<2>, 5))), 5);
  EXPECT_EQ((refusal<std::variant<int>>(V(std::in_place_index<2>, 5))).code(), Errc::type_mismatch);
  EXPECT_EQ((refusal<std::variant<std::int64_t>>(V(std::in_place_index<2>, 5))).code(), Errc::type_mismatch);
}

class Circle {
 public:
  static void visit(auto& v, auto& self) { v("radius", self.radius); }
  double radius = 0;
};
class Square {
 public:
  static void visit(auto& v, auto& self) { v.renamed("side", "width", self.width); }
  double width = 0;
};
class Disk {
 public:
  static void visit(auto& v, auto& self) { v("radius", self.radius); }
  double radius = 0;
};

TEST(Variant, ClassesWithVisitAreIdentifiedByTheFieldsOfANewObject) {
  using V = std::variant<Circle, Square>;
  Square square;
  square.width = 3;
  EXPECT_EQ(tag_of(V(square)), "record {width}");
  EXPECT_EQ(std::get<Square>(reread<std::variant<Square, Circle>>(V(square))).width, 3);
  EXPECT_EQ((refusal<std::variant<Circle>>(V(square))).code(), Errc::type_mismatch);
  // The compiler cannot know the names; saving and loading can.
  const Error same = error_of([] { to_bytes(std::variant<Circle, Disk>()); });
  EXPECT_EQ(same.code(), Errc::invalid_argument);
  EXPECT_NE(std::string(same.what()).find("stele_name"), std::string::npos) << same.what();
  EXPECT_EQ((refusal<std::variant<Disk, Circle>>(V(Circle()))).code(), Errc::invalid_argument);
}

struct Tree {
  std::variant<int, std::vector<Tree>, std::unique_ptr<Tree>, std::map<std::string, Tree>> content;
};

TEST(Variant, FormsOfEveryKind) {
  using Inner = std::variant<int, std::string>;
  using V = std::variant<std::monostate, bool, char, std::uint8_t, float, std::string, std::vector<double>,
                         std::vector<std::string>, Array<float, 3>, std::array<int, 4>, std::optional<int>,
                         std::pair<int, std::string>, std::map<std::string, Sgd>, Inner, std::shared_ptr<Sgd>,
                         std::unique_ptr<Sgd>, std::bitset<17>, std::chrono::seconds, std::vector<bool>,
                         std::filesystem::path, std::vector<std::array<float, 2>>, std::deque<Sgd>>;
  std::vector<std::string> tags;
  for (const auto& one : walk::Alternatives<V>::list()) {
    tags.push_back(one.marked_tag);
  }
  EXPECT_EQ(tags, (std::vector<std::string>{"null",
                                            "bool",
                                            "char",
                                            "uint8",
                                            "float32",
                                            "text",
                                            "float64[]",
                                            "text[]",
                                            "float32[,,]",
                                            "int32[4]",
                                            "optional(int32)",
                                            "tuple(int32, text)",
                                            "map(text, record {rate, momentum})",
                                            "variant(int32, text)",
                                            "shared(record {rate, momentum})",
                                            "pointer(record {rate, momentum})",
                                            "bits[17]",
                                            "duration(int64, 1:1)",
                                            "bool[]",
                                            "path",
                                            "float32[2][]",
                                            "record {rate, momentum}[]"}));
  EXPECT_EQ(std::get<Inner>(reread<V>(V(Inner("x")))), Inner("x"));
  EXPECT_EQ(std::get<std::vector<bool>>(reread<V>(V(std::vector<bool>{true, false})))[0], true);
  Tree tree{std::vector<Tree>(2)};
  std::get<1>(tree.content)[1].content = std::make_unique<Tree>(Tree{7});
  const Tree back = reread<Tree>(tree);
  EXPECT_EQ(std::get<0>(std::get<2>(std::get<1>(back.content)[1].content)->content), 7);
  EXPECT_EQ(tag_of(tree.content), "record {content}[]");
}

TEST(Variant, ALongFormIsCutAndStillIdentifies) {
  struct Long1 {
    int a_field_with_a_rather_long_name_1, a_field_with_a_rather_long_name_2, a_field_with_a_rather_long_name_3,
        a_field_with_a_rather_long_name_4, a_field_with_a_rather_long_name_5, a_field_with_a_rather_long_name_6, x;
  };
  struct Long2 {
    int a_field_with_a_rather_long_name_1, a_field_with_a_rather_long_name_2, a_field_with_a_rather_long_name_3,
        a_field_with_a_rather_long_name_4, a_field_with_a_rather_long_name_5, a_field_with_a_rather_long_name_6, y;
  };
  using V = std::variant<Long1, Long2>;
  EXPECT_EQ(tag_of(V(Long1{})).size(), 200U);
  EXPECT_EQ((reread<std::variant<Long2, Long1>>(V(Long2{0, 0, 0, 0, 0, 0, 9}))).index(), 0U);
  EXPECT_EQ((refusal<std::variant<Long1>>(V(Long2{}))).code(), Errc::type_mismatch);
}

TEST(Variant, AFileWithTheIndexOfTheAlternativeIsRefusedWithAnExplanation) {
  const auto old = to_bytes(std::pair<int, std::string>(1, "x"));
  const Error error = error_of([&] { (from_bytes<std::variant<int, std::string>>(old)); });
  EXPECT_EQ(error.code(), Errc::type_mismatch);
  EXPECT_NE(std::string(error.what()).find("index"), std::string::npos) << error.what();
  using Map = std::map<std::string, int>;
  using V = std::variant<int>;
  EXPECT_EQ(refusal<V>(Map()).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<V>(Map{{"int32", 1}, {"text", 2}}).code(), Errc::type_mismatch);
  EXPECT_EQ((refusal<V>(std::map<int, int>{{0, 1}})).code(), Errc::type_mismatch);
  EXPECT_EQ(std::get<0>(reread<V>(Map{{"int32", 1}})), 1);
}

TEST(Variant, TheAlternativeIsSeenWhereItIsPrintedAndHashed) {
  EXPECT_NE(describe(std::variant<Named, Adam>(Named{0.5, 1})).find("sgd"), std::string::npos);
  EXPECT_NE(hash(std::variant<float, double>(1.0F)), hash(std::variant<float, double>(1.0)));
  EXPECT_EQ(hash(std::variant<Sgd, Adam>(Sgd{1, 2})), hash(std::variant<int, Sgd>(Sgd{1, 2})));
}

}  // namespace
}  // namespace stele
