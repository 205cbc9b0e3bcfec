#pragma once
// Where files are kept: a folder, or a prefix of an object store. A small set of operations that every one of them
// offers, so that what is built on it (sharded archives, remote copies of checkpoints) is written once.
//
// The core has folders. With stele/remote.hpp and the component stele::remote there are also "s3://bucket/prefix" and,
// to be read, "http://" and "https://"; these URLs then work wherever a Path does: save(), load(), open(), Reader,
// Writer, file_source(), file_sink().

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stele/io.hpp"

namespace stele {

/// A file or object in a Storage.
struct StoredObject {
  std::string key;  // relative to the Storage, with slashes: "shards/part-0.stele"
  std::uint64_t bytes = 0;
  double modified = 0;    // seconds since 1970; 0 if unknown
  std::string etag = {};  // of its content, and different after each change; as the store gives it. May be empty.
};

/// A piece of an object to be read.
struct ByteRange {
  std::uint64_t offset = 0;
  MutableBytes to;  // filled completely
};

/// When put() may write.
struct PutCondition {
  enum class Kind : std::uint8_t {
    always,
    absent,     // only if there is no object of this key
    unchanged,  // only if it has this etag
  } kind = Kind::always;
  std::string etag = {};
};

/// A folder of files or a prefix of objects. Thread-safe. Keys are texts of one or more names separated by '/', none of
/// them empty, "." or "..".
class Storage {
 public:
  Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  virtual ~Storage() = default;

  /// What it was opened with: a path or a URL, without a '/' at its end.
  virtual const std::string& name() const noexcept = 0;
  /// The path or URL of an object, for open() and others that take a Path.
  std::string path_of(std::string_view key) const;

  /// All objects whose keys begin with `prefix`, sorted by their keys; none for a folder that does not exist. Files
  /// that are being written are not among them. Throws: Error(io), Error(denied), Error(unsupported) for HTTP, which
  /// cannot list.
  virtual std::vector<StoredObject> list(std::string_view prefix = {}) const = 0;
  /// Nothing if there is no such object. Throws: Error(io), Error(denied).
  virtual std::optional<StoredObject> find(std::string_view key) const = 0;
  /// Fills all ranges, several at once where that is faster. With `etag`: fails if the object is no longer this one.
  /// Throws: Error(not_found), Error(truncated) for a range past the end, Error(changed), Error(io), Error(denied).
  virtual void read(std::string_view key, std::span<const ByteRange> ranges, std::string_view etag = {}) const = 0;
  /// Reads an object as it is now: with random access; Error(changed) where it has been replaced between two reads.
  /// Throws: Error(not_found), Error(io), Error(denied).
  virtual std::unique_ptr<Source> source(std::string_view key) const = 0;

  /// Writes an object that appears complete at close(), in memory that does not depend on its size. Without close() it
  /// does not appear, and an object that was there stays. The Storage need not outlive the Sink.
  /// Throws, also from the Sink: Error(io), Error(denied), Error(unsupported) for HTTP.
  virtual std::unique_ptr<Sink> sink(std::string_view key) = 0;
  /// Writes a small object. Of several that write at once on a condition, one succeeds.
  /// Returns its etag; nothing if the condition did not hold, and then nothing is written.
  /// Throws: Error(io), Error(denied), Error(unsupported) for HTTP and for a store that says it has no conditional
  /// writes.
  virtual std::optional<std::string> put(std::string_view key, Bytes content, const PutCondition& when = {}) = 0;
  /// Removes an object; it may be gone already.
  /// Throws: Error(io), Error(denied), Error(unsupported) for HTTP.
  virtual void remove(std::string_view key) = 0;

 protected:
  /// Throws: Error(invalid_argument) for an invalid key.
  static void require_key(std::string_view key);
};

/// Opens the Storage of a folder's path, or of a URL such as "s3://bucket/prefix" or "file:///data". The folder need
/// not exist. Does not connect. Throws: Error(unsupported) for a URL whose component is not in the program,
/// Error(invalid_argument).
std::unique_ptr<Storage> open_storage(const Path& place);

/// Whether a path is a URL: a scheme of letters, digits, '+', '-' and '.', then "://". A file of such a name is reached
/// as "./s3://…".
bool is_url(std::string_view path) noexcept;

/// Adds the Storages of a scheme to open_storage() and to all functions that take a Path; `open` gets the whole URL of
/// the Storage. To be called before other threads run. A scheme that is known is replaced.
void register_storage(std::string_view scheme, std::unique_ptr<Storage> (*open)(const std::string& url));

}  // namespace stele
