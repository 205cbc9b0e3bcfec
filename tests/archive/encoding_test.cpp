// Encoded arrays in compressed archives: chosen automatically or by name, loaded in every way, damaged and forged.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "encoding/encoding.hpp"
#include "stele/codec.hpp"
#include "stele/eigen.hpp"
#include "stele/stele.hpp"
#include "stele/value.hpp"
#include "support/hand_made.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

std::vector<float> weights(std::size_t count, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.02F);
  std::vector<float> values(count);
  for (float& value : values) {
    value = normal(random);
  }
  return values;
}

struct Everything {
  std::vector<float> weights;
  std::vector<double> prices;        // few distinct ones
  std::vector<std::int64_t> counts;  // small
  std::vector<std::int32_t> times;   // ascending
  std::vector<std::complex<float>> waves;
  Eigen::MatrixXd columns;
  Array<std::uint16_t, 3> volume;
  std::vector<bool> flags;
  std::string name;
  std::vector<std::uint8_t> noise;

  friend bool operator==(const Everything& a, const Everything& b) {
    return a.weights == b.weights && a.prices == b.prices && a.counts == b.counts && a.times == b.times &&
           a.waves == b.waves && a.columns == b.columns && a.volume.shape() == b.volume.shape() &&
           std::equal(a.volume.data(), a.volume.data() + a.volume.size(), b.volume.data()) && a.flags == b.flags &&
           a.name == b.name && a.noise == b.noise;
  }
};

Everything everything() {
  std::mt19937 random(3);
  Everything all;
  all.weights = weights(600'001);
  all.name = "all";
  for (int i = 0; i < 60'003; ++i) {
    all.prices.push_back(0.01 * static_cast<double>(random() % 300));
    all.counts.push_back(static_cast<std::int64_t>(random() % 100) + 1'000'000'000'000);
    all.times.push_back((i > 0 ? all.times.back() : 0) + static_cast<std::int32_t>(random() % 1000));
    all.waves.emplace_back(std::sin(static_cast<float>(i) / 100), std::cos(static_cast<float>(i) / 50));
    all.flags.push_back(random() % 10 == 0);
  }
  all.columns.resize(1001, 23);
  for (Eigen::Index i = 0; i < all.columns.size(); ++i) {
    all.columns.data()[i] = std::sin(static_cast<double>(i) / 1000) + 1e-9 * static_cast<double>(random() % 1000);
  }
  all.volume = Array<std::uint16_t, 3>({30, 50, 70});
  for (std::size_t i = 0; i < all.volume.size(); ++i) {
    all.volume.mutable_data()[i] = static_cast<std::uint16_t>(random() % 4000);
  }
  all.noise.resize(50'000);
  for (auto& value : all.noise) {
    value = static_cast<std::uint8_t>(random());
  }
  return all;
}

std::map<std::string, std::string> encodings(const std::string& path) {
  std::map<std::string, std::string> found;
  for (const Entry& entry : open(path).list()) {
    if (entry.kind == Kind::array) {
      found[entry.path] = entry.encoding;
    }
  }
  return found;
}

class Encoded : public testing::TestWithParam<std::string> {};
std::vector<std::string> compressing() {
  std::vector<std::string> names = test::codecs();
  names.erase(names.begin());  // plain
  return names;
}
INSTANTIATE_TEST_SUITE_P(, Encoded, testing::ValuesIn(compressing()), [](const auto& name) { return name.param; });

TEST_P(Encoded, RoundTripsInEveryWayOfLoading) {
  const Everything all = everything();
  const Codecs codecs;
  const int level = codecs.find(GetParam())->levels().lowest;
  save(all, "all", {.codec = GetParam(), .level = level, .filter = "auto", .threads = 2});
  const auto found = encodings("all");
  EXPECT_NE(found.at("weights"), "raw");
  EXPECT_NE(found.at("prices").find("palette"), std::string::npos) << found.at("prices");
  EXPECT_NE(found.at("counts").find("narrow"), std::string::npos) << found.at("counts");
  EXPECT_EQ(found.at("noise"), "raw");
  EXPECT_EQ(load<Everything>("all"), all);
  EXPECT_EQ(load<Everything>("all", {.threads = 1}), all);
  {
    std::ifstream stream("all", std::ios::binary);
    EXPECT_EQ(load<Everything>(stream), all);
    EXPECT_EQ(stream.peek(), std::ifstream::traits_type::eof());
  }
  const File file = open("all");
  file.verify();
  EXPECT_EQ(file.load<std::vector<float>>("weights"), all.weights);
  EXPECT_EQ(file.load<std::vector<std::int64_t>>("counts"), all.counts);
  EXPECT_EQ(file.load<Eigen::MatrixXd>("columns"), all.columns);
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  EXPECT_EQ(file.load<RowMajor>("columns"), all.columns);
  const auto widened = file.load<std::vector<double>>("times");
  EXPECT_TRUE(std::equal(widened.begin(), widened.end(), all.times.begin(), all.times.end()));
  const auto shared = file.load<Array<float, 1>>("weights");
  EXPECT_TRUE(std::equal(shared.data(), shared.data() + shared.size(), all.weights.begin(), all.weights.end()));
}

TEST_P(Encoded, SameBytesOnAnyNumberOfThreads) {
  const Everything all = everything();
  const Codecs codecs;
  const int level = codecs.find(GetParam())->levels().lowest;
  const auto one = to_bytes(all, {.codec = GetParam(), .level = level, .threads = 1});
  EXPECT_TRUE(one == to_bytes(all, {.codec = GetParam(), .level = level, .threads = 3}));
}

TEST(Encoding, EveryNameRoundTripsForEveryType) {
  const Everything all = everything();
  for (const char* first : {"", "narrow", "palette"}) {
    for (const char* delta : {"", "delta"}) {
      for (const char* last : {"", "shuffle", "bitshuffle"}) {
        std::string name;
        for (const char* stage : {first, delta, last}) {
          name += name.empty() || *stage == 0 ? stage : std::string("+") + stage;
        }
        if (name.empty()) {
          name = "none";
        }
        const auto bytes = to_bytes(all, {.codec = "gzip", .level = 1, .filter = name});
        EXPECT_EQ(from_bytes<Everything>(bytes), all) << name;
      }
    }
  }
}

struct Point {
  double x = 0;
  double y = 0;
  double z = 0;
  bool operator==(const Point&) const = default;
};

TEST(Encoding, BlocksOfItemsOf24BytesAreNotTooLargeForTheCodec) {
  const Codecs codecs;
  for (const std::size_t bytes : {std::size_t{1} << 20, std::size_t{8} << 20, std::size_t{33} << 20}) {
    std::vector<Point> points(bytes / sizeof(Point) + 1);
    for (std::size_t i = 0; i < points.size(); ++i) {
      points[i] = {static_cast<double>(i), static_cast<double>(i / 2), 1};
    }
    for (const char* codec : {"lz4", "zlib", "zstd", "bzip2"}) {
      const bool slow = std::string_view(codec) == "bzip2" && bytes > std::size_t{1} << 20;
      if (slow || codecs.find(codec) == nullptr) {
        continue;
      }
      for (const unsigned threads : {1U, 3U}) {
        save(points, "points", {.codec = codec, .level = 1, .filter = "shuffle", .threads = threads});
        EXPECT_EQ(load<std::vector<Point>>("points", {.threads = threads}), points) << codec << " " << bytes;
      }
    }
  }
}

TEST(Encoding, StridedInputsAreEncodedAsIfDense) {
  Eigen::MatrixXf whole(400, 300);
  for (Eigen::Index i = 0; i < whole.size(); ++i) {
    whole.data()[i] = std::sin(static_cast<float>(i) / 300);
  }
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const RowMajor block = whole.block(10, 20, 350, 211);
  const auto dense = to_bytes(block, {.codec = "gzip", .filter = "delta+bitshuffle"});
  const auto strided = to_bytes(whole.block(10, 20, 350, 211), {.codec = "gzip", .filter = "delta+bitshuffle"});
  EXPECT_EQ(from_bytes<Eigen::MatrixXf>(strided), block);
  EXPECT_TRUE(dense == strided);
}

TEST(Encoding, PlainArchivesHaveNone) {
  save(weights(100'000), "plain.stele");
  EXPECT_EQ(encodings("plain.stele").at(""), "raw");
  {
    const Error error = test::error_of([&] { save(weights(10), "plain.stele", {.filter = "shuffle"}); });
    EXPECT_EQ(error.code(), Errc::invalid_argument);
  }
  {
    const Error error = test::error_of([&] { save(weights(10), "x.gz", {.filter = "shuffled"}); });
    EXPECT_EQ(error.code(), Errc::invalid_argument);
    EXPECT_NE(error.message().find("shuffled"), std::string::npos) << error.message();
  }
  EXPECT_FALSE(std::filesystem::exists("x.gz"));
}

TEST(Encoding, SmallArraysStayAsTheyAre) {
  save(weights(2000), "small.gz", {.filter = "shuffle"});
  EXPECT_EQ(encodings("small.gz").at(""), "raw");
}

struct Views {
  Array<float, 1> weights;
};

/// The plain archive inside of a gzip file, still encoded.
void decompress_to(const std::string& from, const std::string& to) {
  const Codecs codecs;
  const auto source = decompressing_source(file_source(from), *codecs.find("gzip"));
  const auto sink = file_sink(to);
  std::vector<std::byte> piece(100'000);
  while (const std::size_t size = source->read(piece)) {
    sink->write(std::span(piece).first(size));
  }
  sink->close();
}

TEST(Encoding, MappingOneNamesIt) {
  std::map<std::string, std::vector<float>> arrays{{"weights", weights(50'000)}};
  save(arrays, "encoded.gz", {.filter = "shuffle"});
  decompress_to("encoded.gz", "encoded.stele");
  EXPECT_EQ((load<std::map<std::string, std::vector<float>>>("encoded.stele")), arrays);
  EXPECT_EQ(open("encoded.stele").load<std::vector<float>>("weights"), arrays["weights"]);
  {
    const Error error = test::error_of([&] { load<Views>("encoded.stele", {.map = MapMode::read_only}); });
    EXPECT_EQ(error.code(), Errc::not_mappable);
    EXPECT_EQ(error.path(), "weights");
    EXPECT_NE(error.message().find("shuffle"), std::string::npos) << error.message();
  }
}

TEST(Encoding, SharedBuffersStayShared) {
  struct Two {
    Array<std::int64_t, 1> a;
    Array<std::int64_t, 1> b;
  };
  Two two{Array<std::int64_t, 1>({100'000}), {}};
  for (std::size_t i = 0; i < two.a.size(); ++i) {
    two.a.mutable_data()[i] = static_cast<std::int64_t>(i % 77);
  }
  two.b = two.a;
  save(two, "two.gz", {.filter = "auto"});
  EXPECT_NE(encodings("two.gz").at("a"), "raw");
  const Two back = load<Two>("two.gz");
  EXPECT_EQ(back.a.data(), back.b.data());
  EXPECT_EQ(back.a(76), 76);
}

struct Layer {
  std::string name;
  std::vector<std::complex<double>> waves;
  Eigen::MatrixXf columns;
  bool operator==(const Layer&) const = default;
};
struct Model {
  std::vector<Layer> layers;
  Array<std::int32_t, 2> whole;
  Array<std::int32_t, 2> part;  // of `whole`
  Array<std::int32_t, 2> turned;
  std::shared_ptr<std::vector<float>> first;
  std::shared_ptr<std::vector<float>> second;
  std::vector<float> plain;  // too small to be encoded
};

Model model() {
  Model made;
  for (int layer = 0; layer < 3; ++layer) {
    Layer& one = made.layers.emplace_back();
    one.name = "layer " + std::to_string(layer);
    for (int i = 0; i < 20'001; ++i) {
      one.waves.emplace_back(std::sin(i / 100.0 + layer), i);
    }
    one.columns = Eigen::VectorXf::LinSpaced(301 * 101, 0, 1).reshaped(301, 101);
  }
  made.whole = Array<std::int32_t, 2>({500, 301});
  for (std::size_t i = 0; i < made.whole.size(); ++i) {
    made.whole.mutable_data()[i] = static_cast<std::int32_t>(i % 1000);
  }
  made.part = made.whole.slice(10, 490);
  made.turned = made.whole.transposed();
  made.first = made.second = std::make_shared<std::vector<float>>(weights(70'000));
  made.plain = {1, 2, 3};
  return made;
}

bool same(const Array<std::int32_t, 2>& a, const Array<std::int32_t, 2>& b) {
  if (a.shape() != b.shape()) {
    return false;
  }
  for (std::size_t i = 0; i < a.shape()[0]; ++i) {
    for (std::size_t j = 0; j < a.shape()[1]; ++j) {
      if (a(i, j) != b(i, j)) {
        return false;
      }
    }
  }
  return true;
}

/// Every array of a model, each by its path.
void expect_parts(const File& file, const Model& made) {
  for (int layer = 2; layer >= 0; --layer) {
    const Layer& one = made.layers[static_cast<std::size_t>(layer)];
    const std::string path = "layers/" + std::to_string(layer);
    EXPECT_EQ(file.load<std::vector<std::complex<double>>>(path + "/waves"), one.waves);
    EXPECT_EQ(file.load<Eigen::MatrixXf>(path + "/columns"), one.columns);
    EXPECT_EQ(file.load<Eigen::MatrixXd>(path + "/columns"), one.columns.cast<double>());
    EXPECT_EQ(file.load<Layer>(path), one);
    EXPECT_EQ(from_bytes<std::vector<std::complex<double>>>(to_bytes(file.load<Value>(path + "/waves"))), one.waves);
  }
  EXPECT_EQ(*file.load<std::shared_ptr<std::vector<float>>>("second"), *made.second);
  EXPECT_EQ(file.load<std::vector<float>>("first"), *made.first);
  EXPECT_TRUE(same(file.load<Array<std::int32_t, 2>>("turned"), made.turned));
  EXPECT_TRUE(same(file.load<Array<std::int32_t, 2>>("part"), made.part));
  EXPECT_TRUE(same(file.load<Array<std::int32_t, 2>>("whole"), made.whole));
  EXPECT_EQ(file.load<std::vector<float>>("plain"), made.plain);
}

void expect_same(const Model& a, const Model& b) {
  EXPECT_EQ(a.layers, b.layers);
  EXPECT_TRUE(same(a.whole, b.whole));
  EXPECT_TRUE(same(a.part, b.part));
  EXPECT_TRUE(same(a.turned, b.turned));
  EXPECT_EQ(a.part.data(), a.whole.data() + std::ptrdiff_t{10} * 301);
  EXPECT_EQ(*a.first, *b.first);
  EXPECT_EQ(a.first, a.second);
}

TEST(Encoding, PartsOfEverythingLoadWithEveryCheckOnAnyNumberOfThreads) {
  const Model made = model();
  save(made, "model.gz", {.filter = "delta+shuffle"});
  decompress_to("model.gz", "model.stele");
  for (const auto& [path, encoding] : encodings("model.gz")) {
    const bool encoded = path != "plain" && path != "part" && path != "turned" && path != "second";
    EXPECT_EQ(encoding == "delta+shuffle", encoded) << path << " " << encoding;
  }
  for (const char* file : {"model.gz", "model.stele"}) {
    for (const Verify verify : {Verify::automatic, Verify::none, Verify::directory, Verify::full}) {
      for (const unsigned threads : {1U, 4U}) {
        SCOPED_TRACE(file);
        const LoadOptions options{.verify = verify, .threads = threads};
        expect_same(load<Model>(file, options), made);
        expect_parts(open(file, options), made);
        open(file, options).verify();
        std::ifstream stream(file, std::ios::binary);
        expect_same(load<Model>(stream, options), made);
        // A Value keeps everything.
        save(load<Value>(file, options), "value.gz", {.filter = "bitshuffle"});
        expect_same(load<Model>("value.gz", options), made);
      }
    }
  }
}

TEST(Encoding, ArchivesOneAfterAnother) {
  const Model made = model();
  for (const std::string codec : {"gzip", "plain"}) {
    std::ofstream out("several", std::ios::binary);
    {
      Writer writer(out, {.codec = codec, .filter = codec == "plain" ? "auto" : "shuffle"});
      for (int i = 0; i < 3; ++i) {
        writer.write(made);
      }
      writer.close();
    }
    out << "after";
    out.close();
    std::ifstream in("several", std::ios::binary);
    Reader reader(in);
    for (int i = 0; i < 3; ++i) {
      expect_same(reader.read<Model>(), made);
    }
    std::string rest;
    in >> rest;
    EXPECT_EQ(rest, "after") << codec;
  }
}

TEST(Encoding, MappedForWritingOneCanBeReadAndUpdated) {
  struct Both {
    std::vector<float> encoded;
    Array<std::uint8_t, 1> raw;
  };
  Both both{weights(50'000), Array<std::uint8_t, 1>({10'000})};
  std::mt19937 random(9);
  std::generate_n(both.raw.mutable_data(), both.raw.size(), [&] { return static_cast<std::uint8_t>(random()); });
  save(both, "both.gz");
  decompress_to("both.gz", "both.stele");
  EXPECT_NE(encodings("both.stele").at("encoded"), "raw");
  EXPECT_EQ(encodings("both.stele").at("raw"), "raw");
  {
    File file = open("both.stele", {.map = MapMode::read_write});
    auto raw = file.load<Array<std::uint8_t, 1>>("raw");
    raw.mutable_data()[77] ^= 1;
    EXPECT_EQ(test::error_of([&] { (void)file.load<Array<float, 1>>("encoded"); }).code(), Errc::not_mappable);
    file.flush();
  }
  open("both.stele").verify();
  const Both back = load<Both>("both.stele");
  EXPECT_EQ(back.encoded, both.encoded);
  EXPECT_EQ(back.raw(77), both.raw(77) ^ 1);
}

TEST(Encoding, ValuesAndDescriptionsSeeTheElements) {
  const std::vector<std::int64_t> numbers(50'000, 7);
  save(numbers, "numbers.gz", {.filter = "narrow"});
  const Value value = load<Value>("numbers.gz");
  EXPECT_EQ(hash(value), hash(load<Value>([&] {
              save(numbers, "numbers.stele");
              return "numbers.stele";
            }())));
}

// ---- damage ----

TEST(Encoding, FlippedBytesAreFound) {
  std::mt19937 random(5);
  std::vector<double> values;
  for (int i = 0; i < 30'000; ++i) {
    values.push_back(static_cast<double>(random() % 50));
  }
  for (const char* filter : {"shuffle", "palette", "palette+bitshuffle", "delta+shuffle"}) {
    save(values, "encoded.gz", {.filter = filter});
    decompress_to("encoded.gz", "encoded.stele");
    const test::Data good = test::content("encoded.stele");
    for (int i = 0; i < 200; ++i) {
      test::Data bad = good;
      bad[random() % bad.size()] ^= static_cast<std::byte>(1 << random() % 8);
      test::put("bad.stele", bad);
      EXPECT_THROW(load<std::vector<double>>("bad.stele"), Error) << filter;
      EXPECT_THROW(open("bad.stele").load<std::vector<double>>(""), Error) << filter;
      EXPECT_THROW(open("bad.stele").verify(), Error) << filter;
    }
  }
}

// ---- by hand ----

using test::array_item;
using test::bytes_item;
using test::Data;
using test::operator+=;
using test::natural_item;
using test::tag;
using test::text_item;

/// tag_encoded_array of [dtype, items, description, bytes].
Data encoded_item(std::string_view dtype, std::uint64_t items, const Data& description, const Data& bytes) {
  return tag(frozen::tag_encoded_array,
             array_item({text_item(dtype), natural_item(items), description, bytes_item(bytes)}));
}

template <class T>
std::vector<T> loaded(const Data& root) {
  return from_bytes<std::vector<T>>(test::wrap(root));
}

TEST(Encoding, ReadsWhatIsMadeByHand) {
  const Data shuffle = array_item({text_item("shuffle"), natural_item(64)});
  EXPECT_EQ(loaded<std::uint16_t>(encoded_item("<u2", 3, shuffle, test::hex("01 02 03 10 20 30"))),
            (std::vector<std::uint16_t>{0x1001, 0x2002, 0x3003}));
  const Data narrow = array_item({text_item("narrow"), natural_item(64), natural_item(1), natural_item(1000)});
  EXPECT_EQ(loaded<std::int64_t>(encoded_item("<i8", 3, narrow, test::hex("00 05 ff"))),
            (std::vector<std::int64_t>{1000, 1005, 1255}));
  const Data palette = array_item({text_item("palette"), natural_item(64), bytes_item(test::hex("0000803f 00000040"))});
  EXPECT_EQ(loaded<float>(encoded_item("<f4", 4, palette, test::hex("01 00 00 01"))), (std::vector<float>{2, 1, 1, 2}));
  EXPECT_EQ(loaded<float>(encoded_item("<f4", 0, palette, {})), std::vector<float>{});
  // As a matrix, and shared.
  const Data matrix =
      tag(frozen::tag_column_major, array_item({array_item({natural_item(2), natural_item(2)}),
                                                encoded_item("<f4", 4, palette, test::hex("01 00 00 01"))}));
  EXPECT_EQ(from_bytes<Eigen::MatrixXf>(test::wrap(matrix)), (Eigen::MatrixXf(2, 2) << 2, 1, 1, 2).finished());
  const Data twice = array_item({tag(frozen::tag_shareable, encoded_item("<i8", 3, narrow, test::hex("00 05 ff"))),
                                 tag(frozen::tag_shared_reference, natural_item(0))});
  using Pair = std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>>;
  EXPECT_EQ(from_bytes<Pair>(test::wrap(twice)).second, (std::vector<std::int64_t>{1000, 1005, 1255}));
}

TEST(Encoding, RefusesWhatContradictsItself) {
  const Data shuffle = array_item({text_item("shuffle"), natural_item(64)});
  const Data unknown = array_item({text_item("rotate"), natural_item(64)});
  const Data six = test::hex("01 02 03 10 20 30");
  const auto code = [&](const Data& root) { return test::error_of([&] { loaded<std::uint16_t>(root); }).code(); };
  EXPECT_EQ(code(encoded_item("<u2", 3, unknown, six)), Errc::unsupported);
  EXPECT_EQ(code(encoded_item("<u2", 2, shuffle, six)), Errc::malformed);
  EXPECT_EQ(code(encoded_item("<u2", 4, shuffle, six)), Errc::malformed);
  EXPECT_EQ(code(encoded_item("<u2", std::uint64_t{1} << 63 | 3, shuffle, six)), Errc::malformed);
  EXPECT_EQ(code(encoded_item("<u2", (std::uint64_t{1} << 62) + 3, shuffle, six)), Errc::malformed);
  EXPECT_EQ(code(encoded_item(">u2", 3, shuffle, six)), Errc::unsupported);
  EXPECT_EQ(code(encoded_item("<u2", 3, array_item({text_item("shuffle"), natural_item(63)}), six)), Errc::malformed);
  EXPECT_EQ(code(encoded_item("<u2", 3, array_item({text_item("shuffle"), natural_item(0)}), six)), Errc::malformed);
  EXPECT_EQ(code(encoded_item("<u2", 3, array_item({text_item("shuffle"), natural_item(std::uint64_t{1} << 40)}), six)),
            Errc::unsupported);
  EXPECT_EQ(code(encoded_item("<u2", 3, array_item({text_item("shuffle")}), six)), Errc::malformed);
  EXPECT_EQ(code(encoded_item("<u2", 3, text_item("shuffle"), six)), Errc::malformed);
  const Data palette = array_item({text_item("palette"), natural_item(64), bytes_item(test::hex("0100 0200"))});
  EXPECT_EQ(code(encoded_item("<u2", 3, palette, test::hex("00 01 02"))), Errc::damaged);
  const Data no_table = array_item({text_item("palette"), natural_item(64)});
  EXPECT_EQ(code(encoded_item("<u2", 3, no_table, test::hex("00 01 02"))), Errc::malformed);
  const Data odd_table = array_item({text_item("palette"), natural_item(64), bytes_item(test::hex("0100 02"))});
  EXPECT_EQ(code(encoded_item("<u2", 3, odd_table, test::hex("00 01 00"))), Errc::malformed);
  const Data wide = array_item({text_item("narrow"), natural_item(64), natural_item(4), natural_item(0)});
  EXPECT_EQ(code(encoded_item("<u2", 1, wide, test::hex("00 00 00 00"))), Errc::malformed);
  // No stage, a parameter too few, parameters that its stages do not have.
  EXPECT_EQ(code(encoded_item("<u2", 3, array_item({text_item("raw"), natural_item(64)}), six)), Errc::unsupported);
  EXPECT_EQ(code(encoded_item("<u2", 3, array_item({text_item(""), natural_item(64)}), six)), Errc::unsupported);
  EXPECT_EQ(code(encoded_item("<u2", 3, array_item({text_item("narrow"), natural_item(64)}), test::hex("00 01 02"))),
            Errc::malformed);
  EXPECT_EQ(code(encoded_item(
                "<u2", 3, array_item({text_item("shuffle"), natural_item(64), natural_item(1), natural_item(0)}), six)),
            Errc::malformed);
  EXPECT_EQ(code(encoded_item(
                "<u2", 3, array_item({text_item("shuffle"), natural_item(64), bytes_item(test::hex("0100"))}), six)),
            Errc::malformed);
  // A shape of other elements.
  const Data matrix =
      tag(frozen::tag_row_major,
          array_item({array_item({natural_item(2), natural_item(2)}), encoded_item("<u2", 3, shuffle, six)}));
  EXPECT_EQ(test::error_of([&] { from_bytes<Eigen::Matrix<std::uint16_t, -1, -1>>(test::wrap(matrix)); }).code(),
            Errc::malformed);
}

TEST(Encoding, AClaimOfManyItemsTakesNoMemory) {
  // 2^40 items in 2^40 bytes that are not there.
  const Data narrow = array_item({text_item("narrow"), natural_item(64), natural_item(1), natural_item(0)});
  Data root = tag(frozen::tag_encoded_array);
  root += test::head(cbor::Major::array, 4);
  root += text_item("<i8");
  root += natural_item(std::uint64_t{1} << 40);
  root += narrow;
  root += test::head(cbor::Major::bytes, std::uint64_t{1} << 40);
  const Data file = test::wrap(root);
  EXPECT_EQ(test::error_of([&] { from_bytes<std::vector<std::int64_t>>(file); }).code(), Errc::truncated);
  test::TrickleSource source(file, 1000);
  Reader reader(source);
  EXPECT_THROW(reader.read<std::vector<std::int64_t>>(), Error);
}

}  // namespace
}  // namespace stele
