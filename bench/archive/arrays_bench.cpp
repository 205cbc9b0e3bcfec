// Plain files of {"X": 200 MiB of float32, "y": 1000 integers, "name"}: saved beside write(2) of the same bytes, loaded
// beside read(2).

#include <Eigen/Core>
#include <filesystem>
#include <utility>

#include "bench.hpp"
#include "stele/archive.hpp"
#include "stele/eigen.hpp"

namespace {

constexpr std::size_t columns = 1024;
constexpr std::size_t rows = 200 * bench::mib / sizeof(float) / columns;
constexpr std::size_t bytes = rows * columns * sizeof(float);

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class X>
struct Data {
  X x;
  std::vector<std::int64_t> y;
  std::string name;

  static void visit(auto& v, auto& self) {
    v("X", self.x);
    v("y", self.y);
    v("name", self.name);
  }
};

void add_load(const std::string& what, const std::string& path, const auto& make, std::uint64_t size) {
  bench::add("load/" + what, [path, make] { return make(path); }, size);
}

}  // namespace

int main(int argc, char** argv) {
  const auto data = std::make_shared<Data<stele::Array<float, 2>>>();
  data->x = stele::Array<float, 2>::uninitialized({rows, columns});
  const std::vector<float> values = bench::weights(1 << 20);
  for (std::size_t i = 0; i < data->x.size(); ++i) {
    data->x.mutable_data()[i] = values[i % values.size()];
  }
  bench::write_raw(bench::file("arrays.raw"), std::as_bytes(data->x.span()));  // for other languages
  data->y.assign(1000, 7);
  data->name = "m";

  // The file to load stays; what is saved goes to a new file each time.
  const std::string kept = bench::file("arrays.stele");
  stele::save(*data, kept);
  const std::size_t size = std::filesystem::file_size(kept);
  const std::string path = bench::file("arrays.new");
  const auto remove = [path] { ::unlink(path.c_str()); };
  const auto serialised = std::make_shared<std::vector<std::byte>>(stele::to_bytes(*data));

  bench::add(
      "save/stele", remove,
      [=] {
        stele::save(*data, path);
        return true;
      },
      bytes);
  bench::add("save/write(2)", remove, [=] { return bench::write_raw(path, *serialised); }, bytes);
  bench::add(
      "save/stele, 1 thread", remove,
      [=] {
        stele::save(*data, path, {.threads = 1});
        return true;
      },
      bytes);

  add_load("read(2)", kept, [](const std::string& from) { return bench::read_raw(from); }, size);
  add_load(
      "stele::Array", kept, [](const std::string& from) { return stele::load<Data<stele::Array<float, 2>>>(from); },
      bytes);
  add_load(
      "stele::Array, not verified", kept,
      [](const std::string& from) {
        return stele::load<Data<stele::Array<float, 2>>>(from, {.verify = stele::Verify::none});
      },
      bytes);
  add_load("Eigen", kept, [](const std::string& from) { return stele::load<Data<Matrix>>(from); }, bytes);
  {
    const std::string flat = bench::file("arrays.flat.stele");
    Data<std::vector<float>> same;
    same.x.assign(data->x.data(), data->x.data() + data->x.size());
    same.y = data->y;
    same.name = data->name;
    stele::save(same, flat);
    add_load(
        "std::vector", flat, [](const std::string& from) { return stele::load<Data<std::vector<float>>>(from); },
        bytes);
  }
  const int result = bench::run(argc, argv);
  remove();
  return result;
}
