#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "base/bytes.hpp"
#include "codec/formats/deflate.hpp"
#include "format/text/utf8.hpp"
#include "interop/zip/records.hpp"
#include "interop/zip/zip.hpp"
#include "stele/error.hpp"

namespace stele {

/// Where the directory lies, and how many members it has.
struct ZipEnd {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;  // as the file says
  std::uint64_t before = 0;  // bytes before the file proper, such as a program that unpacks it
};

namespace {

constexpr std::uint16_t unreadable = zip_encrypted | zip_is_patch | zip_is_masked;
constexpr std::size_t piece_bytes = std::size_t{256} << 10;  // in the cache from inflating to the checksum

[[noreturn]] void damaged(const std::string& what) { fail(Errc::damaged, "a zip file " + what); }

/// All bytes of a Source, as they come.
std::vector<std::byte> read_whole(Source& source) {
  std::vector<std::byte> bytes(std::size_t{64} << 10);
  std::size_t used = 0;
  while (const std::size_t got = source.read(MutableBytes(bytes).subspan(used))) {
    used += got;
    if (used == bytes.size()) {
      bytes.resize(2 * used);
    }
  }
  bytes.resize(used);
  return bytes;
}

bool begins_with(Bytes bytes, ZipRecord record) {
  return bytes.size() >= record.bytes && load_le<std::uint32_t>(bytes.data()) == record.signature;
}

/// The numbers of a record, one after the other.
class Fields {
 public:
  explicit Fields(Bytes bytes) : bytes_(bytes) {}
  std::size_t left() const noexcept { return bytes_.size(); }
  Bytes take(std::size_t count) {
    if (count > bytes_.size()) {
      damaged("with a record that is cut short");
    }
    const Bytes taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }
  template <std::unsigned_integral T>
  T next() {
    return load_le<T>(take(sizeof(T)).data());
  }
  std::string_view text(std::size_t count) {
    const Bytes bytes = take(count);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

 private:
  Bytes bytes_;
};

/// Replaces the number where it is said to be in the ZIP64 form of the end.
void widen(std::uint64_t& number, std::uint64_t elsewhere, std::uint64_t wide) {
  if (number != elsewhere && number != wide) {
    damaged("whose ends contradict each other");
  }
  number = wide;
}

/// Whether the file begins with something else, such as a program that unpacks what follows.
bool has_prefix(const Source& file, std::uint64_t size) {
  std::byte first[sizeof(std::uint32_t)] = {};
  file.read_at(0, MutableBytes(first).first(static_cast<std::size_t>(std::min<std::uint64_t>(size, sizeof(first)))));
  const auto signature = load_le<std::uint32_t>(first);
  return signature != zip_local.signature && signature != zip_end.signature && signature != zip64_end.signature;
}

void read_wide_end(const Source& file, bool may_be_moved, std::uint64_t at, ZipEnd& end, std::uint64_t& directory_end) {
  if (at < zip64_locator.bytes) {
    return;
  }
  const std::uint64_t locator_at = at - zip64_locator.bytes;
  std::byte raw[zip64_end.bytes];
  file.read_at(locator_at, std::span(raw).first(zip64_locator.bytes));
  if (!begins_with(std::span(raw).first(zip64_locator.bytes), zip64_locator)) {
    return;
  }
  Fields locator{Bytes(raw).subspan(sizeof(std::uint32_t))};
  const auto disk = locator.next<std::uint32_t>();
  auto wide_at = locator.next<std::uint64_t>();
  const auto disks = locator.next<std::uint32_t>();
  if (disk != 0 || disks > 1) {
    fail(Errc::unsupported, "a zip file in several parts");
  }
  if (wide_at > locator_at || locator_at - wide_at < zip64_end.bytes) {
    damaged("whose directory is not where its end says");
  }
  file.read_at(wide_at, raw);
  if (may_be_moved && !begins_with(raw, zip64_end)) {
    wide_at = locator_at - zip64_end.bytes;
    file.read_at(wide_at, raw);
  }
  Fields wide{Bytes(raw).subspan(sizeof(std::uint32_t))};
  if (!begins_with(raw, zip64_end) || wide.next<std::uint64_t>() != locator_at - wide_at - 12) {
    damaged("whose directory is not where its end says");
  }
  wide.take(4);  // versions
  const bool one_part = wide.next<std::uint32_t>() == 0 && wide.next<std::uint32_t>() == 0;
  const auto here = wide.next<std::uint64_t>();
  widen(end.count, zip_elsewhere16, wide.next<std::uint64_t>());
  if (!one_part || here != end.count) {
    fail(Errc::unsupported, "a zip file in several parts");
  }
  widen(end.bytes, zip_elsewhere32, wide.next<std::uint64_t>());
  widen(end.offset, zip_elsewhere32, wide.next<std::uint64_t>());
  directory_end = wide_at;
}

/// Searches the end of the file for what says where the directory is.
ZipEnd find_end(const Source& file, std::uint64_t size) {
  constexpr std::uint64_t most = zip_end.bytes + 0xffff;  // with the longest comment
  std::vector<std::byte> tail(static_cast<std::size_t>(std::min(most, size)));
  file.read_at(size - tail.size(), tail);
  for (std::size_t comment = 0; comment + zip_end.bytes <= tail.size(); ++comment) {
    const Bytes record = Bytes(tail).last(comment + zip_end.bytes);
    if (!begins_with(record, zip_end) || load_le<std::uint16_t>(record.data() + 20) != comment) {
      continue;
    }
    Fields fields(record.subspan(sizeof(std::uint32_t)));
    const auto disk = fields.next<std::uint16_t>();
    const auto first_disk = fields.next<std::uint16_t>();
    const auto here = fields.next<std::uint16_t>();
    ZipEnd end{.count = fields.next<std::uint16_t>()};
    end.bytes = fields.next<std::uint32_t>();
    end.offset = fields.next<std::uint32_t>();
    if (here != end.count || disk != first_disk || (disk != 0 && disk != zip_elsewhere16)) {
      fail(Errc::unsupported, "a zip file in several parts");
    }
    std::uint64_t directory_end = size - record.size();
    const bool may_be_moved = has_prefix(file, size);
    read_wide_end(file, may_be_moved, directory_end, end, directory_end);
    if (end.offset > directory_end || directory_end - end.offset < end.bytes) {
      damaged("whose directory is not where its end says");
    }
    end.before = directory_end - end.offset - end.bytes;
    if (end.before != 0 && !may_be_moved) {
      damaged("whose directory is not where its end says");
    }
    return end;
  }
  fail(Errc::damaged, "it does not end as a zip file does");
}

/// What an extra field of ZIP64 has for those of a member's numbers that are elsewhere.
void read_wide(Fields extra, ZipMember& member) {
  std::uint64_t* const numbers[] = {&member.bytes, &member.stored_bytes, &member.offset};
  while (extra.left() >= 4) {
    const auto type = extra.next<std::uint16_t>();
    Fields field(extra.take(extra.next<std::uint16_t>()));
    if (type != zip64_extra) {
      continue;
    }
    for (std::uint64_t* const number : numbers) {
      if (*number == zip_elsewhere32) {
        *number = field.next<std::uint64_t>();
      }
    }
    return;
  }
  if (std::any_of(std::begin(numbers), std::end(numbers), [](auto* number) { return *number == zip_elsewhere32; })) {
    damaged("with a member whose sizes are missing");
  }
}

/// What a member is compressed by, for people.
std::string method_name(std::uint16_t method) {
  switch (method) {
    case 9:
      return "deflate64";
    case 12:
      return "bzip2";
    case 14:
      return "lzma";
    case 20:
    case 93:
      return "zstd";
    case 95:
      return "xz";
    default:
      return "method " + std::to_string(method);
  }
}

/// The content of a stored or deflated member.
class MemberSource final : public Source {
 public:
  MemberSource(const Source& file, const ZipMember& member, std::uint64_t offset)
      : file_(file), member_(member), stored_at_(offset), stored_end_(offset + member.stored_bytes) {
    if (member.method == zip_deflated) {
      inflate_ = std::make_unique<StreamInflate>();
      if (file.memory().empty()) {
        piece_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes, member.stored_bytes)));
      }
    }
  }

  std::optional<std::uint64_t> size() const override { return member_.bytes; }

  std::size_t read(MutableBytes into) override {
    std::size_t got = 0;
    while (got < into.size() && made_ < member_.bytes) {
      const std::uint64_t most = std::min<std::uint64_t>({into.size() - got, member_.bytes - made_, piece_bytes});
      const MutableBytes to = into.subspan(got, static_cast<std::size_t>(most));
      const std::size_t count = inflate_ ? inflate(to) : copy(to);
      crc_ = crc32_of(crc_, to.first(count));
      made_ += count;
      got += count;
    }
    if (made_ == member_.bytes && !checked_) {
      check_end();
    }
    return got;
  }

 private:
  std::size_t copy(MutableBytes to) {
    file_.read_at(stored_at_, to);
    stored_at_ += to.size();
    return to.size();
  }

  /// Fills `to`, or less, where it fails on what is damaged.
  std::size_t inflate(MutableBytes to) {
    std::size_t got = 0;
    while (got < to.size() && !inflate_->ended()) {
      if (stored_.empty() && inflate_->starved()) {
        next_piece();
      }
      const std::optional<StreamInflate::Step> step = (*inflate_)(stored_, to.subspan(got));
      if (!step) {
        damaged("with a damaged member: " + inflate_->error());
      }
      stored_ = stored_.subspan(step->used);
      unused_ = step->unused;
      got += step->made;
    }
    if (got == 0 && !to.empty()) {
      damaged("with a member that ends early");
    }
    return got;
  }

  void next_piece() {
    const std::uint64_t left = stored_end_ - stored_at_;
    if (left == 0) {
      damaged("with a member that ends early");
    }
    const Bytes memory = file_.memory();
    if (!memory.empty()) {
      stored_ = memory.subspan(static_cast<std::size_t>(stored_at_), static_cast<std::size_t>(left));
    } else {
      const MutableBytes piece =
          MutableBytes(piece_).first(static_cast<std::size_t>(std::min<std::uint64_t>(piece_.size(), left)));
      file_.read_at(stored_at_, piece);
      stored_ = piece;
    }
    stored_at_ += stored_.size();
  }

  void check_end() {
    checked_ = true;
    if (inflate_) {
      std::byte more{};
      while (!inflate_->ended()) {
        if (stored_.empty() && inflate_->starved()) {
          next_piece();
        }
        const std::optional<StreamInflate::Step> step = (*inflate_)(stored_, {&more, 1});
        if (!step || step->made != 0) {
          damaged("with a member that goes on after its end");
        }
        stored_ = stored_.subspan(step->used);
        unused_ = step->unused;
      }
      if (stored_.size() + unused_ != 0 || stored_at_ != stored_end_) {
        damaged("with a member that goes on after its end");
      }
    }
    if (crc_ != member_.crc) {
      damaged("with a member that contradicts its checksum");
    }
  }

  const Source& file_;
  const ZipMember& member_;
  std::uint64_t stored_at_;
  const std::uint64_t stored_end_;
  std::unique_ptr<StreamInflate> inflate_;  // null for a stored member
  std::vector<std::byte> piece_;
  Bytes stored_;            // read, not inflated yet
  std::size_t unused_ = 0;  // bytes that were consumed after the end of the stream
  std::uint64_t made_ = 0;
  std::uint32_t crc_ = 0;
  bool checked_ = false;
};

}  // namespace

ZipReader::ZipReader(Source& file)
    : whole_(file.random_access() ? std::vector<std::byte>() : read_whole(file)),
      from_memory_(file.random_access() ? nullptr : memory_source(whole_)),
      file_(from_memory_ ? *from_memory_ : file),
      bytes_(file_.size().value()) {
  try {
    const ZipEnd end = find_end(file_, bytes_);
    directory_offset_ = end.before + end.offset;
    read_directory(end);
  } catch (const Error& error) {
    rethrow_at(error, {.file = file.name()});
  }
}

void ZipReader::read_directory(const ZipEnd& end) {
  if (end.count > end.bytes / zip_central.bytes) {
    damaged("whose directory has too few bytes for its members");
  }
  std::vector<std::byte> raw(static_cast<std::size_t>(end.bytes));  // at most those of the file
  file_.read_at(directory_offset_, raw);
  Fields fields(raw);
  members_.reserve(static_cast<std::size_t>(end.count));
  std::uint64_t left = end.offset;
  for (std::uint64_t i = 0; i < end.count; ++i) {
    if (fields.next<std::uint32_t>() != zip_central.signature) {
      damaged("with a damaged directory");
    }
    fields.take(4);  // versions
    ZipMember& member = members_.emplace_back();
    member.flags = fields.next<std::uint16_t>();
    member.method = fields.next<std::uint16_t>();
    fields.take(4);  // time and date
    member.crc = fields.next<std::uint32_t>();
    member.stored_bytes = fields.next<std::uint32_t>();
    member.bytes = fields.next<std::uint32_t>();
    const auto name_bytes = fields.next<std::uint16_t>();
    const auto extra_bytes = fields.next<std::uint16_t>();
    const auto comment_bytes = fields.next<std::uint16_t>();
    fields.take(8);  // part of the file, attributes
    member.offset = fields.next<std::uint32_t>();
    member.name = fields.text(name_bytes);
    read_wide(Fields(fields.take(extra_bytes)), member);
    member.offset += std::min(end.before, UINT64_MAX - member.offset);
    fields.take(comment_bytes);
    if (!is_utf8(member.name)) {
      fail(Errc::unsupported, "a zip file with a name that is no UTF-8");
    }
    if (member.stored_bytes > left) {
      fail(Errc::damaged, member.name + ": the members take more bytes than the file has");
    }
    left -= member.stored_bytes;
    if (member.is_stored() ? member.bytes != member.stored_bytes
                           : member.method == zip_deflated && member.bytes / most_expansion > member.stored_bytes) {
      fail(Errc::damaged, member.name + ": its sizes contradict each other");
    }
  }
  if (fields.left() != 0) {
    damaged("with a damaged directory");
  }
  std::unordered_set<std::string_view> names;
  for (const ZipMember& member : members_) {
    if (!names.insert(member.name).second) {
      fail(Errc::duplicate_field, member.name + " is there twice");
    }
  }
}

std::uint64_t ZipReader::content_offset(const ZipMember& member) const {
  const auto contradicts = [&] { damaged("whose directory contradicts the member itself"); };
  const std::uint64_t room = directory_offset_;  // members lie before it
  if (member.offset > room || room - member.offset < zip_local.bytes + member.name.size()) {
    damaged("with a member that lies outside");
  }
  std::vector<std::byte> raw(zip_local.bytes + member.name.size());
  file_.read_at(member.offset, raw);
  Fields fields(raw);
  if (fields.next<std::uint32_t>() != zip_local.signature) {
    contradicts();
  }
  fields.take(2);  // version
  const auto flags = fields.next<std::uint16_t>();
  const auto method = fields.next<std::uint16_t>();
  fields.take(4);  // time and date
  const auto crc = fields.next<std::uint32_t>();
  const auto stored_bytes = fields.next<std::uint32_t>();
  const auto bytes = fields.next<std::uint32_t>();
  const auto name_bytes = fields.next<std::uint16_t>();
  const auto extra_bytes = fields.next<std::uint16_t>();
  // With a descriptor after the content, some write the numbers here nevertheless.
  const bool may_lack = (flags & zip_has_descriptor) != 0;
  const auto agrees = [&](std::uint32_t here, std::uint64_t there) {
    return here == there || here == zip_elsewhere32 || (may_lack && here == 0);
  };
  if (method != member.method || ((flags ^ member.flags) & unreadable) != 0 || name_bytes != member.name.size() ||
      fields.text(name_bytes) != member.name || !(crc == member.crc || (may_lack && crc == 0)) ||
      !agrees(stored_bytes, member.stored_bytes) || !agrees(bytes, member.bytes)) {
    contradicts();
  }
  const std::uint64_t offset = member.offset + raw.size() + extra_bytes;
  if (offset > room || room - offset < member.stored_bytes) {
    damaged("with a member that lies outside");
  }
  return offset;
}

std::unique_ptr<Source> ZipReader::open(const ZipMember& member) const {
  const std::uint64_t offset = content_offset(member);
  if ((member.flags & unreadable) != 0) {
    fail(Errc::unsupported, "a member of a zip file that is encrypted or a patch");
  }
  if (member.method != zip_stored && member.method != zip_deflated) {
    fail(Errc::unsupported, "a member of a zip file that is compressed by " + method_name(member.method));
  }
  return std::make_unique<MemberSource>(file_, member, offset);
}

}  // namespace stele
