// Values of every kind in a store: before the commit, after it, decompressed, and from one file.

#include <gtest/gtest.h>

#include <bitset>
#include <chrono>
#include <complex>
#include <deque>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>

#include "stele/store.hpp"
#include "support/test_support.hpp"
#if __has_include(<Eigen/Dense>)
#include <Eigen/Dense>
#include <Eigen/Sparse>

#include "stele/eigen.hpp"
#endif

namespace stele {
namespace {

namespace fs = std::filesystem;

struct Nothing {
  friend bool operator==(const Nothing&, const Nothing&) = default;
};
struct Record {
  float x = 0;
  float y = 0;
  std::int64_t id = 0;
  friend bool operator==(const Record&, const Record&) = default;
};
struct Sized {
  std::string name;
  std::vector<std::byte> bytes;
  friend bool operator==(const Sized&, const Sized&) = default;
};
struct Deep {
  int depth = 0;
  std::vector<Deep> below;
  friend bool operator==(const Deep&, const Deep&) = default;
};
struct Node {
  int number = 0;
  std::shared_ptr<Node> next;
  std::weak_ptr<Node> self;
};
struct Shape {
  virtual ~Shape() = default;
  std::string name;
  static void visit(auto& v, auto& self) { v("name", self.name); }
};
struct Circle : Shape {
  double radius = 0;
  static void visit(auto& v, auto& self) {
    Shape::visit(v, self);
    v("radius", self.radius);
  }
};

/// Each store that values go through.
class StoreValues : public testing::Test {
 protected:
  void SetUp() override {
    for (const std::string codec : {"plain", "zstd", "gzip"}) {
      if (test::has_codec(codec)) {
        StoreOptions options;
        options.codec = codec;
        options.types = types();
        options.shard_bytes = 1 << 20;
        const std::string path = test::fresh(codec);
        stores_.push_back({path, Store::open(path, StoreMode::create, options)});
      }
    }
  }
  static const TypeRegistry* types() {
    static const TypeRegistry registry = [] {
      TypeRegistry made;
      made.add<Circle, Shape>("circle");
      return made;
    }();
    return &registry;
  }
  template <class T, class Equal = std::equal_to<>>
  void expect_same(const T& value, Equal equal = {}) {
    for (auto& [path, store] : stores_) {
      store.put("value", value);
      EXPECT_TRUE(equal(store.template get<T>("value"), value)) << path << ", not committed";
      store.put("between", 1);
      store.commit();
      EXPECT_TRUE(equal(store.template get<T>("value"), value)) << path;
      store.compact_to(path + ".compact");
      StoreOptions options;
      options.types = types();
      const Store compact = Store::open(path + ".compact", StoreMode::read_only, options);
      EXPECT_TRUE(equal(compact.template get<T>("value"), value)) << path << ", in one file";
      EXPECT_TRUE(store.check().good()) << path;
    }
  }
  template <class T>
  void expect_refused(const T& value, Errc code) {
    for (auto& [path, store] : stores_) {
      EXPECT_EQ(test::error_of([&] { store.put("refused", value); }).code(), code) << path;
      EXPECT_FALSE(store.contains("refused")) << path;
    }
  }

 private:
  struct Named {
    std::string path;
    Store store;
  };
  std::vector<Named> stores_;
};

TEST_F(StoreValues, NumbersAndOthersOfOneHead) {
  expect_same(0);
  expect_same(-1);
  expect_same(std::numeric_limits<std::int64_t>::min());
  expect_same(std::numeric_limits<std::uint64_t>::max());
  expect_same(true);
  expect_same(1.5);
  expect_same(0.1F);
  expect_same('c');
  expect_same(std::optional<int>());
  expect_same(std::optional<std::string>("text"));
  expect_same(std::monostate());
  expect_same(std::complex<double>(1, -2));
  expect_same(std::chrono::milliseconds(-12345));
  expect_same(std::bitset<70>("1010101"));
}

TEST_F(StoreValues, TextsAndBytes) {
  for (const std::size_t size :
       {0, 1, 23, 24, 31, 32, 255, 256, 4095, 4096, 4097, 65'535, 65'536, 65'537, 73'728, 1'500'000}) {
    expect_same(std::string(size, 't'));
    expect_same(std::string(size, '\xff'));
    expect_same(std::vector<std::byte>(size, std::byte{7}));
    expect_same(std::vector<std::uint8_t>(size, 7));
    expect_same(std::vector<char>(size, 'v'));
  }
  expect_same(std::array<std::byte, 5>{std::byte{1}, std::byte{2}});
  expect_same(std::array<std::byte, 5000>{std::byte{1}, std::byte{2}});
  expect_same(fs::path("a/b/ä"));
}

/// Converts to text, and holds more.
struct Label {
  std::string text;
  int language = 0;
  operator std::string_view() const { return text; }
  friend bool operator==(const Label& a, const Label& b) { return a.text == b.text && a.language == b.language; }
};
TEST_F(StoreValues, AClassThatConvertsToTextKeepsAllOfItsFields) { expect_same(Label{"a", 3}); }

TEST_F(StoreValues, ArraysAroundTheSizesThatMatter) {
  std::mt19937 random(1);
  for (const std::size_t size : {4095, 4096, 4097, 60'000, 64'000, 65'400, 65'500, 65'535, 65'536, 65'537, 66'000,
                                 72'000, 73'600, 73'700, 73'728, 73'800, 74'000, 1'048'576, 1'200'000}) {
    Sized value{"size " + std::to_string(size), std::vector<std::byte>(size)};
    expect_same(value);
    for (std::byte& byte : value.bytes) {
      byte = static_cast<std::byte>(random());
    }
    expect_same(value);
    Array<double> numbers({size / 8});
    for (std::uint64_t i = 0; i < size / 8; ++i) {
      numbers.mutable_at(i) = static_cast<double>(random());
    }
    expect_same(numbers);
    expect_same(std::vector<std::string>(1, std::string(size, 'x')));
  }
  expect_same(std::vector<Record>(3000, Record{1, 2, 3}));
  Array<std::byte, 2> bytes({100, 50});
  expect_same(bytes);
  Array<std::byte> flat({5000});
  flat.mutable_at(7) = std::byte{9};
  expect_same(flat);
}

TEST_F(StoreValues, ContainersAndEmptiness) {
  expect_same(Nothing());
  expect_same(std::vector<Nothing>(100));
  expect_same(std::vector<int>());
  expect_same(std::vector<std::vector<std::vector<int>>>{{}, {{}, {}}, {{1}, {}}});
  expect_same(std::map<std::string, std::map<int, std::set<std::string>>>{{"a", {}}, {"b", {{1, {"x", ""}}}}});
  expect_same(std::unordered_map<std::string, int>{{"one", 1}, {"two", 2}});
  expect_same(std::unordered_set<int>{1, 2, 3});
  expect_same(std::variant<std::monostate, int, std::string, std::vector<double>>(std::vector<double>(20'000, 0.5)));
  expect_same(std::variant<std::monostate, int, std::string>());
  expect_same(std::tuple<int, std::string, std::optional<Record>>(1, "a", Record{}));
  expect_same(std::list<std::deque<std::string>>{{"a"}, {}});
  expect_same(std::vector<bool>(100, true));
  Deep deep;
  for (int i = 0; i < 100; ++i) {
    deep = Deep{i, {deep, {}}};
  }
  expect_same(deep);
}

TEST_F(StoreValues, ObjectsAfterOneThatWasBrokenOff) {
  const Sized whole{"kept in memory as an archive", std::vector<std::byte>(10'000, std::byte{7})};
  Deep deep;
  for (int i = 0; i < 1100; ++i) {
    deep = Deep{i, {deep, {}}};
  }
  expect_refused(deep, Errc::limit_exceeded);
  expect_same(whole);
  expect_same(std::vector<std::string>(20'000, "more than is kept in memory"));
  expect_same(whole);
  expect_same(Record{1, 2, 3});
}

TEST_F(StoreValues, PointersThatAreSharedAndPolymorphic) {
  auto first = std::make_shared<Node>();
  first->number = 1;
  first->next = std::make_shared<Node>();
  first->next->number = 2;
  first->next->next = first;
  first->self = first;
  expect_same(first, [](const std::shared_ptr<Node>& a, const std::shared_ptr<Node>&) {
    const bool same = a->number == 1 && a->next->number == 2 && a->next->next == a && a->self.lock() == a;
    a->next->next = nullptr;
    return same;
  });
  first->next->next = nullptr;
  std::vector<std::shared_ptr<Node>> many(20'000, first);
  expect_same(many, [](const auto& a, const auto& b) { return a.size() == b.size() && a[0] == a.back(); });
  auto circle = std::make_unique<Circle>();
  circle->name = "round";
  circle->radius = 2;
  const std::unique_ptr<Shape> shape = std::move(circle);
  expect_same(shape, [](const std::unique_ptr<Shape>& a, const auto&) {
    const auto* const found = dynamic_cast<const Circle*>(a.get());
    return found != nullptr && found->radius == 2 && found->name == "round";
  });
}

/// What is made with something that reading needs.
struct Scaled {
  explicit Scaled(int factor) : factor(factor) {}
  int factor;
  int number = 0;
};

}  // namespace

template <>
struct Visit<Scaled> {
  static void write(OutVisitor& out, const Scaled& value) { stele::write(out, value.number); }
  static void read(InVisitor& in, Scaled& value) {
    stele::read(in, value.number);
    value.number *= value.factor;
  }
};

namespace {

TEST(StoreValue, IsReadIntoAnObjectThatIsThere) {
  Store store = Store::open(test::fresh("into"));
  store.put("n", 7);
  Scaled value(3);
  store.view("n")->read_into(value);
  EXPECT_EQ(value.number, 21);
}

#if __has_include(<Eigen/Dense>)
TEST_F(StoreValues, Matrices) {
  expect_same(Eigen::MatrixXd(Eigen::MatrixXd::Random(3, 4)));
  expect_same(Eigen::MatrixXf(Eigen::MatrixXf::Random(200, 300)));
  expect_same(Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>::Random(40, 50).eval());
  expect_same(Eigen::Vector3d(1, 2, 3));
  expect_same(Eigen::MatrixXd(0, 5));
  Eigen::SparseMatrix<double> sparse(1000, 1000);
  sparse.insert(3, 4) = 5;
  sparse.makeCompressed();
  expect_same(sparse,
              [](const auto& a, const auto& b) { return (Eigen::MatrixXd(a) - Eigen::MatrixXd(b)).norm() == 0; });
}
#endif

}  // namespace
}  // namespace stele
