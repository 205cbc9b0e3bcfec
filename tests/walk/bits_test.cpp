// std::vector<bool>: one bit per element in the file, and loading needs about as much memory.

#include <deque>
#include <list>

#include "stele/describe.hpp"
#include "stele/hash.hpp"
#include "stele/value.hpp"
#include "support/cost.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::expect_same;
using test::hex;
using test::reread;
using test::round_trip;
using test::wrap;

std::vector<bool> flags(std::size_t count, unsigned seed = 1) {
  std::mt19937_64 random(seed);
  std::vector<bool> values(count);
  for (auto&& value : values) {
    value = random() % 3 == 0;
  }
  return values;
}

TEST(Bits, VectorOfBoolTakesABitAnElement) {
  for (const std::size_t count :
       {0, 1, 7, 8, 15, 16, 17, 63, 64, 65, 1000, 32'767, 32'768, 32'769, 262'144, 262'145, 1'000'003}) {
    const std::vector<bool> values = flags(count);
    EXPECT_LE(to_bytes(values).size(), to_bytes(std::vector<bool>()).size() + count / 8 + 256) << count;
    expect_same(values);
  }
}

TEST(Bits, LoadingTakesAboutABitAnElement) {
  const std::vector<bool> values = flags(std::size_t{64} << 20);
  const std::string path = test::fresh("flags");
  save(values, path);
  if (test::sanitized) {
    return;
  }
  const test::Cost cost;
  const auto back = load<std::vector<bool>>(path, {.threads = 1});
  EXPECT_LT(cost.bytes(), std::size_t{64 << 20} / 8 + (std::size_t{12} << 20));
  EXPECT_EQ(back, values);
}

TEST(Bits, EveryPathReadsThem) {
  const std::vector<bool> values = flags(300'000);
  const std::string path = test::fresh("flags");
  save(std::map<std::string, std::vector<bool>>{{"a", values}, {"b", flags(100)}}, path);
  for (const MapMode map : {MapMode::none, MapMode::read_only, MapMode::copy_on_write}) {
    const File file = open(path, {.map = map});
    EXPECT_EQ(file.load<std::vector<bool>>("a"), values);
    EXPECT_EQ(file.load<std::vector<bool>>("b"), flags(100));
    const auto array = file.load<Array<bool>>("b");
    EXPECT_EQ(array[1], flags(100)[1]);
    if (map != MapMode::none) {
      EXPECT_ERROR(file.load<Array<bool>>("a"), Errc::not_mappable, "(bits)");
    }
  }
  const auto array = open(path).load<Array<bool>>("a");
  EXPECT_TRUE(std::equal(array.begin(), array.end(), values.begin(), values.end()));
  open(path).verify();
  const auto bytes = to_bytes(values);
  test::TrickleSource trickle(bytes, 1000);
  EXPECT_EQ(load<std::vector<bool>>(trickle), values);
  const auto entry = open(path).list().at(1);
  EXPECT_EQ(entry.dtype.name() + entry.shape.text() + " " + entry.encoding, "bool[300000] bits");
  EXPECT_TRUE(entry.listed);
  EXPECT_EQ(entry.bytes, 37'500U);
}

TEST(Bits, OtherTypesOfBoolsLoadIntoEachOther) {
  for (const std::size_t count : {3, 40, 5000}) {
    const std::vector<bool> values = flags(count);
    Array<bool> array({count});
    std::copy(values.begin(), values.end(), array.mutable_data());
    const std::deque<bool> sequence(values.begin(), values.end());
    EXPECT_EQ(reread<std::vector<bool>>(array), values);
    EXPECT_EQ(reread<std::vector<bool>>(sequence), values);
    EXPECT_EQ(reread<std::deque<bool>>(values), sequence);
    const auto back = reread<Array<bool>>(values);
    EXPECT_TRUE(std::equal(back.begin(), back.end(), values.begin(), values.end()));
    EXPECT_EQ(hash(values), hash(array));
    EXPECT_EQ(describe(values), describe(array));
    EXPECT_EQ(to_value(values), to_value(array));
    EXPECT_EQ(reread<Value>(values), to_value(array));
    EXPECT_EQ(to_value(array).to<std::vector<bool>>(), values);
    // a buffer that others share, and a part of it
    const auto [one, two] = reread<std::pair<std::vector<bool>, std::vector<bool>>>(std::pair(array, array));
    EXPECT_EQ(one, values);
    EXPECT_EQ(two, values);
    const auto [all, part] = reread<std::pair<Array<bool>, std::vector<bool>>>(std::pair(array, array.slice(1, 3)));
    EXPECT_EQ(part, (std::vector<bool>{values[1], values[2]}));
    EXPECT_TRUE(std::equal(all.begin(), all.end(), values.begin(), values.end()));
  }
  Array<bool, 2> matrix({2, 9});
  matrix.mutable_at(1, 3) = true;
  const auto rows = reread<std::vector<std::vector<bool>>>(matrix);
  EXPECT_TRUE(rows.size() == 2 && rows[1][3] && !rows[0][3]);
  EXPECT_EQ(error_of([] { reread<std::vector<bool>>(std::vector<int>(20)); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { reread<std::vector<int>>(std::vector<bool>(20)); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([&] { reread<std::vector<bool>>(matrix); }).code(), Errc::type_mismatch);
}

TEST(Bits, DamageIsFound) {
  // 0x53544504(["|b1", 17, ["bits", 64], bytes])
  const auto packed = [](std::string_view bytes) {
    return wrap(hex("da 53544504 84 63 7c6231 11 82 64 62697473 18 40 " + std::string(bytes)));
  };
  EXPECT_EQ(from_bytes<std::vector<bool>>(packed("43 0100 01"))[16], true);
  const auto code = [](const test::Data& bytes) {
    return error_of([&] { from_bytes<std::vector<bool>>(bytes); }).code();
  };
  EXPECT_EQ(code(packed("43 0100 03")), Errc::damaged);  // a bit after the last
  EXPECT_EQ(code(packed("42 0100")), Errc::malformed);   // too short
  EXPECT_EQ(code(packed("44 01000100")), Errc::malformed);
  EXPECT_EQ(error_of([&] { from_bytes<Array<bool>>(packed("43 0100 03")); }).code(), Errc::damaged);
  EXPECT_EQ(error_of([&] { from_bytes<Value>(packed("43 0100 03")); }).code(), Errc::damaged);
  // of numbers, and with another stage
  EXPECT_EQ(code(wrap(hex("da 53544504 84 63 7c7531 08 82 64 62697473 18 40 41 ff"))), Errc::malformed);
  EXPECT_EQ(code(wrap(hex("da 53544504 84 63 7c6231 08 82 6a 626974732b64656c7461 18 40 41 ff"))), Errc::unsupported);
  auto bytes = to_bytes(flags(100'000));
  bytes[bytes.size() / 2] ^= std::byte{4};
  EXPECT_EQ(code(test::Data(bytes.begin(), bytes.end())), Errc::damaged);
}

}  // namespace
}  // namespace stele
