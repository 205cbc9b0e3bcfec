// .npy files: headers of every form and hostile ones, and arrays that come back.

#include "interop/npy/npy.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <numeric>

#include "stele/types.hpp"
#include "support/samples.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::bytes_of;
using test::fresh;
using test::matrix;

TEST(Npy, HeadersOfManyForms) {
  const auto parse = [](std::string_view text, unsigned version = 1) { return parse_npy_header(text, version); };
  NpyHeader header = parse("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }   \n");
  EXPECT_EQ(header.array.dtype, DType(DType::Kind::float32));
  EXPECT_EQ(header.array.shape, (Shape{3, 4}));
  EXPECT_EQ(header.array.order, Order::column_major);
  header = parse("{\"shape\":(7L,),'fortran_order':False,\"descr\":\">i8\"}");
  EXPECT_EQ(header.array.shape, (Shape{7}));
  EXPECT_EQ(header.swaps.size(), 1U);
  EXPECT_EQ(parse("{'descr': '|u1', 'fortran_order': False, 'shape': ()}").array.shape, Shape());
  header = parse(
      "{'descr': [('a', '<f4'), ('', '|V4'), ('b', '>u2', (6,)), ('c', [('d', '|b1')])], "
      "'fortran_order': False, 'shape': (1,)}");
  ASSERT_EQ(header.array.dtype.fields().size(), 3U);
  EXPECT_EQ(header.array.dtype.fields()[1].offset, 8U);
  EXPECT_EQ(header.array.dtype.fields()[1].count, 6U);
  EXPECT_EQ(header.array.dtype.fields()[1].name, "b");
  EXPECT_EQ(header.array.dtype.item_size(), 21U);
  EXPECT_EQ(header.swaps.at(0).offset, 8U);
  for (const char* lost : {"[(('title', 'b'), '<u2')]", "[('b', '<u2', (2, 3))]",
                           "[('b', '<u2', (0,))]"}) {  // a DType has no place for them
    const std::string text = "{'descr': " + std::string(lost) + ", 'fortran_order': False, 'shape': ()}";
    EXPECT_ERROR(parse(text), Errc::unsupported, "a field ");
  }
  EXPECT_EQ(
      parse("{'descr': [('\xe4\\u00df', '<f4')], 'fortran_order': False, 'shape': ()}").array.dtype.fields()[0].name,
      "äß");
  EXPECT_EQ(parse("{'descr': [('ä', '<f4')], 'fortran_order': False, 'shape': ()}", 3).array.dtype.fields()[0].name,
            "ä");

  const char* const malformed[] = {"",
                                   "{",
                                   "{}",
                                   "()",
                                   "{'descr': '<f4', 'fortran_order': 0, 'shape': ()}",
                                   "{'descr': '<f4', 'fortran_order': False}",
                                   "{'descr': 5, 'fortran_order': False, 'shape': ()}",
                                   "{'descr': '<f4', 'fortran_order': False, 'shape': 3}",
                                   "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
                                   "{'descr': '<f4', 'fortran_order': False, 'shape': (1.5,)}",
                                   "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
                                   "{'descr': '<f4\\q'}",
                                   "{'a': 'b",
                                   "{'descr': '<f4', 'fortran_order': False, 'shape': ()} x",
                                   "{'descr': [('a',)], 'fortran_order': False, 'shape': ()}",
                                   "{'descr': [('a', '<f4', ('b',))], 'fortran_order': False, 'shape': ()}",
                                   "{'\\ud800': 1}"};
  for (const char* const text : malformed) {
    EXPECT_ERROR(parse(text), Errc::malformed, "");
  }
  EXPECT_ERROR(parse(std::string(100'000, '(')), Errc::malformed, "");
  for (const char* objects : {"'|O'", "[('a', '<f4'), ('b', [('c', '|O')])]"}) {
    const std::string text = "{'descr': " + std::string(objects) + ", 'fortran_order': False, 'shape': (3,)}";
    EXPECT_TRUE(parse(text).has_objects);
    EXPECT_EQ(parse(text).array.shape, Shape{3});
  }
  EXPECT_ERROR(parse("{'descr': '<M8[xs]', 'fortran_order': False, 'shape': ()}"), Errc::unsupported, "");
  EXPECT_ERROR(parse("{'descr': [('a', '<f4', 4294967295)], 'fortran_order': False, 'shape': ()}"),
               Errc::limit_exceeded, "");
  EXPECT_ERROR(
      parse("{'descr': [('a', '<f4', (4294967295, 4294967295, 4294967295))], 'fortran_order': False, 'shape': ()}"),
      Errc::unsupported, "several dimensions");
  EXPECT_ERROR(parse("{'descr': [('', '|V18446744073709551615'), ('a', '<f4')], 'fortran_order': False, 'shape': ()}"),
               Errc::limit_exceeded, "");
  EXPECT_ERROR(parse("{'descr': [('a', '<f4'), ('a', '<f4')], 'fortran_order': False, 'shape': ()}"),
               Errc::invalid_argument, "");
}

TEST(Npy, FilesThatBeginOtherwise) {
  const auto read = [](std::string_view file) { return read_npy_header(*memory_source(bytes_of(file))); };
  EXPECT_ERROR(read(""), Errc::truncated, "0 bytes");
  EXPECT_ERROR(read("\x93NUMPY"), Errc::truncated, "6 bytes");
  EXPECT_ERROR(read("PK0123456789"), Errc::malformed, "does not begin as one");
  EXPECT_ERROR(read(std::string_view("\x93NUMPY\x07\0zzzz", 12)), Errc::unsupported, "version 7");
  EXPECT_ERROR(read("\x93NUMPY\x01\x01zzzz"), Errc::unsupported, "version 1.1");
  EXPECT_ERROR(read(std::string_view("\x93NUMPY\x02\0zzzz", 12)), Errc::limit_exceeded, "header");
  EXPECT_ERROR(read(std::string_view("\x93NUMPY\x02\0\x01\0", 10)), Errc::truncated, "2 bytes early");
  EXPECT_ERROR(read(std::string_view("\x93NUMPY\x01\0\x05\0{}", 12)), Errc::truncated, "3 bytes early");
}

/// A header with these values.
std::string header_text(const std::string& descr, const std::string& shape = "()") {
  return "{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + "}";
}

TEST(Npy, KeysAreExactlyThree) {
  const std::string good = header_text("'<f4'");
  EXPECT_NO_THROW(parse_npy_header(good, 1));
  const auto with = [&](const std::string& more) { return good.substr(0, good.size() - 1) + ", " + more + "}"; };
  EXPECT_ERROR(parse_npy_header(with("'descr': '<f8'"), 1), Errc::malformed,
               "\"descr\", which is unknown or comes twice");
  EXPECT_ERROR(parse_npy_header(with("'shape': (1,)"), 1), Errc::malformed, "\"shape\"");
  EXPECT_ERROR(parse_npy_header(with("'fortran_order': True"), 1), Errc::malformed, "\"fortran_order\"");
  EXPECT_ERROR(parse_npy_header(with("'more': 1"), 1), Errc::malformed, "\"more\"");
  EXPECT_ERROR(parse_npy_header(with("'" + std::string(100'000, 'k') + "': 1"), 1), Errc::malformed, "\"kkkk");
  EXPECT_ERROR(parse_npy_header("{'descr': '<f4', 'shape': ()}", 1), Errc::malformed, "without fortran_order");
  EXPECT_ERROR(parse_npy_header("{'descr': '<f4', 'fortran_order': True}", 1), Errc::malformed, "without shape");
  EXPECT_ERROR(parse_npy_header("{'shape': (), 'fortran_order': True}", 1), Errc::malformed, "without descr");
}

TEST(Npy, HeadersThatEndEarlyOrGoOnAreRefused) {
  for (const std::string& good :
       {header_text("'<f4'", "(3, 4)"), header_text("[('a', '<f4'), ('', '|V4'), ('b\\x41', '>u2', (6,))]")}) {
    EXPECT_NO_THROW(parse_npy_header(good, 1));
    for (std::size_t cut = 0; cut < good.size(); ++cut) {
      EXPECT_ERROR(parse_npy_header(good.substr(0, cut), 1), Errc::malformed, "literal");
    }
    for (const char* more : {"}", ",", "x", "{}"}) {
      EXPECT_ERROR(parse_npy_header(good + more, 1), Errc::malformed, "literal");
    }
  }
}

TEST(Npy, ShapesThatNoArrayHasAreRefused) {
  const auto parse = [](const std::string& shape) { return parse_npy_header(header_text("'<f4'", shape), 1); };
  for (const char* shape : {"(-1,)", "(--1,)", "(+1,)", "(1.5,)", "(1e3,)", "(0x10,)", "(True,)", "('1',)", "(,)",
                            "(1,,)", "(1 2)", "((1,),)", "[1]", "1", "(18446744073709551616,)", "None"}) {
    EXPECT_ERROR(parse(shape), Errc::malformed, "literal");
  }
  std::string deep = "(";
  for (int i = 0; i < 32; ++i) {
    deep += "1,";
  }
  EXPECT_EQ(parse(deep + ")").array.shape.rank(), 32U);
  EXPECT_ERROR(parse(deep + "1,)"), Errc::limit_exceeded, "dimensions");
  EXPECT_ERROR(parse("(" + std::string(1'000'000, '1') + ",)"), Errc::malformed, "literal");
}

/// Sizes that overflow are found before memory is allocated; data that is claimed but missing takes none.
TEST(Npy, ClaimedSizesAreNotBelieved) {
  const auto read = [](const std::string& descr, const std::string& shape) {
    std::string text = header_text(descr, shape);
    text.resize(1024, ' ');
    return read_npy(*memory_source(bytes_of(std::string("\x93NUMPY\x01\0\0\4", 10) + text + "elements")));
  };
  EXPECT_ERROR(read("'<f4'", "(18446744073709551615,)"), Errc::limit_exceeded, "cannot be held");
  EXPECT_ERROR(read("'<f4'", "(4294967296, 4294967296)"), Errc::limit_exceeded, "cannot be held");
  EXPECT_ERROR(read("'<f4'", "(9223372036854775808, 0)"), Errc::limit_exceeded, "cannot be held");
  EXPECT_ERROR(read("'|S2147483647'", "(4294967296, 2)"), Errc::limit_exceeded, "cannot be held");
  EXPECT_ERROR(read("'<f4'", "(2305843009213693951,)"), Errc::truncated, "early");
  EXPECT_ERROR(read("'<f4'", "(3,)"), Errc::truncated, "4 bytes early");
  EXPECT_ERROR(read("'<f4'", "(1,)"), Errc::malformed, "goes on after");
  EXPECT_ERROR(read("'|b1'", "(8,)"), Errc::malformed, "neither 0 nor 1");
  EXPECT_EQ(read("'<f4'", "(2,)").shape(), Shape{2});
}

TEST(Npy, RecordsInRecords) {
  const auto nested = [](int depth) {
    std::string descr;
    for (int i = 0; i < depth; ++i) {
      descr += "[('a', ";
    }
    descr += "'<f4'";
    for (int i = 0; i < depth; ++i) {
      descr += ")]";
    }
    return parse_npy_header(header_text(descr), 1);
  };
  EXPECT_EQ(nested(32).array.dtype.item_size(), 4U);
  EXPECT_ERROR(nested(33), Errc::malformed, "literal");
  EXPECT_ERROR(nested(50'000), Errc::malformed, "literal");
  EXPECT_ERROR(parse_npy_header(header_text(std::string(1'000'000, '[')), 1), Errc::malformed, "literal");
  EXPECT_ERROR(parse_npy_header(header_text("[('a', [('x', '>f4')], 3)]"), 1), Errc::unsupported, "big-endian");
  EXPECT_ERROR(parse_npy_header(header_text("[('', '<f4')]"), 1), Errc::malformed, "literal");
  EXPECT_ERROR(parse_npy_header(header_text("[('', '|V')]"), 1), Errc::malformed, "literal");
  EXPECT_ERROR(parse_npy_header(header_text("[('', '|V4x')]"), 1), Errc::malformed, "literal");
}

TEST(Npy, HeadersAreWrittenAsTheyAreRead) {
  const auto round = [](const ArrayHeader& written) {
    const std::string text = npy_header(written).value();
    EXPECT_EQ(text.size() % 64, 0U);
    EXPECT_EQ(text.back(), '\n');
    const NpyHeader header = read_npy_header(*memory_source(bytes_of(text)));
    EXPECT_EQ(header.offset, text.size());
    EXPECT_EQ(header.array.dtype, written.dtype);
    EXPECT_EQ(header.array.shape, written.shape);
    EXPECT_TRUE(header.swaps.empty());
    return static_cast<unsigned>(text[6]);
  };
  const auto view = [](const DType& dtype, const Shape& shape) { return ArrayHeader{dtype, shape, Order::row_major}; };
  EXPECT_EQ(round(view(DType::Kind::float32, {3, 4})), 1U);
  EXPECT_EQ(round(view(DType::Kind::complex128, {})), 1U);
  EXPECT_EQ(round(view(DType::fixed_utf32(5), {7})), 1U);
  const DType gaps = DType::record({{"b", DType::Kind::uint8, 9, 1}, {"it's \\", DType::Kind::float64, 0, 1}}, 16);
  EXPECT_NE(npy_header(view(gaps, {1}))->find("('', '|V6')"), std::string::npos);
  const DType names = DType::record({{"ä", DType::Kind::int8, 0, 3}}, 3);
  EXPECT_EQ(round(view(names, {1})), 3U);
  std::vector<DType::Field> many;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    many.push_back({"field" + std::to_string(i), DType::Kind::uint8, i, 1});
  }
  EXPECT_EQ(round(view(DType::record(many, 5000), {1})), 2U);
  EXPECT_FALSE(npy_header(view(DType::Kind::bfloat16, {1})));
  const DType over = DType::record({{"a", DType::Kind::int32, 0, 1}, {"b", DType::Kind::int16, 2, 1}}, 4);
  EXPECT_FALSE(npy_header(view(over, {1})));
}

/// The bytes of the file of an array.
std::vector<std::byte> file_of(const AnyArray& array) {
  std::vector<std::byte> file;
  write_npy(*memory_sink(file), array);
  EXPECT_EQ(file.size(), npy_file(array)->bytes());
  return file;
}

std::string header_of(const std::string& descr, const std::string& shape) {
  std::string text = header_text(descr, shape);
  text.resize(128 - 12, ' ');
  return std::string("\x93NUMPY\x02\0\x74\0\0\0", 12) + text;
}

void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

/// Reads a file with a mapping of it, or without.
Value read_path(const std::string& path, const LoadOptions& options = {}) {
  const std::unique_ptr<Source> source = file_source(path);
  return read_npy({.source = *source,
                   .mapping = options.map == MapMode::none ? nullptr : Mapping::open(path, options.map),
                   .path = path,
                   .options = options});
}

TEST(Npy, ArraysComeBack) {
  const std::shared_ptr<Buffer> number = Buffer::allocate(8);
  std::memset(number->mutable_data(), 5, 8);
  const Array<float, 2> large = matrix(1700, 800);  // more than is allocated before data arrives
  for (const Value& value :
       {to_value(matrix(3, 5)), to_value(matrix(300, 200, Order::column_major)), to_value(large),
        to_value(matrix(4, 6).transposed()), to_value(Array<float, 2>({0, 3})),
        to_value(std::vector<bool>{true, false}),
        Value(AnyArray(ArrayView(DType::Kind::int64, number->data(), Shape(), Order::row_major), number))}) {
    const AnyArray& array = value.array();
    const AnyArray read = read_npy(*memory_source(file_of(array)));
    EXPECT_EQ(read, array) << array.shape().text();
    for (std::size_t axis = 0; axis < array.shape().rank() && array.shape().count() > 0; ++axis) {
      EXPECT_EQ(read.view().strides[axis], array.view().strides[axis]);
    }
  }
  // Elements with gaps between them are written densely.
  ArrayView rows = large.view();
  rows.shape[1] = 3;
  const AnyArray part(rows, large.buffer());
  EXPECT_EQ(read_npy(*memory_source(file_of(part))), part);
  EXPECT_FALSE(npy_file(to_value(Array<bfloat16>({3})).array()));
  std::vector<std::byte> nothing;
  EXPECT_ERROR(write_npy(*memory_sink(nothing), to_value(Array<bfloat16>({3})).array()), Errc::unsupported, "bfloat16");
  EXPECT_TRUE(nothing.empty());
}

TEST(Npy, FilesAreMappedOrReadOnSeveralThreads) {
  const std::string path = fresh("mapped.npy");
  const Array<float, 2> large = matrix(1700, 2000, Order::column_major);  // more than one thread reads
  {
    const std::unique_ptr<Sink> sink = file_sink(path);
    write_npy(*sink, to_value(large).array());
    sink->close();
  }
  for (const unsigned threads : {1U, 3U}) {
    EXPECT_EQ(read_path(path, {.threads = threads}), to_value(large));
  }
  EXPECT_ERROR(read_path(path, {.limits = {.allocation = 1000}}), Errc::limit_exceeded, "13600000 bytes");
  for (const MapMode mode : {MapMode::read_only, MapMode::copy_on_write, MapMode::read_write}) {
    const Value mapped = read_path(path, {.map = mode});
    EXPECT_EQ(mapped, to_value(large));
    EXPECT_EQ(mapped.array().buffer()->writable(), mode != MapMode::read_only);
  }
  auto changed = read_path(path, {.map = MapMode::read_write}).to<Array<float, 2>>();
  changed.mutable_at(1, 2) = -5.0F;
  auto later = read_path(path).to<Array<float, 2>>();
  EXPECT_EQ(later(1, 2), -5.0F);
  later.mutable_at(1, 2) = large(1, 2);
  EXPECT_EQ(later, large);
  // What is cut short or goes on is found without reading it.
  const auto size = static_cast<std::uintmax_t>(std::filesystem::file_size(path));
  std::filesystem::resize_file(path, size - 1);
  EXPECT_ERROR(read_path(path, {.map = MapMode::read_only}), Errc::truncated, "1 bytes early");
  EXPECT_ERROR(read_path(path), Errc::truncated, "1 bytes early");
  std::filesystem::resize_file(path, size + 1);
  EXPECT_ERROR(read_path(path, {.map = MapMode::read_only}), Errc::malformed, "goes on");
  EXPECT_ERROR(read_path(path), Errc::malformed, "goes on");
}

TEST(Npy, WhatCannotBeMappedIsCopiedOrRefused) {
  const std::string path = fresh("copied.npy");
  const Value numbers = to_value(std::vector<std::uint16_t>{1, 258});
  write_file(path, header_of("'>u2'", "(2,)") + std::string("\0\1\1\2", 4));
  EXPECT_EQ(read_path(path, {.map = MapMode::copy_on_write}), numbers);
  EXPECT_EQ(read_path(path, {.map = MapMode::read_only, .map_all = true}), numbers);  // too small to matter
  EXPECT_ERROR(read_path(path, {.map = MapMode::read_write}), Errc::not_mappable, "big-endian");
  write_file(path, header_of("'>u2'", "(4096,)") + std::string(8192, 'x'));
  EXPECT_ERROR(read_path(path, {.map = MapMode::read_only, .map_all = true}), Errc::not_mappable, "big-endian");
  // A header of a size that NumPy does not write puts the elements anywhere.
  const std::string text = header_text("'<u2'", "(2,)");
  const std::string odd = std::string("\x93NUMPY\x01\0", 8) + static_cast<char>(text.size() + text.size() % 2 + 1) +
                          std::string(1, '\0') + text + std::string(text.size() % 2 + 1, ' ');
  ASSERT_EQ(odd.size() % 2, 1U);
  write_file(path, odd + std::string("\1\0\2\1", 4));
  EXPECT_EQ(read_path(path, {.map = MapMode::read_only}), numbers);
  EXPECT_ERROR(read_path(path, {.map = MapMode::read_write}), Errc::not_mappable, "not aligned");
  // Strings need no alignment, and elements of no bytes no division.
  write_file(path, odd.substr(0, odd.find("<u2")) + "|S3" + odd.substr(odd.find("<u2") + 3) + "abcdef");
  EXPECT_FALSE(read_path(path, {.map = MapMode::read_only}).array().buffer()->writable());
  for (const char* descr : {"'|S0'", "'<U0'"}) {
    write_file(path, header_of(descr, "(3,)"));
    EXPECT_EQ(read_path(path, {.map = MapMode::read_only}).array().shape(), Shape{3});
    EXPECT_EQ(read_path(path).array().dtype().item_size(), 0U);
  }
  write_file(path, header_of("'|O'", "(1,)") + "\x80\x04K\x05.");  // objects are a pickle, which is read, not run
  EXPECT_EQ(read_path(path), Value(5));
  EXPECT_EQ(read_path(path, {.map = MapMode::read_only}), Value(5));
  EXPECT_ERROR(read_npy(*file_source(path)), Errc::unsupported, "Python objects");
}

TEST(Npy, BigEndianElementsAreSwapped) {
  const auto read = [](const std::string& descr, const std::string& shape, std::string_view elements) {
    std::string text = header_text(descr, shape);
    text.resize(256, ' ');
    return read_npy(
        *memory_source(bytes_of(std::string("\x93NUMPY\x02\0\0\1\0\0", 12) + text + std::string(elements))));
  };
  const AnyArray numbers = read("'>u2'", "(3,)", {"\0\1\0\2\1\0", 6});
  EXPECT_EQ(Value(numbers).to<std::vector<std::uint16_t>>(), (std::vector<std::uint16_t>{1, 2, 256}));
  const AnyArray records = read("[('a', '|u1'), ('p', [('x', '>u2'), ('y', '>u2')]), ('z', '>u2', (2,))]", "(2,)",
                                {"\1\0\2\0\3\0\4\0\5\6\0\7\0\x8\0\x9\0\xa", 18});
  const std::vector<std::byte> swapped = bytes_of({"\1\2\0\3\0\4\0\5\0\6\7\0\x8\0\x9\0\xa\0", 18});
  EXPECT_TRUE(std::equal(swapped.begin(), swapped.end(), records.view().data));
}

/// Every cut of a file, and every changed byte of its header, is an Error or an array.
TEST(Npy, DamagedFilesAreErrors) {
  const std::vector<std::byte> good = file_of(to_value(matrix(3, 4)).array());
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    EXPECT_THROW(read_npy(*memory_source(Bytes(good).first(cut))), Error) << cut;
  }
  std::size_t errors = 0;
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::vector<std::byte> bad = good;
      bad[at] ^= static_cast<std::byte>(1U << bit);
      try {
        read_npy(*memory_source(bad));
      } catch (const Error&) {
        ++errors;
      }
    }
  }
  EXPECT_GT(errors, 400U);
}

}  // namespace
}  // namespace stele
