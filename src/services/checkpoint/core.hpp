#pragma once
// What a Checkpoints owns: the folder, and the save in work.

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/process.hpp"
#include "format/links.hpp"
#include "io/replace/folder.hpp"
#include "io/replace/writer_lock.hpp"
#include "services/checkpoint/remote_copy.hpp"
#include "services/checkpoint/snapshot.hpp"
#include "stele/checkpoint.hpp"

namespace stele {

/// A file of the folder that is named as a checkpoint is.
struct StepFile {
  std::uint64_t step = 0;
  std::string name;
  friend bool operator==(const StepFile&, const StepFile&) = default;
};

/// What is in its file, without the arrays.
struct StepRecord {
  CheckpointInfo info;
  bool is_sharded = false;            // its file is the manifest of parts
  std::vector<LinkTable::File> uses;  // files that it refers to
};

/// The name of a step's file in the folder.
std::string step_name(std::uint64_t step);
/// The step, if a file is named so.
std::optional<std::uint64_t> step_of(std::string_view name);
/// XXH3-64 of the end of a file, as LinkTable::File::id; and its size.
struct FileIdentity {
  std::uint64_t id = 0;
  std::uint64_t size = 0;
};
/// Throws: Error(not_found), Error(io).
FileIdentity identity_of(const std::string& path);
/// Whether an Error says that a file is damaged or incomplete, rather than that the caller or the system is at fault.
bool says_damaged(const Error& error) noexcept;

class CheckpointCore {
 public:
  using Object = Checkpoints::Object;

  CheckpointCore(const Path& path, const CheckpointOptions& options);
  ~CheckpointCore();
  CheckpointCore(const CheckpointCore&) = delete;
  CheckpointCore& operator=(const CheckpointCore&) = delete;

  // --- Reading
  /// By ascending steps.
  std::vector<StepFile> files() const;
  /// Read once, as long as the file is the same: a folder may have thousands. Thread-safe.
  /// Throws: what open() throws; Error(not_an_archive) for an archive that is not a checkpoint.
  StepRecord read(const StepFile& file) const;
  /// Calls `use`, which opens a checkpoint, again if another file takes its name meanwhile. False if it is gone then:
  /// another process has removed it. Throws: what `use` throws about a file that is there.
  bool while_there(const StepFile& file, const std::function<void()>& use) const;
  /// The steps that can be read; `failed` is called for each of the others.
  std::vector<StepRecord> records(const std::function<void(const StepFile&, const Error&)>& failed = {}) const;
  /// Throws: Error(not_found).
  StepFile file_of(std::uint64_t step) const;
  File open(const StepFile& file, LoadOptions options) const;
  /// Throws: Error(type_mismatch) for a sharded one.
  void require_whole(const StepRecord& record) const;
  /// Checks what a checkpoint is, with Verify::directory that all its files are there, and with Verify::full all bytes
  /// of them. Throws: Error(damaged) …
  StepRecord check(const StepFile& file, Verify verify) const;
  std::string path_of(const std::string& name) const { return path + name; }
  void warn(const std::string& message) const;
  /// Opens one checkpoint after another, the newest first, until one can be loaded: this step, or any. `open` returns
  /// what loads it. Those that are damaged are passed over with a warning. Returns the step.
  /// Throws: Error(not_found) where there is none, other faults than damage, Error(not_found) of the loading itself.
  using Load = std::function<void()>;
  std::uint64_t load_newest(std::optional<std::uint64_t> step,
                            const std::function<Load(const StepRecord& record)>& open) const;
  /// Throws: Error(not_found) that tells what is wrong with those that were tried.
  [[noreturn]] void fail_none(const std::string& tried) const;

  // --- Saving
  /// On the calling thread. `manifest`: the object is that of a sharded step.
  CheckpointInfo save(std::uint64_t step, const Object& object, const CheckpointNotes& notes, bool manifest = false);
  SaveOptions save_options() const;
  /// On another thread, the only one. `keep` lives as long as the save.
  void save_behind(std::uint64_t step, const Object& object, const CheckpointNotes& notes, std::shared_ptr<void> keep);
  /// Waits for it. Throws what it failed with.
  void wait();
  /// Files have changed: begins to copy them to options.remote.
  void changed();
  /// Waits for that. Throws what it failed with.
  void wait_for_copy();
  bool is_saving() const noexcept;
  void require_writable() const;
  void require_new(std::uint64_t step, const CheckpointNotes& notes) const;

  // --- Removing; needs the lock
  WriterLock lock(double wait_s) const;
  /// Removes what the options do not keep, and files that nobody refers to. Returns the steps that went. `saved` stays.
  std::vector<std::uint64_t> enforce(std::optional<std::uint64_t> saved = std::nullopt);
  /// What files refer to.
  struct Uses {
    std::vector<LinkTable::File> files;
    bool all = true;  // else a checkpoint could not be read that is not damaged: it may refer to anything
  };
  Uses uses() const;
  /// The file of a step, which goes to the folder of kept files if others refer to it. Those may be removed next, after
  /// which sweep() takes it: if the process is killed between, none of them is damaged.
  void remove(std::uint64_t step, const Uses& uses);
  /// Removes files that no checkpoint refers to.
  void sweep();

  Folder folder;
  std::string path;  // absolute, with a slash at the end
  CheckpointOptions options;
  bool writes = true;
  SnapshotMemory memory;
  ProcessMark process;

 private:
  struct Behind;
  /// A record, and which file it was read from.
  struct Known {
    ino_t inode = 0;
    off_t size = 0;
    struct timespec changed = {};
    StepRecord record;
  };
  StepRecord read_file(const StepFile& file) const;
  /// Makes the file of a step that is to be replaced stay for those that refer to it.
  void keep_replaced(const std::string& name) const;
  ProcessOwned<Behind> behind_;
  std::optional<RemoteCopy> copy_;
  mutable std::mutex known_mutex_;
  mutable std::unordered_map<std::string, Known> known_;  // by name
};

}  // namespace stele
