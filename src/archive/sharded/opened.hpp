#pragma once
// An open sharded archive: the tree that the paths of its arrays and values make, over parts that are opened when they
// are needed.

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/read/lazy/lazy_array.hpp"
#include "archive/sharded/table.hpp"
#include "stele/archive.hpp"
#include "stele/storage.hpp"
#include "stele/value.hpp"

namespace stele::shards {

/// Thread-safe.
class ShardedFile : public std::enable_shared_from_this<ShardedFile> {
 public:
  /// Where a path leads.
  struct Place {
    enum class Kind : std::uint8_t { map, array, value } kind = Kind::map;
    const ArrayOf* array = nullptr;
    const File* part = nullptr;  // of a value
    std::string path = {};       // in the part
  };

  /// `name` is as Error::file(). `place` holds the folder of parts and the manifest, which is its file `file`.
  /// Throws: Error(not_found), Error(not_an_archive) for what is no manifest, Error(unsupported) for names that make no
  /// tree, and what open() throws.
  ShardedFile(std::string name, std::unique_ptr<Storage> place, std::string file, const LoadOptions& options);

  const std::string& name() const noexcept { return name_; }
  const LoadOptions& options() const noexcept { return options_; }
  /// Nothing where a path leads nowhere. Opens the part of a value. Throws: Error(invalid_argument), what open()
  /// throws.
  std::optional<Place> find(std::string_view path) const;
  /// The tree at a path: arrays are read when they are asked for, other values are there.
  /// Throws: Error(not_found), what loading throws.
  Value value(std::string_view path) const;
  /// Elements of an array that find() returned. Keeps this file.
  std::unique_ptr<BoxedElements> elements(const ArrayOf& array) const;
  std::vector<Entry> list(const ListOptions& options) const;
  const Info& info() const noexcept { return info_; }
  /// Checks all parts, and that they hold what the manifest says. Throws: Error(damaged) …
  void verify() const;
  /// The bytes of the manifest as they are now.
  std::unique_ptr<Source> manifest() const { return place_->source(file_); }

 private:
  struct Node {
    std::map<std::string, std::unique_ptr<Node>, std::less<>> children;
    const ArrayOf* array = nullptr;
    const ValueOf* value = nullptr;
  };
  class Later;
  class Elements;

  void add(const std::string& name, const ArrayOf* array, const ValueOf* value);
  /// The node at a path, or the value above it: then `rest` is the path from there.
  const Node* node_at(std::string_view path, std::string& rest) const;
  const File& part(std::uint32_t file) const;
  Value tree(const Node& node, const std::string& path) const;
  void list(const Node& node, const std::string& path, std::size_t depth, const ListOptions& options,
            std::vector<Entry>& entries) const;
  void list_value(const ValueOf& value, const std::string& path, const std::string& rest, ListOptions options,
                  std::vector<Entry>& entries) const;

  const std::string name_;
  const std::unique_ptr<Storage> place_;
  const std::string file_;
  const LoadOptions options_;
  Manifest manifest_;
  Info info_;
  Node root_;
  struct Part {
    std::once_flag once;
    std::optional<File> file;
  };
  std::unique_ptr<Part[]> parts_;
};

/// The sharded archive in a folder or under a URL's prefix.
/// Throws: Error(not_found) where there is none, Error(not_mappable), and what open() throws.
std::shared_ptr<ShardedFile> open_folder(const Path& path, const LoadOptions& options);
/// The one whose manifest is this file. Throws: the same.
std::shared_ptr<ShardedFile> open_manifest(const Path& path, const LoadOptions& options);
/// Either; null for what is something else.
std::shared_ptr<ShardedFile> open_if_sharded(const Path& path, const LoadOptions& options);
/// Whether a path may be the folder of a sharded archive: it is a folder, or a URL with a slash at its end. `error` is
/// what opening it as a file threw: that of a URL that is not an object.
bool is_folder(const Path& path);
bool is_folder(const Path& path, const Error& error);
/// The Storage of a path or URL; a relative path stays what it is when the process moves to another folder.
std::unique_ptr<Storage> storage_of(const std::string& place);
/// The content of a manifest. Throws: what loading throws, Error(damaged).
Manifest read_manifest(const File& file);

}  // namespace stele::shards
