// Folders of files into stores, and back.

#include <filesystem>

#include "services/store/exchange/import.hpp"
#include "services/store/exchange/names.hpp"
#include "stele/codec.hpp"
#include "stele/value.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t read_whole_most = std::uint64_t{16} << 20;  // larger files are mapped

/// Runs `work`; what std::filesystem throws there is the library's Error.
template <class Work>
auto with_folders(Work work) {
  try {
    return work();
  } catch (const fs::filesystem_error& error) {
    fail(error.code() == std::errc::no_such_file_or_directory ? Errc::not_found : Errc::io,
         "cannot access " + error.path1().string() + ": " + error.code().message());
  }
}

/// All bytes of a file, as many as there are, whatever its size was said to be.
std::vector<std::byte> read_file(Source& source) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(source.size().value_or(0)) + 1);
  for (std::size_t used = 0;;) {
    const std::size_t got = source.read(MutableBytes(bytes).subspan(used));
    used += got;
    if (got == 0) {
      bytes.resize(used);
      return bytes;
    }
    if (used == bytes.size()) {
      bytes.resize(2 * used);
    }
  }
}

// --- Import ----------------------------------------------------------------------------------------------------------

class FilesImport {
 public:
  FilesImport(Store& store, const Path& folder, const StoreImportOptions& options)
      : options_(options), importer_(store, options, 0), root_(fs::canonical(folder.text())) {
    if (!fs::is_directory(root_)) {
      fail(Errc::invalid_argument, folder.text() + " is no folder");
    }
    std::error_code ignored;
    store_ = fs::canonical(StoreExchange::path(store), ignored);
  }

  StoreExchangeReport run() {
    for (fs::recursive_directory_iterator at(root_); at != fs::recursive_directory_iterator(); ++at) {
      const fs::directory_entry& entry = *at;
      if ((!options_.hidden && entry.path().filename().native().starts_with('.')) || is_store(entry.path())) {
        at.disable_recursion_pending();
      } else {
        take(entry);
        if (!importer_.go_on(importer_.report().bytes)) {
          break;
        }
      }
    }
    return importer_.finish();
  }

 private:
  /// The store that is imported to may lie in the folder.
  bool is_store(const fs::path& path) {
    if (path != store_) {
      return false;
    }
    importer_.skip(path.lexically_relative(root_).string() + " is the store itself");
    return true;
  }

  void take(const fs::directory_entry& entry) {
    const std::string name = entry.path().native().substr(root_.native().size() + (root_ == "/" ? 0 : 1));
    std::error_code error;
    fs::path file = entry.path();
    fs::file_status status = entry.symlink_status(error);
    if (fs::is_symlink(status)) {
      file = fs::canonical(file, error);
      if (error || !is_inside(file)) {
        importer_.skip(name + " is a link that leads nowhere or out of the folder");
        return;
      }
      status = fs::symlink_status(file, error);
      if (fs::is_directory(status)) {
        importer_.skip(name + " is a link to a folder");
        return;
      }
    }
    if (fs::is_directory(status)) {
      return;
    }
    if (!fs::is_regular_file(status)) {
      importer_.skip(name + " is not a regular file");
      return;
    }
    with_item(name, [&] { put(name, file); });
  }

  bool is_inside(const fs::path& file) const {
    const std::string folder = root_ == "/" ? "/" : root_.native() + "/";
    return file.native().starts_with(folder) && !is_in_store(file);
  }
  bool is_in_store(const fs::path& file) const {
    return !store_.empty() && file.native().starts_with(store_.native() + "/");
  }

  void put(const std::string& name, const fs::path& file) {
    const DecodedName decoded =
        options_.exported ? decode_name(name) : DecodedName{StoreKey(std::string_view(name)), false};
    const StoreKey key = importer_.prefixed(decoded.key);
    const std::unique_ptr<Source> source = file_source(file);
    const std::uint64_t size = source->size().value_or(0);
    if (decoded.is_object) {
      importer_.put(key, load<Value>(file, {.map = MapMode::none}), size);
    } else if (size <= read_whole_most) {
      const std::vector<std::byte> bytes = read_file(*source);
      importer_.put(key, Bytes(bytes), bytes.size());
    } else {
      const std::shared_ptr<Mapping> mapping = Mapping::open(file, MapMode::read_only);
      importer_.put(key, mapping->bytes(), mapping->bytes().size());
    }
  }

  const StoreImportOptions& options_;
  Importer importer_;
  const fs::path root_;
  fs::path store_;
};

// --- Export ----------------------------------------------------------------------------------------------------------

class FilesExport {
 public:
  FilesExport(const Store& store, const Path& folder, const StoreExportOptions& options)
      : options_(options), root_(folder.text()) {
    const Codecs codecs;
    if (options.codec != "plain") {
      codecs.get(options.codec);  // throws where there is none
    }
    fs::create_directories(root_);
    std::error_code ignored;
    if (fs::equivalent(root_, StoreExchange::path(store), ignored)) {
      fail(Errc::invalid_argument, root_.string() + " is the store itself");
    }
  }

  void take(const StoreItem& item, StoreExchangeReport& report) const {
    const bool is_object = !item.value.is_text() && !item.value.is_bytes();
    std::vector<std::string> names = encode_name(item.key, is_object);
    fs::path folder = root_;
    for (std::size_t i = 0; i + 1 < names.size(); ++i) {
      folder = make_folder(folder, names[i]);
    }
    fs::path file = folder / names.back();
    std::error_code ignored;
    if (fs::is_directory(fs::symlink_status(file, ignored))) {
      file += other_name;
    }
    const fs::file_status there = fs::symlink_status(file, ignored);
    if (fs::is_directory(there)) {
      fail(Errc::io, file.string() + " is a folder");
    }
    if (fs::exists(there) && !options_.overwrite) {
      note_skipped(report, file.string() + " is there already");
      return;
    }
    if (fs::is_symlink(there)) {  // what it leads to is not to be written
      fs::remove(file, ignored);
    }
    report.bytes += is_object ? write_object(item.value, file) : write_bytes(item.value, file);
    ++report.items;
  }

 private:
  static fs::path make_folder(const fs::path& parent, const std::string& name) {
    fs::path folder = parent / name;
    for (int attempt = 0;; ++attempt) {
      std::error_code ignored;
      const fs::file_status there = fs::symlink_status(folder, ignored);
      if (fs::is_directory(there)) {
        return folder;
      }
      if (!fs::exists(there)) {
        fs::create_directory(folder);
        return folder;
      }
      if (attempt > 0) {
        fail(Errc::io, folder.string() + " is no folder");
      }
      folder += other_name;
    }
  }

  static std::uint64_t write_bytes(const StoreValue& value, const fs::path& file) {
    const std::unique_ptr<Sink> sink = file_sink(file);
    sink->write(value.bytes());
    sink->close();
    return value.bytes().size();
  }

  std::uint64_t write_object(const StoreValue& value, const fs::path& file) const {
    save(value.as<Value>({.verify = Verify::full}), file, {.codec = options_.codec, .level = options_.level});
    std::error_code error;
    const std::uintmax_t size = fs::file_size(file, error);
    return error ? 0 : size;
  }

  const StoreExportOptions& options_;
  const fs::path root_;
};

}  // namespace

StoreExchangeReport import_files(Store& store, const Path& folder, const StoreImportOptions& options) {
  return with_folders([&] { return FilesImport(store, folder, options).run(); });
}

StoreExchangeReport export_files(const Store& store, const Path& folder, const StoreExportOptions& options) {
  const auto files = with_folders([&] { return FilesExport(store, folder, options); });
  return export_items(store, options, [&](const StoreItem& item, StoreExchangeReport& report) {
    with_folders([&] { files.take(item, report); });
  });
}

}  // namespace stele
