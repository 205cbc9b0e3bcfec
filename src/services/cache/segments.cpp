#include "services/cache/segments.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "io/file_lock.hpp"
#include "io/mapped_file.hpp"
#include "io/system.hpp"
#include "services/cache/frozen.hpp"
#include "stele/error.hpp"

namespace stele {

using namespace cache_frozen;

namespace {

// Of the head of a record.
constexpr std::size_t at_length = 4;
constexpr std::size_t at_key = 8;
constexpr std::size_t at_checksum = 24;
constexpr std::size_t at_created = 32;
constexpr std::size_t at_duration = 40;
constexpr std::size_t at_expires = 48;
constexpr std::size_t at_file_bytes = 56;
constexpr std::size_t at_payload = 64;
constexpr std::size_t at_form = 68;
constexpr std::size_t at_from_remote = 69;

constexpr std::size_t most_opened = 256;     // segments at once: each takes a descriptor
constexpr std::size_t reused_segments = 64;  // so many are asked whether there is room in them
constexpr std::string_view extension = ".segment";

std::string file_name(std::uint32_t number) {
  char digits[16];
  std::snprintf(digits, sizeof digits, "%08u", number);
  return std::string(digits) + std::string(extension);
}

std::uint64_t checksum(Bytes record) noexcept {
  return xxh3_64(record.first(at_checksum)) ^ xxh3_64(record.subspan(at_checksum + 8));
}

double load_double(const std::byte* from) noexcept { return std::bit_cast<double>(load_le<std::uint64_t>(from)); }
void store_double(std::byte* to, double value) noexcept { store_le(to, std::bit_cast<std::uint64_t>(value)); }

std::size_t aligned(std::size_t at, std::size_t to) noexcept { return (at + to - 1) / to * to; }

void put_text(std::vector<std::byte>& to, std::string_view text) {
  const std::size_t at = to.size();
  to.resize(at + 4 + text.size());
  store_le<std::uint32_t>(to.data() + at, static_cast<std::uint32_t>(text.size()));
  std::memcpy(to.data() + at + 4, text.data(), text.size());
}

bool take_text(Bytes& from, std::string& text) {
  if (from.size() < 4) {
    return false;
  }
  const std::uint32_t size = load_le<std::uint32_t>(from.data());
  if (size > from.size() - 4) {
    return false;
  }
  text.assign(reinterpret_cast<const char*>(from.data()) + 4, size);
  from = from.subspan(4 + size);
  return true;
}

bool lock_whole(int file) noexcept {
  struct flock whole = whole_file(F_WRLCK);
  return system_calls().fcntl(file, F_OFD_SETLK, &whole) == 0;
}

}  // namespace

// --- Records ---------------------------------------------------------------------------------------------------------

Metadata CacheRecord::user_metadata() const {
  if (metadata.empty()) {
    return {};
  }
  Reader reader{Bytes(std::as_bytes(std::span(metadata)))};
  reader.read<std::monostate>();
  return reader.metadata();
}

void CacheRecord::write(Bytes payload, std::uint64_t offset, std::vector<std::byte>& to) const {
  to.assign(record_head, std::byte{0});
  std::byte* const head = to.data();
  store_le(head, record_magic);
  std::memcpy(head + at_key, key.bytes.data(), key.bytes.size());
  store_double(head + at_created, created);
  store_double(head + at_duration, duration);
  store_double(head + at_expires, expires);
  store_le(head + at_file_bytes, file_bytes);
  head[at_form] = static_cast<std::byte>(form);
  head[at_from_remote] = static_cast<std::byte>(from_remote);
  put_text(to, name);
  put_text(to, version);
  put_text(to, metadata);
  if (form == Form::archive) {
    to.resize(aligned(static_cast<std::size_t>(offset) + to.size(), payload_alignment) -
              static_cast<std::size_t>(offset));
  }
  store_le<std::uint32_t>(to.data() + at_payload, static_cast<std::uint32_t>(to.size()));
  to.insert(to.end(), payload.begin(), payload.end());
  store_le<std::uint32_t>(to.data() + at_length, static_cast<std::uint32_t>(to.size()));
  store_le(to.data() + at_checksum, checksum(to));
}

std::optional<CacheRecord::Read> CacheRecord::read(Bytes all) {
  if (all.size() < record_head || load_le<std::uint32_t>(all.data()) != record_magic ||
      load_le<std::uint32_t>(all.data() + at_length) != all.size()) {
    return std::nullopt;
  }
  const std::uint32_t payload = load_le<std::uint32_t>(all.data() + at_payload);
  const auto form = std::to_integer<std::uint8_t>(all[at_form]);
  if (checksum(all) != load_le<std::uint64_t>(all.data() + at_checksum) || payload < record_head ||
      payload > all.size() || form > static_cast<std::uint8_t>(Form::compressed_file)) {
    return std::nullopt;
  }
  Read read;
  CacheRecord& record = read.record;
  std::memcpy(record.key.bytes.data(), all.data() + at_key, record.key.bytes.size());
  record.form = static_cast<Form>(form);
  record.from_remote = all[at_from_remote] != std::byte{0};
  record.created = load_double(all.data() + at_created);
  record.duration = load_double(all.data() + at_duration);
  record.expires = load_double(all.data() + at_expires);
  record.file_bytes = load_le<std::uint64_t>(all.data() + at_file_bytes);
  Bytes texts = all.subspan(record_head, payload - record_head);
  if (!take_text(texts, record.name) || !take_text(texts, record.version) || !take_text(texts, record.metadata)) {
    return std::nullopt;
  }
  read.payload_at = payload;
  return read;
}

// --- Reading ---------------------------------------------------------------------------------------------------------

std::shared_ptr<const CacheSegments::Segment> CacheSegments::segment(std::uint32_t number) const {
  {
    const std::shared_lock lock(opened_mutex_);
    if (const auto found = opened_.find(number); found != opened_.end()) {
      return found->second;
    }
  }
  const auto opened = std::make_shared<Segment>();
  opened->name = folder_.path() + file_name(number);
  opened->file = folder_.open_file(file_name(number), O_RDONLY | O_NOFOLLOW);
  if (!opened->file.is_open()) {
    if (errno == ENOENT || errno == ELOOP) {
      return nullptr;
    }
    fail_call("open", opened->name, errno);
  }
  // Records of up to 2^32 bytes may begin before `segment_bytes_`, of another cache object's options perhaps; what
  // lies beyond the mapping is read.
  opened->mapping =
      MappedFile::try_to_map(opened->file.get(), opened->name, 0, std::max<std::uint64_t>(segment_bytes_, 4096) * 2);
  const std::unique_lock lock(opened_mutex_);
  std::erase_if(opened_, [](const auto& other) {  // those that were removed
    struct stat status;
    return system_calls().fstat(other.second->file.get(), &status) != 0 || status.st_nlink == 0;
  });
  if (opened_.size() >= most_opened) {
    opened_.clear();
  }
  return opened_.try_emplace(number, opened).first->second;
}

std::optional<CacheSegments::Found> CacheSegments::record_at(const Segment& segment, const CachePlace& place) {
  const auto is_there = [&](std::uint64_t end) {
    if (end > segment.size.load(std::memory_order_relaxed)) {
      struct stat status;
      if (system_calls().fstat(segment.file.get(), &status) != 0) {
        fail_call("examine", segment.name, errno);
      }
      segment.size.store(static_cast<std::uint64_t>(status.st_size), std::memory_order_relaxed);
    }
    return end <= segment.size.load(std::memory_order_relaxed);
  };
  const std::uint64_t at = place.offset;
  if (at < segment_head || at % record_alignment != 0 || !is_there(at + record_head)) {
    return std::nullopt;
  }
  const auto part = [&](std::uint64_t size) {
    if (segment.mapping != nullptr && at + size <= segment.mapping->bytes().size()) {
      return segment.mapping;
    }
    return MappedFile::read(segment.file.get(), segment.name, at, size);
  };
  std::shared_ptr<Mapping> mapping = part(record_head);
  std::uint64_t begin = mapping == segment.mapping ? at : 0;
  const std::uint32_t length = load_le<std::uint32_t>(mapping->bytes().data() + begin + at_length);
  if (load_le<std::uint32_t>(mapping->bytes().data() + begin) != record_magic || length < record_head ||
      !is_there(at + length)) {
    return std::nullopt;
  }
  mapping = part(length);
  begin = mapping == segment.mapping ? at : 0;
  std::optional<CacheRecord::Read> read =
      CacheRecord::read(mapping->bytes().subspan(static_cast<std::size_t>(begin), length));
  if (!read) {
    return std::nullopt;
  }
  Found found;
  found.record = std::move(read->record);
  found.place = {place.segment, place.offset, length};
  found.payload_at = begin + read->payload_at;
  found.payload_size = length - read->payload_at;
  found.mapping = std::move(mapping);
  return found;
}

std::optional<CacheSegments::Found> CacheSegments::read(const CachePlace& place, const Digest& key) const {
  const std::shared_ptr<const Segment> of = segment(place.segment);
  if (of == nullptr) {
    return std::nullopt;
  }
  std::optional<Found> found = record_at(*of, place);
  return found && found->record.key == key ? std::move(found) : std::nullopt;
}

std::vector<std::pair<std::uint32_t, std::uint64_t>> CacheSegments::list() const {
  std::vector<std::pair<std::uint32_t, std::uint64_t>> all;
  for (const std::string& name : folder_.names()) {
    struct stat status;
    std::uint32_t number = 0;
    std::from_chars(name.data(), name.data() + name.size(), number);
    if (name == file_name(number) && folder_.status(name, status) == 0 && S_ISREG(status.st_mode)) {
      all.emplace_back(number, static_cast<std::uint64_t>(status.st_size));
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

void CacheSegments::for_each(std::uint32_t number, const std::function<void(const Found&)>& record) const {
  const std::shared_ptr<const Segment> of = segment(number);
  struct stat status;
  if (of == nullptr || system_calls().fstat(of->file.get(), &status) != 0) {
    return;
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  for (std::uint64_t at = segment_head; at + record_head <= size && at <= 0xffffffff;) {
    const std::optional<Found> found = record_at(*of, {number, static_cast<std::uint32_t>(at), 0});
    if (found) {
      record(*found);
    }
    // What a killed process left of a record is passed over.
    at += aligned(found ? found->place.length : record_alignment, record_alignment);
  }
}

// --- Writing ---------------------------------------------------------------------------------------------------------

OwnedDescriptor CacheSegments::reserve(std::uint32_t number) const {
  OwnedDescriptor file = folder_.open_file(file_name(number), O_RDWR | O_NOFOLLOW);
  struct stat status;
  if (file.is_open() &&
      (!lock_whole(file.get()) || system_calls().fstat(file.get(), &status) != 0 || status.st_nlink == 0)) {
    file = OwnedDescriptor();
  }
  return file;
}

void CacheSegments::end_segment() {
  const std::scoped_lock lock(append_mutex_);
  appended_ = OwnedDescriptor();
}

void CacheSegments::begin_segment(CacheTable& table) {
  appended_ = OwnedDescriptor();
  const auto all = list();
  for (std::size_t i = 0; i < std::min(all.size(), reused_segments); ++i) {
    const auto& [number, size] = all[all.size() - 1 - i];
    if (size >= segment_bytes_ / 4 * 3) {
      continue;
    }
    OwnedDescriptor file = reserve(number);
    struct stat status;
    if (file.is_open() && system_calls().fstat(file.get(), &status) == 0 &&
        static_cast<std::uint64_t>(status.st_size) < segment_bytes_) {
      appended_ = std::move(file);
      number_ = number;
      end_ = aligned(std::max(static_cast<std::size_t>(status.st_size), segment_head), record_alignment);
      return;
    }
  }
  for (;;) {
    number_ = table.next_segment();
    const std::string path = folder_.path() + file_name(number_);
    OwnedDescriptor file = folder_.open_file(file_name(number_), O_RDWR | O_CREAT | O_EXCL, 0666);
    if (!file.is_open() && errno == EEXIST) {
      continue;
    }
    if (!file.is_open()) {
      fail_call("create", path, errno);
    }
    if (!lock_whole(file.get())) {
      continue;  // another process found the new file first
    }
    std::array<std::byte, segment_head> head{};
    std::memcpy(head.data(), segment_magic.data(), segment_magic.size());
    store_le<std::uint32_t>(head.data() + 8, version);
    write_all_at(file.get(), 0, head, path);
    table.add_segment_bytes(segment_head);
    appended_ = std::move(file);
    end_ = segment_head;
    return;
  }
}

CachePlace CacheSegments::append(const CacheRecord& record, Bytes payload, CacheTable& table) {
  const std::scoped_lock lock(append_mutex_);
  if (!appended_.is_open() || end_ >= segment_bytes_) {
    begin_segment(table);
  }
  record.write(payload, end_, buffer_);
  write_all_at(appended_.get(), end_, buffer_, folder_.path() + file_name(number_));
  const CachePlace place{number_, static_cast<std::uint32_t>(end_), static_cast<std::uint32_t>(buffer_.size())};
  const std::uint64_t next = aligned(static_cast<std::size_t>(end_ + buffer_.size()), record_alignment);
  table.add_segment_bytes(static_cast<std::int64_t>(next - end_));
  end_ = next;
  return place;
}

CachePlace CacheSegments::append(const Found& found, CacheTable& table) {
  return append(found.record,
                found.mapping->bytes().subspan(static_cast<std::size_t>(found.payload_at),
                                               static_cast<std::size_t>(found.payload_size)),
                table);
}

void CacheSegments::remove(std::uint32_t number, CacheTable& table) {
  struct stat status;
  if (folder_.status(file_name(number), status) == 0 && folder_.unlink(file_name(number)) == 0) {
    table.add_segment_bytes(-static_cast<std::int64_t>(status.st_size));
  }
  const std::unique_lock lock(opened_mutex_);
  opened_.erase(number);
}

}  // namespace stele
