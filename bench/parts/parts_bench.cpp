// Parts of large matrices in files, read by lazy arrays, beside the rivals of rivals.py, on the matrices that it leaves
// in STELE_BENCH_FOLDER. Each task opens the file and is measured in a process of its own. The files are in the page
// cache.

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>

#include "bench.hpp"
#include "child.hpp"
#include "stele/archive.hpp"

namespace {

constexpr std::uint64_t columns = 256;
constexpr std::uint64_t column = 7;                    // the one that is read
constexpr std::uint64_t batch_bytes = 4 * bench::mib;  // of a batch of a full pass

template <class T>
struct Features {
  stele::Array<T, 2> rows;
};

/// A way to store and to read a matrix.
struct Way {
  std::string name;
  std::string extension;
  stele::MapMode map = stele::MapMode::none;
  unsigned threads = 2;
  std::optional<int> level = std::nullopt;

  stele::LoadOptions options() const { return {.map = map, .threads = threads}; }
};

const Way ways[] = {
    {"stele plain", ""},
    {"stele mapped", "", stele::MapMode::read_only},
    {"stele zstd", ".zst"},
    {"stele zstd, 1 thread", ".zst", stele::MapMode::none, 1},
    {"stele zstd 9", ".9.zst", stele::MapMode::none, 2, 9},
    {"stele gzip", ".gz"},
    {"stele lz4", ".lz4"},
};

struct Measured {
  double seconds = 0;
  double peak_mib = 0;    // resident memory above the start, with the result
  double read_bytes = 0;  // by system calls
  double stored_bytes = 0;
};

/// A matrix as rivals.py leaves it.
template <class T>
struct Matrix {
  std::string name;

  std::string raw() const { return bench::file("parts " + name + ".raw"); }
  std::string path(const Way& way) const { return bench::file("parts " + name + ".stele" + way.extension); }
  std::uint64_t rows() const { return std::filesystem::file_size(raw()) / (columns * sizeof(T)); }

  /// Rows of the raw file.
  std::vector<T> read(std::uint64_t first, std::uint64_t count) const {
    std::vector<T> values(count * columns);
    std::ifstream file(raw(), std::ios::binary);
    file.seekg(static_cast<std::streamoff>(first * columns * sizeof(T)));
    file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
    bench::require(file.good(), "reading a matrix");
    return values;
  }
};

/// Bytes that this process has read by system calls.
double bytes_read() {
  std::ifstream file("/proc/self/io");
  std::string field;
  double value = 0;
  file >> field >> value;
  bench::require(field == "rchar:", "reading /proc/self/io");
  return value;
}

template <class Work>
void add(const std::string& name, const Way& way, const std::string& path, Work work) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) {
                                 for (auto _ : state) {
                                   const Measured measured = bench::in_child(work);
                                   state.SetIterationTime(measured.seconds);
                                   state.counters["peak_mib"] = measured.peak_mib;
                                   if (way.map == stele::MapMode::none) {
                                     state.counters["read_mb"] = measured.read_bytes / 1e6;
                                   }
                                   state.counters["stored_mb"] =
                                       static_cast<double>(std::filesystem::file_size(path)) / 1e6;
                                 }
                               })
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}

/// Measures `work`, whose result `check` then compares with the matrix.
template <class Work, class Check>
Measured measure(Work work, Check check) {
  const std::uint64_t base = bench::reset_peak();
  const double read_before = bytes_read();
  const double begin = bench::seconds(CLOCK_MONOTONIC);
  const auto result = work();
  Measured measured;
  measured.seconds = bench::seconds(CLOCK_MONOTONIC) - begin;
  measured.read_bytes = bytes_read() - read_before;
  measured.peak_mib = bench::mib_above(base);
  bench::require(check(result), "comparing a part with the matrix");
  return measured;
}

template <class T>
bool same(const stele::Array<T, 2>& part, std::uint64_t row, const std::vector<T>& expected) {
  return std::memcmp(&part(row, 0), expected.data(), expected.size() * sizeof(T)) == 0;
}

template <class T>
void add_tasks(const Matrix<T>& matrix, const Way& way) {
  const std::string path = matrix.path(way);
  const auto name = [&](const std::string& task) { return "parts/" + matrix.name + "/" + task + "/" + way.name; };
  const auto open = [=] { return stele::open(path, way.options()).template array<T, 2>("rows"); };
  const std::uint64_t rows = matrix.rows();

  add(name("rows"), way, path, [=] {
    const std::uint64_t first = rows / 3;
    const std::uint64_t count = rows / 100;
    return measure([&] { return open().rows(first, count); },
                   [&](const auto& part) { return same(part, 0, matrix.read(first, count)); });
  });
  add(name("random"), way, path, [=] {
    const auto wanted = bench::read_raw(bench::file("parts " + matrix.name + ".random"));
    const auto* const indices = reinterpret_cast<const std::uint64_t*>(wanted.get());
    const std::size_t count = 1000;
    return measure([&] { return open().gather({indices, count}); },
                   [&](const auto& part) {
                     bool equal = true;
                     for (std::size_t i = 0; i < count; ++i) {
                       equal = equal && same(part, i, matrix.read(indices[i], 1));
                     }
                     return equal;
                   });
  });
  add(name("column"), way, path, [=] {
    return measure([&] { return open().read({{}, {column, 1}}); },
                   [&](const auto& part) {
                     return part.shape()[0] == rows && part(0, 0) == matrix.read(0, 1)[column] &&
                            part(rows - 1, 0) == matrix.read(rows - 1, 1)[column];
                   });
  });
  add(name("pass"), way, path, [=] {
    return measure(
        [&] {
          std::uint64_t seen = 0;
          const auto x = open();
          for (const auto& batch : x.batches(batch_bytes / (columns * sizeof(T)))) {
            seen += batch.shape()[0];
          }
          return seen;
        },
        [&](std::uint64_t seen) { return seen == rows; });
  });
  add(name("whole"), way, path, [=] {
    return measure(
        [&] {  // load() would only map a mapped file
          return way.map == stele::MapMode::none ? stele::load<Features<T>>(path, way.options()).rows
                                                 : open().rows(0, rows);
        },
        [&](const auto& all) { return all.shape()[0] == rows && same(all, rows - 1, matrix.read(rows - 1, 1)); });
  });
}

/// Saves the matrix in every way, and registers the tasks.
template <class T>
void add_matrix(const Matrix<T>& matrix) {
  for (const Way& way : ways) {
    if (!std::filesystem::exists(matrix.path(way))) {
      bench::in_child([&] {
        const std::uint64_t rows = matrix.rows();
        const std::vector<T> values = matrix.read(0, rows);
        Features<T> features{stele::Array<T, 2>::uninitialized({rows, columns})};
        std::memcpy(features.rows.mutable_data(), values.data(), values.size() * sizeof(T));
        stele::save(features, matrix.path(way), {.level = way.level, .threads = 2});
        return 0;
      });
      ::sync();
    }
    add_tasks(matrix, way);
  }
}

}  // namespace

int main(int argc, char** argv) {
  add_matrix(Matrix<float>{"float32"});
  add_matrix(Matrix<std::int64_t>{"int64"});
  return bench::run(argc, argv);
}
