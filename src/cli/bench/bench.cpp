// stele bench

#include <stdlib.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>
#include <tuple>

#include <nlohmann/json.hpp>

#include "cli/bench/measure.hpp"
#include "cli/bench/object.hpp"
#include "cli/commands.hpp"
#include "cli/print/format.hpp"
#include "cli/print/progress.hpp"
#include "cli/print/report.hpp"
#include "cli/streams/interrupt.hpp"
#include "io/descriptor.hpp"
#include "stele/codec.hpp"

namespace stele::cli {
namespace {

// For a larger object, a part of this size is tried first to estimate the time for the whole.
constexpr double sample_bytes = 4 << 20;

/// Saving or loading by one candidate.
struct Side {
  double seconds = 0;
  double speed = 0;          // plain bytes per second
  std::int64_t memory = -1;  // bytes; negative: unknown
  bool front = false;        // no other candidate is both smaller and faster
};

/// The result of one candidate.
struct Row {
  Candidate candidate;
  double ratio = 0;                // plain bytes per stored byte
  std::uint64_t stored_bytes = 0;  // of the whole; estimated if only a part was measured
  double part = 1;
  Side save;
  Side load;
  unsigned rounds = 0;
  std::string failure;  // why there are no figures
};

/// The path of a file to write and read: in its own temporary folder, which the destructor removes, or in memory.
class Scratch {
 public:
  explicit Scratch(const BenchOptions& options) {
    if (options.memory) {
      memory_ = OwnedDescriptor(::memfd_create("stele-bench", MFD_CLOEXEC));
      if (!memory_.is_open()) {
        fail_call("make", "a file in memory", errno);
      }
      path_ = "/proc/self/fd/" + std::to_string(memory_.get());
      return;
    }
    folder_ = (std::filesystem::path(folder_of(options)) / "stele-bench-XXXXXX").string();
    if (::mkdtemp(folder_.data()) == nullptr) {
      const std::string parent = folder_of(options);
      folder_.clear();
      fail_call("make a folder in", parent, errno);
    }
    path_ = folder_ + "/candidate";
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    if (!folder_.empty()) {
      std::error_code ignored;
      std::filesystem::remove_all(folder_, ignored);
    }
  }
  const std::string& path() const noexcept { return path_; }
  static std::string folder_of(const BenchOptions& options) {
    return options.folder.empty() ? std::filesystem::temp_directory_path().string() : options.folder;
  }

 private:
  std::string folder_;
  std::string path_;
  OwnedDescriptor memory_;
};

/// The lowest and the standard level, and one halfway on either side of the standard one.
std::vector<int> usual_levels(const LevelRange& range) {
  std::vector<int> levels = {range.lowest, range.lowest + (range.standard - range.lowest) / 2, range.standard,
                             range.standard + (range.highest - range.standard) / 2};
  std::sort(levels.begin(), levels.end());
  levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
  return levels;
}

std::vector<std::shared_ptr<const Codec>> chosen_codecs(const Codecs& known, const std::vector<std::string>& names) {
  std::vector<std::shared_ptr<const Codec>> codecs;
  for (const auto& codec : known.all()) {
    if (names.empty() || std::find(names.begin(), names.end(), codec->name()) != names.end()) {
      codecs.push_back(codec);
    }
  }
  return codecs;
}

/// Plain first, then each codec with its levels, each level with all filters.
std::vector<Candidate> candidates_of(const BenchOptions& options) {
  const Codecs known;
  std::vector<Candidate> candidates;
  if (options.codecs.empty() ||
      std::find(options.codecs.begin(), options.codecs.end(), "plain") != options.codecs.end()) {
    candidates.push_back({"plain", std::nullopt, "none"});
  }
  for (const auto& codec : chosen_codecs(known, options.codecs)) {
    const LevelRange range = codec->levels();
    for (const int level : options.levels.empty() ? usual_levels(range) : options.levels) {
      if (level >= range.lowest && level <= range.highest) {
        for (const std::string& filter : options.filters) {
          candidates.push_back({std::string(codec->name()), level, filter});
        }
      }
    }
  }
  const bool levelled =
      std::any_of(candidates.begin(), candidates.end(), [](const Candidate& c) { return c.level.has_value(); });
  if (!options.levels.empty() && !levelled) {
    fail(Errc::invalid_argument, "no codec has one of these levels; `stele codecs` lists them");
  }
  return candidates;
}

/// Whether an error of one candidate means that the others will fail too.
bool is_fatal(Errc code) noexcept {
  return code == Errc::io || code == Errc::invalid_argument || code == Errc::unknown_codec || code == Errc::not_found;
}

Row try_candidate(const BenchObject& object, const Candidate& candidate, const BenchOptions& options,
                  const std::string& path, const std::function<void()>& waiting) {
  Row row;
  row.candidate = candidate;
  const auto plain = static_cast<double>(object.plain_bytes);
  MeasureOptions how{.path = path,
                     .threads = options.threads,
                     .seconds = options.seconds,
                     .rounds = 10,
                     .patience = 30 + 10 * options.seconds};
  try {
    Value part;
    double part_bytes = plain;
    if (plain > 2 * sample_bytes) {
      const Value sample = part_of(object.value, sample_bytes / plain);
      const auto tried_bytes = static_cast<double>(plain_size(sample));
      MeasureOptions once = how;
      once.rounds = 1;
      const Measurement tried = measure(sample, candidate, once, waiting);
      const double whole_seconds = (tried.save_seconds + tried.load_seconds) * plain / tried_bytes;
      if (whole_seconds > options.seconds && tried_bytes < plain) {
        // A half, a quarter …, so that candidates of similar speed use the same part and can be compared.
        const double share = std::exp2(std::floor(std::log2(options.seconds / whole_seconds)));
        part = part_of(object.value, std::max(share, sample_bytes / plain));
        part_bytes = static_cast<double>(plain_size(part));
      }
    }
    row.part = part_bytes / plain;
    const Measurement measured = measure(row.part < 1 ? part : object.value, candidate, how, waiting);
    row.ratio = part_bytes / static_cast<double>(measured.stored_bytes);
    row.save = {measured.save_seconds, part_bytes / measured.save_seconds, measured.save_memory};
    row.load = {measured.load_seconds, part_bytes / measured.load_seconds, measured.load_memory};
    row.rounds = measured.rounds;
    row.stored_bytes = row.part < 1 ? static_cast<std::uint64_t>(plain / row.ratio) : measured.stored_bytes;
  } catch (const Error& error) {
    if (is_fatal(error.code())) {
      fail(error.code(), error.message(), {error.path(), error.offset(), error.file()});
    }
    row.failure = error.what();
  }
  return row;
}

/// Marks the rows that no other row beats in both size and speed.
void mark_front(std::vector<Row>& rows, Side Row::* side) {
  for (Row& row : rows) {
    const double speed = (row.*side).speed;
    (row.*side).front = row.failure.empty() && std::none_of(rows.begin(), rows.end(), [&](const Row& other) {
                          const double others = (other.*side).speed;
                          return other.failure.empty() && others >= speed && other.ratio >= row.ratio &&
                                 (others > speed || other.ratio > row.ratio);
                        });
  }
}

std::string machine() {
  std::string name = "unknown processor";
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name") && line.find(':') + 2 < line.size()) {
      name = line.substr(line.find(':') + 2);
      break;
    }
  }
  const unsigned cores = std::thread::hardware_concurrency();
  return printable(name) + ", " + std::to_string(cores) + (cores == 1 ? " core" : " cores");
}

std::string threads_text(unsigned threads) {
  return threads == 0 ? "as many threads as cores" : std::to_string(threads) + (threads == 1 ? " thread" : " threads");
}

std::string speed_text(const Side& side) {
  const double mb = side.speed / 1e6;
  return fixed(mb, mb < 10 ? 1 : 0) + (side.front ? " *" : "  ");
}

std::string memory_text(const Side& side) {
  return side.memory < 0 ? "-" : size_text(static_cast<std::uint64_t>(side.memory));
}

std::string level_text(const Candidate& candidate) { return candidate.level ? std::to_string(*candidate.level) : ""; }

std::string note_of(const Row& row) {
  return row.part < 1 ? "on " + fixed(100 * row.part, row.part < 0.095 ? 1 : 0) + " % of it" : "";
}

void print_rows(const BenchOptions& options, const BenchObject& object, const std::vector<Row>& rows) {
  print(printable(options.file) + ": " + size_text(object.plain_bytes) +
        (object.archive ? " as a plain archive" : ", taken as bytes") + "; " + machine() + "; " +
        threads_text(options.threads) + "\n\n");
  Table table({1, 3, 4, 5, 6, 7, 8});
  table.add({"codec", "level", "filter", "size", "ratio", "save MB/s  ", "load MB/s  ", "save memory", "load memory"});
  bool parts = false;
  for (const Row& row : rows) {
    const Candidate& candidate = row.candidate;
    std::vector<std::string> cells = {candidate.codec, level_text(candidate), candidate.filter};
    if (!row.failure.empty()) {
      cells.push_back("");
      cells.resize(9);
      cells.push_back(printable(row.failure));
    } else {
      parts = parts || row.part < 1;
      for (const std::string& cell :
           {(row.part < 1 ? "~" : "") + size_text(row.stored_bytes), fixed(row.ratio, 2), speed_text(row.save),
            speed_text(row.load), memory_text(row.save), memory_text(row.load), note_of(row)}) {
        cells.push_back(cell);
      }
    }
    table.add(std::move(cells));
  }
  print(table.text());
  print("\n* no other is both smaller and faster. Memory: the peak above the object.\n");
  if (parts) {
    print("Measured on some rows of each large array where the whole would take longer than --seconds " +
          fixed(options.seconds, options.seconds < 1 ? 2 : 0) + ".\n");
  }
}

nlohmann::ordered_json side_json(const Side& side) {
  nlohmann::ordered_json figures;
  figures["seconds"] = side.seconds;
  figures["bytes_per_second"] = side.speed;
  figures["memory_bytes"] = nullptr;
  if (side.memory >= 0) {
    figures["memory_bytes"] = side.memory;
  }
  figures["pareto_front"] = side.front;
  return figures;
}

nlohmann::ordered_json row_json(const Row& row) {
  nlohmann::ordered_json entry;
  entry["codec"] = row.candidate.codec;
  entry["level"] = nullptr;
  if (row.candidate.level) {
    entry["level"] = *row.candidate.level;
  }
  entry["filter"] = row.candidate.filter;
  if (!row.failure.empty()) {
    entry["failure"] = row.failure;
    return entry;
  }
  entry["part"] = row.part;
  entry["stored_bytes"] = row.stored_bytes;
  entry["ratio"] = row.ratio;
  entry["save"] = side_json(row.save);
  entry["load"] = side_json(row.load);
  entry["rounds"] = row.rounds;
  return entry;
}

void print_document(const BenchOptions& options, const BenchObject& object, const std::vector<Row>& rows) {
  nlohmann::ordered_json document;
  document["file"] = options.file;
  document["object"] = object.archive ? "archive" : "bytes";
  document["plain_bytes"] = object.plain_bytes;
  document["machine"] = machine();
  document["threads"] = options.threads;
  document["folder"] = nullptr;
  if (!options.memory) {
    document["folder"] = Scratch::folder_of(options);
  }
  document["candidates"] = nlohmann::ordered_json::array();
  for (const Row& row : rows) {
    document["candidates"].push_back(row_json(row));
  }
  print_json(document);
}

}  // namespace

int bench(const BenchOptions& options) {
  const std::vector<Candidate> candidates = candidates_of(options);
  std::vector<Row> rows;
  const BenchObject object = read_object(options.file, options.bytes, options.threads);
  {
    const InterruptGuard guard;
    const Scratch scratch(options);
    Progress progress("", candidates.size(), !options.json);
    for (const Candidate& candidate : candidates) {
      progress.describe(candidate.codec + (candidate.level ? " " + level_text(candidate) : "") + ", filter " +
                        candidate.filter + "; " + std::to_string(rows.size() + 1) + " of " +
                        std::to_string(candidates.size()));
      const auto waiting = [&] {
        check_interrupt();
        progress.update(rows.size());
      };
      waiting();
      rows.push_back(try_candidate(object, candidate, options, scratch.path(), waiting));
    }
  }
  mark_front(rows, &Row::save);
  mark_front(rows, &Row::load);
  const auto place = [](const Row& row) {
    const Candidate& candidate = row.candidate;
    return std::tuple(!row.failure.empty(), -row.ratio, candidate.codec, candidate.level, candidate.filter);
  };
  std::sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) { return place(a) < place(b); });
  if (options.json) {
    print_document(options, object, rows);
  } else {
    print_rows(options, object, rows);
  }
  return exit_fine;
}

}  // namespace stele::cli
