#include "services/store/shard.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include "src/io/mapped_file.hpp"
#include "src/io/system.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::uint64_t lazy_value = std::uint64_t{1} << 20;
constexpr std::uint64_t page = 4096;

}  // namespace

std::shared_ptr<Shard> Shard::open(const Folder& folder, const std::string& name, std::uint32_t number,
                                   std::uint64_t reserve) {
  const std::string path = folder.path() + name;
  std::shared_ptr<Shard> shard(new Shard);
  shard->number_ = number;
  shard->path_ = path;
  shard->file_ = folder.open_file(name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!shard->file_.is_open()) {
    if (errno == ENOENT) {
      fail(Errc::not_found, "there is no shard " + path, {.file = path});
    }
    fail_call("open", path, errno);
  }
  std::array<std::byte, store_frozen::header_bytes> first;
  std::size_t got = 0;
  while (got < first.size()) {
    const std::size_t more = read_some_at(shard->file_.get(), got, std::span(first).subspan(got), path);
    if (more == 0) {
      fail(Errc::truncated, path + " ends inside its header", {{}, got, path});
    }
    got += more;
  }
  try {
    shard->header_ = decode_header(first);
  } catch (const Error& error) {
    rethrow_at(error, {.file = path});
  }
  if (shard->header_.number != number) {
    fail(Errc::damaged, path + " is shard " + std::to_string(shard->header_.number) + " by its header", {{}, 0, path});
  }
  const std::uint64_t size = shard->size();
  const std::uint64_t length = std::max(size, reserve);
  shard->add_mapping(MappedFile::reserve(shard->file_.get(), path, length));
  shard->known_size_ = size;
  shard->checked_ = CheckedRecords(length);
  return shard;
}

Shard::Shard(std::shared_ptr<Mapping> mapping, std::uint64_t base, std::uint64_t size, std::uint32_t number)
    : number_(number), path_(mapping->name()), base_(base), known_size_(size), checked_(size) {
  add_mapping(std::move(mapping));
}

void Shard::add_mapping(std::shared_ptr<Mapping> mapping) const {
  const Bytes bytes = mapping->bytes();
  if (!bytes.empty()) {
    // Single values are read here and there; what is read in order is asked for ahead.
    system_calls().madvise(const_cast<std::byte*>(bytes.data()), bytes.size(), MADV_RANDOM);
  }
  mapped_.push_back(std::make_unique<const Mapped>(Mapped{std::move(mapping)}));
  current_.store(mapped_.back().get(), std::memory_order_release);
}

std::uint64_t Shard::size() const {
  if (!file_.is_open()) {
    return known_size_;
  }
  struct stat status;
  if (system_calls().fstat(file_.get(), &status) != 0) {
    fail_call("read the size of", path_, errno);
  }
  return static_cast<std::uint64_t>(status.st_size);
}

Shard::Part Shard::part(std::uint64_t offset, std::uint64_t length) const {
  if (offset > known_size_ || length > known_size_ - offset) {
    const std::uint64_t now = size();
    if (offset > now || length > now - offset) {
      fail_truncated(path_, now, offset, length);
    }
    known_size_ = now;
  }
  if (base_ + offset + length > mapping()->bytes().size()) {
    const std::lock_guard lock(mutex_);
    if (base_ + offset + length > mapping()->bytes().size()) {
      add_mapping(MappedFile::reserve(file_.get(), path_, std::max(known_size_.load(), offset + length)));
    }
  }
  const std::shared_ptr<Mapping>& now = mapping();
  return {now, now->bytes().subspan(static_cast<std::size_t>(base_ + offset), static_cast<std::size_t>(length))};
}

Shard::Found Shard::record(const Position& position, Verify verify) const {
  Part at = part(position.offset, position.length);
  Found found{std::move(at.mapping), {}};
  Record& record = found.record;
  try {
    record = parse_record(at.bytes, position.offset);
  } catch (const Error& error) {
    fail_damaged("is no record: " + error.message(), position.offset);
  }
  if (record.length != position.length || !record.holds_value()) {
    fail_damaged("is another than the index says", position.offset);
  }
  if (verify == Verify::none) {
    return found;
  }
  const bool is_short = record.length < CheckedRecords::least;
  if (!is_short && verify != Verify::full && checked_.has(position.offset)) {
    return found;
  }
  if (record.length > 4 * page) {  // not page by page, should it have to come from the device
    prefetch(position.offset, std::min(record.length, lazy_value));
  }
  if (!record.is_whole()) {
    fail_damaged("does not match its checksum", position.offset);
  }
  const bool lazy = verify != Verify::full && record.value_check && record.length > lazy_value;
  if (!lazy && !record.value_is_whole()) {
    fail_damaged("has a value that does not match its checksum", position.offset);
  }
  if (!is_short && !lazy) {
    checked_.add(position.offset);
  }
  return found;
}

void Shard::prefetch(std::uint64_t offset, std::uint64_t length) const noexcept {
  const Bytes all = mapping()->bytes();
  const std::uint64_t size = std::min<std::uint64_t>(all.size(), base_ + known_size_);
  std::uint64_t first = base_ + offset;
  const std::uint64_t last = std::min(first + length, size);
  auto* const data = const_cast<std::byte*>(all.data());
  first -= std::min<std::uint64_t>(first, (reinterpret_cast<std::uintptr_t>(data) + first) % page);
  if (first < last) {
    system_calls().madvise(data + first, static_cast<std::size_t>(last - first), MADV_WILLNEED);
  }
}

void Shard::fail_damaged(const std::string& what, std::uint64_t offset) const {
  fail(Errc::damaged, "the record " + what, {{}, offset, path_});
}

CheckedRecords::CheckedRecords(std::uint64_t bytes) : words_(bytes / least / 64 + 1) {
  // zeros that take memory only where they are touched
  bits_.reset(static_cast<std::atomic<std::uint64_t>*>(
      std::calloc(static_cast<std::size_t>(words_), sizeof(std::atomic<std::uint64_t>))));
  if (bits_ == nullptr) {
    words_ = 0;
  }
}

void CheckedRecords::Free::operator()(std::atomic<std::uint64_t>* bits) const noexcept { std::free(bits); }

bool CheckedRecords::has(std::uint64_t offset) const noexcept {
  const std::uint64_t bit = offset / least;
  return bit / 64 < words_ && (bits_[bit / 64].load(std::memory_order_relaxed) >> (bit % 64) & 1) != 0;
}

void CheckedRecords::add(std::uint64_t offset) noexcept {
  const std::uint64_t bit = offset / least;
  if (bit / 64 < words_) {
    bits_[bit / 64].fetch_or(std::uint64_t{1} << (bit % 64), std::memory_order_relaxed);
  }
}

}  // namespace stele
