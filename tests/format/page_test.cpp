// docs/format.md against the code: the annotated file is what the library writes, the tables have the frozen numbers,
// and forms that the page allows for other writers load into C++ types.

#include <chrono>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "format/array/typed.hpp"
#include "support/test_support.hpp"

namespace example {

// As on the page.
struct Layer {
  std::string name;
  std::vector<float> weights;
};
struct Model {
  std::string name;
  std::vector<Layer> layers;
  stele::Array<std::int16_t, 2> grid;
};

}  // namespace example

namespace stele {
namespace {

using test::Data;
using test::hex;
using test::operator+=;

std::string page() {
  std::ifstream in(STELE_TESTS_DIR "/../docs/format.md");
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_FALSE(text.str().empty());
  return text.str();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line);
  }
  return lines;
}

/// The rows of tables as cells without spaces and backquotes around them.
std::vector<std::vector<std::string>> table_rows() {
  std::vector<std::vector<std::string>> rows;
  for (const std::string& line : lines_of(page())) {
    if (!line.starts_with("| ")) {
      continue;
    }
    std::vector<std::string> cells;
    std::string cell;
    for (std::size_t i = 1; i < line.size(); ++i) {
      const char c = line[i];
      if (c == '\\') {
        cell += line[++i];
      } else if (c == '|') {
        const auto first = cell.find_first_not_of(" `");
        const auto last = cell.find_last_not_of(" `");
        cells.push_back(first == std::string::npos ? "" : cell.substr(first, last - first + 1));
        cell.clear();
      } else {
        cell += c;
      }
    }
    rows.push_back(cells);
  }
  return rows;
}

std::string dump(Bytes bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    char piece[32];
    if (i % 16 == 0) {
      std::snprintf(piece, sizeof piece, "\n%04zx ", i);
      text += piece;
    }
    std::snprintf(piece, sizeof piece, " %02x", std::to_integer<unsigned>(bytes[i]));
    text += piece;
  }
  return text;
}

// --- The annotated file ----------------------------------------------------------------------------------------------

TEST(FormatPage, HexDumpIsWhatTheLibraryWrites) {
  example::Model model{"tiny", {{"first", {1, -2}}, {"second", {0.5F}}}, Array<std::int16_t, 2>({2, 2})};
  for (std::int16_t i = 0; i < 4; ++i) {
    model.grid.mutable_data()[i] = static_cast<std::int16_t>(i + 1);
  }
  const Data written = to_bytes(model, {.metadata = {{"by", "me"}}});

  Data shown;
  const std::regex row("([0-9a-f]{4})  ((?:[0-9a-f]{2} ?)+)( .*)?");
  bool inside = false;
  for (const std::string& line : lines_of(page())) {
    std::smatch parts;
    if (line.starts_with("```")) {
      inside = line == "```hexdump";
    } else if (inside && std::regex_match(line, parts, row)) {
      EXPECT_EQ(std::stoul(parts[1], nullptr, 16), shown.size()) << line;
      shown += hex(parts[2].str());
    }
  }
  EXPECT_TRUE(shown == written) << "the library writes:" << dump(written);
}

// --- The tables ------------------------------------------------------------------------------------------------------

TEST(FormatPage, PaddingTable) {
  std::set<std::size_t> gaps;
  for (const auto& cells : table_rows()) {
    if (cells.size() != 2 || cells[0].empty() || cells[0].find_first_not_of("0123456789") != std::string::npos) {
      continue;
    }
    const std::size_t gap = std::stoul(cells[0]);
    std::vector<std::byte> bytes;
    cbor::Builder out(bytes);
    put_padding(out, gap);
    std::string sizes;
    for (cbor::Cursor in(bytes); !in.done();) {
      const auto before = in.position();
      EXPECT_EQ(in.head().value, frozen::tag_no_op);
      sizes += (sizes.empty() ? "" : " ") + std::to_string(in.position() - before);
    }
    EXPECT_EQ(cells[1], sizes) << gap;
    gaps.insert(gap);
  }
  EXPECT_GE(gaps.size(), 12U);
}

TEST(FormatPage, ElementTypes) {
  std::size_t found = 0;
  for (const auto& cells : table_rows()) {
    if (cells.size() != 4 || cells[1].empty()) {
      continue;
    }
    bool big_endian = false;
    DType type;
    try {
      type = DType::from_numpy(cells[1], big_endian);
    } catch (const Error&) {
      continue;
    }
    EXPECT_EQ(cells[0], type.name());
    EXPECT_EQ(cells[1], type.numpy());
    EXPECT_EQ(cells[2], std::to_string(type.item_size()));
    const auto tag = typed_array_tag(type.kind());
    EXPECT_EQ(cells[3], tag ? std::to_string(*tag) : "") << cells[0];
    ++found;
  }
  EXPECT_EQ(found, 17U);
}

TEST(FormatPage, Numbers) {
  const std::string text = page();
  const auto hexadecimal = [](std::uint64_t number) {
    char digits[20];
    std::snprintf(digits, sizeof digits, "0x%08llX", static_cast<unsigned long long>(number));
    return std::string(digits);
  };
  for (const std::uint64_t tag : {frozen::tag_row_major, frozen::tag_column_major, frozen::tag_generic_object,
                                  frozen::tag_shareable, frozen::tag_shared_reference, frozen::tag_record_definition,
                                  frozen::tag_record_first, frozen::tag_record_last, frozen::tag_no_op}) {
    EXPECT_TRUE(std::regex_search(text, std::regex("\\b" + std::to_string(tag) + "\\b"))) << tag;
  }
  for (const std::uint64_t tag : {frozen::tag_dtype_array, frozen::tag_growing_rows, frozen::tag_array_view}) {
    EXPECT_NE(text.find(hexadecimal(tag)), std::string::npos) << hexadecimal(tag);
  }
  EXPECT_NE(text.find(frozen::end_magic), std::string::npos);
  EXPECT_NE(text.find("d9 d9 f8 da 53 54 45 4c 43 42 4f 52"), std::string::npos);
  static_assert(frozen::array_alignment == 64 && frozen::listed_array_bytes == 4096 &&
                frozen::listed_node_bytes == 65536 && frozen::step_bytes == 65536 && frozen::trailer_bytes == 50);
}

// --- What other writers may do ---------------------------------------------------------------------------------------

template <class T>
T foreign(const std::string& root) {
  return from_bytes<T>(test::wrap(hex(root)));
}

struct Point {
  double x = 0;
  int n = 0;
};

TEST(ForeignFile, RecordsAsMaps) {
  // {"n": 3, "x": 1.5 as a half, "z": true}: another order, a short float, an unknown field
  const auto point = foreign<Point>("a3 616e 03 6178 f93e00 617a f5");
  EXPECT_EQ(point.x, 1.5);
  EXPECT_EQ(point.n, 3);
  // an integer where a float is wanted; a map and names of indefinite length
  EXPECT_EQ(foreign<Point>("bf 7f 6178 ff 02 ff").x, 2);
}

TEST(ForeignFile, UnknownTags) {
  // 55799, 55799 in nine bytes, a date, 41, 259: all of them mean nothing here
  EXPECT_EQ(foreign<Point>("d9d9f7 a2 d9d9f7 6178 db000000000000d9f7 fa3f800000 616e c1 05").n, 5);
  EXPECT_EQ((foreign<std::map<std::string, int>>("d90103 a1 6161 07")), (std::map<std::string, int>{{"a", 7}}));
  EXPECT_EQ(foreign<std::set<int>>("d90102 83 01 02 03"), (std::set<int>{1, 2, 3}));
  EXPECT_EQ(foreign<std::string>("c0 6a 323032362d31312d3232"), "2026-11-22");
}

TEST(ForeignFile, NullAndUndefined) {
  EXPECT_EQ(foreign<std::optional<int>>("f6"), std::nullopt);
  EXPECT_EQ(foreign<std::optional<int>>("f7"), std::nullopt);
}

TEST(ForeignFile, NumbersAreTakenWhereNothingIsLost) {
  EXPECT_EQ(foreign<double>("1903e8"), 1000);
  EXPECT_EQ(foreign<float>("fb3ff8000000000000"), 1.5F);
  EXPECT_EQ(test::error_of([] { foreign<float>("fb3fb999999999999a"); }).code(), Errc::out_of_range);
  EXPECT_EQ(test::error_of([] { foreign<int>("f93c00"); }).code(), Errc::type_mismatch);
  EXPECT_EQ(foreign<int>("1b0000000000000005"), 5);  // a longer head than needed
}

TEST(ForeignFile, ArraysAsLists) {
  EXPECT_EQ(foreign<std::vector<float>>("83 01 f93800 fbbff0000000000000"), (std::vector<float>{1, 0.5F, -1}));
  EXPECT_EQ(foreign<std::vector<int>>("9f 01 20 1864 ff"), (std::vector<int>{1, -1, 100}));
  EXPECT_EQ(foreign<std::vector<bool>>("82 f5 f4"), (std::vector<bool>{true, false}));
  EXPECT_EQ((foreign<Array<double>>("82 01 02"))[1], 2);
  EXPECT_EQ((foreign<std::array<int, 2>>("82 01 02")), (std::array<int, 2>{1, 2}));
}

TEST(ForeignFile, TypedArrays) {
  EXPECT_EQ(foreign<std::vector<std::uint16_t>>("d845 44 0100 0200"), (std::vector<std::uint16_t>{1, 2}));
  EXPECT_EQ(foreign<std::vector<std::uint16_t>>("d841 44 0001 0002"),
            (std::vector<std::uint16_t>{1, 2}));                                                     // big-endian
  EXPECT_EQ(foreign<std::vector<double>>("d851 44 3f800000"), std::vector<double>{1});               // widened as well
  EXPECT_EQ(foreign<std::vector<std::uint8_t>>("d844 42 0102"), (std::vector<std::uint8_t>{1, 2}));  // clamped
  EXPECT_EQ(foreign<std::vector<std::uint8_t>>("42 0102"), (std::vector<std::uint8_t>{1, 2}));       // without a tag
  EXPECT_EQ(foreign<std::vector<std::uint16_t>>("d845 5f 43 010002 41 00 ff"), (std::vector<std::uint16_t>{1, 2}));
  const auto rows = foreign<Array<std::uint8_t, 2>>("d828 82 82 02 03 d840 46 010203040506");
  const auto columns = foreign<Array<std::uint8_t, 2>>("d90410 82 82 02 03 d840 46 010203040506");
  EXPECT_EQ(rows(0, 1), 2);
  EXPECT_EQ(columns(0, 1), 3);
  EXPECT_EQ(foreign<std::vector<std::uint16_t>>("da53544501 82 63 3e7532 44 0001 0002"),  // ">u2"
            (std::vector<std::uint16_t>{1, 2}));
}

TEST(ForeignFile, LargeByteStringWithoutATag) {
  const Data content(5000, std::byte{7});
  const Data file = test::wrap(test::bytes_item(content));
  EXPECT_EQ(from_bytes<std::vector<std::uint8_t>>(file), std::vector<std::uint8_t>(5000, 7));
  EXPECT_EQ(from_bytes<std::string>(file), std::string(5000, '\7'));
}

TEST(ForeignFile, ArraysOfItems) {
  const auto rows = foreign<Array<double, 2>>("d828 82 82 02 02 84 01 02 f93800 04");
  EXPECT_EQ(rows(1, 0), 0.5);
  EXPECT_EQ(rows(0, 1), 2);
}

TEST(ForeignFile, ListedArrays) {
  Data root = hex("a1 6178 d840 59 2000");  // {"x": 64(h'...')}
  ArrayEntry entry;
  entry.path = "x";
  entry.dtype = DType::Kind::uint8;
  entry.shape = {0x2000};
  entry.offset = frozen::label.size() + root.size();  // not aligned
  entry.length = 0x2000;
  const Data content(0x2000, std::byte{9});
  entry.checksum = xxh3_64(content);
  root += content;
  struct Holder {
    Array<std::uint8_t> x;
  };
  const Data file = test::wrap(root, {entry});
  EXPECT_EQ(from_bytes<Holder>(file).x[100], 9);

  entry.checksum ^= 1;
  EXPECT_EQ(test::error_of([&] { from_bytes<Holder>(test::wrap(root, {entry})); }).code(), Errc::damaged);
  EXPECT_EQ(test::error_of([&] { from_bytes<Holder>(test::wrap(root)); }).code(), Errc::damaged);  // not listed
}

TEST(ForeignFile, UnknownDirectoryKeys) {
  Data bytes = test::wrap(hex("01"));
  const std::size_t at = frozen::label.size() + 1;
  const Data directory = hex("a3 66666f726d6174 01 656675747572 82 01 02 66777269746572 6161");
  // the same archive with a directory of its own
  Data file(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
  Trailer trailer;
  trailer.directory_offset = file.size();
  trailer.directory_length = directory.size();
  trailer.directory_checksum = xxh3_64(directory);
  file += directory;
  trailer.structure_checksum = xxh3_64(file);
  trailer.total_length = file.size() + frozen::trailer_bytes;
  file += encode_trailer(trailer);
  EXPECT_EQ(from_bytes<int>(file), 1);
}

TEST(ForeignFile, ANewerFormatIsRefused) {
  EXPECT_EQ(test::error_of([] { from_bytes<int>(test::wrap(hex("01"), {}, 2)); }).code(), Errc::unsupported);
}

TEST(ForeignFile, SharedValues) {
  struct Node {
    int value = 0;
    std::shared_ptr<Node> next;
  };
  struct Two {
    std::shared_ptr<Node> a;
    std::shared_ptr<Node> b;
  };
  // tag 28 is counted wherever it stands, here also at a value that no pointer has
  const auto two = foreign<Two>("a3 6178 d81c 80 6161 d81c a1 6576616c7565 05 6162 d81d 01");
  ASSERT_NE(two.a, nullptr);
  EXPECT_EQ(two.a, two.b);
  EXPECT_EQ(two.a->value, 5);
}

TEST(ForeignFile, RecordDefinitions) {
  // a definition may be replaced, and the last fields may be missing
  const auto points = foreign<std::vector<Point>>(
      "84 d869 84 82 6178 616e 196900 01 02  d96900 82 03 04  d869 83 81 616e 196900 05  d96900 80");
  ASSERT_EQ(points.size(), 4U);
  EXPECT_EQ(points[1].x, 3);
  EXPECT_EQ(points[2].n, 5);
  EXPECT_EQ(points[3].n, 0);
}

}  // namespace
}  // namespace stele
