// The files in tests/golden must never change: a plain archive for each kind of content, byte for byte, and compressed
// ones, which must load but whose bytes depend on the compression libraries.
//
// A change of the format adds a file. STELE_WRITE_GOLDEN=1 writes missing files.

#include <bitset>
#include <chrono>
#include <complex>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <variant>

#include "format/cursor.hpp"
#include "format/directory.hpp"
#include "support/test_support.hpp"

namespace golden {

enum class Colour : std::uint8_t { red = 1, green = 2 };

struct Point {
  float x = 0;
  std::int32_t n = 0;
  bool operator==(const Point&) const = default;
};

struct Versioned {
  static constexpr unsigned stele_version = 3;
  int a = 0;
  bool operator==(const Versioned&) const = default;
};

struct Numbers {
  bool yes = false;
  std::int8_t minus = 0;
  std::int64_t least = 0;
  std::uint64_t most = 0;
  char letter = 0;
  Colour colour = Colour::red;
  stele::float16 half;
  stele::bfloat16 brain;
  float single = 0;
  double real = 0;
  long double wide = 0;
  std::complex<double> z;
  bool operator==(const Numbers&) const = default;
};

struct Values {
  Numbers numbers;
  std::string text;
  std::string bytes;
  std::filesystem::path path;
  std::optional<int> none;
  std::optional<int> some;
  std::optional<std::optional<int>> nested;
  std::variant<int, std::string> either;
  std::chrono::milliseconds delay{};
  std::bitset<12> bits;
  std::tuple<int, std::string, bool> triple;
  std::map<int, std::string> by_number;
  std::unordered_map<std::string, int> by_name;
  std::set<std::string> names;
  Versioned versioned;
  std::unique_ptr<int> nothing;
};

struct Arrays {
  std::vector<double> reals;
  std::vector<std::uint8_t> empty;
  std::vector<bool> flags;
  std::vector<std::complex<float>> waves;
  std::vector<stele::bfloat16> brains;
  std::vector<Point> points;
  std::array<std::array<std::int16_t, 2>, 3> table{};
  stele::Array<float, 2> columns;  // 4 KiB, so that it is listed
  stele::Array<float, 2> again;    // the same elements
  stele::Array<float, 1> part;     // every second element of the third column
};

struct Item {
  std::string name;
  std::vector<Point> points;
  bool operator==(const Item&) const = default;
};

struct Figure {
  virtual ~Figure() = default;
  virtual double area() const = 0;
};

struct Square final : Figure {
  double side = 0;
  double area() const override { return side * side; }
  static void visit(auto& v, auto& self) { v("side", self.side); }
};

struct Node {
  std::string name;
  std::shared_ptr<Node> next;
};

struct Graph {
  std::vector<Item> items;
  std::map<std::string, Item> by_key;
  std::vector<std::unique_ptr<Figure>> figures;
  std::shared_ptr<Node> ring;
  std::shared_ptr<Node> same;
};

}  // namespace golden

namespace stele {
namespace {

using namespace golden;
using test::Data;
using test::operator+=;

Values values() {
  Values v;
  v.numbers = {true,
               -100,
               std::numeric_limits<std::int64_t>::min(),
               std::numeric_limits<std::uint64_t>::max(),
               'A',
               Colour::green,
               float16(1.5F),
               bfloat16(-2.0F),
               0.1F,
               0.1,
               1.0L + 0x1p-60L,
               {1.0, -0.5}};
  v.text = "naïve";
  v.bytes = std::string("\x00\xff", 2);
  v.path = "a/b.txt";
  v.some = 7;
  v.nested = std::optional<int>();
  v.either = "text";
  v.delay = std::chrono::milliseconds(1500);
  v.bits = 0b1000'0000'0101;
  v.triple = {1, "two", true};
  v.by_number = {{-1, "minus one"}, {300, "three hundred"}};
  v.by_name = {{"b", 2}, {"a", 1}, {"c", 3}};
  v.names = {"x", "y"};
  v.versioned.a = 5;
  return v;
}

void expect_values(const Values& v) {
  const Values wanted = values();
  EXPECT_EQ(v.numbers, wanted.numbers);
  EXPECT_EQ(v.text, wanted.text);
  EXPECT_EQ(v.bytes, wanted.bytes);
  EXPECT_EQ(v.path, wanted.path);
  EXPECT_FALSE(v.none);
  EXPECT_EQ(v.some, wanted.some);
  ASSERT_TRUE(v.nested);
  EXPECT_FALSE(*v.nested);
  EXPECT_EQ(v.either, wanted.either);
  EXPECT_EQ(v.delay, wanted.delay);
  EXPECT_EQ(v.bits, wanted.bits);
  EXPECT_EQ(v.triple, wanted.triple);
  EXPECT_EQ(v.by_number, wanted.by_number);
  EXPECT_EQ(v.by_name, wanted.by_name);
  EXPECT_EQ(v.names, wanted.names);
  EXPECT_EQ(v.versioned, wanted.versioned);
  EXPECT_EQ(v.nothing, nullptr);
}

Arrays arrays() {
  Arrays a;
  a.reals = {0.5, -1, 1e300};
  a.flags = {true, false, true};
  a.waves = {{1, 2}, {3, 4}};
  a.brains = {bfloat16(1.0F), bfloat16(0.5F)};
  a.points = {{1.5F, 10}, {2.5F, -20}};
  a.table = {{{1, 2}, {3, 4}, {5, -6}}};
  a.columns = Array<float, 2>::uninitialized({32, 32}, Order::column_major);
  for (int row = 0; row < 32; ++row) {
    for (int column = 0; column < 32; ++column) {
      a.columns.mutable_at(row, column) = static_cast<float>(row % 4 + column % 2);
    }
  }
  a.again = a.columns;
  a.part = Array<float, 1>(a.columns.buffer(), a.columns.data() + 64, {16}, {2});
  return a;
}

void expect_arrays(const Arrays& a) {
  const Arrays wanted = arrays();
  EXPECT_EQ(a.reals, wanted.reals);
  EXPECT_TRUE(a.empty.empty());
  EXPECT_EQ(a.flags, wanted.flags);
  EXPECT_EQ(a.waves, wanted.waves);
  EXPECT_EQ(a.brains, wanted.brains);
  EXPECT_EQ(a.points, wanted.points);
  EXPECT_EQ(a.table, wanted.table);
  EXPECT_EQ(a.columns, wanted.columns);
  EXPECT_EQ(a.again, wanted.again);
  EXPECT_EQ(a.part, wanted.part);
  EXPECT_EQ(a.columns.buffer(), a.again.buffer());
  EXPECT_EQ(a.columns.buffer(), a.part.buffer());
}

const TypeRegistry& figure_types() {
  static const TypeRegistry types = [] {
    TypeRegistry registry;
    registry.add<Square, Figure>("square");
    return registry;
  }();
  return types;
}

std::vector<Item> items() { return {{"first", {{1, 1}}}, {"second", {}}, {"third", {{3, 3}, {4, 4}}}}; }

/// A graph whose ring the caller must cut.
Graph graph() {
  Graph g;
  g.items = items();
  g.by_key = {{"a", {"fourth", {}}}, {"b/c", {"fifth", {{5, 5}}}}};
  auto square = std::make_unique<Square>();
  square->side = 3;
  g.figures.push_back(std::move(square));
  g.figures.push_back(nullptr);
  g.ring = std::make_shared<Node>();
  g.ring->name = "one";
  g.ring->next = std::make_shared<Node>();
  g.ring->next->name = "two";
  g.ring->next->next = g.ring;
  g.same = g.ring;
  return g;
}

void expect_graph(const Graph& g) {
  EXPECT_EQ(g.items, items());
  ASSERT_EQ(g.by_key.size(), 2U);
  EXPECT_EQ(g.by_key.at("b/c").points.at(0).n, 5);
  ASSERT_EQ(g.figures.size(), 2U);
  EXPECT_EQ(g.figures[0]->area(), 9);
  EXPECT_EQ(g.figures[1], nullptr);
  EXPECT_EQ(g.ring, g.same);
  EXPECT_EQ(g.ring->name, "one");
  EXPECT_EQ(g.ring->next->name, "two");
  EXPECT_EQ(g.ring->next->next, g.ring);
}

Data values_file() { return to_bytes(values(), {.canonical = true, .metadata = {{"kind", "values"}}}); }
Data arrays_file() { return to_bytes(arrays()); }
Data graph_file() {
  const Graph g = graph();
  Data bytes = to_bytes(g, {.types = &figure_types()});
  g.ring->next->next.reset();
  return bytes;
}

/// What streams write that cannot seek: a map and arrays of unknown length, and a second archive after it.
Data stream_file() {
  test::PipeSink sink;
  {
    MapWriter out(sink);
    out.write("name", std::string("stream"));
    auto rows = out.grow<std::int32_t>("rows", {2});
    rows.append(std::vector<std::int32_t>{1, 2, 3, 4});
    rows.append(std::vector<std::int32_t>{5, 6});
    rows.close();
    auto numbers = out.grow<double>("numbers");
    numbers.append(std::vector<double>{0.5});
    numbers.close();
    out.close();
  }
  Data second = to_bytes(std::string("second"));
  return sink.data += second;
}

/// Times, bools as bits, metadata that is not text.
struct Columns {
  std::vector<std::chrono::sys_seconds> seconds;
  std::vector<std::chrono::duration<std::int64_t, std::ratio<1, 40>>> ticks;
  std::vector<bool> flags;
  std::vector<bool> many;
  std::chrono::year_month_day date;
  bool operator==(const Columns&) const = default;
};

Columns columns() {
  using namespace std::chrono;
  Columns c;
  c.seconds = {sys_days(2026y / 11 / 29), sys_seconds::min(), sys_seconds(-1s)};
  c.ticks.resize(600);
  for (std::size_t i = 0; i < c.ticks.size(); ++i) {
    c.ticks[i] = c.ticks[i].zero() + decltype(c.ticks)::value_type(static_cast<std::int64_t>(i) - 300);
  }
  for (int i = 0; i < 20; ++i) {
    c.flags.push_back(i % 3 == 0);
  }
  for (int i = 0; i < 40'001; ++i) {
    c.many.push_back(i % 7 == 0 || i % 11 == 3);
  }
  c.date = 2026y / 2 / 31;
  return c;
}
Data columns_file() {
  return to_bytes(columns(), {.metadata = {{"epoch", 3}, {"loss", 0.25}, {"shift", -2}, {"done", true}}});
}

std::string golden_path(const std::string& name) { return STELE_TESTS_DIR "/golden/" + name; }

/// The content of a golden file; writes it first if it is asked to and the file is not there.
Data golden_file(const std::string& name, const Data& made) {
  const std::string path = golden_path(name);
  if (!std::filesystem::exists(path) && std::getenv("STELE_WRITE_GOLDEN") != nullptr) {
    test::put(path, made);
  }
  EXPECT_TRUE(std::filesystem::exists(path)) << path;
  return test::content(path);
}

struct Parts {
  Data root;
  Directory directory;
};

/// An archive that ends where the bytes do.
Parts parts_of(Bytes bytes) {
  std::array<std::byte, frozen::trailer_bytes> last;
  std::copy(bytes.end() - static_cast<std::ptrdiff_t>(last.size()), bytes.end(), last.begin());
  const Trailer trailer = decode_trailer(last, bytes.size() - last.size());
  const Bytes root = bytes.first(trailer.directory_offset);
  return {
      {root.begin(), root.end()},
      decode_directory(bytes.subspan(trailer.directory_offset, trailer.directory_length), trailer.directory_offset)};
}

/// Equal byte for byte, except for the version of the library.
void expect_same(const Data& file, const Data& made) {
  if (file == made) {
    return;
  }
  Parts old = parts_of(file);
  Parts now = parts_of(made);
  ASSERT_NE(old.directory.writer, now.directory.writer) << "the library writes other bytes";
  EXPECT_EQ(old.root, now.root);
  old.directory.writer = now.directory.writer;
  EXPECT_EQ(encode_directory(old.directory), encode_directory(now.directory));
}

TEST(Golden, Values) {
  const Data file = golden_file("values.stele", values_file());
  expect_same(file, values_file());
  expect_values(from_bytes<Values>(file));
  Reader in(Bytes{file});
  in.read<Values>();
  EXPECT_EQ(in.metadata().at("kind"), "values");
}

TEST(Golden, Arrays) {
  const Data file = golden_file("arrays.stele", arrays_file());
  expect_same(file, arrays_file());
  expect_arrays(from_bytes<Arrays>(file));
  const std::string path = golden_path("arrays.stele");
  open(path).verify();
  const Arrays mapped = load<Arrays>(path, {.map = MapMode::read_only, .verify = Verify::full});
  expect_arrays(mapped);
  EXPECT_FALSE(mapped.columns.writable());
}

TEST(Golden, Graph) {
  const Data file = golden_file("graph.stele", graph_file());
  expect_same(file, graph_file());
  const auto loaded = from_bytes<Graph>(file, {.types = &figure_types()});
  expect_graph(loaded);
  loaded.ring->next->next.reset();
}

/// A list beyond the depth at which values are deferred, with a class under its name.
struct Chain {
  std::shared_ptr<Node> first;
  std::shared_ptr<Node> last;
  std::vector<float> between;
};
Chain chain() {
  Chain made;
  for (int i = 219; i >= 0; --i) {
    auto node = std::make_shared<Node>();
    node->name = std::to_string(i);
    node->next = made.first;
    made.first = node;
    made.last = made.last == nullptr ? node : made.last;
  }
  made.between = {1, 2};
  return made;
}
Data deep_file() { return to_bytes(chain()); }

TEST(Golden, Deep) {
  const Data file = golden_file("deep.stele", deep_file());
  expect_same(file, deep_file());
  for (const Chain& back : {from_bytes<Chain>(file), open(golden_path("deep.stele")).load<Chain>()}) {
    std::shared_ptr<Node> node = back.first;
    for (int i = 0; i < 219; ++i, node = node->next) {
      ASSERT_EQ(node->name, std::to_string(i));
    }
    EXPECT_EQ(node, back.last);
    EXPECT_EQ(node->next, nullptr);
    EXPECT_EQ(back.between, (std::vector<float>{1, 2}));
  }
}

void expect_stream(Bytes file) {
  struct Streamed {
    std::string name;
    Array<std::int32_t, 2> rows;
    std::vector<double> numbers;
  };
  Reader in(file);
  const auto streamed = in.read<Streamed>();
  EXPECT_EQ(streamed.name, "stream");
  EXPECT_EQ(streamed.rows.shape(), (std::array<std::uint64_t, 2>{3, 2}));
  EXPECT_EQ(streamed.rows(2, 1), 6);
  EXPECT_EQ(streamed.numbers, std::vector<double>{0.5});
  EXPECT_EQ(in.read<std::string>(), "second");
  EXPECT_FALSE(in.more());
}

TEST(Golden, Stream) {
  const Data made = stream_file();
  const Data file = golden_file("grown.stele", made);
  const std::size_t second = to_bytes(std::string("second")).size();
  ASSERT_GT(file.size(), second);
  expect_same({file.begin(), file.end() - static_cast<std::ptrdiff_t>(second)},
              {made.begin(), made.end() - static_cast<std::ptrdiff_t>(second)});
  expect_stream(file);
}

/// Small arrays were written in pieces too, which no directory listed.
TEST(Golden, StreamOfSmallPieces) { expect_stream(golden_file("stream.stele", {})); }

struct Encoded {
  std::vector<std::int64_t> counts;
  std::vector<double> prices;
  std::vector<std::complex<float>> waves;
};

Encoded encoded() {
  Encoded e;
  for (int i = 0; i < 4200; ++i) {
    e.counts.push_back(1'000'000'000'000 + i * i % 251);
    e.prices.push_back(0.25 * (i * 7 % 100));
  }
  for (int i = 0; i < 2048; ++i) {
    e.waves.emplace_back(static_cast<float>(i) / 8, static_cast<float>(-i));
  }
  return e;
}

/// The output of gunzip for a file that was saved with a filter.
Data encoded_file(const std::string& filter) {
  const Codecs codecs;
  const auto source = decompressing_source(
      std::make_unique<test::OwnedSource>(to_bytes(encoded(), {.codec = "gzip", .filter = filter})),
      *codecs.find("gzip"));
  Data plain(static_cast<std::size_t>(source->size().value_or(0)));
  source->read_at(0, plain);
  return plain;
}

TEST(Golden, Columns) {
  const Data file = golden_file("columns.stele", columns_file());
  expect_same(file, columns_file());
  EXPECT_EQ(from_bytes<Columns>(file), columns());
  const File opened = open(golden_path("columns.stele"));
  opened.verify();
  EXPECT_EQ(opened.load<std::vector<bool>>("many"), columns().many);
  EXPECT_EQ(opened.info().metadata, (Metadata{{"epoch", 3}, {"loss", 0.25}, {"shift", -2}, {"done", true}}));
}

class GoldenEncoded : public testing::TestWithParam<std::string> {};

TEST_P(GoldenEncoded, Loads) {
  std::string name = "encoded_" + GetParam() + ".stele";
  std::replace(name.begin(), name.end(), '+', '_');
  const Data made = encoded_file(GetParam());
  const Data file = golden_file(name, made);
  expect_same(file, made);
  const Encoded all = from_bytes<Encoded>(file);
  EXPECT_EQ(all.counts, encoded().counts);
  EXPECT_EQ(all.prices, encoded().prices);
  EXPECT_EQ(all.waves, encoded().waves);
  const File opened = open(golden_path(name));
  opened.verify();
  EXPECT_EQ(opened.info().encoded_arrays, 3U);
  EXPECT_EQ(opened.load<std::vector<double>>("prices"), encoded().prices);
}

INSTANTIATE_TEST_SUITE_P(Filters, GoldenEncoded, testing::Values("narrow+delta+bitshuffle", "palette+shuffle"),
                         [](const auto& given) { return std::string(given.param, 0, given.param.find('+')); });

class GoldenCompressed : public testing::TestWithParam<std::string> {};

TEST_P(GoldenCompressed, Loads) {
  const std::string codec = GetParam();
  if (!test::has_codec(codec)) {
    GTEST_SKIP() << codec << " is not in this build";
  }
  const Codecs codecs;
  const std::string name = "arrays.stele" + std::string(codecs.find(codec)->extensions().front());
  const Data made = to_bytes(arrays(), {.codec = codec});
  expect_arrays(from_bytes<Arrays>(golden_file(name, made)));
  const auto columns = open(golden_path(name)).load<Array<float, 2>>("columns");
  EXPECT_EQ(columns, arrays().columns);
}

INSTANTIATE_TEST_SUITE_P(Codecs, GoldenCompressed,
                         testing::Values("gzip", "zlib", "bzip2", "lzma", "xz", "lz4", "zstd"),
                         [](const auto& given) { return given.param; });

}  // namespace
}  // namespace stele
