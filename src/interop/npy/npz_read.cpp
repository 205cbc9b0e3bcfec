#include <algorithm>
#include <atomic>
#include <exception>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/crew.hpp"
#include "base/threads.hpp"
#include "codec/formats/deflate.hpp"
#include "format/path.hpp"
#include "interop/input.hpp"
#include "interop/npy/npy.hpp"
#include "interop/npy/npz.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::uint64_t parallel_bytes = std::uint64_t{1} << 20;  // for less, threads cost more than they save

[[noreturn]] void rethrow_in(const Error& error, const ZipMember& member) {
  std::string path;
  append_step(path, member.name);
  rethrow_at(error, {.path = path});
}

/// What was read of a damaged member may have failed for another reason than its checksum. Reads its rest, which throws
/// where the member is damaged.
void check_rest(Source& member) {
  std::vector<std::byte> piece(std::size_t{64} << 10);
  while (member.read(piece) > 0) {
  }
}

Value read_bytes(Source& member) {
  std::vector<std::byte> bytes;  // grows as data arrives: the size is only claimed
  constexpr std::size_t least = std::size_t{64} << 10;
  const std::uint64_t size = member.size().value();
  while (bytes.size() < size) {
    const std::size_t have = bytes.size();
    bytes.resize(static_cast<std::size_t>(std::min<std::uint64_t>(size, std::max(least, 2 * have))));
    read_exactly(member, MutableBytes(bytes).subspan(have));
  }
  std::byte rest{};
  member.read({&rest, 1});  // the end, where the checksum is compared
  return Value::make_bytes(bytes);
}

/// A file that is read into one map.
class Npz {
 public:
  explicit Npz(const Neighbour& file)
      : file_(file),
        mapped_(file.mapping != nullptr ? memory_source(file.mapping->bytes()) : nullptr),
        zip_(mapped_ ? *mapped_ : file.source) {}

  Value read() {
    check_limits();
    const std::vector<ZipMember>& members = zip_.members();
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
  void check_limits() const {
    constexpr std::uint64_t free_bytes = std::uint64_t{1} << 30;  // Limits::expansion
    const Limits& limits = file_.options.limits;
    std::uint64_t total = 0;
    for (const ZipMember& member : zip_.members()) {
      if (member.bytes > limits.allocation) {
        fail(Errc::limit_exceeded,
             member.name + " would take " + std::to_string(member.bytes) + " bytes, more than the limit");
      }
      total += std::min(member.bytes, UINT64_MAX - total);
    }
    if (total > free_bytes && total / std::max<std::uint64_t>(1, limits.expansion) > zip_.bytes()) {
      fail(Errc::limit_exceeded, "its members would take " + std::to_string(total) + " bytes, more than the limit");
    }
  }

  /// Reads the members, several at a time.
  void read_all() {
    const std::vector<ZipMember>& members = zip_.members();
    std::uint64_t to_read = 0;
    for (const ZipMember& member : members) {
      to_read += file_.mapping != nullptr && member.is_stored() ? 0 : std::min(member.bytes, parallel_bytes);
    }
    std::vector<std::exception_ptr> errors(members.size());
    std::atomic<std::size_t> next = 0;
    std::atomic<bool> has_failed = false;
    const std::function<void()> work = [&] {
      for (std::size_t i = next++; i < members.size() && !has_failed; i = next++) {
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

  Value member_value(const ZipMember& member) const {
    const bool is_array = npz_name(member.name).has_value();
    if (is_array && file_.mapping != nullptr && member.is_stored()) {
      return mapped_value(member);
    }
    if (is_array && file_.mapping != nullptr) {
      try {
        check_copy(file_, member.bytes, "its member is compressed");
      } catch (const Error& error) {
        rethrow_in(error, member);
      }
    }
    return read_npz_member(zip_, member, file_.options);
  }

  Value mapped_value(const ZipMember& member) const {
    try {
      const std::uint64_t offset = zip_.content_offset(member);
      const Bytes content =
          file_.mapping->bytes().subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(member.bytes));
      if (file_.options.verify == Verify::full && crc32_of(0, content) != member.crc) {
        fail(Errc::damaged, "it contradicts its checksum");
      }
      try {
        return read_npy(file_, offset, member.bytes);
      } catch (const Error& error) {
        if (error.code() != Errc::not_mappable && crc32_of(0, content) != member.crc) {
          fail(Errc::damaged, "it contradicts its checksum");
        }
        throw;
      }
    } catch (const Error& error) {
      rethrow_in(error, member);
    }
  }

  const Neighbour& file_;
  const std::unique_ptr<Source> mapped_;  // not the Source of the file, which may have changed since it was mapped
  const ZipReader zip_;
  std::vector<Value> values_;
};

}  // namespace

std::optional<std::string_view> npz_name(std::string_view member) noexcept {
  constexpr std::string_view ending = ".npy";
  return member.ends_with(ending) ? std::optional(member.substr(0, member.size() - ending.size())) : std::nullopt;
}

Value read_npz_member(const ZipReader& zip, const ZipMember& member, const LoadOptions& options) {
  try {
    const std::unique_ptr<Source> source = zip.open(member);
    if (!npz_name(member.name)) {
      return read_bytes(*source);
    }
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

Value read_npz(const Neighbour& file) { return Npz(file).read(); }

}  // namespace stele
