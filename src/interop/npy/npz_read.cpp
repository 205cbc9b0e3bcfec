#include <algorithm>
#include <atomic>
#include <exception>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "archive/read/rereader.hpp"
#include "archive/value/later.hpp"
#include "base/threads/crew.hpp"
#include "base/threads/threads.hpp"
#include "codec/formats/deflate.hpp"
#include "interop/array.hpp"
#include "interop/npy/npy.hpp"
#include "interop/npy/npz.hpp"
#include "interop/zip/contents.hpp"
#include "io/wrap/slice.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::uint64_t parallel_bytes = std::uint64_t{1} << 20;  // for less, threads cost more than they save

Value read_member(const ZipReader& zip, const ZipMember& member, const LoadOptions& options) {
  try {
    const std::unique_ptr<Source> source = zip.open(member);
    try {
      return read_npy(Neighbour{.source = *source, .options = options});
    } catch (const Error&) {
      check_rest(*source);
      throw;
    }
  } catch (const Error& error) {
    rethrow_in(error, member);
  }
}

/// The array of a large member that is stored as it is, read on several threads; nothing for others.
std::optional<Value> read_large(const ZipContents& contents, const ZipMember& member) {
  const Neighbour& file = contents.file();
  if (file.mapping != nullptr || !file.source.random_access() || !file.source.memory().empty() || !member.is_stored() ||
      member.bytes < parallel_array_bytes || !npz_name(member.name)) {
    return std::nullopt;
  }
  try {
    SliceSource source(file.source, contents.zip().content_offset(member), member.bytes);
    const NpyHeader header = read_npy_header(source);
    if (header.has_objects || header.offset + array_bytes(header.array) != member.bytes) {
      return std::nullopt;
    }
    std::vector<std::byte> head(static_cast<std::size_t>(header.offset));
    source.read_at(0, head);
    std::uint32_t crc = crc32_of(0, head);
    AnyArray array = read_elements_at(source, header.offset, header.array, file.options.threads,
                                      [&](Bytes bytes) { crc = crc32_of(crc, bytes); });
    if (crc != member.crc) {
      fail(Errc::damaged, "it contradicts its checksum");
    }
    swap_npy(header, array.buffer()->mutable_data());
    return array;
  } catch (const Error&) {
    return std::nullopt;  // the usual way finds the same, and whether the checksum holds
  }
}

/// A zip file that members which are read later keep open. Not mapped: the pages would count as memory.
struct KeptZip {
  explicit KeptZip(std::unique_ptr<Source> file) : source(std::move(file)), zip(*source) {}
  const std::unique_ptr<Source> source;
  const ZipReader zip;
};

class LaterMember final : public LaterArray {
 public:
  LaterMember(std::shared_ptr<const KeptZip> file, std::size_t index, const NpyHeader& header)
      : LaterArray(header.array), file_(std::move(file)), index_(index), offset_(header.offset) {}

  std::unique_ptr<Source> open() override {
    const ZipMember& member = file_->zip.members().at(index_);
    try {
      std::unique_ptr<Source> source = file_->zip.open(member);
      pass_over(*source, offset_);
      return std::make_unique<Elements>(file_, member, std::move(source));
    } catch (const Error& error) {
      rethrow_in(error, member);
    }
  }

 private:
  class Elements final : public Source {
   public:
    Elements(std::shared_ptr<const KeptZip> file, const ZipMember& member, std::unique_ptr<Source> source)
        : file_(std::move(file)), member_(member), source_(std::move(source)) {}
    std::size_t read(MutableBytes into) override {
      try {
        return source_->read(into);
      } catch (const Error& error) {
        rethrow_in(error, member_);
      }
    }

   private:
    const std::shared_ptr<const KeptZip> file_;
    const ZipMember& member_;
    const std::unique_ptr<Source> source_;
  };

  const std::shared_ptr<const KeptZip> file_;
  const std::size_t index_;
  const std::uint64_t offset_;
};

/// A placeholder for a member that stele cannot read, so that the others can be: the reason, and the content if it can
/// be read.
Value unread(const ZipReader& zip, const ZipMember& member, const Error& reason) {
  std::vector<std::string> names{std::string(npz_reason)};
  std::vector<Value> values{Value(reason.message())};
  try {
    values.push_back(Value::make_bytes(zip_bytes(zip, member)));
    names.emplace_back(npz_content);
  } catch (const Error& error) {
    if (error.code() != Errc::unsupported) {
      throw;
    }
  }
  return Value::make_typed(std::string(npz_unread), Value::make_record(std::move(names), std::move(values)));
}

/// A file that is read into one map.
class Npz {
 public:
  explicit Npz(const ZipContents& contents)
      : contents_(contents), file_(contents.file()), members_(contents.zip().members()) {}

  Value read() {
    const std::vector<ZipMember>& members = members_;
    values_.resize(members.size());
    std::unordered_set<std::string_view> names;
    std::vector<Value::Entry> entries;
    entries.reserve(members.size());
    for (const ZipMember& member : members) {
      const std::string_view name = npz_name(member.name).value_or(member.name);
      if (!names.insert(name).second) {
        fail(Errc::duplicate_field, "two members would both have the name \"" + std::string(name) + "\"");
      }
    }
    read_all();
    for (std::size_t i = 0; i < members.size(); ++i) {
      entries.emplace_back(Value(npz_name(members[i].name).value_or(members[i].name)), std::move(values_[i]));
    }
    return Value::make_map(std::move(entries));
  }

 private:
  /// Reads the members, several at a time.
  void read_all() {
    const std::vector<ZipMember>& members = members_;
    std::uint64_t to_read = 0;
    std::vector<bool> is_read(members.size());
    for (std::size_t i = 0; i < members.size(); ++i) {
      std::optional<Value> value = leave(i);
      if (!value) {
        value = read_large(contents_, members[i]);
      }
      if (value) {
        values_[i] = *std::move(value);
        is_read[i] = true;
      }
    }
    for (std::size_t i = 0; i < members.size(); ++i) {
      to_read += is_read[i] || contents_.in_place(members[i]) ? 0 : std::min(members[i].bytes, parallel_bytes);
    }
    std::vector<std::exception_ptr> errors(members.size());
    std::atomic<std::size_t> next = 0;
    std::atomic<bool> has_failed = false;
    const std::function<void()> work = [&] {
      for (std::size_t i = next++; i < members.size() && !has_failed; i = next++) {
        if (is_read[i]) {
          continue;
        }
        try {
          values_[i] = member_value(members[i]);
        } catch (...) {
          errors[i] = std::current_exception();
          has_failed = true;
        }
      }
    };
    Crew crew(members.size() > 1 && to_read >= parallel_bytes ? thread_count(file_.options.threads) : 1);
    crew.run(work);
    for (const std::exception_ptr& error : errors) {
      if (error) {
        std::rethrow_exception(error);
      }
    }
  }

  /// A large array that is left in the file until it is needed; nothing for others.
  std::optional<Value> leave(std::size_t index) {
    const ZipMember& member = members_[index];
    const bool may_stay = file_.again != nullptr && (file_.mapping != nullptr || file_.source.random_access());
    if (!may_stay || contents_.in_place(member) || !npz_name(member.name)) {
      return std::nullopt;
    }
    try {
      const std::unique_ptr<Source> source = contents_.zip().open(member);
      const NpyHeader header = read_npy_header(*source);
      if (!may_come_later(header) || header.offset + array_bytes(header.array) != member.bytes) {
        return std::nullopt;
      }
      if (kept_ == nullptr) {
        kept_ = std::make_shared<const KeptZip>(file_.again->whole());
      }
      const std::vector<ZipMember>& now = kept_->zip.members();
      if (index >= now.size() || now[index].name != member.name || now[index].crc != member.crc) {
        return std::nullopt;  // another file by now
      }
      return later_value(std::make_shared<LaterMember>(kept_, index, header));
    } catch (const Error&) {
      return std::nullopt;  // the usual way finds the same
    }
  }

  Value member_value(const ZipMember& member) const {
    try {
      return !npz_name(member.name) || file_.mapping == nullptr
                 ? read_npz_member(contents_.zip(), member, file_.options)
             : contents_.in_place(member) ? mapped_value(member)
                                          : copied_value(member);
    } catch (const Error& error) {
      if (error.code() != Errc::unsupported) {
        throw;
      }
      return unread(contents_.zip(), member, error);
    }
  }

  Value copied_value(const ZipMember& member) const {
    try {
      check_copy(file_, member.bytes, "its member is compressed");
    } catch (const Error& error) {
      rethrow_in(error, member);
    }
    return read_member(contents_.zip(), member, file_.options);
  }

  Value mapped_value(const ZipMember& member) const {
    try {
      const std::uint64_t offset = contents_.place_of(member);
      try {
        return read_npy(file_, offset, member.bytes);
      } catch (const Error& error) {
        if (error.code() != Errc::not_mappable) {
          contents_.check(member);
        }
        throw;
      }
    } catch (const Error& error) {
      rethrow_in(error, member);
    }
  }

  const ZipContents& contents_;
  const Neighbour& file_;
  const std::vector<ZipMember>& members_;
  std::vector<Value> values_;
  std::shared_ptr<const KeptZip> kept_;
};

}  // namespace

std::optional<std::string_view> npz_name(std::string_view member) noexcept {
  constexpr std::string_view ending = ".npy";
  return member.ends_with(ending) ? std::optional(member.substr(0, member.size() - ending.size())) : std::nullopt;
}

Value read_npz_member(const ZipReader& zip, const ZipMember& member, const LoadOptions& options) {
  if (!npz_name(member.name)) {
    return Value::make_bytes(zip_bytes(zip, member));
  }
  return read_member(zip, member, options);
}

Value read_npz(const ZipContents& contents) { return Npz(contents).read(); }

Value read_npz(const Neighbour& file) { return read_npz(ZipContents(file)); }

}  // namespace stele
