#include "stele/checkpoint.hpp"

#include <algorithm>
#include <utility>

#include "archive/read/opened.hpp"
#include "codec/compress.hpp"
#include "io/read.hpp"
#include "services/checkpoint/core.hpp"
#include "services/checkpoint/retention.hpp"
#include "services/checkpoint/sharded/parts.hpp"
#include "stele/codec.hpp"
#include "stele/error.hpp"
#include "stele/sharded.hpp"
#include "stele/value.hpp"

namespace stele {

Checkpoints Checkpoints::open(const Path& folder, const CheckpointOptions& options) {
  return Checkpoints(std::make_unique<CheckpointCore>(folder, options));
}
Checkpoints::Checkpoints(std::unique_ptr<CheckpointCore> core) : core_(std::move(core)) {}
Checkpoints::~Checkpoints() = default;
Checkpoints::Checkpoints(Checkpoints&&) noexcept = default;
Checkpoints& Checkpoints::operator=(Checkpoints&&) noexcept = default;

const std::string& Checkpoints::folder() const noexcept { return core_->path; }
const CheckpointOptions& Checkpoints::options() const noexcept { return core_->options; }

// --- Saving ----------------------------------------------------------------------------------------------------------

CheckpointInfo Checkpoints::save_object(std::uint64_t step, const Object& object, const CheckpointNotes& notes) {
  core_->require_writable();
  core_->wait();
  return core_->save(step, object, notes);
}

void Checkpoints::save_object_later(std::uint64_t step, const Object& object, const CheckpointNotes& notes) {
  core_->require_writable();
  core_->wait();
  core_->require_new(step, notes);
  const CheckpointOptions& options = core_->options;
  const auto copy =
      std::make_shared<Value>(snapshot(object.walk, object.value, options.types, options.threads, core_->memory));
  core_->save_behind(step, object_of(*copy), notes, copy);
}

void Checkpoints::save_unchanged_later(std::uint64_t step, const Object& object, const CheckpointNotes& notes) {
  core_->require_writable();
  core_->wait();
  core_->require_new(step, notes);
  core_->save_behind(step, object, notes, nullptr);
}

bool Checkpoints::is_saving() const noexcept { return core_->is_saving(); }
void Checkpoints::wait() {
  core_->wait();
  core_->wait_for_copy();
}

void Checkpoints::close() {
  core_->wait();
  core_->wait_for_copy();
  core_->memory.release();
}

// --- What there is ---------------------------------------------------------------------------------------------------

std::vector<CheckpointInfo> Checkpoints::list() const {
  std::vector<CheckpointInfo> all;
  for (StepRecord& record : core_->records([&](const StepFile& file, const Error& error) {
         core_->warn("the checkpoint of step " + std::to_string(file.step) + " cannot be read: " + error.what());
       })) {
    all.push_back(std::move(record.info));
  }
  return all;
}

std::vector<std::uint64_t> Checkpoints::steps() const {
  std::vector<std::uint64_t> all;
  for (const StepRecord& record : core_->records()) {
    all.push_back(record.info.step);
  }
  return all;
}

std::optional<std::uint64_t> Checkpoints::latest() const { return newest_good(Verify::none); }

std::optional<std::uint64_t> Checkpoints::best(std::string_view metric, bool largest) const {
  const std::vector<CheckpointInfo> all = list();
  const std::vector<std::size_t> order = best_checkpoints(all, metric, largest);
  return order.empty() ? std::nullopt : std::optional(all[order.front()].step);
}

std::optional<std::uint64_t> Checkpoints::newest_good(Verify verify) const {
  std::vector<StepFile> files = core_->files();
  for (auto file = files.rbegin(); file != files.rend(); ++file) {
    try {
      if (!core_->while_there(*file, [&] { core_->check(*file, verify); })) {
        return newest_good(verify);  // there is a newer one
      }
      return file->step;
    } catch (const Error& error) {
      if (!says_damaged(error)) {
        throw;
      }
      core_->warn("the checkpoint of step " + std::to_string(file->step) + " is passed over: " + error.what());
    }
  }
  return std::nullopt;
}

CheckpointInfo Checkpoints::info(std::uint64_t step) const { return core_->read(core_->file_of(step)).info; }

CheckpointStats Checkpoints::stats() const {
  CheckpointStats stats;
  for (const StepRecord& record : core_->records()) {
    ++stats.checkpoints;
    stats.bytes += record.info.bytes;
    stats.stored += record.info.written;
  }
  const Folder parts = core_->folder.open_folder(std::string(frozen::kept_folder));
  if (parts.is_open()) {
    for (const std::string& name : parts.names()) {
      struct stat status;
      if (parts.status(name, status) == 0 && S_ISREG(status.st_mode)) {
        ++stats.parts;
        stats.stored += static_cast<std::uint64_t>(status.st_size);
      }
    }
  }
  return stats;
}

File Checkpoints::open_step(std::uint64_t step, LoadOptions options) const {
  const StepFile file = core_->file_of(step);
  std::optional<File> opened;
  if (!core_->while_there(file, [&] {
        core_->require_whole(core_->read(file));
        opened.emplace(core_->open(file, options));
      })) {
    (void)core_->file_of(step);  // throws: it is gone
    return open_step(step, options);
  }
  return std::move(*opened);
}

// --- Care ------------------------------------------------------------------------------------------------------------

void Checkpoints::remove(std::uint64_t step) {
  core_->require_writable();
  core_->wait();
  const WriterLock held = core_->lock(core_->options.wait_s);
  (void)core_->file_of(step);
  core_->remove(step, core_->uses());
  core_->sweep();
  core_->changed();
}

std::vector<std::uint64_t> Checkpoints::prune() {
  core_->require_writable();
  core_->wait();
  std::vector<std::uint64_t> gone;
  {
    const WriterLock held = core_->lock(core_->options.wait_s);
    gone = core_->enforce();
  }
  core_->changed();
  return gone;
}

CheckpointReport Checkpoints::verify(
    std::optional<std::uint64_t> step,
    const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) const {
  CheckpointReport report;
  const std::vector<StepFile> files = step ? std::vector<StepFile>{core_->file_of(*step)} : core_->files();
  for (const StepFile& file : files) {
    if (progress) {
      progress(static_cast<std::uint64_t>(&file - files.data()), files.size());
    }
    try {
      if (!core_->while_there(file, [&] { core_->check(file, Verify::full); })) {
        continue;
      }
    } catch (const Error& error) {
      report.damaged.emplace_back(file.step, error.what());
    }
    ++report.checked;
  }
  return report;
}

void Checkpoints::export_to(std::uint64_t step, const Path& path, const SaveOptions& options) const {
  const StepFile file = core_->file_of(step);
  if (core_->check(file, Verify::full).is_sharded) {
    shards::export_parts(ShardedCheckpoint::open(core_->path, step), path, options);
    return;
  }
  // The bytes of the archive are the same whatever file holds them.
  LoadOptions loading;
  loading.types = core_->options.types;
  const Opened opened = open_path(core_->path_of(file.name), loading, Loading::whole);
  const Codecs codecs;
  const Codecs& known = options.codecs != nullptr ? *options.codecs : codecs;
  const Codec* const codec = options.codec.empty()      ? known.by_extension(path.text())
                             : options.codec == "plain" ? nullptr
                                                        : &known.get(options.codec);
  const std::unique_ptr<Sink> to = file_sink(path, options.sync, options.in_place);
  const std::unique_ptr<CompressingSink> compressing =
      codec == nullptr ? nullptr : make_compressing_sink(*to, *codec, options.level, options.threads);
  Sink& sink = compressing != nullptr ? static_cast<Sink&>(*compressing) : *to;
  copy_rest(*opened.source, sink);
  opened.source->finish();
  if (compressing != nullptr) {
    compressing->close();
  }
  to->close();
}

}  // namespace stele
