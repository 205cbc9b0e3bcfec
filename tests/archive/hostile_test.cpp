// Malicious archives with valid checksums: loading gives an Error or an object, within bounded time and memory.

#include <cstdlib>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <variant>

#include "format/array/typed.hpp"
#include "stele/value.hpp"
#include "support/cost.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using cbor::Major;
using test::array_item;
using test::bytes_item;
using test::Cost;
using test::Data;
using test::error_of;
using test::Folder;
using test::head;
using test::hex;
using test::mebibyte;
using test::natural_item;
using test::operator+=;
using test::tag;
using test::text_item;
using test::wrap;

struct Sample {
  std::string title;
  std::vector<std::optional<std::string>> items;
  std::map<std::string, std::vector<int>> map;
  Array<float, 2> grid;
};

/// Loads as T from memory and, a few bytes at a time, from a stream; both must fail fast and without much memory.
template <class T>
void expect_refused(const Data& root, Errc expected, std::size_t most_bytes = 64 * mebibyte) {
  const Data archive = wrap(root);
  const auto check = [&](const char* how, auto action) {
    const Cost cost;
    try {
      action();
      ADD_FAILURE() << how << ": no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), expected) << how << ": " << error.what();
    } catch (const std::exception& other) {
      ADD_FAILURE() << how << ": another exception: " << other.what();
    }
    EXPECT_LT(cost.bytes(), most_bytes) << how;
    EXPECT_LT(cost.seconds(), 10) << how;
  };
  check("memory", [&] { (void)from_bytes<T>(archive); });
  check("open", [&] { (void)open(memory_source(archive)).load<T>(); });
  const Cost cost;
  try {
    test::TrickleSource source(archive, 1000);
    (void)load<T>(source);
    ADD_FAILURE() << "stream: no error";
  } catch (const Error&) {
  } catch (const std::exception& other) {
    ADD_FAILURE() << "stream: another exception: " << other.what();
  }
  EXPECT_LT(cost.bytes(), most_bytes) << "stream";
}

constexpr std::uint64_t huge[] = {1'000'000,
                                  std::uint64_t{1} << 32,
                                  std::uint64_t{1} << 40,
                                  (std::uint64_t{1} << 61) - 1,
                                  std::uint64_t{1} << 62,
                                  std::uint64_t{1} << 63,
                                  ~std::uint64_t{0} / 3 * 2,
                                  ~std::uint64_t{0}};

TEST(Hostile, Counts) {
  for (const std::uint64_t count : huge) {
    expect_refused<std::vector<std::string>>(head(Major::array, count), Errc::truncated);
    expect_refused<std::list<int>>(head(Major::array, count), Errc::truncated);
    expect_refused<std::set<std::string>>(head(Major::array, count), Errc::truncated);
    expect_refused<std::unordered_map<int, int>>(head(Major::map, count), Errc::truncated);
    expect_refused<std::map<std::string, int>>(head(Major::map, count), Errc::truncated);
    expect_refused<Sample>(head(Major::map, count), Errc::truncated);
    expect_refused<std::string>(head(Major::text, count), Errc::truncated);
    expect_refused<std::string>(head(Major::bytes, count), Errc::truncated);
    expect_refused<std::vector<float>>(tag(85, head(Major::bytes, count / 4 * 4)), Errc::truncated);
    expect_refused<Array<float>>(tag(85, head(Major::bytes, count / 4 * 4)), Errc::truncated);
    expect_refused<std::vector<double>>(tag(85, head(Major::bytes, count / 4 * 4)), Errc::truncated);
    expect_refused<std::vector<std::uint8_t>>(head(Major::bytes, count), Errc::truncated);
  }
}

TEST(Hostile, Shapes) {
  const auto grid = [](std::initializer_list<std::uint64_t> extents, Bytes elements, std::uint64_t order = 40) {
    Data shape = head(Major::array, extents.size());
    for (const std::uint64_t extent : extents) {
      shape += natural_item(extent);
    }
    return tag(order, array_item({shape, tag(85, elements)}));
  };
  const Data four = bytes_item(Data(4));
  for (const std::uint64_t count : huge) {
    for (const std::uint64_t order : {40U, 1040U}) {
      expect_refused<Array<float, 2>>(grid({count, 1}, four, order), Errc::malformed);
      expect_refused<Array<float, 2>>(grid({count, count}, four, order), Errc::malformed);
      expect_refused<Array<double, 2>>(grid({2, count}, four, order), Errc::malformed);
    }
  }
  expect_refused<Array<float, 2>>(grid({std::uint64_t{1} << 32, std::uint64_t{1} << 32}, bytes_item({})),
                                  Errc::malformed);
  expect_refused<Array<float, 2>>(grid({std::uint64_t{1} << 62, 1}, bytes_item({})), Errc::malformed);
  expect_refused<Array<float, 2>>(grid({}, four), Errc::type_mismatch);
  expect_refused<Array<float, 2>>(tag(40, four), Errc::malformed);
  expect_refused<Array<float, 2>>(tag(40, array_item({four, tag(85, four)})), Errc::malformed);
  expect_refused<Array<float, 2>>(tag(40, array_item({array_item({four}), tag(85, four)})), Errc::malformed);
  expect_refused<Array<float, 2>>(tag(40, array_item({array_item({natural_item(1)})})), Errc::malformed);
  Data deep_shape = head(Major::array, 33);
  for (int i = 0; i < 33; ++i) {
    deep_shape += natural_item(1);
  }
  expect_refused<Array<float, 2>>(tag(40, array_item({deep_shape, tag(85, four)})), Errc::limit_exceeded);
  expect_refused<Array<float, 2>>(tag(40, head(Major::array, ~std::uint64_t{0})), Errc::malformed);
  // a zero extent makes no elements, even with huge others
  const Data zero = wrap(grid({~std::uint64_t{0}, 0}, bytes_item({})));
  try {
    const Cost cost;
    const auto back = from_bytes<Array<float, 2>>(zero);
    EXPECT_EQ(back.size(), 0U);
    (void)from_bytes<Array<double, 2>>(zero);
    EXPECT_LT(cost.bytes(), mebibyte);
  } catch (const Error&) {
  }
  try {
    const Cost cost;
    (void)from_bytes<std::vector<std::array<float, 2>>>(wrap(grid({0, ~std::uint64_t{0}}, bytes_item({}))));
    EXPECT_LT(cost.bytes(), mebibyte);
  } catch (const Error&) {
  }
}

Data nested(std::size_t depth, const Data& open_bytes, const Data& inside, const Data& close_bytes = {}) {
  Data bytes;
  for (std::size_t i = 0; i < depth; ++i) {
    bytes += open_bytes;
  }
  bytes += inside;
  for (std::size_t i = 0; i < depth; ++i) {
    bytes += close_bytes;
  }
  return bytes;
}

struct Tree {
  std::vector<Tree> children;
  std::unique_ptr<Tree> owned;
  std::map<std::string, Tree> named;
};
struct List {
  static void visit(auto& v, auto& self) { v("next", self.next); }
  std::unique_ptr<List> next;
};
struct Empty {};

TEST(Hostile, DeepNesting) {
  Data child = hex("a1");
  child += text_item("children");
  child += hex("81");
  expect_refused<Tree>(nested(100'000, child, hex("a0")), Errc::limit_exceeded);
  Data owned = hex("a1");
  owned += text_item("owned");
  expect_refused<Tree>(nested(1'000'000, owned, hex("a0")), Errc::limit_exceeded);
  Data named = hex("a1");
  named += text_item("named");
  named += hex("a1 6161");
  expect_refused<Tree>(nested(1'000'000, named, hex("a0")), Errc::limit_exceeded);
  Data next = hex("a1");
  next += text_item("next");
  expect_refused<List>(nested(1'000'000, next, hex("a0")), Errc::limit_exceeded);
  // skipped
  const auto skipped = [](const Data& value) {
    Data root = hex("a1");
    root += text_item("unknown");
    root += value;
    return wrap(root);
  };
  for (const Data& value :
       {nested(1'000'000, hex("81"), hex("00")), nested(1'000'000, hex("a1 00"), hex("00")),
        nested(1'000'000, hex("d9d9f7"), hex("00")), nested(1'000'000, hex("d81c"), hex("00")),
        nested(1'000'000, hex("9f"), hex("00"), hex("ff")), nested(1'000'000, hex("bf 00"), hex("00"), hex("ff"))}) {
    const Data archive = skipped(value);
    const Cost cost;
    try {
      (void)from_bytes<Empty>(archive);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::limit_exceeded) << error.what();
    }
    try {
      const File file = open(memory_source(archive));
      (void)file.list();
      file.verify();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::limit_exceeded) << error.what();
    }
    EXPECT_LT(cost.bytes(), 128 * mebibyte);
    EXPECT_LT(cost.seconds(), 20);
  }
}

TEST(Hostile, DeepNestingInParts) {
  Data owned = hex("a1");
  owned += text_item("owned");
  const Data archive = wrap(nested(3000, owned, hex("a0")));
  const File file = open(memory_source(archive));
  EXPECT_EQ(error_of([&] { file.load<Tree>(); }).code(), Errc::limit_exceeded);
  std::string path = "owned";
  for (int i = 0; i < 2500; ++i) {
    path += "/owned";
  }
  try {
    (void)file.load<Tree>(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::limit_exceeded) << error.what();
  }
}

TEST(Hostile, ReservationsInNestedContainersDoNotAddUp) {
  // Each level claims as many items as there are bytes.
  const Data filler(300'000);
  Data root;
  for (int i = 0; i < 500; ++i) {
    root += hex("a1");
    root += text_item("children");
    root += head(Major::array, 290'000);
  }
  root += filler;
  const Data archive = wrap(root);
  const Cost cost;
  EXPECT_THROW(from_bytes<Tree>(archive), Error);
  EXPECT_LT(cost.bytes(), 128 * mebibyte);
}

TEST(Hostile, TagChains) {
  for (const char* one : {"d9d9f7", "c0", "d81c", "db ffffffffffffffff"}) {
    const Data root = nested(1'000'000, hex(one), hex("05"));
    const Data archive = wrap(root);
    const Cost cost;
    try {
      EXPECT_EQ(from_bytes<int>(archive), 5);
    } catch (const Error&) {
    }
    try {
      EXPECT_EQ(*from_bytes<std::shared_ptr<int>>(archive), 5);
    } catch (const Error&) {
    }
    try {
      (void)open(memory_source(archive)).list();
    } catch (const Error&) {
    }
    EXPECT_LT(cost.bytes(), 128 * mebibyte) << one;
    EXPECT_LT(cost.seconds(), 20) << one;
  }
  expect_refused<std::vector<float>>(nested(1'000'000, hex("d855"), hex("40")), Errc::malformed);
  expect_refused<std::vector<float>>(nested(1'000'000, hex("d828 82 80"), hex("40")), Errc::unsupported);
  expect_refused<std::string>(nested(1'000'000, hex("d81b 82 6161"), hex("6161")), Errc::limit_exceeded);
  expect_refused<std::unique_ptr<int>>(nested(1'000'000, hex("d81b 82 6161"), hex("01")), Errc::limit_exceeded);
}

TEST(Hostile, StringsOfManyChunks) {
  const Data chunks = nested(2'000'000, hex("60"), {});
  Data text = hex("7f");
  text += chunks;
  text += hex("ff");
  const Data archive = wrap(text);
  const Cost cost;
  EXPECT_EQ(from_bytes<std::string>(archive), "");
  EXPECT_LT(cost.seconds(), 20);
  Data never = hex("7f");
  never += chunks;
  EXPECT_THROW(from_bytes<std::string>(wrap(never)), Error);
  expect_refused<std::string>(hex("7f 41 61 ff"), Errc::malformed);
  expect_refused<std::string>(hex("7f 7f 61 61 ff ff"), Errc::malformed);
  expect_refused<std::string>(hex("7f 05 ff"), Errc::malformed);
  expect_refused<std::vector<float>>(hex("d855 5f 43 000000 ff"), Errc::malformed);
}

TEST(Hostile, NotWellFormed) {
  for (const char* bad :
       {"1c", "1d", "1e", "3c", "5c", "7d", "9e", "bc", "dd", "fc", "fd", "1f", "3f", "df 00", "ff"}) {
    for (const char* form : {"", "81", "a1 6161"}) {
      Data root = hex(form);
      root += hex(bad);
      EXPECT_THROW(from_bytes<int>(wrap(root)), Error) << form << bad;
      EXPECT_THROW(from_bytes<std::vector<int>>(wrap(root)), Error) << form << bad;
      EXPECT_THROW(from_bytes<std::vector<std::string>>(wrap(root)), Error) << form << bad;
      EXPECT_THROW(from_bytes<Sample>(wrap(root)), Error) << form << bad;
      EXPECT_THROW(open(memory_source(wrap(root))).verify(), Error) << form << bad;
      EXPECT_THROW(open(memory_source(wrap(root))).list(), Error) << form << bad;
    }
  }
  EXPECT_THROW(from_bytes<std::vector<int>>(wrap(hex("9f 01"))), Error);  // the directory is not an item of it
  EXPECT_THROW((from_bytes<std::map<int, int>>(wrap(hex("bf 01 ff")))), Error);
  EXPECT_THROW(from_bytes<int>(wrap({})), Error);
  EXPECT_THROW(from_bytes<int>(wrap(hex("01 02"))), Error);  // two roots
}

// --- References ------------------------------------------------------------------------------------------------------

struct Ring {
  std::vector<Ring> children;
};

TEST(Hostile, ValuesThatContainThemselves) {
  // 28({"children": [29(0)]}) read by value
  Data root = hex("d81c a1");
  root += text_item("children");
  root += hex("81 d81d 00");
  expect_refused<Ring>(root, Errc::limit_exceeded);
  expect_refused<std::vector<int>>(hex("d81c d81d 00"), Errc::malformed);
  expect_refused<std::shared_ptr<int>>(hex("d81c d81d 00"), Errc::malformed);
  EXPECT_THROW(from_bytes<std::vector<float>>(wrap(hex("d81c d81d 00"))), Error);
  Data archive = wrap(root);
  const File file = open(memory_source(archive));
  try {
    const Cost cost;
    (void)file.list();
    (void)file.contains("children/0/children/0/children/0/children");
    std::string path = "children/0";
    for (int i = 0; i < 5000; ++i) {
      path += "/children/0";
    }
    (void)file.contains(path);
    EXPECT_LT(cost.seconds(), 10);
  } catch (const Error&) {
  }
}

TEST(Hostile, ReferencesThatMultiply) {
  // Each value has the one before it ten times: 10^30 items from a few hundred bytes.
  const auto level = [](const Data& items) {
    Data value = hex("d81c a1");
    value += text_item("children");
    value += items;
    return value;
  };
  Data list = head(Major::array, 31);
  list += level(hex("80"));
  for (std::uint64_t i = 0; i < 30; ++i) {
    Data items = head(Major::array, 10);
    for (int k = 0; k < 10; ++k) {
      items += tag(29, natural_item(i));
    }
    list += level(items);
  }
  expect_refused<std::vector<Ring>>(list, Errc::limit_exceeded);
  // as shared pointers it is a small graph
  struct Graph {
    std::vector<std::shared_ptr<Graph>> children;
  };
  EXPECT_EQ(from_bytes<std::vector<std::shared_ptr<Graph>>>(wrap(list)).size(), 31U);
  const Cost cost;
  const Data archive = wrap(list);
  const File file = open(memory_source(archive));
  (void)file.list();
  EXPECT_TRUE(file.contains("30/children/9/children/9/children/9"));
  EXPECT_LT(cost.seconds(), 10);
  EXPECT_LT(cost.bytes(), 64 * mebibyte);
}

TEST(Hostile, ViewsOutOfRange) {
  const Data base = tag(85, bytes_item(Data(64)));  // 16 elements
  const auto view = [&](Data first, Data extents, Data strides) {
    return tag(frozen::tag_array_view, array_item({base, first, extents, strides}));
  };
  const auto n = [](std::initializer_list<std::int64_t> numbers) {
    Data items = head(Major::array, numbers.size());
    for (const std::int64_t number : numbers) {
      items += number >= 0 ? head(Major::natural, static_cast<std::uint64_t>(number))
                           : head(Major::negative, static_cast<std::uint64_t>(-1 - number));
    }
    return items;
  };
  EXPECT_EQ((from_bytes<Array<float>>(wrap(view(natural_item(0), n({16}), n({1}))))).size(), 16U);
  EXPECT_EQ((from_bytes<Array<float>>(wrap(view(natural_item(15), n({16}), n({-1}))))).size(), 16U);
  EXPECT_EQ((from_bytes<Array<float>>(wrap(view(natural_item(3), n({0}), n({1}))))).size(), 0U);
  for (const Data& bad :
       {view(natural_item(0), n({17}), n({1})), view(natural_item(1), n({16}), n({1})),
        view(natural_item(16), n({1}), n({1})), view(natural_item(14), n({16}), n({-1})),
        view(natural_item(0), n({2}), n({-1})), view(natural_item(0), n({9}), n({2})),
        view(natural_item(~std::uint64_t{0}), n({1}), n({1})),
        view(natural_item(std::uint64_t{1} << 63), n({2}), n({1})), view(natural_item(0), n({4, 5}), n({4, 1})),
        view(natural_item(0), n({2}), n({std::numeric_limits<std::int64_t>::max()})),
        view(natural_item(0), n({2}), n({std::numeric_limits<std::int64_t>::min()})),
        view(natural_item(0), n({2}), n({1, 1})), view(natural_item(0), n({2}), hex("81 60")),
        view(hex("20"), n({2}), n({1})), view(hex("60"), n({2}), n({1})), view(natural_item(0), hex("00"), n({1})),
        view(natural_item(0), n({2}), hex("00"))}) {
    EXPECT_THROW(from_bytes<Array<float>>(wrap(bad)), Error);
    EXPECT_THROW((from_bytes<Array<float, 2>>(wrap(bad))), Error);
    EXPECT_THROW(from_bytes<std::vector<float>>(wrap(bad)), Error);
    EXPECT_THROW(from_bytes<std::vector<double>>(wrap(bad)), Error);
    EXPECT_THROW(open(memory_source(wrap(bad))).load<Array<float>>(), Error);
    try {
      (void)open(memory_source(wrap(bad))).list();
    } catch (const Error&) {
    }
  }
  // a view of itself, of another view, of no array
  const auto of = [&](Data what) {
    return tag(frozen::tag_array_view, array_item({what, natural_item(0), n({1}), n({1})}));
  };
  expect_refused<Array<float>>(tag(28, of(tag(29, natural_item(0)))), Errc::limit_exceeded);
  EXPECT_THROW(from_bytes<Array<float>>(wrap(of(of(base)))), Error);
  EXPECT_THROW(from_bytes<Array<float>>(wrap(of(hex("81 00")))), Error);
  EXPECT_THROW(from_bytes<Array<float>>(wrap(of(tag(29, natural_item(7))))), Error);
  Data two = head(Major::array, 2);
  two += tag(28, text_item("text"));
  two += of(tag(29, natural_item(0)));
  EXPECT_THROW((from_bytes<std::pair<std::string, Array<float>>>(wrap(two))), Error);
}

TEST(Hostile, ViewsThatMultiply) {
  constexpr std::uint64_t elements = 100'000;
  Data base = tag(85, bytes_item(Data(4 * elements)));
  Data extents = head(Major::array, 2);
  extents += natural_item(elements);
  extents += natural_item(elements);
  const Data root = tag(frozen::tag_array_view, array_item({base, natural_item(0), extents, hex("82 00 01")}));
  const std::uint64_t elements_at =
      frozen::label.size() + tag(frozen::tag_array_view).size() + 1 + base.size() - 4 * elements;
  const Data archive = wrap(root, {{"", walk::dtype_of<float>(), Shape{elements}, Order::row_major, elements_at,
                                    4 * elements, xxh3_64(Data(4 * elements))}});
  {
    // over the same elements it is small
    const Cost cost;
    try {
      const auto back = from_bytes<Array<float, 2>>(archive);
      EXPECT_EQ(back.size(), elements * elements);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::limit_exceeded) << error.what();
    }
    EXPECT_LT(cost.bytes(), 64 * mebibyte);
  }
  const Cost cost;
  EXPECT_EQ(error_of([&] { (from_bytes<Array<double, 2>>(archive)); }).code(), Errc::limit_exceeded);
  EXPECT_EQ(error_of([&] { (from_bytes<std::vector<std::array<float, elements>>>(archive)); }).code(),
            Errc::limit_exceeded);
  EXPECT_EQ(error_of([&] { (from_bytes<std::vector<std::vector<float>>>(archive)); }).code(), Errc::limit_exceeded);
  const Data empty_rows = tag(
      40, array_item({array_item({natural_item(std::uint64_t{1} << 50), natural_item(0)}), tag(85, bytes_item({}))}));
  expect_refused<std::vector<std::vector<float>>>(empty_rows, Errc::limit_exceeded);
  EXPECT_LT(cost.bytes(), 64 * mebibyte);
  EXPECT_LT(cost.seconds(), 10);
}

struct Floats {
  std::array<float, 65'536> values;
};
struct Doubles {
  std::array<double, 65'536> values;
};

TEST(Hostile, AViewWhoseBytesWrapIsRefused) {
  // 2^45 elements over three of 2^18 bytes, which would take 2^64 bytes as doubles.
  constexpr std::size_t rank = 23;
  static_assert(sizeof(Doubles) == std::uint64_t{1} << 19);
  Data dtype;
  cbor::Builder builder(dtype);
  put_dtype(builder, walk::dtype_of<Floats>());
  const Data elements(3 * sizeof(Floats));
  const Data base = tag(frozen::tag_dtype_array, array_item({dtype, bytes_item(elements)}));
  Data extents = head(Major::array, rank);
  Data strides = extents;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    extents += natural_item(axis == 0 ? 2 : 4);
    strides += natural_item(0);
  }
  const Data root = tag(frozen::tag_array_view, array_item({base, natural_item(0), extents, strides}));
  const std::uint64_t offset =
      frozen::label.size() + tag(frozen::tag_array_view).size() + 1 + base.size() - elements.size();
  const Data archive = wrap(root, {{"base", walk::dtype_of<Floats>(), Shape{3}, Order::row_major, offset,
                                    elements.size(), xxh3_64(elements)}});
  EXPECT_EQ(error_of([&] { (void)from_bytes<Array<Doubles, rank>>(archive); }).code(), Errc::limit_exceeded);
}

// --- Records ---------------------------------------------------------------------------------------------------------

struct Pair {
  int a = 0;
  int b = 0;
  bool operator==(const Pair&) const = default;
};
struct Strings {
  std::string a;
  std::vector<Strings> b;
};

TEST(Hostile, RecordDefinitions) {
  const auto define = [](std::uint64_t id, std::initializer_list<Data> names, std::initializer_list<Data> values) {
    Data items = head(Major::array, 2 + values.size());
    items += array_item(names);
    items += natural_item(id);
    for (const Data& value : values) {
      items += value;
    }
    return tag(frozen::tag_record_definition, items);
  };
  const auto use = [](std::uint64_t id, std::initializer_list<Data> values) { return tag(id, array_item(values)); };
  const Data a = text_item("a");
  const Data b = text_item("b");
  const Data one = natural_item(1);
  const Data two = natural_item(2);
  using Pairs = std::vector<Pair>;
  EXPECT_EQ(from_bytes<Pairs>(wrap(array_item({define(26880, {a, b}, {one, two}), use(26880, {two, one})}))),
            (Pairs{{1, 2}, {2, 1}}));
  // fewer values than names are allowed: the rest keeps its defaults
  EXPECT_EQ(from_bytes<Pairs>(wrap(array_item({define(26880, {a, b}, {one}), use(26880, {})}))),
            (Pairs{{1, 0}, {0, 0}}));
  // redefined between uses
  EXPECT_EQ(from_bytes<Pairs>(wrap(array_item(
                {define(26880, {a, b}, {one, two}), define(26880, {b, a}, {one, two}), use(26880, {one, two})}))),
            (Pairs{{1, 2}, {2, 1}, {2, 1}}));
  EXPECT_THROW(from_bytes<Pairs>(wrap(array_item({use(26880, {one, two})}))), Error);
  EXPECT_THROW(from_bytes<Pairs>(wrap(array_item({define(26880, {a}, {one, two})}))), Error);
  EXPECT_THROW(from_bytes<Pairs>(wrap(array_item({define(26880, {a}, {one}), use(26880, {one, two})}))), Error);
  EXPECT_THROW(from_bytes<Pairs>(wrap(array_item({define(26879, {a}, {one})}))), Error);
  EXPECT_THROW(from_bytes<Pairs>(wrap(array_item({define(27136, {a}, {one})}))), Error);
  EXPECT_THROW(from_bytes<Pairs>(wrap(array_item({define(26880, {a, a}, {one, two})}))), Error);
  EXPECT_THROW(from_bytes<Pairs>(wrap(array_item({define(26880, {one}, {one})}))), Error);
  EXPECT_THROW(from_bytes<Pairs>(wrap(array_item({tag(105, hex("80"))}))), Error);
  EXPECT_THROW(from_bytes<Pairs>(wrap(array_item({tag(105, hex("9f 80 19 6900 ff"))}))), Error);
  EXPECT_THROW(from_bytes<Pairs>(wrap(array_item({tag(26880, hex("00"))}))), Error);

  // redefined while in use: the outer record's names are still its own
  const Data inner = define(26880, {b}, {hex("80")});
  const Data outer = define(26880, {b, a}, {array_item({inner}), text_item("name")});
  const auto strings = from_bytes<Strings>(wrap(outer));
  EXPECT_EQ(strings.a, "name");
  EXPECT_EQ(strings.b.size(), 1U);
  const Data reused =
      array_item({define(26880, {b, a}, {array_item({define(26880, {a}, {text_item("inner")})}), text_item("x")}),
                  use(26880, {text_item("last")})});
  const auto list = from_bytes<std::vector<Strings>>(wrap(reused));
  EXPECT_EQ(list.at(0).b.at(0).a, "inner");
  EXPECT_EQ(list.at(0).a, "x");
  EXPECT_EQ(list.at(1).a, "last");
  const Data archive = wrap(reused);
  const File file = open(memory_source(archive));
  EXPECT_EQ(file.load<std::string>("0/a"), "x");
  EXPECT_EQ(file.load<std::string>("0/b/0/a"), "inner");
  EXPECT_EQ(file.load<std::string>("1/a"), "last");
  EXPECT_EQ(file.load<Strings>("1").a, "last");
}

TEST(Hostile, ManyDefinitions) {
  Data root = head(Major::array, 100'000);
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    Data items = head(Major::array, 3);
    items += array_item({text_item("a")});
    items += natural_item(26880 + i % 256);
    items += natural_item(i);
    root += tag(105, items);
  }
  const Data archive = wrap(root);
  const Cost cost;
  EXPECT_EQ(from_bytes<std::vector<Pair>>(archive).at(99'999).a, 99'999);
  const File file = open(memory_source(archive));
  EXPECT_EQ(file.load<int>("99999/a"), 99'999);
  EXPECT_LT(cost.bytes(), 256 * mebibyte);
  EXPECT_LT(cost.seconds(), 20);
  Data names = hex("d869 83");
  names += head(Major::array, ~std::uint64_t{0});
  expect_refused<Pair>(names, Errc::malformed);
}

struct Holder {
  static void visit(auto& v, auto& self) { v("a", self.a)("b", self.b); }
  int a = 0, b = 0;
};

TEST(Hostile, ManyUnknownFieldsOfAVisitedClass) {
  Data root = head(Major::map, 300'000);
  for (int i = 0; i < 300'000; ++i) {
    root += text_item(std::to_string(i));
    root += hex("00");
  }
  const Cost cost;
  (void)from_bytes<Holder>(wrap(root));
  EXPECT_LT(cost.seconds(), 20);
}

TEST(Hostile, DtypesOfArrays) {
  const auto array = [](Data dtype, std::size_t bytes) {
    return tag(frozen::tag_dtype_array, array_item({dtype, bytes_item(Data(bytes))}));
  };
  for (const char* name : {"<f4", "|b1", "<c8", "bfloat16", "|S8", "<U4"}) {
    try {
      (void)from_bytes<std::vector<float>>(wrap(array(text_item(name), 32)));
    } catch (const Error&) {
    }
  }
  for (const char* name : {"", "<", "f", "<f3", "<f999999999999", "|S", "|S0", "|S-1", "|S99999999999999999999",
                           "<U4294967295", "|V8", "|O", "<M8", "|b2", "=f4", "<U1073741824"}) {
    EXPECT_THROW(from_bytes<std::vector<float>>(wrap(array(text_item(name), 32))), Error) << name;
    EXPECT_THROW(from_bytes<std::vector<float>>(wrap(array(text_item(name), 0))), Error) << name;
    try {
      (void)open(memory_source(wrap(array(text_item(name), 32)))).list();
    } catch (const Error&) {
    }
  }
  // booleans other than 0 and 1
  Data bad = tag(frozen::tag_dtype_array, array_item({text_item("|b1"), bytes_item(hex("00 01 02"))}));
  EXPECT_THROW(from_bytes<std::vector<bool>>(wrap(bad)), Error);
  EXPECT_THROW(from_bytes<Array<bool>>(wrap(bad)), Error);
  EXPECT_THROW(from_bytes<std::list<bool>>(wrap(bad)), Error);
  EXPECT_THROW((from_bytes<std::array<bool, 3>>(wrap(bad))), Error);
  // records of records of records …
  Data dtype = text_item("<f4");
  for (int i = 0; i < 20'000; ++i) {
    dtype = array_item({array_item({text_item("a"), dtype})});
  }
  EXPECT_THROW(from_bytes<std::vector<Pair>>(wrap(array(dtype, 4))), Error);
}

// --- Directories -----------------------------------------------------------------------------------------------------

TEST(Hostile, DirectoriesThatLie) {
  // the root: an array of 5000 bytes of elements at offset 64
  Data root = head(Major::array, 2);
  root += text_item(std::string(64 - 12 - 1 - 2 - 5, 'p'));
  root += tag(85, bytes_item(Data(5000)));
  const std::uint64_t offset = 12 + root.size() - 5000;
  ArrayEntry entry;
  entry.path = "1";
  entry.dtype = DType(DType::Kind::float32);
  entry.shape = Shape{1250};
  entry.offset = offset;
  entry.length = 5000;
  entry.checksum = xxh3_64(Data(5000));
  using Value = std::pair<std::string, Array<float>>;
  const auto attempt = [&](const std::vector<ArrayEntry>& arrays) {
    const Data archive = wrap(root, arrays);
    const auto one = [&](auto action) {
      try {
        action();
        return true;
      } catch (const Error&) {
        return false;
      }
    };
    const bool whole = one([&] { (void)from_bytes<Value>(archive); });
    const Folder folder;
    test::put(folder / "m", archive);
    for (const MapMode map : {MapMode::none, MapMode::read_only, MapMode::read_write}) {
      one([&] {
        const File file = open(folder / "m", {.map = map});
        one([&] { (void)file.list(); });
        one([&] { (void)file.load<Value>(); });
        one([&] { (void)file.load<Array<float>>("1"); });
        one([&] { (void)file.load<Array<float, 2>>("1"); });
        one([&] { (void)file.load<std::vector<double>>("1"); });
        one([&] { (void)file.load<std::string>("0"); });
        one([&] { file.verify(); });
      });
    }
    return whole;
  };
  EXPECT_TRUE(attempt({entry}));
  EXPECT_FALSE(attempt({}));
  const auto with = [&](auto change) {
    ArrayEntry changed = entry;
    change(changed);
    return attempt({changed});
  };
  EXPECT_FALSE(with([](ArrayEntry& e) { e.checksum ^= 1; }));
  EXPECT_FALSE(with([](ArrayEntry& e) { e.offset -= 1; }));
  EXPECT_FALSE(with([](ArrayEntry& e) { e.length -= 4; }));
  (void)with([](ArrayEntry& e) { e.path = "0"; });
  (void)with([](ArrayEntry& e) { e.path = ""; });
  (void)with([](ArrayEntry& e) { e.path = "7/8"; });
  (void)with([](ArrayEntry& e) { e.dtype = DType(DType::Kind::float64); });
  (void)with([](ArrayEntry& e) { e.dtype = DType::fixed_bytes(0); });
  (void)with([](ArrayEntry& e) { e.dtype = DType(DType::Kind::boolean); });
  (void)with([](ArrayEntry& e) { e.shape = Shape{1250000000}; });
  (void)with([](ArrayEntry& e) { e.shape = Shape{std::uint64_t{1} << 40, std::uint64_t{1} << 40}; });
  (void)with([](ArrayEntry& e) { e.shape = Shape{}; });
  (void)with([](ArrayEntry& e) { e.shape = Shape{2, 625}; });
  (void)with([](ArrayEntry& e) { e.shape = Shape{0}; });
  (void)with([](ArrayEntry& e) { e.order = Order::column_major; });
}

TEST(Hostile, AListedShapeWhoseBytesWrapIsRefused) {
  const Data root = tag(85, bytes_item(Data(8192)));
  constexpr std::uint64_t third = 0x5555555555556000;  // times 3 is 8192 modulo 2^64
  static_assert(third * 3 == 8192);
  const Data archive =
      wrap(array_item({root}), {{"0", DType::fixed_bytes(3), Shape{third}, Order::row_major,
                                 frozen::label.size() + 1 + root.size() - 8192, 8192, xxh3_64(Data(8192))}});
  const File file = open(memory_source(archive));
  EXPECT_EQ(error_of([&] { (void)file.load<stele::Value>("0"); }).code(), Errc::damaged);
}

TEST(Hostile, NewerFormatsAreUnsupported) {
  EXPECT_EQ(error_of([] { from_bytes<int>(wrap(hex("05"), {}, 2)); }).code(), Errc::unsupported);
  EXPECT_EQ(error_of([] { open(memory_source(wrap(hex("05"), {}, 1000))); }).code(), Errc::unsupported);
  EXPECT_EQ(error_of([] { from_bytes<int>(wrap(hex("05"), {}, 0)); }).code(), Errc::malformed);
}

TEST(Hostile, Trailers) {
  const Data good = wrap(hex("05"));
  for (std::size_t field = 0; field < 5; ++field) {
    for (const std::uint64_t value :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{12}, std::uint64_t{13}, std::uint64_t{63},
          std::uint64_t{1} << 32, std::uint64_t{1} << 62, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
      Data bad = good;
      std::memcpy(bad.data() + bad.size() - frozen::trailer_payload + 8 * field, &value, 8);
      if (bad == good) {
        continue;
      }
      const Cost cost;
      EXPECT_THROW(from_bytes<int>(bad), Error) << field << " " << value;
      EXPECT_THROW(open(memory_source(bad)).load<int>(), Error) << field << " " << value;
      try {
        (void)from_bytes<int>(bad, {.verify = Verify::none});
      } catch (const Error&) {
      }
      EXPECT_LT(cost.bytes(), 64 * mebibyte);
    }
  }
}

TEST(Hostile, AnythingButAnArchive) {
  const auto code = [](const Data& bytes) { return error_of([&] { from_bytes<int>(bytes); }).code(); };
  EXPECT_EQ(code({}), Errc::truncated);
  EXPECT_EQ(code(hex("d9d9f8")), Errc::truncated);
  EXPECT_EQ(code(test::data_of("#!/bin/sh\necho this is a script, not an archive, and long enough\n")),
            Errc::not_an_archive);
  EXPECT_EQ(code(Data(100)), Errc::not_an_archive);
  EXPECT_THROW(from_bytes<int>(hex("1f8b0800000000000003 0300 00000000 00000000")), Error);  // gzip of nothing
  EXPECT_THROW(from_bytes<int>(hex("1f8b")), Error);
  EXPECT_THROW(from_bytes<int>(hex("28b52ffd")), Error);
  EXPECT_THROW(open(memory_source({})), Error);
}

TEST(Hostile, OpeningOtherCompressedFilesDoesNotHoldThemInMemory) {
  if (std::system("command -v gzip >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "no gzip";
  }
  const test::Folder folder;
  const std::string path = folder / "zeros.gz";
  ASSERT_EQ(std::system(("head -c 20000000 /dev/zero | gzip -1 > '" + path + "'").c_str()), 0);
  LoadOptions options;
  options.limits.allocation = 3'000'000;  // holding it would exceed this
  EXPECT_EQ(error_of([&] { open(path, options); }).code(), Errc::not_an_archive);
}

TEST(Hostile, MessagesShowControlCharacters) {
  const Data archive = wrap(hex("a1 64 1b5b3200 6161"));  // {"\x1b[2\0": "a"}
  const Error error = error_of([&] { (from_bytes<std::map<std::string, int>>(archive)); });
  EXPECT_EQ(error.path(), std::string("\x1b[2\0", 4));
  EXPECT_EQ(std::string_view(error.what()).substr(0, 12), "\\x1b[2\\x00: ");
}

TEST(Hostile, MessagesAreShortHoweverLongTheNames) {
  const std::string name = std::string(50'000, 'x') + "é" + std::string(50'001, 'y');
  const Data archive = to_bytes(std::map<std::string, std::string>{{name, "a"}});
  const Error error = error_of([&] { (from_bytes<std::map<std::string, int>>(archive)); });
  EXPECT_EQ(error.path(), name);
  EXPECT_LT(std::string_view(error.what()).size(), 300U);
  EXPECT_EQ(std::string_view(error.what()).substr(0, 110), std::string(100, 'x') + " … " + std::string(5, 'y'));
  const Error characters(Errc::damaged, "cut", {.path = std::string(99, 'x') + "éééé" + std::string(200, 'y')});
  EXPECT_EQ(std::string(characters.what()).substr(0, 105), std::string(99, 'x') + " … y");
}

TEST(Hostile, LimitsAreObserved) {
  const Data archive = to_bytes(std::vector<double>(100'000));
  EXPECT_EQ(error_of([&] { from_bytes<std::vector<double>>(archive, {.limits = {.allocation = 799'999}}); }).code(),
            Errc::limit_exceeded);
  EXPECT_EQ(from_bytes<std::vector<double>>(archive, {.limits = {.allocation = 800'000}}).size(), 100'000U);
  EXPECT_EQ(error_of([&] { (from_bytes<Array<double>>(archive, {.limits = {.allocation = 1000}})); }).code(),
            Errc::limit_exceeded);
  const Data floats = to_bytes(std::vector<float>(100'000));
  EXPECT_EQ(error_of([&] { from_bytes<std::vector<double>>(floats, {.limits = {.allocation = 799'999}}); }).code(),
            Errc::limit_exceeded);
  const Data text = to_bytes(std::string(100'000, 'x'));
  EXPECT_EQ(error_of([&] { from_bytes<std::string>(text, {.limits = {.allocation = 99'999}}); }).code(),
            Errc::limit_exceeded);
  EXPECT_EQ(from_bytes<int>(to_bytes(5), {.limits = {.depth = 0}}), 5);
  EXPECT_EQ(error_of([&] {
              from_bytes<std::vector<std::string>>(to_bytes(std::vector<std::string>(1)), {.limits = {.depth = 0}});
            }).code(),
            Errc::limit_exceeded);
}

}  // namespace
}  // namespace stele
