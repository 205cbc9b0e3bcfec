#include "stele/features/known_features.hpp"

#include <string>
#include <vector>

#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::Folder;

struct Stored {
  std::vector<std::uint64_t> hashes = {KeyHash("ab").hash(), KeyHash(12).hash()};
  std::vector<std::uint32_t> times = {0, 0};
  std::vector<std::uint8_t> are_numbers = {0, 1};
  std::vector<std::uint64_t> ends = {2, 4};
  std::vector<std::uint8_t> text = {'a', 'b', '1', '2'};
  std::vector<std::uint32_t> slots = std::vector<std::uint32_t>(16);
  std::uint32_t version = 1;
  static void visit(auto& v, auto& self) {
    v.version(self.version);
    v("hashes", self.hashes)("times", self.times)("are_numbers", self.are_numbers)("ends", self.ends);
    v("text", self.text)("slots", self.slots);
  }
};

KnownFeatures read_known(const Stored& stored) { return from_bytes<KnownFeatures>(to_bytes(stored)); }

TEST(KnownFeatures, RefusesListsThatDoNotFit) {
  const KnownFeatures good = read_known({});
  EXPECT_EQ(good.name(1), "12");
  const auto code = [](const Stored& stored) { return error_of([&] { (void)read_known(stored); }).code(); };
  EXPECT_EQ(code({.times = {0}}), Errc::damaged);
  EXPECT_EQ(code({.are_numbers = {0, 1, 1}}), Errc::damaged);
  EXPECT_EQ(code({.ends = {}}), Errc::damaged);
  EXPECT_EQ(code({.slots = std::vector<std::uint32_t>(17)}), Errc::damaged);
  EXPECT_EQ(code({.slots = std::vector<std::uint32_t>(2)}), Errc::damaged);
  EXPECT_EQ(code({.slots = {}}), Errc::damaged);
  EXPECT_EQ(code({.version = 2}), Errc::unsupported);
}

TEST(KnownFeatures, WrongPlacesInAFileAreErrorsWhereTheyAreUsed) {
  EXPECT_EQ(error_of([] { (void)read_known({.ends = {2, 5}}).number(1); }).code(), Errc::damaged);
  EXPECT_EQ(error_of([] { (void)read_known({.ends = {3, 2}}).number(1); }).code(), Errc::damaged);
  EXPECT_EQ(error_of([] { (void)read_known({.ends = {~std::uint64_t{0}, 2}}).number(0 + 1); }).code(), Errc::damaged);
  EXPECT_EQ(error_of([] { (void)read_known({.text = {'a', 'b', '1', 'x'}}).number(1); }).code(), Errc::damaged);
  // entries of the table beyond the list, and a table without a free slot
  KnownFeatures wild = read_known({.slots = std::vector<std::uint32_t>(16, 0xffffffff)});
  EXPECT_EQ(wild.find("ab"), std::nullopt);
  EXPECT_EQ(error_of([&] { wild.add("new"); }).code(), Errc::damaged);
  KnownFeatures full = read_known({.slots = std::vector<std::uint32_t>(16, 1)});
  EXPECT_EQ(full.find("ab"), 0U);
  EXPECT_EQ(full.find("new"), std::nullopt);
}

TEST(KnownFeatures, GrowsAndForgets) {
  KnownFeatures known;
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    EXPECT_EQ(known.add("feature " + std::to_string(i), i / 1000), i);
  }
  known.add("feature 0", 9);
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    ASSERT_EQ(known.find("feature " + std::to_string(i)), i);
  }
  const KnownFeatures before = known;
  known.forget_before(5);
  EXPECT_EQ(known.size(), 5001U);
  EXPECT_EQ(known.name(0), "feature 0");
  EXPECT_EQ(known.name(1), "feature 5000");
  EXPECT_EQ(known.find("feature 9999"), 5000U);
  EXPECT_EQ(known.find("feature 4999"), std::nullopt);
  EXPECT_EQ(before.size(), 10'000U);
  EXPECT_EQ(test::round_trip(known), known);
}

TEST(KnownFeatures, OfAMappedFileGrowInMemory) {
  const Folder folder;
  KnownFeatures known;
  for (int i = 0; i < 5000; ++i) {
    known.add(i);
  }
  save(known, folder / "known.stele");
  auto mapped = load<KnownFeatures>(folder / "known.stele", {.map = MapMode::read_only});
  const KnownFeatures sharing = mapped;
  EXPECT_EQ(mapped.add("one more"), 5000U);
  EXPECT_EQ(mapped.add(17, 3), 17U);
  EXPECT_EQ(mapped.last_time(17), 3U);
  EXPECT_EQ(mapped.number(4999), 4999);
  EXPECT_EQ(sharing, known);
  EXPECT_EQ(load<KnownFeatures>(folder / "known.stele"), known);
}

}  // namespace
}  // namespace stele
