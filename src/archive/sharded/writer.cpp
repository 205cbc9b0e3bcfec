#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "archive/sharded/opened.hpp"
#include "archive/sharded/part.hpp"
#include "base/naming.hpp"
#include "base/threads/crew.hpp"
#include "base/threads/interruption.hpp"
#include "base/threads/threads.hpp"
#include "format/path/path.hpp"
#include "stele/error.hpp"
#include "stele/sharded_archive.hpp"

namespace stele {
namespace {

using shards::Manifest;
using shards::PartFile;
using shards::PartTable;

const std::string parts_prefix = std::string(shards::folder_name) + "/";

std::string part_name(std::string_view attempt, unsigned rank, unsigned ranks) {
  return shards::part_suffix(attempt, rank, ranks).substr(1);
}

std::string random_attempt() {
  std::random_device random;
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text = "single-";
  for (int i = 0; i < 24; ++i) {
    text += digits[random() % digits.size()];
  }
  return text;
}

std::string attempt_of(const ShardedOptions& options, unsigned ranks) {
  if (!options.attempt.empty()) {
    return options.attempt;
  }
  if (ranks == 1) {
    return random_attempt();
  }
  std::string attempt = job_attempt();
  if (attempt.empty()) {
    fail(
        Errc::invalid_argument,
        "several ranks need options.attempt, a text that they share and that no other attempt has had: the environment "
        "names no launch of mpirun, torchrun or srun");
  }
  return attempt;
}

SaveOptions saving_of(const ShardedOptions& options) {
  SaveOptions saving = options.save;
  saving.codec = saving.codec.empty() ? "plain" : saving.codec;
  saving.metadata = {};
  saving.formats = nullptr;
  return saving;
}

/// The paths of arrays and values as a tree: none of them inside of another one.
class Paths {
 public:
  /// Throws: Error(invalid_argument).
  void add(std::string_view path) {
    const auto refuse = [&](const std::string& why) { fail(Errc::invalid_argument, why, {path, {}}); };
    std::vector<std::string> keys;
    for (PathStep& step : split_path(path)) {
      if (step.kind != PathStep::Kind::name) {
        refuse("a path of a sharded archive consists of names");
      }
      keys.push_back(std::move(step.name));
    }
    const auto begins = [](const std::vector<std::string>& all, const std::vector<std::string>& with) {
      return all.size() > with.size() && std::equal(with.begin(), with.end(), all.begin());
    };
    const auto [place, added] = all_.insert(std::move(keys));
    const auto next = std::next(place);
    bool clashes = next != all_.end() && begins(*next, *place);
    for (std::size_t length = 0; length < place->size() && !clashes; ++length) {
      clashes = all_.contains({place->begin(), place->begin() + static_cast<std::ptrdiff_t>(length)});
    }
    if (clashes) {
      if (added) {
        all_.erase(place);
      }
      refuse("this path is inside of another value, or another value inside of it");
    }
  }

 private:
  std::set<std::vector<std::string>> all_;
};

/// No name may be both; in a part and in all of them.
void check_paths(const PartTable& table) {
  Paths paths;
  for (const auto& [path, array] : table.arrays) {
    if (table.values.contains(path)) {
      fail(Errc::invalid_argument, "an array and another value have the same path", {path, {}});
    }
    paths.add(path);
  }
  for (const auto& [path, value] : table.values) {
    paths.add(path);
  }
}

/// What a commit found at a place.
struct Before {
  PutCondition condition;
  std::set<std::string> parts;  // of the archive that is there
};

Before look(const Storage& place, std::string_view attempt) {
  Before before{{PutCondition::Kind::absent}, {}};
  const std::optional<StoredObject> there = place.find(shards::manifest_name);
  if (!there) {
    return before;
  }
  before.condition = {PutCondition::Kind::unchanged, there->etag};
  const File file = open(place.source(shards::manifest_name));
  if (!file.info().metadata.contains(std::string(shards::archive_key))) {
    fail(Errc::invalid_argument, "the folder has a " + std::string(shards::manifest_name) +
                                     " that is no manifest of a sharded archive; it would be replaced");
  }
  const Manifest manifest = shards::read_manifest(file);
  if (manifest.attempt == attempt) {
    fail(Errc::invalid_argument,
         "the attempt " + std::string(attempt) + " was committed here already; another archive needs another attempt");
  }
  for (const PartFile& part : manifest.files) {
    before.parts.insert(parts_prefix + part.name);
  }
  return before;
}

/// Waits until the parts of all ranks are there. Throws: Error(not_found).
void await_parts(const Storage& place, unsigned ranks, std::string_view attempt, double wait_s) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point until = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                                     std::chrono::duration<double>(std::clamp(wait_s, 0.0, 1e8)));
  std::set<std::string> missing;
  for (unsigned rank = 0; rank < ranks; ++rank) {
    missing.insert(parts_prefix + part_name(attempt, rank, ranks));
  }
  std::chrono::milliseconds pause(10);
  for (;;) {
    for (const StoredObject& object : place.list(parts_prefix + std::string(attempt) + ".")) {
      missing.erase(object.key);
    }
    constexpr std::size_t few = 16;
    if (missing.size() <= few) {  // a list may be older than what is there
      std::erase_if(missing, [&](const std::string& key) { return place.find(key).has_value(); });
    }
    if (missing.empty()) {
      return;
    }
    if (Clock::now() >= until) {
      std::string names;
      std::size_t count = 0;
      for (unsigned rank = 0; rank < ranks && count < 20; ++rank) {
        if (missing.contains(parts_prefix + part_name(attempt, rank, ranks))) {
          names += (count++ == 0 ? "" : ", ") + std::to_string(rank);
        }
      }
      fail(Errc::not_found, message({"attempt ", attempt, ": there is no part of ", std::uint64_t{missing.size()},
                                     " ranks: ", names, missing.size() > count ? " …" : ""}));
    }
    interruption_point();
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(500));
  }
}

struct ReadPart {
  PartTable table;
  PartFile file;
};

/// Reads what all parts say of themselves, several at once.
std::vector<ReadPart> read_parts(const Storage& place, unsigned ranks, std::string_view attempt, unsigned threads) {
  std::vector<ReadPart> parts(ranks);
  std::atomic<unsigned> next = 0;
  std::mutex mutex;  // guards failure
  std::exception_ptr failure;
  Crew crew(std::min(threads, ranks));
  crew.run([&] {
    try {
      for (unsigned rank = next++; rank < ranks; rank = next++) {
        const std::string name = part_name(attempt, rank, ranks);
        std::unique_ptr<Source> source = place.source(parts_prefix + name);
        parts[rank].file = shards::identify(name, *source);
        naming(place.path_of(parts_prefix + name),
               [&] { parts[rank].table = open(std::move(source), {.threads = 1}).load<PartTable>(shards::table_key); });
      }
    } catch (...) {
      next = ranks;
      const std::lock_guard lock(mutex);
      failure = failure != nullptr ? failure : std::current_exception();
    }
  });
  if (failure != nullptr) {
    std::rethrow_exception(failure);
  }
  return parts;
}

/// Writes the manifest if what was there is still there. Throws: Error(busy).
void put_manifest(Storage& place, Bytes manifest, const PutCondition& condition) {
  std::optional<std::string> etag;
  try {
    etag = place.put(shards::manifest_name, manifest, condition);
  } catch (const Error& error) {
    if (error.code() != Errc::unsupported) {
      throw;
    }
    etag = place.put(shards::manifest_name, manifest);  // a store without conditional writes: the last one counts
  }
  if (etag) {
    return;
  }
  // It may be ours: a store that did write it can have lost its answer, and was asked again.
  const std::unique_ptr<Source> source = place.source(shards::manifest_name);
  std::vector<std::byte> now(static_cast<std::size_t>(source->size().value_or(0)));
  source->read_at(0, now);
  if (!std::equal(now.begin(), now.end(), manifest.begin(), manifest.end())) {
    fail(Errc::busy, "another commit has replaced the archive meanwhile; this one does not count");
  }
}

/// Removes the parts of what was there before, and those that nobody has committed for long.
std::vector<std::string> sweep(Storage& place, const Manifest& manifest, std::set<std::string> old, double keep_s) {
  std::vector<std::string> left;
  for (const PartFile& part : manifest.files) {
    old.erase(parts_prefix + part.name);
  }
  try {
    const std::vector<StoredObject> all = place.list(parts_prefix);
    double now = 0;  // by the clock of the store
    for (const StoredObject& object : all) {
      now = std::max(now, object.modified);
    }
    std::set<std::string> used;
    for (const PartFile& part : manifest.files) {
      used.insert(parts_prefix + part.name);
    }
    const std::string mine = parts_prefix + manifest.attempt + ".";
    for (const StoredObject& object : all) {
      const bool is_part =
          object.key.ends_with(".stele") && object.key.find('/', parts_prefix.size()) == std::string::npos;
      const bool is_stale = object.modified > 0 && now - object.modified > keep_s;
      if (is_part && is_stale && !used.contains(object.key) && !object.key.starts_with(mine)) {
        old.insert(object.key);
      }
    }
  } catch (const Error& error) {
    left.push_back(parts_prefix + ": " + error.what());
  }
  for (const std::string& key : old) {
    try {
      place.remove(key);
    } catch (const Error& error) {
      left.push_back(key + ": " + error.what());
    }
  }
  return left;
}

}  // namespace

std::string job_attempt() {
  const auto given = [](const char* name) -> std::string_view {
    const char* const text = std::getenv(name);
    return text != nullptr ? text : "";
  };
  std::string attempt;
  const std::string_view key = given("OMPI_MCA_orte_precondition_transports");  // random at each mpirun
  const std::string_view run = given("TORCHELASTIC_RUN_ID");
  const std::string_view job = given("SLURM_JOB_ID");
  if (!key.empty()) {
    attempt = "mpirun-" + std::string(key);
  } else if (!run.empty() && run != "none") {
    attempt = "torchrun-" + std::string(run) + "-" + std::string(given("TORCHELASTIC_RESTART_COUNT"));
  } else if (!job.empty() && !given("SLURM_STEP_ID").empty() && !given("SLURM_PROCID").empty()) {
    const std::string_view restarts = given("SLURM_RESTART_COUNT");
    attempt = "slurm-" + std::string(job) + "-" + std::string(given("SLURM_STEP_ID")) + "-" +
              std::string(restarts.empty() ? "0" : restarts);
  }
  std::replace_if(
      attempt.begin(), attempt.end(),
      [](char c) {
        return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_');
      },
      '_');
  return attempt.size() > 100 ? std::string() : attempt;
}

struct ShardedWriter::State {
  State(const Path& where, unsigned own, unsigned all, const ShardedOptions& chosen)
      : options(chosen), place_name(where.text()), rank(own), ranks(all), attempt(attempt_of(chosen, all)) {
    shards::check_attempt(attempt, rank, ranks);
    place = shards::storage_of(place_name);
    key = parts_prefix + part_name(attempt, rank, ranks);
    naming(place_name, [&] {
      look(*place, attempt);
      if (place->find(key)) {
        fail(Errc::invalid_argument, message({"rank ", rank, " has written its part of the attempt ", attempt,
                                              " already; an attempt is never repeated"}));
      }
      sink = place->sink(key);
      writer.emplace(*sink, saving_of(options));
    });
  }

  ShardedOptions options;
  const std::string place_name;
  const unsigned rank;
  const unsigned ranks;
  const std::string attempt;
  std::unique_ptr<Storage> place;
  std::string key;
  std::unique_ptr<Sink> sink;
  std::optional<shards::PartWriter> writer;
  Paths paths;
  bool failed = false;  // a part of which something is missing never counts
  bool closed = false;

  void require_open() const {
    if (closed || failed) {
      fail(Errc::invalid_argument,
           closed ? "the part is closed" : "an array or a value could not be written: the part is lost",
           {.file = place_name});
    }
  }
  static void require_no(const auto& others, std::string_view path) {
    if (others.contains(std::string(path))) {
      fail(Errc::invalid_argument, "an array and another value have the same path", {path, {}});
    }
  }

  template <class Work>
  void write(std::string_view path, const Work& work) {
    naming(
        place_name,
        [&] {
          paths.add(path);
          failed = true;
          work();
          failed = false;
        },
        path);
  }
};

ShardedWriter::ShardedWriter(const Path& place, unsigned rank, unsigned ranks, const ShardedOptions& options)
    : state_(std::make_unique<State>(place, rank, ranks, options)) {}
ShardedWriter::~ShardedWriter() = default;
ShardedWriter::ShardedWriter(ShardedWriter&&) noexcept = default;
ShardedWriter& ShardedWriter::operator=(ShardedWriter&&) noexcept = default;

const std::string& ShardedWriter::attempt() const& noexcept { return state_->attempt; }

void ShardedWriter::put(std::string_view path, const ArrayView& box, const Shape& whole, const Shape& first) {
  State& state = *state_;
  state.require_open();
  shards::check_box(path, box, whole, first, state.writer->table());
  state.require_no(state.writer->table().values, path);
  state.write(path, [&] { state.writer->put(path, box, whole, first); });
}

void ShardedWriter::put_object(std::string_view path, void (*walk)(OutVisitor& out, const void* value),
                               const void* value) {
  State& state = *state_;
  state.require_open();
  shards::check_new(path, state.writer->table());
  state.require_no(state.writer->table().arrays, path);
  state.write(path, [&] { state.writer->put_value(path, walk, value); });
}

void ShardedWriter::close() {
  State& state = *state_;
  naming(state.place_name, [&] {
    state.require_open();
    state.closed = true;
    state.failed = true;
    state.writer->close();
    state.sink->close();
    state.failed = false;
  });
}

void ShardedWriter::discard() noexcept {
  State& state = *state_;
  const bool complete = state.closed && !state.failed;
  state.closed = state.failed = true;
  state.writer.reset();
  state.sink.reset();
  try {
    if (complete) {
      state.place->remove(state.key);
    }
  } catch (const std::exception&) {  // swept later
  }
}

ShardedCommit ShardedWriter::commit() {
  State& state = *state_;
  if (!state.closed || state.failed) {
    close();
  }
  if (state.rank == 0) {
    return commit_sharded(state.place_name, state.ranks, state.attempt, state.options);
  }
  return {state.attempt, state.ranks, state.writer->table().arrays.size()};
}

ShardedCommit commit_sharded(const Path& where, unsigned ranks, std::string_view attempt,
                             const ShardedOptions& options) {
  shards::check_attempt(attempt, 0, ranks);
  const std::unique_ptr<Storage> place = shards::storage_of(where.text());
  return naming(where.text(), [&] {
    const Before before = look(*place, attempt);
    await_parts(*place, ranks, attempt, options.wait_s);
    Manifest manifest;
    manifest.ranks = ranks;
    manifest.attempt = attempt;
    ShardedCommit made{std::string(attempt), ranks};
    for (ReadPart& part : read_parts(*place, ranks, attempt, thread_count(options.save.threads))) {
      made.bytes += part.file.bytes;
      shards::add_part(manifest, std::move(part.table), std::move(part.file));
    }
    shards::check_boxes(manifest);
    check_paths(manifest.all);
    made.arrays = manifest.all.arrays.size();
    SaveOptions saving;
    saving.codec = "plain";
    saving.metadata = options.save.metadata;
    saving.metadata[std::string(shards::archive_key)] = shards::format;
    put_manifest(*place, to_bytes(manifest, saving), before.condition);
    made.left = sweep(*place, manifest, before.parts, options.keep_s);
    return made;
  });
}

}  // namespace stele
