// Mapped archives: the three modes, which changes reach the file, and what keeps the memory alive.

#include <sys/resource.h>

#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <thread>

#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::content;
using test::counting;
using test::Data;
using test::error_of;
using test::Folder;

struct Layer {
  std::string name;
  Array<float, 2> weights;
  std::vector<double> bias;
  Array<std::int16_t> small;
};
struct Model {
  std::vector<Layer> layers;
  std::map<std::string, double> metrics;
};

Model model(std::size_t layers) {
  Model made;
  for (std::size_t i = 0; i < layers; ++i) {
    Layer layer;
    layer.name = "layer " + std::to_string(i);
    layer.weights = counting<float, 2>({50 + i, 40});
    layer.weights.mutable_at(0, 0) = static_cast<float>(i);
    layer.bias = test::numbers<double>(600, static_cast<unsigned>(i));
    layer.small = counting<std::int16_t, 1>({10});
    made.layers.push_back(std::move(layer));
  }
  made.metrics = {{"loss", 0.5}};
  return made;
}

void expect_equal(const Model& a, const Model& b) {
  ASSERT_EQ(a.layers.size(), b.layers.size());
  for (std::size_t i = 0; i < a.layers.size(); ++i) {
    EXPECT_EQ(a.layers[i].name, b.layers[i].name);
    EXPECT_TRUE(a.layers[i].weights == b.layers[i].weights) << i;
    EXPECT_EQ(a.layers[i].bias, b.layers[i].bias);
    EXPECT_TRUE(a.layers[i].small == b.layers[i].small) << i;
  }
  EXPECT_EQ(a.metrics, b.metrics);
}

/// How often a file is mapped into this process.
std::size_t mappings_of(const std::string& path) {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += line.ends_with(path) ? 1 : 0;
  }
  return count;
}

class Mapped : public testing::Test {
 protected:
  Folder folder;
  std::string path = folder / "m.stele";
};

/// Why map_all refuses to read a T.
template <class T>
std::string refused(const std::string& path, const std::string& part = {}) {
  const LoadOptions options{.map = MapMode::read_only, .map_all = true};
  const Error error = error_of([&] { part.empty() ? load<T>(path, options) : open(path, options).load<T>(part); });
  EXPECT_EQ(error.code(), Errc::not_mappable) << error.what();
  return error.what();
}

TEST_F(Mapped, ACopyOfAListedArrayIsRefusedWhereAllAreToBeMapped) {
  const auto has = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  struct Copied {
    std::string name;
    std::vector<float> weights;
  };
  struct Taken {
    std::string name;
    Array<float> weights;
  };
  const std::string all = folder / "all.stele";
  save(Copied{"m", test::numbers<float>(2000)}, all);
  const LoadOptions options{.map = MapMode::read_only, .map_all = true};
  EXPECT_FALSE(load<Taken>(all, options).weights.writable());
  EXPECT_FALSE(open(all, options).load<Array<float>>("weights").writable());
  EXPECT_FALSE(load<Value>(all, options)["weights"].array().buffer()->writable());
  has(refused<Copied>(all), "weights: the array would be copied");
  has(refused<std::vector<float>>(all, "weights"), "owns its memory");
  has(refused<Array<double>>(all, "weights"), "float32");
  has(refused<std::list<float>>(all, "weights"), "item by item");
  // Small ones are always copied.
  save(Copied{"m", std::vector<float>(1000)}, all);
  EXPECT_EQ(load<Copied>(all, options).weights.size(), 1000U);
  // Encoded, in pieces, or without a mapping
  if (!test::has_codec("gzip")) {
    GTEST_SKIP();
  }
  const std::string packed = folder / "packed.stele.gz";
  save(std::vector<std::int64_t>(20'000, 3), packed, {.filter = "narrow"});
  const std::string encoded = folder / "encoded.stele";
  {
    const Codecs codecs;
    const auto plain = decompressing_source(file_source(packed), *codecs.find("gzip"));
    Data bytes(1 << 20);
    std::size_t size = 0;
    while (const std::size_t more = plain->read(std::span(bytes).subspan(size))) {
      size += more;
    }
    test::put(encoded, std::span(bytes).first(size));
  }
  has(refused<std::vector<std::int64_t>>(encoded), "encoded (narrow)");
  std::ostringstream stream;
  {
    const auto pipe = stream_sink(stream);
    MapWriter writer(*pipe);
    auto rows = writer.grow<double>("grown");
    rows.append(test::numbers<double>(200'000));
    rows.close();
    writer.close();
  }
  const std::string pieces = folder / "pieces.stele";
  test::put(pieces, std::as_bytes(std::span(stream.view())));
  has(refused<Array<double>>(pieces, "grown"), "in pieces");
  has(error_of([&] { from_bytes<std::vector<float>>(to_bytes(test::numbers<float>(2000)), {.map_all = true}); }).what(),
      "the input is not mapped");
}

TEST_F(Mapped, ListingTellsWhatCanBeMapped) {
  struct Parts {
    Array<float> large, part;
    std::vector<float> small;
    std::string text;
  };
  Parts parts{Array<float>({3000}), {}, std::vector<float>(10), std::string(5000, 'x')};
  parts.part = parts.large.slice(5, 2000);
  const std::string path = folder / "parts.stele";
  save(parts, path);
  const auto mappable = [](const std::string& file, const LoadOptions& options = {}) {
    std::map<std::string, bool> found;
    for (const Entry& entry : open(file, options).list()) {
      found[entry.path] = entry.mappable;
    }
    return found;
  };
  const std::map<std::string, bool> expected{
      {"", false}, {"large", true}, {"part", true}, {"small", false}, {"text", false}};
  EXPECT_EQ(mappable(path), expected);
  EXPECT_EQ(mappable(path, {.map = MapMode::read_only, .map_all = true}), expected);
  if (test::has_codec("gzip")) {
    save(parts, folder / "parts.stele.gz", {.filter = "none"});
    EXPECT_FALSE(mappable(folder / "parts.stele.gz").at("large"));
  }
  test::Data moved(3);
  const test::Data plain = test::content(path);
  moved.insert(moved.end(), plain.begin(), plain.end());
  test::put(folder / "moved", moved);
  EXPECT_FALSE(mappable(folder / "moved", {.offset = 3}).at("large"));
}

TEST_F(Mapped, AGrownArrayOfAFileIsMapped) {
  const std::string path = folder / "grown.stele";
  MapWriter writer(path);
  auto rows = writer.grow<double>("grown", Shape{3});
  for (int i = 0; i < 500; ++i) {
    rows.append(std::vector<double>{0.5 * i, 1, 2});
  }
  rows.close();
  writer.close();
  auto grown = open(path, {.map = MapMode::read_only, .map_all = true}).load<Array<double, 2>>("grown");
  EXPECT_FALSE(grown.writable());
  EXPECT_EQ(grown(499, 0), 249.5);
  EXPECT_TRUE(open(path).list().at(1).mappable);
}

TEST_F(Mapped, ReadOnly) {
  const Model saved = model(5);
  save(saved, path);
  Model mapped = load<Model>(path, {.map = MapMode::read_only});
  expect_equal(mapped, saved);
  EXPECT_FALSE(mapped.layers[2].weights.writable());
  EXPECT_TRUE(mapped.layers[2].small.writable());
  EXPECT_EQ(mappings_of(path), 1U);
  EXPECT_EQ(error_of([&] { mapped.layers[2].weights.mutable_data(); }).code(), Errc::read_only);
  EXPECT_EQ(error_of([&] { (void)mapped.layers[2].weights.mutable_span(); }).code(), Errc::read_only);
  EXPECT_EQ(error_of([&] { mapped.layers[2].weights.mutable_at(0, 0) = 1; }).code(), Errc::read_only);
  EXPECT_EQ(mapped.layers[2].weights.span().size(), 52U * 40);
  mapped.layers[2].small.mutable_at(0) = 5;
  auto copy = mapped.layers[2].weights.clone();
  copy.mutable_at(0, 0) = 9;
  mapped = {};
  EXPECT_EQ(mappings_of(path), 0U);
}

TEST_F(Mapped, ArraysAreAlignedAndOutliveTheFile) {
  save(model(30), path);
  std::optional<File> file(open(path, {.map = MapMode::read_only}));
  std::vector<Array<float, 2>> arrays;
  for (int i = 0; i < 30; ++i) {
    arrays.push_back(file->load<Array<float, 2>>("layers/" + std::to_string(i) + "/weights"));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arrays.back().data()) % 64, 0U) << i;
    EXPECT_FALSE(arrays.back().writable());
  }
  const auto part = file->load<Layer>("layers/7");
  EXPECT_EQ(part.weights.data(), arrays[7].data());
  EXPECT_EQ(mappings_of(path), 1U);
  file.reset();
  std::filesystem::remove(path);
  const Model again = model(30);
  for (std::size_t i = 0; i < 30; ++i) {
    EXPECT_TRUE(arrays[i] == again.layers[i].weights);
  }
  arrays.resize(1);
  EXPECT_EQ(mappings_of(path + " (deleted)"), 1U);
}

TEST_F(Mapped, CopyOnWriteNeverReachesTheFile) {
  save(model(3), path);
  const Data before = content(path);
  {
    File file = open(path, {.map = MapMode::copy_on_write});
    auto weights = file.load<Array<float, 2>>("layers/1/weights");
    EXPECT_TRUE(weights.writable());
    weights.mutable_at(3, 4) = 4711;
    weights.mutable_data()[0] = -1;
    auto other = file.load<Array<float, 2>>("layers/1/weights");
    EXPECT_EQ(other(3, 4), 4711);
    EXPECT_EQ(error_of([&] { file.flush(); }).code(), Errc::read_only);
  }
  EXPECT_EQ(content(path), before);
  {
    auto mapped = load<Model>(path, {.map = MapMode::copy_on_write});
    mapped.layers[0].weights.mutable_at(0, 0) = 99;
  }
  EXPECT_EQ(content(path), before);
}

TEST_F(Mapped, ReadWriteReachesTheFileOnFlush) {
  Model expected = model(4);
  save(expected, path);
  {
    File file = open(path, {.map = MapMode::read_write});
    auto weights = file.load<Array<float, 2>>("layers/1/weights");
    ASSERT_TRUE(weights.writable());
    weights.mutable_at(3, 4) = 4711;
    file.flush();
    open(path).verify();
    EXPECT_EQ((open(path).load<Array<float, 2>>("layers/1/weights"))(3, 4), 4711);
    weights.mutable_at(3, 5) = 4712;
    auto last = file.load<Array<float, 2>>("layers/3/weights");
    last.mutable_at(0, 0) = -3;
    file.flush();
  }
  expected.layers[1].weights.mutable_at(3, 4) = 4711;
  expected.layers[1].weights.mutable_at(3, 5) = 4712;
  expected.layers[3].weights.mutable_at(0, 0) = -3;
  open(path).verify();
  expect_equal(load<Model>(path), expected);
  expect_equal(load<Model>(path, {.map = MapMode::read_only, .verify = Verify::full}), expected);
}

TEST_F(Mapped, TheLastUserOfAReadWriteMappingUpdatesTheChecksums) {
  Model expected = model(4);
  save(expected, path);
  {
    std::optional<Array<float, 2>> kept;
    {
      File file = open(path, {.map = MapMode::read_write});
      kept = file.load<Array<float, 2>>("layers/2/weights");
    }
    kept->mutable_at(1, 1) = 12345;
  }
  expected.layers[2].weights.mutable_at(1, 1) = 12345;
  expect_equal(load<Model>(path), expected);
  {
    Model whole = load<Model>(path, {.map = MapMode::read_write});
    whole.layers[0].weights.mutable_at(7, 7) = -7;
  }
  expected.layers[0].weights.mutable_at(7, 7) = -7;
  open(path).verify();
  expect_equal(load<Model>(path), expected);
}

TEST_F(Mapped, ReadWriteKeepsALargeStructureValid) {
  // beyond 64 KiB the directory checks the structure in segments
  std::vector<std::pair<std::string, Array<double>>> value;
  for (int i = 0; i < 300; ++i) {
    value.emplace_back(std::string(1000, static_cast<char>('a' + i % 26)), counting<double, 1>({600}));
  }
  save(value, path);
  {
    File file = open(path, {.map = MapMode::read_write});
    auto array = file.load<Array<double>>("123/1");
    array.mutable_at(5) = 1e9;
    file.flush();
    EXPECT_EQ(file.load<std::string>("299/0"), value[299].first);
  }
  value[123].second.mutable_at(5) = 1e9;
  open(path).verify();
  EXPECT_TRUE((load<decltype(value)>(path)) == value);
  EXPECT_EQ(open(path).load<std::string>("299/0"), value[299].first);
}

TEST_F(Mapped, WhatIsNotInTheMappingIsNotWritable) {
  save(counting<std::int8_t, 1>({6000}), path);
  // a copy in another type: changes could not reach the file
  const auto wide = load<Array<int>>(path, {.map = MapMode::read_write});
  EXPECT_EQ(wide(5), 5);
  EXPECT_TRUE((load<Array<std::int8_t>>(path, {.map = MapMode::read_write})).writable());
}

TEST_F(Mapped, AnArchiveInsideALargerFile) {
  const Model saved = model(4);
  const Data archive = to_bytes(saved);
  for (const std::size_t offset : {1U, 8U, 64U, 100U, 4096U, 12345U}) {
    Data file(offset, std::byte{0xd9});
    file.insert(file.end(), archive.begin(), archive.end());
    test::put(path, file);
    expect_equal(load<Model>(path, {.offset = offset}), saved);
    expect_equal(open(path, {.offset = offset}).load<Model>(), saved);
    expect_equal(load<Model>(path, {.map = MapMode::read_only, .offset = offset}), saved);
    expect_equal(open(path, {.map = MapMode::copy_on_write, .offset = offset}).load<Model>(), saved);
    file.insert(file.end(), 1000, std::byte{0x55});
    test::put(path, file);
    expect_equal(load<Model>(path, {.offset = offset}), saved);
    expect_equal(load<Model>(path, {.map = MapMode::read_only, .offset = offset}), saved);
    expect_equal(open(path, {.map = MapMode::read_only, .offset = offset}).load<Model>(), saved);
    if (offset % 64 == 0) {
      File inside = open(path, {.map = MapMode::read_write, .offset = offset});
      auto weights = inside.load<Array<float, 2>>("layers/2/weights");
      weights.mutable_at(5, 5) = 55;
      inside.flush();
      const auto changed = load<Model>(path, {.offset = offset});
      EXPECT_EQ(changed.layers[2].weights(5, 5), 55);
      const Data after = content(path);
      EXPECT_EQ(after.size(), file.size());
      EXPECT_TRUE(std::equal(after.begin(), after.begin() + static_cast<std::ptrdiff_t>(offset), file.begin()));
      EXPECT_TRUE(std::equal(after.end() - 1000, after.end(), file.end() - 1000));
    }
  }
  EXPECT_EQ(error_of([&] { load<Model>(path, {.offset = 1 << 30}); }).code(), Errc::invalid_argument);
  EXPECT_THROW(load<Model>(path, {.map = MapMode::read_only, .offset = 1 << 30}), Error);
  EXPECT_THROW(load<Model>(path, {.offset = 3}), Error);
  EXPECT_THROW(load<Model>(path, {.map = MapMode::read_only, .offset = 3}), Error);
}

TEST_F(Mapped, SeveralArchivesInOneFileReadWrite) {
  Model first = model(2);
  Model second = model(3);
  {
    Writer out(path);
    out.write(first);
    out.write(second);
    out.write(model(2));
    out.close();
  }
  try {
    Reader in(path, {.map = MapMode::read_write});
    auto a = in.read<Model>();
    auto b = in.read<Model>();
    auto c = in.read<Model>();
    EXPECT_EQ(c.layers.size(), 2U);
    // Writable elements reach the file with their checksum.
    if (a.layers[0].weights.writable()) {
      a.layers[0].weights.mutable_at(1, 2) = 12;
      first.layers[0].weights.mutable_at(1, 2) = 12;
    }
    if (b.layers[2].weights.writable()) {
      b.layers[2].weights.mutable_at(1, 2) = 21;
      second.layers[2].weights.mutable_at(1, 2) = 21;
    }
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::not_mappable);
  }
  Reader in(path);
  expect_equal(in.read<Model>(), first);
  expect_equal(in.read<Model>(), second);
  expect_equal(in.read<Model>(), model(2));
  EXPECT_FALSE(in.more());
}

TEST_F(Mapped, SeveralArchivesInOneFileReadOnly) {
  {
    Writer out(path);
    out.write(model(2));
    out.write(model(3));
    out.close();
  }
  Reader in(path, {.map = MapMode::read_only});
  const auto a = in.read<Model>();
  const auto b = in.read<Model>();
  EXPECT_FALSE(in.more());
  expect_equal(a, model(2));
  expect_equal(b, model(3));
  EXPECT_EQ(mappings_of(path), 1U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b.layers[2].weights.data()) % 64, 0U);
}

TEST_F(Mapped, WhatCannotBeMapped) {
  save(model(2), folder / "m.stele.gz");
  EXPECT_EQ(error_of([&] { load<Model>(folder / "m.stele.gz", {.map = MapMode::read_only}); }).code(),
            Errc::not_mappable);
  EXPECT_EQ(error_of([&] { open(folder / "m.stele.gz", {.map = MapMode::read_write}); }).code(), Errc::not_mappable);
  if (test::has_codec("zstd")) {
    save(model(2), folder / "m.stele.zst");
    EXPECT_EQ(error_of([&] { open(folder / "m.stele.zst", {.map = MapMode::copy_on_write}); }).code(),
              Errc::not_mappable);
  }
  EXPECT_EQ(error_of([&] { open(folder / "none", {.map = MapMode::read_only}); }).code(), Errc::not_found);
  test::put(path, {});
  EXPECT_THROW(open(path, {.map = MapMode::read_only}), Error);
  EXPECT_THROW(load<Model>(path, {.map = MapMode::read_only}), Error);
  EXPECT_THROW(open(folder.path(), {.map = MapMode::read_only}), Error);
  EXPECT_EQ(error_of([&] { open("/dev/null", {.map = MapMode::read_only}); }).code(), Errc::not_mappable);
  EXPECT_EQ(error_of([&] { open(memory_source({}), {.map = MapMode::read_only}); }).code(), Errc::not_mappable);
}

TEST_F(Mapped, AFileThatMayNotBeWrittenCanBeMappedForReading) {
  save(model(1), path);
  std::filesystem::permissions(path, std::filesystem::perms::owner_read);
  if (::geteuid() != 0) {
    EXPECT_EQ(error_of([&] { open(path, {.map = MapMode::read_write}); }).code(), Errc::io);
  }
  expect_equal(load<Model>(path, {.map = MapMode::copy_on_write}), model(1));
}

TEST_F(Mapped, VerifyDecidesWhatIsChecked) {
  save(model(3), path);
  const Data good = content(path);
  const auto entries = open(path).list();
  const auto weights =
      std::find_if(entries.begin(), entries.end(), [](const Entry& e) { return e.path == "layers/1/weights"; });
  ASSERT_NE(weights, entries.end());
  ASSERT_TRUE(weights->listed);
  const auto flip = [&](std::uint64_t at) {
    Data bad = good;
    bad[static_cast<std::size_t>(at)] ^= std::byte{1};
    test::put(path, bad);
  };
  const auto loads = [&](MapMode map, Verify verify) {
    try {
      load<Model>(path, {.map = map, .verify = verify});
      return true;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::damaged) << error.what();
      return false;
    }
  };
  flip(weights->offset + 100);
  EXPECT_TRUE(loads(MapMode::read_only, Verify::automatic));
  EXPECT_TRUE(loads(MapMode::read_only, Verify::directory));
  EXPECT_TRUE(loads(MapMode::none, Verify::directory));
  EXPECT_TRUE(loads(MapMode::none, Verify::none));
  EXPECT_FALSE(loads(MapMode::read_only, Verify::full));
  EXPECT_FALSE(loads(MapMode::none, Verify::automatic));
  EXPECT_FALSE(loads(MapMode::none, Verify::full));
  const File file = open(path, {.map = MapMode::read_only});
  EXPECT_EQ(error_of([&] { file.verify(); }).code(), Errc::damaged);
  const File full = open(path, {.map = MapMode::read_only, .verify = Verify::full});
  EXPECT_EQ(error_of([&] { full.load<Array<float, 2>>("layers/1/weights"); }).code(), Errc::damaged);
  EXPECT_EQ((full.load<Array<float, 2>>("layers/2/weights"))(0, 0), 2);
  const File read = open(path);
  EXPECT_EQ(error_of([&] { read.load<Array<float, 2>>("layers/1/weights"); }).code(), Errc::damaged);
  EXPECT_EQ((read.load<Array<float, 2>>("layers/2/weights"))(0, 0), 2);

  // the last letter of "layer 1"
  const std::string text = test::text_of(good);
  flip(text.find("layer 1") + 6);
  EXPECT_FALSE(loads(MapMode::none, Verify::automatic));
  EXPECT_FALSE(loads(MapMode::none, Verify::directory));
  EXPECT_FALSE(loads(MapMode::read_only, Verify::directory));
  EXPECT_FALSE(loads(MapMode::read_only, Verify::automatic));
  EXPECT_TRUE(loads(MapMode::none, Verify::none));
  EXPECT_TRUE(loads(MapMode::read_only, Verify::none));
}

TEST_F(Mapped, ViewsOfOneBufferShareTheMapping) {
  const auto grid = counting<float, 2>({100, 200});
  using Three = std::tuple<Array<float, 2>, Array<float, 2>, Array<float, 2>>;
  save(Three(grid, grid.transposed(), grid.slice(5, 7)), path);
  {
    auto [a, b, c] = load<Three>(path, {.map = MapMode::read_write});
    ASSERT_TRUE(b.writable());
    b.mutable_at(150, 6) = 77;
    EXPECT_EQ(a(6, 150), 77);
    EXPECT_EQ(c(1, 150), 77);
  }
  EXPECT_EQ((std::get<2>(load<Three>(path))(1, 150)), 77);
}

struct Row {
  double time = 0;
  float x = 0, y = 0;
  bool operator==(const Row&) const = default;
};

TEST_F(Mapped, RecordsAndColumnMajorArrays) {
  Array<Row> rows({1000});
  rows.mutable_at(7) = {1, 2, 3};
  const auto column = counting<double, 2>({40, 50}, Order::column_major);
  save(std::pair(rows, column), path);
  const auto back = load<std::pair<Array<Row>, Array<double, 2>>>(path, {.map = MapMode::read_only});
  EXPECT_TRUE(back.first == rows);
  EXPECT_TRUE(back.second == column);
  EXPECT_TRUE(back.second.is_dense(Order::column_major));
  EXPECT_FALSE(back.first.writable());
}

TEST_F(Mapped, AConversionIsACopy) {
  save(counting<float, 1>({5000}), path);
  const auto wide = load<Array<double>>(path, {.map = MapMode::read_only});
  EXPECT_EQ(wide(99), 99);
  EXPECT_EQ(mappings_of(path), 0U);
  const auto vector = load<std::vector<float>>(path, {.map = MapMode::read_only});
  EXPECT_EQ(vector.at(99), 99);
  EXPECT_EQ(mappings_of(path), 0U);
}

/// Lowers the number of descriptors that may be open.
class FewDescriptors {
 public:
  FewDescriptors() {
    getrlimit(RLIMIT_NOFILE, &old_);
    const rlimit few{64, old_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &old_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit old_{};
};

TEST_F(Mapped, AHundredThousandArraysTakeOneMappingAndOneDescriptor) {
  const FewDescriptors few;
  std::vector<Array<float>> small(100'000);
  for (std::size_t i = 0; i < small.size(); ++i) {
    small[i] = Array<float>({3});
    small[i].mutable_at(1) = static_cast<float>(i);
  }
  save(small, path);
  {
    const auto back = load<std::vector<Array<float>>>(path, {.map = MapMode::read_only});
    ASSERT_EQ(back.size(), small.size());
    EXPECT_EQ(back[99'999](1), 99'999);
    EXPECT_LE(mappings_of(path), 1U);
    const File file = open(path, {.map = MapMode::read_only});
    EXPECT_EQ((file.load<Array<float>>("54321"))(1), 54321);
  }
  std::vector<Array<float>> large(20'000);
  for (std::size_t i = 0; i < large.size(); ++i) {
    large[i] = Array<float>({1024});
    large[i].mutable_at(1) = static_cast<float>(i);
  }
  save(large, path);
  const auto back = load<std::vector<Array<float>>>(path, {.map = MapMode::read_only});
  ASSERT_EQ(back.size(), large.size());
  EXPECT_EQ(back[19'999](1), 19'999);
  EXPECT_FALSE(back[19'999].writable());
  EXPECT_EQ(mappings_of(path), 1U);
  std::vector<Array<float>> singly;
  const File file = open(path, {.map = MapMode::read_only});
  for (std::size_t i = 0; i < large.size(); ++i) {
    singly.push_back(file.load<Array<float>>(std::to_string(i)));
    ASSERT_EQ(singly.back()(1), static_cast<float>(i));
  }
  EXPECT_EQ(mappings_of(path), 2U);
}

TEST_F(Mapped, PartsLoadFromSeveralThreads) {
  const Model expected = model(40);
  save(expected, path);
  save(expected, folder / "m.stele.gz");
  std::vector<File> files;
  files.push_back(open(path, {.map = MapMode::read_only}));
  files.push_back(open(path));
  files.push_back(open(folder / "m.stele.gz"));
  for (const File& file : files) {
    std::vector<std::thread> threads;
    std::atomic<int> good = 0;
    for (std::size_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t i = 0; i < 40; ++i) {
          const std::size_t k = (i * 7 + t * 11) % 40;
          const auto layer = file.load<Layer>("layers/" + std::to_string(k));
          good += layer.weights == expected.layers[k].weights && layer.bias == expected.layers[k].bias ? 1 : 0;
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    EXPECT_EQ(good, 160);
  }
}

}  // namespace
}  // namespace stele
