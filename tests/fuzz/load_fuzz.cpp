// The loader: the input is the root of an archive with valid checksums, loaded as many types in several ways.

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <unordered_map>
#include <variant>

#include "fuzz.hpp"
#include "stele/archive.hpp"
#include "stele/describe.hpp"
#include "stele/hash.hpp"
#include "stele/value.hpp"
#include "support/hand_made.hpp"

namespace stele {
namespace {

using fuzz::require;
using fuzz::succeeds;

struct Point {
  float x = 0;
  std::int32_t n = 0;
};

struct Tree {
  std::string name;
  std::vector<Tree> children;
  std::shared_ptr<Tree> shared;
  std::weak_ptr<Tree> parent;
  std::unique_ptr<Tree> owned;
};

struct Everything {
  std::vector<float> weights;
  Array<double, 2> grid;
  Value any;
  std::vector<Point> points;
  std::vector<std::array<std::int16_t, 3>> cells;
  std::map<std::string, std::vector<std::string>> texts;
  std::unordered_map<std::int64_t, double> numbers;
  std::variant<std::monostate, int, std::string, std::vector<int>> either;
  std::optional<std::optional<bool>> maybe;
  std::tuple<int, std::string, double> tuple;
  std::list<std::shared_ptr<Array<float>>> arrays;
  std::set<std::vector<int>> keys;
  std::deque<bool> flags;
};

const LoadOptions limited{.limits = {.depth = 100, .allocation = std::uint64_t{64} << 20}};

template <class T>
void dissolve(const T&) {}

/// Cuts the cycles, so that nothing leaks.
void dissolve(Tree& tree) {
  for (Tree& child : tree.children) {
    dissolve(child);
  }
  if (tree.owned != nullptr) {
    dissolve(*tree.owned);
  }
  if (const std::shared_ptr<Tree> shared = std::move(tree.shared)) {
    dissolve(*shared);
  }
}

template <class T>
void load_as(const test::Data& archive) {
  succeeds([&] {
    T value = from_bytes<T>(archive, limited);
    dissolve(value);
  });
  succeeds([&] {
    std::istringstream stream(std::string(reinterpret_cast<const char*>(archive.data()), archive.size()));
    T value = load<T>(stream, limited);
    dissolve(value);
  });
}

/// A loaded Value is saved and loaded again, and equal.
void load_value(const test::Data& archive) {
  const Value value = from_bytes<Value>(archive, limited);
  (void)describe(value);
  (void)hash(value);
  const test::Data again = to_bytes(value);
  const Value back = from_bytes<Value>(again);
  require(to_bytes(back) == again);
}

}  // namespace
}  // namespace stele

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stele;
  const test::Data archive = test::wrap(std::as_bytes(std::span(data, size)));
  load_as<Everything>(archive);
  load_as<Tree>(archive);
  load_as<std::vector<Point>>(archive);
  load_as<Array<double, 2>>(archive);
  load_as<std::map<std::string, Everything>>(archive);
  load_as<std::vector<std::shared_ptr<std::vector<float>>>>(archive);
  succeeds([&] { load_value(archive); });
  return 0;
}
