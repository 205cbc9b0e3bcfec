#pragma once
// Checkpoints of a program's state: a folder with a file for each step, of which the newest good one is found again
// after a crash. docs/checkpoints.md states what is guaranteed.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stele/archive.hpp"

namespace stele {

/// Keep the checkpoints with the best values of a metric.
struct KeepBest {
  std::string metric;
  bool largest = false;  // else the smallest are the best
  std::size_t count = 1;
};

struct CheckpointOptions {
  // A checkpoint is kept if one of these says so; if none is set, all are kept. The newest one is always kept, and the
  // one just saved, whatever its step, until the next is saved.
  /// The last ones.
  std::size_t keep_last = 0;
  /// Those whose step is a multiple.
  std::uint64_t keep_every = 0;
  /// One for every so many seconds: the first, and each that is so much newer than the one kept before it.
  double keep_interval_s = 0;
  /// Those of at most this age in seconds.
  double keep_age_s = 0;
  /// The best ones by metrics. Those without the metric, or with NaN for it, are none of them.
  std::vector<KeepBest> keep_best = {};

  /// An array that has not changed is not written again: the file refers to the one that holds it. Only where nothing
  /// is compressed. Found by the checksums of its pieces of 1 MiB (XXH3-64), which costs one pass over the memory.
  bool incremental = true;
  /// The codec, its level and the filter, as in SaveOptions.
  std::string codec = "plain";
  std::optional<int> level = std::nullopt;
  std::string filter = "auto";
  /// How durable a checkpoint is when save() returns. A device that cannot say so counts as if it did.
  Sync sync = Sync::file_folder;
  /// Where copies go: another folder or a URL (stele/remote.hpp). A save returns once the checkpoint is in its own
  /// folder; the copy is made in the background, incomplete steps are not seen there, and wait() and close() wait for
  /// it. What is removed here is removed there, but for what this object has never seen here. If the folder has no
  /// checkpoint when it is opened, all are taken from there.
  std::string remote = {};
  /// Seconds to wait while another process or object saves to the folder; then Error(busy).
  double wait_s = 600;
  /// Called with what happened and is not a failure: a damaged checkpoint that was passed over, a failed save in the
  /// background that nobody asked for. By any thread. Empty: these are not reported.
  std::function<void(const std::string& message)> warn = {};
  /// Threads for checksums, compression and copies; 0: as many as the machine has, at most 16.
  unsigned threads = 0;
  /// Names of polymorphic types; must outlive the Checkpoints.
  const TypeRegistry* types = nullptr;
  /// Nothing is written. Without write permission it is so anyway.
  bool read_only = false;
};

/// What goes with one checkpoint.
struct CheckpointNotes {
  /// Numbers by name, {{"loss", 0.4}}: listed without reading arrays, and what KeepBest looks at.
  std::map<std::string, double> metrics = {};
  /// Other things to be listed.
  Metadata metadata = {};
  /// Replace a checkpoint of the same step. Otherwise that is an Error(invalid_argument).
  bool overwrite = false;
};

/// A checkpoint in the folder.
struct CheckpointInfo {
  std::uint64_t step = 0;
  double created = 0;  // seconds since 1970
  std::map<std::string, double> metrics = {};
  Metadata metadata = {};
  std::uint64_t bytes = 0;     // of the checkpoint, as one archive
  std::uint64_t written = 0;   // of its own file
  std::uint64_t referred = 0;  // of the archive, in files of other checkpoints
  bool sharded = false;        // ShardedCheckpoint of stele/sharded.hpp reads it; `bytes` are those of the manifest
  std::string file = {};       // its path
};

struct CheckpointStats {
  std::uint64_t checkpoints = 0;
  std::uint64_t bytes = 0;   // of all checkpoints, if each were one archive
  std::uint64_t stored = 0;  // of the files
  std::uint64_t parts = 0;   // files of removed checkpoints that others refer to
};

/// What restore() is to do.
struct CheckpointRestore {
  /// This one, or an Error. Nothing: the newest one that can be read; damaged ones are passed over with a warning.
  std::optional<std::uint64_t> step = std::nullopt;
  /// What LoadOptions have of the same names. `full` with a mapping reads all of it first.
  Verify verify = Verify::automatic;
  MapMode map = MapMode::none;
  bool strict = false;
  /// Only the value at this path.
  std::string path = {};
};

/// An array in memory that restore_arrays() fills.
struct CheckpointTarget {
  std::string path;  // in the checkpoint
  DType dtype;
  Shape shape;
  MutableBytes memory;  // of exactly its elements, in row-major order
};

/// What restore_arrays() found.
struct CheckpointRestored {
  std::uint64_t step = 0;
  std::vector<std::string> restored = {};
  std::vector<std::string> missing = {};     // wanted, and not in the checkpoint
  std::vector<std::string> unexpected = {};  // in the checkpoint, and not wanted
  std::vector<std::string> mismatched = {};  // with the reason; their memory is unchanged
};

/// An array in one of two checkpoints that is not the same in the other.
struct CheckpointChange {
  enum class Kind : std::uint8_t { changed, added, removed, reshaped } kind = Kind::changed;
  std::string path;
  std::uint64_t bytes = 0;
  double relative = 0;  // of real and complex numbers: norm of the difference by the norm of the first
  double largest = 0;   // absolute difference of two elements
};

struct CheckpointReport {
  std::uint64_t checked = 0;
  std::vector<std::pair<std::uint64_t, std::string>> damaged = {};  // step, message
};

class CheckpointCore;

/// A folder of checkpoints. One process or object saves at a time, others wait; any number may read meanwhile. The
/// folder alone says what there is, also to an object that has been open for long. Not thread-safe, but for different
/// objects. A child of fork() can only read.
class Checkpoints {
 public:
  /// Creates the folder if needed, and removes what killed programs left in it.
  /// Throws: Error(io), Error(not_found) with read_only where there is none, Error(invalid_argument).
  static Checkpoints open(const Path& folder, const CheckpointOptions& options = {});
  /// Waits for the save in work. Its failure goes to options.warn.
  ~Checkpoints();
  Checkpoints(Checkpoints&&) noexcept;
  Checkpoints& operator=(Checkpoints&&) noexcept;

  /// Saves a checkpoint, and removes those that are no longer to be kept once it is complete. First rethrows the error
  /// of a save in the background that failed; then nothing is saved.
  /// Throws: Error(invalid_argument) for a step that exists, Error(busy), Error(io), what stele::save() throws.
  template <class T>
  CheckpointInfo save(std::uint64_t step, const T& value, const CheckpointNotes& notes = {}) {
    return save_object(step, object_of(value), notes);
  }
  /// The same in the background: copies all arrays to memory that is used again for the next call, and returns. A save
  /// that is still in work is waited for first.
  /// Throws: as save(), but failures to write come from the next call, wait() and close().
  template <class T>
  void save_later(std::uint64_t step, const T& value, const CheckpointNotes& notes = {}) {
    save_object_later(step, object_of(value), notes);
  }
  /// The same without a copy: the caller does not change or destroy the value until wait() or the next call returns.
  template <class T>
  void save_later_unchanged(std::uint64_t step, const T& value, const CheckpointNotes& notes = {}) {
    save_unchanged_later(step, object_of(value), notes);
  }
  /// Whether a save is in work.
  bool is_saving() const noexcept;
  /// Waits for the save in work, and for copies. Throws what it failed with.
  void wait();
  /// The same, and releases the memory of copies.
  void close();

  /// All checkpoints, by ascending steps. Reads what is not arrays. Files that are not checkpoints are left out.
  std::vector<CheckpointInfo> list() const;
  std::vector<std::uint64_t> steps() const;
  /// The newest step; nothing if there is none.
  std::optional<std::uint64_t> latest() const;
  /// The step with the best value of a metric; of equal ones the newest. Nothing if none has it.
  std::optional<std::uint64_t> best(std::string_view metric, bool largest = false) const;
  /// The newest step that passes the checks of Verify::directory or Verify::full; others are passed over with a
  /// warning.
  std::optional<std::uint64_t> newest_good(Verify verify = Verify::full) const;
  /// Throws: Error(not_found).
  CheckpointInfo info(std::uint64_t step) const;
  CheckpointStats stats() const;

  /// Opens a checkpoint as an archive. It stays readable when the checkpoint is removed.
  /// Throws: Error(not_found), Error(type_mismatch) for a sharded one, and what stele::open() throws.
  File open_step(std::uint64_t step, LoadOptions options = {}) const;

  /// Loads a checkpoint, or the value at a path in it.
  /// Throws: Error(not_found) where there is none that is good, with what is wrong with each; of a step that was asked
  /// for, what load() throws; Error(type_mismatch) and other faults that are not damage at once.
  template <class T>
  T restore(const CheckpointRestore& what = {}) const {
    std::optional<T> value;
    restore_with(what, [&](const File& file) { value.emplace(file.load<T>(what.path)); });
    return std::move(*value);
  }
  /// Loads it into an existing object, as load_into() does: arrays of the same size keep their memory. Returns the
  /// step. After an exception the object is in some valid state.
  template <class T>
  std::uint64_t restore_into(T& value, const CheckpointRestore& what = {}) const {
    return restore_with(what, [&](const File& file) { file.load_into(value, what.path); });
  }
  /// Fills arrays in memory with those of the same paths. Only types that lose nothing are converted. `what.path` and
  /// `what.map` do not count.
  /// Throws: as restore(). Arrays may have been filled before.
  CheckpointRestored restore_arrays(const std::vector<CheckpointTarget>& targets,
                                    const CheckpointRestore& what = {}) const;

  /// Removes a checkpoint. Data that other checkpoints refer to stays. Throws: Error(not_found), Error(busy),
  /// Error(read_only).
  void remove(std::uint64_t step);
  /// Removes what the options do not keep, and leftovers. Returns the steps that went.
  std::vector<std::uint64_t> prune();
  /// Checks everything of all checkpoints, or of one. `progress` is called before each of them; what it throws ends it.
  CheckpointReport verify(std::optional<std::uint64_t> step = std::nullopt,
                          const std::function<void(std::uint64_t done, std::uint64_t total)>& progress = {}) const;
  /// Writes a checkpoint as one archive that refers to nothing.
  void export_to(std::uint64_t step, const Path& path, const SaveOptions& options = {}) const;
  /// The arrays of 4 KiB or more that differ between two checkpoints, by path. Arrays with equal checksums are not
  /// read; those of sharded ones have none for whole arrays. Throws: Error(not_found).
  std::vector<CheckpointChange> diff(std::uint64_t before, std::uint64_t after) const;

  const std::string& folder() const noexcept;
  const CheckpointOptions& options() const noexcept;

 private:
  friend class CheckpointCore;
  struct Object {
    void (*walk)(OutVisitor& out, const void* value);
    const void* value;
  };
  template <class T>
  static Object object_of(const T& value) {
    return {[](OutVisitor& out, const void* v) { write_whole(out, *static_cast<const T*>(v)); }, &value};
  }
  explicit Checkpoints(std::unique_ptr<CheckpointCore> core);
  CheckpointInfo save_object(std::uint64_t step, const Object& object, const CheckpointNotes& notes);
  void save_object_later(std::uint64_t step, const Object& object, const CheckpointNotes& notes);
  void save_unchanged_later(std::uint64_t step, const Object& object, const CheckpointNotes& notes);
  std::uint64_t restore_with(const CheckpointRestore& what, const std::function<void(const File& file)>& load) const;
  std::unique_ptr<CheckpointCore> core_;
};

/// Catches signals that end a program, so that it can save first. While the object exists, the first of these signals
/// only sets a flag; a second one has its previous effect. Only one object may exist at a time.
class StopSignals {
 public:
  /// Throws: Error(invalid_argument) if there is another object, Error(io).
  explicit StopSignals(const std::vector<int>& signals);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  /// The signal that came; 0 if none did. Thread-safe.
  int received() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stele
