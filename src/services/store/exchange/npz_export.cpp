// Stores into .npz files.

#include <algorithm>
#include <cstring>

#include "services/store/exchange/array.hpp"
#include "services/store/exchange/import.hpp"
#include "services/store/exchange/names.hpp"
#include "services/store/exchange/npy.hpp"
#include "stele/error.hpp"
#if STELE_WITH_LIBZIP
#include "services/store/exchange/zip.hpp"
#endif

namespace stele {

#if STELE_WITH_LIBZIP

namespace {

AnyArray array_in(const StoreValue& value) { return dense(value.as<Value>({.verify = Verify::full}).array()); }

/// One member: made when libzip asks for it, so that one array at a time is in memory.
class Member {
 public:
  Member(const Store& store, Key key, std::uint64_t bytes, std::optional<Error>& failed)
      : store_(store), key_(std::move(key)), bytes_(bytes), failed_(failed) {}

  /// libzip's zip_source_callback; owns `self` until it is told to free it.
  static zip_int64_t call(void* self, void* data, zip_uint64_t size, zip_source_cmd_t command) {
    return static_cast<Member*>(self)->answer(data, size, command);
  }

 private:
  zip_int64_t answer(void* data, zip_uint64_t size, zip_source_cmd_t command) {
    switch (command) {
      case ZIP_SOURCE_OPEN:
        return open();
      case ZIP_SOURCE_READ:
        return read(static_cast<std::byte*>(data), size);
      case ZIP_SOURCE_CLOSE:
        array_ = {};
        return 0;
      case ZIP_SOURCE_STAT: {
        auto* const stat = static_cast<zip_stat_t*>(data);
        zip_stat_init(stat);
        stat->size = bytes_;
        stat->valid = ZIP_STAT_SIZE;
        return sizeof *stat;
      }
      case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&error_, data, size);
      case ZIP_SOURCE_FREE:
        delete this;
        return 0;
      case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
                                              ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, -1);
      default:
        zip_error_set(&error_, ZIP_ER_OPNOTSUPP, 0);
        return -1;
    }
  }

  ~Member() { zip_error_fini(&error_); }

  zip_int64_t open() {
    try {
      const std::optional<StoreValue> value = store_.view(key_);
      array_ = value ? array_in(*value) : AnyArray();
      header_ = value ? npy_header(array_.view()) : "";
      if (header_.size() + array_.view().byte_size() != bytes_) {
        fail(Errc::busy, key_.describe() + " was replaced meanwhile");
      }
      at_ = 0;
      return 0;
    } catch (const Error& error) {
      failed_ = error;
    } catch (const std::exception& error) {
      failed_ = Error(Errc::io, error.what());
    }
    zip_error_set(&error_, ZIP_ER_READ, 0);
    return -1;
  }

  zip_int64_t read(std::byte* to, std::uint64_t size) {
    std::uint64_t got = 0;
    const auto copy = [&](const void* from, std::uint64_t begin, std::uint64_t bytes) {
      if (at_ >= begin && at_ - begin < bytes && got < size) {
        const std::uint64_t n = std::min(size - got, bytes - (at_ - begin));
        std::memcpy(to + got, static_cast<const std::byte*>(from) + (at_ - begin), static_cast<std::size_t>(n));
        got += n;
        at_ += n;
      }
    };
    copy(header_.data(), 0, header_.size());
    copy(array_.view().data, header_.size(), bytes_ - header_.size());
    return static_cast<zip_int64_t>(got);
  }

  const Store& store_;
  const Key key_;
  const std::uint64_t bytes_;
  std::optional<Error>& failed_;
  zip_error_t error_{};
  AnyArray array_;
  std::string header_;
  std::uint64_t at_ = 0;
};

class NpzExport {
 public:
  NpzExport(const Store& store, const Path& file, const ExportOptions& options)
      : store_(store), file_(file.text()), options_(options), zip_(open_zip(file_, ZIP_CREATE | ZIP_TRUNCATE)) {
    if (options.codec != "plain" && options.codec != "zlib") {
      fail(Errc::invalid_argument, ".npz files are compressed by zlib or are plain, not by " + options.codec);
    }
    if (options.level && (options.codec == "plain" || *options.level < 1 || *options.level > 9)) {
      fail(Errc::invalid_argument, "the level of a .npz file is 1 to 9, with the codec zlib");
    }
  }

  ExchangeReport run() {
    ExportOptions quiet = options_;
    quiet.progress = {};  // the work comes at the end
    ExchangeReport report =
        export_items(store_, quiet, [&](const StoreItem& item, ExchangeReport& counted) { add(item, counted); });
    if (report.items == 0) {
      fail(Errc::invalid_argument, "there is no array under a text key, and a .npz file must have one");
    }
    total_ = report.bytes;
    zip_register_progress_callback_with_state(
        zip_.get(), 0.001, [](zip_t*, double part, void* self) { static_cast<NpzExport*>(self)->tell(part); }, nullptr,
        this);
    zip_register_cancel_callback_with_state(
        zip_.get(), [](zip_t*, void* self) { return static_cast<NpzExport*>(self)->go_on_ ? 0 : 1; }, nullptr, this);
    if (zip_close(zip_.get()) == 0) {
      static_cast<void>(zip_.release());
      return report;
    }
    if (thrown_) {
      std::rethrow_exception(thrown_);
    }
    if (failed_) {
      throw *failed_;
    }
    if (!go_on_) {
      report.complete = false;
      return report;
    }
    fail_zip("cannot write " + file_, *zip_get_error(zip_.get()));
  }

 private:
  void add(const StoreItem& item, ExchangeReport& report) {
    if (item.key.kind() != Key::Kind::text) {
      note_skipped(report, item.key.describe() + " is no text");
      return;
    }
    std::optional<Value> value;
    if (!item.value.is_text() && !item.value.is_bytes()) {
      value = item.value.as<Value>();
    }
    if (!value || !value->is_array()) {
      note_skipped(report, item.key.describe() + " is no array");
      return;
    }
    const AnyArray array = dense(value->array());
    const std::string header = npy_header(array.view());
    if (header.empty()) {
      note_skipped(report, item.key.describe() + " has elements that NumPy lacks: " + array.dtype().name());
      return;
    }
    std::string name;
    for (const std::string& part : encode_name(item.key, false)) {
      name += (name.empty() ? "" : "/") + part;
    }
    const std::uint64_t bytes = header.size() + array.view().byte_size();
    auto* const member = new Member(store_, item.key, bytes, failed_);
    zip_source_t* const source = zip_source_function(zip_.get(), &Member::call, member);
    if (source == nullptr) {
      Member::call(member, nullptr, 0, ZIP_SOURCE_FREE);
      fail_zip("cannot write " + file_, *zip_get_error(zip_.get()));
    }
    const zip_int64_t index = zip_file_add(zip_.get(), (name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      zip_source_free(source);
      fail_zip("cannot write " + file_, *zip_get_error(zip_.get()));
    }
    const bool plain = options_.codec == "plain";
    if (zip_set_file_compression(zip_.get(), static_cast<zip_uint64_t>(index), plain ? ZIP_CM_STORE : ZIP_CM_DEFLATE,
                                 static_cast<zip_uint32_t>(options_.level.value_or(0))) != 0) {
      fail_zip("cannot write " + file_, *zip_get_error(zip_.get()));
    }
    ++report.items;
    report.bytes += bytes;
  }

  /// Called by libzip, through which no exception may go.
  void tell(double part) noexcept {
    try {
      const auto done = static_cast<std::uint64_t>(part * static_cast<double>(total_));
      go_on_ = go_on_ && (!options_.progress || options_.progress(std::min(done, total_), total_));
    } catch (...) {
      thrown_ = std::current_exception();
      go_on_ = false;
    }
  }

  const Store& store_;
  const std::string file_;
  const ExportOptions& options_;
  std::optional<Error> failed_;  // outlives the members
  std::exception_ptr thrown_;
  bool go_on_ = true;
  std::uint64_t total_ = 0;
  Zip zip_;
};

}  // namespace

ExchangeReport export_npz(const Store& store, const Path& file, const ExportOptions& options) {
  return NpzExport(store, file, options).run();
}

#else

ExchangeReport export_npz(const Store&, const Path&, const ExportOptions&) {
  fail(Errc::unsupported, "this build of stele writes no zip files");
}

#endif  // STELE_WITH_LIBZIP

}  // namespace stele
