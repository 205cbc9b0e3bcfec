// The registry of polymorphic types: pointers to base classes keep the type of their object.

#include <memory>

#include "stele/hash.hpp"
#include "stele/types.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::round_trip;

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
struct Oval : Disc {
  static void visit(auto& v, auto& self) { visit_base<Disc>(v, self); }
};
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
  TypeRegistry without_base;
  without_base.add<Square>("square");  // through a pointer to Shape2 it could be written, and never read
  const Error error = error_of([&] { to_bytes(square, {.types = &without_base}); });
  EXPECT_EQ(error.code(), Errc::unknown_type);
  EXPECT_NE(error.message().find("Shape2"), std::string::npos) << error.what();
  EXPECT_EQ(error_of([&] { hash(square, {.types = &without_base}); }).code(), Errc::unknown_type);
  const std::shared_ptr<Shape2> shared = std::make_shared<Square>();
  EXPECT_EQ(error_of([&] { to_bytes(shared, {.types = &without_base}); }).code(), Errc::unknown_type);
  TypeRegistry twice = shapes();
  EXPECT_EQ(error_of([&] { twice.add<Square>("other"); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { twice.add<Oval, Disc>("square"); }).code(), Errc::invalid_argument);
}

}  // namespace
}  // namespace stele
