// Parts of arrays in open files: any box of any array equals that part of the whole array, however it is stored.

#include "stele/lazy_array.hpp"

#include <complex>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <thread>

#include "stele/stele.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::Folder;
using Random = std::mt19937_64;

struct Point {
  std::int32_t id;
  float x;
  double weight;
  friend bool operator==(const Point&, const Point&) = default;
};
struct WiderPoint {
  double x = -1;
  std::int64_t id = -1;
  std::int64_t group = 7;  // not stored
  friend bool operator==(const WiderPoint&, const WiderPoint&) = default;
};

template <class T>
T element(std::size_t i, Random& random) {
  if constexpr (std::is_same_v<T, Point>) {
    return {static_cast<std::int32_t>(i), static_cast<float>(random() % 50), static_cast<double>(random() % 9)};
  } else if constexpr (std::is_same_v<T, bool>) {
    return random() % 3 == 0;
  } else if constexpr (std::is_same_v<T, std::complex<float>>) {
    return {static_cast<float>(i), static_cast<float>(random() % 50)};
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(i + random() % 100);
  } else {
    return static_cast<T>(static_cast<double>(i) + 0.25 * static_cast<double>(random() % 100));
  }
}

template <class T, std::size_t Rank>
Array<T, Rank> filled(const std::array<std::uint64_t, Rank>& shape, Order order = Order::row_major, unsigned seed = 1) {
  Random random(seed);
  Array<T, Rank> array = Array<T, Rank>::uninitialized(shape, order);
  T* at = array.mutable_data();
  for (std::size_t i = 0; i < array.size(); ++i) {
    at[i] = element<T>(i, random);
  }
  return array;
}

/// A range of random step that fits an axis.
Range random_range(std::uint64_t extent, Random& random) {
  Range range;
  if (extent == 0 || random() % 4 == 0) {
    return range;
  }
  range.first = random() % extent;
  constexpr std::int64_t steps[] = {1, 1, 1, 2, 7, -1, -3};
  range.step = steps[random() % std::size(steps)];
  if (random() % 8 != 0) {
    const std::uint64_t step = static_cast<std::uint64_t>(std::abs(range.step));
    const std::uint64_t most = (range.step > 0 ? extent - 1 - range.first : range.first) / step + 1;
    range.count = random() % (most + 1);
  }
  return range;
}

/// Compares a part, read as To, with the elements of the whole array at the positions of the box.
template <class To, class T, std::size_t Rank>
void expect_part(const Array<To, Rank>& part, const Array<T, Rank>& whole, const std::vector<Range>& box) {
  ASSERT_TRUE(part.is_dense(Order::row_major));
  std::array<std::uint64_t, Rank> index{};
  const std::uint64_t count = part.size();
  for (std::uint64_t n = 0; n < count; ++n) {
    std::int64_t place = 0;
    for (std::size_t axis = 0; axis < Rank; ++axis) {
      const Range range = axis < box.size() ? box[axis] : Range{};
      place += (static_cast<std::int64_t>(range.first) + static_cast<std::int64_t>(index[axis]) * range.step) *
               whole.strides()[axis];
    }
    if (!(part.data()[n] == To(whole.data()[place]))) {
      FAIL() << "element " << n << " of " << count;
    }
    for (std::size_t axis = Rank; axis-- > 0 && ++index[axis] == part.shape()[axis];) {
      index[axis] = 0;
    }
  }
}

/// Random boxes and choices of rows of `array` in `file`, read as To.
template <class To, class T, std::size_t Rank>
void expect_parts(const File& file, std::string_view path, const Array<T, Rank>& array, int rounds, unsigned seed) {
  const LazyArray<To, Rank> lazy = file.array<To, Rank>(path);
  ASSERT_EQ(lazy.shape(), array.shape());
  Random random(seed);
  for (int round = 0; round < rounds; ++round) {
    std::vector<Range> box;
    for (std::size_t axis = 0; axis < random() % (Rank + 1); ++axis) {
      box.push_back(random_range(array.shape()[axis], random));
    }
    std::string text;
    for (const Range& range : box) {
      text += std::to_string(range.first) + ":" + std::to_string(range.count) + ":" + std::to_string(range.step) + " ";
    }
    SCOPED_TRACE(std::string(path) + " box " + text);
    expect_part(lazy.read(box), array, box);
    if (testing::Test::HasFatalFailure()) {
      return;
    }
  }
  if constexpr (Rank > 0) {
    if (array.empty()) {
      return;
    }
    std::vector<std::uint64_t> rows(random() % 20);
    for (std::uint64_t& row : rows) {
      row = random() % array.shape()[0];
    }
    const Array<To, Rank> gathered = lazy.gather(rows);
    ASSERT_EQ(gathered.shape()[0], rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Array<To, Rank> row = gathered.slice(i, i + 1);
      expect_part(row.clone(), array, {Range{rows[i], 1}});
      if (testing::Test::HasFatalFailure()) {
        ADD_FAILURE() << path << " row " << i;
        return;
      }
    }
  }
}

struct Arrays {
  Array<float, 2> rows = filled<float, 2>({3001, 37});
  Array<double, 2> columns = filled<double, 2>({501, 43}, Order::column_major);
  Array<std::int32_t, 4> volume = filled<std::int32_t, 4>({7, 11, 13, 17});
  Array<std::int64_t, 1> line = filled<std::int64_t, 1>({200'003});
  Array<std::complex<float>, 2> waves = filled<std::complex<float>, 2>({300, 70});
  Array<bool, 2> flags = filled<bool, 2>({999, 33});
  Array<Point, 1> points = filled<Point, 1>({4321});
  Array<std::uint8_t, 3> image = filled<std::uint8_t, 3>({64, 64, 3});
  Array<float, 2> small = filled<float, 2>({5, 4});
  Array<float, 1> none = filled<float, 1>({0});
  Array<float, 2> no_columns = filled<float, 2>({50, 0});
  Array<double, 0> scalar = filled<double, 0>({});
  Array<float, 2> turned = rows.transposed();
  Array<float, 2> part = rows.slice(100, 200);
  Array<std::int64_t, 1> backwards = Array<std::int64_t, 1>(line.buffer(), line.data() + 100'000, {1000}, {-7});
};

template <class Use>
void for_each_array(const Arrays& a, Use&& use) {
  use("rows", a.rows);
  use("columns", a.columns);
  use("volume", a.volume);
  use("line", a.line);
  use("waves", a.waves);
  use("flags", a.flags);
  use("points", a.points);
  use("image", a.image);
  use("small", a.small);
  use("none", a.none);
  use("no_columns", a.no_columns);
  use("scalar", a.scalar);
  use("turned", a.turned);
  use("part", a.part);
  use("backwards", a.backwards);
}

void expect_all_parts(const File& file, const Arrays& arrays, unsigned seed) {
  for_each_array(arrays, [&]<class T, std::size_t Rank>(std::string_view path, const Array<T, Rank>& array) {
    expect_parts<T>(file, path, array, test::sanitized ? 1 : 3, seed);
  });
  expect_parts<double>(file, "rows", arrays.rows, 2, seed);
  expect_parts<double>(file, "turned", arrays.turned, 2, seed);
  expect_parts<std::int64_t>(file, "volume", arrays.volume, 2, seed);
  expect_parts<std::complex<double>>(file, "waves", arrays.waves, 2, seed);
}

TEST(LazyArray, PartsEqualThoseOfTheWholeInEveryCodecAndEncoding) {
  const Arrays arrays;
  const Folder folder;
  unsigned seed = 0;
  for (const std::string& codec : test::codecs()) {
    std::vector<const char*> filters{"none"};
    if (codec == "zlib") {
      filters = {"none", "auto", "narrow+delta+shuffle", "palette", "shuffle", "narrow+bitshuffle", "delta"};
    } else if (codec != "plain") {
      filters.push_back("auto");
    }
    for (const char* const filter : filters) {
      SCOPED_TRACE(codec + " " + filter);
      const std::string path = folder / "arrays";
      save(arrays, path, {.codec = codec, .filter = filter});
      for (const unsigned threads : {1U, 3U}) {
        expect_all_parts(open(path, {.threads = threads}), arrays, ++seed);
      }
    }
  }
}

TEST(LazyArray, PartsOfMappedFilesSourcesAndArchivesInLargerFiles) {
  const Arrays arrays;
  const Folder folder;
  const std::string path = folder / "arrays";
  save(arrays, path);
  for (const MapMode mode : {MapMode::read_only, MapMode::copy_on_write, MapMode::read_write}) {
    expect_all_parts(open(path, {.map = mode}), arrays, 5);
  }
  expect_all_parts(open(std::make_unique<test::OwnedSource>(test::content(path))), arrays, 6);
  test::Data larger(12'345, std::byte{7});
  test::operator+=(larger, test::content(path));
  test::operator+=(larger, test::Data(100, std::byte{9}));
  test::put(folder / "larger", larger);
  expect_all_parts(open(folder / "larger", {.offset = 12'345}), arrays, 7);
}

TEST(LazyArray, RowsOfAnArrayThatGrewBatchByBatch) {
  const Folder folder;
  const Array<float, 2> rows = filled<float, 2>({5000, 133});
  std::vector<std::int64_t> line(70'001);
  std::iota(line.begin(), line.end(), -5);
  for (const std::string& codec : test::codecs()) {
    SCOPED_TRACE(codec);
    const std::string path = folder / "grown";
    {
      MapWriter out(path, {.codec = codec});
      auto features = out.grow<float>("features", {133});
      for (std::uint64_t first = 0; first < 5000;) {
        const std::uint64_t last = std::min<std::uint64_t>(5000, first + 1 + first % 700);
        features.append(rows.slice(first, last));
        first = last;
      }
      features.close();
      auto numbers = out.grow<std::int64_t>("numbers");
      for (std::size_t first = 0; first < line.size(); first += 1000) {
        numbers.append(std::span(line).subspan(first, std::min<std::size_t>(1000, line.size() - first)));
      }
      numbers.close();
      out.grow<double>("empty", {3}).close();
      out.close();
    }
    const File file = open(path);
    expect_parts<float>(file, "features", rows, 5, 3);
    expect_parts<double>(file, "features", rows, 2, 4);
    EXPECT_EQ(file.array("empty").shape(), (Shape{0, 3}));
    const Entry entry = file.list({.path = "features"})[0];
    EXPECT_EQ(entry.shape, (Shape{5000, 133}));
    EXPECT_EQ(entry.bytes, 4U * 5000 * 133);
    EXPECT_EQ(entry.encoding, codec == "plain" ? "raw" : "pieces");
    EXPECT_EQ(file.info().pieced_arrays, codec == "plain" ? 0U : 1U);  // the others are small enough to be ordinary
    file.verify();
    struct Grown {
      Array<float, 2> features;
      std::vector<std::int64_t> numbers;
      Array<double, 2> empty;
    };
    for (const auto& grown : {load<Grown>(path), file.load<Grown>(), from_bytes<Grown>(test::content(path))}) {
      EXPECT_EQ(grown.features, rows);
      EXPECT_EQ(grown.numbers, line);
      EXPECT_EQ(grown.empty.shape()[1], 3U);
    }
    save(load<Value>(path), folder / "whole");  // as `stele convert` does
    EXPECT_EQ(open(folder / "whole").list({.path = "features"})[0].encoding, "raw");
  }
}

/// An archive without listed arrays, with another directory.
test::Data relisted(Bytes archive, const std::function<void(Directory&)>& change) {
  const auto end = archive.last<frozen::trailer_bytes>();
  Trailer trailer = decode_trailer(end, archive.size() - frozen::trailer_bytes);
  Directory directory =
      decode_directory(archive.subspan(trailer.directory_offset, trailer.directory_length), trailer.directory_offset);
  change(directory);
  const test::Data item = encode_directory(directory);
  test::Data bytes(archive.begin(), archive.begin() + static_cast<std::ptrdiff_t>(trailer.directory_offset));
  test::operator+=(bytes, item);
  trailer.directory_length = item.size();
  trailer.directory_checksum = xxh3_64(item);
  trailer.structure_checksum = xxh3_64(bytes);
  trailer.total_length = bytes.size() + frozen::trailer_bytes;
  return test::operator+=(bytes, encode_trailer(trailer));
}

TEST(LazyArray, ADirectoryThatNamesOtherPiecesIsDamaged) {
  const Array<float, 2> rows = filled<float, 2>({5000, 133});
  const Folder folder;
  {
    MapWriter out(folder / "grown.gz");
    auto grown = out.grow<float>("rows", {133});
    grown.append(rows);
    grown.close();
    out.close();
  }
  test::Data plain;  // as another tool decompresses it
  {
    const Codecs codecs;
    const auto stored = decompressing_source(file_source(folder / "grown.gz"), codecs.get("gzip"));
    std::vector<std::byte> piece(1 << 20);
    while (const std::size_t n = stored->read(piece)) {
      plain.insert(plain.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(n));
    }
  }
  using Whole = std::map<std::string, Array<float, 2>>;
  ASSERT_EQ(from_bytes<Whole>(plain).at("rows"), rows);
  const std::function<void(PiecesEntry&)> lies[] = {
      [](PiecesEntry& entry) { ++entry.sizes[0], --entry.sizes[1]; },
      [](PiecesEntry& entry) { entry.sizes.pop_back(); },
      [](PiecesEntry& entry) { entry.sizes[2] = 1 << 30; },
      [](PiecesEntry& entry) { entry.sizes[1] = 0; },
      [](PiecesEntry& entry) { ++entry.begin, --entry.sizes.back(); },
      [](PiecesEntry& entry) { entry.header = entry.begin; },
      [](PiecesEntry& entry) { entry.sizes.back() -= 4 * 133; },
  };
  for (std::size_t i = 0; i < std::size(lies); ++i) {
    SCOPED_TRACE(i);
    const test::Data lying = relisted(plain, [&](Directory& directory) { lies[i](directory.pieces[0]); });
    for (const Verify verify : {Verify::none, Verify::full}) {
      const LoadOptions options{.verify = verify};
      EXPECT_ERROR(from_bytes<Whole>(lying, options), Errc::damaged, "");
      EXPECT_ERROR(open(memory_source(lying), options).verify(), Errc::damaged, "");
    }
    EXPECT_THROW((open(memory_source(lying)).array<float, 2>("rows").read({})), Error);
    test::put(folder / "lying", lying);
    EXPECT_ERROR(load<Whole>(folder / "lying"), Errc::damaged, "");
  }
  const test::Data unlisted = relisted(plain, [](Directory& directory) { directory.pieces.clear(); });
  EXPECT_EQ(from_bytes<Whole>(unlisted).at("rows"), rows);
  EXPECT_EQ((open(memory_source(unlisted)).array<float, 2>("rows").rows(4321, 300)), rows.slice(4321, 4621));
}

TEST(LazyArray, KnowsWhatIsStored) {
  const Arrays arrays;
  const Folder folder;
  save(arrays, folder / "plain");
  const File plain = open(folder / "plain");
  const AnyLazyArray columns = plain.array("columns");
  EXPECT_EQ(columns.dtype(), DType(DType::Kind::float64));
  EXPECT_EQ(columns.shape(), (Shape{501, 43}));
  EXPECT_EQ(columns.order(), Order::column_major);
  EXPECT_EQ(columns.encoding(), "raw");
  EXPECT_EQ(plain.array("turned").encoding(), "view");
  save(arrays, folder / "encoded.zst", {.filter = "shuffle"});
  EXPECT_EQ(open(folder / "encoded.zst").array("columns").encoding(), "shuffle");
}

TEST(LazyArray, ARecordFieldThatIsNotStoredKeepsItsDefault) {
  const Array<Point, 1> points = filled<Point, 1>({4321});
  const Folder folder;
  for (const char* name : {"points", "points.gz"}) {
    save(points, folder / name);
    const auto lazy = open(folder / name).array<WiderPoint, 1>();
    const Array<WiderPoint, 1> some = lazy.read({Range{4000, 100, -3}});
    for (std::uint64_t i = 0; i < 100; ++i) {
      const Point& point = points[4000 - 3 * i];
      EXPECT_EQ(some[i], (WiderPoint{point.x, point.id, 7}));
    }
  }
}

TEST(LazyArray, ArraysOfOtherWriters) {
  const test::Data big =
      test::wrap(test::hex("82"
                           "d841 46 0102 0304 0506"                                  // uint16, big-endian
                           "d828 82 8202 03 8601 02 20 04 05 fb3fe0000000000000"));  // numbers
  const File file = open(memory_source(big));
  const auto numbers = file.array<std::uint32_t, 1>("0");
  EXPECT_EQ(numbers.read({Range{1, 2}})[0], 0x0304U);
  EXPECT_EQ(numbers.read({Range{2, 2, -2}})[1], 0x0102U);
  const auto items = file.array<double, 2>("1");
  EXPECT_EQ(items.rows(1, 1)(0, 2), 0.5);
  EXPECT_EQ(items.gather({1, 0})(1, 2), -1);
}

TEST(LazyArray, OutlivesItsFileAndServesSeveralThreads) {
  const Folder folder;
  const Array<float, 2> rows = filled<float, 2>({20'000, 64});
  save(rows, folder / "rows.zst");
  const auto lazy = open(folder / "rows.zst", {.threads = 2}).array<float, 2>();
  std::vector<std::jthread> threads;
  for (unsigned seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      Random random(seed);
      for (int i = 0; i < 20; ++i) {
        const std::uint64_t first = random() % 15'000;
        EXPECT_EQ(lazy.rows(first, 5000), rows.slice(first, first + 5000));
      }
    });
  }
}

TEST(LazyArray, BatchesAreAllRowsInOrder) {
  const Folder folder;
  const Array<float, 2> rows = filled<float, 2>({10'007, 16});
  for (const char* name : {"rows", "rows.zst"}) {
    save(rows, folder / name);
    const auto lazy = open(folder / name).array<double, 2>();
    for (const std::uint64_t count : {1000U, 1U, 10'007U, 20'000U}) {
      std::uint64_t first = 0;
      for (const Array<double, 2>& batch : lazy.batches(count)) {
        const std::uint64_t last = std::min<std::uint64_t>(first + count, 10'007);
        ASSERT_EQ(batch.shape()[0], last - first);
        ASSERT_EQ(batch(0, 15), rows(first, 15));
        ASSERT_EQ(batch(last - first - 1, 3), rows(last - 1, 3));
        first = last;
      }
      EXPECT_EQ(first, 10'007U);
    }
    EXPECT_ERROR(lazy.batches(0), Errc::invalid_argument, "batches of no rows");
    for (const Array<double, 2>& batch : lazy.batches(10)) {  // the loop may end early
      EXPECT_EQ(batch.shape()[0], 10U);
      break;
    }
  }
  const auto none = to_bytes(Array<float, 2>({0, 5}));
  for (const Array<float, 2>& batch : open(memory_source(none)).array<float, 2>().batches(7)) {
    FAIL() << batch.shape()[0];
  }
}

TEST(LazyArray, DamageIsFoundWhereChecksumsReach) {
  const Folder folder;
  const Array<float, 2> rows = filled<float, 2>({5000, 33});
  const std::vector<float> few(200, 3);
  struct Both {
    Array<float, 2> rows;
    std::vector<float> few;
  };
  save(Both{rows, few}, folder / "whole");
  const test::Data whole = test::content(folder / "whole");
  const File file = open(folder / "whole");
  const std::uint64_t at = file.list({.path = "rows"})[0].offset;
  test::Data damaged = whole;
  damaged[at + 4 * 33 * 4000] ^= std::byte{1};
  test::put(folder / "damaged", damaged);
  const auto checked = open(folder / "damaged", {.verify = Verify::full}).array<float, 2>("rows");
  EXPECT_ERROR(checked.rows(0, 1), Errc::damaged, "rows");
  EXPECT_ERROR(checked.rows(4000, 1), Errc::damaged, "checksum");  // each time
  damaged = whole;
  damaged[file.list({.path = "few"})[0].offset + 8] ^= std::byte{1};
  test::put(folder / "damaged", damaged);
  EXPECT_ERROR(open(folder / "damaged").array("few").read({}), Errc::damaged, "few");
  save(rows, folder / "rows.zst");
  damaged = test::content(folder / "rows.zst");
  damaged[damaged.size() / 2] ^= std::byte{1};
  test::put(folder / "damaged.zst", damaged);
  EXPECT_ERROR((open(folder / "damaged.zst").array<float, 2>().rows(0, 5000)), Errc::damaged, "damaged.zst");
}

TEST(LazyArray, ViewsThatRepeatElements) {
  struct Views {
    Array<float, 2> base = filled<float, 2>({2, 3});
    Array<float, 2> rows = view({100, 3}, {0, 1});
    Array<float, 2> columns = view({2, 400}, {3, 0});
    Array<float, 2> one = view({1, 1}, {-500, 1000});
    Array<float, 2> row = view({1, 3}, {777, 1});
    Array<float, 2> nothing = view({0, 9}, {50, 60});
    Array<float, 2> view(std::array<std::uint64_t, 2> shape, std::array<std::int64_t, 2> strides) const {
      return Array<float, 2>(base.buffer(), base.data(), shape, strides);
    }
  };
  const Views views;
  const Folder folder;
  for (const char* name : {"views", "views.gz"}) {
    save(views, folder / name);
    const Views loaded = load<Views>(folder / name);
    const File file = open(folder / name);
    file.verify();
    const auto compare = [&](const char* path, const Array<float, 2>& before, const Array<float, 2>& after) {
      EXPECT_EQ(before, after) << path;
      expect_parts<float>(file, path, before, 4, 1);
    };
    compare("base", views.base, loaded.base);
    compare("rows", views.rows, loaded.rows);
    compare("columns", views.columns, loaded.columns);
    compare("one", views.one, loaded.one);
    compare("row", views.row, loaded.row);
    compare("nothing", views.nothing, loaded.nothing);
  }
}

TEST(LazyArray, ReadsIntoMemoryOfTheCallers) {
  const Array<float, 2> rows = filled<float, 2>({100, 30});
  const auto bytes = to_bytes(rows);
  const auto lazy = open(memory_source(bytes)).array<float, 2>();
  std::vector<float> column(100);
  lazy.read({Range{}, Range{29, 1}}, column);
  for (std::uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(column[i], rows(i, 29));
  }
  EXPECT_ERROR(lazy.read({Range{}, Range{29, 1}}, std::span(column).first(99)), Errc::invalid_argument, "room of 396");
}

TEST(LazyArray, RefusesWhatIsNotThere) {
  const Arrays arrays;
  const Folder folder;
  save(arrays, folder / "arrays.gz");
  const File file = open(folder / "arrays.gz");
  EXPECT_ERROR(file.array("nothing"), Errc::not_found, "nothing");
  EXPECT_ERROR(file.array(), Errc::type_mismatch, "an array");
  EXPECT_ERROR((file.array<float, 3>("rows")), Errc::type_mismatch,
               "expected float32[?, ?, ?], found float32[3001, 37]");
  EXPECT_ERROR((file.array<std::int32_t, 2>("rows")), Errc::type_mismatch, "int32");
  const auto rows = file.array<float, 2>("rows");
  EXPECT_ERROR(rows.rows(3000, 2), Errc::out_of_range, "rows");
  EXPECT_ERROR(rows.rows(3001, 1), Errc::out_of_range, "from 3001");
  EXPECT_EQ(rows.rows(3001, 0).size(), 0U);
  EXPECT_EQ(rows.read({Range{3001}}).size(), 0U);
  EXPECT_ERROR(rows.read({Range{3002}}), Errc::out_of_range, "3002");
  EXPECT_ERROR(rows.read({Range{0, 2, 0}}), Errc::invalid_argument, "step of 0");
  EXPECT_ERROR(rows.read({Range{5, 7, -1}}), Errc::out_of_range, "from 5");
  EXPECT_ERROR(rows.read({Range{}, Range{}, Range{}}), Errc::invalid_argument, "3 ranges");
  constexpr std::int64_t far = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(rows.read({Range{7, 1, far}})(0, 3), arrays.rows(7, 3));
  EXPECT_EQ(rows.read({Range{7, Range::rest, -far - 1}})(0, 3), arrays.rows(7, 3));
  EXPECT_EQ((file.array<float, 1>("none").read({Range{0, Range::rest, -1}}).size()), 0U);
  EXPECT_ERROR(rows.gather({0, 3001}), Errc::out_of_range, "row 3001");
  EXPECT_ERROR(file.array("scalar").gather({}, DType::Kind::float64, {}), Errc::invalid_argument, "rank 0");
  const File bounded = open(folder / "arrays.gz", {.limits = {.allocation = 100'000}});
  EXPECT_ERROR((bounded.array<float, 2>("rows").rows(0, 1000)), Errc::limit_exceeded, "allocation");
  EXPECT_EQ((bounded.array<float, 2>("rows").rows(0, 500).size()), 500U * 37);
  EXPECT_ERROR((bounded.array<double, 2>("rows").rows(0, 500)), Errc::limit_exceeded, "float64[500, 37]");
  EXPECT_EQ((bounded.array<float, 2>("rows").gather({3000, 5})(0, 1)), arrays.rows(3000, 1));
}

}  // namespace
}  // namespace stele
