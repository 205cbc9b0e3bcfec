// .npz files into stores.

#include <algorithm>
#include <cstring>
#include <set>

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

constexpr std::string_view npy_ending = ".npy";
constexpr std::uint64_t read_at_once = std::uint64_t{4} << 20;  // before any of it has come

/// One member, read from its beginning.
class Member {
 public:
  Member(zip_t* zip, zip_uint64_t index) : file_(zip_fopen_index(zip, index, 0)) {
    if (file_ == nullptr) {
      fail_zip("cannot be read", *zip_get_error(zip));
    }
  }
  /// Fills `into`, or less at the end.
  std::size_t read(MutableBytes into) {
    std::size_t got = 0;
    while (got < into.size()) {
      const zip_int64_t n = zip_fread(file_.get(), into.data() + got, into.size() - got);
      if (n < 0) {
        fail_zip("cannot be read", *zip_file_get_error(file_.get()));
      }
      if (n == 0) {
        break;
      }
      got += static_cast<std::size_t>(n);
    }
    return got;
  }
  void fill(MutableBytes into) {
    if (const std::size_t got = read(into); got < into.size()) {
      fail(Errc::truncated, "it ends " + std::to_string(into.size() - got) + " bytes early");
    }
  }

 private:
  ZipFile file_;
};

NpyHeader read_header(Member& member) {
  std::vector<std::byte> start(10);
  start.resize(member.read(start));
  if (start.size() == 10 && start[6] > std::byte{1}) {  // a size of four bytes
    start.resize(npy_start);
    member.fill(MutableBytes(start).subspan(10));
  }
  const NpyPlace place = find_npy_header(start);
  std::string text(static_cast<std::size_t>(place.bytes), '\0');
  member.fill(std::as_writable_bytes(std::span(text)));
  return parse_npy_header(text, place.version);
}

/// Elements, in memory that grows as they come, so that nothing is believed.
std::shared_ptr<Buffer> read_elements(Member& member, std::uint64_t bytes) {
  std::uint64_t have = 0;
  std::shared_ptr<Buffer> buffer;
  do {
    const std::uint64_t next = std::min(bytes, std::max(read_at_once, 2 * have));
    std::shared_ptr<Buffer> larger = Buffer::allocate(static_cast<std::size_t>(next));
    if (have > 0) {
      std::memcpy(larger->mutable_data(), buffer->data(), static_cast<std::size_t>(have));
    }
    buffer = std::move(larger);
    member.fill({buffer->mutable_data() + have, static_cast<std::size_t>(next - have)});
    have = next;
  } while (have < bytes);
  std::byte rest{};
  if (member.read({&rest, 1}) != 0) {  // also reads the end, where the checksum is compared
    fail(Errc::malformed, "it goes on behind the array's elements");
  }
  return buffer;
}

AnyArray read_array(Member& member) {
  const NpyHeader header = read_header(member);
  const std::uint64_t bytes = array_bytes(header.dtype, header.shape);
  const std::shared_ptr<Buffer> buffer = read_elements(member, bytes);
  if (bytes > 0) {
    swap_npy(header, buffer->mutable_data(), header.shape.count());
  }
  return array_of(header.dtype, header.shape, header.order, buffer);
}

class NpzImport {
 public:
  NpzImport(Store& store, const Path& file, const ImportOptions& options)
      : options_(options),
        zip_(open_zip(file.text(), ZIP_RDONLY)),
        size_(file_source(file)->size().value_or(0)),
        importer_(store, options, size_) {}

  ExchangeReport run() {
    const zip_int64_t count = zip_get_num_entries(zip_.get(), 0);
    for (zip_int64_t i = 0; i < count; ++i) {
      if (!take(static_cast<zip_uint64_t>(i))) {
        break;
      }
    }
    return importer_.finish();
  }

 private:
  bool take(zip_uint64_t index) {
    zip_stat_t stat;
    if (zip_stat_index(zip_.get(), index, 0, &stat) != 0 || (stat.valid & ZIP_STAT_NAME) == 0) {
      fail_zip("member " + std::to_string(index), *zip_get_error(zip_.get()));
    }
    const std::string_view name = stat.name;
    // Members do not share bytes, so that what comes of a file is bounded by what can come of its size.
    stored_ +=
        (stat.valid & ZIP_STAT_COMP_SIZE) != 0 ? std::min<std::uint64_t>(stat.comp_size, INT64_MAX - stored_) : 0;
    if (stored_ > size_) {
      fail(Errc::damaged, std::string(name) + ": the members take more bytes than the file has");
    }
    if (!names_.emplace(name).second) {
      fail(Errc::duplicate_field, std::string(name) + " is there twice");
    }
    if (name.ends_with(npy_ending)) {
      with_item(std::string(name), [&] { put(index, name.substr(0, name.size() - npy_ending.size())); });
    } else {
      importer_.skip(std::string(name) + " is no .npy file");
    }
    return importer_.go_on(stored_);
  }

  void put(zip_uint64_t index, std::string_view name) {
    const Key key = importer_.prefixed(options_.exported ? decode_name(name).key : Key(name));
    Member member(zip_.get(), index);
    const Value array(read_array(member));
    importer_.put(key, array, array.array().view().byte_size());
  }

  const ImportOptions& options_;
  const Zip zip_;
  const std::uint64_t size_;
  Importer importer_;
  std::set<std::string> names_;
  std::uint64_t stored_ = 0;
};

}  // namespace

ExchangeReport import_npz(Store& store, const Path& file, const ImportOptions& options) {
  return NpzImport(store, file, options).run();
}

#else

ExchangeReport import_npz(Store&, const Path&, const ImportOptions&) {
  fail(Errc::unsupported, "this build of stele reads no zip files");
}

#endif  // STELE_WITH_LIBZIP

}  // namespace stele
