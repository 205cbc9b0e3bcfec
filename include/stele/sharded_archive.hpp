#pragma once
// One archive that many processes write: each, a rank, puts its boxes of the arrays into a part of its own, in a folder
// or under a prefix of an object store. A commit makes the parts one archive. open(), load() and the command line then
// read it like any other, whatever the split was. docs/guide/sharded.md states the protocol.
//
//   stele::ShardedWriter out("s3://bucket/model", rank, ranks, {.attempt = "job-4711-0"});
//   out.put("layers/3/weights", rows, {1000, 64}, {rank * 250, 0});
//   out.put_value("epoch", 7);
//   out.commit();
//   auto table = stele::open("s3://bucket/model").array<float, 2>("layers/3/weights");

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "stele/archive.hpp"

namespace stele {

struct ShardedOptions {
  /// 1 to 100 letters, digits, '-' and '_': the same for all ranks of this attempt to write the archive, and different
  /// for every other attempt, so that parts of a killed attempt are not mixed with these. Empty: job_attempt(), and a
  /// random one for a single rank.
  std::string attempt = {};
  /// Seconds that a commit waits for parts that are not there yet.
  double wait_s = 600;
  /// Parts that no commit has named are removed by a commit when they are older, in seconds.
  double keep_s = 24 * 60 * 60;
  /// How parts are written: codec, level, filter, threads, types, canonical, limits. `metadata` is that of the archive,
  /// given to the commit. Others do not count.
  SaveOptions save = {};
};

/// What a commit made.
struct ShardedCommit {
  std::string attempt;
  unsigned ranks = 0;
  std::uint64_t arrays = 0;
  std::uint64_t bytes = 0;  // of all parts
  /// Parts of an earlier archive or attempt that could not be removed, as keys in the folder, and why. A later commit
  /// tries again.
  std::vector<std::string> left = {};
};

/// Writes the part of one rank. Nothing counts before the commit. Not thread-safe.
class ShardedWriter {
 public:
  /// `place`: a folder, made if needed, or a URL.
  /// Throws: Error(invalid_argument) where there is no attempt, or this rank's part of it is there already: an attempt
  /// is never repeated; Error(io), Error(denied), Error(unsupported).
  ShardedWriter(const Path& place, unsigned rank, unsigned ranks, const ShardedOptions& options = {});
  /// Without close() or commit() the part is lost.
  ~ShardedWriter();
  ShardedWriter(ShardedWriter&&) noexcept;
  ShardedWriter& operator=(ShardedWriter&&) noexcept;

  /// Writes a box of the array at `path`, "layers/3/weights", a path as File has it: between slashes are the keys of
  /// maps in maps. The array has the extents `whole`, and `first` is the box's first element in it. Together the boxes
  /// of all ranks make up the array; a box may be written by several ranks if it is the same one. Throws:
  /// Error(invalid_argument) for a box that is not inside, another type or other extents than before, and a path that
  /// is or contains that of another value; what Writer::write() throws.
  void put(std::string_view path, const ArrayView& box, const Shape& whole, const Shape& first);
  template <class T, std::size_t Rank>
  void put(std::string_view path, const Array<T, Rank>& box, const Shape& whole, const Shape& first) {
    put(path, box.view_as(walk::dtype_of<T>()), whole, first);
  }
  /// Writes an array that this rank has whole.
  template <class T, std::size_t Rank>
  void put(std::string_view path, const Array<T, Rank>& array) {
    const ArrayView view = array.view_as(walk::dtype_of<T>());
    put(path, view, view.shape, Shape(std::vector<std::uint64_t>(Rank, 0)));
  }
  /// Writes any other value. If several ranks write it, the lowest rank's counts.
  template <class T>
  void put_value(std::string_view path, const T& value) {
    put_object(path, [](OutVisitor& out, const void* v) { write_whole(out, *static_cast<const T*>(v)); }, &value);
  }
  /// Completes the part, which then is in the folder; nothing more can be put. Without a commit it does not count.
  /// Throws: Error(io), Error(denied), Error(invalid_argument) for a second call.
  void close();
  /// To be called by every rank: completes the part, if close() has not. Rank 0 then waits for the parts of all ranks
  /// and commits, as commit_sharded() does: when its call has returned, the archive is there. Other ranks return as
  /// soon as their part is complete, and are not told whether the commit succeeds; stele/mpi.hpp tells all. Throws: as
  /// close() and commit_sharded().
  ShardedCommit commit();

  /// Gives the part up, also one that is complete: removes it. Not to be called once a commit may have taken it.
  /// Does not throw: what cannot be removed is left for a later commit.
  void discard() noexcept;

  const std::string& attempt() const& noexcept;
  std::string attempt() const&& { return static_cast<const ShardedWriter&>(*this).attempt(); }

 private:
  void put_object(std::string_view path, void (*walk)(OutVisitor& out, const void* value), const void* value);
  struct State;
  std::unique_ptr<State> state_;
};

/// Makes one archive of the parts of all ranks of an attempt: waits for them, checks that the boxes make up each array
/// and that no path lies inside of another value, and writes the manifest. This replaces an archive that was there
/// before, at once: readers see the old one or the new one, never a mixture. Then removes the parts of the old one, and
/// those of attempts that nobody has committed within `keep_s`. May be called in any one process that can reach the
/// place. If it throws, what was there before is still there.
/// Throws: Error(not_found) that names the ranks without a part, Error(invalid_argument) for boxes that overlap or
/// leave a gap and for ranks that contradict each other, Error(busy) if another commit came first, Error(damaged),
/// Error(io).
ShardedCommit commit_sharded(const Path& place, unsigned ranks, std::string_view attempt,
                             const ShardedOptions& options = {});

/// The attempt that the environment names, the same for all processes of one launch: mpirun of Open MPI 4, torchrun
/// (its run id, unless that is "none", and the restart), or srun of Slurm (job, step and restart). Empty where there is
/// none. A second archive in the same folder needs an attempt of its own.
std::string job_attempt();

}  // namespace stele
