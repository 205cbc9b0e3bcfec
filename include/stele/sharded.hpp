#pragma once
// Checkpoints that several processes write together: each saves its parts of the arrays, and one commits. Any number of
// processes load them again, each the boxes that it needs. docs/checkpoints.md states the protocol.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stele/checkpoint.hpp"

namespace stele {

/// What the processes that write one step agree on.
struct ShardJob {
  std::uint64_t step = 0;
  unsigned rank = 0;
  unsigned ranks = 1;
  /// A text of letters, digits, '-' and '_' that all ranks of this attempt to save the step have, and no other attempt
  /// ever: a job's number and its restarts, or the time at rank 0. It tells parts of a killed attempt from these.
  std::string attempt;
};

/// Writes the part of one rank. Nothing counts before commit_shards(). Not thread-safe.
class ShardWriter {
 public:
  /// Creates the folder if needed. `options`: those of how a part is written; each rank refers to its own part of the
  /// last step where its arrays have not changed.
  /// Throws: Error(invalid_argument), Error(io).
  ShardWriter(const Path& folder, const ShardJob& job, const CheckpointOptions& options = {});
  /// Removes a part that was not closed.
  ~ShardWriter();
  ShardWriter(ShardWriter&&) noexcept;
  ShardWriter& operator=(ShardWriter&&) noexcept;

  /// Writes a box of the array `name`, which has the extents `whole`; `first` is the box's first element. Together the
  /// boxes of all ranks make up the array; a box may be written by several ranks if it is the same one.
  /// Throws: Error(invalid_argument) for a box that is not inside, what Writer::write() throws.
  void put(std::string_view name, const ArrayView& box, const Shape& whole, const Shape& first);
  template <class T, std::size_t Rank>
  void put(std::string_view name, const Array<T, Rank>& box, const Shape& whole, const Shape& first) {
    put(name, box.view_as(walk::dtype_of<T>()), whole, first);
  }
  /// Writes any other value. If several ranks write it, the lowest rank's counts.
  template <class T>
  void put_value(std::string_view name, const T& value) {
    put_object(name, {[](OutVisitor& out, const void* v) { write_whole(out, *static_cast<const T*>(v)); }, &value});
  }
  /// Completes the part, as durable as the options say. Without it the part is lost.
  /// Throws: Error(io).
  void close();

 private:
  struct Object {
    void (*walk)(OutVisitor& out, const void* value);
    const void* value;
  };
  void put_object(std::string_view name, const Object& object);
  struct State;
  std::unique_ptr<State> state_;
};

struct ShardCommit {
  CheckpointNotes notes = {};
  /// Seconds to wait for parts that are not there yet.
  double wait_s = 600;
};

/// Makes a step of the parts of all ranks: waits for them, checks that their boxes make up each array, and writes the
/// manifest. Called by one process, of any rank; `job.rank` does not count. Then removes what `options` do not keep.
/// If it fails, the step does not exist.
/// Throws: Error(not_found) that names the ranks without a part, Error(invalid_argument) for boxes that overlap or
/// leave a gap and for a step that exists, Error(damaged), Error(io).
CheckpointInfo commit_shards(const Path& folder, const ShardJob& job, const ShardCommit& commit = {},
                             const CheckpointOptions& options = {});

/// A box of an array in a sharded checkpoint.
struct ShardBox {
  std::string file;  // of the part that holds it
  Shape first;
  Shape extents;
};

/// An array in a sharded checkpoint.
struct ShardedArray {
  std::string name;
  DType dtype;
  Shape shape;
  std::vector<ShardBox> boxes;
};

/// A sharded checkpoint. Reading is const; several threads may read at once.
class ShardedCheckpoint {
 public:
  /// That of a step, or of the newest step that has all parts.
  /// Throws: Error(not_found), Error(damaged) …; Error(type_mismatch) for a checkpoint that is not sharded.
  static ShardedCheckpoint open(const Path& folder, std::optional<std::uint64_t> step = std::nullopt,
                                const LoadOptions& options = {});
  ~ShardedCheckpoint();
  ShardedCheckpoint(ShardedCheckpoint&&) noexcept;
  ShardedCheckpoint& operator=(ShardedCheckpoint&&) noexcept;

  const CheckpointInfo& info() const noexcept;
  unsigned ranks() const noexcept;
  const std::vector<ShardedArray>& arrays() const& noexcept;
  const std::vector<ShardedArray>& arrays() const&& = delete;
  /// Null if there is none.
  const ShardedArray* find(std::string_view name) const noexcept;
  /// The names of other values.
  std::vector<std::string> values() const;

  /// Reads a box, a range for each of the first axes and the other axes whole, to `to`, densely in row-major order,
  /// converted to `dtype` as load() does. Steps are 1. Reads nothing of parts that do not touch the box.
  /// Throws: Error(not_found), Error(out_of_range), Error(invalid_argument), and what AnyLazyArray::read() throws.
  void read(std::string_view name, std::span<const Range> box, const DType& dtype, MutableBytes to) const;
  template <class T, std::size_t Rank>
  Array<T, Rank> load(std::string_view name, std::span<const Range> box = {}) const {
    const Shape extents = box_extents(name, box);
    if (extents.rank() != Rank) {
      fail(Errc::type_mismatch, message({"expected an array of ", Rank, " axes, found ", extents.rank()}), {name, {}});
    }
    std::array<std::uint64_t, Rank> shape{};
    std::copy_n(extents.begin(), Rank, shape.begin());
    Array<T, Rank> made(shape);
    read(name, box, walk::dtype_of<T>(),
         {reinterpret_cast<std::byte*>(made.mutable_data()), static_cast<std::size_t>(made.size()) * sizeof(T)});
    return made;
  }
  /// Another value. Throws: Error(not_found), and what load() throws.
  template <class T>
  T value(std::string_view name) const {
    const auto [part, path] = place_of(name);
    return part->load<T>(path);
  }
  /// Checks everything of all parts.
  /// Throws: Error(damaged) …
  void verify() const;

 private:
  struct State;
  explicit ShardedCheckpoint(std::unique_ptr<State> state);
  Shape box_extents(std::string_view name, std::span<const Range> box) const;
  std::pair<const File*, std::string> place_of(std::string_view name) const;
  std::unique_ptr<State> state_;
};

}  // namespace stele
