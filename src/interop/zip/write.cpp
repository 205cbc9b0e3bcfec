#include <algorithm>

#include "base/bytes.hpp"
#include "codec/formats/deflate.hpp"
#include "interop/zip/records.hpp"
#include "interop/zip/zip.hpp"
#include "stele/codec.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t deflate_bytes = std::size_t{16} << 20;  // between two calls of `go_on`
/// From this size on a member that is deflated has ZIP64 sizes, as deflate may also add a few bytes.
constexpr std::uint64_t wide_from = zip_elsewhere32 - (std::uint64_t{64} << 20);

/// The bytes of a record.
class Record {
 public:
  explicit Record(ZipRecord record) { add(record.signature); }
  template <std::unsigned_integral T>
  Record& add(T number) {
    bytes_.resize(bytes_.size() + sizeof(T));
    store_le<T>(bytes_.data() + bytes_.size() - sizeof(T), number);
    return *this;
  }
  Record& add16(std::uint64_t number) { return add(static_cast<std::uint16_t>(std::min(number, zip_elsewhere16))); }
  Record& add32(std::uint64_t number) { return add(static_cast<std::uint32_t>(std::min(number, zip_elsewhere32))); }
  Record& add(std::string_view text) {
    const Bytes bytes = std::as_bytes(std::span(text));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Record& zeros(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  Bytes bytes() const noexcept { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

/// Begins the header of a member or its entry in the directory: what both have.
void add_common(Record& record, const ZipMember& member, bool wide) {
  constexpr std::uint16_t first_day = 1U << 5 | 1U;  // 1980-01-01, the first that there is
  record.add(wide ? zip64_version : zip_version).add(member.flags).add(member.method);
  record.add(std::uint16_t{0}).add(first_day);
}

/// Takes a zlib stream and passes on the raw deflate stream inside it.
class Unwrapped final : public Sink {
 public:
  explicit Unwrapped(Sink& to) : to_(to) {}

  void write(Bytes bytes) override {
    const std::size_t skipped = std::min(head_, bytes.size());
    head_ -= skipped;
    bytes = bytes.subspan(skipped);
    const std::size_t kept = std::min(bytes.size(), tail_bytes);
    const std::size_t goes_on = kept + held_.size() - std::min(kept + held_.size(), tail_bytes);
    pass(Bytes(held_).first(goes_on));
    held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(goes_on));
    pass(bytes.first(bytes.size() - kept));
    held_.insert(held_.end(), bytes.end() - static_cast<std::ptrdiff_t>(kept), bytes.end());
  }
  std::uint64_t passed() const noexcept { return passed_; }

 private:
  void pass(Bytes bytes) {
    if (!bytes.empty()) {
      to_.write(bytes);
      passed_ += bytes.size();
    }
  }

  Sink& to_;
  static constexpr std::size_t tail_bytes = 4;  // the checksum
  std::size_t head_ = 2;
  std::vector<std::byte> held_;  // the last bytes so far, which may be the checksum
  std::uint64_t passed_ = 0;
};

}  // namespace

ZipWriter::ZipWriter(Sink& to, std::optional<int> level, unsigned threads) : to_(to), level_(level), threads_(threads) {
  if (level && (*level < 0 || *level > 9)) {
    fail(Errc::invalid_argument, "the level of a zip file is 1 to 9, not " + std::to_string(*level));
  }
}

void ZipWriter::write(Bytes bytes) {
  to_.write(bytes);
  position_ += bytes.size();
}

bool ZipWriter::add(const std::string& name, std::span<const Bytes> parts, const GoOn& go_on) {
  std::uint64_t bytes = 0;
  for (const Bytes part : parts) {
    bytes += part.size();
  }
  const auto pass = [&](const Take& take) {
    for (Bytes part : parts) {
      while (!part.empty()) {
        const Bytes piece = part.first(std::min(part.size(), deflate_bytes));
        if (!take(piece)) {
          return false;
        }
        part = part.subspan(piece.size());
      }
    }
    return true;
  };
  return add(name, bytes, pass, go_on);
}

bool ZipWriter::add(const std::string& name, std::uint64_t bytes, const Pass& pass, const GoOn& go_on) {
  if (name.size() > zip_elsewhere16) {
    fail(Errc::invalid_argument, "a name of " + std::to_string(name.size()) + " bytes, and a zip file has 65,535");
  }
  if (!names_.insert(name).second) {
    fail(Errc::duplicate_field, name + " is there twice");
  }
  const bool ascii = std::all_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  ZipMember member{.name = name, .bytes = bytes, .offset = position_, .flags = ascii ? std::uint16_t{0} : zip_has_utf8};
  std::uint64_t done = 0;
  const auto told = [&](Bytes piece) {
    done += piece.size();
    return !go_on || go_on(done);
  };
  if (!(level_ ? deflate(member, pass, told) : store(member, pass, told))) {
    return false;
  }
  members_.push_back(std::move(member));
  return true;
}

bool ZipWriter::store(ZipMember& member, const Pass& pass, const Take& told) {
  const auto sum = [&](Bytes piece) {
    member.crc = crc32_of(member.crc, piece);
    return true;
  };
  const bool patched = to_.patchable();
  if (!patched) {
    pass(sum);  // this costs a tenth of writing it to a file
  }
  member.stored_bytes = member.bytes;
  write_local(member, member.bytes >= zip_elsewhere32);
  const bool complete = pass([&](Bytes piece) {
    if (patched) {
      sum(piece);
    }
    write(piece);
    return told(piece);
  });
  if (patched && complete) {
    std::byte crc[sizeof member.crc];
    store_le(crc, member.crc);
    to_.patch(member.offset + zip_crc_at, crc);
  }
  return complete;
}

bool ZipWriter::deflate(ZipMember& member, const Pass& pass, const Take& told) {
  member.method = zip_deflated;
  member.flags |= zip_has_descriptor;
  const bool wide = member.bytes >= wide_from;
  write_local(member, wide);
  // The codec deflates blocks on all threads.
  const Codecs codecs;
  Unwrapped deflated(to_);
  const std::unique_ptr<Sink> sink =
      compressing_sink(deflated, codecs.get("zlib"), *level_ == 0 ? std::nullopt : level_, threads_);
  const bool complete = pass([&](Bytes piece) {
    member.crc = crc32_of(member.crc, piece);
    sink->write(piece);
    return told(piece);
  });
  if (!complete) {
    return false;
  }
  sink->close();
  member.stored_bytes = deflated.passed();
  position_ += member.stored_bytes;
  Record descriptor(zip_descriptor);
  descriptor.add(member.crc);
  if (wide) {
    descriptor.add(member.stored_bytes).add(member.bytes);
  } else {
    descriptor.add32(member.stored_bytes).add32(member.bytes);
  }
  write(descriptor.bytes());
  return true;
}

/// The header of a member. The content of a stored one begins at a multiple of `alignment`.
void ZipWriter::write_local(const ZipMember& member, bool wide) {
  constexpr std::size_t wide_bytes = 20;
  constexpr std::size_t least_padding = 6;
  const bool later = (member.flags & zip_has_descriptor) != 0;
  std::size_t extra = wide ? wide_bytes : 0;
  std::size_t padding = 0;
  if (!later) {
    const std::uint64_t end = position_ + zip_local.bytes + member.name.size() + extra + least_padding;
    padding = static_cast<std::size_t>((alignment - end % alignment) % alignment);
    extra += least_padding + padding;
  }
  Record record(zip_local);
  add_common(record, member, wide);
  const std::uint64_t stored_bytes = later ? 0 : member.stored_bytes;
  const std::uint64_t bytes = later ? 0 : member.bytes;
  record.add(later ? std::uint32_t{0} : member.crc);
  record.add32(wide ? zip_elsewhere32 : stored_bytes).add32(wide ? zip_elsewhere32 : bytes);
  record.add16(member.name.size()).add16(extra).add(std::string_view(member.name));
  if (wide) {
    record.add(zip64_extra).add(std::uint16_t{16}).add(bytes).add(stored_bytes);
  }
  if (!later) {
    record.add(alignment_extra).add16(2 + padding).add(static_cast<std::uint16_t>(alignment)).zeros(padding);
  }
  write(record.bytes());
}

void ZipWriter::finish() {
  const std::uint64_t offset = position_;
  for (const ZipMember& member : members_) {
    std::vector<std::uint64_t> numbers;  // that have no room, in this order
    for (const std::uint64_t number : {member.bytes, member.stored_bytes, member.offset}) {
      if (number >= zip_elsewhere32) {
        numbers.push_back(number);
      }
    }
    Record record(zip_central);
    record.add(zip64_version);
    add_common(record, member, !numbers.empty());
    record.add(member.crc).add32(member.stored_bytes).add32(member.bytes);
    record.add16(member.name.size()).add16(numbers.empty() ? 0 : 4 + 8 * numbers.size());
    record.zeros(10);  // comment, part of the file, attributes
    record.add32(member.offset).add(std::string_view(member.name));
    if (!numbers.empty()) {
      record.add(zip64_extra).add16(8 * numbers.size());
      for (const std::uint64_t number : numbers) {
        record.add(number);
      }
    }
    write(record.bytes());
  }
  const std::uint64_t bytes = position_ - offset;
  const std::uint64_t count = members_.size();
  if (count >= zip_elsewhere16 || bytes >= zip_elsewhere32 || offset >= zip_elsewhere32) {
    const std::uint64_t at = position_;
    write(Record(zip64_end)
              .add(std::uint64_t{zip64_end.bytes - 12})
              .add(zip64_version)
              .add(zip64_version)
              .zeros(8)
              .add(count)
              .add(count)
              .add(bytes)
              .add(offset)
              .bytes());
    write(Record(zip64_locator).zeros(4).add(at).add(std::uint32_t{1}).bytes());
  }
  write(Record(zip_end).zeros(4).add16(count).add16(count).add32(bytes).add32(offset).zeros(2).bytes());
}

}  // namespace stele
