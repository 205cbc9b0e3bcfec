#pragma once
// Files that grow: a program appends entries for days, and what it has committed survives a crash. Each entry is an
// archive, and the file a standard file of its codec: Reader, load() and every other tool read it as any other.
// docs/format.md, "Appended files".

#include <cstdint>
#include <memory>
#include <string>

#include "stele/archive.hpp"

namespace stele {

struct AppendOptions {
  /// How entries are saved. `codec` empty: that of the existing file, else by the path's extension; zlib and lzma
  /// cannot be appended to. `sync`: how durable a commit is when commit() returns; with Sync::none it survives the end
  /// of the process, but not a loss of power. `in_place` means nothing here.
  SaveOptions save = {};
  /// Commit after so many entries; 0: only at commit() and close().
  std::uint64_t commit_every = 0;
};

/// Appends entries to a file. Entries are kept in memory, compressed, until they are committed; a commit is written as
/// a whole, or, where the process ends meanwhile, not at all. Entries of one commit are compressed together. One
/// Appender at a time holds the file. Not thread-safe; a child of fork() cannot use it.
class Appender {
 public:
  /// Opens the file or makes it. The remains of an incomplete commit are cut off. Reads the last commit
  /// to check it, and nothing before that.
  /// Throws: Error(busy) if another Appender holds the file, Error(damaged) if what follows the last whole entry is not
  /// a torn end, and cuts nothing then; Error(invalid_argument) for a file that no Appender wrote, of another codec or
  /// that is not a regular file; Error(io), Error(unknown_codec).
  explicit Appender(const Path& path, const AppendOptions& options = {});
  /// Leaves out what was not committed.
  ~Appender();
  Appender(Appender&&) noexcept;
  Appender& operator=(Appender&&) noexcept;

  /// Appends one entry. After an exception of the value itself it is not there, and others can follow. Where
  /// AppendOptions::commit_every is reached, it also does and throws what commit() does; the entry is then appended.
  /// Throws: Error(limit_exceeded) for deep nesting, exceptions of the value's iterators.
  template <class T>
  void append(const T& value) {
    write_whole(begin({[](OutVisitor& out, const void* v) { stele::write(out, *static_cast<const T*>(v)); }, &value}),
                value);
    end();
  }
  /// Makes the entries that were appended visible to readers, and as durable as the options say. If it fails because
  /// the disk is full, they are kept, and the next call tries again. Throws: Error(io), also if another program has
  /// changed or removed the file.
  void commit();
  /// Commits and lets go of the file.
  void close();

  /// The entries in the file that are committed.
  std::uint64_t entries() const noexcept;
  /// The entries that were appended and not committed.
  std::uint64_t pending() const noexcept;
  /// The bytes of a torn end that the constructor cut off.
  std::uint64_t cut_bytes() const noexcept;

 private:
  struct Again {
    void (*walk)(OutVisitor& out, const void* value);
    const void* value;
  };
  OutVisitor& begin(const Again& again);
  void end();
  struct State;
  std::unique_ptr<State> state_;
};

/// Reads the entries of such a file, also while an Appender writes it; takes no lock. Not thread-safe.
class EntryReader {
 public:
  /// At the first entry.
  /// Throws: Error(not_found), Error(io), Error(not_an_archive), Error(invalid_argument) for options.map and
  /// options.offset, and what more() throws.
  explicit EntryReader(const Path& path, const LoadOptions& options = {});
  ~EntryReader();
  EntryReader(EntryReader&&) noexcept;
  EntryReader& operator=(EntryReader&&) noexcept;

  /// Whether another entry is committed. False is for now: the file may grow.
  /// Throws: Error(damaged) if what follows is neither an entry nor a commit that is being written, Error(io),
  /// Error(truncated) if the file became shorter.
  bool more();
  /// Reads the next entry.
  /// Throws: Error(truncated) if no other is committed, and what load() throws. The position stays then, and the entry
  /// can be read as another type, or passed over.
  template <class T>
  T read() {
    static_assert(std::is_move_constructible_v<T>,
                  "stele: read<T>() returns a T, which can be neither moved nor copied; use read_into()");
    T value = walk::make<T>();
    read_into(value);
    return value;
  }
  template <class T>
  void read_into(T& value) {
    read_whole(begin(), value, [this] { end(); });
  }
  /// Passes over entries. In a plain file this takes a few small reads, in a compressed one what lies near is
  /// decompressed. Throws: Error(truncated) if fewer are committed.
  void skip(std::uint64_t count = 1);
  /// Passes over the next entry, which is an array, and returns its extents. In a plain file no elements are read.
  /// Throws: Error(type_mismatch) for another value, Error(truncated) if no other is committed.
  Shape skip_array();
  /// Continues at the entry of that number, which may be the next that will be committed.
  /// Throws: Error(truncated) if fewer are committed.
  void seek(std::uint64_t entry);
  /// The number of the next entry, counted from 0: what seek() takes, also another day.
  std::uint64_t position() const noexcept;
  /// The number of committed entries.
  std::uint64_t entries();
  /// In a plain file: where the next entry begins, for LoadOptions::offset of open() and load(), which can map it.
  /// Throws: Error(not_mappable) for a compressed file.
  std::uint64_t offset();
  /// The metadata of the last entry read.
  const Metadata& metadata() const noexcept;

 private:
  InVisitor& begin();
  void end();
  struct State;
  std::unique_ptr<State> state_;
};

/// What a file of appended entries holds.
struct AppendedFile {
  std::string codec;             // "plain", "gzip", …
  std::uint64_t entries = 0;     // whole ones
  std::uint64_t bytes = 0;       // of the file, up to the end of the last whole entry
  std::uint64_t torn_bytes = 0;  // after that: of an incomplete commit
};

/// Reads all entries and checks them. With `cut`, cuts off the torn end.
/// Throws: Error(damaged) and others for an entry that is damaged, the message says where; then nothing is cut.
/// Error(busy) if an Appender holds the file, Error(not_found), Error(io), Error(invalid_argument) as Appender.
AppendedFile recover_appended(const Path& path, bool cut = false, const LoadOptions& options = {});

}  // namespace stele
