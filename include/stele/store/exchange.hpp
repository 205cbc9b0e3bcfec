#pragma once
// Stores from and to other forms: folders of files, JSON lines, .npz files, other stores. Everything streams: memory
// does not grow with the number of items. docs/guide/store-import.md has the forms in full.

#include <cstdint>
#include <string>
#include <vector>

#include "stele/store.hpp"

namespace stele {

/// What an import or export did.
struct StoreExchangeReport {
  std::uint64_t items = 0;    // taken over
  std::uint64_t bytes = 0;    // of their values, as files, lines or members or as they are stored
  std::uint64_t skipped = 0;  // what was left out
  /// Why it was left out, one line each. At most 1000 are kept.
  std::vector<std::string> notes;
  bool complete = true;  // false where progress ended it early
};

/// Imports write through batches: committed batches stay, also when a later item fails; the open batch is undone. The
/// Error says at which item that was. The Store must have no open batch.
struct StoreImportOptions {
  /// Put before keys that are text.
  std::string key_prefix = {};
  /// Whether a key that is there gets the new value; else the item is skipped. Of equal keys in one import the last
  /// counts, or the first.
  bool overwrite = true;
  /// A batch is committed beyond so many items or bytes.
  std::uint64_t batch_items = 10'000;
  std::uint64_t batch_bytes = std::uint64_t{64} << 20;
  /// The total is 0 where it is not known. Returning false ends the import; what was put until then is committed.
  StoreProgress progress = {};

  /// Files and .npz: they were written by an export. Keys are decoded from names, and .stele files become objects.
  bool exported = false;
  /// Files: also those whose name, or whose folder's, begins with a dot.
  bool hidden = true;

  /// JSON lines: the field whose value, a text or an integer, is the key of an item; the value is then the whole object
  /// as it is. Empty: lines are of the form that an export writes.
  std::string key_field = {};
  /// JSON lines: bytes of the longest line. Beyond: Error(limit_exceeded). A line of nothing but empty objects takes 40
  /// times its bytes of memory, one of numbers 25 times.
  std::uint64_t line_bytes = 100'000'000;
};

struct StoreExportOptions {
  /// What is exported, in the order of the keys.
  StoreKeyRange range = {};
  /// Files: replace those that are there; else they are kept and their items skipped.
  bool overwrite = false;
  /// Of .stele files: "plain" or the name of a codec. Of .npz files: "plain" or "zlib".
  std::string codec = "plain";
  std::optional<int> level = std::nullopt;
  /// Bytes of values that are done, of all that the store has; returning false ends the export. A file to be written is
  /// then left as it was, files of a folder that are complete stay.
  StoreProgress progress = {};
};

// --- A folder of files -----------------------------------------------------------------------------------------------

/// Each file becomes the byte string of its content, under its path from the folder on, with slashes: a text, or bytes
/// where it is no UTF-8. A symbolic link to a file inside of the folder counts as that file; other links, devices and
/// the like are skipped. The folder must not change meanwhile.
/// Throws: Error(not_found), Error(io), Error(invalid_argument) for a path that is too long for a key.
StoreExchangeReport import_files(Store& store, const Path& folder, const StoreImportOptions& options = {});

/// Each value becomes a file: text and bytes as they are, objects as archives, `KEY.stele`. Names never lead out of the
/// folder: what cannot be a file name is percent-encoded, so that an import with `exported` gives the same keys.
/// Folders are made; symbolic links in them are not followed. Throws: Error(io), Error(damaged).
StoreExchangeReport export_files(const Store& store, const Path& folder, const StoreExportOptions& options = {});

// --- JSON lines ------------------------------------------------------------------------------------------------------

/// One item a line: {"key": KEY, "value": VALUE} or {"key": KEY, "bytes": BASE64}. Empty lines are passed over.
/// Throws: Error(malformed) and others, "line 12: …"; Error(unsupported) in a build without JSON.
StoreExchangeReport import_json_lines(Store& store, Source& lines, const StoreImportOptions& options = {});

/// The reverse; what it writes, import_json_lines() reads. The Sink is not closed.
/// Throws: Error(io), Error(damaged), Error(limit_exceeded).
StoreExchangeReport export_json_lines(const Store& store, Sink& to, const StoreExportOptions& options = {});

// --- NumPy's .npz ----------------------------------------------------------------------------------------------------

/// Each member `NAME.npy` becomes an array under the key NAME; others are skipped. One member is in memory at a time.
/// Throws: Error(not_found), Error(io), Error(damaged) for what is not a zip file and for damage, Error(malformed) for
/// what is not an array, Error(duplicate_field) for a name that comes twice, Error(unsupported) for Python objects,
/// encrypted members and methods other than deflate.
StoreExchangeReport import_npz(Store& store, const Path& file, const StoreImportOptions& options = {});

/// Arrays under keys that are text become members; all other items are skipped. The file appears when it is complete,
/// in the ZIP64 form where it must. A value that is replaced meanwhile by one of another form is Error(busy).
/// Throws: Error(io), Error(unsupported).
StoreExchangeReport export_npz(const Store& store, const Path& file, const StoreExportOptions& options = {});

// --- Another store ---------------------------------------------------------------------------------------------------

/// Copies items as they are stored; what is compressed in one way and is to be so in another is compressed anew.
/// Throws: Error(damaged), Error(io), Error(read_only), Error(busy).
StoreExchangeReport copy_store(const Store& from, Store& to, const StoreKeyRange& range = {},
                               const StoreImportOptions& options = {});

}  // namespace stele
