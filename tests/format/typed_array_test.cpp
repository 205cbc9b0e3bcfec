// Padding and dtypes in the format (src/format/array/typed.hpp).

#include "format/array/typed.hpp"

#include <gtest/gtest.h>

namespace stele {
namespace {

std::vector<std::byte> padding(std::size_t gap) {
  std::vector<std::byte> bytes;
  cbor::Builder out(bytes);
  put_padding(out, gap);
  return bytes;
}

TEST(Padding, FillsEveryGapButFour) {
  for (std::size_t gap = 0; gap < 300; ++gap) {
    if (gap == 1 || gap == 2 || gap == 4 || gap == 7) {
      continue;
    }
    const std::vector<std::byte> bytes = padding(gap);
    ASSERT_EQ(bytes.size(), gap);
    cbor::Cursor in(bytes);
    while (!in.done()) {
      const cbor::Head head = in.head();
      EXPECT_EQ(head.major, cbor::Major::tag);
      EXPECT_EQ(head.value, 55799U);
    }
  }
}

TEST(Padding, BringsDataToMultiplesOf64) {
  for (std::uint64_t position = 0; position < 130; ++position) {
    for (std::size_t header = 1; header < 40; ++header) {
      const std::size_t gap = padding_before(position, header);
      EXPECT_EQ((position + gap + header) % 64, 0U);
      EXPECT_LT(gap, 64U + 8U);
      EXPECT_EQ(padding(gap).size(), gap);
    }
  }
}

TEST(DTypeItem, ComesBack) {
  const DType inner = DType::record({{"a", DType::Kind::int8, 0, 3}, {"b", DType::Kind::float64, 8, 1}}, 16);
  const DType types[] = {DType::Kind::boolean,  DType::Kind::bfloat16, DType::Kind::complex128,
                         DType::fixed_bytes(5), DType::fixed_utf32(2), DType::record({{"inner", inner, 0, 2}}, 32)};
  for (const DType& type : types) {
    std::vector<std::byte> bytes;
    cbor::Builder out(bytes);
    put_dtype(out, type);
    cbor::Cursor in(bytes);
    bool big_endian = false;
    EXPECT_EQ(get_dtype(in, big_endian), type) << type.name();
    EXPECT_FALSE(big_endian);
    EXPECT_TRUE(in.done());
  }
}

TEST(TypedArrayTags, AgreeInBothDirections) {
  for (std::uint64_t tag = 64; tag <= 87; ++tag) {
    const TypedArrayTag type = typed_array_type(tag);
    if (type.kind == DType::Kind::none || type.big_endian || tag == 68) {
      continue;
    }
    // 8-bit types have the tags without the byte order bit
    EXPECT_EQ(typed_array_tag(type.kind).value_or(0), tag);
  }
}

}  // namespace
}  // namespace stele
