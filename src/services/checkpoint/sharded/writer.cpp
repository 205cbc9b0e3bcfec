#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <thread>

#include "archive/linked/base.hpp"
#include "archive/linked/sink.hpp"
#include "archive/sharded/part.hpp"
#include "base/naming.hpp"
#include "base/threads/interruption.hpp"
#include "io/system.hpp"
#include "services/checkpoint/sharded/parts.hpp"
#include "stele/error.hpp"
#include "stele/sharded.hpp"

namespace stele {

using shards::Manifest;

struct ShardWriter::State {
  State(const Path& where, const ShardJob& chosen, const CheckpointOptions& options)
      : core(where, options), job(chosen), name(shards::part_name(job.step, job.attempt, job.rank, job.ranks)) {
    shards::check_attempt(job.attempt, job.rank, job.ranks);
    core.require_writable();
    const std::string parts = core.path_of(std::string(shards::folder_name));
    if (system_calls().mkdir(parts.c_str(), 0777) != 0 && errno != EEXIST) {
      fail_call("create", parts, errno);
    }
    path = parts + "/" + name;
    const SaveOptions saving = core.save_options();
    if (core.options.incremental && saving.codec == "plain") {
      find_base(parts);
    }
    file = file_sink(path, core.options.sync);
    if (base) {
      linking.emplace(*file, *base);
    }
    writer.emplace(linking ? static_cast<Sink&>(*linking) : *file, saving);
  }

  /// This rank's part of the step that was committed last.
  void find_base(const std::string& parts) {
    try {
      std::optional<StepRecord> newest;
      for (const StepRecord& record : core.records()) {
        if (record.is_sharded && (!newest || record.info.created > newest->info.created)) {
          newest = record;
        }
      }
      if (newest) {
        const Manifest manifest = shards::read_manifest(core, {newest->info.step, step_name(newest->info.step)});
        if (manifest.ranks == job.ranks && job.rank < manifest.files.size()) {
          base = LinkBase::read(parts, manifest.files[job.rank].name);
        }
      }
    } catch (const Error& error) {
      core.warn("the part of rank " + std::to_string(job.rank) + " does not refer to the last one: " + error.what());
    }
  }

  CheckpointCore core;
  const ShardJob job;
  const std::string name;
  std::string path;
  std::optional<LinkBase> base;
  std::unique_ptr<Sink> file;
  std::optional<LinkingSink> linking;
  std::optional<shards::PartWriter> writer;
  bool closed = false;
};

ShardWriter::ShardWriter(const Path& folder, const ShardJob& job, const CheckpointOptions& options)
    : state_(std::make_unique<State>(folder, job, options)) {}
ShardWriter::~ShardWriter() = default;
ShardWriter::ShardWriter(ShardWriter&&) noexcept = default;
ShardWriter& ShardWriter::operator=(ShardWriter&&) noexcept = default;

void ShardWriter::put(std::string_view name, const ArrayView& box, const Shape& whole, const Shape& first) {
  state_->writer->put(name, box, whole, first);
}

void ShardWriter::put_object(std::string_view name, const Object& object) {
  state_->writer->put_value(name, object.walk, object.value);
}

void ShardWriter::close() {
  State& state = *state_;
  if (state.closed) {
    fail(Errc::invalid_argument, "the part is closed already", {.file = state.path});
  }
  state.closed = true;
  naming(state.path, [&] {
    state.writer->close();
    if (state.linking) {
      state.linking->close();
    }
    state.file->close();
  });
}

CheckpointInfo commit_shards(const Path& folder, const ShardJob& job, const ShardCommit& commit,
                             const CheckpointOptions& options) {
  using Clock = std::chrono::steady_clock;
  shards::check_attempt(job.attempt, 0, job.ranks);
  CheckpointCore core(folder, options);
  core.require_writable();
  core.require_new(job.step, commit.notes);
  const std::string parts = core.path_of(std::string(shards::folder_name)) + "/";
  const Clock::time_point until = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                                     std::chrono::duration<double>(std::min(commit.wait_s, 1e8)));
  const auto has = [&](unsigned rank) {
    struct stat status;
    return system_calls().stat((parts + shards::part_name(job.step, job.attempt, rank, job.ranks)).c_str(), &status) ==
           0;
  };
  for (unsigned rank = 0; rank < job.ranks;) {
    if (has(rank)) {
      ++rank;
      continue;
    }
    if (Clock::now() >= until) {
      std::string missing;
      std::size_t count = 0;
      for (unsigned other = rank; other < job.ranks; ++other) {
        if (!has(other) && ++count <= 20) {
          missing += (missing.empty() ? "" : ", ") + std::to_string(other);
        }
      }
      fail(Errc::not_found,
           message({"step ", job.step, ", attempt ", job.attempt, ": there is no part of ", std::uint64_t{count},
                    " ranks: ", missing, count > 20 ? " …" : ""}),
           {.file = parts});
    }
    interruption_point();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  Manifest manifest;
  manifest.ranks = job.ranks;
  manifest.attempt = job.attempt;
  for (unsigned rank = 0; rank < job.ranks; ++rank) {
    const std::string name = shards::part_name(job.step, job.attempt, rank, job.ranks);
    const FileIdentity identity = identity_of(parts + name);
    shards::add_part(manifest, stele::open(parts + name).load<shards::PartTable>(shards::table_key),
                     {name, identity.id, identity.size});
  }
  shards::check_boxes(manifest);
  const CheckpointCore::Object object{
      [](OutVisitor& out, const void* value) { write_whole(out, *static_cast<const Manifest*>(value)); }, &manifest};
  return core.save(job.step, object, commit.notes, true);
}

}  // namespace stele
