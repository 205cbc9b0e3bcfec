#include "services/cache/remote/parcel.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/bytes.hpp"
#include "base/threads/interruption.hpp"
#include "io/read.hpp"
#include "services/cache/frozen.hpp"
#include "stele/error.hpp"

namespace stele {

using namespace cache_frozen;

namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 20;
constexpr std::uint64_t whole_bytes = std::uint64_t{16} << 20;  // of larger ones the record is looked at first
constexpr std::size_t at_version = 8;
constexpr std::size_t at_length = 12;
constexpr std::size_t most_record = std::size_t{256} << 20;
constexpr double latest = 1e11;  // seconds: what is later is not a time

std::vector<std::byte> head_and_record(const CacheRecord& record, Bytes payload) {
  std::vector<std::byte> all;
  record.write(payload, 0, all);
  std::array<std::byte, parcel_head> head{};
  std::memcpy(head.data(), parcel_magic.data(), parcel_magic.size());
  store_le(head.data() + at_version, version);
  store_le(head.data() + at_length, static_cast<std::uint32_t>(all.size()));
  all.insert(all.begin(), head.begin(), head.end());
  return all;
}

[[noreturn]] void fail_damaged(const char* what) { fail(Errc::damaged, what); }

bool is_time(double seconds) { return seconds >= 0 && seconds <= latest; }

}  // namespace

std::string parcel_name(const Digest& key) {
  const std::string text = key.text();
  const std::string hex = text.substr(text.find(':') + 1);
  return message({"results/", version, "/"}) + hex.substr(0, 2) + "/" + hex + ".result";
}

std::uint64_t parcel_bytes(const CacheRecord& record, Bytes payload) {
  return head_and_record(record, payload).size() + record.file_bytes + parcel_checksum;
}

void write_parcel(const CacheRecord& record, Bytes payload, Source* file, Sink& to) {
  Xxh3 checksum;
  const auto put = [&](Bytes bytes) {
    checksum.update(bytes);
    to.write(bytes);
  };
  put(head_and_record(record, payload));
  if (file != nullptr) {
    std::vector<std::byte> piece(piece_bytes);
    std::uint64_t left = record.file_bytes;
    for (std::size_t count = file->read(piece); count > 0; count = file->read(piece)) {
      if (count > left) {
        fail(Errc::changed, "the file of the result has grown");
      }
      put(std::span(piece).first(count));
      left -= count;
      interruption_point();
    }
    if (left > 0) {
      fail(Errc::changed, "the file of the result has become shorter");
    }
  }
  std::array<std::byte, parcel_checksum> end{};
  store_le(end.data(), checksum.digest64());
  to.write(end);
}

void ParcelReader::read(MutableBytes into) {
  read_exactly(from_, into);
  checksum_.update(into);
}

ParcelReader::ParcelReader(Source& from, const Digest& key) : from_(from) {
  const std::optional<std::uint64_t> size = from.size();
  if (size && *size <= whole_bytes) {
    from.will_read(0, *size);
  }
  std::array<std::byte, parcel_head> head{};
  read(head);
  if (std::memcmp(head.data(), parcel_magic.data(), parcel_magic.size()) != 0 ||
      load_le<std::uint32_t>(head.data() + at_version) != version) {
    fail_damaged("it is no result of a cache");
  }
  const std::size_t length = load_le<std::uint32_t>(head.data() + at_length);
  if (length > most_record) {
    fail_damaged("its record is too long");
  }
  std::vector<std::byte> bytes;
  while (bytes.size() < length) {  // grows as bytes arrive
    const std::size_t begin = bytes.size();
    bytes.resize(std::min(length, begin + piece_bytes));
    read(std::span(bytes).subspan(begin));
  }
  std::optional<CacheRecord::Read> found = CacheRecord::read(bytes);
  if (!found) {
    fail_damaged("its record is damaged");
  }
  record_ = std::move(found->record);
  record_.from_remote = true;
  if (record_.key != key) {
    fail_damaged("it is the result of another key");
  }
  if (!is_time(record_.created) || !is_time(record_.duration) || !(record_.expires >= 0) ||
      !std::isfinite(record_.expires) || (!record_.has_file() && record_.file_bytes != 0)) {
    fail_damaged("its record is not in the form of a result");
  }
  record_.user_metadata();  // throws if it is none
  payload_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(found->payload_at), bytes.end());
  const std::uint64_t rest = record_.file_bytes + parcel_checksum;
  if (rest < record_.file_bytes || (size && *size - parcel_head - length != rest)) {
    fail_damaged("it has another length than its record says");
  }
  if (size && *size > whole_bytes) {
    from.will_read(parcel_head + length, rest);
  }
}

void ParcelReader::finish(const std::function<void(Bytes)>& to) {
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min<std::uint64_t>(record_.file_bytes, piece_bytes)));
  for (std::uint64_t left = record_.file_bytes; left > 0;) {
    const MutableBytes part =
        std::span(piece).first(static_cast<std::size_t>(std::min<std::uint64_t>(left, piece.size())));
    read(part);
    to(part);
    left -= part.size();
    interruption_point();
  }
  std::array<std::byte, parcel_checksum> end{};
  read_exactly(from_, end);
  if (load_le<std::uint64_t>(end.data()) != checksum_.digest64()) {
    fail_damaged("its checksum differs from its bytes");
  }
  if (std::array<std::byte, 1> more{}; from_.read(more) != 0) {
    fail_damaged("bytes follow it");
  }
}

}  // namespace stele
