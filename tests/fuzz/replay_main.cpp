// Replays a fuzz target without libFuzzer: every file of the corpus as it is, cut short, and with single bytes changed.
// Without a sanitizer, which sees more, at a third of the places.
//
//   <name>_fuzz [--verbose] folder…      --verbose names each input before it runs; the last one named is the culprit.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "support/sanitized.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

class Replay {
 public:
  explicit Replay(bool verbose) : verbose_(verbose) {}

  void file(const std::filesystem::path& path) {
    std::ifstream stream(path, std::ios::binary);
    const Input whole{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    if (!stream.good() && !stream.eof()) {
      std::fprintf(stderr, "cannot read %s\n", path.c_str());
      std::exit(1);
    }
    name_ = path.string();
    run(Input(whole), "as it is", 0);
    const std::vector<std::size_t> places = positions(whole.size());
    constexpr std::size_t step = stele::test::sanitized ? 1 : 3;
    for (std::size_t i = 0; i < places.size(); i += step) {
      const std::size_t at = places[i];
      run(Input(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(at)), "cut at", at);
      run_changed(whole, at, static_cast<std::uint8_t>(whole[at] ^ (1U << (at % 8))));
      run_changed(whole, at, 0xff);
    }
    ++files_;
  }

  std::size_t files() const { return files_; }
  std::size_t inputs() const { return inputs_; }

 private:
  /// Where to cut and change a file: everywhere in a small one; in a large one at its head, its tail and evenly
  /// between, the fewer the larger it is.
  static std::vector<std::size_t> positions(std::size_t size) {
    constexpr std::size_t bytes_to_run = std::size_t{32} << 20;
    const std::size_t most = std::clamp<std::size_t>(bytes_to_run / std::max<std::size_t>(size, 1), 32, 768);
    std::vector<std::size_t> places;
    if (size <= most) {
      for (std::size_t at = 0; at < size; ++at) {
        places.push_back(at);
      }
      return places;
    }
    const std::size_t edge = most / 3;
    for (std::size_t i = 0; i < edge; ++i) {
      places.push_back(i);
      places.push_back(size - 1 - i);
      places.push_back(edge + (size - 2 * edge) * i / edge);
    }
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end()), places.end());
    return places;
  }

  void run_changed(const Input& whole, std::size_t at, std::uint8_t value) {
    if (whole[at] != value) {
      Input changed = whole;
      changed[at] = value;
      run(changed, value == 0xff ? "0xff at" : "a bit changed at", at);
    }
  }

  /// The vector has no spare capacity, so that a read beyond the end is one outside the allocation.
  void run(const Input& input, const char* what, std::size_t at) {
    if (verbose_) {
      std::fprintf(stderr, "%s, %s %zu\n", name_.c_str(), what, at);
    }
    ++inputs_;
    try {
      LLVMFuzzerTestOneInput(input.data(), input.size());
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s, %s %zu: an exception left the target: %s\n", name_.c_str(), what, at, error.what());
      std::exit(1);
    }
  }

  bool verbose_;
  std::string name_;
  std::size_t files_ = 0;
  std::size_t inputs_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  const bool verbose = std::find(arguments.begin(), arguments.end(), "--verbose") != arguments.end();
  Replay replay(verbose);
  for (std::string_view folder : arguments) {
    if (folder == "--verbose") {
      continue;
    }
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) {
        files.push_back(entry.path());
      }
    }
    std::sort(files.begin(), files.end());
    for (const auto& path : files) {
      replay.file(path);
    }
  }
  std::printf("%zu inputs from %zu files\n", replay.inputs(), replay.files());
  return replay.files() == 0 ? 1 : 0;
}
