#include "interop/zip.hpp"

#include "stele/error.hpp"

#if STELE_WITH_LIBZIP

#include <algorithm>
#include <exception>
#include <string_view>
#include <unordered_set>

#include <zip.h>

namespace stele {
namespace {

/// Closes without writing.
struct Discard {
  void operator()(zip_t* zip) const noexcept { zip_discard(zip); }
};
using Zip = std::unique_ptr<zip_t, Discard>;

/// The kind of failure that libzip's code stands for.
Errc code_of(const zip_error_t& error) noexcept {
  switch (zip_error_code_zip(&error)) {
    case ZIP_ER_NOENT:
      return Errc::not_found;
    case ZIP_ER_NOZIP:
    case ZIP_ER_INCONS:
    case ZIP_ER_ZLIB:
    case ZIP_ER_CRC:
    case ZIP_ER_EOF:
    case ZIP_ER_COMPRESSED_DATA:
      return Errc::damaged;
    case ZIP_ER_COMPNOTSUPP:
    case ZIP_ER_ENCRNOTSUPP:
    case ZIP_ER_MULTIDISK:
    case ZIP_ER_NOPASSWD:
    case ZIP_ER_OPNOTSUPP:
      return Errc::unsupported;
    case ZIP_ER_MEMORY:
      return Errc::limit_exceeded;
    default:
      return Errc::io;
  }
}

[[noreturn]] void fail_zip(const std::string& what, zip_error_t& error) {
  fail(code_of(error), what + ": " + zip_error_strerror(&error));
}

Zip open_zip(const std::string& path, int flags) {
  int code = 0;
  Zip zip(zip_open(path.c_str(), flags, &code));
  if (zip == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::unique_ptr<zip_error_t, void (*)(zip_error_t*)> owner(&error, zip_error_fini);
    fail_zip(path, error);
  }
  return zip;
}

// --- Reading ---------------------------------------------------------------------------------------------------------

class MemberSource final : public Source {
 public:
  MemberSource(zip_t* zip, zip_uint64_t index) : file_(zip_fopen_index(zip, index, 0), zip_fclose) {
    if (file_ == nullptr) {
      fail_zip("cannot be read", *zip_get_error(zip));
    }
  }
  std::size_t read(MutableBytes into) override {
    const zip_int64_t count = zip_fread(file_.get(), into.data(), into.size());
    if (count < 0) {
      fail_zip("cannot be read", *zip_file_get_error(file_.get()));
    }
    return static_cast<std::size_t>(count);
  }

 private:
  std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file_;
};

class Reader final : public ZipReader {
 public:
  explicit Reader(const Path& file)
      : zip_(open_zip(file.text(), ZIP_RDONLY)), bytes_(file_source(file)->size().value_or(0)) {
    std::unordered_set<std::string_view> names;
    const zip_int64_t count = zip_get_num_entries(zip_.get(), 0);
    members_.reserve(static_cast<std::size_t>(count));
    std::uint64_t left = bytes_;
    for (zip_int64_t i = 0; i < count; ++i) {
      zip_stat_t stat;
      if (zip_stat_index(zip_.get(), static_cast<zip_uint64_t>(i), 0, &stat) != 0 ||
          (stat.valid & ZIP_STAT_NAME) == 0) {
        fail_zip("member " + std::to_string(i), *zip_get_error(zip_.get()));
      }
      const ZipMember& member =
          members_.emplace_back(stat.name, (stat.valid & ZIP_STAT_COMP_SIZE) != 0 ? stat.comp_size : 0);
      if (member.stored_bytes > left) {
        fail(Errc::damaged, member.name + ": the members take more bytes than the file has");
      }
      left -= member.stored_bytes;
      if (!names.insert(member.name).second) {
        fail(Errc::duplicate_field, member.name + " is there twice");
      }
    }
  }

  std::uint64_t bytes() const noexcept override { return bytes_; }
  const std::vector<ZipMember>& members() const noexcept override { return members_; }
  std::unique_ptr<Source> open(std::size_t index) const override {
    return std::make_unique<MemberSource>(zip_.get(), index);
  }

 private:
  const Zip zip_;
  const std::uint64_t bytes_;
  std::vector<ZipMember> members_;
};

// --- Writing ---------------------------------------------------------------------------------------------------------

/// What libzip asks for the content of a member. No exception may go through libzip: the first is kept in `thrown`.
class MemberContent {
 public:
  MemberContent(std::string name, std::uint64_t bytes, std::function<std::unique_ptr<Source>()> open,
                std::exception_ptr& thrown)
      : name_(std::move(name)), bytes_(bytes), open_(std::move(open)), thrown_(thrown) {
    zip_error_init(&error_);
  }
  MemberContent(const MemberContent&) = delete;
  MemberContent& operator=(const MemberContent&) = delete;
  ~MemberContent() { zip_error_fini(&error_); }

  /// libzip's zip_source_callback; owns `self` until it is told to free it.
  static zip_int64_t call(void* self, void* data, zip_uint64_t size, zip_source_cmd_t command) noexcept {
    return static_cast<MemberContent*>(self)->answer(data, size, command);
  }

 private:
  zip_int64_t answer(void* data, zip_uint64_t size, zip_source_cmd_t command) noexcept {
    switch (command) {
      case ZIP_SOURCE_OPEN:
        return guarded([&] {
          source_ = open_();
          if (source_ == nullptr || source_->size() != bytes_) {
            fail(Errc::busy, name_ + " was replaced meanwhile");
          }
          return 0;
        });
      case ZIP_SOURCE_READ:
        return guarded([&] { return source_->read({static_cast<std::byte*>(data), static_cast<std::size_t>(size)}); });
      case ZIP_SOURCE_CLOSE:
        source_.reset();
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

  template <class Work>
  zip_int64_t guarded(Work work) noexcept {
    try {
      return static_cast<zip_int64_t>(work());
    } catch (...) {
      thrown_ = std::current_exception();
      zip_error_set(&error_, ZIP_ER_READ, 0);
      return -1;
    }
  }

  const std::string name_;
  const std::uint64_t bytes_;
  const std::function<std::unique_ptr<Source>()> open_;
  std::exception_ptr& thrown_;
  std::unique_ptr<Source> source_;
  zip_error_t error_;
};

class Writer final : public ZipWriter {
 public:
  Writer(const Path& file, std::optional<int> level)
      : file_(file.text()), level_(level), zip_(open_zip(file_, ZIP_CREATE | ZIP_TRUNCATE)) {}

  void add(const std::string& name, std::uint64_t bytes, std::function<std::unique_ptr<Source>()> open) override {
    auto* const content = new MemberContent(name, bytes, std::move(open), thrown_);
    zip_source_t* const source = zip_source_function(zip_.get(), &MemberContent::call, content);
    if (source == nullptr) {
      delete content;
      fail_to_write();
    }
    const zip_int64_t index = zip_file_add(zip_.get(), name.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      zip_source_free(source);
      fail_to_write();
    }
    if (zip_set_file_compression(zip_.get(), static_cast<zip_uint64_t>(index), level_ ? ZIP_CM_DEFLATE : ZIP_CM_STORE,
                                 static_cast<zip_uint32_t>(level_.value_or(0))) != 0) {
      fail_to_write();
    }
  }

  bool close(const std::function<bool(double)>& progress) override {
    progress_ = &progress;
    zip_register_progress_callback_with_state(
        zip_.get(), 0.001, [](zip_t*, double part, void* self) { static_cast<Writer*>(self)->tell(part); }, nullptr,
        this);
    zip_register_cancel_callback_with_state(
        zip_.get(), [](zip_t*, void* self) { return static_cast<Writer*>(self)->go_on_ ? 0 : 1; }, nullptr, this);
    if (zip_close(zip_.get()) == 0) {
      static_cast<void>(zip_.release());
      return true;
    }
    if (thrown_) {
      std::rethrow_exception(thrown_);
    }
    if (go_on_) {
      fail_to_write();
    }
    return false;
  }

 private:
  void tell(double part) noexcept {
    try {
      go_on_ = go_on_ && (*progress_)(part);
    } catch (...) {
      thrown_ = std::current_exception();
      go_on_ = false;
    }
  }
  [[noreturn]] void fail_to_write() { fail_zip("cannot write " + file_, *zip_get_error(zip_.get())); }

  const std::string file_;
  const std::optional<int> level_;
  std::exception_ptr thrown_;  // outlives the members
  const std::function<bool(double)>* progress_ = nullptr;
  bool go_on_ = true;
  Zip zip_;
};

}  // namespace

std::unique_ptr<ZipReader> read_zip(const Path& file) { return std::make_unique<Reader>(file); }
std::unique_ptr<ZipWriter> write_zip(const Path& file, std::optional<int> level) {
  return std::make_unique<Writer>(file, level);
}

}  // namespace stele

#else

namespace stele {

std::unique_ptr<ZipReader> read_zip(const Path&) { fail(Errc::unsupported, "this build of stele reads no zip files"); }
std::unique_ptr<ZipWriter> write_zip(const Path&, std::optional<int>) {
  fail(Errc::unsupported, "this build of stele writes no zip files");
}

}  // namespace stele

#endif  // STELE_WITH_LIBZIP
