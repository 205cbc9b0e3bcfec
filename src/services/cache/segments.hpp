#pragma once
// The segments of a cache: files of records, one for each result. Records are never changed or moved, so mappings of
// them stay valid. Each process appends to its own segment, which it keeps locked (F_OFD_SETLK).

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/descriptor.hpp"
#include "io/replace/folder.hpp"
#include "services/cache/table.hpp"

namespace stele {

/// A record without its payload.
struct CacheRecord {
  /// What the payload is: a CBOR item, an archive, or nothing, as the result has a file of its own.
  enum class Form : std::uint8_t { item, archive, file, compressed_file };
  Digest key;
  Form form = Form::item;
  bool from_remote = false;
  double created = 0;
  double duration = 0;
  double expires = 0;
  std::uint64_t file_bytes = 0;
  std::string name;
  std::string version;
  std::string metadata;  // as that of an archive of nothing, or empty
  /// Throws: what load() throws.
  Metadata user_metadata() const;
  bool has_file() const noexcept { return form == Form::file || form == Form::compressed_file; }

  /// Writes the record over `to`, as it is to lie at `offset` of a segment.
  void write(Bytes payload, std::uint64_t offset, std::vector<std::byte>& to) const;
  struct Read;
  /// The record that `all` holds, and nothing else; nothing if it is damaged.
  static std::optional<Read> read(Bytes all);
};
struct CacheRecord::Read {
  CacheRecord record;
  std::size_t payload_at = 0;
};

class CacheSegments {
 public:
  /// `folder` must outlive it. A segment ends beyond `segment_bytes`.
  CacheSegments(const Folder& folder, std::uint64_t segment_bytes) : folder_(folder), segment_bytes_(segment_bytes) {}

  struct Found {
    CacheRecord record;
    CachePlace place;
    std::shared_ptr<Mapping> mapping;
    std::uint64_t payload_at = 0;  // in the mapping
    std::uint64_t payload_size = 0;
  };
  /// The record at a place; nothing if there is none of this key, or one that is damaged. Thread-safe.
  /// Throws: Error(io).
  std::optional<Found> read(const CachePlace& place, const Digest& key) const;

  /// Appends a record, to a new segment if need be, whose number comes from `table`. Thread-safe.
  /// Throws: Error(io).
  CachePlace append(const CacheRecord& record, Bytes payload, CacheTable& table);
  /// Appends to another segment from here on, perhaps.
  void end_segment();
  /// Copies a record.
  CachePlace append(const Found& found, CacheTable& table);

  /// The numbers of all segments, ascending, and the sizes of their files.
  std::vector<std::pair<std::uint32_t, std::uint64_t>> list() const;
  /// Every whole record of a segment, in the order in which they were written.
  void for_each(std::uint32_t number, const std::function<void(const Found&)>& record) const;
  /// Keeps others from appending to a segment, as long as the result lives; not open if a process appends to it.
  OwnedDescriptor reserve(std::uint32_t number) const;
  /// Removes the file. Mappings of it stay.
  void remove(std::uint32_t number, CacheTable& table);

 private:
  struct Segment {
    OwnedDescriptor file;
    std::shared_ptr<Mapping> mapping;  // null: read record by record
    mutable std::atomic<std::uint64_t> size{0};
    std::string name;
  };
  std::shared_ptr<const Segment> segment(std::uint32_t number) const;
  static std::optional<Found> record_at(const Segment& segment, const CachePlace& place);
  void begin_segment(CacheTable& table);

  const Folder& folder_;
  std::uint64_t segment_bytes_;

  mutable std::shared_mutex opened_mutex_;
  mutable std::unordered_map<std::uint32_t, std::shared_ptr<const Segment>> opened_;

  std::mutex append_mutex_;  // guards what follows
  OwnedDescriptor appended_;
  std::uint32_t number_ = 0;
  std::uint64_t end_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace stele
