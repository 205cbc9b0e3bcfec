#include "services/checkpoint/core.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <filesystem>
#include <iterator>
#include <set>

#include "archive/linked/base.hpp"
#include "archive/linked/sink.hpp"
#include "archive/read/opened.hpp"
#include "archive/write/saving.hpp"
#include "base/naming.hpp"
#include "base/threads/interruption.hpp"
#include "format/directory.hpp"
#include "io/read.hpp"
#include "io/replace/temporary.hpp"
#include "io/storage/urls.hpp"
#include "io/system.hpp"
#include "services/checkpoint/retention.hpp"
#include "services/checkpoint/sharded/parts.hpp"
#include "stele/codec.hpp"
#include "stele/error.hpp"

namespace stele {

/// An object of the caller's, as a type that can be saved.
struct WalkedCheckpoint {
  CheckpointCore::Object object;
};
template <>
struct Visit<WalkedCheckpoint> {
  static void write(OutVisitor& out, const WalkedCheckpoint& value) { value.object.walk(out, value.object.value); }
  static void read(InVisitor&, WalkedCheckpoint&) {}
};
template <>
inline constexpr bool walk::may_be_null<WalkedCheckpoint> = true;

namespace {

constexpr std::string_view prefix = "step-";
constexpr std::string_view extension = ".stele";
constexpr std::size_t digits = 12;
// Metadata of a checkpoint's archive.
constexpr std::string_view own_metadata = "checkpoint.";
const std::string step_key = "checkpoint.step";
const std::string created_key = "checkpoint.created";
const std::string metric_key = "checkpoint.metric.";
const std::string sharded_key(shards::step_key);

double now() noexcept {
  struct timespec time;
  ::clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

bool may_be_read_only(int error) noexcept { return error == EROFS || error == EACCES || error == EPERM; }

}  // namespace

std::string step_name(std::uint64_t step) {
  const std::string number = std::to_string(step);
  return std::string(prefix) + std::string(digits - std::min(digits, number.size()), '0') + number +
         std::string(extension);
}

std::optional<std::uint64_t> step_of(std::string_view name) {
  if (!name.starts_with(prefix) || !name.ends_with(extension) || name.size() < prefix.size() + extension.size()) {
    return std::nullopt;
  }
  const std::string_view number = name.substr(prefix.size(), name.size() - prefix.size() - extension.size());
  std::uint64_t step = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), step);
  return error == std::errc{} && end == number.data() + number.size() && step_name(step) == name ? std::optional(step)
                                                                                                 : std::nullopt;
}

FileIdentity identity_of(const std::string& path) {
  const std::unique_ptr<Source> file = file_source(path);
  const std::uint64_t size = file->size().value_or(0);
  std::array<std::byte, frozen::trailer_bytes> last{};
  if (size >= last.size()) {  // in a compressed file this is not a trailer, but it identifies the file as well
    file->read_at(size - last.size(), last);
  }
  return {file_id(last), size};
}

bool says_damaged(const Error& error) noexcept {
  switch (error.code()) {
    case Errc::not_found:  // a file that it refers to
    case Errc::not_an_archive:
    case Errc::truncated:
    case Errc::damaged:
    case Errc::malformed:
      return true;
    default:
      return false;
  }
}

// --- Opening ---------------------------------------------------------------------------------------------------------

CheckpointCore::CheckpointCore(const Path& where, const CheckpointOptions& chosen) : options(chosen) {
  if (!(options.wait_s >= 0) || !(options.keep_interval_s >= 0) || !(options.keep_age_s >= 0)) {
    fail(Errc::invalid_argument, "wait_s, keep_interval_s and keep_age_s of checkpoints are at least 0");
  }
  const bool is_plain = options.codec.empty() || options.codec == "plain";
  const Codecs codecs;
  SaveOptions saving;
  saving.level = options.level;
  saving.filter = options.filter;
  check_saving(saving, is_plain ? nullptr : &codecs.get(options.codec));
  path = std::filesystem::absolute(
             require_local(where.text(), "checkpoints are in a local folder; `remote` names where copies go"))
             .lexically_normal()
             .native();
  path += path.ends_with('/') ? "" : "/";
  writes = !options.read_only;
  if (writes) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error && !may_be_read_only(error.value()) && !std::filesystem::is_directory(path)) {
      fail_call("create", path, error.value());
    }
  }
  folder = Folder::open(path);
  if (!folder.is_open()) {
    if (errno == ENOENT || errno == ENOTDIR) {
      fail(Errc::not_found, "there is no folder of checkpoints", {.file = path});
    }
    fail_call("open", path, errno);
  }
  if (!writes) {
    return;
  }
  if (!options.remote.empty()) {
    copy_.emplace(path, options.remote);
    copy_->begin();
  }
  const OwnedDescriptor mark = folder.open_file("writer.lock", O_RDWR | O_CREAT, 0666);
  if (!mark.is_open()) {
    if (!may_be_read_only(errno)) {
      fail_call("open", path + "writer.lock", errno);
    }
    writes = false;
    return;
  }
  if (options.sync != Sync::none && system_calls().fsync(mark.get()) != 0 && errno != EINTR) {
    warn("the file system of " + path +
         " does not say when files are on the device: a loss of power may lose checkpoints");
  }
  try {
    const WriterLock held = lock(0);
    sweep();
  } catch (const Error& error) {
    if (error.code() != Errc::busy) {  // whoever saves there does it
      warn("leftovers in " + path + " could not be removed: " + error.what());
    }
  }
}

WriterLock CheckpointCore::lock(double wait_s) const {
  return WriterLock(folder, static_cast<unsigned>(std::min(wait_s, 4e6) * 1000), "the folder of checkpoints");
}

void CheckpointCore::warn(const std::string& message) const {
  if (options.warn) {
    options.warn(message);
  }
}

void CheckpointCore::require_writable() const {
  process.require_same_process("the folder of checkpoints");
  if (!writes) {
    fail(Errc::read_only, "the folder of checkpoints is open for reading alone, or gives no permission to write",
         {.file = path});
  }
}

// --- Reading ---------------------------------------------------------------------------------------------------------

std::vector<StepFile> CheckpointCore::files() const {
  std::vector<StepFile> found;
  for (std::string& name : folder.names()) {
    if (const std::optional<std::uint64_t> step = step_of(name)) {
      found.push_back({*step, std::move(name)});
    }
  }
  std::sort(found.begin(), found.end(), [](const StepFile& a, const StepFile& b) { return a.step < b.step; });
  return found;
}

StepRecord CheckpointCore::read(const StepFile& file) const {
  struct stat now;
  if (process.in_child() || folder.status(file.name, now) != 0 || !S_ISREG(now.st_mode)) {
    return read_file(file);  // in a child the lock may be held for ever; else it says what is wrong
  }
  const auto is_same = [&](const Known& known) {
    return known.inode == now.st_ino && known.size == now.st_size && known.changed.tv_sec == now.st_ctim.tv_sec &&
           known.changed.tv_nsec == now.st_ctim.tv_nsec;
  };
  {
    const std::lock_guard lock(known_mutex_);
    const auto found = known_.find(file.name);
    if (found != known_.end() && is_same(found->second)) {
      return found->second.record;
    }
  }
  StepRecord record = read_file(file);
  struct stat later;
  if (folder.status(file.name, later) == 0 && later.st_ino == now.st_ino) {
    const std::lock_guard lock(known_mutex_);
    known_.insert_or_assign(file.name, Known{now.st_ino, now.st_size, now.st_ctim, record});
  }
  return record;
}

StepRecord CheckpointCore::read_file(const StepFile& file) const {
  const std::string name = path_of(file.name);
  return naming(name, [&] {
    LoadOptions loading;
    loading.verify = Verify::directory;
    loading.threads = 1;
    const Opened opened = open_to_list(name, loading);
    const Tail tail = find_tail(opened, 0);
    StepRecord record;
    CheckpointInfo& info = record.info;
    info.step = file.step;
    info.file = name;
    info.bytes = tail.trailer.total_length;
    info.written = opened.stored_bytes;
    bool has_step = false;
    for (const auto& [key, value] : tail.directory.metadata) {
      if (key == step_key && value.is_natural()) {
        has_step = value.natural() == file.step;
      } else if (key == created_key && value.is_real()) {
        info.created = value.real();
      } else if (key == sharded_key) {
        record.is_sharded = info.sharded = true;
      } else if (key.starts_with(metric_key) && value.is_real()) {
        info.metrics.emplace(key.substr(metric_key.size()), value.real());
      } else {
        info.metadata.emplace(key, value);
      }
    }
    if (!has_step) {
      fail(Errc::not_an_archive, "this archive is no checkpoint of step " + std::to_string(file.step));
    }
    if (opened.links != nullptr) {
      record.uses = opened.links->files;
      for (const LinkTable::Extent& extent : opened.links->extents) {
        info.referred += extent.file == 0 ? 0 : extent.length;
      }
    }
    return record;
  });
}

bool CheckpointCore::while_there(const StepFile& file, const std::function<void()>& use) const {
  const auto state = [&] {
    struct stat status;
    if (folder.status(file.name, status) != 0) {
      return std::array<std::int64_t, 3>{};
    }
    return std::array<std::int64_t, 3>{static_cast<std::int64_t>(status.st_ino), status.st_ctim.tv_sec,
                                       status.st_ctim.tv_nsec};
  };
  for (;;) {
    const auto before = state();
    try {
      use();
      return true;
    } catch (const Error&) {
      const auto after = state();
      if (after == std::array<std::int64_t, 3>{}) {
        return false;
      }
      if (after == before) {
        throw;
      }
    }
  }
}

std::vector<StepRecord> CheckpointCore::records(
    const std::function<void(const StepFile&, const Error&)>& failed) const {
  std::vector<StepRecord> found;
  for (const StepFile& file : files()) {
    try {
      while_there(file, [&] { found.push_back(read(file)); });
    } catch (const Error& error) {
      if (failed) {
        failed(file, error);
      }
    }
  }
  return found;
}

StepFile CheckpointCore::file_of(std::uint64_t step) const {
  StepFile file{step, step_name(step)};
  struct stat status;
  if (folder.status(file.name, status) != 0) {
    if (errno != ENOENT) {
      fail_call("examine", path_of(file.name), errno);
    }
    fail(Errc::not_found, "there is no checkpoint of step " + std::to_string(step), {.file = path});
  }
  return file;
}

File CheckpointCore::open(const StepFile& file, LoadOptions loading) const {
  if (loading.map == MapMode::read_write) {
    fail(Errc::invalid_argument, "checkpoints cannot be mapped for writing: others may refer to their bytes");
  }
  if (loading.types == nullptr) {
    loading.types = options.types;
  }
  if (loading.threads == 0) {
    loading.threads = options.threads;
  }
  return stele::open(path_of(file.name), loading);
}

StepRecord CheckpointCore::check(const StepFile& file, Verify verify) const {
  StepRecord record = read(file);
  if (verify == Verify::none) {
    return record;
  }
  const File opened = open(file, {});
  if (record.is_sharded) {
    for (const shards::PartFile& part : shards::read_manifest(*this, file).files) {
      (void)shards::find_part(*this, part);
    }
  }
  if (verify != Verify::directory) {
    opened.verify();
  }
  return record;
}

void CheckpointCore::fail_none(const std::string& tried) const {
  fail(Errc::not_found, tried.empty() ? "there is no checkpoint" : "no checkpoint can be read: " + tried,
       {.file = path});
}

// --- Saving ----------------------------------------------------------------------------------------------------------

void CheckpointCore::require_new(std::uint64_t step, const CheckpointNotes& notes) const {
  struct stat status;
  if (!notes.overwrite && folder.status(step_name(step), status) == 0) {
    fail(Errc::invalid_argument,
         "there is a checkpoint of step " + std::to_string(step) + " already; notes.overwrite replaces it",
         {.file = path});
  }
  for (const auto& [key, value] : notes.metadata) {
    if (key.starts_with(own_metadata)) {
      fail(Errc::invalid_argument, "names of metadata that begin with \"checkpoint.\" are the library's own: " + key);
    }
  }
}

SaveOptions CheckpointCore::save_options() const {
  SaveOptions saving;
  saving.codec = options.codec.empty() ? "plain" : options.codec;
  saving.level = options.level;
  saving.filter = options.filter;
  saving.threads = options.threads;
  saving.types = options.types;
  return saving;
}

CheckpointInfo CheckpointCore::save(std::uint64_t step, const Object& object, const CheckpointNotes& notes,
                                    bool manifest) {
  const WriterLock held = lock(options.wait_s);
  require_new(step, notes);
  const std::string name = step_name(step);
  SaveOptions saving = save_options();
  saving.metadata = notes.metadata;
  if (manifest) {
    saving.metadata[sharded_key] = true;
  }
  saving.metadata[step_key] = step;
  saving.metadata[created_key] = now();
  for (const auto& [metric, value] : notes.metrics) {
    saving.metadata[metric_key + metric] = value;
  }
  std::optional<LinkBase> base;
  if (options.incremental && saving.codec == "plain" && !manifest) {
    // The one saved last, which need not have the highest step.
    std::vector<StepRecord> known = records();
    std::erase_if(known, [](const StepRecord& record) { return record.is_sharded; });
    const auto newest = std::max_element(known.begin(), known.end(), [](const StepRecord& a, const StepRecord& b) {
      return a.info.created < b.info.created;
    });
    if (newest != known.end()) {
      try {
        base = LinkBase::read(path.substr(0, path.size() - 1), step_name(newest->info.step));
      } catch (const Error& error) {
        warn("the new checkpoint does not refer to the last one: " + std::string(error.what()));
      }
    }
  }
  naming(path_of(name), [&] {
    const std::unique_ptr<Sink> file = file_sink_in(folder, name, options.sync);
    std::optional<LinkingSink> linking;
    if (base) {
      linking.emplace(*file, *base);
    }
    Writer writer(linking ? static_cast<Sink&>(*linking) : *file, saving);
    writer.write(WalkedCheckpoint{object});
    writer.close();
    if (linking) {
      linking->close();
    }
    keep_replaced(name);
    file->close();
  });
  const CheckpointInfo info = read({step, name}).info;
  try {
    enforce(step);
  } catch (const Error& error) {  // the new one is complete
    warn("old checkpoints could not be removed: " + std::string(error.what()));
  }
  changed();
  return info;
}

void CheckpointCore::changed() {
  if (copy_) {
    copy_->update();
  }
}

void CheckpointCore::wait_for_copy() {
  if (copy_) {
    copy_->wait();
  }
}

void CheckpointCore::keep_replaced(const std::string& name) const {
  struct stat status;
  if (folder.status(name, status) != 0) {
    return;
  }
  if (system_calls().mkdir(path_of(std::string(frozen::kept_folder)).c_str(), 0777) != 0 && errno != EEXIST) {
    fail_call("create", path_of(std::string(frozen::kept_folder)), errno);
  }
  const std::string kept = kept_name(name, identity_of(path_of(name)).id);
  if (system_calls().linkat(folder.fd(), name.c_str(), folder.fd(), kept.c_str(), 0) == 0 || errno == EEXIST) {
    if (options.sync == Sync::file_folder) {  // before the new file takes the name
      folder.open_folder(std::string(frozen::kept_folder)).synchronize();
    }
    return;
  }
  // no hard links here
  const std::unique_ptr<Source> from = file_source(path_of(name));
  const std::unique_ptr<Sink> to = file_sink(path_of(kept), options.sync);
  copy_rest(*from, *to);
  to->close();
}

// --- In the background -----------------------------------------------------------------------------------------------

struct CheckpointCore::Behind {
  std::jthread thread;
  std::atomic<bool> running{false};
  std::exception_ptr failed;
  std::mutex mutex;
  std::condition_variable ended;
};

bool CheckpointCore::is_saving() const noexcept { return behind_ != nullptr && behind_->running; }

void CheckpointCore::save_behind(std::uint64_t step, const Object& object, const CheckpointNotes& notes,
                                 std::shared_ptr<void> keep) {
  auto behind = make_process_owned<Behind>();
  behind->running = true;
  behind->thread = std::jthread([this, mine = behind.get(), step, object, notes, keep = std::move(keep)]() mutable {
    try {
      save(step, object, notes);
    } catch (...) {
      mine->failed = std::current_exception();
    }
    keep.reset();  // before the end shows, so that its memory serves the next copy
    const std::lock_guard lock(mine->mutex);
    mine->running = false;
    mine->ended.notify_all();
  });
  behind_ = std::move(behind);
}

void CheckpointCore::wait() {
  if (behind_ == nullptr) {
    return;
  }
  process.require_same_process("the folder of checkpoints");
  std::unique_lock lock(behind_->mutex);
  while (!behind_->ended.wait_for(lock, std::chrono::milliseconds(20), [&] { return !behind_->running; })) {
    lock.unlock();
    interruption_point();
    lock.lock();
  }
  lock.unlock();
  behind_->thread.join();
  const std::exception_ptr failed = std::exchange(behind_->failed, nullptr);
  behind_.reset();
  if (failed != nullptr) {
    std::rethrow_exception(failed);
  }
}

CheckpointCore::~CheckpointCore() {
  if (process.in_child()) {
    return;
  }
  const Interruption none(nullptr);
  const auto end = [&](const char* what, void (CheckpointCore::*step)()) {
    try {
      (this->*step)();
    } catch (const std::exception& error) {
      try {
        warn(what + std::string(error.what()));
      } catch (...) {  // a destructor does not throw
      }
    }
  };
  end("a checkpoint was not saved: ", &CheckpointCore::wait);
  end("checkpoints were not copied: ", &CheckpointCore::wait_for_copy);
}

// --- Removing --------------------------------------------------------------------------------------------------------

std::vector<std::uint64_t> CheckpointCore::enforce(std::optional<std::uint64_t> saved) {
  std::vector<CheckpointInfo> infos;
  for (StepRecord& record : records()) {
    infos.push_back(std::move(record.info));
  }
  const std::vector<bool> keep = checkpoints_to_keep(infos, options, now());
  std::vector<std::uint64_t> gone;
  for (std::size_t i = 0; i < infos.size(); ++i) {
    if (!keep[i] && infos[i].step != saved) {
      gone.push_back(infos[i].step);
    }
  }
  const Uses used = gone.empty() ? Uses{} : uses();
  for (const std::uint64_t step : gone) {
    remove(step, used);
  }
  sweep();
  return gone;
}

CheckpointCore::Uses CheckpointCore::uses() const {
  Uses found;
  for (StepRecord& record : records([&](const StepFile&, const Error& error) {
         found.all = found.all && says_damaged(error);  // else it may be readable tomorrow
       })) {
    std::move(record.uses.begin(), record.uses.end(), std::back_inserter(found.files));
  }
  return found;
}

void CheckpointCore::remove(std::uint64_t step, const Uses& uses) {
  const std::string name = step_name(step);
  const std::uint64_t id = identity_of(path_of(name)).id;
  const bool is_used = std::any_of(uses.files.begin(), uses.files.end(),
                                   [&](const LinkTable::File& file) { return file.name == name && file.id == id; });
  if (uses.all && !is_used) {
    std::optional<shards::Manifest> parts;
    try {
      if (read({step, name}).is_sharded) {
        parts = shards::read_manifest(*this, {step, name});
      }
    } catch (const Error& error) {
      if (!says_damaged(error)) {
        throw;
      }
    }
    if (folder.unlink(name) != 0 && errno != ENOENT) {
      fail_call("remove", path_of(name), errno);
    }
    if (parts) {
      shards::put_aside(*this, *parts);
    }
    return;
  }
  if (system_calls().mkdir(path_of(std::string(frozen::kept_folder)).c_str(), 0777) != 0 && errno != EEXIST) {
    fail_call("create", path_of(std::string(frozen::kept_folder)), errno);
  }
  if (folder.rename(name, kept_name(name, id)) != 0) {
    fail_call("move to " + std::string(frozen::kept_folder), path_of(name), errno);
  }
  (void)folder.unlink(name);  // rename() leaves both names if they are hard links to one file, of a killed save
}

void CheckpointCore::sweep() {
  remove_leftovers(folder);
  const Folder parts = folder.open_folder(std::string(frozen::kept_folder));
  const Folder shard_parts = folder.open_folder(std::string(shards::folder_name));
  if (!parts.is_open() && !shard_parts.is_open()) {
    return;
  }
  const Uses all = uses();
  if (!all.all) {
    return;
  }
  if (shard_parts.is_open()) {
    shards::sweep_parts(*this);
  }
  if (!parts.is_open()) {
    return;
  }
  remove_leftovers(parts);
  std::set<std::string> used;
  for (const LinkTable::File& file : all.files) {
    used.insert(kept_name(file.name, file.id));
  }
  for (const std::string& name : parts.names()) {
    if (name.find(prefix) != std::string::npos && name.ends_with(extension) &&
        !used.contains(std::string(frozen::kept_folder) + "/" + name)) {
      parts.unlink(name);
    }
  }
}

}  // namespace stele
