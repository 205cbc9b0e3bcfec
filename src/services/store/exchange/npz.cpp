// .npz files into stores, and back.

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "interop/npy/npy.hpp"
#include "interop/npy/npz.hpp"
#include "interop/zip/zip.hpp"
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

/// An array that is to be a member.
struct Planned {
  StoreKey key;
  std::string name;
  std::uint64_t bytes;
};

/// Whether an item can be a member: only arrays under keys that are text.
std::optional<Planned> plan(const StoreItem& item, StoreExchangeReport& report) {
  const auto skip = [&](const std::string& why) {
    note_skipped(report, item.key.describe() + why);
    return std::nullopt;
  };
  if (item.key.kind() != StoreKey::Kind::text) {
    return skip(" is no text");
  }
  const bool is_object = !item.value.is_text() && !item.value.is_bytes();
  const Value value = is_object ? item.value.as<Value>() : Value();
  if (!value.is_array()) {
    return skip(" is no array");
  }
  const std::optional<NpyFile> file = npy_file(value.array());
  if (!file) {
    return skip(" has elements that NumPy lacks: " + value.array().dtype().name());
  }
  return Planned{item.key, joined(encode_name(item.key, false)) + ".npy", file->bytes()};
}

/// Writes a member, whose array is read again for it: one at a time is in memory.
bool write_member(const Store& store, ZipWriter& zip, const Planned& member,
                  const std::function<bool(std::uint64_t)>& go_on) {
  const std::optional<StoreValue> now = store.view(member.key);
  const Value value = now ? now->as<Value>({.verify = Verify::full}) : Value();
  const std::optional<NpyFile> file = value.is_array() ? npy_file(value.array()) : std::nullopt;
  if (!file || file->bytes() != member.bytes) {
    fail(Errc::busy, member.name + " was replaced meanwhile");
  }
  return zip.add(member.name, file->parts(), go_on);
}

}  // namespace

StoreExchangeReport import_npz(Store& store, const Path& file, const StoreImportOptions& options) {
  const std::unique_ptr<Source> source = file_source(file);
  const ZipReader zip(*source);
  Importer importer(store, options, zip.bytes());
  std::uint64_t done = 0;
  for (const ZipMember& member : zip.members()) {
    if (const std::optional<std::string_view> name = npz_name(member.name)) {
      const Value array = read_npz_member(zip, member, {});
      with_item(member.name, [&] {
        if (!array.is_array()) {
          fail(Errc::unsupported, "an array of Python objects");
        }
        const StoreKey key = importer.prefixed(options.exported ? decode_name(*name).key : StoreKey(*name));
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
  const std::optional<int> level = level_of(options);
  StoreExportOptions quiet = options;
  quiet.progress = {};  // the work comes afterwards
  std::vector<Planned> members;
  StoreExchangeReport report = export_items(store, quiet, [&](const StoreItem& item, StoreExchangeReport& counted) {
    if (std::optional<Planned> member = plan(item, counted)) {
      ++counted.items;
      counted.bytes += member->bytes;
      members.push_back(std::move(*member));
    }
  });
  if (report.items == 0) {
    fail(Errc::invalid_argument, "there is no array under a text key, and a .npz file must have one");
  }
  const std::unique_ptr<Sink> sink = file_sink(file);
  ZipWriter zip(*sink, level);
  std::uint64_t before = 0;
  for (const Planned& member : members) {
    const auto go_on = [&](std::uint64_t done) {
      return !options.progress || options.progress(before + done, report.bytes);
    };
    with_item(member.key.describe(), [&] { report.complete = write_member(store, zip, member, go_on); });
    if (!report.complete) {
      return report;
    }
    before += member.bytes;
  }
  zip.finish();
  sink->close();
  return report;
}

}  // namespace stele
