#include "archive/append/extent.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "archive/append/archive_stream.hpp"
#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "codec/stream/intake.hpp"
#include "format/directory.hpp"
#include "io/wrap/forwarding.hpp"

namespace stele {
namespace {

constexpr std::uint64_t least_archive = frozen::label.size() + 1 + frozen::trailer_bytes;
constexpr std::size_t recognised_bytes = 16;  // what Codec::recognises() may look at

/// A whole archive in a plain file.
struct Unit {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  AppendedEntry appended;
  bool begun = true;  // its first byte is there

  EntryPlace after() const noexcept { return {end, appended.entry + 1}; }
};

/// A file whose first byte, which is missing, is given.
class WithFirstByte final : public ForwardingSource {
 public:
  WithFirstByte(Source& file, std::byte first) : ForwardingSource(file), first_(first) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t count = inner_.read(into);
    put_first(into, position_);
    position_ += count;
    return count;
  }
  void seek(std::uint64_t offset) override {
    inner_.seek(offset);
    position_ = offset;
  }
  void read_at(std::uint64_t offset, MutableBytes into) const override {
    inner_.read_at(offset, into);
    put_first(into, offset);
  }

 private:
  void put_first(MutableBytes into, std::uint64_t offset) const noexcept {
    if (offset == 0 && !into.empty()) {
      into[0] = first_;
    }
  }
  const std::byte first_;
  std::uint64_t position_ = 0;
};

class Finder {
 public:
  Finder(GrowingSource& file, const FileCodec& codec, const LoadOptions& options)
      : file_(file), codec_(codec), options_(options), size_(*file.size()), peek_(file) {
    options_.map = MapMode::none;
    options_.offset = 0;
    options_.verify = Verify::full;
    options_.threads = 1;
  }

  Extent find(EntryPlace from, ExtentCheck check) {
    Extent extent;
    extent.size = size_;
    extent.end = from;
    if (codec_.get() != nullptr) {
      find_compressed(from, extent);
    } else if (find_plain(from, check, extent)) {
      return extent;
    }
    if (size_ > extent.end.offset) {
      judge_rest(extent);
    }
    return extent;
  }

  /// The last place in [first, last].
  std::optional<EntryPlace> place(std::uint64_t first, std::uint64_t last) {
    spent_ = 0;
    if (codec_.get() == nullptr) {
      const auto unit = last_unit(first, last, {});
      return unit ? std::optional(unit->first.after()) : std::nullopt;
    }
    for (std::uint64_t at = last + 1; at-- > first;) {
      if (const auto appended = commit_at(at)) {
        return EntryPlace{at, appended->entry};
      }
    }
    return std::nullopt;
  }

 private:
  std::byte byte_at(std::uint64_t offset) { return *peek_.at(offset, 1); }

  /// Accounts for `bytes` that were read in vain. A file that was not made for it has few places that look like an end.
  void spend(std::uint64_t bytes) {
    spent_ += bytes;
    if (spent_ / 16 > size_ + (std::uint64_t{1} << 24)) {
      fail(Errc::limit_exceeded, "the end of the entries is too hard to find", {.offset = size_});
    }
  }

  // --- Plain files ---------------------------------------------------------------------------------------------------

  /// The archive that ends at `end`, if an Appender wrote it. Its first byte may be missing.
  std::optional<Unit> unit_ending_at(std::uint64_t end) {
    if (end < least_archive) {
      return std::nullopt;
    }
    std::array<std::byte, frozen::trailer_bytes> last;
    std::copy_n(peek_.at(end - last.size(), last.size()), last.size(), last.begin());
    const auto total = load_le<std::uint64_t>(last.data() + 18);
    if (std::memcmp(last.data() + 42, frozen::end_magic.data(), frozen::end_magic.size()) != 0 || total > end ||
        total < least_archive) {
      return std::nullopt;
    }
    Unit unit{.begin = end - total, .end = end, .appended = {}};
    std::array<std::byte, frozen::label.size()> label;
    std::copy_n(peek_.at(unit.begin, label.size()), label.size(), label.begin());
    unit.begun = label[0] != std::byte{0};
    if (!unit.begun) {
      label[0] = codec_.first_byte();
    }
    if (!may_be_label(label)) {
      return std::nullopt;
    }
    try {
      const Trailer trailer = decode_trailer(last, total - last.size());
      spend(trailer.directory_length + 256);
      const std::vector<std::byte> item = read(unit.begin + trailer.directory_offset, trailer.directory_length);
      if (xxh3_64(item) != trailer.directory_checksum) {
        return std::nullopt;
      }
      const Directory directory = decode_directory(item, trailer.directory_offset);
      if (!directory.appended || directory.appended->commit > unit.begin) {
        return std::nullopt;
      }
      unit.appended = *directory.appended;
      return unit;
    } catch (const Error& error) {
      if (error.code() == Errc::io || error.code() == Errc::limit_exceeded) {
        throw;
      }
      return std::nullopt;
    }
  }

  std::vector<std::byte> read(std::uint64_t offset, std::uint64_t size) {
    constexpr std::uint64_t step = std::uint64_t{4} << 20;
    if (size > options_.limits.allocation) {
      fail(Errc::limit_exceeded, "a directory is beyond the allocation limit", {.offset = offset});
    }
    std::vector<std::byte> bytes;
    while (bytes.size() < size) {
      const std::size_t before = bytes.size();
      bytes.resize(before + static_cast<std::size_t>(std::min(step, size - before)));
      file_.read_at(offset + before, MutableBytes(bytes).subspan(before));
    }
    return bytes;
  }

  /// The first archive of the commit that `last` is in, if the archives between are all there and the commit follows
  /// another. Nothing if `last` is a part of some value, such as the bytes of a file of this kind.
  std::optional<Unit> first_of_commit(const Unit& last, EntryPlace from) {
    Unit unit = last;
    while (unit.begin != last.appended.commit) {
      const auto before = unit.begun ? unit_ending_at(unit.begin) : std::nullopt;
      if (!before || before->appended.commit != last.appended.commit ||
          before->appended.entry + 1 != unit.appended.entry) {
        return std::nullopt;
      }
      unit = *before;
    }
    std::uint64_t entries_before = 0;
    if (unit.begin == from.offset) {
      entries_before = from.entry;
    } else if (unit.begin > 0) {
      const auto before = unit_ending_at(unit.begin);
      if (!before) {
        return std::nullopt;
      }
      entries_before = before->appended.entry + 1;
    }
    return unit.appended.entry == entries_before ? std::optional(unit) : std::nullopt;
  }

  /// The last archive that ends in [first, last], and the first one of its commit.
  std::optional<std::pair<Unit, Unit>> last_unit(std::uint64_t first, std::uint64_t last, EntryPlace from) {
    constexpr std::uint64_t unit_bytes = frozen::array_alignment;
    constexpr std::size_t magic_bytes = frozen::end_magic.size();
    for (std::uint64_t end = last / unit_bytes * unit_bytes; end >= std::max(first, least_archive); end -= unit_bytes) {
      if (std::memcmp(peek_.at(end - magic_bytes, magic_bytes), frozen::end_magic.data(), magic_bytes) != 0) {
        continue;
      }
      if (const auto unit = unit_ending_at(end)) {
        if (const auto begin = first_of_commit(*unit, from)) {
          return std::pair(*unit, *begin);
        }
      }
    }
    return std::nullopt;
  }

  /// Returns whether the extent is complete; otherwise what follows its end is still to be judged.
  bool find_plain(EntryPlace from, ExtentCheck check, Extent& extent) {
    const auto found = last_unit(from.offset + 1, size_, from);
    if (!found) {
      return false;
    }
    const auto& [last, first] = *found;
    extent.end = {first.begin, first.appended.entry};
    if (!first.begun) {
      return true;
    }
    if (check == ExtentCheck::last_commit) {
      try {
        pass(file_, first.begin, last.end);
      } catch (const Error& error) {
        require_readable(error);
        extent.damage = error.at({.offset = first.begin});
        return true;
      }
    }
    extent.end = last.after();
    return false;
  }

  // --- Compressed files ----------------------------------------------------------------------------------------------

  /// The first entry of the commit that begins at `offset`, if one does.
  std::optional<AppendedEntry> commit_at(std::uint64_t offset) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(recognised_bytes, size_ - offset));
    if (!codec_.may_begin({peek_.at(offset, count), count})) {
      return std::nullopt;
    }
    spend(std::uint64_t{64} << 10);
    try {
      ArchiveStream stream(file_, codec_, offset, options_);
      Decoder& decoder = stream.begin();
      spend(size_ - offset);
      decoder.skip();
      stream.end();
      return stream.appended() && stream.appended()->commit == offset ? stream.appended() : std::nullopt;
    } catch (const Error& error) {
      if (error.code() == Errc::io) {
        throw;
      }
      return std::nullopt;
    }
  }

  void find_compressed(EntryPlace from, Extent& extent) {
    std::optional<AppendedEntry> found;
    std::uint64_t at = size_;
    while (!found && at-- > from.offset) {
      found = commit_at(at);
    }
    if (!found) {
      return;
    }
    extent.end = {at, found->entry};
    try {
      ArchiveStream stream(file_, codec_, at, options_);
      while (stream.inside() || (stream.offset() < size_ && byte_at(stream.offset()) != std::byte{0})) {
        const std::uint64_t begin = stream.offset();
        stream.begin().skip();
        stream.end();
        // The next commit may have come to its end meanwhile.
        if (!stream.appended() || (stream.appended()->commit != at && stream.appended()->commit != begin)) {
          fail(Errc::damaged, "an entry that is not of its commit follows the last entry");
        }
        at = stream.appended()->commit;
        if (!stream.inside()) {
          extent.end = {stream.offset(), stream.appended()->entry + 1};
        }
      }
    } catch (const Error& error) {
      require_readable(error);
    }
  }

  // --- What follows the last whole entry -----------------------------------------------------------------------------

  static void require_readable(const Error& error) {
    if (error.code() == Errc::io) {
      throw Error(error);
    }
  }

  /// Reads archives from `begin` to `end`. Throws what is wrong with them.
  void pass(Source& file, std::uint64_t begin, std::uint64_t end) {
    ArchiveStream stream(file, codec_, begin, options_);
    while (stream.inside() || stream.offset() < end) {
      stream.begin().skip();
      stream.end();
      if (!stream.appended()) {
        fail(Errc::invalid_argument, "the file holds archives that no Appender wrote");
      }
    }
  }

  /// Whether the bytes from `begin` to `end` are the beginning of entries. Otherwise `why` says what they are.
  bool breaks_off(Source& file, std::uint64_t begin, std::uint64_t end, std::optional<Error>& why) {
    file_.set_size(end);
    try {
      pass(file, begin, end);
      file_.set_size(size_);
      why.emplace(Errc::damaged, "entries that do not follow the others");
    } catch (const Error& error) {
      file_.set_size(size_);
      require_readable(error);
      if (error.code() == Errc::truncated && !ends_with_mark(end)) {
        return true;
      }
      why = error;
    }
    return false;
  }

  /// Whether a commit comes to its end at `end`. A length that is damaged seems to go beyond it.
  bool ends_with_mark(std::uint64_t end) {
    const Bytes mark = codec_.mark();
    return !mark.empty() && end >= mark.size() &&
           std::equal(mark.begin(), mark.end(), peek_.at(end - mark.size(), mark.size()));
  }

  std::uint64_t end_without_zeros(std::uint64_t begin) {
    std::uint64_t end = size_;
    while (end > begin && byte_at(end - 1) == std::byte{0}) {
      --end;
    }
    return end;
  }

  void judge_rest(Extent& extent) {
    constexpr std::uint64_t blank = 8;  // so many zeros no file of any codec ends with
    const std::uint64_t begin = extent.end.offset;
    std::optional<Error> why;
    if (byte_at(begin) == std::byte{0}) {
      // A commit that did not come to its end. At the start of a file it must be one, as the file may be anything.
      if (begin > 0) {
        return;
      }
      const std::uint64_t end = end_without_zeros(begin);
      WithFirstByte restored(file_, codec_.first_byte());
      if (end == begin || breaks_off(restored, 0, size_, why) || breaks_off(restored, 0, end, why) ||
          (why && why->code() == Errc::damaged && is_first_commit(restored))) {
        return;
      }
    } else {
      if (is_torn(begin, size_, why)) {
        return;
      }
      const std::uint64_t end = end_without_zeros(begin);
      std::optional<Error> ignored;
      if (size_ - end >= blank && !ends_with_mark(size_) && is_torn(begin, end, ignored)) {
        return;
      }
    }
    extent.damage = why->at({.offset = begin});
  }

  /// The same, for bytes that may be no entry at all.
  bool is_torn(std::uint64_t begin, std::uint64_t end, std::optional<Error>& why) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(recognised_bytes, end - begin));
    const Bytes bytes(peek_.at(begin, size), size);
    if (!codec_.may_begin(bytes) && (begin == 0 || !codec_.may_end(bytes))) {
      why.emplace(begin == 0 ? Errc::not_an_archive : Errc::damaged, "these bytes begin no entry");
      return false;
    }
    return size < frozen::label.size() || breaks_off(file_, begin, end, why);
  }

  /// Whether the file, but for its first byte, is a whole first commit.
  bool is_first_commit(Source& restored) {
    try {
      ArchiveStream stream(restored, codec_, 0, options_);
      stream.begin().skip();
      stream.end();
      return stream.appended() && stream.appended()->commit == 0 && stream.appended()->entry == 0;
    } catch (const Error& error) {
      require_readable(error);
      return false;
    }
  }

  GrowingSource& file_;
  const FileCodec& codec_;
  LoadOptions options_;
  const std::uint64_t size_;
  Peek peek_;
  std::uint64_t spent_ = 0;
};

}  // namespace

Extent find_extent(GrowingSource& file, const FileCodec& codec, EntryPlace from, ExtentCheck check,
                   const LoadOptions& options) {
  return Finder(file, codec, options).find(from, check);
}

EntryPlace find_entry(GrowingSource& file, const FileCodec& codec, EntryPlace end, std::uint64_t entry,
                      const LoadOptions& options) {
  Finder finder(file, codec, options);
  EntryPlace best;
  std::uint64_t first = 1;  // places in [first, last) were not looked at
  std::uint64_t last = end.offset;
  while (first < last) {
    const std::uint64_t middle = first + (last - first) / 2;
    const auto place = finder.place(first, middle);
    if (!place) {
      first = middle + 1;
    } else if (place->entry <= entry) {
      best = *place;
      first = middle + 1;
    } else {
      last = place->offset;
    }
  }
  return best;
}

}  // namespace stele
