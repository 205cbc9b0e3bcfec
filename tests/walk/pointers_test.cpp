// Owning pointers: null, nested, to const. Identity is tested in archive/sharing_test.cpp, pointers to base classes in
// archive/types_test.cpp.

#include <memory>
#include <optional>

#include "support/test_support.hpp"

namespace stele {
namespace {

using test::round_trip;

TEST(Pointers, UniquePointers) {
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

TEST(Pointers, SharedPointers) {
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

}  // namespace
}  // namespace stele
