// Every family of types through every template of the core, compiled with many warnings, as a consumer may do.

#include <array>
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
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#include "stele/stele.hpp"

namespace {

enum class Colour : std::uint8_t { red, green };

struct Point {
  float x = 0;
  double y = 0;
};

struct Base {
  virtual ~Base() = default;
  int id = 0;
  static void visit(auto& v, auto& self) { v("id", self.id); }
};
struct Derived : Base {
  std::string name;
  static void visit(auto& v, auto& self) { v.version(2), v("id", self.id).renamed("label", "name", self.name); }
};

struct All {
  bool flag = false;
  std::int8_t small = 0;
  std::uint64_t large = 0;
  Colour colour = Colour::red;
  float real = 0;
  std::complex<double> z;
  std::string text;
  std::filesystem::path path;
  std::bitset<70> bits;
  std::chrono::milliseconds time{};
  std::optional<std::vector<double>> maybe;
  std::variant<int, std::string, Point> either;
  std::tuple<int, std::string> both;
  std::unique_ptr<Base> owned;
  std::shared_ptr<Base> shared;
  std::weak_ptr<Base> weak;
  stele::Array<float, 2> matrix;
  std::array<int, 3> fixed{};
  std::vector<Point> points;
  std::vector<bool> flags;
  std::vector<std::vector<std::string>> nested;
  std::deque<int> queue;
  std::list<std::string> list;
  std::set<std::string> names;
  std::map<std::string, std::vector<float>> table;
  std::unordered_map<int, std::pair<int, double>> counts;
};

template <class T>
T through(const T& value) {
  stele::save(value, "a.stele.gz");
  const auto file = stele::open("a.stele.gz");
  T again = file.load<T>();
  stele::load_into(again, "a.stele.gz");
  const stele::Digest digest = stele::hash(again);
  return stele::describe(value).size() > digest.bytes.size() ? stele::from_bytes<T>(stele::to_bytes(value))
                                                             : stele::load<T>("a.stele");
}

}  // namespace

int main() {
  stele::TypeRegistry types;
  types.add<Base>("base");
  types.add<Derived, Base>("derived");
  const All all = through(All());
  stele::MapWriter out("map.stele");
  out.write("all", all);
  stele::GrowingArray<float> rows = out.grow<float>("rows", {3});
  rows.append(all.matrix);
  rows.close();
  out.close();
  const stele::Value value = stele::load<stele::Value>("map.stele");
  return value.size() == 2 && through(all.table).empty() ? 0 : 1;
}
