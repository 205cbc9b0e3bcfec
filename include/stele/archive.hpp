#pragma once
// Saving, loading and opening archives. One archive holds one value. Each function below is one line of template over
// compiled code.

#include <array>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stele/lazy_array.hpp"
#include "stele/options.hpp"
#include "stele/walk.hpp"

namespace stele {

/// An open file descriptor (file, pipe, socket), as a type of its own. It belongs to the caller.
struct Descriptor {
  int fd = -1;
};

/// Writes archives one after another. Nothing counts before close(); the destructor of an unclosed Writer leaves the
/// old file unchanged. Not thread-safe.
class Writer {
 public:
  /// To a file that appears at close().
  /// Throws: Error(io), Error(unknown_codec), Error(invalid_argument).
  explicit Writer(const Path& path, const SaveOptions& options = {});
  /// To a stream, descriptor or Sink, which must outlive the Writer; never seeks. The Writer does not close a Sink: its
  /// owner may write more.
  explicit Writer(std::ostream& stream, const SaveOptions& options = {});
  explicit Writer(Descriptor descriptor, const SaveOptions& options = {});
  explicit Writer(Sink& sink, const SaveOptions& options = {});
  ~Writer();
  Writer(Writer&&) noexcept;
  Writer& operator=(Writer&&) noexcept;

  /// Writes one archive. After an exception nothing more can be written, and close() fails.
  /// Throws: Error(io), Error(limit_exceeded) for deep nesting, exceptions of the value's iterators.
  template <class T>
  void write(const T& value) {
    write_whole(begin({[](OutVisitor& out, const void* v) { stele::write(out, *static_cast<const T*>(v)); }, &value}),
                value);
    end();
  }
  /// Makes everything visible; without it, what was written is lost.
  /// Throws: Error(io).
  void close();

 private:
  friend class MapWriter;
  /// Walks the value once more: this finds arrays that share a buffer.
  struct Again {
    void (*walk)(OutVisitor& out, const void* value);
    const void* value;
  };
  OutVisitor& begin(const Again& again);
  void end();
  struct State;
  std::unique_ptr<State> state_;
};

template <class T>
class GrowingArray;
class AnyGrowingArray;

/// Writes one archive whose root is a map, entry by entry. Entries may be arrays whose number of rows is not known
/// beforehand. Such an array can be mapped if the destination can be patched: a file, not a pipe or a compressed file.
class MapWriter {
 public:
  explicit MapWriter(const Path& path, const SaveOptions& options = {});
  explicit MapWriter(Sink& sink, const SaveOptions& options = {});
  ~MapWriter();
  MapWriter(MapWriter&&) noexcept;
  MapWriter& operator=(MapWriter&&) noexcept;

  /// Writes an entry in its present state. The object of a shared_ptr is written with the first entry that refers to
  /// it.
  /// Throws: Error(invalid_argument) while a growing array is open, and what Writer::write() throws.
  template <class T>
  void write(std::string_view key, const T& value) {
    write_whole(entry(key), value);
    end_entry();
  }
  /// Begins an entry that is an array with rows of the given extents (none: the array has one dimension). It must be
  /// closed before the next entry and must not outlive the MapWriter.
  template <class T>
  GrowingArray<T> grow(std::string_view key, const Shape& row = {});
  /// The same for an element type that is known only when the program runs.
  AnyGrowingArray grow(std::string_view key, const DType& dtype, const Shape& row = {});
  /// Throws: Error(io), Error(invalid_argument) while a growing array is open.
  void close();

 private:
  friend class AnyGrowingArray;
  OutVisitor& entry(std::string_view key);
  void end_entry();
  void begin_rows(std::string_view key, const DType& dtype, const Shape& row);
  void rows(const ArrayView& batch);
  void end_rows();
  struct State;
  std::unique_ptr<State> state_;
};

/// An array that grows by batches of rows of any element type; made by MapWriter::grow().
class AnyGrowingArray {
 public:
  AnyGrowingArray(const AnyGrowingArray&) = delete;
  AnyGrowingArray& operator=(const AnyGrowingArray&) = delete;
  AnyGrowingArray(AnyGrowingArray&& other) noexcept : writer_(std::exchange(other.writer_, nullptr)) {}

  /// Appends the rows of an array of this element type whose extents after the first are the row's.
  /// Throws: Error(invalid_argument), Error(io).
  void append(const ArrayView& batch) { writer().rows(batch); }
  /// Ends the array.
  /// Throws: Error(invalid_argument) if it is already closed, Error(io).
  void close() {
    writer().end_rows();
    writer_ = nullptr;
  }

 private:
  friend class MapWriter;
  explicit AnyGrowingArray(MapWriter& writer) : writer_(&writer) {}
  MapWriter& writer() const {
    if (writer_ == nullptr) {
      fail(Errc::invalid_argument, "the growing array is closed");
    }
    return *writer_;
  }
  MapWriter* writer_;
};

/// An array that grows by batches of rows; made by MapWriter::grow().
template <class T>
class GrowingArray {
 public:
  /// Appends whole rows given as their elements, row after row.
  /// Throws: Error(invalid_argument), Error(io).
  void append(std::span<const T> elements) {
    const std::uint64_t per_row = row_.count();
    if (per_row == 0 || elements.size() % per_row != 0) {
      fail(Errc::invalid_argument,
           message({"a batch of ", elements.size(), " elements is no whole number of rows ", row_.text()}));
    }
    Shape shape{elements.size() / per_row};
    for (const std::uint64_t extent : row_) {
      shape.push_back(extent);
    }
    array_.append(ArrayView(walk::dtype_of<T>(), elements.data(), shape, Order::row_major));
  }
  /// Appends the rows of an array whose extents after the first are the row's.
  template <std::size_t Rank>
  void append(const Array<T, Rank>& batch) {
    array_.append(batch.view_as(walk::dtype_of<T>()));
  }
  /// Ends the array.
  /// Throws: Error(invalid_argument) if it is already closed, Error(io).
  void close() { array_.close(); }

 private:
  friend class MapWriter;
  GrowingArray(AnyGrowingArray array, const Shape& row) : array_(std::move(array)), row_(row) {}
  AnyGrowingArray array_;
  Shape row_;
};

inline AnyGrowingArray MapWriter::grow(std::string_view key, const DType& dtype, const Shape& row) {
  begin_rows(key, dtype, row);
  return AnyGrowingArray(*this);
}

template <class T>
GrowingArray<T> MapWriter::grow(std::string_view key, const Shape& row) {
  return GrowingArray<T>(grow(key, walk::dtype_of<T>(), row), row);
}

/// Reads archives one after another, each written by save() or Writer. Not thread-safe.
class Reader {
 public:
  explicit Reader(const Path& path, const LoadOptions& options = {});
  /// From the current position of the stream, descriptor or Source. Each archive leaves it right after its end; where
  /// several archives are compressed as one stream, only the last one does.
  explicit Reader(std::istream& stream, const LoadOptions& options = {});
  explicit Reader(Descriptor descriptor, const LoadOptions& options = {});
  explicit Reader(Source& source, const LoadOptions& options = {});
  /// From memory that must outlive the Reader.
  explicit Reader(Bytes bytes, const LoadOptions& options = {});
  ~Reader();
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;

  /// Whether another archive follows. On a stream it waits for the first byte or the end, and in compressed data for
  /// the first block, as that may be empty. Throws: what read() throws for damaged data.
  bool more();
  /// Reads the next archive.
  /// Throws: Error(truncated) at the end, and what load() throws.
  template <class T>
  T read() {
    static_assert(
        std::is_move_constructible_v<T>,
        "stele: load<T>() returns a T, which can be neither moved nor copied (a destructor takes the move constructor "
        "away); use read_into() or load_into()");
    T value = walk::make<T>();
    read_into(value);
    return value;
  }
  template <class T>
  void read_into(T& value) {
    read_whole(begin(), value, [this] { end(); });
  }
  /// The rows of the array at `path` of the next archive, `count` at a time, for one loop:
  /// `for (const Array<float, 2>& batch : reader.batches<float, 2>("rows", 4096))`. Reads in order, so pipes and
  /// sockets will do, in memory of a few batches; a column-major array, a view and a shared array are loaded whole.
  /// After the loop the Reader is at the next archive. It must outlive the batches, and is not to be used before the
  /// loop has ended; where that ends early, only a Source with random access can be read on. Throws, as the loop does:
  /// Error(not_found), Error(invalid_argument) for a count of 0, and what load() throws.
  template <class T, std::size_t Rank>
  Batches<T, Rank> batches(std::string_view path, std::uint64_t count) & {
    static_assert(Rank >= 1, "stele: an array of rank 0 has no rows");
    Array<T, Rank> none;
    walk::BufferTarget<T, Rank> wanted(none);
    return batches_of<T, Rank>(rows(path, wanted), count);
  }
  template <class T, std::size_t Rank>
  Batches<T, Rank> batches(std::string_view path, std::uint64_t count) && = delete;
  /// The same rows, of any element type and rank above 0, for a loop of the caller's own. What batches() says of the
  /// Reader holds until RowStream::read() has returned 0.
  std::shared_ptr<RowStream> rows(std::string_view path);
  /// The metadata of the last archive read.
  const Metadata& metadata() const;

 private:
  InVisitor& begin();
  void end();
  std::shared_ptr<RowStream> rows(std::string_view path, ArrayTarget& wanted);
  struct State;
  std::unique_ptr<State> state_;
};

// --- Whole objects ---------------------------------------------------------------------------------------------------

/// The destinations of save(), so that none is taken for a value.
template <class T>
concept Destination = std::is_base_of_v<Sink, T> || std::is_base_of_v<std::ostream, T>;

/// Saves to a file, atomically: a crash, a full disk or an exception leaves the old file whole.
/// Throws: Error(io), Error(unknown_codec), Error(invalid_argument).
template <class T>
  requires(!Destination<T>)
void save(const T& value, const Path& path, const SaveOptions& options = {}) {
  Writer out(path, options);
  out.write(value);
  out.close();
}
/// Saves to a stream, a descriptor or a Sink, from its current position; never seeks.
template <class T>
void save(std::ostream& stream, const T& value, const SaveOptions& options = {}) {
  Writer out(stream, options);
  out.write(value);
  out.close();
}
template <class T>
void save(Descriptor descriptor, const T& value, const SaveOptions& options = {}) {
  Writer out(descriptor, options);
  out.write(value);
  out.close();
}
template <class T>
void save(Sink& sink, const T& value, const SaveOptions& options = {}) {
  Writer out(sink, options);
  out.write(value);
  out.close();
}

/// Loads the object of a file, the first if it holds several archives. The file's first bytes tell the codec.
/// Throws: Error(not_found), Error(io), Error(not_an_archive), Error(truncated), Error(damaged), Error(malformed),
/// Error(type_mismatch), Error(limit_exceeded), Error(not_mappable) …; never crashes on hostile input.
template <class T>
T load(const Path& path, const LoadOptions& options = {}) {
  Reader in(path, options);
  return in.read<T>();
}
/// Loads from a stream, descriptor or Source and leaves it directly after the archive.
template <class T>
T load(std::istream& stream, const LoadOptions& options = {}) {
  Reader in(stream, options);
  return in.read<T>();
}
template <class T>
T load(Descriptor descriptor, const LoadOptions& options = {}) {
  Reader in(descriptor, options);
  return in.read<T>();
}
template <class T>
T load(Source& source, const LoadOptions& options = {}) {
  Reader in(source, options);
  return in.read<T>();
}
/// Loads into an existing object; its fields without a stored value keep their values.
template <class T>
void load_into(T& value, const Path& path, const LoadOptions& options = {}) {
  Reader in(path, options);
  in.read_into(value);
}

/// Saves to memory.
template <class T>
std::vector<std::byte> to_bytes(const T& value, const SaveOptions& options = {}) {
  std::vector<std::byte> bytes;
  const std::unique_ptr<Sink> sink = memory_sink(bytes);
  save(*sink, value, options);
  return bytes;
}
/// Loads from memory; the archive must end where the bytes do.
template <class T>
T from_bytes(Bytes bytes, const LoadOptions& options = {}) {
  Reader in(bytes, options);
  T value = in.read<T>();
  if (in.more()) {
    fail(Errc::damaged, "bytes after the archive");
  }
  return value;
}

// --- Parts of objects ------------------------------------------------------------------------------------------------

/// One value of an archive, as returned by File::list().
struct Entry {
  std::string path;  // JSON Pointer without the leading slash; empty for the root
  Kind kind = Kind::null;
  DType dtype;  // arrays
  Shape shape;  // arrays
  Order order = Order::row_major;
  std::string encoding;                // arrays: "raw"
  std::uint64_t offset = 0;            // in the plain archive: of an array's first element, else of the value
  std::uint64_t bytes = 0;             // stored, of the elements or of the whole value
  std::optional<std::uint64_t> count;  // containers: items, entries or fields
  bool listed = false;                 // arrays: in the directory
  bool mappable = false;               // arrays: a stele::Array of this dtype lies in the file when that is mapped
  std::string text;                    // leaves: their value, cut at 80 characters
  std::string type;                    // polymorphic values: their registered name
};

struct ListOptions {
  std::string path = {};           // list this value and those below it
  std::size_t depth = 64;          // levels below it
  std::uint64_t max_items = 1000;  // of one container; more are left out
};

/// A summary of an archive.
struct Info {
  std::string codec;                 // "plain", "gzip", …
  std::uint64_t stored_bytes = 0;    // of the file
  std::uint64_t plain_bytes = 0;     // of the archive
  std::uint64_t bytes_after = 0;    // plain bytes after it, where a file holds several archives
  std::uint64_t arrays = 0;          // listed ones
  std::uint64_t array_bytes = 0;     // their stored bytes
  std::uint64_t encoded_arrays = 0;  // those stored with a filter, which cannot be mapped
  std::uint64_t pieced_arrays = 0;   // not among `arrays`: written while they grew, in pieces; cannot be mapped
  std::uint64_t format = 0;
  std::string writer;
  Metadata metadata;
};

/// An open archive: reads its directory, and then only what is asked for. Loading is const; several threads may load at
/// once. Mapped arrays stay valid after the File is gone.
class File {
 public:
  ~File();
  File(File&&) noexcept;
  File& operator=(File&&) noexcept;

  /// Loads the value at a path, "layers/3/weights"; the whole object for the empty path.
  /// Throws: Error(not_found) and what load() throws.
  template <class T>
  T load(std::string_view path = {}) const {
    static_assert(
        std::is_move_constructible_v<T>,
        "stele: load<T>() returns a T, which can be neither moved nor copied (a destructor takes the move constructor "
        "away); use stele::Reader::read_into() for the whole file, or a std::unique_ptr<T>");
    T value = walk::make<T>();
    load_into(value, path);
    return value;
  }
  /// Loads into an existing object, as stele::load_into() does.
  template <class T>
  void load_into(T& value, std::string_view path = {}) const {
    const std::unique_ptr<Part> part = find(path);
    read_whole(part->visitor(), value, [&] { part->finish(); });
  }
  /// The array at a path, of which parts are read later. Reads its type, shape and place.
  /// Throws: Error(not_found), Error(type_mismatch) for another value, type or rank, and what load() throws.
  template <class T, std::size_t Rank>
  LazyArray<T, Rank> array(std::string_view path = {}) const {
    Array<T, Rank> none;
    walk::BufferTarget<T, Rank> wanted(none);
    return LazyArray<T, Rank>(find_array(path, &wanted));
  }
  /// The same for any type and rank.
  AnyLazyArray array(std::string_view path = {}) const { return find_array(path, nullptr); }
  bool contains(std::string_view path) const;
  /// The value at a path and the values below it, in the order of the file; arrays are not read.
  std::vector<Entry> list(const ListOptions& options = {}) const;
  Info info() const;
  /// Checks everything against the checksums.
  /// Throws: Error(damaged) …
  void verify() const;
  /// With MapMode::read_write: writes changed elements and their checksums to the device. The last user of the mapping
  /// does it too, but cannot report a failure.
  /// Reads the elements of every array that was handed out; changes the checksums of those pieces that differ.
  /// Throws: Error(io), Error(read_only) for another mode.
  void flush();
  /// The same for some rows of one array: reads their elements alone. Other changes stay without checksums until they
  /// are flushed too.
  /// Throws: as flush(), Error(not_found) for what is not an array in the mapping, Error(out_of_range).
  void flush(std::string_view path, const Range& rows);

 private:
  friend File open(const Path& path, const LoadOptions& options);
  friend File open(std::unique_ptr<Source> source, const LoadOptions& options);
  class Part {
   public:
    virtual ~Part() = default;
    virtual InVisitor& visitor() = 0;
    virtual void finish() = 0;
  };
  struct State;
  explicit File(std::shared_ptr<State> state);
  std::unique_ptr<Part> find(std::string_view path) const;
  AnyLazyArray find_array(std::string_view path, ArrayTarget* wanted) const;
  std::shared_ptr<State> state_;
};

/// Opens an archive: reads only the trailer and the directory. Takes microseconds, whatever the size of its arrays.
File open(const Path& path, const LoadOptions& options = {});
/// The same for a Source with random access, such as a remote object read by ranges.
File open(std::unique_ptr<Source> source, const LoadOptions& options = {});

}  // namespace stele
