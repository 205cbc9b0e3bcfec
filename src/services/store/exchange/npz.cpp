// .npz files into stores, and back.

#include <algorithm>

#include "interop/npy.hpp"
#include "interop/zip.hpp"
#include "services/store/exchange/import.hpp"
#include "services/store/exchange/names.hpp"
#include "stele/error.hpp"
#include "stele/value.hpp"

namespace stele {
namespace {

/// The level as ZipWriter takes it.
std::optional<int> level_of(const StoreExportOptions& options) {
  if (options.codec != "plain" && options.codec != "zlib") {
    fail(Errc::invalid_argument, ".npz files are compressed by zlib or are plain, not by " + options.codec);
  }
  if (options.level && (options.codec == "plain" || *options.level < 1 || *options.level > 9)) {
    fail(Errc::invalid_argument, "the level of a .npz file is 1 to 9, with the codec zlib");
  }
  return options.codec == "plain" ? std::nullopt : std::optional(options.level.value_or(0));
}

/// Adds the array of an item, to be read again when it is written; only arrays under keys that are text.
void add_array(const Store& store, ZipWriter& zip, const StoreItem& item, StoreExchangeReport& report) {
  const auto skip = [&](const std::string& why) { note_skipped(report, item.key.describe() + why); };
  if (item.key.kind() != StoreKey::Kind::text) {
    return skip(" is no text");
  }
  const bool is_object = !item.value.is_text() && !item.value.is_bytes();
  const Value value = is_object ? item.value.as<Value>() : Value();
  if (!value.is_array()) {
    return skip(" is no array");
  }
  const std::unique_ptr<Source> file = npy_source(value.array());
  if (file == nullptr) {
    return skip(" has elements that NumPy lacks: " + value.array().dtype().name());
  }
  const std::uint64_t bytes = file->size().value();
  const auto open = [&store, key = item.key]() -> std::unique_ptr<Source> {
    const std::optional<StoreValue> now = store.view(key);
    return now ? npy_source(now->as<Value>({.verify = Verify::full}).array()) : nullptr;
  };
  zip.add(joined(encode_name(item.key, false)) + ".npy", bytes, open);
  ++report.items;
  report.bytes += bytes;
}

}  // namespace

StoreExchangeReport import_npz(Store& store, const Path& file, const StoreImportOptions& options) {
  const std::unique_ptr<ZipReader> zip = read_zip(file);
  Importer importer(store, options, zip->bytes());
  std::uint64_t done = 0;
  for (std::size_t i = 0; i < zip->members().size(); ++i) {
    const ZipMember& member = zip->members()[i];
    if (const std::optional<std::string_view> name = npz_name(member.name)) {
      with_item(member.name, [&] {
        const StoreKey key = importer.prefixed(options.exported ? decode_name(*name).key : StoreKey(*name));
        const Value array(read_npy(*zip->open(i)));
        importer.put(key, array, array.array().view().byte_count());
      });
    } else {
      importer.skip(member.name + " is no .npy file");
    }
    done += member.stored_bytes;
    if (!importer.go_on(done)) {
      break;
    }
  }
  return importer.finish();
}

StoreExchangeReport export_npz(const Store& store, const Path& file, const StoreExportOptions& options) {
  const std::unique_ptr<ZipWriter> zip = write_zip(file, level_of(options));
  StoreExportOptions quiet = options;
  quiet.progress = {};  // the work comes at the end
  StoreExchangeReport report = export_items(store, quiet, [&](const StoreItem& item, StoreExchangeReport& counted) {
    add_array(store, *zip, item, counted);
  });
  if (report.items == 0) {
    fail(Errc::invalid_argument, "there is no array under a text key, and a .npz file must have one");
  }
  report.complete = zip->close([&](double part) {
    const auto done = static_cast<std::uint64_t>(part * static_cast<double>(report.bytes));
    return !options.progress || options.progress(std::min(done, report.bytes), report.bytes);
  });
  return report;
}

}  // namespace stele
