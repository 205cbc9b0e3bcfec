// Other programs' files through save(), load(), open() and Reader: whatever the way, the same values.

#include "stele/interop.hpp"

#include <functional>
#include <map>

#include "interop/npy/npy.hpp"
#include "interop/npy/npz.hpp"
#include "interop/pickle/write/pickle_writer.hpp"
#include "interop/safetensors/safetensors.hpp"
#include "stele/codec.hpp"
#include "stele/stele.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::Data;
using test::Folder;
using test::operator+=;

const LoadOptions any{.formats = &neighbours()};

struct Weights {
  Array<float, 2> weight;
  Array<std::int64_t> ids;
};

Weights weights() {
  Weights value{Array<float, 2>::uninitialized({300, 40}), Array<std::int64_t>::uninitialized({1000})};
  for (std::uint64_t i = 0; i < 12'000; ++i) {
    value.weight.mutable_data()[i] = static_cast<float>(i) / 8;
  }
  for (std::int64_t i = 0; i < 1000; ++i) {
    value.ids.mutable_data()[i] = i * i;
  }
  return value;
}

void expect_weights(const Weights& found) {
  const Weights good = weights();
  ASSERT_EQ(found.weight.shape(), good.weight.shape());
  ASSERT_EQ(found.ids.shape(), good.ids.shape());
  EXPECT_TRUE(std::equal(found.weight.data(), found.weight.data() + 12'000, good.weight.data()));
  EXPECT_TRUE(std::equal(found.ids.data(), found.ids.data() + 1000, good.ids.data()));
}

class Formats : public testing::TestWithParam<const char*> {
 protected:
  std::string file(const std::string& codec = "") const {
    return folder / ("weights." + std::string(GetParam()) + codec);
  }
  Folder folder;
};

TEST_P(Formats, EveryWayOfReadingGivesTheSame) {
  save(weights(), file(), {.formats = &neighbours()});
  const Data bytes = test::content(file());
  ASSERT_FALSE(std::equal(bytes.begin(), bytes.begin() + 4, to_bytes(5).begin()));  // no archive
  expect_weights(load<Weights>(file(), any));
  for (const MapMode map : {MapMode::none, MapMode::read_only, MapMode::copy_on_write}) {
    for (const unsigned threads : {1U, 3U}) {
      const File opened = open(file(), {.map = map, .threads = threads, .formats = &neighbours()});
      expect_weights(opened.load<Weights>());
      EXPECT_EQ((opened.load<Array<float, 2>>("weight")(299, 39)), 11'999 / 8.0F);
      EXPECT_EQ((opened.load<std::vector<std::int64_t>>("ids")[30]), 900);
      const auto lazy = opened.array<double, 2>("weight");
      EXPECT_EQ(lazy.rows(100, 5)(4, 7), (104 * 40 + 7) / 8.0);
      EXPECT_EQ(lazy.gather({299, 0})(0, 1), (299 * 40 + 1) / 8.0);
      EXPECT_TRUE(opened.contains("ids"));
      EXPECT_FALSE(opened.contains("absent"));
      EXPECT_EQ(opened.list({.path = "weight"})[0].shape, (Shape{300, 40}));
      EXPECT_EQ(opened.list().size(), 3U);
      EXPECT_EQ(opened.info().arrays, 2U);
      EXPECT_EQ(opened.info().array_bytes, 56'000U);
      EXPECT_NO_THROW(opened.verify());
    }
  }
  expect_weights(open(memory_source(bytes), any).load<Weights>());
  Reader memory(bytes, any);
  expect_weights(memory.read<Weights>());
  EXPECT_FALSE(memory.more());
  test::TrickleSource pipe(bytes, 777);
  Reader in_order(pipe, any);
  expect_weights(in_order.read<Weights>());
  EXPECT_FALSE(in_order.more());
}

TEST_P(Formats, CompressedFilesAreRecognisedInside) {
  for (const char* codec : {".gz", ".xz", ".bz2", ".lz4", ".zst", ".z"}) {
    const Codecs codecs;
    if (codecs.by_extension(codec) == nullptr) {
      continue;
    }
    SCOPED_TRACE(codec);
    save(weights(), file(codec), {.formats = &neighbours()});
    expect_weights(load<Weights>(file(codec), any));
    expect_weights(open(file(codec), any).load<Weights>());
    EXPECT_ERROR(open(file(codec), {.map = MapMode::read_only, .formats = &neighbours()}), Errc::not_mappable,
                 "compressed");
    const Data bytes = test::content(file(codec));
    test::TrickleSource pipe(bytes, 777);
    expect_weights(load<Weights>(pipe, any));
  }
}

TEST_P(Formats, ArraysOfTwoLoadsAreTwo) {
  save(weights(), file(), {.formats = &neighbours()});
  const File opened = open(file(), any);
  auto first = opened.load<Array<std::int64_t>>("ids");
  const auto second = opened.load<Array<std::int64_t>>("ids");
  ASSERT_TRUE(first.writable());
  first.mutable_at(3) = -1;
  EXPECT_EQ(second(3), 9);
  EXPECT_EQ(opened.load<Array<std::int64_t>>("ids")(3), 9);
}

TEST_P(Formats, ACutFileIsAnErrorOnEveryWay) {
  save(weights(), file(), {.formats = &neighbours()});
  Data bytes = test::content(file());
  for (const std::size_t size : {bytes.size() - 1, bytes.size() / 2, std::size_t{20}}) {
    Data cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    test::put(file(), cut);
    EXPECT_THROW(load<Weights>(file(), any), Error) << size;
    EXPECT_THROW(open(file(), any).load<Weights>(), Error) << size;
    EXPECT_THROW(open(file(), {.map = MapMode::read_only, .formats = &neighbours()}).load<Weights>(), Error) << size;
    test::TrickleSource pipe(cut, 777);
    EXPECT_THROW(load<Weights>(pipe, any), Error) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(Neighbours, Formats, testing::Values("npz", "safetensors", "joblib", "pkl"),
                         [](const auto& test) { return std::string(test.param); });

TEST(Neighbours, ATreeIsTheSameWhetherItIsHandedOverOrRead) {
  const Folder folder;
  const Value::Anchor anchor = Value::make_anchor(1);
  const Value numbers(AnyArray::copy_of(ArrayView(DType::Kind::float64, std::vector<double>(5000, 2.5).data(), 5000)));
  const Value long_list = Value::make_shared(anchor, Value::make_sequence({Value(1), numbers}));
  const Value set = Value::make_sequence({Value("b"), Value("a")}, Ordering::unordered);
  const Value root = Value::make_map({{Value("first"), long_list},
                                      {Value("again"), Value::make_reference(anchor)},
                                      {Value("set"), set},
                                      {Value("array"), numbers}});
  for (const char* const name : {"tree.pkl", "tree.joblib"}) {
    const std::string file = folder / name;
    {
      const auto sink = file_sink(file);
      write_pickle(*sink, root, {.joblib = std::string_view(name) == "tree.joblib"});
      sink->close();
    }
    const auto handed = load<Value>(file, any);
    const auto parts = load<std::map<std::string, Value>>(file, any);
    const auto later = open(file, any).load<std::vector<double>>("again/1");
    EXPECT_EQ(later, std::vector<double>(5000, 2.5));
    EXPECT_EQ(handed["first"], parts.at("first"));
    EXPECT_TRUE(parts.at("again").is(ValueKind::shared)) << "a part has what is outside it, too";
    EXPECT_EQ(handed["again"].kind(), ValueKind::reference);
    EXPECT_EQ(handed["array"], parts.at("array"));
    for (const MapMode map : {MapMode::none, MapMode::read_only}) {
      EXPECT_EQ((open(file, {.map = map, .formats = &neighbours()}).load<Value>()), handed);
    }
    save(handed, folder / "tree.stele");
    const auto archived = load<Value>(folder / "tree.stele");
    EXPECT_EQ(archived, handed);
    EXPECT_EQ(hash(archived), hash(handed));
  }
}

// --- Arrays that are large enough for several threads
// -----------------------------------------------------------------

template <class T>
Value numbers(std::uint64_t count, const Shape& shape, Order order, T step) {
  std::vector<T> values(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    values[i] = static_cast<T>(static_cast<T>(i % 1'000'003) * step);
  }
  return AnyArray::copy_of(ArrayView(walk::dtype_of<T>(), values.data(), shape, order));
}

/// Sizes around that at which threads share the work, and that are no multiple of a page.
Value large_arrays() {
  constexpr std::uint64_t mebibyte = 1 << 20;
  return Value::make_map(
      {{Value("small"), numbers<float>(1000, {1000}, Order::row_major, 0.5F)},
       {Value("below"), numbers<double>(mebibyte - 1, {mebibyte - 1}, Order::row_major, 0.25)},
       {Value("rows"), numbers<double>(1'200'003, {400'001, 3}, Order::row_major, 0.25)},
       {Value("columns"), numbers<std::int32_t>(1'300'007 * 2, {1'300'007, 2}, Order::column_major, 3)},
       {Value("bytes"), numbers<std::uint8_t>(9 * mebibyte + 13, {9 * mebibyte + 13}, Order::row_major, 1)}});
}

void write_large(const Value& value, const std::string& file) {
  const Codecs codecs;
  const Codec* const codec = codecs.by_extension(file);
  const auto to = file_sink(file);
  const auto compressed = codec != nullptr ? compressing_sink(*to, *codec, 1) : nullptr;
  Sink& sink = compressed != nullptr ? *compressed : *to;
  if (file.find("deflated") != std::string::npos) {
    write_npz(sink, value, {.level = 1});
  } else if (file.find(".npz") != std::string::npos) {
    write_npz(sink, value);
  } else if (file.find(".safetensors") != std::string::npos) {
    write_safetensors(sink, value, {});
  } else {
    write_pickle(sink, value, {.joblib = file.find(".joblib") != std::string::npos});
  }
  if (compressed != nullptr) {
    compressed->close();
  }
  to->close();
}

Data all_of(const std::string& file) {  // much faster than test::content()
  const auto source = file_source(file);
  Data bytes(source->size().value());
  source->read_at(0, bytes);
  return bytes;
}

/// Reads the file on each way, and calls `look` with what does so.
template <class Look>
void on_every_way(const std::string& file, const Look& look) {
  const Data bytes = all_of(file);
  for (const unsigned threads : {1U, 3U}) {
    const LoadOptions options{.threads = threads, .formats = &neighbours()};
    LoadOptions mapping = options;
    mapping.map = MapMode::read_only;
    const std::string with = " with " + std::to_string(threads) + " threads";
    look("file" + with, [&] { return load<Value>(file, options); });
    look("parts" + with, [&] { return open(file, options).load<Value>(); });
    look("mapping" + with, [&] {
      try {
        return open(file, mapping).load<Value>();
      } catch (const Error& error) {
        if (error.code() != Errc::not_mappable) {  // compressed
          throw;
        }
        return load<Value>(file, options);
      }
    });
    look("memory" + with, [&] { return from_bytes<Value>(bytes, options); });
    look("pipe" + with, [&] {
      test::TrickleSource source(bytes, 100'000);
      return load<Value>(source, options);
    });
  }
}

class LargeArrays : public testing::TestWithParam<const char*> {};

TEST_P(LargeArrays, AreTheSameOnEveryWayAndWithAnyNumberOfThreads) {
  const Folder folder;
  const std::string file = folder / GetParam();
  const Value good = large_arrays();
  write_large(good, file);
  on_every_way(file, [&](const std::string& way, const auto& read) {
    const Value found = read();
    for (const char* const name : {"small", "below", "rows", "columns", "bytes"}) {
      ASSERT_NE(found.find(name), nullptr) << way;
      EXPECT_TRUE(*found.find(name) == *good.find(name)) << name << ", " << way;
    }
  });
}

TEST_P(LargeArrays, DamageIsAnErrorOnEveryWay) {
  const Folder folder;
  const std::string file = folder / GetParam();
  write_large(large_arrays(), file);
  const Data good = all_of(file);
  Data cut(good.begin(), good.end() - static_cast<std::ptrdiff_t>(good.size() / 3));
  test::put(file, cut);
  on_every_way(file, [&](const std::string& way, const auto& read) {
    const Errc code = test::error_of([&] { (void)read(); }).code();
    EXPECT_TRUE(code == Errc::truncated || code == Errc::damaged || code == Errc::malformed) << way;
  });
  const std::string name = GetParam();
  if (name.find(".npz") == std::string::npos && name.find(".z") == std::string::npos) {
    return;  // no checksums
  }
  Data damaged = good;
  damaged[good.size() / 2] ^= std::byte{4};
  test::put(file, damaged);
  on_every_way(file, [&](const std::string& way, const auto& read) {
    if (way.starts_with("mapping") || way.starts_with("parts")) {
      return;  // what is mapped is compared when asked for
    }
    const Errc code = test::error_of([&] { (void)read(); }).code();
    EXPECT_TRUE(code == Errc::truncated || code == Errc::damaged || code == Errc::malformed) << way;
  });
}

INSTANTIATE_TEST_SUITE_P(Neighbours, LargeArrays,
                         testing::Values("large.npz", "large.deflated.npz", "large.safetensors", "large.joblib",
                                         "large.joblib.z", "large.npz.zst", "large.pkl"),
                         [](const auto& info) {
                           std::string name(info.param);
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST(Neighbours, WhetherAnArrayIsMappedIsListed) {
  const Folder folder;
  const Value value = large_arrays();
  write_large(value, folder / "x.npz");
  write_large(value, folder / "x.deflated.npz");
  write_large(value, folder / "x.joblib");
  write_large(value, folder / "x.joblib.z");
  for (const char* const name : {"x.npz", "x.deflated.npz", "x.joblib", "x.joblib.z"}) {
    const std::string text(name);
    const bool maps = text == "x.npz" || text == "x.joblib";
    for (const Entry& entry : open(folder / name, any).list()) {
      if (entry.kind == Kind::array) {
        EXPECT_EQ(entry.mappable, maps) << name << " " << entry.path;
        EXPECT_EQ(entry.offset != 0, maps) << name << " " << entry.path;
      }
    }
  }
}

TEST(Neighbours, AnArrayAloneIsANpyFile) {
  const Folder folder;
  save(weights().weight, folder / "w.npy", {.formats = &neighbours()});
  EXPECT_EQ((load<Array<float, 2>>(folder / "w.npy", any)(2, 3)), 83 / 8.0F);
  const auto mapped =
      open(folder / "w.npy", {.map = MapMode::read_only, .formats = &neighbours()}).load<Array<float, 2>>();
  EXPECT_FALSE(mapped.writable());
  EXPECT_EQ(mapped(299, 0), 299 * 40 / 8.0F);
  EXPECT_ERROR(save(weights(), folder / "w.npy", {.formats = &neighbours()}), Errc::unsupported, "one array");
  EXPECT_EQ((load<Array<float, 2>>(folder / "w.npy", any)(2, 3)), 83 / 8.0F);  // the old file is whole
}

TEST(Neighbours, WhatAFormatCannotHoldIsRefusedBeforeAnythingIsWritten) {
  const Folder folder;
  const std::map<std::string, std::string> texts{{"name", "text"}};
  EXPECT_ERROR(save(texts, folder / "t.npz", {.formats = &neighbours()}), Errc::unsupported, "name");
  EXPECT_ERROR(save(texts, folder / "t.safetensors", {.formats = &neighbours()}), Errc::unsupported, "name");
  EXPECT_ERROR(load<Value>(folder / "t.npz", any), Errc::not_found, "t.npz");
  const std::map<std::string, std::vector<bfloat16>> narrow{{"w", std::vector<bfloat16>(5)}};
  EXPECT_ERROR(save(narrow, folder / "t.npz", {.formats = &neighbours()}), Errc::unsupported, "w");
  EXPECT_ERROR(save(narrow, folder / "t.joblib", {.formats = &neighbours()}), Errc::unsupported, "w");
  EXPECT_NO_THROW(save(narrow, folder / "t.safetensors", {.formats = &neighbours()}));
  EXPECT_EQ((load<std::map<std::string, std::vector<bfloat16>>>(folder / "t.safetensors", any).at("w").size()), 5U);
}

TEST(Neighbours, AreLeftAloneUnlessAskedFor) {
  const Folder folder;
  save(weights(), folder / "w.npz", {.formats = &neighbours()});
  EXPECT_ERROR(load<Weights>(folder / "w.npz"), Errc::not_an_archive, "w.npz");
  EXPECT_ERROR(open(folder / "w.npz"), Errc::not_an_archive, "w.npz");
  save(5, folder / "archive.npz");  // the name means nothing without the formats
  EXPECT_EQ(load<int>(folder / "archive.npz"), 5);
  EXPECT_EQ(load<int>(folder / "archive.npz", any), 5);  // and an archive is one, whatever its name
  EXPECT_EQ(open(folder / "archive.npz", any).load<int>(), 5);
}

TEST(Neighbours, VerifyReadsWhatIsMapped) {
  const Folder folder;
  save(weights(), folder / "w.npz", {.formats = &neighbours()});
  const Data good = test::content(folder / "w.npz");
  const Weights written = weights();
  const auto ids = std::as_bytes(std::span(written.ids.data(), 1000));
  Data bytes = good;
  const auto at = std::search(bytes.begin(), bytes.end(), ids.begin(), ids.end());
  ASSERT_NE(at, bytes.end());
  at[800] ^= std::byte{1};
  test::put(folder / "w.npz", bytes);
  for (const MapMode map : {MapMode::none, MapMode::read_only}) {
    const File file = open(folder / "w.npz", {.map = map, .formats = &neighbours()});
    EXPECT_ERROR(file.verify(), Errc::damaged, "ids");
    EXPECT_ERROR(file.verify(), Errc::damaged, "ids");  // each time
  }
  EXPECT_ERROR(load<Weights>(folder / "w.npz", any), Errc::damaged, "ids");
  test::put(folder / "w.npz", good);
  EXPECT_NO_THROW(open(folder / "w.npz", any).verify());
}

TEST(Neighbours, MetadataOfSafetensors) {
  const Folder folder;
  save(weights(), folder / "w.safetensors", {.metadata = {{"format", "pt"}}, .formats = &neighbours()});
  EXPECT_EQ(open(folder / "w.safetensors", any).info().metadata.at("format").text(), "pt");
  EXPECT_EQ(open(folder / "w.safetensors", any).info().writer, "safetensors");
}

/// An estimator as scikit-learn pickles it: an instance with a dict of attributes.
Value estimator() {
  const Value state = Value::make_map(
      {{Value("coef_"), to_value(Array<double>({3}))},
       {Value("fit_intercept"), Value(true)},
       {Value("names"), Value::make_typed("py:tuple", Value::make_sequence({Value("a"), Value("b")}))}});
  return Value::make_typed("py:sklearn.linear_model._base.LinearRegression",
                           Value::make_record({"new", "state"}, {Value(true), state}));
}

TEST(Neighbours, AttributesOfAnObjectAreFoundByName) {
  const Folder folder;
  save(Value::make_map({{Value("model"), estimator()}}), folder / "model.joblib", {.formats = &neighbours()});
  const auto expect_object = [](const File& file) {
    EXPECT_EQ(file.load<Array<double>>("model/coef_").size(), 3U);
    EXPECT_EQ(file.load<Array<double>>("model/state/coef_").size(), 3U);
    EXPECT_TRUE(file.load<bool>("model/fit_intercept"));
    EXPECT_EQ(file.load<std::vector<std::string>>("model/names"), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ((file.array<double, 1>("model/coef_").shape()[0]), 3U);
    EXPECT_TRUE(file.contains("model/coef_"));
    EXPECT_FALSE(file.contains("model/intercept_"));
    EXPECT_EQ(file.list({.path = "model", .depth = 0})[0].type, "py:sklearn.linear_model._base.LinearRegression");
  };
  const File joblib = open(folder / "model.joblib", any);
  expect_object(joblib);
  for (const std::string& codec : test::codecs()) {  // and in an archive of it
    save(joblib.load<Value>(), folder / "model.stele", {.codec = codec});
    expect_object(open(folder / "model.stele"));
    EXPECT_EQ(load<Value>(folder / "model.stele").at_path("model/fit_intercept"), Value(true));
  }
}

TEST(Neighbours, NamesWhatAFileRefersTo) {
  const Folder folder;
  const Value command = Value::make_typed("py:os.system", Value::make_record({"args"}, {Value::make_sequence({"id"})}));
  const Value both = Value::make_sequence({estimator(), command, estimator()});
  save(both, folder / "odd.pkl", {.formats = &neighbours()});
  save(both, folder / "odd.stele");
  for (const char* name : {"odd.pkl", "odd.stele"}) {
    const References found = references_in(folder / name);
    EXPECT_FALSE(found.error);
    ASSERT_EQ(found.found.size(), std::string(name) == "odd.pkl" ? 5U : 2U) << name;  // the pickle has NumPy's too
    EXPECT_TRUE(found.found[0].name == "os.system" || found.found[0].name == "posix.system") << found.found[0].name;
    EXPECT_EQ(found.found[0].risk, Reference::Risk::dangerous);
    EXPECT_EQ(found.found[1].name, "sklearn.linear_model._base.LinearRegression");
    EXPECT_EQ(found.found[1].risk, Reference::Risk::code);
  }
  save(weights(), folder / "w.safetensors", {.formats = &neighbours()});
  EXPECT_TRUE(references_in(folder / "w.safetensors").found.empty());
  test::put(folder / "cut.pkl",
            Bytes(test::content(folder / "odd.pkl")).first(test::content(folder / "odd.pkl").size() - 1));
  const References cut = references_in(folder / "cut.pkl");
  EXPECT_TRUE(cut.error);
  EXPECT_EQ(cut.found.size(), 5U);
}

}  // namespace
}  // namespace stele
