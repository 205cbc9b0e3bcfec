// Saving, loading and opening: random trees of many types, through every codec, whole and in parts.

#include <map>
#include <optional>
#include <variant>

#include "support/test_support.hpp"

namespace stele {
namespace {

using test::round_trip;

struct Pixel {
  float x = 0, y = 0;
  std::uint16_t colour[4] = {};
  bool operator==(const Pixel&) const = default;
};

struct Tree {
  std::string name;
  std::variant<std::monostate, std::int64_t, double, std::string> value;
  std::vector<Tree> children;
  std::map<std::string, Tree> named;
  std::vector<float> weights;
  std::vector<Pixel> records;
  std::optional<std::vector<bool>> flags;
  bool operator==(const Tree&) const = default;
};

class Random {
 public:
  explicit Random(unsigned seed) : random_(seed) {}
  std::size_t below(std::size_t n) { return random_() % n; }
  std::string text() {
    std::string text(below(10) == 0 ? below(100000) : below(30), '\0');
    for (char& c : text) {
      c = static_cast<char>(below(4) == 0 ? random_() : 'a' + below(26));
    }
    return text;
  }
  Tree tree(int depth) {
    Tree t;
    t.name = text();
    switch (below(4)) {
      case 1:
        t.value = static_cast<std::int64_t>(random_());
        break;
      case 2:
        t.value = static_cast<double>(random_()) / 7;
        break;
      case 3:
        t.value = text();
        break;
      default:
        break;
    }
    t.weights = test::numbers<float>(below(3) == 0 ? below(50000) : below(20), static_cast<unsigned>(random_()));
    t.records.resize(below(100));
    for (Pixel& pixel : t.records) {
      pixel = {static_cast<float>(below(1000)), 0.5F, {1, static_cast<std::uint16_t>(below(65536)), 3, 4}};
    }
    if (below(2) == 0) {
      t.flags = std::vector<bool>(below(5000), true);
    }
    for (std::size_t n = depth > 0 ? below(4) : 0; n > 0; --n) {
      t.children.push_back(tree(depth - 1));
    }
    for (std::size_t n = depth > 0 ? below(3) : 0; n > 0; --n) {
      t.named[text()] = tree(depth - 1);
    }
    return t;
  }

 private:
  std::mt19937_64 random_;
};

TEST(Archive, RandomTreesRoundTripEverywhere) {
  const test::Folder folder;
  for (unsigned seed = 0; seed < 12; ++seed) {
    const Tree tree = Random(seed).tree(3);
    for (const char* name : {"tree.stele", "tree.stele.gz", "tree.stele.zst"}) {
      if (std::string_view(name).ends_with(".zst") && !test::has_codec("zstd")) {
        continue;
      }
      save(tree, folder / name);
      ASSERT_EQ(load<Tree>(folder / name), tree) << seed << name;
      const File file = open(folder / name);
      ASSERT_EQ(file.load<Tree>(), tree) << seed << name;
      if (!tree.children.empty()) {
        const std::string last = "children/" + std::to_string(tree.children.size() - 1);
        EXPECT_EQ(file.load<Tree>(last), tree.children.back());
        EXPECT_EQ(file.load<std::string>(last + "/name"), tree.children.back().name);
        EXPECT_EQ(file.load<std::vector<float>>(last + "/weights"), tree.children.back().weights);
        EXPECT_EQ(file.load<std::vector<Pixel>>(last + "/records"), tree.children.back().records);
      }
      file.verify();
    }
    ASSERT_EQ(round_trip(tree), tree) << seed;
    ASSERT_EQ(to_bytes(tree), to_bytes(round_trip(tree))) << seed;
  }
}

}  // namespace
}  // namespace stele
