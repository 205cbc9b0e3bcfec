// Compressed saving and loading with every codec, beside the rivals of rivals.py, on the data sets that it leaves in
// STELE_BENCH_FOLDER. Each way to save is measured in a process of its own.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>

#include "bench.hpp"
#include "child.hpp"
#include "stele/archive.hpp"
#include "stele/codec.hpp"

namespace {

const bool quick = std::getenv("STELE_BENCH_QUICK") != nullptr;

/// What a program would save: one large array and small things.
template <class T, std::size_t Rank>
struct Model {
  stele::Array<T, Rank> X;
  std::vector<int> y;
  std::string name;
};

/// A way to save.
struct Way {
  std::string codec;
  std::optional<int> level;
  std::string filter = "none";
  unsigned threads = 2;

  std::string text() const {
    return codec + (level ? " " + std::to_string(*level) : "") + (filter == "none" ? "" : " " + filter);
  }
  stele::SaveOptions options() const { return {.codec = codec, .level = level, .filter = filter, .threads = threads}; }
};

/// The least times of all rounds, and what the first of them took.
struct Measured {
  double save_seconds = 1e300;
  double load_seconds = 1e300;
  double plain = 0;
  double stored = 0;
  double save_mib = 0;
  double load_mib = 0;
  double standard_level = 0;  // 1 if it was that
};

template <class Work>
double timed(Work work) {
  const double begin = bench::seconds(CLOCK_MONOTONIC);
  work();
  return bench::seconds(CLOCK_MONOTONIC) - begin;
}

/// Saves and loads until a budget of time is used, three times at most.
template <class T>
Measured measure(const T& value, std::uint64_t bytes, const std::string& path, const Way& way) {
  const double budget = quick ? 0.1 : 0.25;
  Measured measured;
  measured.plain = static_cast<double>(bytes);
  double used = 0;
  for (int round = 0; round < 3 && (round == 0 || used < budget); ++round) {
    bench::settle_heap();
    std::uint64_t base = bench::reset_peak();
    const double save = timed([&] { stele::save(value, path, way.options()); });
    const double save_mib = bench::mib_above(base);
    base = bench::reset_peak();
    double load_mib = 0;
    double load = 0;
    {
      std::optional<T> loaded;
      load = timed([&] { loaded.emplace(stele::load<T>(path, {.threads = way.threads})); });
      load_mib = bench::mib_above(base + bytes);
    }
    if (round == 0) {
      measured.save_mib = std::max(save_mib, 0.0);
      measured.load_mib = std::max(load_mib, 0.0);
    }
    measured.save_seconds = std::min(measured.save_seconds, save);
    measured.load_seconds = std::min(measured.load_seconds, load);
    used += save + load;
  }
  measured.stored = static_cast<double>(std::filesystem::file_size(path));
  return measured;
}

void add(const std::string& name, const std::function<Measured()>& work) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [work](benchmark::State& state) {
                                 for (auto _ : state) {
                                   const Measured measured = bench::in_child(work);
                                   state.SetIterationTime(measured.save_seconds);
                                   state.counters["load_ms"] = 1e3 * measured.load_seconds;
                                   state.counters["plain"] = measured.plain;
                                   state.counters["stored"] = measured.stored;
                                   state.counters["save_mib"] = measured.save_mib;
                                   state.counters["load_mib"] = measured.load_mib;
                                   state.counters["standard_level"] = measured.standard_level;
                                 }
                               })
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}

bool is_slow(const std::string& codec) { return codec == "bzip2" || codec == "xz" || codec == "lzma"; }

/// The levels that rivals are met with: the standard one, of the fast codecs the lowest and joblib's own 3, of the
/// fastest 9 as well.
std::vector<int> levels_of(const stele::Codec& codec) {
  const stele::LevelRange range = codec.levels();
  const std::string name(codec.name());
  std::vector<int> levels = {range.standard};
  if (!is_slow(name)) {
    levels.insert(levels.end(), {range.lowest, 3});
  }
  if (name == "lz4" || name == "zstd") {
    levels.push_back(9);
  }
  std::sort(levels.begin(), levels.end());
  levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
  std::erase_if(levels, [&](int level) { return level < range.lowest || level > range.highest; });
  return levels;
}

/// NumPy's .npy, as far as the data sets need it: C order, little-endian, one or two dimensions.
struct Npy {
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::size_t data_at = 0;
};

Npy read_header(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string start(10, '\0');
  file.read(start.data(), 10);
  bench::require(file.good() && start.starts_with("\x93NUMPY\x01"), "reading .npy");
  std::string header(static_cast<unsigned char>(start[8]) + 256U * static_cast<unsigned char>(start[9]), '\0');
  file.read(header.data(), static_cast<std::streamsize>(header.size()));
  Npy npy;
  npy.data_at = 10 + header.size();
  const std::size_t descr = header.find("'descr': '") + 10;
  npy.dtype = header.substr(descr, header.find('\'', descr) - descr);
  for (std::size_t at = header.find('(') + 1; header[at] != ')';) {
    npy.shape.push_back(std::stoull(header.substr(at)));
    at = header.find_first_of(",)", at);
    at = header.find_first_not_of(", ", at);
  }
  return npy;
}

/// The data set at `path`.
template <class T, std::size_t Rank>
Model<T, Rank> read_model(const std::string& path, const Npy& npy) {
  std::array<std::uint64_t, Rank> shape{};
  std::copy_n(npy.shape.begin(), Rank, shape.begin());
  Model<T, Rank> model{stele::Array<T, Rank>::uninitialized(shape), std::vector<int>(1000), "m"};
  for (int i = 0; i < 1000; ++i) {
    model.y[static_cast<std::size_t>(i)] = i;
  }
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(npy.data_at));
  file.read(reinterpret_cast<char*>(model.X.mutable_data()), static_cast<std::streamsize>(model.X.size() * sizeof(T)));
  bench::require(file.good(), "reading .npy");
  return model;
}

/// Calls `work` with the data set, whatever its elements.
template <class Work>
auto with_model(const std::string& path, const Work& work) {
  const Npy npy = read_header(path);
  const auto ranked = [&]<class T>(T) {
    return npy.shape.size() == 1 ? work(read_model<T, 1>(path, npy)) : work(read_model<T, 2>(path, npy));
  };
  if (npy.dtype == "|u1") {
    return ranked(std::uint8_t{});
  }
  if (npy.dtype == "<f4") {
    return ranked(float{});
  }
  if (npy.dtype == "<f8") {
    return ranked(double{});
  }
  bench::require(npy.dtype == "<i8", "finding a data set's type");
  return ranked(std::int64_t{});
}

/// Each data set with all codecs, some of their levels, and filters; of the slow ones on a part.
void add_sets() {
  std::vector<std::filesystem::path> paths;
  if (!std::filesystem::exists(bench::file("sets"))) {
    return;
  }
  for (const auto& entry : std::filesystem::directory_iterator(bench::file("sets"))) {
    if (entry.path().extension() == ".npy" && entry.path().stem().extension() != ".part") {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  const stele::Codecs codecs;
  for (const auto& path : paths) {
    const auto add_way = [&](const Way& way, bool part, const std::string& file, bool standard_level = false) {
      const std::string data = (part ? path.parent_path() / (path.stem().string() + ".part.npy") : path).string();
      add("sets/" + path.stem().string() + "/stele/" + (part ? "part " : "") + way.text(), [=] {
        return with_model(data, [&](const auto& model) {
          Measured measured = measure(model, model.X.size() * sizeof(model.X.data()[0]), file, way);
          measured.standard_level = standard_level ? 1 : 0;
          if (way.codec != "plain") {
            std::filesystem::remove(file);
          }
          return measured;
        });
      });
    };
    // The plain archives stay: what the command line tools compress.
    const std::string stem = (path.parent_path() / path.stem()).string();
    add_way({"plain", {}}, false, stem + ".stele");
    add_way({"plain", {}}, true, stem + ".part.stele");
    for (const auto& codec : codecs.all()) {
      const std::string name(codec->name());
      for (const int level : levels_of(*codec)) {
        for (const char* filter : {"none", "auto"}) {
          add_way({name, level, filter}, is_slow(name), bench::file("sets/new.stele"),
                  level == codec->levels().standard);
        }
      }
    }
  }
}

stele::Array<float> tiled_weights(std::uint64_t bytes) {
  auto array = stele::Array<float>::uninitialized({bytes / sizeof(float)});
  const std::vector<float> values = bench::weights(1 << 20);
  for (std::uint64_t i = 0; i < array.size(); ++i) {
    array.mutable_data()[i] = values[i % values.size()];
  }
  return array;
}

/// Peak memory above one large array.
void add_memory() {
  const stele::Codecs codecs;
  for (const auto& codec : codecs.all()) {
    const std::string name(codec->name());
    const std::uint64_t bytes = (is_slow(name) ? (quick ? 16 : 64) : (quick ? 128 : 1024)) * bench::mib;
    const Way way{name, {}, "auto"};
    add("memory/" + way.text(), [=] {
      const std::string file = bench::file("memory.stele");
      // Loading has a process of its own: what saving leaves in the heap would hide what it takes.
      Measured measured = bench::in_child([&] {
        const auto array = tiled_weights(bytes);
        Measured saved;
        const std::uint64_t base = bench::reset_peak();
        saved.save_seconds = timed([&] { stele::save(array, file, way.options()); });
        saved.save_mib = bench::mib_above(base);
        return saved;
      });
      measured.plain = static_cast<double>(bytes);
      measured.stored = static_cast<double>(std::filesystem::file_size(file));
      const std::uint64_t base = bench::reset_peak();
      stele::Array<float> array;
      measured.load_seconds = timed([&] { array = stele::load<stele::Array<float>>(file, {.threads = way.threads}); });
      measured.load_mib = bench::mib_above(base + bytes);
      std::filesystem::remove(file);
      return measured;
    });
  }
}

/// One array of a hundred from a file, beside all of them: "load_ms" has the whole, the time that of the one.
void add_one_of_many() {
  using Arrays = std::map<std::string, stele::Array<float>>;
  const std::uint64_t bytes = (quick ? 256 : 1024) * (bench::mib / 1024);
  const stele::Codecs codecs;
  for (const auto& codec : codecs.all()) {
    const Way way{std::string(codec->name()), {}};
    add("one/" + way.codec, [=] {
      const std::string file = bench::file("one." + way.codec);
      if (!std::filesystem::exists(file)) {
        const std::vector<float> values = bench::weights(bytes / sizeof(float));
        Arrays arrays;
        for (int i = 0; i < 100; ++i) {
          auto& array = arrays[std::to_string(i)];
          array = stele::Array<float>::uninitialized({values.size()});
          std::transform(values.begin(), values.end(), array.mutable_data(),
                         [i](float value) { return value * (1 + 0.01F * static_cast<float>(i)); });
        }
        stele::save(arrays, file, way.options());
      }
      Measured measured;
      for (int round = 0; round < 3; ++round) {
        measured.load_seconds =
            std::min(measured.load_seconds, timed([&] { stele::load<Arrays>(file, {.threads = way.threads}); }));
        measured.save_seconds =
            std::min(measured.save_seconds,
                     timed([&] { stele::open(file, {.threads = way.threads}).load<stele::Array<float>>("50"); }));
      }
      measured.plain = static_cast<double>(100 * bytes);
      measured.stored = static_cast<double>(std::filesystem::file_size(file));
      return measured;
    });
  }
}

/// One thread and two.
void add_scaling() {
  const stele::Codecs codecs;
  for (const auto& codec : codecs.all()) {
    const std::string name(codec->name());
    if (name == "lzma") {  // which has no blocks
      continue;
    }
    for (const unsigned threads : {1U, 2U}) {
      const Way way{name, {}, "none", threads};
      add("scaling/" + name + "/" + std::to_string(threads), [=] {
        const auto array = tiled_weights((is_slow(name) ? (quick ? 8 : 24) : (quick ? 24 : 96)) * bench::mib);
        const std::string file = bench::file("scaling.stele");
        const Measured result = measure(array, array.size() * sizeof(float), file, way);
        std::filesystem::remove(file);
        return result;
      });
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  add_sets();
  add_memory();
  add_one_of_many();
  add_scaling();
  return bench::run(argc, argv);
}
