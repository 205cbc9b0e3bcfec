// Sequences: vectors, spans, fixed arrays, lists.

#include <array>
#include <complex>
#include <deque>
#include <list>
#include <set>
#include <span>

#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::expect_same;
using test::reread;

TEST(Containers, Sequences) {
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

TEST(Containers, ByteVectors) {
  expect_same(std::vector<std::byte>{std::byte{0}, std::byte{255}, std::byte{7}});
  expect_same(std::vector<std::uint8_t>(5000, 3));
  expect_same(std::byte{9});
}

TEST(Containers, FixedArrays) {
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

TEST(Containers, CArrays) {
  expect_same(CArrays{
      {1, 2, 3}, {{1, 2, 3, 4}, {5, 6, 7, 8}}, {"a", "b"}, {true, false, true, false, true}, {'a', 'b', 0, '\xff'}});
}

TEST(Containers, SpansAreWrittenAsArrays) {
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

}  // namespace
}  // namespace stele
